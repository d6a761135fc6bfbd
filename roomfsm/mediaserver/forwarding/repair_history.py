"""What was sent again to one receiver lately, so that nothing is sent again while it may still be under way."""

_MAX = 1024
"""Numbers remembered: with more, the oldest are forgotten."""


class RepairHistory:
    """When each extended sequence number was last sent again."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: dict[int, float] = {}
        """In the order of time."""

    def __contains__(self, extended: int) -> bool:
        return extended in self._times

    def is_due(self, extended: int, now: float, interval: float) -> bool:
        """Whether the number was not sent again within the last `interval` seconds."""
        last = self._times.get(extended)
        return last is None or now - last >= interval

    def sent(self, extended: int, now: float) -> None:
        self._times.pop(extended, None)
        self._times[extended] = now
        if len(self._times) > _MAX:
            del self._times[next(iter(self._times))]

    def clear(self) -> None:
        """The numbers are another stream's from now on."""
        self._times.clear()
