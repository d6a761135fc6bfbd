"""A child scope that can be given work, and cancelled, before its task has run its first step.

A room handles an event without waiting. In the same step it may open a broadcast, start a stream in it, and end
both again. Trio's nursery cannot do that: it exists only once its task runs. So work that comes early waits here
for the nursery, a cancel that comes early is remembered by the cancel scope, and work that comes after the end is
dropped, because a closed nursery would raise an exception.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio


class ChildScope:
    """A nursery in a task of its own: the task that calls `run`."""

    def __init__(self) -> None:
        self._cancel_scope = trio.CancelScope()
        self._nursery: trio.Nursery | None = None
        self._early: list[Callable[[], Awaitable[None]]] = []
        self._ended = False

    def start_soon(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` as a child of this scope, or not at all if the scope has ended."""
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
        """Run `body` beside the children. They are cancelled when it returns or raises, or on `cancel`.

        An `ExceptionGroup` contains what `body` or a child raised.
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
                    # From here on the nursery takes no child, but others may call `start_soon` before they know.
                    self._ended = True
                nursery.cancel_scope.cancel()
