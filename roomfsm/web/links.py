"""The parts of requests and answers that are on their way to each other node.

What is under way between two nodes is bounded, and beyond the bound their link breaks, which also throws out
people whose websockets use it. So all requests together take only a small part of it.
"""

from __future__ import annotations

from roomfsm.nodes.exchange import Exchange
from roomfsm.nodes.flow import Credit
from roomfsm.nodes.messages import AnswerPart, Arrived, BodyPart, NodeMessage, Request

PART = 65_536
"""The most bytes of an answer that one message has."""
WINDOW = 4
"""So many parts of a body, or of an answer, may wait at the other node until somebody takes them."""
UNDER_WAY = 64
"""So many parts of all requests and answers may be on their way to another node."""


class Links:
    """The ways to the other nodes."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._room: dict[str, Credit] = {}

    def send(self, node: str, message: NodeMessage) -> None:
        """Send a message to a node."""
        self._exchange.send(node, message)

    async def room_for_one(self, node: str) -> bool:
        """Wait until a part may be sent to this node. Returns False if what it belongs to is lost."""
        return await self._room.setdefault(node, Credit(UNDER_WAY)).take()

    def note(self, node: str, message: NodeMessage) -> None:
        """Note that a message of this node has arrived. If there was to be room for it, it has room again."""
        match message:
            case Arrived():
                if node in self._room:
                    self._room[node].give()
            case Request():
                self.send(node, Arrived())
            case BodyPart(data=data) | AnswerPart(data=data) if data:
                self.send(node, Arrived())
            case _:
                pass

    def lose(self, node: str) -> None:
        """Whatever was under way to this node is lost."""
        if node in self._room:
            self._room.pop(node).end()
