"""The edge: the browsers that are connected to this node while their sessions live at other nodes.

A session moves when its browser wants to enter a room of another node, or to resume a session there. The edge asks
that node to open a session of the same id that answers the browser's message. Only if that session is taken does
the old one end; if it is refused, nothing has happened. Meanwhile the browser's further messages wait. Messages
for the browser count only if they come from the node where its session lives: what the old session is still told
by its room must not reach the browser after the new room has described itself.

If the other node is gone before it has answered, nobody knows what has become of the session. Then the websocket
is closed. The browser comes back with its token, and that finds out.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from roomfsm.nodes.exchange import Exchange
from roomfsm.nodes.messages import Close, Lost, Luggage, Move, Moved, Open, Opened, Outcome, Said, Told
from roomfsm.protocol.errors import CloseCode
from roomfsm.signaling.connection import Connection
from roomfsm.signaling.frames import text_frame

_CODES = {int(code): code for code in CloseCode}


def _nothing() -> None:
    return


@dataclass(slots=True)
class _Passage:
    """A session on its way to another node."""

    to: str
    taken: Callable[[], None]
    """Called when the session is taken, before the browser is told anything else."""
    over: trio.Event = field(default_factory=trio.Event)
    outcome: Outcome = Outcome.UNKNOWN


@dataclass(slots=True)
class _Route:
    """The way between one browser and its session."""

    number: int
    connection: Connection
    home: str | None = None
    """The node where the session lives; None as long as it lives here and uses the connection itself."""
    passage: _Passage | None = None


class Edge:
    """The browsers of this node whose sessions live elsewhere, or are on their way there."""

    def __init__(self, nursery: trio.Nursery, exchange: Exchange) -> None:
        self._nursery = nursery
        self._exchange = exchange
        self._routes: dict[int, _Route] = {}
        self._numbers = itertools.count(1)

    def __len__(self) -> int:
        return len(self._routes)

    async def move(
        self, connection: Connection, to: str, luggage: Luggage, text: str, taken: Callable[[], None]
    ) -> Outcome:
        """Have a session opened at a node that answers the browser's message.

        If the session is taken there, `taken` is called in the moment from which on it alone talks to the browser,
        and the connection must not be read any more.
        """
        route = _Route(next(self._numbers), connection)
        self._routes[route.number] = route
        outcome = await self._pass(route, to, luggage, text, taken)
        if outcome is Outcome.TAKEN:
            self._nursery.start_soon(self._forward, route)
        else:
            del self._routes[route.number]
            if outcome is Outcome.UNKNOWN:
                connection.close_soon(CloseCode.TRY_AGAIN_LATER)
        return outcome

    async def _pass(
        self, route: _Route, to: str, luggage: Luggage, text: str, taken: Callable[[], None] = _nothing
    ) -> Outcome:
        passage = route.passage = _Passage(to, taken)
        self._exchange.send(to, Open(route.number, luggage, text))
        try:
            await passage.over.wait()
        finally:
            route.passage = None
        return passage.outcome

    async def _forward(self, route: _Route) -> None:
        """Pass on what the browser says, until its connection ends."""
        async for text in route.connection:
            await self._until_settled(route)
            assert route.home is not None
            self._exchange.send(route.home, Said(route.number, text))
        await self._until_settled(route)
        assert route.home is not None
        self._exchange.send(route.home, Lost(route.number, route.connection.left))
        del self._routes[route.number]

    async def _until_settled(self, route: _Route) -> None:
        while route.passage is not None:
            await route.passage.over.wait()
            # The task that waits for the answer has its turn before this one goes on.
            await trio.lowlevel.checkpoint()

    # What comes from other nodes

    def opened(self, sender: str, message: Opened) -> None:
        """A node says whether it has taken a session."""
        route = self._routes.get(message.connection)
        if route is None or route.passage is None or route.passage.to != sender:
            return
        passage = route.passage
        if message.outcome is Outcome.TAKEN:
            passage.taken()
            route.home = sender
        for payload in message.payloads:
            route.connection.pass_on(text_frame(payload))
        passage.outcome = message.outcome
        passage.over.set()

    def told(self, sender: str, message: Told) -> None:
        """A home tells browsers something."""
        frame = text_frame(message.payload)
        for number in message.connections:
            route = self._routes.get(number)
            if route is not None and route.home == sender:
                route.connection.pass_on(frame, message.merge_key)

    def close(self, sender: str, message: Close) -> None:
        """A home wants a websocket closed."""
        route = self._routes.get(message.connection)
        if route is not None and route.home == sender:
            route.connection.close_soon(_CODES[message.code])

    def move_on(self, sender: str, message: Move) -> None:
        """A home wants a session moved to another node."""
        route = self._routes.get(message.connection)
        if route is not None and route.home == sender and route.passage is None:
            self._nursery.start_soon(self._move_on, route, sender, message)

    async def _move_on(self, route: _Route, before: str, message: Move) -> None:
        outcome = await self._pass(route, message.to, message.luggage, message.text)
        self._exchange.send(before, Moved(route.number, outcome))
        if outcome is Outcome.UNKNOWN:
            route.connection.close_soon(CloseCode.TRY_AGAIN_LATER)

    def lose(self, node: str) -> None:
        """A node is gone, or what was under way to and from it is lost: its browsers have to come back."""
        for route in tuple(self._routes.values()):
            if route.passage is not None and route.passage.to == node:
                route.passage.over.set()
            if route.home == node:
                route.connection.close_soon(CloseCode.TRY_AGAIN_LATER)
