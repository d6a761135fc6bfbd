"""A probe: for a moment more is sent than usual, to see whether the path carries it.

What was sent from its begin to its end is known, media included. If the packets that are sent right after it take
longer than those before, the difference is the queue that the probe has made. Then the path has carried the
probe's bytes in the probe's time and that difference. This does not depend on how the bytes were spread over that
time, so they may be sent in bursts, and the shortest of several delays is not disturbed by jitter.
"""

from collections.abc import Iterator
from typing import NamedTuple

from roomfsm.mediaserver.forwarding.bandwidth import constants
from roomfsm.mediaserver.forwarding.bandwidth.delay import Delay


class Verdict(NamedTuple):
    """What a probe has found."""

    carried: float
    """The bitrate that came through."""
    full: bool
    """Whether the path was full, so that it does not carry more."""


class Probe:
    """One probe. Times are in seconds, rates in bit/s, sizes in bytes."""

    __slots__ = (
        "_after",
        "_before",
        "_came",
        "_jitter",
        "_last",
        "_latest",
        "_lost",
        "_octets",
        "_rate",
        "_rise",
        "_sent",
        "_tail",
        "begin",
        "end",
        "media",
        "others",
        "shown",
        "wanted",
    )

    def __init__(
        self,
        begin: float,
        octets: int,
        *,
        delay: Delay,
        rate: float,
        media: float,
        others: float,
        shown: float,
        wanted: int,
        rise: float,
    ) -> None:
        """`octets` are all bytes that have been sent on the transport, here and in the other methods.

        `rate` is the bitrate to send with the media, `media` that of the transport's media alone, `others` that of
        the path's other transports, and `shown` what was seen to arrive lately on all of them. The next layer fits
        if the path carries `wanted`. If the queue grows by more than `rise` seconds, the path is full.
        """
        self.begin = begin
        self.shown = shown
        self.wanted = wanted
        self._rate = max(media, rate - others)
        self.media = min(self._rate, media)
        self.others = others
        self._octets = octets
        """The bytes that had been sent at its begin."""
        self._sent = 0
        """The bytes that were sent until its end."""
        self.end: float | None = None
        self._rise = max(rise, delay.jitter)
        self._before = delay.last
        self._jitter = delay.jitter
        self._tail = constants.PROBE_TAIL + constants.TAIL_JITTER * delay.jitter
        self._last = (begin, float("-inf"))
        """When the newest packet of the probe was sent that has arrived, and how long it took."""
        self._after: list[tuple[float, float, int]] = []
        """When each packet after the probe was sent, how long it took, and the bytes that arrived after the probe
        and before it."""
        self._latest = float("-inf")
        """When the newest packet after the probe was sent that has arrived."""
        self._came = self._lost = 0

    def due(self, now: float, octets: int) -> int:
        """How many bytes of padding are to be sent now, so that there are enough until the next question."""
        wanted = self._rate * (now - self.begin) + (self._rate - self.media) * constants.PROBE_STEP
        return max(0, round(wanted / 8) - (octets - self._octets))

    def must_end(self, now: float) -> bool:
        """Whether it has lasted long enough, or has made a queue."""
        late = self._last[1] - self._before > constants.PROBE_QUEUE + self._jitter
        return late or now - self.begin > constants.PROBE_TIME - constants.PROBE_STEP / 2

    def is_forgotten(self, now: float) -> bool:
        """Whether nobody asks any more how much is due."""
        return now - self.begin > constants.PROBE_TIME + 2 * constants.PROBE_STEP

    def stop(self, now: float, octets: int) -> None:
        self.end, self._sent = now, octets - self._octets

    def arrived(self, sent: float, delay: float, size: int) -> None:
        if sent < self.begin:
            self._before = min(self._before, delay)
        elif self.end is None or sent < self.end:
            self._came += 1
            self._last = (sent, delay)
        else:
            self._latest = sent
            if sent <= self.end + self._tail:
                octets = self._after[-1][2] + size if self._after else 0
                self._after.append((sent, delay, octets))

    def lost(self, sent: float, count: int) -> None:
        if self.begin <= sent and (self.end is None or sent < self.end):
            self._lost += count

    def answered(self, now: float) -> bool:
        """Whether the answer has come, or will not come any more."""
        return (self.end is not None and self._latest >= self.end + self._tail) or self.is_given_up(now)

    def is_given_up(self, now: float) -> bool:
        """Whether the answer will not come any more."""
        return self.end is not None and now - self.end > constants.PROBE_PATIENCE

    def verdict(self, usual_loss: float) -> Verdict | None:
        """What it has found; None if the feedback about it was lost."""
        if self.end is None or not self._came:
            return None
        lost = self._lost / (self._came + self._lost)
        lossy = self._lost > constants.FEW_LOST and lost > usual_loss + constants.PROBE_LOSS
        carried, rise = max(self._carried(self._sent * (1 - lost if lossy else 1.0), self.end))
        return Verdict(carried, lossy or rise > self._rise)

    def _carried(self, probed: float, end: float) -> Iterator[tuple[float, float]]:
        """The bitrate that the path has carried from the begin until a packet arrived, and the queue before that
        packet in seconds. Jitter can only make the bitrate lower, so the highest counts.
        """
        for sent, delay, octets in self._after or [(max(end, self._last[0]), self._last[1], 0)]:
            rise = max(0.0, delay - self._before - self._jitter)
            elapsed = max(constants.PROBE_STEP, sent - self.begin)
            yield (8 * (probed + octets) + self.others * elapsed) / (elapsed + rise), rise
