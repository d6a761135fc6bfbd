"""Measures how long the kernel kept this process from running, which is a busy machine's share in a test's result.

A test with a time limit judges the program under test and the machine together. The engine and the relay of the
tests run in the test's process, so while that waits for a processor, nothing is sent, lost, or repaired. Linux
counts that time (`/proc/thread-self/schedstat`, Documentation/scheduler/sched-stats.rst). What the program itself
takes, because it computes for long or waits for the wrong thing, is not in it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import time

import trio

_SCHEDSTAT = Path("/proc/thread-self/schedstat")
_INTERVAL = 0.02
"""Seconds between two readings, if the process is let run."""


class Starvation:
    """What was read so far. Times are seconds of the system's clock, which browsers tell, too."""

    def __init__(self) -> None:
        self._readings: list[tuple[float, float]] = []
        """When it was read, and how long the process had waited by then."""

    def read(self) -> None:
        self._readings.append((time(), _waited()))

    def between(self, begin: float, end: float) -> float:
        """How long the process waited from the last reading before `begin` to the first after `end`."""
        self.read()
        before = [waited for at, waited in self._readings if at <= begin]
        until = [waited for at, waited in self._readings if at <= end]
        after = next((waited for at, waited in self._readings if at > end), until[-1] if until else 0.0)
        return after - (before[-1] if before else 0.0)


def _waited() -> float:
    """Seconds that this thread was ready to run and did not; 0 where the system does not tell."""
    try:
        return int(_SCHEDSTAT.read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


@asynccontextmanager
async def watch_starvation() -> AsyncIterator[Starvation]:
    """Read all the time, in the background."""
    starvation = Starvation()

    async def read() -> None:
        while True:
            starvation.read()
            await trio.sleep(_INTERVAL)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        yield starvation
        nursery.cancel_scope.cancel()
