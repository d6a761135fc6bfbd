"""The directory: it opens a room when the first person joins, and finds rooms by their folded names.

Each room is a task in the directory's nursery. A room may end at the same moment in which somebody wants to enter
it. The directory therefore removes a room from its index as soon as the room takes no more events, and before the
senders of the last events learn that it is over. So whoever was too late finds no room of that name, and opens a
new one. The old room may still be releasing its media then; the two share nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import trio

from roomfsm.access.credentials import UNASKED, Credentials
from roomfsm.access.policy import Policies, Policy
from roomfsm.files.store import KeepsFiles
from roomfsm.kurento.pool import MediaPool
from roomfsm.lifecycle.server import ServerFacts
from roomfsm.lifecycle.stream import WITH_MEDIA
from roomfsm.log import concern_only, get_logger
from roomfsm.protocol.errors import ErrorCode, Refusal
from roomfsm.protocol.fields import Ref
from roomfsm.protocol.names import room_key
from roomfsm.protocol.roles import Role
from roomfsm.rooms.come_back import CannotComeBack, SitterOf, read_past
from roomfsm.rooms.counts import Counts
from roomfsm.rooms.durable import Opened
from roomfsm.rooms.events import Close, Enter, HandOver, Vacate
from roomfsm.rooms.journal import Sink
from roomfsm.rooms.observers import Observers
from roomfsm.rooms.participant import Seat, Sitter
from roomfsm.rooms.record import NOTHING_KEPT, Record, Records
from roomfsm.rooms.room import RESTARTING, SHUTDOWN, Room, RoomOver
from roomfsm.rooms.server_life import ServerLife
from roomfsm.rooms.settings import RoomSettings
from roomfsm.store.interface import Past
from roomfsm.tracing import leave_trace

_TRIES = 3
"""How many rooms one join tries, if each of them ends at that moment."""


@dataclass(frozen=True, slots=True)
class RoomSummary:
    """A room as the lobby shows it."""

    name: str
    state: str
    participants: int
    streams: int
    """How many are live, that is, whose media flow at this moment."""

    def order(self) -> tuple[int, str]:
        """Sorts the rooms of a list, the fullest first."""
        return -self.participants, self.name


def _live(room: Room) -> int:
    return sum(stream.told_state in WITH_MEDIA for stream in room.streams.values())


class RoomExists(Exception):
    """A room of that name is open already."""


class Directory:
    """All rooms. If a room fails, only that room ends, and the next person who joins opens a new one."""

    def __init__(
        self,
        nursery: trio.Nursery,
        pool: MediaPool,
        settings: RoomSettings,
        write_journal: Sink | None,
        life: ServerLife | None = None,
        policies: Policies | None = None,
        observers: Observers | None = None,
        files: KeepsFiles | None = None,
        records: Records = NOTHING_KEPT,
    ) -> None:
        self.life = ServerLife() if life is None else life
        """The server's machine. If the caller has none, the directory gets one of its own, which is open."""
        if life is None:
            self.life.fire("opened")
        self._write_journal = write_journal
        self._observers = observers or Observers()
        self._files = files
        self._records = records
        self._nursery = nursery
        self._pool = pool
        self.settings = settings
        self._rooms: dict[str, Room] = {}
        self._changed = trio.Event()
        self.policies = Policies() if policies is None else policies
        """The policies of rooms that are opened from now on."""
        self.counts = Counts()
        """What has happened in the rooms and sessions of this server."""

    def __len__(self) -> int:
        return len(self._rooms)

    @property
    def keeps(self) -> bool:
        """Whether what rooms promise now outlives the server, as far as the settings want that."""
        return self._records.keeps

    def summaries(self) -> list[RoomSummary]:
        """The rooms with people in them, the fullest first."""
        return sorted(
            (
                RoomSummary(room.name, room.told_state, len(room.people), _live(room))
                for room in self._rooms.values()
                if room.people and room.policy.listed
            ),
            key=RoomSummary.order,
        )

    async def enter(
        self,
        room_name: str,
        sitter: Sitter,
        name: str,
        ref: Ref | None,
        *,
        asked: str = "join",
        credentials: Credentials = UNASKED,
        before: Seat[Room] | None = None,
    ) -> Seat[Room]:
        """Give a session a seat in the room of that name, and open the room if it is not open.

        `name` is the person's display name. `ref` and `asked` are the `ref` and the type of the client's message.
        `credentials` are what the person has and knows, held against the room's policy. `before` is the seat that
        the session has in another room. When this returns, the new room has sent its description to the seat.
        Raises `Refusal`: the room's own, or with `SERVER_FULL`, `TOO_MANY_ROOMS` or `SERVER_CLOSING`, or with
        `ROOM_CLOSED` if rooms end as fast as they are opened.
        """
        for _ in range(_TRIES):
            if self.find(room_name) is None:
                # Nobody opens a room who may not enter it.
                self.would_admit(room_name, credentials)
            room = self.find(room_name) or await self._open(room_name, sitter)
            seat = Seat(sitter, before, room.record)
            try:
                await room.request(Enter(seat, name, ref, asked, credentials))
            except RoomOver:
                # The room ended just now. It has left the index already, so the next try finds another room. If it
                # goes on at another server, nothing may be opened here.
                if room.record.disowned:
                    break
                continue
            seat.place_in(room)
            return seat
        raise Refusal(ErrorCode.ROOM_CLOSED)

    async def create(self, room_name: str, policy: Policy | None = None) -> Room:
        """Open a room before anybody enters it, for an administrator.

        It stays open for as long as its policy lets it be empty, and its place is not given away meanwhile.
        `policy` is the room's own policy, which is forgotten with the room; None stands for the one that the
        settings give a room of that name. Raises `RoomExists`, `Refusal` with `SERVER_FULL` or
        `SERVER_CLOSING`, or `RoomOver` if the room goes on at another server.
        """
        if self.find(room_name) is None:
            await self._make_place(room_name, None)
        open_already = self.find(room_name)
        if open_already is not None:
            raise RoomExists(open_already.name)
        room = self._start(room_name, policy, reserved=True)
        await room.until_kept()
        return room

    def policy_of(self, room_name: str) -> Policy:
        """The policy that decides who may enter the room of that name now, whether it is open or not."""
        room = self.find(room_name)
        own = None if room is None else room.own_policy
        return self.policies.of(room_name) if own is None else own

    def would_admit(self, room_name: str, brought: Credentials) -> tuple[Role, bool]:
        """The role of a stranger who would enter the room of that name now, whether it is open or not.

        The other value says whether the stranger would have to wait in the lobby first.

        Raises the `Refusal` that the stranger would get.
        """
        room = self.find(room_name)
        if room is None:
            self.life.fire("open_room")
            room = Room(room_name, self._pool, self.settings, policy=self.policies.of(room_name))
        return room.would_admit(brought)

    def rooms(self) -> list[Room]:
        """All rooms, in the order in which they were opened."""
        return list(self._rooms.values())

    def find(self, name: str) -> Room | None:
        """The room of that name, in any spelling that folds to the same name; None if it is not open."""
        return self._rooms.get(room_key(name))

    async def close_room(self, name: str, reason: str) -> bool:
        """Have a room close. Returns whether there is such a room, and only when its end is kept.

        While the store fails, it returns nevertheless when the deadline of the store is over. Raises `RoomOver` if
        the room goes on at another server.
        """
        room = self.find(name)
        if room is None:
            return False
        with suppress(RoomOver):
            await room.request(Close(reason))
        await room.until_kept()
        return True

    async def close(self) -> None:
        """Close every room, and open no new ones."""
        self.life.fire("stop")
        await self.close_rooms(SHUTDOWN)

    async def close_rooms(self, reason: str) -> None:
        """Close every room, because the server ends.

        Returns when each has released its media, or has passed its deadline.
        """
        await self._end_rooms(lambda: Close(reason, with_server=True))

    async def hand_over(self) -> None:
        """Leave every room to the next run of the server, with its media, and open no new ones.

        Returns when the last thing that is kept of each is on its way to the store.
        """
        self.life.fire("stop")
        await self._end_rooms(lambda: HandOver(RESTARTING))

    async def _end_rooms(self, why: Callable[[], Close | HandOver]) -> None:
        for room in tuple(self._rooms.values()):
            self._nursery.start_soon(self._end, room, why())
        while self._rooms:
            self._changed = trio.Event()
            await self._changed.wait()

    async def _open(self, name: str, opener: Sitter) -> Room:
        """Open the room of that name for `opener`, unless somebody else did so meanwhile. Raises `Refusal`."""
        by = opener.participant_id, opener.voice.address
        await self._make_place(name, by)
        return self.find(name) or self._start(name, opened_by=by)

    def _start(
        self,
        name: str,
        own_policy: Policy | None = None,
        *,
        opened_by: tuple[str, str] = ("", ""),
        reserved: bool = False,
    ) -> Room:
        key = room_key(name)
        opened = Opened(name, opened_by, own_policy, reserved)
        room = self._make(opened, self._records.record(key))
        room.record.note(opened)
        self._put_in(key, room)
        return room

    def bring_back(self, key: str, past: Past, sitter_of: SitterOf) -> Room:
        """Open a room again that the store has kept.

        Raises `CannotComeBack`. Then the store sets it aside for the operator, and the room can be opened anew.
        """
        record = self._records.record(key, past)
        try:
            opened, events = read_past(key, past)
            room = self._make(opened, record, came_back=True)
            room.come_back(events, sitter_of)
        except CannotComeBack as error:
            record.set_aside(str(error))
            raise
        self._put_in(key, room)
        return room

    def _make(self, opened: Opened, record: Record, *, came_back: bool = False) -> Room:
        return Room(
            opened.room,
            self._pool,
            self.settings,
            self._write_journal,
            opened_by=opened.by,
            policy=self.policies.of(opened.room),
            own_policy=opened.own_policy,
            reserved=opened.reserved,
            counts=self.counts,
            observers=self._observers,
            files=self._files,
            record=record,
            came_back=came_back,
        )

    def _put_in(self, key: str, room: Room) -> None:
        self._rooms[key] = room
        self._nursery.start_soon(self._run, key, room)

    async def _make_place(self, name: str, by: tuple[str, str] | None) -> None:
        """Returns when there is a place for the room of that name, or when somebody has opened that room.

        `by` are the participant and the address that want to open it, or None for an administrator. Raises
        `Refusal`.
        """
        while self.find(name) is None:
            self.life.fire("open_room", ServerFacts(store_keeps=self.keeps))
            one_of, code = self._in_the_way(by)
            if code is None:
                return
            idle = [(room.idle_since, room) for room in one_of if room.idle_since is not None]
            if not idle:
                raise Refusal(code)
            with suppress(RoomOver):
                await min(idle, key=lambda found: found[0])[1].request(Vacate())

    def _in_the_way(self, by: tuple[str, str] | None) -> tuple[list[Room], ErrorCode | None]:
        """What is in the way if the participant and the address in `by` want to open another room.

        Returns the rooms of which one must end first, and the code of the refusal if none of them can; the code is
        None if nothing is in the way. For an administrator only the limit of the server counts.
        """
        rooms = [room for room in self._rooms.values() if not room.over]
        settings = self.settings
        if by is not None:
            for which, most in ((0, settings.max_rooms_per_session), (1, settings.max_rooms_per_address)):
                own = [room for room in rooms if room.opened_by[which] == by[which]]
                if len(own) >= most:
                    return own, ErrorCode.TOO_MANY_ROOMS
        if len(rooms) >= settings.max_rooms:
            return rooms, ErrorCode.SERVER_FULL
        return rooms, None

    async def _run(self, key: str, room: Room) -> None:
        concern_only(room=room.name)
        leave_trace()
        log = get_logger(__name__).bind(room=room.name)
        log.info("room opened")

        def on_over() -> None:
            if self._rooms.get(key) is room:
                del self._rooms[key]
                self._changed.set()
                log.info("room ended")

        try:
            await room.run(on_over)
        except Exception:
            # A fault in one room must not end the others: this is the boundary.
            log.exception("room failed", **room.handled)
        finally:
            on_over()

    async def _end(self, room: Room, event: Close | HandOver) -> None:
        with suppress(RoomOver):
            await room.post(event)


@asynccontextmanager
async def open_directory(
    pool: MediaPool,
    settings: RoomSettings,
    write_journal: Sink | None = None,
    life: ServerLife | None = None,
    policies: Policies | None = None,
    observers: Observers | None = None,
    files: KeepsFiles | None = None,
    records: Records = NOTHING_KEPT,
) -> AsyncIterator[Directory]:
    """Open a directory, whose rooms end when this scope ends.

    `write_journal` gets the lines of every room's journal. `life` is the machine of the server that the rooms are
    part of. `policies` are the rooms' policies; without any, everybody may enter. `observers` follow the rooms.
    `files` is where their people's files are kept; without it, they take none. `records` keeps the rooms, if they
    outlive the server.
    """
    async with trio.open_nursery() as nursery:
        directory = Directory(nursery, pool, settings, write_journal, life, policies, observers, files, records)
        yield directory
        nursery.cancel_scope.cancel()
