"""Each command imports only what it needs, and the server says at once that it starts."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

import roomfsm
from roomfsm.cli import COMMANDS, main

_PACKAGE = Path(roomfsm.__file__).parent

_HEAVY = (
    *("trio", "structlog", "rich", "quart", "hypercorn", "yaml", "jsonschema", "aioice", "OpenSSL", "emoji"),
    *("joserfc", "argon2"),
)
"""The slow packages among everything that the whole program imports."""


def imported_by(*arguments: str) -> set[str]:
    """The modules that the command has imported by its end."""
    program = (
        "import sys\n"
        "from roomfsm.cli import main\n"
        "try:\n"
        f"    main({list(arguments)!r}, prog_name='roomfsm')\n"
        "finally:\n"
        "    print('\\n', *sys.modules, sep='\\n', file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    return set(done.stderr.splitlines())


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["dance"]])
def test_the_bare_command_imports_click_and_no_part_of_the_server(arguments: list[str]) -> None:
    modules = imported_by(*arguments)
    assert {name for name in modules if name.startswith("roomfsm")} == {"roomfsm", "roomfsm.cli"}
    assert not modules & set(_HEAVY)
    # Click, and what it imports of the standard library: about 120.
    assert len(modules) < 200


@pytest.mark.parametrize(
    ("arguments", "needs"),
    [
        (["serve", "--help"], set()),
        (["check", "--help"], set()),
        (["settings"], set()),
        (["diagram", "room"], set()),
        (["spec"], set()),
        (["spec", "--format", "yaml"], {"yaml"}),
        (["conformance", "--help"], set()),
        (["token", "--help"], set()),
        (["password", "--help"], set()),
        (["replay", "--help"], {"trio", "structlog", "rich"}),
        (["mediaserver", "--help"], {"trio", "structlog", "rich", "OpenSSL"}),
    ],
)
def test_a_command_imports_only_what_it_needs(arguments: list[str], needs: set[str]) -> None:
    assert set(_HEAVY) & imported_by(*arguments) <= needs


def test_the_product_imports_nothing_that_is_made_for_tests() -> None:
    for file in _PACKAGE.rglob("*.py"):
        imports = re.findall(r"^\s*(?:from|import) (\S+)", file.read_text(encoding="utf-8"), re.MULTILINE)
        assert not {"trio.testing", "pytest", "hypothesis"} & set(imports), file


def test_the_list_of_commands_repeats_each_commands_own_words() -> None:
    for name, lazy in COMMANDS.items():
        command = main.get_command(click.Context(main), name)
        assert command is not None
        assert command is getattr(import_module(lazy.module), lazy.attribute)
        assert command.name == name
        assert command.help is not None
        first = re.split(r"(?<=\.)\s", " ".join(command.help.split()))[0]
        assert first == lazy.summary


def test_the_server_prints_that_it_starts_before_slow_imports() -> None:
    # -v prints each import on the standard error, as it happens. The server cannot listen there, and ends.
    done = subprocess.run(
        [sys.executable, "-v", "-m", "roomfsm", "--host=192.0.2.1", "--port=0"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    before, starting, after = done.stderr.partition("roomfsm is starting")
    assert starting, done.stderr[-2000:]
    for module in ("trio", "structlog", "quart", "hypercorn"):
        assert f"import '{module}'" in after
        assert f"import '{module}'" not in before
    assert "cannot listen on 192.0.2.1" in after
    assert done.stdout == ""


def test_the_first_line_is_json_if_the_log_is() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "roomfsm", "--host=192.0.2.1", "--port=0", "--log-format=json"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    first = done.stderr.splitlines()[0]
    assert re.fullmatch(r'\{"event":"server starts","level":"info","timestamp":"[0-9T:.-]+Z"\}', first)


def test_the_help_says_what_may_be_repeated_and_what_may_be_in_a_file() -> None:
    command = main.get_command(click.Context(main), "serve")
    assert isinstance(command, click.Command)
    helps = {option.opts[0]: option.help or "" for option in command.params if isinstance(option, click.Option)}
    assert "May be repeated" in helps["--kurento"]
    assert "May be repeated" not in helps["--port"]
    assert "file:PATH" in helps["--turn-secret"]
    assert "file:PATH" not in helps["--certfile"]
