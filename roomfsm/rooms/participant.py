"""A participant: one person's presence in one room. The room and the person's session share a seat.

The seat is the only thing that the two sides know of each other, and it settles the races between them. A session
may sit in a new room before the old one has handled its leave, and news of the old room must not reach the
browser after the new room has described itself. So `hears_news` belongs to the seat, not to the session: when the
new room describes itself, the new seat begins to hear news and the old seat stops, in one step without waiting. A
room that takes a seat away (because it ends, or needs the place) marks the seat and lets the session know. The
session's own task acts on the mark when it is its turn, so that nobody else moves its machine.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import Any, Protocol

from roomfsm.lifecycle.seat import SEAT
from roomfsm.lifecycle.sound import MICROPHONE_ON, SOUND
from roomfsm.lifecycle.table import Model
from roomfsm.protocol.codec import Outgoing
from roomfsm.protocol.roles import Role
from roomfsm.protocol.server import IceServer, ParticipantInfo, ServerMessage
from roomfsm.rooms.allowance import Voice
from roomfsm.rooms.record import UNRECORDED, Ear, Record


class Sitter(Protocol):
    """What a room may use of the session that sits in a seat. Nothing here waits or raises."""

    @property
    def participant_id(self) -> str:
        """The person's id. Nobody can guess it, and it is the same in every room."""

    @property
    def state(self) -> str:
        """The state of the session's machine."""

    @property
    def ear(self) -> Ear | None:
        """What sends a message over the connection that there is now; None if there is none."""

    @property
    def resume_hashes(self) -> tuple[bytes, ...]:
        """The hashes of the tokens by which the session can be resumed."""

    @property
    def outbox(self) -> tuple[int, int]:
        """How many messages and bytes wait because the browser reads slowly."""

    @property
    def expected(self) -> bool:
        """Whether the session came back with its room, and its browser should be back in a moment.

        Its seat is given to nobody else meanwhile.
        """

    @property
    def voice(self) -> Voice:
        """How much the session may send to everybody, and its address."""

    def ice_servers(self) -> tuple[IceServer, ...]:
        """The STUN and TURN servers that the browser may use, with new credentials."""

    def hear(self, outgoing: Outgoing) -> None:
        """Send a message to the browser."""

    def admitted(self) -> None:
        """Learn that a moderator has admitted the session, which waited in the lobby."""

    def put_out(self) -> None:
        """Learn that the room has taken the seat away. The session acts on that when it is its turn."""

    def sent_on(self) -> None:
        """Learn that the room goes on at another server, where the session is resumed.

        Nothing more may be told, and the browser has to come back.
        """


class Seat[Room](Model):
    """The place of one session in one room. The room knows nothing else of the session.

    The room sends messages to the seat, and the session's requests name the seat. A seat hears news from the
    moment in which the room describes itself to it, until the session is away or sits in another room. `before` is
    the seat that the session had until then; it hears no more news as soon as this one does. `record` is that of
    the room, which holds back what must not be told before it is kept.
    """

    def __init__(self, sitter: Sitter, before: Seat[Room] | None = None, record: Record = UNRECORDED) -> None:
        super().__init__(SEAT.initial)
        self._before = before
        self._record = record
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
        """Note that this room has admitted the session."""
        self._room = room

    def begin_to_hear(self) -> None:
        """Hear news from now on. The room calls this just before it sends its description."""
        self.hears_news = True
        if self._before is not None:
            self._before.hears_news = False
            self._before = None

    def tell(self, outgoing: Outgoing) -> None:
        """Pass a message on to the session, if it is a reply or the seat hears news."""
        if self.hears_news or outgoing.is_reply:
            self._record.tell(self.sitter, outgoing)

    def take_away(self) -> None:
        """End the seat, because the room ends or needs the place."""
        self.hears_news = False
        self.taken_away = True
        self.sitter.put_out()

    def send_on(self) -> None:
        """End the seat, because the room goes on at another server."""
        self.hears_news = False
        self.taken_away = True
        self.sitter.sent_on()


