"""How much is taken of what there is only so much of, in all and by each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """Units taken of a bound in all and of a bound for each key (an address, a room). Never negative."""

    most: int
    most_each: int
    boundless: str | None = None
    """A key that is bounded only by what there is in all."""
    taken: int = 0
    _by_key: Counter[str] = field(default_factory=Counter)

    def take(self, key: str, units: int = 1, *, slack: int = 0) -> bool:
        """Take units, if they are to be had (in all, `slack` more than the bound); nothing is taken otherwise."""
        if self.taken + units > self.most + slack:
            return False
        if key != self.boundless and self._by_key[key] + units > self.most_each:
            return False
        self.taken += units
        self._by_key[key] += units
        return True

    def give_back(self, key: str, units: int = 1) -> None:
        """Give back what was taken."""
        self.taken -= units
        self._by_key[key] -= units
        if self._by_key[key] <= 0:
            del self._by_key[key]

    def of(self, key: str) -> int:
        """Units that this key has taken."""
        return self._by_key[key]
