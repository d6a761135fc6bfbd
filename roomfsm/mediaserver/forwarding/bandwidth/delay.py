"""Judges by the delay of packets whether the path is full (draft-ietf-rmcat-gcc-02 section 5).

The draft looks at the change of the delay from one burst of packets to the next. We look at the shortest delay of
all packets in a feedback, because it is cheaper, and because wifi delays single packets by more than a queue does.
The trend is a straight line through the last samples. The threshold is that of the draft, but for the length of
the queue: a queue that is longer than the threshold and grows is one that we make.
"""

from collections import deque

from roomfsm.mediaserver.forwarding.bandwidth import constants


class Delay:
    """The queue on the path. Times are those at which packets were sent, in seconds."""

    __slots__ = (
        "_base",
        "_before",
        "_began",
        "_samples",
        "_since",
        "grows",
        "jitter",
        "last",
        "over",
        "queue",
        "threshold",
        "trend",
    )

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque(maxlen=constants.TREND)
        """The time and the delay of each."""
        self._base = self._before = float("inf")
        """The shortest delay in the present time span, and in the one before."""
        self._began = 0.0
        """When the present time span began."""
        self.threshold = constants.FIRST_THRESHOLD
        self.queue = 0.0
        """The delay beyond that of an empty path, in seconds."""
        self.trend = 0.0
        """By how many seconds the delay grows in a second."""
        self.grows = False
        """Whether a queue longer than the threshold grows. A large frame makes one that does not grow any more in
        the third sample."""
        self.over = 0
        """So many samples in a row had a queue longer than the threshold."""
        self._since = 0.0
        """When the first of these was sent."""
        self.jitter = 0.0
        """How much longer than the shortest delay in a sample the others are, in seconds, smoothed."""
        self.last = 0.0
        """The delay of the newest sample."""

    def sample(self, sent: float, delay: float, jitter: float) -> None:
        """Take the shortest delay of the packets that were sent until `sent`, and how much longer others took."""
        if sent - self._began > constants.BASE_LIFE:
            self._before, self._base, self._began = self._base, delay, sent
        self._base = min(self._base, delay)
        previous, before = self._samples[-1] if self._samples else (sent, delay)
        self.last = delay
        if not self._samples:
            self.jitter = min(jitter, constants.MAX_JITTER)
        self.jitter += (min(jitter, constants.MAX_JITTER) - self.jitter) * constants.JITTER_WEIGHT
        self._samples.append((sent, delay))
        self.queue = delay - min(self._base, self._before)
        if self.queue > self.threshold:
            if not self.over:
                self._since = sent
            self.over += 1
        else:
            self.over = 0
        self._adapt(min(sent - previous, 1.0))
        self.trend = self._slope() if self.over > 1 else 0.0
        self.grows = (
            self.over > 2 and self.trend > constants.GROWS and delay - before > constants.GROWS * (sent - previous)
        )

    def stands(self, sent: float) -> float:
        """For how many seconds there has been a queue, without a break."""
        return sent - self._since if self.over else 0.0

    def forget(self, sent: float) -> None:
        """Count the present queue as part of the path."""
        self._before = float("inf")
        self._base, self._began = min(delay for _, delay in self._samples), sent
        self.over, self.queue = 0, 0.0

    def _adapt(self, elapsed: float) -> None:
        beyond = self.queue - self.threshold
        if beyond > constants.OUTLIER:
            return
        speed = constants.THRESHOLD_UP if beyond > 0 else constants.THRESHOLD_DOWN
        least, most = constants.THRESHOLDS
        self.threshold = min(most, max(least, self.threshold + elapsed * speed * beyond))

    def _slope(self) -> float:
        """The slope of the line through the samples (least squares)."""
        count = len(self._samples)
        middle = sum(sent for sent, _ in self._samples) / count
        mean = sum(delay for _, delay in self._samples) / count
        across = along = 0.0
        for sent, delay in self._samples:
            across += (sent - middle) ** 2
            along += (sent - middle) * (delay - mean)
        return along / across if across else 0.0
