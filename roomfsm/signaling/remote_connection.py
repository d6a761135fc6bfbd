"""A connection whose websocket is at another node. To its session it is like any other."""

from __future__ import annotations

from typing import Self

import trio

from roomfsm.nodes.exchange import Exchange
from roomfsm.nodes.messages import Close, Luggage, Move, Opened, Outcome
from roomfsm.protocol.codec import Outgoing
from roomfsm.protocol.errors import CloseCode
from roomfsm.protocol.server import Error
from roomfsm.rooms.counts import Counts


class RemoteConnection:
    """A browser's connection at the node `edge`, where it has this number.

    Its session has moved here, and has to answer the message first that brought it here. Until `settle` is called,
    what the browser is told waits, because it may turn out that the session stays where it was.
    """

    def __init__(self, exchange: Exchange, edge: str, number: int, counts: Counts, inbox: int) -> None:
        """`inbox` is how many messages of the browser may wait."""
        self._exchange = exchange
        self.edge = edge
        self.number = number
        self._counts = counts
        self._put, self._texts = trio.open_memory_channel[str](inbox)
        self._over = trio.Event()
        self._unsettled: list[Outgoing] | None = []
        """What the browser is told when it is settled that the session stays here."""
        self._moving: trio.Event | None = None
        self._moved = Outcome.UNKNOWN
        self.left = False
        """Whether nobody will resume the session, because the browser said goodbye or was expelled."""
        self.outbox = (0, 0)
        """Nothing waits here: the edge closes the connection of a browser that reads too slowly."""

    def send(self, outgoing: Outgoing) -> None:
        """Send a message to the browser."""
        if self._over.is_set():
            return
        if isinstance(outgoing.message, Error):
            self._counts.sent_error(outgoing.message)
        if self._unsettled is not None:
            self._unsettled.append(outgoing)
        else:
            self._exchange.tell(self.edge, self.number, outgoing)

    def settle(self, outcome: Outcome) -> None:
        """Say whether the session lives here now. If not, this connection is over."""
        if self._unsettled is None:
            return
        payloads = tuple(outgoing.payload for outgoing in self._unsettled)
        self._unsettled = None
        if not self._over.is_set():
            self._exchange.send(self.edge, Opened(self.number, outcome, payloads))
            if outcome is not Outcome.TAKEN:
                self._end()

    def close_soon(self, code: CloseCode) -> None:
        """Have the edge close the websocket behind what was sent so far."""
        if not self._over.is_set():
            self.settle(Outcome.TAKEN)
            self._exchange.send(self.edge, Close(self.number, code))
            self._end()

    async def move(self, to: str, luggage: Luggage, text: str) -> Outcome:
        """Have the session opened at another node."""
        self._moving = trio.Event()
        self._exchange.send(self.edge, Move(self.number, to, luggage, text))
        await self._moving.wait()
        self._moving = None
        if self._moved is Outcome.TAKEN:
            # The edge listens to the other node now.
            self._end()
        return self._moved

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        """The browser's next message."""
        try:
            text = await self._texts.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None
        if self._over.is_set() and not self.left:
            raise StopAsyncIteration
        return text

    async def run(self) -> None:
        """Returns when the connection is over."""
        await self._over.wait()

    # What comes from the edge

    def said(self, text: str) -> None:
        """The browser has sent a message."""
        if self._over.is_set():
            return
        try:
            self._put.send_nowait(text)
        except trio.WouldBlock:
            self.close_soon(CloseCode.TRY_AGAIN_LATER)

    def lost(self, *, left: bool) -> None:
        """The websocket is closed, or the edge is gone."""
        self.left = self.left or left
        self.moved(Outcome.UNKNOWN)
        self._end()

    def moved(self, outcome: Outcome) -> None:
        """The edge has an answer of the node to which the session is to move."""
        if self._moving is not None and not self._moving.is_set():
            self._moved = outcome
            self._moving.set()

    def _end(self) -> None:
        self._over.set()
        self._put.close()
