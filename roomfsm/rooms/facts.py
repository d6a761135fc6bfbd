"""What is known of one event: what the room's guards may look at, and what the journal tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from roomfsm.lifecycle.room import RoomFacts
from roomfsm.protocol.client import Candidate, Chat, Publish, Rename, Unpublish, Unview, View
from roomfsm.protocol.fields import stream_id
from roomfsm.rooms.allowance import Cost, Entries, Share, Voice
from roomfsm.rooms.events import (
    Ask,
    Away,
    Back,
    Close,
    Depart,
    Enter,
    Event,
    MediaLost,
    RoomMessage,
    StreamFailed,
    ViewFailed,
)
from roomfsm.rooms.journal import Journal
from roomfsm.rooms.legs import Stream
from roomfsm.rooms.participant import Participant, seat_to_give
from roomfsm.rooms.settings import RoomSettings

ENTERING = Cost(2.0)
"""What it uses to come into a room, or back: all there are told, and one gets the room as it is."""
RENAMING = Cost(3.0)
"""What it uses to have another name, beside the bytes of that."""
_COMING = Cost(1.0)
"""What one person who comes into a room uses of the room's budget of entries."""
_ENVELOPE = 200
"""Bytes, about, of a message to everybody around what is said."""
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody wants everybody to be told, which may be only so much."""

    voice: Voice
    cost: Cost
    share: Share
    """The budget that others use, too."""

    def may(self, now: float) -> bool:
        """Whether it may be told."""
        return self.voice.may(self.cost, now, self.share)

    def use(self, now: float) -> None:
        """Count it."""
        self.voice.use(self.cost, now, self.share)


@dataclass(frozen=True, slots=True)
class Budgets:
    """What the people of one room have together: what they may have told, and how often they may come."""

    told: Share
    entries: Entries

    def said_by(self, event: Event, now: float) -> Said | None:
        """What an event has told to everybody, if it is one that its sender may cause only so often.

        What begins something pays for its end, too, which is never refused.
        """
        match event:
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
        case Rename(name=name):
            return Cost(RENAMING.messages, len(_encoder.encode(name)) + _ENVELOPE)
        case Publish():
            return Cost(4.0, 4.0 * _ENVELOPE)
        case View():
            return Cost(2.0, 2.0 * _ENVELOPE)
    return None


def facts_of(
    event: Event,
    people: Mapping[str, Participant],
    streams: Mapping[str, Stream],
    settings: RoomSettings,
    *,
    within_rates: bool = True,
) -> RoomFacts:
    """Counts as they would be after the event, and what is true of the one who asks."""
    people_after, streams_after, views_after = len(people), len(streams), 0
    presenters = {stream.participant.id for stream in streams.values()}
    member = exists = own = viewing = publishing = False
    match event:
        case Enter(seat=seat):
            people_after += 1
            member = seat.id in people
            gives_way = seat_to_give(people.values()) if people_after > settings.max_people else None
            if gives_way is not None:
                people_after -= 1
                streams_after -= len(gives_way.streams)
        case Depart(seat=seat):
            people_after -= 1
            streams_after -= len(people[seat.id].streams)
        case StreamFailed():
            streams_after -= 1
        case Ask(seat=seat, message=message):
            asker = people[seat.id]
            match message:
                case Publish(source=source):
                    publishing = stream_id(asker.id, source) in asker.streams
                    presenters.add(asker.id)
                case Unpublish() | View() | Unview() | Candidate():
                    exists = message.stream in streams
                    own = message.stream in asker.streams
                    viewing = message.stream in asker.views
                    views_after = len(asker.views) + isinstance(message, View)
                    streams_after -= exists and isinstance(message, Unpublish)
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
    )


def who_of(event: Event) -> str | None:
    """The participant whose message, connection or endpoint it is."""
    match event:
        case Ask(seat=seat) | Enter(seat=seat) | Depart(seat=seat) | Away(seat=seat) | Back(seat=seat):
            return str(seat.id)
        case StreamFailed(stream=leg) | ViewFailed(view=leg):
            return leg.participant.id
    return None


def told_of(event: Event, journal: Journal) -> dict[str, Any] | None:
    """The client's message as the journal tells it, or what else is known of the cause."""
    match event:
        case Ask(message=message):
            return journal.readable(message)
        case Enter(seat=seat, asked=asked, name=name):
            return {"type": asked, "name": name, "session": seat.sitter.state}
        case Away(seat=seat):
            # Whose seat makes way depends on who else of the address is away.
            return {"address": journal.pseudonym(seat.voice.address)}
        case Depart(reason=reason) | MediaLost(reason=reason) | Close(reason=reason):
            return {"reason": reason}
        case StreamFailed(stream=leg, refusal=refusal) | ViewFailed(view=leg, refusal=refusal):
            return {"stream": leg.id, "code": refusal.code, "detail": str(refusal)}
    return None
