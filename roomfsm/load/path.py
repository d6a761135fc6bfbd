"""A poor path between a person and the media server: it has a rate, a queue, a delay, losses and outages.

`Way` decides for one direction when each datagram arrives, or that it does not. It is pure: it has neither a
socket nor a clock.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace

HEADERS = 28
"""Bytes of IPv4 and UDP, which take room on the path, too."""


@dataclass(frozen=True, slots=True)
class Path:
    """How a path treats the datagrams of each direction. Times are in seconds."""

    rate: float = 0.0
    """Bit/s; 0 is without a bound."""
    queue: float = 0.3
    """How long a datagram may wait for its turn at that rate. What would wait longer is dropped."""
    delay: float = 0.0
    jitter: float = 0.0
    """Added to the delay, from nothing up to this. Datagrams that are closer together may be reordered."""
    loss: float = 0.0
    """Probability."""
    outage: float = 0.0
    """How long nothing arrives, again and again."""
    every: float = 30.0
    """From the beginning of an outage to that of the next one."""


class Way:
    """One direction of a path. `chance` says what is lost, and when the first outage begins."""

    def __init__(self, path: Path, chance: random.Random, began: float = 0.0) -> None:
        self._path = path
        self._chance = chance
        self._free = -math.inf
        """When the last datagram that waits will have left."""
        self._outages = began + chance.random() * path.every
        """When the first outage begins."""

    def change_rate(self, rate: float, now: float) -> None:
        """From now on the path has this rate, also for what waits already."""
        if self._path.rate and rate and self._free > now:
            self._free = now + (self._free - now) * self._path.rate / rate
        self._path = replace(self._path, rate=rate)

    def arrival(self, size: int, now: float) -> float | None:
        """When a datagram of so many bytes arrives that is sent now; None if it is lost."""
        path = self._path
        leaves = max(now, self._free)
        if now >= self._outages and (now - self._outages) % path.every < path.outage:
            return None
        if leaves - now > path.queue or self._chance.random() < path.loss:
            return None
        if path.rate:
            leaves = self._free = leaves + 8 * (size + HEADERS) / path.rate
        return leaves + path.delay + self._chance.random() * path.jitter
