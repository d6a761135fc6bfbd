"""When to ask a publisher for a keyframe: wishes are gathered, spaced, and repeated until one is seen."""


class KeyframeRequests:
    """The wish for a keyframe of one source.

    A wish within `interval` of the last request waits its turn and is never dropped: browsers ignore requests that
    come closer.
    """

    __slots__ = ("_interval", "_last", "count", "wanted")

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._last = float("-inf")
        self.wanted = False
        self.count = 0
        """Requests made."""

    def want(self) -> None:
        self.wanted = True

    def seen(self) -> None:
        """A keyframe began."""
        self.wanted = False

    def due(self, now: float, interval: float = 0.0) -> bool:
        """Whether to send a request now, if the last was `interval` seconds ago; it is counted as sent."""
        if not self.wanted or now - self._last < max(interval, self._interval):
            return False
        self.sent(now)
        return True

    def sent(self, now: float) -> None:
        """A request goes out, whether or not it was wished for."""
        self._last = now
        self.count += 1
