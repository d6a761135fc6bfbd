"""The growing delay between wrong guesses of a password.

Guesses are counted by address and room: one address may be a school, whose people mistype the password of their
room, but that must not give a stranger of another address a way to keep them out. After some free guesses, each
wrong one doubles the time until the next is heard, up to a longest delay. A right one resets the count.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class _Count:
    wrong: int
    last: float
    """When the last wrong guess was made."""


class Guesses:
    """The wrong guesses of late. Times are in seconds, of one clock that never goes back."""

    def __init__(
        self,
        free: int = 5,
        first: float = 1.0,
        longest: float = 300.0,
        forget: float = 3600.0,
        capacity: int = 10_000,
    ) -> None:
        """After `free` wrong guesses comes a delay of `first` seconds, which doubles up to `longest`.

        A count is forgotten `forget` seconds after its last wrong guess. If there are `capacity` counts, a new one
        takes the place of the one that would be forgotten next.
        """
        self._free, self._first, self._longest = free, first, longest
        self._forget, self._capacity = forget, capacity
        self._counts: dict[tuple[str, str], _Count] = {}
        """The one whose last wrong guess is the longest ago is first."""

    def __len__(self) -> int:
        return len(self._counts)

    def wait(self, address: str, room: str, now: float) -> float:
        """How many seconds it is until this address may guess the password of this room again; 0 if it may now."""
        count = self._counts.get((address, room))
        if count is None or count.wrong < self._free:
            return 0.0
        # The exponent is bounded, because a float of 2 to the power of 1024 is an error.
        delay = min(self._longest, self._first * 2.0 ** min(count.wrong - self._free, 64))
        return max(0.0, count.last + delay - now)

    def wrong(self, address: str, room: str, now: float) -> None:
        """Count a wrong guess."""
        key = address, room
        self._forget_old(now)
        count = self._counts.pop(key, None) or _Count(0, now)
        if len(self._counts) >= self._capacity:
            del self._counts[next(iter(self._counts))]
        count.wrong += 1
        count.last = now
        self._counts[key] = count

    def right(self, address: str, room: str) -> None:
        """Forget the wrong guesses of this address for this room."""
        self._counts.pop((address, room), None)

    def _forget_old(self, now: float) -> None:
        while self._counts:
            oldest = next(iter(self._counts))
            if now - self._counts[oldest].last < self._forget:
                return
            del self._counts[oldest]
