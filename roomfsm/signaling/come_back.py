"""Brings back rooms that the store has kept, with the sessions of their people.

All of them come back at the start of the server, and one by one those that another node has had.

A person may be found in two rooms: the server ended in the middle of a `switch`. The store knows to which of the
two the person's token belongs, and the other room takes a leave.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence

import trio

from roomfsm.kurento.objects import PipelinePlace
from roomfsm.log import get_logger
from roomfsm.rooms.come_back import CannotComeBack
from roomfsm.rooms.directory import Directory
from roomfsm.rooms.participant import Seat
from roomfsm.rooms.room import Room, give_up
from roomfsm.rooms.writer import StoreCounts
from roomfsm.signaling.registry import Registry
from roomfsm.signaling.session import Session
from roomfsm.store.interface import Past, Store

_log = get_logger(__name__)

SETTLED_WITHIN = 2.0
"""The most seconds that people wait, when a room comes back, until it is clear which streams go on."""
_AT_ONCE = 16
"""How many rooms are asked for at a time. A Redis takes half a millisecond for each, most of it on the way."""


async def come_back(
    store: Store, directory: Directory, registry: Registry, counts: StoreCounts
) -> Sequence[PipelinePlace]:
    """Bring back all rooms of the store. Returns where their pipelines are. Raises `StoreError`."""
    began = time.perf_counter()
    seats: dict[str, Seat[Room]] = {}
    twice: list[Seat[Room]] = []
    async for key, past in _pasts(store):
        # A large room takes half a second.
        await trio.lowlevel.checkpoint()
        room = _open_again(key, past, directory, registry, counts)
        if room is None:
            continue
        for person in room.people.values():
            seat, other = person.seat, seats.get(person.id)
            if other is not None:
                belongs = await _room_of(store, seat)
                seat, other = (seat, other) if belongs == key else (other, seat)
                twice.append(other)
            seats[person.id] = seat
    for seat in seats.values():
        _take_back(seat, registry)
    for seat in twice:
        await give_up(seat, "switched")
    if counts.came_back or counts.set_aside:
        seconds = round(time.perf_counter() - began, 3)
        _log.info("rooms came back", rooms=counts.came_back, people=len(seats), seconds=seconds)
    return [place for room in directory.rooms() for place in room.media_places]


async def bring_back(
    key: str, past: Past, store: Store, directory: Directory, registry: Registry, counts: StoreCounts
) -> None:
    """Bring back one room, while others go on. Raises `StoreError`."""
    room = _open_again(key, past, directory, registry, counts)
    if room is None:
        return
    seats = [person.seat for person in room.people.values()]
    # At once, because the room is open now: everybody can come back to it.
    for seat in seats:
        _take_back(seat, registry)
    _log.info("room came back", room=key, people=len(seats))
    for seat in seats:
        if await _room_of(store, seat) not in (key, None):
            # The person has gone to another room.
            await give_up(seat, "switched")


def _open_again(
    key: str, past: Past, directory: Directory, registry: Registry, counts: StoreCounts
) -> Room | None:
    try:
        room = directory.bring_back(key, past, registry.absent)
    except CannotComeBack as error:
        counts.set_aside += 1
        _log.error("room set aside", room=key, why=str(error), see="docs/persistence.md")
        return None
    counts.came_back += 1
    return room


def _take_back(seat: Seat[Room], registry: Registry) -> None:
    assert isinstance(seat.sitter, Session)
    registry.take_back(seat.sitter, seat)


async def _pasts(store: Store) -> AsyncIterator[tuple[str, Past]]:
    """What the store has of each room."""
    keys = await store.rooms()
    for start in range(0, len(keys), _AT_ONCE):
        found: dict[str, Past] = {}

        async def read(key: str, found: dict[str, Past] = found) -> None:
            found[key] = await store.read(key)

        async with trio.open_nursery() as nursery:
            for key in keys[start : start + _AT_ONCE]:
                nursery.start_soon(read, key)
        for key in keys[start : start + _AT_ONCE]:
            yield key, found[key]


async def _room_of(store: Store, seat: Seat[Room]) -> str | None:
    rooms = [await store.room_of(token) for token in seat.room.record.tokens_of(seat.id)]
    return next((room for room in rooms if room is not None), None)
