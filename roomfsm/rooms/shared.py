"""A resource that several tasks use at the same time: the first one opens it, and after the last one it is closed.

It is held by a task of its own, because none of its users outlives all others. If it fails, it is over at once for
all of them: whatever they do with it is cancelled, before anything is closed, which may take a while. If nobody
uses it any more, it lingers, so that one user who comes and goes does not open and close it each time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import trio

from roomfsm.log import get_logger

_log = get_logger(__name__)

type Start = Callable[[Callable[[], Awaitable[None]]], None]
"""A function that starts a task. If the scope of such tasks has ended, it does nothing."""

type Fail = Callable[[Exception | None], None]
"""A function by which an open resource says that it has failed, or with None that it has come to its end."""


class SharedLost(Exception):
    """It could not be opened, has failed, or has come to its end. `why` is the error; None at its end."""

    def __init__(self, why: Exception | None) -> None:
        super().__init__(str(why))
        self.why = why


class Shared[T]:
    """One resource and its users.

    `opening` opens it, and closes it at the end of the scope. What it runs meanwhile raises nothing, but calls the
    function that it is given.
    """

    def __init__(
        self,
        opening: Callable[[Fail], AbstractAsyncContextManager[T]],
        start: Start,
        expected: tuple[type[Exception], ...],
        linger: float = 0.0,
    ) -> None:
        """`expected` are the errors with which it may fail. Any other one is a mistake, and logged as that."""
        self._expected = expected
        self._opening = opening
        self._start = start
        self._linger = linger
        self._scope = trio.CancelScope()
        self._users: set[trio.CancelScope] = set()
        self._changed = trio.Event()
        self.value: T | None = None
        """The resource, once it is open."""
        self._opened = trio.Event()
        self._started = False
        self._why: Exception | None = None
        self.over = False
        """Whether it has failed, or come to its end. Who wants one now needs another one."""

    @asynccontextmanager
    async def used(self) -> AsyncIterator[T]:
        """The resource, from when it is open. Raises `SharedLost`, also if it fails meanwhile."""
        if self.over:
            raise SharedLost(self._why)
        user = trio.CancelScope()
        self._users.add(user)
        self._tell()
        if not self._started:
            self._started = True
            self._start(self._hold)
        try:
            with user:
                await self._opened.wait()
                assert self.value is not None
                yield self.value
        finally:
            self._users.discard(user)
            self._tell()
        if user.cancelled_caught:
            raise SharedLost(self._why)

    def fail(self, why: Exception | None) -> None:
        """End it for all its users."""
        if not self.over:
            self.over = True
            self._why = why
            for user in self._users:
                user.cancel()
            self._scope.cancel()

    async def _hold(self) -> None:
        try:
            with self._scope:
                async with self._opening(self.fail) as value:
                    self.value = value
                    self._opened.set()
                    await self._until_unused()
                    self.fail(None)
        except* Exception as group:  # noqa: BLE001 (a boundary: it ends for its users, and for nobody else)
            error = _first_of(group)
            if not isinstance(error, self._expected):
                _log.exception("shared resource failed", exc_info=error)
            self.fail(error)
        finally:
            self.fail(None)

    async def _until_unused(self) -> None:
        while True:
            while self._users:
                await self._changed.wait()
            with trio.move_on_after(self._linger):
                while not self._users:
                    await self._changed.wait()
            if not self._users:
                return

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


def _first_of(group: ExceptionGroup) -> Exception:
    """The first error of a group, and of the groups in it."""
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
