"""When the path may be probed again after it was full."""

from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.forwarding.bandwidth import constants


class Pauses:
    """The pauses between probes. They double with each probe that has filled the path. Times are in seconds."""

    __slots__ = ("_failures", "_settings", "_succeeded", "_trouble", "next")

    def __init__(self, settings: EngineSettings, now: float) -> None:
        self._settings = settings
        self.next = now
        """The next probe may begin then."""
        self._failures = 0
        self._succeeded = self._trouble = float("-inf")
        """When a probe last made the estimate higher, and when the path was last full."""

    def failed(self, now: float) -> None:
        """A probe has filled the path, or shown nothing new."""
        longest = self._settings.probe_longest_pause
        if now - self._trouble > constants.QUIET:
            self._failures = 0
        self._trouble = now
        pause = min(longest, self._settings.probe_pause * 2**self._failures)
        if pause < longest:
            self._failures += 1
        self.next = now + pause

    def full(self, now: float) -> None:
        """The media have filled the path. If a probe made the estimate higher shortly before, it was wrong."""
        if now - self._succeeded < constants.REGRET:
            self.failed(now)
        else:  # A longer pause could be prolonged by each keyframe.
            self._trouble = now
            self.next = max(self.next, now + min(self._settings.probe_pause, self._settings.probe_longest_pause))

    def unknown(self, now: float) -> None:
        """The feedback about a probe was lost."""
        self.next = now + self._settings.probe_pause

    def succeeded(self, now: float, *, higher: bool, fits: bool) -> None:
        """A probe has succeeded. `higher` is whether the estimate rose by that, and `fits` whether the next layer
        fits now.
        """
        if higher:
            self._succeeded = now
            self._failures = 0
        if fits:
            self.next = now + constants.NEW_LAYER
