"""The share of a stream that a receiver lost within the last seconds, from its receiver reports.

The fraction in a report block covers the packets since the previous report (RFC 3550 section 6.4.1). Browsers send
a report with every feedback, so the interval may be a few packets, and the fraction may be nothing or half by
chance. The counters in the block never start anew, so they give the share over any time.
"""

from typing import NamedTuple

from roomfsm.mediaserver.rtp.rtcp import ReportBlock

_WINDOW = 2.0
"""The share is over at least so many seconds, if there are reports that old."""
_SPACING = 0.25
"""The shortest time in seconds between two remembered reports."""
_REMEMBERED = 16
_LIFE = 5.0
"""Seconds for which a report counts."""


class _Counters(NamedTuple):
    time: float
    highest: int
    lost: int
    fraction: float


class LossWindow:
    """The losses of one stream."""

    __slots__ = ("_reports",)

    def __init__(self) -> None:
        self._reports: list[_Counters] = []

    def reported(self, block: ReportBlock, now: float) -> None:
        reports = self._reports
        if len(reports) > 1 and now - reports[-2].time < _SPACING:
            reports.pop()
        reports.append(_Counters(now, block.highest, block.lost, block.fraction_lost / 256))
        if len(reports) > _REMEMBERED:
            del reports[0]

    def clear(self) -> None:
        """Forget all reports, because later ones are about something else."""
        self._reports.clear()

    def fraction(self, now: float) -> float | None:
        """The lost share, 0 to 1; None if there was no report lately.

        Packets that were repaired in a stream of their own (RTX) still count as lost.
        """
        reports = self._reports
        if not reports or now - reports[-1].time > _LIFE:
            return None
        newest = reports[-1]
        first = next((one for one in reversed(reports) if newest.time - one.time >= _WINDOW), reports[0])
        expected = (newest.highest - first.highest) & 0xFFFFFFFF
        if not expected:
            return newest.fraction
        lost = (newest.lost - first.lost + 0x800000) % 0x1000000 - 0x800000
        return min(1.0, max(0.0, lost / expected))
