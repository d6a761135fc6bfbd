"""When `roomfsm diagram` is called, then it draws the requested machine, or says which arguments are possible."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from roomfsm.cli import main
from roomfsm.documents.dot import dot
from roomfsm.documents.mermaid import mermaid
from roomfsm.documents.svg import svg
from roomfsm.lifecycle.describe import MACHINES, describe
from roomfsm.lifecycle.room import ROOM


def diagram(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["diagram", *arguments])


@pytest.mark.parametrize("machine", MACHINES)
def test_every_machine_is_drawn_in_every_format(machine: str) -> None:
    table = MACHINES[machine]
    assert diagram(machine).stdout == svg(table)
    assert diagram(machine, "--format", "svg").stdout == svg(table)
    assert diagram(machine, "--format", "mermaid").stdout == mermaid(table)
    assert diagram(machine, "--format", "dot").stdout == dot(table)
    assert json.loads(diagram(machine, "--format", "json").stdout) == describe(table)


def test_the_present_state_is_highlighted() -> None:
    assert diagram("room", "--current", "waiting").stdout == svg(ROOM, current=["waiting"])
    both = diagram("room", "--current=waiting", "--current=closing", "--format=mermaid").stdout
    assert both == mermaid(ROOM, current=["waiting", "closing"])


def test_the_diagram_is_written_to_a_file(tmp_path: Path) -> None:
    result = diagram("room", "--output", str(tmp_path / "room.svg"))
    assert (result.exit_code, result.output) == (0, "")
    assert (tmp_path / "room.svg").read_text(encoding="utf-8") == svg(ROOM)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["rooom"],
            "'room', 'seat', 'door', 'sound', 'stream', 'view', 'relay', 'file', 'session', 'administrator'",
        ),
        (
            [],
            "Choose from:\n\troom,\n\tseat,\n\tdoor,\n\tsound,\n\tstream,\n\tview,\n\trelay,\n\tfile,\n\tsession",
        ),
        (["room", "--format", "png"], "'svg', 'mermaid', 'dot', 'json'"),
        (["room", "--current", "full"], "no state 'full'; it has empty, waiting, broadcasting, closing"),
        (["room", "--format", "json", "--current", "empty"], "--format json has none"),
        (["room", "--output", "/proc/none/room.svg"], "cannot write /proc/none/room.svg: No such file"),
        (["room", "--output", "/proc"], "cannot write /proc: Is a directory"),
    ],
)
def test_wrong_arguments_get_an_error_that_says_why(arguments: list[str], said: str) -> None:
    result = diagram(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""
    assert isinstance(result.exception, SystemExit)
