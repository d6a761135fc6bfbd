"""What the inspector shows of the server and of a room: states, people, streams, views, queues, transitions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from roomfsm.lifecycle.legality import allowed
from roomfsm.lifecycle.room import ROOM
from roomfsm.rooms.journal import Tally
from roomfsm.rooms.legs import Leg
from roomfsm.rooms.server_life import ServerLife

if TYPE_CHECKING:
    from roomfsm.rooms.room import Room


class Shown(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """A value of the inspector's JSON."""


class Glance(Shown, frozen=True, kw_only=True):
    """One room in a line.

    `age` is in seconds. The two `outbox…` fields add up all its people. `steps` counts the entries of its journal.
    """

    name: str
    run: str
    state: str
    age: float
    people: int
    away: int
    streams: int
    views: int
    media_server: str | None
    inbox: int
    outbox_messages: int
    outbox_bytes: int
    steps: int


class Move(Shown, frozen=True, kw_only=True):
    """How often a trigger led from one state to another."""

    trigger: str
    source: str
    dest: str
    count: int


class MachineSeen(Shown, frozen=True, kw_only=True):
    """One kind of machine: for each state, how many individuals are in it, all visits, and the seconds in it."""

    present: Mapping[str, int]
    visits: Mapping[str, int]
    dwelt: Mapping[str, float]
    moves: tuple[Move, ...]


class PersonSeen(Shown, frozen=True, kw_only=True):
    """One participant. `state` is the session's state, and `since` the number of seconds that it has lasted."""

    id: str
    name: str
    state: str
    since: float
    outbox_messages: int
    outbox_bytes: int


class LegSeen(Shown, frozen=True, kw_only=True):
    """One stream or view. `id` is that of the journal, and `since` the number of seconds in this state."""

    id: str
    stream: str
    participant: str
    state: str
    since: float
    viewers: int | None = None


class RelaySeen(Shown, frozen=True, kw_only=True):
    """One relay of a stream. `id` is that of the journal, and `since` the number of seconds in this state.

    `above` and `below` are the addresses of the media servers from which and to which it is relayed.
    """

    id: str
    stream: str
    state: str
    since: float
    above: str
    below: str


class RoomSeen(Shown, frozen=True, kw_only=True):
    """One room in full. People, streams, views and relays are listed up to `SHOWN` each.

    The glance has the full counts.

    `legal_inside` are the messages that the room's people may send now. `legal_outside` are the messages with
    which others may enter it now.
    """

    glance: Glance
    legal_inside: tuple[str, ...]
    legal_outside: tuple[str, ...]
    machines: Mapping[str, MachineSeen]
    people: tuple[PersonSeen, ...]
    streams: tuple[LegSeen, ...]
    views: tuple[LegSeen, ...]
    relays: tuple[RelaySeen, ...]


class ServerSeen(Shown, frozen=True, kw_only=True):
    """The server: its state, for how many seconds it has been in that, and its machine.

    `node` is what it is as one of several nodes (`roomfsm.nodes.inspection`).
    """

    state: str
    since: float
    machine: MachineSeen
    node: Shown | None = None


SHOWN = 200
"""The most people, streams and views that are listed. So it costs no more to watch a room when it is full."""


def glance_at(room: Room) -> Glance:
    """Summarize the room in one line."""
    outboxes = [person.seat.sitter.outbox for person in room.people.values()]
    return Glance(
        name=room.name,
        run=room.journal.opened.run,
        state=room.state,
        age=round(room.journal.age, 3),
        people=len(room.people),
        away=sum(person.away for person in room.people.values()),
        streams=len(room.streams),
        views=sum(len(stream.views) for stream in room.streams.values()),
        media_server=room.media_server,
        inbox=room.waiting,
        outbox_messages=sum(messages for messages, _ in outboxes),
        outbox_bytes=sum(size for _, size in outboxes),
        steps=room.journal.seq,
    )


def look_at(room: Room) -> RoomSeen:
    """Describe the room in full."""
    now, tallies = room.journal.age, room.journal.tallies
    streams = list(room.streams.values())
    views = [view for stream in streams for view in stream.views.values()]
    return RoomSeen(
        glance=glance_at(room),
        legal_inside=allowed("joined", room.state) if room.people else (),
        legal_outside=tuple(message for message in ("join", "switch") if ROOM.rows_of(room.state, "join")),
        machines={name: machine_at(tally, now) for name, tally in tallies.items()},
        people=tuple(
            PersonSeen(
                id=person.id,
                name=person.name,
                state=person.seat.sitter.state,
                since=since(tallies["session"], person.id, now),
                outbox_messages=person.seat.sitter.outbox[0],
                outbox_bytes=person.seat.sitter.outbox[1],
            )
            for person in list(room.people.values())[:SHOWN]
        ),
        streams=tuple(_leg(stream, tallies["stream"], now, len(stream.views)) for stream in streams[:SHOWN]),
        views=tuple(_leg(view, tallies["view"], now, None) for view in views[:SHOWN]),
        relays=tuple(
            RelaySeen(
                id=relay.key,
                stream=relay.stream,
                state=relay.state,
                since=since(tallies["relay"], relay.key, now),
                above=relay.above,
                below=relay.below,
            )
            for relay in (() if room.broadcast is None else room.broadcast.relays[:SHOWN])
        ),
    )


def look_at_server(life: ServerLife, node: Shown | None = None) -> ServerSeen:
    """Describe the server's machine, and the node that it is."""
    return ServerSeen(
        state=life.state,
        since=since(life.tally, None, life.age),
        machine=machine_at(life.tally, life.age),
        node=node,
    )


def machine_at(tally: Tally, now: float) -> MachineSeen:
    """Describe all machines of a tally."""
    return MachineSeen(
        present=tally.present(),
        visits=tally.visits,
        dwelt={state: round(seconds, 3) for state, seconds in tally.dwelt(now).items()},
        moves=tuple(
            Move(trigger=trigger, source=source, dest=dest, count=count)
            for (trigger, source, dest), count in tally.moves.items()
        ),
    )


def _leg(leg: Leg, tally: Tally, now: float, viewers: int | None) -> LegSeen:
    return LegSeen(
        id=leg.key,
        stream=leg.id,
        participant=leg.participant.id,
        state=leg.state,
        since=since(tally, leg.key, now),
        viewers=viewers,
    )


def since(tally: Tally, id: str | None, now: float) -> float:  # noqa: A002 (the journal's word)
    """For how many seconds an individual has been in its present state."""
    entered = tally.since(id)
    return 0.0 if entered is None else round(now - entered, 3)
