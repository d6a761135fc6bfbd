"""How often something may happen that the network asks for, or how many bytes it may cost: a token bucket."""


class Allowance:
    """`burst` at once, `rate` a second in the long run; it begins full."""

    __slots__ = ("_time", "_tokens", "burst", "rate")

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = burst
        self._time: float | None = None
        """When tokens were last added; None before the first use."""
        self._tokens = float(burst)

    def take(self, wanted: int, now: float) -> int:
        """How many of the `wanted` times are allowed now; they count as used."""
        granted = min(wanted, int(self.left(now)))
        self._tokens -= granted
        return granted

    def spend(self, amount: float, now: float, *, keep: float = 0.0) -> bool:
        """Use up all of `amount` if at least `keep` is left then; whether it was used."""
        if self.left(now) - amount < keep:
            return False
        self._tokens -= amount
        return True

    def left(self, now: float) -> float:
        """What may be used now."""
        if self._time is None:
            self._time = now
        elif now > self._time:
            self._tokens = min(self.burst, self._tokens + (now - self._time) * self.rate)
            self._time = now
        return self._tokens
