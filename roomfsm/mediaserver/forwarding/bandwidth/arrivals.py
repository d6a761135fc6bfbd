"""What has arrived lately, in samples: the rates and the losses of the last moments."""

from collections import deque
from typing import NamedTuple

from roomfsm.mediaserver.forwarding.bandwidth import constants
from roomfsm.mediaserver.forwarding.bandwidth.sent_packets import Answered


class Sample(NamedTuple):
    """What was known at one time. All numbers are counted since the beginning."""

    time: float
    total: int
    """The bytes that had been sent."""
    sent: float
    """When the newest packet that has arrived was sent."""
    arrival: float
    """When the last packet arrived, by the receiver's clock."""
    octets: int
    """The bytes that arrived."""
    packets: int
    """The packets that arrived."""
    lost: int


class Arrivals:
    """Takes what feedback says, and makes samples of it. Times are in seconds, rates in bit/s."""

    __slots__ = ("_missing", "_newest", "_samples", "_shortest")

    def __init__(self, now: float) -> None:
        """Packets that were sent before `now` do not count."""
        self._samples: deque[Sample] = deque(maxlen=constants.SAMPLES)
        self._newest = Sample(now, 0, now, float("-inf"), 0, 0, 0)
        self._missing = 0
        """The packets that the newest feedback reported as lost. They count from the next feedback on, because
        some of them only come in another order."""
        self._shortest = float("inf")
        """The shortest delay since the last sample."""

    def add(self, answered: Answered, total: int, now: float) -> float | None:
        """Add what a feedback says. `total` are all bytes that have been sent.

        Returns the shortest delay since the last sample if there is a new one, and None if there is none.
        """
        before = self._newest
        self._newest = newest = Sample(
            now,
            total,
            max(before.sent, answered.sent),
            max(before.arrival, answered.arrival),
            before.octets + answered.octets,
            before.packets + answered.packets,
            before.lost + self._missing - answered.late,
        )
        self._missing = answered.lost
        if answered.sent < before.sent:
            return None  # It comes late, so its delays are those of a time that has been judged.
        self._shortest = min(self._shortest, answered.delay)
        if self._samples:
            last = self._samples[-1]
            if max(newest.sent - last.sent, now - last.time) < constants.SAMPLE:
                return None
            if newest.sent - last.sent > constants.GAP:
                self.clear()
        self._samples.append(newest)
        shortest, self._shortest = self._shortest, float("inf")
        return shortest

    def clear(self) -> None:
        """Forget what has arrived, because it says nothing about what follows."""
        self._samples.clear()
        self._missing = 0

    @property
    def sent(self) -> float:
        """When the newest packet that has arrived was sent."""
        return self._newest.sent

    @property
    def since_last(self) -> float:
        """The time between the packets of the last two samples."""
        return self._samples[-1].sent - self._samples[-2].sent if len(self._samples) > 1 else 0.0

    def rate(self, span: float) -> float | None:
        """The bitrate that has arrived within at least the last `span` seconds; None if that is not known.

        It is not higher than what was sent, whatever the receiver says.
        """
        if not self._samples:
            return None
        newest = self._samples[-1]
        for sample in reversed(self._samples):
            elapsed = newest.sent - sample.sent
            took = newest.arrival - sample.arrival
            if took > elapsed:
                elapsed = took
            if elapsed >= span:
                return 8 * (newest.octets - sample.octets) / elapsed
        return None

    def sending(self, span: float) -> float | None:
        """The bitrate that was sent within about the last `span` seconds; None if that is not known."""
        if not self._samples:
            return None
        newest = self._samples[-1]
        for sample in reversed(self._samples):
            if newest.time - sample.time >= span:
                break
        return 8 * (newest.total - sample.total) / max(constants.SAMPLE, newest.time - sample.time)

    def loss(self, span: float) -> float:
        """The share of packets that were lost within about the last `span` seconds."""
        newest = self._samples[-1]
        for sample in reversed(self._samples):
            if newest.sent - sample.sent >= span:
                break
        lost = newest.lost - sample.lost
        known = lost + newest.packets - sample.packets
        return max(0.0, lost / known) if known >= constants.FEW else 0.0
