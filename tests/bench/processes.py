"""What the benchmarks share: a measured server in a process and on a core of its own."""

from __future__ import annotations

import multiprocessing
import os
import resource
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.system.program import running


def pin(core: int, pid: int = 0) -> None:
    """Keep a process (this one by default) on one core, where the system can and there are two."""
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(pid, {core})


def allow_sockets() -> None:
    """Let this process, and those it starts, have as many open as the system lets it ask for."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Measured:
    """A server's process, pinned to the first core, and the port that it listens on."""

    def __init__(self, pid: int, port: int) -> None:
        self.port = port
        self._process = psutil.Process(pid)
        pin(0, pid)

    def cpu(self) -> float:
        """Seconds used so far, user and system."""
        times = self._process.cpu_times()
        return times.user + times.system

    def resident(self) -> float:
        """KiB."""
        return self._process.memory_info().rss / 1024


@contextmanager
def room_server(*arguments: str, store: str = "--data=none") -> Iterator[Measured]:
    """`roomfsm serve`, with further arguments, without a media server, which nothing here needs."""
    allow_sockets()
    with (
        tempfile.TemporaryDirectory() as folder,
        running(
            Path(folder),
            "--kurento=ws://127.0.0.1:9/kurento",
            "--max-people=2000",
            "--heartbeat=3600",
            store,
            *arguments,
        ) as program,
    ):
        yield Measured(program.process.pid, program.port)


@contextmanager
def bare_server(serve: Callable[..., None], *arguments: Any) -> Iterator[Measured]:
    """A process that runs `serve(listener, *arguments)`: the reference. It must end when its clients are gone."""
    allow_sockets()
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        process = multiprocessing.get_context("spawn").Process(
            target=serve, args=(listener, *arguments), daemon=True
        )
        process.start()
        try:
            yield Measured(process.pid or 0, listener.getsockname()[1])
        finally:
            process.join(30)
