"""What is known of one event: the facts for the room's guards, and what the journal records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from roomfsm.access.credentials import UNASKED
from roomfsm.access.policy import Policy
from roomfsm.lifecycle.room import RoomFacts
from roomfsm.protocol.client import (
    Adjust,
    Candidate,
    Chat,
    EndStream,
    Publish,
    React,
    Rename,
    Restart,
    SendFile,
    Speaking,
    Unpublish,
    Unview,
    View,
)
from roomfsm.protocol.fields import stream_id
from roomfsm.protocol.roles import Role
from roomfsm.rooms.allowance import Cost, Entries, Share, Voice
from roomfsm.rooms.chat import ChatHistory
from roomfsm.rooms.events import (
    Administer,
    Ask,
    Away,
    Back,
    Close,
    Depart,
    Enter,
    Event,
    FileArrived,
    HandOver,
    MediaLost,
    Revoked,
    RoomMessage,
    SetPolicy,
    StreamFailed,
    ViewFailed,
)
from roomfsm.rooms.journal import Journal
from roomfsm.rooms.legs import Leg, Stream
from roomfsm.rooms.moderation import Moderation
from roomfsm.rooms.participant import Participant, seat_to_give
from roomfsm.rooms.room_files import RoomFiles
from roomfsm.rooms.settings import RoomSettings

ENTERING = Cost(2.0)
"""The cost of entering a room or coming back: everybody is told, and the newcomer gets the room's description."""
RENAMING = Cost(3.0)
"""The cost of a new name, without the bytes of the name."""
_COMING = Cost(1.0)
"""What each person who enters a room takes from the room's budget of entries."""
_ENVELOPE = 200
"""About how many bytes a message to everybody has, without what is said in it."""
_encoder = msgspec.json.Encoder()


class ToldPolicy(msgspec.Struct, frozen=True, rename="camel"):
    """What the journal records of a policy, and a replay needs. It does not say how people are let in."""

    role: Role
    locked: bool
    max_people: int
    max_presenters: int
    linger: float
    first_moderates: bool
    lobby: bool = False
    listed: bool = True
    files: bool = True

    @classmethod
    def of(cls, policy: Policy, settings: RoomSettings) -> ToldPolicy:
        """The policy with the numbers that hold in a server with these settings."""
        held = settings.under(policy)
        return cls(
            role=policy.role,
            locked=policy.locked,
            max_people=held.max_people,
            max_presenters=held.max_presenters,
            linger=held.linger,
            first_moderates=policy.first_moderates,
            lobby=policy.lobby,
            listed=policy.listed,
            files=policy.files,
        )

    def policy(self) -> Policy:
        """A policy that does the same in a room."""
        return Policy(**msgspec.structs.asdict(self))


@dataclass(frozen=True, slots=True)
class Said:
    """Something that a person wants to send to everybody, and the budgets into which it must fit."""

    voice: Voice
    cost: Cost
    share: Share
    """The budget that this person shares with others."""

    def may(self, now: float) -> bool:
        """Whether it fits into the budgets."""
        return self.voice.may(self.cost, now, self.share)

    def use(self, now: float) -> None:
        """Count it as sent."""
        self.voice.use(self.cost, now, self.share)


@dataclass(frozen=True, slots=True)
class Budgets:
    """The budgets of one room: how much its people may send to everybody, and how often people may enter."""

    told: Share
    entries: Entries

    def said_by(self, event: Event, now: float) -> Said | None:
        """What the event sends to everybody, if there is a bound on how often a client may cause that; else None.

        An event that begins something (a stream, a view) also pays for its end, because an end is never refused.
        """
        match event:
            case Enter(admitted=True):
                # It was counted when the person knocked.
                return None
            case Enter(seat=seat):
                return Said(self.entries.voice_of(seat.voice.address, now), _COMING, self.entries.share)
            case Ask(seat=seat, message=message):
                cost = _cost_of(message)
                return None if cost is None else Said(seat.voice, cost, self.told)
        return None


