"""A UDP relay between browsers and the media server that loses, delays, reorders and queues what it passes on."""

import heapq
import itertools
import random
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import trio

type Address = tuple[str, int]

_DRAIN = 64
_MAX_DATAGRAM = 2048
_HEADERS = 28
"""Bytes of IPv4 and UDP."""


@dataclass(frozen=True, slots=True)
class Path:
    """The treatment of a datagram in either direction. Times are in seconds.

    Each datagram has its own delay, so datagrams that are closer together than `jitter` may be reordered.
    """

    loss: float = 0.0
    """Probability."""
    delay: float = 0.0
    jitter: float = 0.0
    """Added to the delay, from nothing up to this."""
    rate: float = 0.0
    """Bit/s towards the browsers; 0 is without a bound."""
    queue: float = 0.3
    """Seconds that a datagram may wait for its turn at that rate; with more, it is dropped."""


@dataclass(slots=True)
class Relay:
    """Browsers send to `port` at `host`; each has a socket of its own towards the server, to be told apart."""

    host: str
    port: int
    path: Path
    passed: int = 0
    lost: int = 0
    down: bool = False
    """Begin or end an outage, in which everything is lost."""
    offered: int = 0
    """Bytes, with headers of IPv4 and UDP, that came from the server, lost or not."""
    _random: random.Random = field(default_factory=lambda: random.Random(1))
    _free: float = 0.0
    """The time when the next datagram to the browsers may be sent."""
    _queue: list[tuple[float, int, Callable[[], object]]] = field(default_factory=list)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _news: trio.Event = field(default_factory=trio.Event)

    def redirect(self, answer: str, server_port: int) -> str:
        """The server's answer with the relay's address in its candidates."""
        lines = []
        for line in answer.splitlines():
            words = line.split()
            if line.startswith("a=candidate:") and words[5] == str(server_port):
                words[4:6] = [self.host, str(self.port)]
                line = " ".join(words)
            lines.append(line)
        return "\r\n".join(lines) + "\r\n"

    def _pass_on(self, datagram: bytes, sock: socket.socket, address: Address, *, down: bool = False) -> None:
        now = trio.current_time()
        leaves, rate = now, self.path.rate
        if down:
            self.offered += len(datagram) + _HEADERS
            leaves = max(now, self._free) if rate else now
        if self.down or leaves - now > self.path.queue or self._random.random() < self.path.loss:
            self.lost += 1
            return
        if down and rate:
            leaves = self._free = leaves + 8 * (len(datagram) + _HEADERS) / rate
        self.passed += 1
        due = leaves + self.path.delay + self._random.random() * self.path.jitter
        heapq.heappush(self._queue, (due, next(self._numbers), lambda: sock.sendto(datagram, address)))
        self._news.set()

    async def _deliver(self) -> None:
        while True:
            self._news = trio.Event()
            if not self._queue:
                await self._news.wait()
            with trio.move_on_at(self._queue[0][0]):
                await self._news.wait()
            while self._queue and self._queue[0][0] <= trio.current_time():
                with suppress(OSError):
                    heapq.heappop(self._queue)[2]()

    async def _listen(self, inner: socket.socket, server: Address, nursery: trio.Nursery) -> None:
        sockets: dict[Address, socket.socket] = {}
        try:
            while True:
                for datagram, address in await _received(inner):
                    sock = sockets.get(address)
                    if sock is None:
                        sock = sockets[address] = _open(self.host)
                        nursery.start_soon(self._return, sock, inner, address)
                    self._pass_on(datagram, sock, server)
        finally:
            for sock in sockets.values():
                sock.close()

    async def _return(self, sock: socket.socket, inner: socket.socket, address: Address) -> None:
        while True:
            for datagram, _ in await _received(sock):
                self._pass_on(datagram, inner, address, down=True)


def _open(host: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind((host, 0))
    return sock


async def _received(sock: socket.socket) -> list[tuple[bytes, Address]]:
    """The datagrams that wait in the socket, at least one."""
    found: list[tuple[bytes, Address]] = []
    while not found:
        await trio.lowlevel.wait_readable(sock)
        with suppress(BlockingIOError):
            found.extend(sock.recvfrom(_MAX_DATAGRAM) for _ in range(_DRAIN))
    return found


@asynccontextmanager
async def open_relay(host: str, server_port: int, path: Path) -> AsyncIterator[Relay]:
    """A relay to the media server at a port of `host`.

    Both have that address, because the server tells a browser from where its checks come, and Firefox takes no
    loopback address for its own.
    """
    with _open(host) as inner:
        relay = Relay(host, inner.getsockname()[1], path)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(relay._deliver)
            nursery.start_soon(relay._listen, inner, (host, server_port), nursery)
            yield relay
            nursery.cancel_scope.cancel()
