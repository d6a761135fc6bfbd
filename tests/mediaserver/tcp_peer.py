"""A test peer whose network lets no UDP through: it comes to the media server by one TCP connection (RFC 6544)."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import trio

from roomfsm.mediaserver.engine.engine import Engine, Peer
from roomfsm.mediaserver.workers.workers import Workers
from roomfsm.peer import OPUS_TYPE, SRTP_PROFILES, VP8_TYPE, run_peer
from tests.mediaserver.observer import RecordingObserver
from tests.mediaserver.peer import TestPeer
from tests.mediaserver.stage import Joined

_READ = 65_536


def framed(packet: bytes) -> bytes:
    """A packet as RFC 4571 has it."""
    return struct.pack("!H", len(packet)) + packet


def tcp_addresses(description: str) -> list[tuple[str, int]]:
    """The addresses of the passive TCP candidates in an answer, each once."""
    lines = [line.split() for line in description.splitlines() if line.startswith("a=candidate:")]
    found = [(line[4], int(line[5])) for line in lines if line[2] == "TCP" and line[-2:] == ["tcptype", "passive"]]
    return list(dict.fromkeys(found))


class TcpPeer(TestPeer):
    """Made by :func:`join_over_tcp`. It does not read its UDP socket."""

    def __init__(self, direction: str, ip_version: int = 4) -> None:
        super().__init__(direction, (OPUS_TYPE,), (VP8_TYPE,), tuple(SRTP_PROFILES), True, None, ip_version)
        self.server: tuple[str, int] = ("", 0)
        """Where it connects to. A test may put a relay there."""
        self.over_udp = False
        """Whether it sends by its UDP socket, whose answers it does not read."""
        self.reads = trio.Event()
        """Cleared by a test to read nothing more."""
        self.reads.set()
        self.ended = trio.Event()
        """Set when the server has ended the connection."""
        self._stream: socket.socket | None = None
        self._rest = self._unsent = b""
        self._came = trio.Event()

    def take_answer(self, answer: str) -> None:
        super().take_answer(answer)
        if not self.server[0]:
            (self.server,) = tcp_addresses(answer)
        self.open_stream()

    def open_stream(self, buffer: int | None = None) -> None:
        """Connect, in place of the connection before, and come by that from now on."""
        self.close_stream()
        self._rest = self._unsent = b""
        family = socket.AF_INET6 if ":" in self.server[0] else socket.AF_INET
        self._stream = socket.socket(family, socket.SOCK_STREAM)
        if buffer is not None:
            self._stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self._stream.connect(self.server)  # On this machine it takes no time.
        self._stream.setblocking(False)
        self.ended = trio.Event()
        self._came.set()

    def close_stream(self) -> None:
        if self._stream is not None and self._stream.fileno() >= 0:
            trio.lowlevel.notify_closing(self._stream)
            self._stream.close()

    @property
    def stream(self) -> socket.socket:
        assert self._stream is not None
        return self._stream

    def send(self, datagram: bytes, address: tuple[str, int] | None = None) -> None:
        if self.over_udp:
            super().send(datagram, self.require_answer().addresses[0])
            return
        if self.lose(datagram) or self._stream is None:
            return
        with suppress(OSError):
            data = self._unsent + framed(datagram)
            self._unsent = data
            self._unsent = data[self._stream.send(data) :]

    async def run(self) -> None:
        with self._cancel_reading:
            await self._came.wait()
            while True:
                stream = self.stream
                with suppress(trio.ClosedResourceError, OSError, ValueError):  # It is closed.
                    await self._read(stream)
                self._came = trio.Event()
                if stream is self._stream:
                    self.ended.set()
                    await self._came.wait()

    async def _read(self, stream: socket.socket) -> None:
        while stream is self._stream:
            await self.reads.wait()
            await trio.lowlevel.wait_readable(stream)
            data = stream.recv(_READ)
            if not data:
                return
            for packet in self.unframed(data):
                self.received(packet, self.server)

    def unframed(self, data: bytes) -> list[bytes]:
        """The packets that are complete with these bytes."""
        data, found, begin = self._rest + data, list[bytes](), 0
        while len(data) >= (start := begin + 2) and len(data) >= (
            end := start + int.from_bytes(data[begin:start])
        ):
            found.append(data[start:end])
            begin = end
        self._rest = data[begin:]
        return found


def tcp_client(joined: Joined) -> TcpPeer:
    """The client of what :func:`join_over_tcp` gave."""
    assert isinstance(joined.client, TcpPeer)
    return joined.client


@asynccontextmanager
async def join_over_tcp(
    engine: Engine | Workers,
    direction: str,
    source: Peer | None = None,
    *,
    server: tuple[str, int] | None = None,
    ip_version: int = 4,
) -> AsyncIterator[Joined]:
    """Like :func:`~tests.mediaserver.stage.join`, but over TCP, and to `server` if that is not the engine."""
    observer = RecordingObserver()
    peer = engine.open_peer(observer)
    if source is not None:
        source.connect(peer)
    client = TcpPeer(direction, ip_version)
    client.server = server or client.server
    async with run_peer(client, "::1" if ip_version == 6 else "127.0.0.1"):
        await client.accept(peer.process_offer(client.offer))
        await observer.wait_for("media", True)
        yield Joined(client, peer, observer)
        assert client.refused == 0, "the server sent what SRTP refuses"
        client.close_stream()
