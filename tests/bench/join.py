"""What a connection costs: TCP, websocket handshake, welcome, join; CPU of each, and memory of each who is in.

`uv run python -m tests.bench.join [--people 1000] [--rooms 20]`. `roomfsm serve` runs in a process of its own, the
clients are plain sockets in this one. All in one room is noted apart: there every join is news to all who are in.
So are people who each bring a token, into so many rooms, and those who come to a node, which keeps all in Redis.
The reference is measured in this same run: accept from Python, and answer twice with about as many bytes.
"""

from __future__ import annotations

import argparse
import os
import secrets
import selectors
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from roomfsm.access.keys import read_keys
from roomfsm.access.tokens import sign
from roomfsm.signaling.frames import text_frame
from tests.access.keys import SECRET
from tests.bench.crowd import JOINED, WELCOME, crowd_at
from tests.bench.processes import Measured, bare_server, pin, room_server
from tests.redis_server import redis_server

_BATCH = 20
"""Connections opened, and people joining, at a time."""

_WELCOME_BYTES = 500
_JOINED_BYTES = 2000
"""What the reference answers with: head and welcome, and the snapshot of a room of 25."""


@dataclass(frozen=True, slots=True)
class Result:
    connection: float
    """ms of the server's CPU a connection, as far as the welcome."""
    join: float
    """ms from there until it is in and the others have heard of it."""
    connected: float
    """KiB a connection."""
    joined: float
    """KiB a connection that is in a room."""


def measure(
    serving: AbstractContextManager[Measured],
    people: int,
    rooms: int,
    brings: Callable[[], dict[str, str]] = dict,
) -> Result:
    """Connect them all, then bring them all in. `brings` gives what else each `join` has."""
    with serving as server:
        # What is imported, opened or allocated once is no part of what each costs.
        with crowd_at(server.port) as crowd:
            crowd.join(crowd.connect_websockets(_BATCH), rooms, brings)
        with crowd_at(server.port) as crowd:
            crowd.settle()
            memory, cpu = [server.resident()], [server.cpu()]
            for _ in range(0, people, _BATCH):
                crowd.connect_websockets(_BATCH)
            memory.append(server.resident())
            cpu.append(server.cpu())
            for first in range(0, people, _BATCH):
                crowd.join(crowd.seats[first : first + _BATCH], rooms, brings)
            crowd.settle()
            memory.append(server.resident())
            cpu.append(server.cpu())
    return Result(
        (cpu[1] - cpu[0]) / people * 1e3,
        (cpu[2] - cpu[1]) / people * 1e3,
        (memory[1] - memory[0]) / people,
        (memory[2] - memory[0]) / people,
    )


def _token() -> dict[str, str]:
    """A token of its own for each person, which the server verifies each time (HS256)."""
    (key,) = read_keys(SECRET)
    return {"token": sign(key, {"room": "*", "sub": secrets.token_hex(8), "exp": time.time() + 3600})}


@contextmanager
def _node() -> Iterator[Measured]:
    """One node, with a Redis that writes to the disk."""
    os.environ.pop("ROOMFSM_DATA", None)
    with (
        tempfile.TemporaryDirectory() as folder,
        redis_server(Path(folder), "--appendonly", "yes") as url,
        room_server("--node=one", "--inspect=false", store=f"--store={url}") as server,
    ):
        yield server


def _answer(listener: socket.socket, people: int) -> None:
    """Answer each connection's first bytes as if with the welcome, its second as if with the snapshot."""
    answers = (text_frame(JOINED.ljust(_JOINED_BYTES)), text_frame(WELCOME.ljust(_WELCOME_BYTES)))
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        while people:
            for key, _ in selector.select():
                if key.data is None:
                    peer = listener.accept()[0]
                    selector.register(peer, selectors.EVENT_READ, (peer, list(answers)))
                    continue
                peer, left = key.data
                if peer.recv(4096):
                    peer.send(left.pop())
                else:
                    selector.unregister(peer)
                    peer.close()
                    people -= 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--rooms", type=int, default=20)
    arguments = parser.parse_args()
    people, rooms = arguments.people, arguments.rooms
    pin(1)
    # Three times as many, because the system counts CPU in steps of 10 ms.
    bare = measure(bare_server(_answer, 3 * people + _BATCH), 3 * people, 1)
    reference = bare.connection + bare.join
    print(f"reference: accept and two answers {reference:.3f} ms a connection")
    print(f"{people} in   ms connect   join    sum  x reference  KiB connected  KiB joined")
    for name, result in (
        (f"{rooms} rooms", measure(room_server(), people, rooms)),
        ("one room", measure(room_server(), people, 1)),
        ("token", measure(room_server(f"--token-key={SECRET}"), people, rooms, _token)),
        ("a node", measure(_node(), people, rooms)),
    ):
        total = result.connection + result.join
        print(
            f"{name:9} {result.connection:10.3f} {result.join:6.3f} {total:6.3f} {total / reference:12.1f}"
            f" {result.connected:14.1f} {result.joined:11.1f}"
        )


if __name__ == "__main__":
    main()
