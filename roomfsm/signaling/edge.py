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
from roomfsm.nodes.messages import (
    Close,
    Lost,
    Luggage,
    Move,
    Moved,
    Open,
    Opened,
    Outcome,
    Said,
    Told,
    Took,
    Unread,
)
from roomfsm.protocol.errors import CloseCode
from roomfsm.signaling.connection import Connection
from roomfsm.signaling.frames import text_frame

_CODES = {int(code): code for code in CloseCode}
PATIENCE = 10.0
"""Seconds that another node has to take a session. It may have to bring back a large room first."""
UNDER_WAY = 524_288
"""If a session's node has not handled so many characters of its browser, the next message waits, and so does the
browser."""


def _nothing() -> None:
    return


@dataclass(slots=True)
class _Passage:
    """A session on its way to another node."""

    to: str
    before: str | None
    """The node that it comes from; None if it comes from this one."""
    taken: Callable[[], None]
    """Called when the session is taken, before the browser is told anything else."""
    answered: trio.Event = field(default_factory=trio.Event)
    outcome: Outcome = Outcome.UNKNOWN
    heard_out: trio.Event = field(default_factory=trio.Event)
    """Set when the node before has said what it has not answered, or will not say it any more."""
    unread: tuple[str, ...] = ()
    over: trio.Event = field(default_factory=trio.Event)
    """Set when the browser's further messages may be passed on."""


@dataclass(slots=True)
class _Route:
    """The way between one browser and its session."""

    number: int
    connection: Connection
    home: str | None = None
    """The node where the session lives; None as long as it lives here and uses the connection itself."""
    passage: _Passage | None = None
    under_way: int = 0
    """Characters that the home has not handled yet, as far as this node knows."""
    less_under_way: trio.Event = field(default_factory=trio.Event)

    def took(self, size: int) -> None:
        """The home has handled so many characters."""
        self.under_way = max(0, self.under_way - size)
        self.less_under_way.set()
        self.less_under_way = trio.Event()


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
        return outcome

    async def _pass(
        self, route: _Route, to: str, luggage: Luggage, text: str, taken: Callable[[], None] = _nothing
    ) -> Outcome:
        passage = route.passage = _Passage(to, route.home, taken)
        self._exchange.send(to, Open(route.number, luggage, text))
        try:
            with trio.move_on_after(PATIENCE):
                await passage.answered.wait()
            if passage.before is not None:
                self._exchange.send(passage.before, Moved(route.number, passage.outcome))
            if passage.outcome is Outcome.TAKEN:
                await self._begin(route, passage)
            elif passage.outcome is Outcome.UNKNOWN:
                # If it has been taken all the same, it has no connection.
                self._exchange.send(to, Lost(route.number, left=False))
                route.connection.close_soon(CloseCode.GOING_AWAY)
        finally:
            route.passage = None
            passage.over.set()
        return passage.outcome

    async def _begin(self, route: _Route, passage: _Passage) -> None:
        """Let the new home answer what the one before has not, before anything else that the browser says."""
        route.took(route.under_way)
        if passage.before is not None:
            with trio.move_on_after(PATIENCE):
                await passage.heard_out.wait()
        for text in passage.unread:
            self._say(route, passage.to, text)

    async def _forward(self, route: _Route) -> None:
        """Pass on what the browser says, until its connection ends."""
        async for text in route.connection:
            while route.under_way >= UNDER_WAY:
                await route.less_under_way.wait()
            self._say(route, await self._home(route), text)
        self._exchange.send(await self._home(route), Lost(route.number, route.connection.left))
        del self._routes[route.number]

    def _say(self, route: _Route, home: str, text: str) -> None:
        route.under_way += len(text)
        self._exchange.send(home, Said(route.number, text))

    @staticmethod
    async def _home(route: _Route) -> str:
        """Where the session lives, once that is settled."""
        while route.passage is not None:
            await route.passage.over.wait()
        assert route.home is not None
        return route.home

    # What comes from other nodes

    def opened(self, sender: str, message: Opened) -> None:
        """A node says whether it has taken a session."""
        route = self._routes.get(message.connection)
        if route is None or route.passage is None or route.passage.to != sender:
            return
        passage = route.passage
        passage.outcome = message.outcome
        passage.answered.set()
        if message.outcome is Outcome.TAKEN:
            route.home = sender
            passage.taken()
        for payload in message.payloads:
            route.connection.pass_on(text_frame(payload))

    def told(self, sender: str, message: Told) -> None:
        """A home tells browsers something."""
        frame = text_frame(message.payload)
        for number in message.connections:
            route = self._route(number, sender)
            if route is not None:
                route.connection.pass_on(frame, message.merge_key)

    def close_one(self, sender: str, message: Close) -> None:
        """A home wants a websocket closed."""
        route = self._route(message.connection, sender)
        if route is not None:
            route.connection.close_soon(_CODES.get(message.code, CloseCode.GOING_AWAY))

    def took(self, sender: str, message: Took) -> None:
        """A home has handled something."""
        route = self._route(message.connection, sender)
        if route is not None:
            route.took(message.size)

    def move_on(self, sender: str, message: Move) -> None:
        """A home wants a session moved to another node."""
        route = self._route(message.connection, sender)
        if route is not None and route.passage is None:
            self._nursery.start_soon(self._pass, route, message.to, message.luggage, message.text)

    def unread(self, sender: str, message: Unread) -> None:
        """The home before says what it has not answered."""
        route = self._routes.get(message.connection)
        if route is not None and route.passage is not None and route.passage.before == sender:
            route.passage.unread = message.texts
            route.passage.heard_out.set()

    def lose(self, node: str) -> None:
        """A node is gone, or what was under way to and from it is lost: its browsers have to come back."""
        for route in self._routes.values():
            if (passage := route.passage) is not None:
                if passage.to == node:
                    passage.answered.set()
                if passage.before == node:
                    passage.heard_out.set()
            if route.home == node:
                self._send_back(route)

    def close(self) -> None:
        """Have all these browsers come back."""
        for route in self._routes.values():
            self._send_back(route)

    @staticmethod
    def _send_back(route: _Route) -> None:
        route.connection.close_soon(CloseCode.GOING_AWAY)
        # Whoever waits for the home to handle something waits no longer.
        route.took(route.under_way)

    def _route(self, number: int, home: str) -> _Route | None:
        """The route with this number, if the session lives at this node."""
        route = self._routes.get(number)
        return route if route is not None and route.home == home else None
