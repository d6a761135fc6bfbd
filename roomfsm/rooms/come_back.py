"""A room comes back: its durable events are put to the tables that took them before the server was started.

A message that leaves the room's state as it is, such as `chat`, is only asked for (`Table.check`): to take its row
would cost a hundred times as much.

An event says what came out of a decision. So what limits a decision (rates, the number of places, who may do
what) is not asked again, and may be different today. But the tables are asked whether the event can have
happened: nobody sits down twice, nobody speaks in an empty room, and the door and the sound move by their rows. An
event that they do not take is an error that names the event, and the room is set aside.

People come back as people whose connection is lost. Their sessions say so as they always do, so here they sit.

Streams and views go on, because media servers and browsers have gone on: no browser is asked for an offer. Those
that have not ended by the last event are begun when all events have been put.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

import msgspec

from roomfsm.access.policy import Policy
from roomfsm.lifecycle.room import ROOM, RoomFacts
from roomfsm.lifecycle.table import Model
from roomfsm.protocol.errors import Refusal
from roomfsm.protocol.fields import stream_id
from roomfsm.protocol.names import room_key
from roomfsm.rooms import durable
from roomfsm.rooms.chat import ChatHistory
from roomfsm.rooms.durable import Durable
from roomfsm.rooms.lookalikes import Lookalikes
from roomfsm.rooms.moderation import Moderation
from roomfsm.rooms.participant import Participant, Seat, Sitter
from roomfsm.store.interface import Past

type SitterOf = Callable[[durable.Sat], Sitter]
"""Makes the session of somebody who comes back."""


class CannotComeBack(Exception):
    """A room cannot come back. The message names the event that is wrong, and says why."""


class Inside(Protocol):
    """What coming back changes in a room."""

    @property
    def people(self) -> dict[str, Participant]: ...

    @property
    def policy(self) -> Policy: ...

    def configure(self, policy: Policy, *, own: bool = False) -> None:
        """Use this policy from now on."""


def read_past(key: str, past: Past) -> tuple[durable.Opened, Sequence[Durable]]:
    """How the room with this key was opened, and what happened then. Raises `CannotComeBack`."""
    try:
        events = durable.decode(past.snapshot, past.events)
    except msgspec.DecodeError as error:
        raise CannotComeBack(f"its events cannot be read: {error}") from error
    if not events or not isinstance(opened := events[0], durable.Opened):
        raise CannotComeBack("its first event does not say how it was opened")
    if room_key(opened.room) != key:
        raise CannotComeBack(f"its first event is that of the room {opened.room!r}")
    return opened, events[1:]


class ComingBack:
    """Puts the events of one room to its tables. The room has just been made, and does not run yet."""

    def __init__(
        self,
        room: Inside,
        model: Model,
        moderation: Moderation,
        chat: ChatHistory,
        lookalikes: Lookalikes,
        sit: Callable[[durable.Sat], Seat[object]],
    ) -> None:
        self._room = room
        self._model = model
        self._moderation = moderation
        self._chat = chat
        self._lookalikes = lookalikes
        self._sit = sit
        self.tokens: dict[str, tuple[bytes, ...]] = {}
        """The hashes of the tokens by which each person comes back."""
        self.media_at: durable.MediaAt | None = None
        self.streams: dict[str, durable.Published] = {}
        """What goes on, by the stream's id."""
        self._relays: dict[tuple[str, str], durable.Relayed] = {}
        """The last relay of each stream to each media server, by their ids and addresses. It may have ended."""
        self._views: dict[str, dict[str, durable.Viewed]] = {}
        """What goes on, by the ids of the stream and the viewer."""

    @property
    def views(self) -> Iterator[durable.Viewed]:
        """The views that go on."""
        return (view for views in self._views.values() for view in views.values())

    @property
    def relays(self) -> Iterator[durable.Relayed]:
        """The relays by which the views that go on get their streams: each after the one from which it comes."""
        needed: dict[tuple[str, str], durable.Relayed] = {}
        for view in self.views:
            way: dict[tuple[str, str], durable.Relayed] = {}
            key = view.stream, view.at
            while key in self._relays and key not in way and key not in needed:
                way[key] = self._relays[key]
                key = view.stream, way[key].above
            needed |= dict(reversed(way.items()))
        return iter(needed.values())

    def put(self, events: Sequence[Durable]) -> None:
        """Put all events to the tables. Raises `CannotComeBack`."""
        for number, event in enumerate(events, 2):
            try:
                self._put(event)
            except (Refusal, LookupError) as error:
                what = f"nobody has the id {error}" if isinstance(error, KeyError) else str(error)
                raise CannotComeBack(f"event {number}, {durable.named(event)}: {what}") from error

    def _put(self, event: Durable) -> None:
        people, moderation = self._room.people, self._moderation
        match event:
            # Most events are lines, so they come first.
            case durable.Said(line=line):
                ROOM.check(self._model, "chat")
                self._chat.put(line)
            case durable.Sat():
                self._sit_down(event)
            case durable.Left(person=one):
                self._leave(people[one])
            case durable.Returned(person=one, tokens=tokens, address=address):
                ROOM.check(self._model, "back")
                self.tokens[people[one].id] = tokens
                voice = people[one].seat.voice
                voice.address = address or voice.address
            case durable.Renamed(person=one, name=name):
                ROOM.check(self._model, "rename")
                self._lookalikes.remove(people[one])
                people[one].name = name
                self._lookalikes.add(people[one])
            case durable.GotRole(person=one, role=role, given=given, stands_in=stands_in):
                people[one].role, people[one].given, people[one].stands_in = role, given, stands_in
            case durable.HandMoved(person=one, number=hand):
                people[one].hand = hand
                moderation.hands = max(moderation.hands, hand or 0)
            case durable.MediaTold(person=one, microphone=microphone, camera=camera):
                people[one].microphone, people[one].camera = microphone, camera
            case durable.SoundMoved(person=one, trigger=trigger):
                moderation.move_sound(people[one], trigger)
            case durable.DoorMoved(trigger=trigger):
                moderation.move_door(trigger)
            case durable.Configured():
                rules = {name: rule for name, rule in msgspec.structs.asdict(event).items() if rule is not None}
                moderation.rules |= rules
                self._room.configure(replace(self._room.policy, **rules))
            case durable.PolicySet(policy=policy):
                moderation.rules.clear()
                self._room.configure(policy, own=True)
            case durable.Banned():
                moderation.put_ban(event)
            case durable.Unbanned(person=one):
                moderation.drop_ban(one)
            case durable.HandsCounted(count=count):
                moderation.hands = count
            case _:
                self._put_chat(event)

    def _put_chat(self, event: Durable) -> None:
        match event:
            case durable.LineDeleted(line=number):
                if self._chat.speaker_of(number) is None:
                    raise LookupError(f"there is no line {number}")
                self._chat.delete(number)
            case durable.ChatCleared():
                self._chat.clear()
            case durable.ChatKept(number=number, speakers=speakers, lines=lines):
                self._chat.restore(number, speakers, lines)
            case _:
                self._put_media(event)

    def _put_media(self, event: Durable) -> None:
        people = self._room.people
        match event:
            case durable.MediaAt():
                self.media_at = event
            case durable.Published(person=one, stream=name):
                facts = RoomFacts(streams=len(self.streams) + 1, publishing=name in self.streams)
                ROOM.fire(self._model, "publish", facts)
                if self.media_at is None:
                    raise LookupError("no pipeline is known in which it could be")
                self.streams[name] = event
                self._views.setdefault(name, {})
                people[one].had_generation(name, event.generation)
            case durable.Relayed(stream=name, to=to):
                if name not in self.streams:
                    raise LookupError(f"it cannot be about the stream {name}")
                self._relays[name, to.url] = event
            case durable.Unpublished(person=one, source=source):
                name = stream_id(one, source)
                there, left = name in self.streams, len(self.streams) - 1
                ROOM.fire(self._model, "unpublish", RoomFacts(stream_exists=there, own_stream=True, streams=left))
                self._end_stream(name)
            case durable.Viewed(person=one, stream=name):
                self._check_view("view", event, viewing=False)
                self._views[name][one] = event
                people[one].had_generation(name, event.generation)
            case durable.Unviewed(person=one, stream=name):
                self._check_view("unview", event, viewing=True)
                del self._views[name][one]
            case _:
                raise LookupError("it can only be the first event")

    def _check_view(self, trigger: str, event: durable.Viewed | durable.Unviewed, *, viewing: bool) -> None:
        """Raises `LookupError` if there is no such stream, or if the person is not `viewing` it, or is."""
        ROOM.check(self._model, trigger)
        if event.stream not in self.streams or (event.person in self._views[event.stream]) != viewing:
            raise LookupError(f"it cannot be about the stream {event.stream}")

    def _end_stream(self, name: str) -> None:
        del self.streams[name], self._views[name]
        self._relays = {key: relay for key, relay in self._relays.items() if relay.stream != name}

    def _sit_down(self, event: durable.Sat) -> None:
        people = self._room.people
        count, streams = len(people) + 1, len(self.streams)
        member = event.person in people
        ROOM.fire(self._model, "join", RoomFacts(people=count, max_people=count, member=member, streams=streams))
        person = Participant(self._sit(event), event.name)
        person.came_at = event.at
        self._moderation.readmit(person, event)
        self._lookalikes.add(person)
        people[person.id] = person
        self.tokens[person.id] = event.tokens

    def _leave(self, person: Participant) -> None:
        people = self._room.people
        for stream in [name for name, told in self.streams.items() if told.person == person.id]:
            self._end_stream(stream)
        for views in self._views.values():
            views.pop(person.id, None)
        ROOM.fire(self._model, "leave", RoomFacts(people=len(people) - 1, streams=len(self.streams)))
        self._lookalikes.remove(person)
        del people[person.id]
        self.tokens.pop(person.id, None)
