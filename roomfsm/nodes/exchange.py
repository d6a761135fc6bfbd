"""Typed messages between nodes. A message to the node itself takes the same way, without the bus.

A room tells a hundred browsers at another node the same thing. `tell` gathers the browsers of one message, so that
it is one message for that node, however many people hear it. What is gathered leaves at the end of the turn, or
before anything else that is sent to the same node: the order is kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec
import trio

from roomfsm.log import get_logger
from roomfsm.nodes.counts import NodeCounts
from roomfsm.nodes.messages import NodeMessage, Told, decode, encode
from roomfsm.protocol.codec import Outgoing

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Received:
    """A message from the node `sender`."""

    sender: str
    message: bytes


@dataclass(frozen=True, slots=True)
class Broken:
    """Whatever was under way between this node and `node` may be lost. What is sent from now on arrives again."""

    node: str


class Bus(Protocol):
    """What carries messages between nodes, in order."""

    @property
    def me(self) -> str:
        """This node's id."""

    def send(self, to: str, message: bytes) -> None:
        """Send a message to another node."""

    def __aiter__(self) -> AsyncIterator[Received | Broken]: ...


class Handler(Protocol):
    """What acts on messages of other nodes, and passes over those that are for others. Nothing here waits."""

    def handle(self, sender: str, message: NodeMessage) -> None:
        """Act on a message of a node."""

    def lose(self, node: str) -> None:
        """Act on the loss of whatever was under way from and to a node."""


class Exchange:
    """Sends and receives typed messages over a bus."""

    def __init__(self, bus: Bus, counts: NodeCounts | None = None) -> None:
        """`counts` are what those who use it add to."""
        self._bus = bus
        self.counts = counts or NodeCounts()
        self.me = bus.me
        self._to_itself: deque[bytes] = deque()
        self._gathered: dict[str, tuple[Outgoing, list[int]]] = {}
        """What is being told to browsers at each node."""
        self._work = trio.Event()

    def send(self, to: str, message: NodeMessage) -> None:
        """Send a message to a node. It is never waited for; if it is lost, the handler learns that."""
        self._flush(to)
        self._send(to, message)

    def tell(self, edge: str, connection: int, outgoing: Outgoing) -> None:
        """Tell a browser something, together with others at the same node that are told the same."""
        gathered = self._gathered.get(edge)
        if gathered is not None and gathered[0] is outgoing:
            gathered[1].append(connection)
            return
        self._flush(edge)
        self._gathered[edge] = outgoing, [connection]
        self._work.set()

    async def run(self, *handlers: Handler) -> None:
        """Pass what comes to the handlers, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._work_off, handlers)
            async for event in self._bus:
                # The bus does not wait while something is there.
                await trio.lowlevel.checkpoint()
                if isinstance(event, Broken):
                    self._gathered.pop(event.node, None)
                    for handler in handlers:
                        handler.lose(event.node)
                else:
                    self._pass_on(handlers, event.sender, event.message)

    def _flush(self, to: str) -> None:
        gathered = self._gathered.pop(to, None)
        if gathered is not None:
            outgoing, connections = gathered
            self._send(to, Told(tuple(connections), outgoing.payload, outgoing.merge_key))

    def _send(self, to: str, message: NodeMessage) -> None:
        data = encode(message)
        if to == self.me:
            self._to_itself.append(data)
            self._work.set()
        else:
            self._bus.send(to, data)

    async def _work_off(self, handlers: Sequence[Handler]) -> None:
        while True:
            await self._work.wait()
            self._work = trio.Event()
            for node in tuple(self._gathered):
                self._flush(node)
            for _ in range(len(self._to_itself)):
                self._pass_on(handlers, self.me, self._to_itself.popleft())

    def _pass_on(self, handlers: Sequence[Handler], sender: str, data: bytes) -> None:
        try:
            message = decode(data)
        except msgspec.DecodeError as error:
            # A node of another version, while the nodes are updated one by one. Somebody may wait for an answer.
            _log.warning("message of a node not understood", node=sender, why=str(error))
            for handler in handlers:
                handler.lose(sender)
            return
        for handler in handlers:
            try:
                handler.handle(sender, message)
            except Exception:  # noqa: BLE001 (a boundary)
                # A fault in one message must not end the node. Somebody may wait for an answer.
                _log.exception("message of a node not handled", node=sender)
                handler.lose(sender)
