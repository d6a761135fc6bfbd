"""The program itself, as a subprocess on a free port. Tests find it by what it prints."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

from tests.forked import forked
from tests.processes import LOADED, Process, started


class Program:
    """A running `roomfsm serve`, whose log goes to `log`."""

    def __init__(self, process: Process, line: str, log: Path) -> None:
        """`line` is the first line that it prints."""
        address, *inspector = re.findall(r"https?://\S+", line)
        self.process = process
        self.address = address
        self.log = log
        self.inspector: str = inspector[0] if inspector else ""
        """The inspector's address, with its token."""
        self.token = self.inspector.partition("?token=")[2]
        self.url = address.replace("http", "ws", 1) + "ws"
        parts = urlsplit(address)
        assert parts.port is not None
        self.port = parts.port

    def health(self) -> tuple[int, dict[str, Any]]:
        """Ask whether it is ready: the status, and what it says of itself, which it does in either case."""
        try:
            with urlopen(f"{self.address}health/ready", timeout=LOADED) as answer:
                return answer.status, json.load(answer)
        except HTTPError as error:
            with error:
                return error.code, json.load(error)

    def end(self, number: signal.Signals = signal.SIGTERM, timeout: float = LOADED) -> int:
        """Send it a signal, and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout)


@contextmanager
def running(
    folder: Path,
    *arguments: str,
    program: tuple[str, ...] = ("roomfsm", "serve"),
    python: Path | None = None,
    cwd: Path | None = None,
    within: tuple[str, ...] = (),
) -> Iterator[Program]:
    """Run `roomfsm serve`, or another program that takes its options, until the block ends.

    It is forked, if it is not to run by another `python` or `within` a command that runs it in another place, such
    as another network.
    """
    log = folder / "server.log"
    # A disk that others use may take longer than the server usually waits for it.
    command = [*program, "--port=0", "--media-host=127.0.0.1", f"--store-deadline={LOADED}", *arguments]
    with log.open("a") as stderr, ExitStack() as stack:
        process: Process
        if python or within:
            anew = [*within, python or sys.executable, "-m", *command]
            process = stack.enter_context(started(anew, stdout=subprocess.PIPE, stderr=stderr, cwd=cwd, text=True))
        else:
            process = stack.enter_context(forked(*command, stderr=stderr, cwd=cwd))
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "://" in line, (line, log.read_text())
        yield Program(process, line, log)
