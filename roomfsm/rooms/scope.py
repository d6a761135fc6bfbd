"""A child scope that can be named, given work and cancelled before its task has run its first step."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio


class ChildScope:
    """A nursery in a task of its own.

    The room task decides without waiting, so it must be able to start a stream in a broadcast, or end it,
    in the same step that opened the broadcast: work given early waits for the nursery.
    """

    def __init__(self) -> None:
        self._cancel_scope = trio.CancelScope()
        self._nursery: trio.Nursery | None = None
        self._early: list[Callable[[], Awaitable[None]]] = []
        self._ended = False

    def start_soon(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` as a child of this scope; not at all if the scope has ended."""
        if self._ended:
            return
        if self._nursery is None:
            self._early.append(work)
        else:
            self._nursery.start_soon(work)

    def cancel(self) -> None:
        """End everything in the scope."""
        self._cancel_scope.cancel()

    async def run(self, body: Callable[[], Awaitable[None]]) -> None:
        """Run `body` beside the children; when it returns or raises, or on `cancel`, they are cancelled.

        Raises what `body` or a child raised, in an `ExceptionGroup`.
        """
        with self._cancel_scope:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                for work in self._early:
                    nursery.start_soon(work)
                self._early.clear()
                try:
                    await body()
                finally:
                    # A closed nursery takes no child, and somebody may not have heard yet that it is closed.
                    self._ended = True
                nursery.cancel_scope.cancel()
