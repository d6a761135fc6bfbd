"""The port belongs to a service manager: whoever comes while the server is started again waits, and is served."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.door.test_inherited import PASSES_ON
from tests.processes import LOADED, started

OWN = """
import os, runpy, sys
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
sys.argv = ["roomfsm", *sys.argv[1:]]
runpy.run_module("roomfsm", run_name="__main__", alter_sys=True)
"""
"""As the manager does between fork and exec: the variables name the process that the server will be."""


@contextmanager
def server(folder: Path, door: socket.socket, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server with this socket, and the line that it prints when it runs."""
    command = [sys.executable, "-c", PASSES_ON, str(door.fileno()), "-c", OWN, "serve", "--media-host=127.0.0.1"]
    with (folder / "server.log").open("a") as log:
        options = {"stdout": subprocess.PIPE, "stderr": log, "text": True, "pass_fds": [door.fileno()]}
        with started([*command, *arguments], **options) as process:
            assert process.stdout is not None
            yield process, process.stdout.readline()


def ask(door: socket.socket) -> socket.socket:
    """A connection with a request, whose answer nobody may be there to give."""
    host, port = door.getsockname()[:2]
    connection = socket.create_connection((host if host != "::" else "127.0.0.1", port), timeout=LOADED)
    connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    return connection


def answer(connection: socket.socket) -> bytes:
    with connection:
        whole = b""
        while part := connection.recv(4096):
            whole += part
    return whole


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_who_comes_while_the_server_is_started_again_is_served(tmp_path: Path, end: signal.Signals) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        # It listens there, and not where the settings say.
        arguments = ("--port=1", "--host=192.0.2.1")
        with server(tmp_path, door, *arguments) as (process, line):
            assert f"http://localhost:{door.getsockname()[1]}/" in line, (tmp_path / "server.log").read_text()
            assert answer(ask(door)).startswith(b"HTTP/1.1 200")
            process.send_signal(end)
            process.wait(LOADED)
        waiting = [ask(door) for _ in range(3)]
        with server(tmp_path, door, *arguments) as (process, _):
            assert all(answer(one).startswith(b"HTTP/1.1 200") for one in waiting)
            # Its settings are read again as they are, and those of the port are no news.
            process.send_signal(signal.SIGHUP)
            until = time.monotonic() + LOADED
            while "were read again" not in (tmp_path / "server.log").read_text():
                assert time.monotonic() < until
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            assert process.wait(LOADED) == 0
        log = (tmp_path / "server.log").read_text()
        assert "Traceback" not in log
        assert "change at the next start only" not in log


def test_a_socket_for_both_families_is_a_door_for_both(tmp_path: Path) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this system has no sockets for both families")
    with (
        socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as door,
        server(tmp_path, door),
    ):
        assert answer(ask(door)).startswith(b"HTTP/1.1 200")


def test_a_socket_that_is_no_door_is_an_error_in_words(tmp_path: Path) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as udp, server(tmp_path, udp) as (process, line):
        assert line == ""
        assert process.wait(LOADED) == 2
    said = (tmp_path / "server.log").read_text()
    assert "roomfsm: descriptor 3, which was given to the server, is no listening TCP socket" in said
    assert "Traceback" not in said
