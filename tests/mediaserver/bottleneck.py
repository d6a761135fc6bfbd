"""A UDP relay that is slow from the media server to a browser: it has a rate, a queue, and outages."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

type Address = tuple[str, int]

_MAX_DATAGRAM = 2048
_HEADERS = 28
"""The bytes of IPv4 and UDP headers, which count for the rate, too."""
_TURN = 0.05
"""The seconds between two checks whether the relay must end."""


class Bottleneck:
    """Browsers send to `port`; what comes back for them shares the rate. It runs in a thread of its own."""

    def __init__(self, host: str, server_port: int, rate: float, queue: float) -> None:
        """`rate` in bit/s, which may be changed at any time; `queue`: seconds of it, what is beyond is dropped."""
        self.rate = rate
        self.queue = queue
        self.offered = 0
        """Bytes that the media server sent."""
        self.dropped = 0
        """Packets."""
        self._host = host
        self._server = (host, server_port)
        self._inner = _open(host)
        self.port: int = self._inner.getsockname()[1]
        self._by_browser: dict[Address, socket.socket] = {}
        self._browsers: dict[socket.socket, Address] = {}
        self._waiting: deque[tuple[float, bytes, Address]] = deque()
        self._free = 0.0
        """The time when the last waiting datagram will have been sent."""
        self._outage = 0.0
        self._over = threading.Event()

    def fail_for(self, seconds: float) -> None:
        """Lose everything that the media server sends for so many seconds."""
        self._outage = time.monotonic() + seconds

    def run(self) -> None:
        while not self._over.is_set():
            now = time.monotonic()
            while self._waiting and self._waiting[0][0] <= now:
                _, datagram, browser = self._waiting.popleft()
                self._inner.sendto(datagram, browser)
            patience = max(0.0, min(_TURN, self._waiting[0][0] - now)) if self._waiting else _TURN
            readable, _, _ = select.select([self._inner, *self._browsers], [], [], patience)
            for sock in readable:
                self._pass_on(sock, time.monotonic())

    def _pass_on(self, sock: socket.socket, now: float) -> None:
        datagram, address = sock.recvfrom(_MAX_DATAGRAM)
        if sock is self._inner:
            if address not in self._by_browser:
                outer = self._by_browser[address] = _open(self._host)
                self._browsers[outer] = address
            self._by_browser[address].sendto(datagram, self._server)
            return
        size = len(datagram) + _HEADERS
        self.offered += size
        if now < self._outage or self._free - now > self.queue:
            self.dropped += 1
            return
        self._free = max(self._free, now) + 8 * size / self.rate
        self._waiting.append((self._free, datagram, self._browsers[sock]))

    def close(self) -> None:
        self._over.set()

    def close_sockets(self) -> None:
        for sock in (self._inner, *self._browsers):
            sock.close()


def _open(host: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind((host, 0))
    return sock


@contextmanager
def open_bottleneck(host: str, server_port: int, rate: float, queue: float = 0.3) -> Iterator[Bottleneck]:
    """A bottleneck in front of the media server at a port of `host`."""
    bottleneck = Bottleneck(host, server_port, rate, queue)
    thread = threading.Thread(target=bottleneck.run)
    thread.start()
    try:
        yield bottleneck
    finally:
        bottleneck.close()
        thread.join()
        bottleneck.close_sockets()