class Participant:
    """One person in one room.

    `streams` has the ids of the streams that this person presents, `views` the ids of those that it watches.
    """

    def __init__(self, seat: Seat[Any], name: str) -> None:
        self.seat = seat
        self.id = seat.id
        self.name = name
        self.deliver = seat.tell
        self.came_at = time.time_ns() // 1_000_000
        """When the person entered, in milliseconds since 1970."""
        self.away_since: float | None = None
        """The time when the connection was lost; None while there is one."""
        self.lookalike = False
        self.role = Role.PRESENTER
        self.given = Role.PRESENTER
        """The role by the person's token, the room's policy, or the will of a moderator or an administrator."""
        self.stands_in = False
        """Whether the person moderates only because nobody else did."""
        self.only_watches = False
        """Whether the person's token says viewer. Such a person never becomes a moderator by having come first."""
        self.subject: str | None = None
        """Who the person is to the application that issued the person's token."""
        self.hand: int | None = None
        """The number of the raised hand; None if the hand is down."""
        self.microphone: bool | None = None
        self.camera: bool | None = None
        """Whether they are on, if the client has told that."""
        self.claims_to_speak = False
        """Whether the person speaks by the word of the person's client."""
        self.heard: bool | None = None
        """Whether the person speaks by the media server's word; None while that does not hear the person."""
        self.sound = SOUND.new()
        # These are dicts and not sets, so that streams that end together end in the order in which they began.
        self.streams: dict[str, None] = {}
        self.views: dict[str, None] = {}
        self._generations: dict[str, int] = {}

    @property
    def away(self) -> bool:
        """Whether the connection is lost, and may still be resumed."""
        return self.away_since is not None

    @property
    def audible(self) -> bool:
        """Whether the media server passes on the person's sound."""
        return bool(SOUND.state(self.sound.state).owns)

    @property
    def may_turn_microphone_on(self) -> bool:
        """Whether the person is heard who turns the microphone on."""
        return bool(SOUND.rows_of(self.sound.state, MICROPHONE_ON))

    @property
    def speaks(self) -> bool:
        """Whether the person speaks and can be heard."""
        speaks = self.claims_to_speak if self.heard is None else self.heard
        return speaks and self.audible and self.microphone is not False

    def info(self) -> ParticipantInfo:
        """This person as the others see it."""
        return ParticipantInfo(
            id=self.id,
            name=self.name,
            away=self.away,
            lookalike=self.lookalike,
            role=self.role,
            hand=self.hand,
            microphone=self.microphone,
            camera=self.camera,
            sound=self.sound.state,
        )

    def send(self, message: ServerMessage) -> None:
        """Send a message to this person alone."""
        self.deliver(Outgoing(message))

    def reply(self, message: ServerMessage) -> None:
        """Send a reply, which reaches the person even if it has just left the room."""
        self.deliver(Outgoing(message, is_reply=True))

    def next_generation(self, stream_id: str) -> int:
        """Number the endpoints that this participant has had for a stream: 1, 2, …"""
        generation = self._generations.get(stream_id, 0) + 1
        self._generations[stream_id] = generation
        return generation

    def had_generation(self, stream_id: str, generation: int) -> None:
        """Have the numbers go on from this one."""
        self._generations[stream_id] = generation


def seat_to_give(people: Iterable[Participant]) -> Participant | None:
    """The person who loses the seat if the room is full and somebody enters; None if nobody is away.

    Whoever is `expected` keeps the seat. Among the people of the address that has the most people away, it is the
    one who has been away longest. So if one stranger left many seats behind, those go before the seat of somebody
    whose network failed.
    """
    away = [
        (person.away_since, person)
        for person in people
        if person.away_since is not None and not person.seat.sitter.expected
    ]
    of_address = Counter(person.seat.voice.address for _, person in away)
    # `min` returns the first of several equal ones: the person who has been in the room longest.
    return min(away, key=lambda seat: (-of_address[seat[1].seat.voice.address], seat[0]))[1] if away else None
