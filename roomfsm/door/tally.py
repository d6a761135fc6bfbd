"""Counts how much of a limited resource is in use, in all and by each user."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """Units in use, with a limit for all together and a limit for each key (an address, a room).

    Counts are never negative.
    """

    most: int
    most_each: int
    boundless: str | None = None
    """A key that has no limit of its own, but only the limit for all together."""
    taken: int = 0
    _by_key: Counter[str] = field(default_factory=Counter)

    def take(self, key: str, units: int = 1, *, slack: int = 0) -> bool:
        """Take units and return True, or take nothing and return False if a limit would be exceeded.

        `slack` units more than the limit for all may be in use.
        """
        if self.taken + units > self.most + slack:
            return False
        if key != self.boundless and self._by_key[key] + units > self.most_each:
            return False
        self.taken += units
        self._by_key[key] += units
        return True

    def give_back(self, key: str, units: int = 1) -> None:
        """Give back units that were taken."""
        self.taken -= units
        self._by_key[key] -= units
        if self._by_key[key] <= 0:
            del self._by_key[key]

    def of(self, key: str) -> int:
        """The units that this key uses."""
        return self._by_key[key]
