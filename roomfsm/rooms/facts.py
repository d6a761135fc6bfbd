"""What is known of one event: what the room's guards may look at, and what the journal tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from roomfsm.lifecycle.room import RoomFacts
from roomfsm.protocol.client import Candidate, Publish, Unpublish, Unview, View
from roomfsm.protocol.fields import stream_id
from roomfsm.rooms.events import (
    Ask,
    Away,
    Back,
    Close,
    Depart,
    Enter,
    Event,
    MediaLost,
    StreamFailed,
    ViewFailed,
)
from roomfsm.rooms.journal import Journal
from roomfsm.rooms.legs import Stream
from roomfsm.rooms.participant import Participant
from roomfsm.rooms.settings import RoomSettings


def facts_of(
    event: Event,
    people: Mapping[str, Participant],
    streams: Mapping[str, Stream],
    settings: RoomSettings,
) -> RoomFacts:
    """Counts as they would be after the event, and what is true of the one who asks."""
    people_after, streams_after, views_after = len(people), len(streams), 0
    presenters = {stream.participant.id for stream in streams.values()}
    member = exists = own = viewing = publishing = False
    match event:
        case Enter(link=link):
            people_after += 1
            member = link.participant_id in people
        case Depart(link=link):
            people_after -= 1
            streams_after -= len(people[link.participant_id].streams)
        case StreamFailed():
            streams_after -= 1
        case Ask(link=link, message=message):
            asker = people[link.participant_id]
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
    )


def who_of(event: Event) -> str | None:
    """The participant whose message, connection or endpoint it is."""
    match event:
        case Ask(link=link) | Enter(link=link) | Depart(link=link) | Away(link=link) | Back(link=link):
            return str(link.participant_id)
        case StreamFailed(stream=leg) | ViewFailed(view=leg):
            return leg.participant.id
    return None


def told_of(event: Event, journal: Journal) -> dict[str, Any] | None:
    """The client's message as the journal tells it, or what else is known of the cause."""
    match event:
        case Ask(message=message):
            return journal.readable(message)
        case Enter(link=link, asked=asked, name=name):
            return {"type": asked, "name": name, "session": link.state}
        case Depart(reason=reason) | MediaLost(reason=reason) | Close(reason=reason):
            return {"reason": reason}
        case StreamFailed(stream=leg, refusal=refusal) | ViewFailed(view=leg, refusal=refusal):
            return {"stream": leg.id, "code": refusal.code, "detail": str(refusal)}
    return None
