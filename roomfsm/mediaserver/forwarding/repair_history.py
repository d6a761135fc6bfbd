"""Remembers which packets were sent again to a receiver lately, so that no packet is repeated while it may still
be under way.
"""

_MAX = 1024
"""The most numbers that are remembered. The oldest are forgotten first."""


class RepairHistory:
    """When each extended sequence number was last sent again."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: dict[int, float] = {}
        """The times by extended number, the oldest first."""

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
        """Forget everything, because numbers belong to another stream from now on."""
        self._times.clear()
