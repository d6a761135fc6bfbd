"""A UDP relay between browsers and the media server that loses, delays, reorders and queues what it passes on."""

import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial

import trio

from roomfsm.load.path import HEADERS, Path, Way
from roomfsm.load.poor_peer import Deliveries

type Address = tuple[str, int]

_DRAIN = 64
_MAX_DATAGRAM = 2048


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
    _ways: tuple[Way, Way] = field(init=False)
    """To the server, and to the browsers."""
    _deliveries: Deliveries = field(default_factory=Deliveries)

    def __post_init__(self) -> None:
        chance = random.Random(1)
        self._ways = Way(replace(self.path, rate=0.0), chance), Way(self.path, chance)

    def change_rate(self, rate: float) -> None:
        """Towards the browsers, from now on."""
        self.path = replace(self.path, rate=rate)
        self._ways[1].change_rate(rate, trio.current_time())

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
        if down:
            self.offered += len(datagram) + HEADERS
        arrives = None if self.down else self._ways[down].arrival(len(datagram), trio.current_time())
        if arrives is None:
            self.lost += 1
            return
        self.passed += 1
        self._deliveries.put(arrives, partial(_send, sock, datagram, address))

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


def _send(sock: socket.socket, datagram: bytes, address: Address) -> None:
    with suppress(OSError):
        sock.sendto(datagram, address)


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
            nursery.start_soon(relay._deliveries.run)
            nursery.start_soon(relay._listen, inner, (host, server_port), nursery)
            yield relay
            nursery.cancel_scope.cancel()
