"""A store in memory that can fail and hang as the real ones do, and rooms that are kept in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import trio

from roomfsm.access.policy import Policies, Policy
from roomfsm.files.store import KeepsFiles
from roomfsm.protocol.fields import Ref
from roomfsm.rooms.allowance import UNBOUNDED, Voice
from roomfsm.rooms.directory import Directory, open_directory
from roomfsm.rooms.durable import Sat
from roomfsm.rooms.events import Away
from roomfsm.rooms.participant import Seat
from roomfsm.rooms.room import RESTARTING, Room
from roomfsm.rooms.settings import RoomSettings
from roomfsm.rooms.writer import Writer, open_writer
from roomfsm.store.interface import (
    Append,
    Aside,
    Forget,
    OfRoom,
    Past,
    Remember,
    SetAside,
    Snapshot,
    StoreCode,
    StoreError,
    Write,
)
from roomfsm.store.settings import StoreSettings
from roomfsm.testing import FakeMedia, Person
from roomfsm.testing.session import FakeSession
from tests.rooms.house import ANYBODY, SMALL

NOTHING = Past(None, 0, ())


@dataclass(slots=True)
class MemoryStore:
    """Implements `roomfsm.store.interface.Store`, and checks positions as the real ones do."""

    pasts: dict[str, Past] = field(default_factory=dict)
    tokens: dict[bytes, str] = field(default_factory=dict)
    set_aside: list[Aside] = field(default_factory=list)
    commits: list[tuple[OfRoom, ...]] = field(default_factory=list)
    error: Exception | None = None
    """What each commit raises."""
    hangs: bool = False
    done: trio.Event = field(default_factory=trio.Event)
    lost: set[str] = field(default_factory=set)
    """The rooms that are another server's."""

    @property
    def place(self) -> str:
        return "the memory of a test"

    def fail(self, code: StoreCode = StoreCode.FULL) -> None:
        self.error = StoreError(code, "a test")

    def mend(self) -> None:
        self.error = None
        self.hangs = False
        self.done.set()
        self.done = trio.Event()

    async def commit(self, writes: Sequence[Write]) -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        while self.hangs:
            await self.done.wait()
        if self.error is not None:
            raise self.error
        pasts, tokens = dict(self.pasts), dict(self.tokens)
        of_rooms = tuple(write for write in writes if not isinstance(write, Remember))
        assert len(of_rooms) == len(writes), "rooms remember nothing for the server"
        lost = {write.room for write in of_rooms} & self.lost
        for write in [write for write in of_rooms if write.room not in lost]:
            self._do(write, pasts, tokens)
        self.pasts, self.tokens = pasts, tokens
        self.commits.append(of_rooms)
        return tuple(lost)

    def _do(self, write: OfRoom, pasts: dict[str, Past], tokens: dict[bytes, str]) -> None:
        past = pasts.get(write.room, NOTHING)
        match write:
            case Append(room, position, events, moved):
                if past.next != position:
                    raise StoreError(StoreCode.CONFLICT, f"{past.next}, and not {position}")
                pasts[room] = replace(past, events=past.events + events)
                for token, there in moved.items():
                    if there:
                        tokens[token] = room
                    elif tokens.get(token) == room:
                        del tokens[token]
            case Snapshot(room, position, snapshot, held):
                if past.next > position:
                    raise StoreError(StoreCode.TAKEN, f"{past.next}, and not {position}")
                pasts[room] = Past(snapshot, position, ())
                tokens.update(dict.fromkeys(held, room))
            case Forget(room):
                pasts.pop(room, None)
            case SetAside(room, why):
                if pasts.pop(room, None) is not None:
                    self.set_aside.append(Aside(room, 0, why))

    async def rooms(self) -> list[str]:
        return sorted(self.pasts)

    async def read(self, room: str) -> Past:
        return self.pasts.get(room, NOTHING)

    async def room_of(self, token: bytes) -> str | None:
        return self.tokens.get(token)

    async def aside(self) -> list[Aside]:
        return self.set_aside

    async def remembered(self, what: str) -> bytes | None:
        raise AssertionError(f"rooms do not ask for {what}")


class KeptPerson(Person):
    """Somebody whose session outlives a restart, as that of a browser with its token does."""

    def __init__(self, directory: Directory, name: str = "Ada", address: str = "192.0.2.1") -> None:
        super().__init__(directory, name, address)

    def put_out(self) -> None:
        # A server that is killed puts nobody out, and the end of the test's server stands for that. What is handed
        # over is taken over with its people.
        killed = trio.current_effective_deadline() <= trio.current_time()
        if not (killed or self.sits_in.ended_by == RESTARTING):
            super().put_out()

    def move_to(self, directory: Directory) -> None:
        """Use the rooms of a server that was started anew."""
        self._directory = directory

    async def restart(self, directory: Directory) -> None:
        """Go on in a server that was started anew, in which the seat of this person is."""
        self._directory = directory
        if self.seat is None:
            return
        room = directory.find(self.sits_in.name)
        person = None if room is None else room.people.get(self.participant_id)
        assert person is not None, "the seat is lost"
        self.seat = person.seat
        assert room is not None
        if self.state == "joined":
            self.fire("lost")
        await room.post(Away(person.seat))


@dataclass(slots=True)
class Kept:
    """A server whose rooms are kept."""

    store: MemoryStore
    writer: Writer
    directory: Directory
    media: FakeMedia


@asynccontextmanager
async def kept(
    store: MemoryStore,
    people: Iterable[Person] = (),
    *,
    rooms: RoomSettings = SMALL,
    policy: Policy = ANYBODY,
    settings: StoreSettings = StoreSettings(data="none"),  # noqa: B008 (it is frozen)
    files: KeepsFiles | None = None,
    media: FakeMedia | None = None,
) -> AsyncIterator[Kept]:
    """Run a server. What the store has comes back first, with these people. The end is as if it were killed.

    The media servers go on without it.
    """
    media = media or FakeMedia()
    media.cut_off = False
    by_id = {person.participant_id: person for person in people}

    def sitter_of(told: Sat) -> FakeSession:
        return by_id.get(told.person) or FakeSession(told.person, Voice(told.person, told.address, UNBOUNDED))

    async with (
        open_writer(store, settings) as writer,
        open_directory(
            media.pool, rooms, policies=Policies(default=policy), files=files, records=writer
        ) as directory,
    ):
        for key in await store.rooms():
            directory.bring_back(key, await store.read(key), sitter_of)
        try:
            yield Kept(store, writer, directory, media)
        finally:
            media.cut_off = True


def seat_in(room: Room, person: Person) -> Seat[Room]:
    return room.people[person.participant_id].seat


async def newcomer(directory: Directory, room: str, ref: Ref | None = None) -> Person:
    """Somebody who enters by another address."""
    eve = Person(directory, "Eve", "198.51.100.7")
    await eve.join(room, ref)
    return eve
