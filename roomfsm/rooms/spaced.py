"""Tells what changes often in one message to everybody, and not too often.

The first change only begins a time, at whose end everybody is told all that has happened by then. If nobody was
told anything for as long, the time is over at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import trio

type DoLater = Callable[[float, Callable[[], None]], object]
"""Calls the function after so many seconds."""


class Spaced:
    """Calls `tell` after a change, at most once in `interval` seconds. Nothing here waits.

    `tell` returns whether it had anything to tell.
    """

    def __init__(self, interval: float, do_later: DoLater, tell: Callable[[], bool]) -> None:
        self._interval = interval
        self._do_later = do_later
        self._tell = tell
        self._told_at = -math.inf
        self._waiting = False

    def changed(self) -> None:
        """Note that there is something to tell."""
        if not self._waiting:
            self._waiting = True
            self._do_later(max(0.0, self._told_at + self._interval - trio.current_time()), self._end)

    def _end(self) -> None:
        self._waiting = False
        if self._tell():
            self._told_at = trio.current_time()
