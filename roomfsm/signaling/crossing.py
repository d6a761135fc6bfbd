"""Sessions that cross from node to node, as each node sees them: as an edge, as a home, and as one that asks.

Without `--node` there is no crossing: every room is here.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import trio

from roomfsm.nodes.counts import OUT
from roomfsm.nodes.exchange import Exchange
from roomfsm.nodes.messages import (
    Close,
    Found,
    Lost,
    Luggage,
    Move,
    Moved,
    NodeMessage,
    Open,
    Opened,
    Outcome,
    Said,
    Seek,
    Told,
    Took,
    Unread,
)
from roomfsm.protocol.errors import ErrorCode, Refusal
from roomfsm.rooms.counts import Counts
from roomfsm.signaling.connection import Connection
from roomfsm.signaling.edge import Edge
from roomfsm.signaling.remote_connection import RemoteConnection

_SEEKING = 1.0
"""Seconds that other nodes have to say whether they know a token."""
_TRIES = 3
"""How many nodes one message tries, if rooms change their nodes in that moment."""


class Whereabouts(Protocol):
    """Knows where rooms are."""

    async def of_room(self, room: str) -> str | None:
        """The node that has the room of that name; None if it is this one. A room that is nowhere gets a node.

        Raises `Refusal` if that cannot be found out.
        """

    async def of_token(self, token: bytes) -> str | None:
        """The node to whose room the token with this hash brings somebody back; None if it is this one, or none.

        Raises `Refusal` if that cannot be found out.
        """

    async def give_back(self, room: str) -> None:
        """The room of that name was not opened here, although it got this node. It needs none, then."""


type AnyConnection = Connection | RemoteConnection
type Serve = Callable[[RemoteConnection, Luggage, str], None]
"""Opens a session for a remote connection, which answers the browser's message first."""


@dataclass(slots=True)
class _Search:
    """A search for a session."""

    silent: set[str]
    """The nodes that have not answered."""
    found: str | None = None
    heard: trio.Event = field(default_factory=trio.Event)

    def hear(self, node: str, *, here: bool) -> None:
        """A node has answered."""
        self.silent.discard(node)
        self.found = node if here else self.found
        self.heard.set()
        self.heard = trio.Event()


class Crossing:
    """Moves sessions between nodes. Implements `roomfsm.nodes.exchange.Handler`."""

    def __init__(
        self,
        nursery: trio.Nursery,
        exchange: Exchange,
        whereabouts: Whereabouts,
        serve: Serve,
        has: Callable[[bytes], bool],
        living: Callable[[], Sequence[str]],
        counts: Counts,
        inbox: int,
    ) -> None:
        """`has` says whether the token with a hash resumes a session here. `living` gives the other nodes."""
        self.edge = Edge(nursery, exchange)
        self.whereabouts = whereabouts
        self._exchange = exchange
        self._serve = serve
        self._has = has
        self._living = living
        self._counts = counts
        self._inbox = inbox
        self._remote: dict[tuple[str, int], RemoteConnection] = {}
        self._searches: dict[int, _Search] = {}
        self._numbers = itertools.count(1)

    async def move(
        self,
        connection: AnyConnection,
        find: Callable[[], Awaitable[str | None]],
        luggage: Luggage,
        text: str,
        taken: Callable[[], None],
    ) -> Outcome:
        """Have the message answered where its room is, and the session go on there if that takes it.

        `Outcome.ELSEWHERE` says that the room is here. Raises `Refusal`.
        """
        outcome = Outcome.ELSEWHERE
        for _ in range(_TRIES):
            node = await find()
            if node is None:
                return Outcome.ELSEWHERE
            if isinstance(connection, RemoteConnection):
                outcome = await connection.move(node, luggage, text)
                if outcome is Outcome.TAKEN:
                    taken()
            else:
                outcome = await self.edge.move(connection, node, luggage, text, taken)
            if outcome is Outcome.TAKEN:
                self._exchange.counts.sessions[OUT] += 1
            if outcome is not Outcome.ELSEWHERE:
                return outcome
        raise Refusal(ErrorCode.ROOM_CLOSED)

    async def seek(self, token: bytes) -> str | None:
        """The other node with a session that the token with this hash resumes, although it has no seat; or None.

        Such a session waits in a lobby.
        """
        search = _Search(set(self._living()))
        number = next(self._numbers)
        self._searches[number] = search
        try:
            for node in search.silent:
                self._exchange.send(node, Seek(number, token))
            with trio.move_on_after(_SEEKING):
                while search.silent and search.found is None:
                    await search.heard.wait()
        finally:
            del self._searches[number]
        return search.found

    @property
    def visitors(self) -> int:
        """How many sessions are here whose browsers are at other nodes."""
        return len(self._remote)

    def forget(self, connection: RemoteConnection) -> None:
        """A remote connection is over."""
        key = connection.edge, connection.number
        # The browser may be here again over the same connection.
        if self._remote.get(key) is connection:
            del self._remote[key]

    # What comes from other nodes

    def handle(self, sender: str, message: NodeMessage) -> None:
        """Act on a message of a node."""
        match message:
            case Told():
                self.edge.told(sender, message)
            case Said(connection=number, text=text):
                if (remote := self._remote.get((sender, number))) is not None:
                    remote.said(text)
            case Open(connection=number, luggage=luggage, text=text):
                self._open(sender, number, luggage, text)
            case Opened():
                self.edge.opened(sender, message)
            case Lost(connection=number, left=left):
                if (remote := self._remote.get((sender, number))) is not None:
                    remote.lost(left=left)
            case Close():
                self.edge.close_one(sender, message)
            case Seek(number=number, token=token):
                self._exchange.send(sender, Found(number, self._has(token)))
            case Found(number=number, here=here):
                if (search := self._searches.get(number)) is not None:
                    search.hear(sender, here=here)
            case Unread():
                self.edge.unread(sender, message)
            case Took():
                self.edge.took(sender, message)
            case Move():
                self.edge.move_on(sender, message)
            case Moved(connection=number, outcome=outcome):
                if (remote := self._remote.get((sender, number))) is not None:
                    remote.moved(outcome)

    def lose(self, node: str) -> None:
        """Act on the loss of whatever was under way from and to a node."""
        self.edge.lose(node)
        for search in self._searches.values():
            search.hear(node, here=False)
        for remote in [remote for remote in self._remote.values() if remote.edge == node]:
            remote.lost(left=False)

    def close(self) -> None:
        """Nothing crosses any more: the browsers here, and those of the sessions here, have to come back."""
        self.edge.close()
        for remote in tuple(self._remote.values()):
            remote.lost(left=False)

    def _open(self, edge: str, number: int, luggage: Luggage, text: str) -> None:
        remote = RemoteConnection(self._exchange, edge, number, self._counts, self._inbox)
        self._remote[edge, number] = remote
        self._serve(remote, luggage, text)