def _cost_of(message: RoomMessage) -> Cost | None:
    match message:
        case Chat(text=text):
            return Cost(1.0, len(_encoder.encode(text)) + _ENVELOPE)
        case SendFile(name=name):
            # The line of chat that follows has the name twice: as its text, too.
            return Cost(1.0, 2.0 * (len(_encoder.encode(name)) + _ENVELOPE))
        case Rename(name=name):
            return Cost(RENAMING.messages, len(_encoder.encode(name)) + _ENVELOPE)
        case React():
            return Cost(1.0, 1.0 * _ENVELOPE)
        case Publish():
            return Cost(4.0, 4.0 * _ENVELOPE)
        case View():
            return Cost(2.0, 2.0 * _ENVELOPE)
        # Who speaks is told at most every `speaking_interval`, whoever says so how often.
        case Unpublish() | EndStream() | Unview() | Adjust() | Candidate() | Restart() | Speaking():
            return None
    # A moderator's message, or a raised hand.
    return Cost(2.0, 2.0 * _ENVELOPE)


def facts_of(
    event: Event,
    people: Mapping[str, Participant],
    streams: Mapping[str, Stream],
    moderation: Moderation,
    chat: ChatHistory,
    files: RoomFiles,
    settings: RoomSettings,
    *,
    within_rates: bool = True,
    reserved: bool = False,
    keeps: bool = True,
) -> RoomFacts:
    """The counts as they would be after the event, and what is true of the person who asks."""
    people_after, streams_after, views_after = len(people), len(streams), 0
    presenters = {stream.participant.id for stream in streams.values()}
    member = exists = own = viewing = publishing = banned = locked = must_knock = knocks = lobby_full = False
    addressee_there = line_exists = takes_files = file_fits = files_have_place = file_is_whole = True
    addressee_away = to_oneself = False
    role = Role.PRESENTER
    brought = UNASKED
    restarted: Leg | None = None
    match event:
        case Enter(seat=seat, credentials=brought):
            people_after += 1
            member = seat.id in people
            banned = moderation.bans(seat, brought)
            if not event.admitted:
                locked = moderation.locked and not moderation.may_pass_lock(brought)
                must_knock = moderation.must_knock(brought)
                lobby_full = moderation.lobby.is_full_for(seat, settings.max_in_lobby)
            gives_way = seat_to_give(people.values()) if people_after > settings.max_people else None
            if gives_way is not None:
                people_after -= 1
                streams_after -= len(gives_way.streams)
        case Depart(seat=seat) if moderation.lobby.holds(seat):
            knocks = True
        case Depart(seat=seat):
            people_after -= 1
            streams_after -= len(people[seat.id].streams)
        case StreamFailed() | Revoked():
            streams_after -= 1
        case FileArrived(file=file):
            file_is_whole = file.whole
            takes_files = files.taken
            addressee_there, addressee_away = _hears(people, file.announced.to)
            keeps = keeps or file.announced.to is not None
        case Ask(seat=seat, message=message):
            asker = people[seat.id]
            role = asker.role
            match message:
                case Chat(to=to, reply_to=line) | SendFile(to=to, reply_to=line):
                    line_exists = line is None or chat.speaker_of(line) is not None
                    addressee_there, addressee_away = _hears(people, to)
                    to_oneself = to == asker.id
                    # A private line is not kept, so nothing is promised.
                    keeps = keeps or to is not None
                    if isinstance(message, SendFile):
                        takes_files = files.taken
                        file_fits = files.fits(message.size)
                        files_have_place = files.has_place(asker, message.size)
                case Publish(source=source):
                    publishing = stream_id(asker.id, source) in asker.streams
                    presenters.add(asker.id)
                case Unpublish() | EndStream() | View() | Unview() | Adjust() | Candidate() | Restart():
                    exists = message.stream in streams
                    own = message.stream in asker.streams
                    viewing = message.stream in asker.views
                    if isinstance(message, Restart) and exists:
                        stream = streams[message.stream]
                        restarted = stream if own else stream.views.get(asker.id)
                    views_after = len(asker.views) + isinstance(message, View)
                    streams_after -= exists and isinstance(message, Unpublish | EndStream)
    return RoomFacts(
        people=people_after,
        streams=streams_after,
        presenters=len(presenters),
        views=views_after,
        max_people=settings.max_people,
        max_presenters=settings.max_presenters,
        max_views=settings.max_views,
        member=member,
        stream_exists=exists,
        own_stream=own,
        viewing=viewing,
        publishing=publishing,
        within_rates=within_rates,
        restart_fits=restarted is None or restarted.restart_fits,
        restart_due=restarted is None or restarted.restart_due,
        presenter=role.includes(Role.PRESENTER),
        moderator=role.includes(Role.MODERATOR),
        banned=banned,
        locked=locked,
        must_knock=must_knock,
        knocks=knocks,
        in_lobby=len(moderation.lobby),
        lobby_full=lobby_full,
        has_token=brought.has_token,
        knows_password=brought.knows_password,
        addressee_there=addressee_there,
        addressee_away=addressee_away,
        to_oneself=to_oneself,
        line_exists=line_exists,
        takes_files=takes_files,
        file_fits=file_fits,
        files_have_place=files_have_place,
        file_is_whole=file_is_whole,
        reserved=reserved,
        keeps=keeps,
    )


