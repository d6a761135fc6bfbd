"""Given sockets of a service manager, the door listens on them, and on nothing else."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import closing

import pytest

from roomfsm.door.inherited import inherited_sockets
from tests.processes import LOADED

LOOK = """
import os, socket, sys
from roomfsm.door.inherited import addresses_of, inherited_sockets
from roomfsm.door.listeners import ListenError
os.environ["LISTEN_PID"] = str(os.getpid() + int(sys.argv[1]))
try:
    sockets = inherited_sockets(os.environ)
except ListenError as error:
    print(error)
else:
    print(addresses_of(sockets) if sockets else None, sorted(n for n in os.environ if n.startswith("LISTEN")))
    print([one.get_inheritable() for one in sockets])
"""
PASSES_ON = """
import fcntl, os, sys
numbers = [int(number) for number in sys.argv[1].split(",") if number]
copies = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 100) for number in numbers]
for place, copy in enumerate(copies, 3):
    os.dup2(copy, place)
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""
"""Gives its program these descriptors as the first ones after the standard ones, as systemd does."""


def look(*given: socket.socket, count: str | None = None, off: int = 0) -> str:
    """What a program sees of these sockets."""
    numbers = ",".join(str(one.fileno()) for one in given)
    return subprocess.run(
        [sys.executable, "-c", PASSES_ON, numbers, "-c", LOOK, str(off)],
        capture_output=True,
        text=True,
        check=True,
        timeout=LOADED,
        pass_fds=[one.fileno() for one in given],
        env={**os.environ, "LISTEN_FDS": str(len(given)) if count is None else count, "LISTEN_FDNAMES": "a:b"},
    ).stdout


def listening(family: socket.AddressFamily = socket.AF_INET, port: int = 0) -> socket.socket:
    address = "127.0.0.1" if family == socket.AF_INET else "::1"
    return socket.create_server((address, port), family=family)


def test_sockets_are_taken_and_belong_to_no_child() -> None:
    with listening() as four, listening(socket.AF_INET6, four.getsockname()[1]) as six:
        port = four.getsockname()[1]
        assert look(four, six) == f"(('127.0.0.1', '::1'), {port}) []\n[False, False]\n"


def test_sockets_for_another_process_are_left_alone() -> None:
    with listening() as four:
        assert look(four, off=1) == "None []\n[]\n"
    assert inherited_sockets({"LISTEN_FDS": "1"}) == []
    assert inherited_sockets({}) == []


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("udp", "descriptor 3, which was given to the server, is no listening TCP socket"),
        ("unix", "descriptor 3, which was given to the server, is no listening TCP socket"),
        ("not listening", "descriptor 3, which was given to the server, is no listening TCP socket"),
        ("other ports", "the sockets that were given to the server have different ports"),
    ],
)
def test_sockets_that_are_no_door_are_refused(wrong: str, why: str) -> None:
    with socket.socket() as one, listening() as other:
        if wrong == "udp":
            with socket.socket(type=socket.SOCK_DGRAM) as udp:
                assert why in look(udp)
        elif wrong == "unix":
            left, right = socket.socketpair()
            with closing(left), closing(right):
                assert why in look(left)
        elif wrong == "not listening":
            one.bind(("127.0.0.1", 0))
            assert why in look(one)
        else:
            one.bind(("127.0.0.1", 0))
            one.listen()
            assert why in look(one, other)


@pytest.mark.parametrize("count", ["x", "-1", "65", "1.5", ""])
def test_a_wrong_number_of_sockets_is_refused(count: str) -> None:
    assert look(count=count).startswith("LISTEN_FDS is not a number of sockets")


def test_a_descriptor_that_is_not_there_is_refused() -> None:
    assert "is no socket" in look(count="64")
