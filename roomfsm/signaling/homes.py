"""Where rooms are, as this node knows: here, because it is open here; or as Redis says.

A room that Redis gives to this node may have a past in the store: its node has died, or has handed it over. Then
it comes back here before anybody enters it: when somebody wants to, or when the membership says that it is this
node's, whichever is first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from roomfsm.nodes.membership import Membership
from roomfsm.protocol.errors import ErrorCode, Refusal
from roomfsm.protocol.names import room_key
from roomfsm.rooms.directory import Directory
from roomfsm.rooms.writer import StoreCounts
from roomfsm.signaling.come_back import SETTLED_WITHIN, bring_back
from roomfsm.signaling.registry import Registry
from roomfsm.store.interface import Past, Store, StoreCode, StoreError

_PATIENCE = 5.0
"""Seconds that the store has to answer each question."""


class Homes:
    """Finds the nodes of rooms. Implements `roomfsm.signaling.crossing.Whereabouts`."""

    def __init__(
        self,
        membership: Membership,
        directory: Directory,
        registry: Registry,
        store: Store,
        counts: StoreCounts,
        flush: Callable[[str], Awaitable[None]],
    ) -> None:
        """`flush` returns when the store has all that was noted of the room with a key."""
        self._membership = membership
        self._directory = directory
        self._registry = registry
        self._store = store
        self._counts = counts
        self._flush = flush
        self._taking: dict[str, trio.Lock] = {}

    async def of_room(self, room: str) -> str | None:
        """The node that has the room of that name; None if it is this one. Raises `Refusal`."""
        if self._is_open(room):
            return None
        key = room_key(room)
        return await self._settled(key, await _answered(self._membership.home_of(key)))

    async def known_room(self, room: str) -> str | None:
        """The node that has the room of that name; None if it is this one, or none. Raises `Refusal`."""
        if self._is_open(room):
            return None
        key = room_key(room)
        return await self._settled(key, await _answered(self._membership.known_home(key)))

    async def of_token(self, token: bytes) -> str | None:
        """The node to whose room this token brings somebody back; None if it is this one, or none."""
        home = await _answered(self._membership.home_of_token(token))
        if home is not None and home != self._membership.me:
            return home
        if home is not None:
            key = await _answered(self._store.room_of(token))
            if key is not None:
                await _answered(self.take_up(key))
                await self._until_settled(key)
        return None

    async def _settled(self, key: str, home: str | None) -> str | None:
        """The home of a room; None if it has none, or is here, where it is open then."""
        if home != self._membership.me:
            return home
        await _answered(self.take_up(key))
        return None

    async def _until_settled(self, key: str) -> None:
        """Returns when it is clear which streams go on in the room with this key.

        Who comes back sees what goes on, and not what is about to end.
        """
        room = self._directory.find(key)
        if room is not None:
            with trio.move_on_after(SETTLED_WITHIN):
                await room.until_settled()

    async def give_back(self, room: str) -> None:
        """The room of that name was not opened here, although it got this node. It needs none, then."""
        if not self._is_open(room):
            with suppress(StoreError):
                await self._membership.let_go(room_key(room))

    async def take_up(self, key: str) -> None:
        """Bring the room with this key back, if it is not open here and the store has it. Raises `StoreError`."""
        lock = self._taking.setdefault(key, trio.Lock())
        try:
            async with lock:
                if not self._is_open(key):
                    await self._bring_back(key)
        finally:
            if not lock.statistics().tasks_waiting and not lock.locked():
                self._taking.pop(key, None)

    async def _bring_back(self, key: str) -> None:
        me = self._membership.me
        past = await self._in_time(self._read(key))
        # Meanwhile somebody may have opened it, or this node may have been taken for dead.
        if not past.next or self._is_open(key) or self._membership.me != me:
            return
        if await self._in_time(self._membership.known_home(key)) == me and not self._is_open(key):
            await self._in_time(bring_back(key, past, self._store, self._directory, self._registry, self._counts))

    async def _read(self, key: str) -> Past:
        """What the store has of the room, once it knows whether one of that name has ended here."""
        await self._flush(key)
        return await self._store.read(key)

    async def _in_time[T](self, asked: Awaitable[T]) -> T:
        """What the store answers within a deadline. Raises `StoreError`."""
        try:
            with trio.fail_after(_PATIENCE):
                return await asked
        except trio.TooSlowError as error:
            detail = f"{self._store.place} did not answer within {_PATIENCE:g} s"
            raise StoreError(StoreCode.SLOW, detail) from error

    def _is_open(self, name: str) -> bool:
        room = self._directory.find(name)
        return room is not None and not room.record.disowned


async def _answered[T](asked: Awaitable[T]) -> T:
    """What Redis answers. Raises `Refusal` if it does not."""
    try:
        return await asked
    except StoreError as error:
        raise Refusal(ErrorCode.STORE_UNAVAILABLE) from error
