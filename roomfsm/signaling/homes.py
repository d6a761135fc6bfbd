"""Where rooms are, as this node knows: here, because it is open here; or as Redis says.

A room that Redis gives to this node may have a past in the store: its node has died, or has handed it over. Then
it comes back here before anybody enters it: when somebody wants to, or when the membership says that it is this
node's, whichever is first.
"""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import suppress

import trio

from roomfsm.nodes.membership import Membership
from roomfsm.protocol.errors import ErrorCode, Refusal
from roomfsm.protocol.names import room_key
from roomfsm.rooms.directory import Directory
from roomfsm.rooms.writer import StoreCounts
from roomfsm.signaling.come_back import bring_back
from roomfsm.signaling.registry import Registry
from roomfsm.store.interface import Store, StoreError


class Homes:
    """Finds the nodes of rooms. Implements `roomfsm.signaling.crossing.Whereabouts`."""

    def __init__(
        self, membership: Membership, directory: Directory, registry: Registry, store: Store, counts: StoreCounts
    ) -> None:
        self._membership = membership
        self._directory = directory
        self._registry = registry
        self._store = store
        self._counts = counts
        self._one_at_a_time = trio.Lock()

    async def of_room(self, room: str) -> str | None:
        """The node that has the room of that name; None if it is this one. Raises `Refusal`."""
        if self._is_open(room):
            return None
        key = room_key(room)
        home = await _answered(self._membership.home_of(key))
        if home != self._membership.me:
            return home
        await _answered(self.take_up(key))
        return None

    async def known_room(self, room: str) -> str | None:
        """The node that has the room of that name; None if it is this one, or none. Raises `Refusal`."""
        if self._is_open(room):
            return None
        key = room_key(room)
        home = await _answered(self._membership.known_home(key))
        if home is not None and home != self._membership.me:
            return home
        if home is not None:
            await _answered(self.take_up(key))
        return None

    async def of_token(self, token: bytes) -> str | None:
        """The node to whose room this token brings somebody back; None if it is this one, or none."""
        home = await _answered(self._membership.home_of_token(token))
        if home is not None and home != self._membership.me:
            return home
        if home is not None:
            key = await _answered(self._store.room_of(token))
            if key is not None:
                await _answered(self.take_up(key))
        return None

    async def give_back(self, room: str) -> None:
        """The room of that name was not opened here, although it got this node. It needs none, then."""
        if not self._is_open(room):
            with suppress(StoreError):
                await self._membership.let_go(room_key(room))

    async def take_up(self, key: str) -> None:
        """Bring the room with this key back, if it is not open here and the store has it. Raises `StoreError`."""
        async with self._one_at_a_time:
            if self._is_open(key):
                return
            past = await self._store.read(key)
            if past.next:
                await bring_back(key, past, self._store, self._directory, self._registry, self._counts)

    def _is_open(self, name: str) -> bool:
        room = self._directory.find(name)
        return room is not None and not room.record.disowned


async def _answered[T](asked: Awaitable[T]) -> T:
    """What Redis answers. Raises `Refusal` if it does not."""
    try:
        return await asked
    except StoreError as error:
        raise Refusal(ErrorCode.STORE_UNAVAILABLE) from error
