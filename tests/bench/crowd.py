"""A crowd of websockets that cost their own process little, and what it hears.

They are plain sockets behind one selector. They mask with a key of zeros, so that nothing has to be computed,
split what comes into frames, and look no further. They answer no pings: the server's heartbeat must be longer than
the run.
"""

from __future__ import annotations

import itertools
import json
import selectors
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from roomfsm.protocol import SUBPROTOCOL

PATIENCE = 30.0
"""Seconds after which a benchmark gives up."""

WELCOME = b'{"type":"welcome"'
JOINED = b'{"type":"joined"'
"""How these messages begin."""

_CHUNK = 65_536
_LENGTH_16 = 126
_LENGTH_64 = 127
_UPGRADE = (
    "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    f"Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
)


class Seat:
    """One socket of the crowd."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self._buffer = bytearray()

    def upgrade(self) -> None:
        """Ask for the websocket."""
        self.send(_UPGRADE.format(port=self.socket.getpeername()[1]).encode())

    def send(self, data: bytes) -> None:
        assert self.socket.send(data) == len(data)

    def receive(self) -> list[bytes]:
        """The payloads of the frames, or the HTTP head, that are complete now."""
        data = self.socket.recv(_CHUNK)
        if not data:
            raise ConnectionError("the server closed the connection")
        self._buffer += data
        complete: list[bytes] = []
        while bounds := _payload(self._buffer):
            start, end = bounds
            complete.append(bytes(self._buffer[start:end]))
            del self._buffer[:end]
        return complete


class Crowd:
    """Many connections to one port."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._selector = selectors.DefaultSelector()
        self.seats: list[Seat] = []
        self._turn = itertools.count()

    def connect(self, count: int) -> list[Seat]:
        """Open more TCP connections."""
        newcomers = [Seat(self._port) for _ in range(count)]
        for seat in newcomers:
            self._selector.register(seat.socket, selectors.EVENT_READ, seat)
        self.seats += newcomers
        return newcomers

    def listen(self, seconds: float, on_message: Callable[[Seat, bytes], bool]) -> bool:
        """Pass on what comes until `on_message` says that it is enough; False if that took too long."""
        deadline = time.perf_counter() + seconds
        while (left := deadline - time.perf_counter()) > 0:
            for key, _ in self._selector.select(left):
                for message in key.data.receive():
                    if on_message(key.data, message):
                        return True
        return False

    def expect(self, seats: list[Seat], beginning: bytes) -> None:
        """Wait until each of the seats got a message that begins so."""
        missing = set(seats)

        def on_message(seat: Seat, message: bytes) -> bool:
            if message.startswith(beginning):
                missing.discard(seat)
            return not missing

        assert self.listen(PATIENCE, on_message), f"{len(missing)} of {len(seats)} never got {beginning!r}"

    def connect_websockets(self, count: int) -> list[Seat]:
        """Open more connections, as far as the server's welcome."""
        newcomers = self.connect(count)
        for seat in newcomers:
            seat.upgrade()
        self.expect(newcomers, WELCOME)
        return newcomers

    def join(self, seats: list[Seat], rooms: int = 1, brings: Callable[[], dict[str, str]] = dict) -> None:
        """Bring the seats into so many rooms, in turn. `brings` gives what else each `join` has."""
        for seat in seats:
            seat.send(client_frame("join", room=f"room{next(self._turn) % rooms}", name="Ada", **brings()))
        self.expect(seats, JOINED)

    def settle(self) -> None:
        """Take what is still on its way, until nothing came for a while."""
        while self.listen(0.3, lambda _seat, _message: True):
            pass

    def close(self) -> None:
        for seat in self.seats:
            seat.socket.close()
        self._selector.close()


@contextmanager
def crowd_at(port: int) -> Iterator[Crowd]:
    """A crowd without a seat yet; leaving closes every connection."""
    crowd = Crowd(port)
    try:
        yield crowd
    finally:
        crowd.close()


def client_frame(type: str, **fields: Any) -> bytes:  # noqa: A002 (the protocol's word)
    """One message of a client, as a masked frame (RFC 6455 section 5.2)."""
    payload = json.dumps({"type": type, **fields}).encode()
    length = len(payload)
    assert length < 1 << 16
    header = (
        struct.pack("!BB", 0x81, 0x80 | length)
        if length < _LENGTH_16
        else struct.pack("!BBH", 0x81, 0x80 | _LENGTH_16, length)
    )
    return header + bytes(4) + payload


def _payload(buffer: bytearray) -> tuple[int, int] | None:
    """Where the first complete frame's payload, or an HTTP head, begins and ends."""
    if len(buffer) < 2:
        return None
    if buffer[0] == ord("H"):
        end = buffer.find(b"\r\n\r\n") + 4
        return (0, end) if end > 3 else None
    start, length = 2, buffer[1]
    if length == _LENGTH_16 and len(buffer) >= 4:
        start, length = 4, int.from_bytes(buffer[2:4])
    elif length == _LENGTH_64 and len(buffer) >= 10:
        start, length = 10, int.from_bytes(buffer[2:10])
    elif length >= _LENGTH_16:
        return None
    return (start, start + length) if len(buffer) >= start + length else None
