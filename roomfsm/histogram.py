"""A histogram that costs a search in a short list for each value, and is read only when somebody asks."""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import accumulate

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Bounds for times, from what a lookup takes to what nobody waits for."""


class Histogram:
    """Counts values by the smallest of the `bounds` that is not below them."""

    __slots__ = ("_counts", "bounds", "sum")

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        self.bounds = bounds
        self.sum = 0.0
        self._counts = [0] * (len(bounds) + 1)

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        """How many values were counted."""
        return sum(self._counts)

    def cumulative(self) -> list[tuple[float, int]]:
        """For each bound, how many values were not above it. The last bound is infinity."""
        return list(zip((*self.bounds, math.inf), accumulate(self._counts), strict=True))
