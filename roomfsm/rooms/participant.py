"""A participant: one person's presence in one room, and what the room knows of that person's session."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from roomfsm.protocol.codec import Outgoing
from roomfsm.protocol.server import IceServer, ParticipantInfo, ServerMessage
from roomfsm.rooms.allowance import Voice


class Link[Room](Protocol):
    """The session behind a participant, as rooms see it. Nothing here waits or raises."""

    @property
    def participant_id(self) -> str:
        """Unguessable, the same in every room."""

    @property
    def state(self) -> str:
        """The state of the session's machine."""

    @property
    def room(self) -> Room | None:
        """The room that the session sits in."""

    @property
    def outbox(self) -> tuple[int, int]:
        """Messages and bytes that wait for a browser that reads slowly."""

    def ice_servers(self) -> tuple[IceServer, ...]:
        """What the browser may use on the way to the media server, with credentials that are new."""

    @property
    def voice(self) -> Voice:
        """What the session may have told to everybody, and its address."""

    def deliver(self, outgoing: Outgoing, room: Room) -> None:
        """Send a message of `room`; news are dropped if the session no longer sits there."""

    @property
    def attachment(self) -> int:
        """Counts the connections that the session has had: what speaks of an older one is out of date."""

    def resumed(self, room: Room) -> None:
        """`room` knows that the session has a connection again, and sends the room as it is next."""

    def seated(self, room: Room) -> None:
        """The session sits in `room` from now on."""

    def unseated(self, room: Room) -> None:
        """`room` has put the session out, if that is where it sat."""


class Participant:
    """One person in one room: `streams` are the ids of what is presented, `views` of what is watched."""

    def __init__(self, link: Link[Any], name: str, deliver: Callable[[Outgoing], None]) -> None:
        self.link = link
        self.id = link.participant_id
        self.name = name
        self.deliver = deliver
        self.away_since: float | None = None
        """When the connection was lost; None while there is one."""
        self.lookalike = False
        # In order, so that what ends together ends in the order in which it began.
        self.streams: dict[str, None] = {}
        self.views: dict[str, None] = {}
        self._generations: dict[str, int] = {}

    @property
    def away(self) -> bool:
        """Whether the connection is lost, and may still be resumed."""
        return self.away_since is not None

    def info(self) -> ParticipantInfo:
        """What the others see."""
        return ParticipantInfo(id=self.id, name=self.name, away=self.away, lookalike=self.lookalike)

    def send(self, message: ServerMessage) -> None:
        """Deliver a message to this one alone."""
        self.deliver(Outgoing(message))

    def reply(self, message: ServerMessage) -> None:
        """Answer this one, with a `ref` or without, in the room or just out of it."""
        self.deliver(Outgoing(message, is_reply=True))

    def next_generation(self, stream_id: str) -> int:
        """Count the endpoints that this participant has had for a stream: 1, 2, …"""
        generation = self._generations.get(stream_id, 0) + 1
        self._generations[stream_id] = generation
        return generation


def seat_to_give(people: Iterable[Participant]) -> Participant | None:
    """Whose seat ends if the room is full and somebody comes; None if nobody is away.

    It is the one who is away longest of the address with the most who are away: many seats that one stranger left
    behind make way before the seat of somebody whose network failed.
    """
    away = [(person.away_since, person) for person in people if person.away_since is not None]
    of_address = Counter(person.link.voice.address for _, person in away)
    # Of those who went away at the same time the first in the room; so the ids are never compared.
    return min(away, key=lambda seat: (-of_address[seat[1].link.voice.address], seat[0]))[1] if away else None
