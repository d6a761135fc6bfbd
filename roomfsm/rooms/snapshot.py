"""What of a room is kept, as events: of one person who sits down, and of the whole room, as the shortest list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from roomfsm.access.policy import Policy
from roomfsm.kurento.objects import PipelinePlace
from roomfsm.kurento.owner import Owner
from roomfsm.lifecycle.sound import SOUND
from roomfsm.rooms import durable
from roomfsm.rooms.chat import ChatHistory
from roomfsm.rooms.durable import Durable
from roomfsm.rooms.legs import Stream, View
from roomfsm.rooms.lookalikes import Lookalikes
from roomfsm.rooms.moderation import Moderation
from roomfsm.rooms.participant import Participant
from roomfsm.rooms.record import Record
from roomfsm.rooms.relay import Ends
from roomfsm.rooms.spread import KeptRelay


class KeptMedia(Protocol):
    """What a snapshot needs to know of the media of its room."""

    @property
    def streams(self) -> Mapping[str, Stream]: ...

    @property
    def media_place(self) -> PipelinePlace | None:
        """Where the pipeline is that outlives the server; None if there is none, or if the room releases it."""

    @property
    def kept_relays(self) -> Sequence[KeptRelay]:
        """The relays that outlive the server."""

    @property
    def media_owner(self) -> Owner | None:
        """This run of the server, as the owner of pipelines."""


class Kept(KeptMedia, Protocol):
    """What a snapshot needs to know of its room."""

    @property
    def name(self) -> str: ...

    @property
    def opened_by(self) -> tuple[str, str]: ...

    @property
    def own_policy(self) -> Policy | None: ...

    @property
    def reserved(self) -> bool: ...

    @property
    def people(self) -> Mapping[str, Participant]: ...

    @property
    def record(self) -> Record: ...


def as_opened(room: Kept) -> durable.Opened:
    """How the room was opened."""
    return durable.Opened(room.name, room.opened_by, room.own_policy, room.reserved)


def as_sat(person: Participant, tokens: tuple[bytes, ...]) -> durable.Sat:
    """What is kept of somebody who has just sat down. The tokens are hashes."""
    return durable.Sat(
        person=person.id,
        name=person.name,
        role=person.role,
        given=person.given,
        address=person.seat.voice.address,
        at=person.came_at,
        tokens=tokens,
        subject=person.subject,
        stands_in=person.stands_in,
        only_watches=person.only_watches,
    )


def as_media_at(place: PipelinePlace, owner: Owner | None) -> durable.MediaAt:
    """Where the pipeline is, and that this owner has it now."""
    node, run = ("", "") if owner is None else (owner.name, owner.instance)
    return durable.MediaAt(place.url, place.session_id, place.server_id, place.pipeline_id, node, run)


def place_of(at: durable.MediaAt) -> PipelinePlace:
    """Where the pipeline is that an earlier run has left."""
    left_by = Owner(at.node, at.run) if at.run else None
    return PipelinePlace(at.url, at.session, at.server, at.pipeline, left_by)


def as_published(stream: Stream) -> durable.Published | None:
    """What is kept of a stream; None before it has been answered."""
    if stream.endpoint_id is None:
        return None
    return durable.Published(stream.participant.id, stream.source, stream.generation, stream.endpoint_id)


def as_viewed(view: View) -> durable.Viewed | None:
    """What is kept of a view; None before it and its stream have been answered."""
    if view.endpoint_id is None or view.stream.endpoint_id is None:
        return None
    return durable.Viewed(view.participant.id, view.id, view.generation, view.endpoint_id, view.at)


def as_relayed(relay: KeptRelay, owner: Owner | None) -> durable.Relayed:
    """What is kept of a relay, and that this owner has it now."""
    return durable.Relayed(
        stream=relay.stream,
        sender=relay.ends.sender,
        receiver=relay.ends.receiver,
        above=relay.above,
        to=as_media_at(relay.to, owner),
    )


def relay_of(told: durable.Relayed) -> KeptRelay:
    """The relay that an earlier run has left."""
    return KeptRelay(told.stream, told.above, place_of(told.to), Ends(told.sender, told.receiver))


def describe(room: Kept, moderation: Moderation, chat: ChatHistory, lookalikes: Lookalikes) -> Iterator[Durable]:
    """The shortest list of events that make the room as it is now."""
    yield as_opened(room)
    if moderation.rules:
        yield durable.Configured(**moderation.rules)
    yield durable.DoorMoved("lock" if moderation.locked else "unlock")
    for person in room.people.values():
        yield as_sat(person, room.record.tokens_of(person.id))
        if person.hand is not None:
            yield durable.HandMoved(person.id, person.hand)
        if (person.microphone, person.camera) != (None, None):
            yield durable.MediaTold(person.id, person.microphone, person.camera)
        if person.sound.state != SOUND.initial:
            # The trigger that leads into each of the other states has the state's name.
            yield durable.SoundMoved(person.id, person.sound.state)
    for bearers in lookalikes.bearers():
        # Whose name is marked depends on who took it first.
        for person in bearers:
            yield durable.Renamed(person.id, person.name)
    if moderation.hands:
        yield durable.HandsCounted(moderation.hands)
    yield from moderation.bans_kept()
    if chat.number:
        lines = tuple(durable.without_file(line) for line in chat.lines())
        yield durable.ChatKept(chat.number, chat.speakers, lines)
    yield from media_of(room)


def media_of(room: KeptMedia) -> Iterator[Durable]:
    """Where the streams and views are that have been answered."""
    if room.media_place is not None:
        yield as_media_at(room.media_place, room.media_owner)
        yield from filter(None, map(as_published, room.streams.values()))
        for relay in room.kept_relays:
            yield as_relayed(relay, room.media_owner)
        for stream in room.streams.values():
            yield from filter(None, map(as_viewed, stream.views.values()))
