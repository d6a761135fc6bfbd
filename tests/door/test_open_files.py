"""Given few open files, further connections get an answer, the log says it once, and nothing spins."""

from __future__ import annotations

import resource
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

import psutil
import pytest

from roomfsm.open_files import allow_open_files, connections_possible
from tests.door.talk import UPGRADE
from tests.processes import LOADED
from tests.system.program import Program, running

ALIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
FILES = 300
HELD = 400
"""The number of connections, which is more than there are files."""

# The limits are the process's own, so they are set in one that becomes the program's.
LIMITED = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
sys.argv = ["roomfsm", *sys.argv[1:]]
runpy.run_module("roomfsm", run_name="__main__")
"""


@pytest.fixture
def limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Program]:
    """The program with few files, and a soft limit that is even lower."""
    (tmp_path / "limited.py").write_text(LIMITED.format(soft=64, hard=FILES))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{':'.join(sys.path)}")
    # Started anew, because only Python itself looks at PYTHONPATH.
    # The websockets answer no ping, and stay all the while on a busy machine, too.
    with running(
        tmp_path, "--heartbeat=600", program=("limited", "serve"), python=Path(sys.executable)
    ) as program:
        yield program
        assert program.end() == 0


def ask(connection: socket.socket) -> bytes:
    """The status line of the answer; empty if the connection was closed without an answer."""
    try:
        connection.sendall(ALIVE)
        return connection.recv(65536).partition(b"\r\n")[0]
    except (BrokenPipeError, ConnectionResetError):
        return b""


def test_connections_beyond_the_limit_of_open_files_are_handled(limited: Program) -> None:
    with ExitStack() as stack:
        # None of them gives way: each is a websocket.
        connections = []
        for _ in range(HELD):
            connection = socket.create_connection(("127.0.0.1", limited.port), timeout=60)
            connections.append(stack.enter_context(connection))
            connection.sendall(UPGRADE)
        with socket.create_connection(("127.0.0.1", limited.port), timeout=60) as late:
            assert ask(late) in (b"HTTP/1.1 503 Service Unavailable", b"")
        process = psutil.Process(limited.process.pid)
        assert process.num_fds() < FILES
        busy = sum(process.cpu_times()[:2])
        late_statuses = []
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", limited.port), timeout=60) as late:
                late_statuses.append(ask(late))
        assert b"HTTP/1.1 503 Service Unavailable" in late_statuses
        assert sum(process.cpu_times()[:2]) - busy < 2
    # They are gone, and there is room again; how soon is the server's to find out.
    end = monotonic() + LOADED
    while True:
        with socket.create_connection(("127.0.0.1", limited.port), timeout=LOADED) as again:
            if ask(again) == b"HTTP/1.1 200 OK":
                break
        assert monotonic() < end, "nobody gets in again"
    log = limited.log.read_text()
    assert "Traceback" not in log
    assert "fewer connections than sessions" in log
    assert 1 <= log.count("connections turned away") <= 3


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    try:
        assert connections_possible() < min(soft, 256)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(soft, 256), hard)
        allow_open_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
        assert hard // 2 <= connections_possible() < hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
