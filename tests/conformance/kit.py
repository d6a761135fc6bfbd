"""The kit as its users run it: the whole command, over the loopback."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio
from click.testing import CliRunner

from roomfsm.cli import main
from tests.processes import LOADED

SMALL = (
    "--max-people=6",
    "--max-presenters=3",
    "--max-views=3",
    "--candidate-buffer=8",
    "--message-burst=400",
    "--linger=3",
    "--resume-window=5",
    "--closing-notice=3",
    "--max-in-lobby=6",
    "--room-entries-burst=300",
    "--room-entries-rate=1",
    "--told-rate=1.5",
    "--told-seconds=100",
)
"""The options of a server with which everything that can be reached is reached soon.

They are not so short that on a busy machine a room or a session ends before a check has used it. A person may tell
a room as much at once as by default, but that fills up slowly, so that a busy machine can use it up.
"""


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run. `report` is the JSON report; it is empty if there is none."""

    code: int
    out: str
    err: str
    report: dict[str, Any]

    def ids(self, status: str) -> set[str]:
        return {check["id"] for check in self.report["checks"] if check["status"] == status}


async def run_kit(folder: Path, *arguments: str, bound: float = 15 * LOADED) -> Run:
    """`roomfsm conformance URL [option]…`, in a thread.

    As a process of its own, each of the many runs would first import modules for a second.
    """
    file = folder / "report.json"
    file.unlink(missing_ok=True)
    command = ["conformance", f"--report=json={file}", *arguments]
    with trio.fail_after(bound):
        done = await trio.to_thread.run_sync(CliRunner().invoke, main, command, abandon_on_cancel=True)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    report = json.loads(file.read_text()) if file.exists() else {}
    return Run(done.exit_code, done.stdout, done.stderr, report)
