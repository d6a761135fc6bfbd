"""What a store does, and what can go wrong with it.

A store keeps for each room a list of events and at most one snapshot, which stands for all events before it. It
knows nothing of what the bytes mean, and nothing of rooms but their keys (`roomfsm.protocol.names.room_key`). For
each token that can bring somebody back it knows the room, by the token's hash.

Events are numbered from 0. Whoever appends says which number the first of the new events has, and the store
refuses any other than the next one. So if two servers ever write into one room, or if a store has lost what it had
already confirmed, this is found at the next write, and nothing is mixed.

If several servers, which are *nodes* then, share a store, each room belongs to one of them. A node may not know
yet that it has lost a room. So the store checks each room that a commit writes to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class StoreCode(StrEnum):
    """What is wrong with a store. `mend` says what an operator can do about it."""

    mend: str

    def __new__(cls, value: str, mend: str) -> StoreCode:
        member = str.__new__(cls, value)
        member._value_ = value
        member.mend = mend
        return member

    UNWRITABLE = "store_unwritable", "give this user the right to write there, or name another folder by --data"
    IN_USE = "store_in_use", "end the other server, or give this one a folder of its own by --data"
    CORRUPT = "store_corrupt", "restore the file from a backup, or move it away: then the server begins a new one"
    NEWER = "store_newer", "use the newer roomfsm that wrote it, or name another folder by --data"
    FULL = "store_full", "make room on the disk (or in Redis: maxmemory); the server goes on by itself then"
    FAILED = "store_failed", "look at the disk (dmesg), or at the log of Redis"
    SLOW = "store_slow", "look at what keeps the disk or Redis busy"
    UNREACHABLE = "store_unreachable", "look whether Redis runs, and whether --store is its address"
    TAKEN = "store_taken", "another server uses this store now: end one of the two"
    CONFLICT = "store_conflict", "nothing: the rooms are written anew"
    FORGOTTEN = "store_forgotten", "nothing: the rooms are written anew; turn on appendonly in Redis"


class StoreError(Exception):
    """A store cannot do what it was asked for. Nothing of what was asked for has been done, unless it was slow."""

    def __init__(self, code: StoreCode, detail: str) -> None:
        super().__init__(f"{detail} ({code}) → {code.mend}")
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Append:
    """Append events to a room. `position` is the number of the first one.

    `tokens` has the hashes of the tokens that bring somebody back to the room from now on (True) or not any more
    (False).
    """

    room: str
    position: int
    events: tuple[bytes, ...]
    tokens: Mapping[bytes, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Replace all that the store has of a room. `position` is the number of the next event.

    The store may have fewer events than that, because some were lost, but not more. `tokens` are all tokens of the
    room.
    """

    room: str
    position: int
    snapshot: bytes
    tokens: Sequence[bytes] = ()


@dataclass(frozen=True, slots=True)
class Forget:
    """Delete all that the store has of a room."""

    room: str


@dataclass(frozen=True, slots=True)
class SetAside:
    """Keep what the store has of a room for the operator, and let a new room of the same name begin."""

    room: str
    why: str


@dataclass(frozen=True, slots=True)
class Remember:
    """Keep one value that belongs to the server and to no room, in place of the one before; None forgets it.

    A server that is started again finds it: the store in a folder belongs to one server, and in Redis each value
    belongs to a server's name.
    """

    what: str
    value: bytes | None


type OfRoom = Append | Snapshot | Forget | SetAside
type Write = OfRoom | Remember


@dataclass(frozen=True, slots=True)
class Past:
    """What the store has of one room: a snapshot, if there is one, and the events after it.

    `position` is the number of the first of these events.
    """

    snapshot: bytes | None
    position: int
    events: tuple[bytes, ...]

    @property
    def next(self) -> int:
        """The number of the event that comes next."""
        return self.position + len(self.events)


@dataclass(frozen=True, slots=True)
class Aside:
    """A room that was set aside: why, and when (milliseconds since 1970)."""

    room: str
    at: int
    why: str


class Store(Protocol):
    """A store that is open. Every method may raise `StoreError`."""

    @property
    def place(self) -> str:
        """Where it is, without secrets, for people who read the log."""

    async def commit(self, writes: Sequence[Write]) -> Sequence[str]:
        """Do all of this, or nothing. When it returns, the end of this process takes nothing of it back.

        Returns the keys of the rooms that are not this node's any more. Nothing was written to these, and all else
        was done. If it is cancelled, the writes may or may not have been done.
        """

    async def rooms(self) -> list[str]:
        """The keys of all rooms."""

    async def read(self, room: str) -> Past:
        """What the store has of a room: nothing, if it does not know the room."""

    async def room_of(self, token: bytes) -> str | None:
        """The room to which the token with this hash brings somebody back."""

    async def aside(self) -> list[Aside]:
        """The rooms that were set aside, the oldest first."""

    async def remembered(self, what: str) -> bytes | None:
        """The value that this server, or the run before it, has kept under this name."""
