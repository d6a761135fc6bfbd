"""The bitrate that a browser is asked for by REMB: nearly all of its viewers can receive it, and it is within
limits.
"""

from collections.abc import Collection

from roomfsm.mediaserver.base.settings import EngineSettings

_PERCENTILE = 10
_FEW_VIEWERS = 2
"""With up to so many viewers, the poorest one counts."""
_FAR_BEHIND = 0.7
"""A viewer that can receive less than this share of the median viewer's bitrate does not count. It would cost the
others too much quality, and its path cannot carry the picture
(:mod:`~roomfsm.mediaserver.forwarding.picture_gate`)."""
_IDLE_ESTIMATE = (1.2, 2.0)
"""If the estimate is so many times the rate, only the rate itself limits it, because browsers estimate at most 1.5
times the rate."""
_HEADROOM = 1.5
"""Such an estimate counts as so many times more. Otherwise a stream with a low rate would stay low, because
publisher and viewers would wait for each other. For a viewer that reports nothing, the estimate is so many times
the rate."""
_RATE_WEIGHT = 0.5


class RembTarget:
    """The bitrate to ask for, from the viewers' estimates and the bitrate that the browser sends."""

    __slots__ = ("_rate", "_reported")

    def __init__(self) -> None:
        self._rate = 0.0
        """The bitrate that comes from the browser in bit/s, smoothed."""
        self._reported = (0, 0.0)
        """The octets and the time at the last report."""

    def measure(self, octets: int, now: float) -> None:
        """Record that so many octets have come from the browser until `now`, in seconds."""
        before, then = self._reported
        self._reported = (octets, now)
        if octets >= before and now > then > 0:
            rate = 8 * (octets - before) / (now - then)
            self._rate += _RATE_WEIGHT * (rate - self._rate) if self._rate else rate

    def bitrate(self, estimates: Collection[int | None], settings: EngineSettings, limits: tuple[int, int]) -> int:
        """A low percentile of the bitrates that viewers can receive, in bit/s.

        Viewers who are far behind the others are left out. The result is within the limits of the settings and of
        the publisher. `estimates` has one value for each viewer, or None if nothing is known about it. Paths that
        lose much are known, so a viewer without an estimate receives everything, and counts as limited only by the
        rate. `limits` are the lowest and the highest bitrate to ask for in bit/s; 0 means no limit.
        """
        bitrate = settings.max_receive_bitrate
        if any(estimate is not None for estimate in estimates):
            assumed = round(self._rate * _HEADROOM) or settings.max_receive_bitrate
            told = sorted(assumed if estimate is None else estimate for estimate in estimates)
            least_that_counts = told[len(told) // 2] * _FAR_BEHIND
            counted = [estimate for estimate in told if estimate >= least_that_counts]
            poor = counted[_poor_rank(len(counted))]
            low, high = _IDLE_ESTIMATE
            if low * self._rate < poor < high * self._rate:
                poor = round(poor * _HEADROOM)
            bitrate = min(bitrate, max(poor, settings.min_receive_bitrate))
        least, greatest = limits
        bitrate = max(bitrate, least)
        return min(bitrate, greatest) if greatest else bitrate


def _poor_rank(viewers: int) -> int:
    """The index of the sorted estimate that counts: a low percentile, but with several viewers never the poorest
    one.
    """
    return max(int(viewers > _FEW_VIEWERS), viewers * _PERCENTILE // 100)
