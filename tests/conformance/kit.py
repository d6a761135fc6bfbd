"""The kit as its users run it: the program, from another process, over the loopback."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

SMALL = (
    "--max-people=6",
    "--max-presenters=3",
    "--max-views=3",
    "--candidate-buffer=8",
    "--message-burst=200",
    "--linger=0.4",
    "--resume-window=3",
    "--closing-notice=2",
)
"""Options of a server with which all can be reached that can be at all, and soon."""


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run; `report` is the one in JSON, empty if there is none."""

    code: int
    out: str
    err: str
    report: dict[str, Any]

    def ids(self, status: str) -> set[str]:
        return {check["id"] for check in self.report["checks"] if check["status"] == status}


async def run_kit(folder: Path, *arguments: str, bound: float = 300.0) -> Run:
    """`roomfsm conformance URL [option]…`."""
    file = folder / "report.json"
    file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "roomfsm", "conformance", f"--report=json={file}", *arguments]
    with trio.fail_after(bound):
        done = await trio.run_process(command, check=False, capture_stdout=True, capture_stderr=True)
    report = json.loads(file.read_text()) if file.exists() else {}
    return Run(done.returncode, done.stdout.decode(), done.stderr.decode(), report)
