"""A connection whose websocket is at another node. To its session it is like any other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Self

import trio

from roomfsm.nodes.counts import IN
from roomfsm.nodes.exchange import Exchange
from roomfsm.nodes.messages import Close, Luggage, Move, Opened, Outcome, Took, Unread
from roomfsm.protocol.codec import Outgoing
from roomfsm.protocol.errors import CloseCode
from roomfsm.protocol.server import Error
from roomfsm.rooms.counts import Counts

REPORTED = 65_536
"""When the session has got so many characters of what the browser has sent, the edge is told."""


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
        self._closed_here = False
        self._handled = 0
        """Characters that the session has got since the edge was told."""
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

    @property
    def is_over(self) -> bool:
        """Whether nothing comes and goes any more."""
        return self._over.is_set()

    def settle(self, outcome: Outcome) -> None:
        """Say what has become of the session. If it does not live here now, this connection is over."""
        if self._unsettled is None:
            return
        payloads = tuple(outgoing.payload for outgoing in self._unsettled)
        self._unsettled = None
        if not self._over.is_set():
            self._exchange.send(self.edge, Opened(self.number, outcome, payloads))
            if outcome is Outcome.TAKEN:
                self._exchange.counts.sessions[IN] += 1
            else:
                self._end()

    def close_soon(self, code: CloseCode) -> None:
        """Have the edge close the websocket behind what was sent so far.

        If it is not settled yet that the session lives here, the browser comes back to where it was.
        """
        self._closed_here = True
        self.settle(Outcome.UNKNOWN)
        if not self._over.is_set():
            self._exchange.send(self.edge, Close(self.number, code))
            self._end()

    async def move(self, to: str, luggage: Luggage, text: str) -> Outcome:
        """Have the session opened at another node."""
        if self._over.is_set():
            return Outcome.UNKNOWN
        self._moving, self._moved = trio.Event(), Outcome.UNKNOWN
        self._exchange.send(self.edge, Move(self.number, to, luggage, text))
        await self._moving.wait()
        self._moving = None
        return self._moved

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        """The browser's next message."""
        try:
            text = await self._texts.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None
        if self._closed_here:
            raise StopAsyncIteration
        self._handled += len(text)
        if self._handled >= REPORTED and not self._over.is_set():
            self._exchange.send(self.edge, Took(self.number, self._handled))
            self._handled = 0
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
        self._end()

    def moved(self, outcome: Outcome) -> None:
        """The edge has an answer of the node to which the session is to move."""
        if outcome is Outcome.TAKEN:
            # The edge listens to the other node now, which has to answer what nobody has read here.
            self._exchange.send(self.edge, Unread(self.number, tuple(self._rest())))
            self._closed_here = True
        if self._moving is not None:
            self._moved = outcome
            self._moving.set()
        if outcome is Outcome.TAKEN:
            self._end()

    def _rest(self) -> Iterator[str]:
        with suppress(trio.WouldBlock, trio.EndOfChannel):
            while True:
                yield self._texts.receive_nowait()

    def _end(self) -> None:
        self._over.set()
        self._put.close()
        if self._moving is not None:
            # Nobody will say any more what has become of the move.
            self._moving.set()
