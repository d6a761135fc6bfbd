"""A token bucket, which limits how often something may happen, or how many bytes may be spent."""


class Allowance:
    """Allows `burst` uses at once, and `rate` uses a second on average. It is full at the beginning."""

    __slots__ = ("_time", "_tokens", "burst", "rate")

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = burst
        self._time: float | None = None
        """When tokens were last added; None before the first use."""
        self._tokens = float(burst)

    def take(self, wanted: int, now: float) -> int:
        """How many of the `wanted` uses are allowed now. These count as used."""
        granted = min(wanted, int(self.left(now)))
        self._tokens -= granted
        return granted

    def spend(self, amount: float, now: float, *, keep: float = 0.0) -> bool:
        """Use `amount` if at least `keep` is left after that. Returns whether it was used."""
        if self.left(now) - amount < keep:
            return False
        self._tokens -= amount
        return True

    def left(self, now: float) -> float:
        """How much may be used now."""
        if self._time is None:
            self._time = now
        elif now > self._time:
            self._tokens = min(self.burst, self._tokens + (now - self._time) * self.rate)
            self._time = now
        return self._tokens
