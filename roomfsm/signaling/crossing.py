"""Sessions that cross from node to node, as each node sees them: as an edge, as a home, and as one that asks.

Without `--node` there is no crossing: every room is here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from roomfsm.nodes.exchange import Exchange
from roomfsm.nodes.messages import (
    Close,
    Lost,
    Luggage,
    Move,
    Moved,
    NodeMessage,
    Open,
    Opened,
    Outcome,
    Said,
    Told,
)
from roomfsm.protocol.errors import ErrorCode, Refusal
from roomfsm.rooms.counts import Counts
from roomfsm.signaling.connection import Connection
from roomfsm.signaling.edge import Edge
from roomfsm.signaling.remote_connection import RemoteConnection

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


type AnyConnection = Connection | RemoteConnection
type Serve = Callable[[RemoteConnection, Luggage, str], None]
"""Opens a session for a remote connection, which answers the browser's message first."""


class Crossing:
    """Moves sessions between nodes. Implements `roomfsm.nodes.exchange.Handler`."""

    def __init__(
        self,
        nursery: trio.Nursery,
        exchange: Exchange,
        whereabouts: Whereabouts,
        serve: Serve,
        counts: Counts,
        inbox: int,
    ) -> None:
        self.edge = Edge(nursery, exchange)
        self.whereabouts = whereabouts
        self._exchange = exchange
        self._serve = serve
        self._counts = counts
        self._inbox = inbox
        self._remote: dict[tuple[str, int], RemoteConnection] = {}

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
            if outcome is not Outcome.ELSEWHERE:
                return outcome
        raise Refusal(ErrorCode.ROOM_CLOSED)

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
                self.edge.close(sender, message)
            case Move():
                self.edge.move_on(sender, message)
            case Moved(connection=number, outcome=outcome):
                if (remote := self._remote.get((sender, number))) is not None:
                    remote.moved(outcome)

    def lose(self, node: str) -> None:
        """Act on the loss of whatever was under way from and to a node."""
        self.edge.lose(node)
        for remote in [remote for remote in self._remote.values() if remote.edge == node]:
            remote.lost(left=False)

    def _open(self, edge: str, number: int, luggage: Luggage, text: str) -> None:
        remote = RemoteConnection(self._exchange, edge, number, self._counts, self._inbox)
        self._remote[edge, number] = remote
        self._serve(remote, luggage, text)
