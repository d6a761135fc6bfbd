"""A bus between nodes of one process, which can be held up, and broken."""

from __future__ import annotations

from collections.abc import AsyncIterator

import trio

from roomfsm.nodes.exchange import Broken, Received
from roomfsm.nodes.messages import NodeMessage, decode
from tests.protocol_client import PATIENCE


class MemoryBus:
    """One node's end. `world` has those of all nodes."""

    def __init__(self, me: str, world: dict[str, MemoryBus]) -> None:
        self.me = me
        self._world = world
        self._put, self._events = trio.open_memory_channel[Received | Broken](10_000)
        self.flows = trio.Event()
        """What comes is delivered once this is set."""
        self.flows.set()
        self.hold_after: type[NodeMessage] | None = None
        """Once this node has sent such a message, what comes to it is held up."""
        self._sent = trio.lowlevel.ParkingLot()
        self.sent: list[tuple[str, bytes]] = []
        world[me] = self

    def send(self, to: str, message: bytes) -> None:
        assert to != self.me
        self.sent.append((to, message))
        self._sent.unpark_all()
        if self.hold_after is not None and isinstance(decode(message), self.hold_after):
            self.flows, self.hold_after = trio.Event(), None
        if to in self._world:
            self._world[to]._put.send_nowait(Received(self.me, message))

    def messages_to(self, node: str) -> list[NodeMessage]:
        """What was sent to a node."""
        return [decode(message) for to, message in self.sent if to == node]

    async def until_sent(self, kind: type[NodeMessage]) -> None:
        """Wait until this node has sent such a message."""
        with trio.fail_after(PATIENCE):
            while not any(isinstance(decode(message), kind) for _, message in self.sent):
                await self._sent.park()

    def break_off(self, node: str) -> None:
        """Break the link with another node. Both ends learn that, and lose what is under way."""
        for one, other in ((self, node), (self._world[node], self.me)):
            kept = []
            while one._events.statistics().current_buffer_used:
                event = one._events.receive_nowait()
                if not (isinstance(event, Received) and event.sender == other):
                    kept.append(event)
            for event in kept:
                one._put.send_nowait(event)
            one._put.send_nowait(Broken(other))

    async def __aiter__(self) -> AsyncIterator[Received | Broken]:
        while True:
            event = await self._events.receive()
            await self.flows.wait()
            yield event
