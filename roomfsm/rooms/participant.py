"""A participant: one person's presence in one room. Its seat is what the room and the person's session share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Protocol

from roomfsm.protocol.codec import Outgoing
from roomfsm.protocol.server import IceServer, ParticipantInfo, ServerMessage
from roomfsm.rooms.allowance import Voice


class Sitter(Protocol):
    """Who sits in a seat, as its room sees it: a session of a browser. Nothing here waits or raises."""

    @property
    def participant_id(self) -> str:
        """Unguessable, the same in every room."""

    @property
    def state(self) -> str:
        """The state of the session's machine."""

    @property
    def outbox(self) -> tuple[int, int]:
        """Messages and bytes that wait for a browser that reads slowly."""

    @property
    def voice(self) -> Voice:
        """What the session may have told to everybody, and its address."""

    def ice_servers(self) -> tuple[IceServer, ...]:
        """What the browser may use on the way to the media server, with credentials that are new."""

    def hear(self, outgoing: Outgoing) -> None:
        """Take a message for the browser."""

    def put_out(self) -> None:
        """The room has taken the seat away: the session finds out when it is its turn."""


class Seat[Room]:
    """The place of one session in one room: all that the room knows of the session.

    The room tells the seat, and the session asks the room in the name of its seat. A seat hears news from the
    moment in which its room describes itself to it, until its session is away or sits elsewhere. `before` is the
    seat that the session has until then: it hears no more once this one does.
    """

    def __init__(self, sitter: Sitter, before: Seat[Room] | None = None) -> None:
        self._before = before
        self.id = sitter.participant_id
        self.voice = sitter.voice
        self.sitter = sitter
        self.hears_news = False
        self.taken_away = False
        """Whether the room has put the session out."""
        self._room: Room | None = None

    @property
    def room(self) -> Room:
        """The room that the seat is in. There is none before the room has admitted the session."""
        assert self._room is not None
        return self._room

    def place_in(self, room: Room) -> None:
        """The room has admitted the session."""
        self._room = room

    def begin_to_hear(self) -> None:
        """The room describes itself to the seat next."""
        self.hears_news = True
        if self._before is not None:
            self._before.hears_news = False
            self._before = None

    def tell(self, outgoing: Outgoing) -> None:
        """Pass on a reply, or news if they are heard."""
        if self.hears_news or outgoing.is_reply:
            self.sitter.hear(outgoing)

    def take_away(self) -> None:
        """End the seat, because the room ends or needs the place."""
        self.hears_news = False
        self.taken_away = True
        self.sitter.put_out()


class Participant:
    """One person in one room: `streams` are the ids of what is presented, `views` of what is watched."""

    def __init__(self, seat: Seat[Any], name: str) -> None:
        self.seat = seat
        self.id = seat.id
        self.name = name
        self.deliver = seat.tell
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
    of_address = Counter(person.seat.voice.address for _, person in away)
    # Of those who went away at the same time the first in the room; so the ids are never compared.
    return min(away, key=lambda seat: (-of_address[seat[1].seat.voice.address], seat[0]))[1] if away else None
