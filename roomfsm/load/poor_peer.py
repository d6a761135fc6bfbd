"""A WebRTC peer whose datagrams go over a poor path, in this process."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import trio

from roomfsm.load.path import Path, Way
from roomfsm.peer import PayloadType, Peer, run_peer


class Deliveries:
    """Does what is due, each at its time."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self._news = trio.Event()

    def put(self, at: float, deliver: Callable[[], object]) -> None:
        """Call `deliver` at that time of Trio's clock."""
        heapq.heappush(self._due, (at, next(self._numbers), deliver))
        self._news.set()

    async def run(self) -> None:
        """Deliver, until cancelled."""
        while True:
            self._news = trio.Event()
            with trio.move_on_at(self._due[0][0] if self._due else math.inf):
                await self._news.wait()
            while self._due and self._due[0][0] <= trio.current_time():
                heapq.heappop(self._due)[2]()


class _PeerOnPath(Peer):
    """A peer whose datagrams go over a path in both directions."""

    def __init__(self, direction: str, video: Sequence[PayloadType], path: Path, chance: random.Random) -> None:
        super().__init__(direction, video=video)
        now = trio.current_time()
        self._there, self._back = Way(path, chance, now), Way(path, chance, now)
        self.deliveries = Deliveries()

    def send(self, datagram: bytes, address: tuple[str, int] | None = None) -> None:
        self._carry(self._there, len(datagram), partial(super().send, datagram, address))

    def received(self, datagram: bytes, source: tuple[str, int]) -> None:
        self._carry(self._back, len(datagram), partial(super().received, datagram, source))

    def _carry(self, way: Way, size: int, deliver: Callable[[], object]) -> None:
        at = way.arrival(size, trio.current_time())
        if at is not None:
            self.deliveries.put(at, deliver)


@asynccontextmanager
async def open_peer_on(path: Path | None, direction: str, video: Sequence[PayloadType]) -> AsyncIterator[Peer]:
    """A peer on this path, or with nothing between it and its network."""
    if path is None:
        async with run_peer(Peer(direction, video=video)) as peer:
            yield peer
        return
    async with (
        run_peer(_PeerOnPath(direction, video, path, random.Random())) as poor,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(poor.deliveries.run)
        yield poor
        nursery.cancel_scope.cancel()
