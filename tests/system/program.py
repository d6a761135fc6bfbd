"""The program itself, as a subprocess on a free port: started, found by what it prints, ended."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Program:
    """A running `roomfsm serve`; what it logs goes to `log`."""

    def __init__(self, process: subprocess.Popen[str], address: str, log: Path) -> None:
        self.process = process
        self.address = address
        self.log = log
        self.url = address.replace("http", "ws", 1) + "ws"
        self.port = int(address.rstrip("/").rpartition(":")[2])

    def end(self, number: signal.Signals = signal.SIGTERM, timeout: float = 10.0) -> int:
        """Signal it, and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout)


@contextmanager
def running(folder: Path, *arguments: str, program: tuple[str, ...] = ("roomfsm", "serve")) -> Iterator[Program]:
    """Run `roomfsm serve`, or another program that takes its options, until the block ends."""
    log = folder / "server.log"
    with log.open("a") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", *program, "--port=0", "--media-host=127.0.0.1", *arguments],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    with process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"https?://\S+", line)
            assert found, (line, log.read_text())
            yield Program(process, found[0], log)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(10)
