"""A resource that several tasks use at the same time: the first one opens it, and the last one closes it.

It is held by a task of its own, because none of its users outlives all others. If it fails, it ends for all of
them at once: whatever they do with it is cancelled. A resource that nobody uses any more is over from that moment
on, although it takes a while to close it: who comes then needs another one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import trio

from roomfsm.kurento.errors import MediaServerError
from roomfsm.rooms.legs import LegFailed, leaves

type Start = Callable[[Callable[[], Awaitable[None]]], None]
"""A function that starts a task. If the scope of such tasks has ended, it does nothing."""


class SharedLost(Exception):
    """The resource could not be opened, or has failed. The cause is in `__cause__`, if there is one."""


class Shared[T]:
    """One resource, which `opening` opens and closes, and its users."""

    def __init__(self, opening: Callable[[], AbstractAsyncContextManager[T]], start: Start) -> None:
        self._opening = opening
        self._start = start
        self._scope = trio.CancelScope()
        self._users: set[trio.CancelScope] = set()
        self._value: T | None = None
        self._opened = trio.Event()
        self._started = False
        self._error: BaseException | None = None
        self.over = False
        """Whether it has failed, or its last user has left it."""

    @asynccontextmanager
    async def used(self) -> AsyncIterator[T]:
        """The resource, from when it is open. Raises `SharedLost`, also if it fails meanwhile."""
        if self.over:
            raise SharedLost from self._error
        user = trio.CancelScope()
        self._users.add(user)
        if not self._started:
            self._started = True
            self._start(self._hold)
        try:
            with user:
                await self._opened.wait()
                assert self._value is not None
                yield self._value
        finally:
            self._users.discard(user)
            if not self._users:
                self.over = True
                self._scope.cancel()
        if user.cancelled_caught:
            raise SharedLost from self._error

    async def _hold(self) -> None:
        try:
            with self._scope:
                async with self._opening() as value:
                    self._value = value
                    self._opened.set()
                    await trio.sleep_forever()
        except* (MediaServerError, LegFailed, SharedLost) as group:
            self._error = leaves(group)[0]
        finally:
            self.over = True
            for user in self._users:
                user.cancel()
