"""The clock of a replay: time stands still until the replay moves it, and the replay can wait until all is quiet.

Trio asks a clock how long to sleep only when no task can run (`trio.abc.Clock.deadline_to_sleep_time`). The replay
waits for that moment, because every task has then done everything that follows from the last cause. So the clock
wakes the replay then, and never lets Trio sleep. `trio.testing` has the same features, but it is made for tests,
and would import everything that tests need.
"""

from __future__ import annotations

import math

import trio


class ReplayClock(trio.abc.Clock):
    """A time in seconds from 0 that only `jump` changes. Only the replay may wait for `quiet`."""

    def __init__(self) -> None:
        self._now = 0.0
        self._quiet: trio.Event | None = None

    def start_clock(self) -> None:
        pass

    def current_time(self) -> float:
        return self._now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        if deadline <= self._now:
            return 0.0
        if self._quiet is None:
            return math.inf
        self._quiet.set()
        self._quiet = None
        return 0.0

    def jump(self, seconds: float) -> None:
        """Set the time forward. Everything that is due by then happens when the caller waits."""
        self._now += seconds

    async def quiet(self) -> None:
        """Wait until every task waits for something, and no deadline is due."""
        self._quiet = trio.Event()
        await self._quiet.wait()
