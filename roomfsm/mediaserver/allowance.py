"""How often something may happen that the network asks for: a token bucket."""


class Allowance:
    """`burst` times at once, `rate` times a second in the long run; it begins full."""

    __slots__ = ("_burst", "_rate", "_time", "_tokens")

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._time = float("-inf")

    def take(self, wanted: int, now: float) -> int:
        """How many of the `wanted` times are allowed now; they count as used."""
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._time) * self._rate)
        self._time = now
        granted = min(wanted, int(self._tokens))
        self._tokens -= granted
        return granted