def _hears(people: Mapping[str, Participant], to: str | None) -> tuple[bool, bool]:
    """Whether the person to whom something is said in private is in the room, and whether that person is away."""
    addressee = None if to is None else people.get(to)
    return to is None or addressee is not None, addressee is not None and addressee.away


def who_of(event: Event) -> str | None:
    """The participant whose message, connection or endpoint caused the event; None if nobody's did."""
    match event:
        case Ask(seat=seat) | Enter(seat=seat) | Depart(seat=seat) | Away(seat=seat) | Back(seat=seat):
            return str(seat.id)
        case StreamFailed(stream=leg) | Revoked(stream=leg) | ViewFailed(view=leg):
            return leg.participant.id
        case FileArrived(file=file):
            return file.sender
    return None


def told_of(event: Event, journal: Journal, settings: RoomSettings) -> dict[str, Any] | None:
    """The client's message as the journal records it, or what else is known of the cause."""
    match event:
        case Ask(message=message):
            return journal.readable(message)
        case Administer(message=SetPolicy(policy=policy)):
            return {"type": "configure", "policy": msgspec.to_builtins(ToldPolicy.of(policy, settings))}
        case Administer(message=message):
            return journal.readable(message)
        case Enter(seat=seat, asked=asked, name=name, credentials=brought):
            # A replay needs the address: a ban holds for all people of it.
            address = journal.pseudonym(seat.voice.address)
            told: dict[str, Any] = {"type": asked, "name": name, "session": seat.sitter.state, "address": address}
            # A replay does not know the room's policy, nor would the journal keep anybody's token or password.
            lacks = {"hasToken": brought.has_token, "knowsPassword": brought.knows_password}
            told |= {fact: held for fact, held in lacks.items() if not held}
            if brought.role is not None:
                told["role"] = brought.role
            return told
        case Away(seat=seat):
            # A replay needs the address: whose seat makes way depends on how many people of it are away.
            return {"address": journal.pseudonym(seat.voice.address)}
        case Depart(reason=reason) | MediaLost(reason=reason) | Close(reason=reason) | HandOver(reason=reason):
            return {"reason": reason}
        case Revoked(stream=leg):
            return {"stream": leg.id}
        case FileArrived(file=file):
            return {"file": file.number, "mediaType": file.media_type}
        case StreamFailed(stream=leg, refusal=refusal) | ViewFailed(view=leg, refusal=refusal):
            return {"stream": leg.id, "code": refusal.code, "detail": str(refusal)}
    return None
