"""The viewers of `tests.bench.relay`, in several processes: one cannot take the part of 900 browsers.

In a room of 900 people each of them hears of all others, which is most of what a viewer reads there. So a viewer's
websocket costs little: after the answer to `view`, what comes is thrown away.
"""

from __future__ import annotations

import ctypes
import json
import math
import time
from collections import defaultdict
from collections.abc import Iterator, MutableMapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import trio

from tests.bench.crowd import WELCOME, Seat, client_frame
from tests.bench.media_clients import Audience, PacketId, open_audience
from tests.bench.processes import allow_sockets
from tests.mediaserver.peer import VP8_KEYFRAME, open_test_peer

ROOM = "stadium"
PATIENCE = 30.0
AGAIN = 1.0
_ROUND = 0.2
_SEATS_A_TURN = 16
_CHUNK = 1 << 18

type Times = ctypes.Array[ctypes.c_longlong]
"""When each packet was sent, in ns, by its sequence number, for all processes; 0 if it was not."""

NUMBERS = 1 << 16


class Sent(MutableMapping[PacketId, int]):
    """`Times` of the packets of one payload type."""

    def __init__(self, times: Times, payload_type: int) -> None:
        self._times = times
        self._type = payload_type

    def __getitem__(self, packet: PacketId) -> int:
        if packet[0] != self._type or not (at := self._times[packet[1]]):
            raise KeyError(packet)
        return at

    def __setitem__(self, packet: PacketId, at: int) -> None:
        self._times[packet[1]] = at

    def __delitem__(self, packet: PacketId) -> None:
        self._times[packet[1]] = 0

    def __iter__(self) -> Iterator[PacketId]:
        return ((self._type, number) for number, at in enumerate(self._times) if at)

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass(frozen=True, slots=True)
class Plan:
    """The viewers of one process: those with these numbers. The first of all comes at `begin` (monotonic)."""

    port: int
    stream: str
    numbers: range
    begin: float
    join_rate: float
    servers: int


@dataclass(slots=True)
class Found:
    """What the viewers of one media server have seen."""

    waited: list[float] = field(default_factory=list)
    """Seconds from `view` to the first packet of a keyframe; infinite if none came in time."""
    answered: list[float] = field(default_factory=list)
    """Seconds from `view` to its answer."""
    latencies: list[float] = field(default_factory=list)
    """How long each packet took to each viewer, in ms."""


def watch(plan: Plan, times: Times, parent: Connection) -> None:
    """One process of viewers. It says when all have come, gets the newest packets that were sent, says when it is
    ready for the measured ones, and when these are over, what was found. Then all leave.
    """
    allow_sockets()
    trio.run(_Viewers(plan, times, parent).run)


class _Viewers:
    def __init__(self, plan: Plan, times: Times, parent: Connection) -> None:
        self._plan = plan
        self._times = times
        self._parent = parent
        self._waited: dict[int, list[float]] = defaultdict(list)
        """By the UDP ports of the media servers."""
        self._answered: dict[int, list[float]] = defaultdict(list)
        self._audiences: dict[int, Audience] = {}
        self._unused: list[Audience] = []
        self._settled: list[Seat] = []
        """The websockets of those who have their answers."""
        self._leave = trio.Event()

    async def run(self) -> None:
        async with AsyncExitStack() as stack:
            for _ in range(self._plan.servers):
                self._unused.append(await stack.enter_async_context(open_audience()))
            nursery = await stack.enter_async_context(trio.open_nursery())
            nursery.start_soon(self._throw_away)
            await self._watch()
            nursery.cancel_scope.cancel()

    async def _watch(self) -> None:
        async with trio.open_nursery() as viewers:
            async with trio.open_nursery() as coming:
                for number in self._plan.numbers:
                    coming.start_soon(self._come, viewers, number)
            last: PacketId = await self._parent_says(None)
            for audience in self._audiences.values():
                await audience.align([last])
                audience.sent_at = Sent(self._times, last[0])
            await self._parent_says(None)
            for audience in self._audiences.values():
                audience.stop()
            await self._parent_says(
                {
                    port: Found(self._waited[port], self._answered[port], one.latencies)
                    for port, one in self._audiences.items()
                }
            )
            self._leave.set()

    async def _parent_says(self, what: object) -> Any:
        """Tell the parent something, and return what it says then."""
        self._parent.send(what)
        return await trio.to_thread.run_sync(self._parent.recv)

    async def _come(self, viewers: trio.Nursery, number: int) -> None:
        at = self._plan.begin + number / self._plan.join_rate
        await trio.sleep(max(0.0, at - time.monotonic()))
        await viewers.start(partial(self._view, number))

    async def _view(self, number: int, *, task_status: trio.TaskStatus[None]) -> None:
        """Enter the room and view the stream, until all leave."""
        seat = Seat(self._plan.port)
        with seat.socket:
            seat.upgrade()
            await _expect(seat, WELCOME)
            async with open_test_peer("recvonly") as peer:
                await _ask(seat, "join", room=ROOM, name=f"Viewer {number}")
                began = trio.current_time()
                answer = await _ask(seat, "view", stream=self._plan.stream, sdp=peer.offer)
                while answer["type"] == "error" and trio.current_time() < began + PATIENCE:
                    # As a page does.
                    await trio.sleep(AGAIN)
                    answer = await _ask(seat, "view", stream=self._plan.stream, sdp=peer.offer)
                answered = trio.current_time() - began
                self._settled.append(seat)
                await peer.accept(answer["sdp"])
                with trio.move_on_after(PATIENCE) as late:
                    while not (await peer.receive_rtp()).payload.startswith(VP8_KEYFRAME):
                        pass
                port = peer.require_answer().address[1]
                waited = math.inf if late.cancelled_caught else trio.current_time() - began
                self._waited[port].append(waited)
                self._answered[port].append(answered)
                if port not in self._audiences:
                    self._audiences[port] = self._unused.pop()
                self._audiences[port].add(peer)
                task_status.started()
                await self._leave.wait()
            self._settled.remove(seat)

    async def _throw_away(self) -> None:
        while True:
            await trio.sleep(_ROUND)
            for index, seat in enumerate(self._settled.copy()):
                try:
                    while len(seat.socket.recv(_CHUNK)) == _CHUNK:
                        pass
                except OSError:  # Nothing has come, or it is closed.
                    pass
                if index % _SEATS_A_TURN == 0:
                    await trio.lowlevel.checkpoint()


async def _ask(seat: Seat, type_: str, **fields: Any) -> dict[str, Any]:
    """Send a message, and return what answers it."""
    seat.send(client_frame(type_, ref=1, **fields))
    reply: dict[str, Any] = json.loads(await _expect(seat, b'"ref":1'))
    return reply


async def _expect(seat: Seat, part: bytes) -> bytes:
    """The next message that contains this."""
    with trio.fail_after(PATIENCE):
        while True:
            await trio.lowlevel.wait_readable(seat.socket)
            for message in seat.receive():
                if part in message:
                    return message
