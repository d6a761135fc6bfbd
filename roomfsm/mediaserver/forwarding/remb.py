"""The bitrate to ask of a browser by REMB: what nearly all of its viewers can take, within limits."""

from collections.abc import Collection

from roomfsm.mediaserver.base.settings import EngineSettings

_PERCENTILE = 10
_FEW_VIEWERS = 2
"""Up to so many, the poorest viewer counts."""
_FAR_BEHIND = 0.7
"""A viewer with less than so much of what the middle one can take does not count: it would cost the others too
much, and the picture is not for its path (:mod:`~roomfsm.mediaserver.forwarding.picture_gate`)."""
_IDLE_ESTIMATE = (1.2, 2.0)
"""An estimate of so many times the rate is held down by nothing but the rate: browsers stop at 1.5 times."""
_HEADROOM = 1.5
"""Such an estimate counts for so much more: else a stream once low would stay so, as each waits for the other.
Of a viewer that tells nothing, so many times the rate is taken to be its estimate."""
_RATE_WEIGHT = 0.5


class RembTarget:
    """What to ask for, by what the viewers tell and what the browser sends."""

    __slots__ = ("_rate", "_reported")

    def __init__(self) -> None:
        self._rate = 0.0
        """What comes from the browser, bit/s, smoothed."""
        self._reported = (0, 0.0)
        """Octets and time at the last report."""

    def measure(self, octets: int, now: float) -> None:
        """So many octets have come from the browser until `now`, in seconds."""
        before, then = self._reported
        self._reported = (octets, now)
        if octets >= before and now > then > 0:
            rate = 8 * (octets - before) / (now - then)
            self._rate += _RATE_WEIGHT * (rate - self._rate) if self._rate else rate

    def bitrate(self, estimates: Collection[int | None], settings: EngineSettings, limits: tuple[int, int]) -> int:
        """Bit/s: a low percentile of what viewers can take, those far behind the others left out, within the
        settings' and the publisher's limits.

        `estimates`: one for each viewer, None where nothing is known of it. A path that loses much is known, so
        that an unknown one gets what is sent: it counts as one that nothing but the rate holds down.
        `limits`: the least and the greatest to ask for, bit/s; 0 is none.
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
    """Which of the rising estimates counts: a low percentile, but of several viewers never the poorest's alone."""
    return max(int(viewers > _FEW_VIEWERS), viewers * _PERCENTILE // 100)
