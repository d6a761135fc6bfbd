"""The clock of a replay: time stands still until the replay moves it, and the replay can wait until all is quiet.

Trio asks a clock how long to sleep only when no task can run (`trio.abc.Clock.deadline_to_sleep_time`). That is
the moment a replay waits for: every task has done all that the last cause made it do. So the clock itself wakes
the replay then, and never lets Trio sleep. `trio.testing` has the same two things, but it is made for tests, and
it would be imported with all that tests need.
"""

from __future__ import annotations

import math

import trio


class ReplayClock(trio.abc.Clock):
    """Time in seconds from 0, which moves by `jump` alone. Nobody but the replay may wait for `quiet`."""

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
        """Move the time on; what is due by then happens once the caller waits."""
        self._now += seconds

    async def quiet(self) -> None:
        """Wait until every task waits for something, and no deadline is due."""
        self._quiet = trio.Event()
        await self._quiet.wait()
