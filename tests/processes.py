"""Processes that tests start: whatever happens, none is left, and none that does not end holds up the test."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Protocol

LOADED = 60.0
"""Seconds that a process may take on a busy machine for what takes an instant on an idle one."""


class Process(Protocol):
    """The part of `subprocess.Popen` that tests use."""

    stdin: IO[Any] | None
    stdout: IO[Any] | None
    stderr: IO[Any] | None
    pid: int

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int, /) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


@contextmanager
def started(command: list[Any], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """Run a program, as `subprocess.Popen` does, until the block ends; then it is asked to end.

    A program that does not end in time is killed, and fails the test. `Popen` by itself would wait for ever.
    """
    with ended(subprocess.Popen(command, **options)) as process:
        yield process


@contextmanager
def ended[P: Process](process: P) -> Iterator[P]:
    """When the block ends, the process is asked to end; if it does not, it is killed, and the test fails."""
    try:
        yield process
    finally:
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(LOADED)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(LOADED)
            raise


def until_listening(port: int, process: subprocess.Popen[Any], log: Path) -> None:
    """Wait until the program takes connections at the port; an end of it fails the test with its log."""
    while True:
        assert process.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return


@contextmanager
def media_server_program(port: int = 0) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """`roomfsm mediaserver` as a program of its own: its address, and the process."""
    command = [sys.executable, "-m", "roomfsm.mediaserver", "--exit-with-parent", "--media-host=127.0.0.1"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with started([*command, f"--port={port}"], **pipes) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"], process
