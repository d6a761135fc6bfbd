"""What a viewer receives of a stream, and what its browser would report of that by RTCP.

A picture is whole when all its packets have come. Gaps are asked for again once, as a browser does (RFC 4585), and
the media server repeats them in a stream of their own (RTX, RFC 4588). A packet that is still missing after a
second is lost, and so is its picture. The reports (RFC 3550 section 6.4) and the estimate of the bandwidth (REMB)
are what the media server needs to find out that a path is too slow.
"""

from __future__ import annotations

import random
from bisect import insort

from roomfsm.mediaserver.rtp import rtcp
from roomfsm.peer import RtpPacket

RTX_NUMBER = 97
REPORT_INTERVAL = 1.0
"""Seconds."""
_PATIENCE = 1.0
"""Seconds after which a packet is lost that has not come."""
_FREEZE = 1.0
"""A viewer who sees no new picture for so many seconds has none."""
_GREATEST_GAP = 1000
"""After a greater gap than this many packets the stream is counted anew."""
_FULL, _GOOD = 0.1, 0.02
"""A path with more losses than the first is full, and one with fewer than the second bears more."""
_DECREASE, _INCREASE, _MOST = 0.85, 1.08, 1.5
"""How the estimate changes each second, and its most as a multiple of what comes (draft-ietf-rmcat-gcc-02)."""


class Source:
    """The packets of one SSRC, counted as RFC 3550 appendix A.3 says."""

    def __init__(self, first: RtpPacket) -> None:
        self.ssrc = first.ssrc
        self.highest = first.sequence_number - 1
        """The highest number so far, with its cycles."""
        self._base = first.sequence_number
        self.received = 0
        self._reported = 0, 0
        self._clock = 0, 0.0
        """The middle of the newest sender report's NTP timestamp, and when that came."""

    def extend(self, number: int) -> int:
        """The sequence number with its cycles: the one that is nearest to the highest so far."""
        ahead = (number - self.highest) & 0xFFFF
        return self.highest + (ahead if ahead < 1 << 15 else ahead - (1 << 16))

    def take(self, number: int) -> None:
        """Count a packet with this extended number."""
        self.received += 1
        self.highest = max(self.highest, number)

    def clock(self, ntp: int, now: float) -> None:
        """Take the newest sender report's NTP timestamp."""
        self._clock = ntp >> 16 & 0xFFFFFFFF, now

    def report(self, now: float) -> tuple[rtcp.ReportBlock, float]:
        """The report about the packets so far, and the fraction that was lost since the last one."""
        expected = self.highest - self._base + 1
        new = expected - self._reported[0], self.received - self._reported[1]
        self._reported = expected, self.received
        fraction = max(0.0, 1 - new[1] / new[0]) if new[0] > 0 else 0.0
        middle, came = self._clock
        lost = max(0, min(expected - self.received, 0x7FFFFF))
        delay = min(round((now - came) * 65536), 0xFFFFFFFF) if middle else 0
        highest = self.highest & 0xFFFFFFFF
        return rtcp.ReportBlock(
            self.ssrc, min(round(fraction * 256), 255), lost, highest, 0, middle, delay
        ), fraction


class Pictures:
    """Which pictures of a stream are whole. All numbers are extended sequence numbers."""

    def __init__(self) -> None:
        self._newest: int | None = None
        self._missing: dict[int, float] = {}
        """Since when each packet is missing."""
        self._ends: list[int] = []
        """The last packets of pictures that lack something, in their order."""
        self.lost = 0
        """Packets that have never come."""

    def take(self, number: int, *, last: bool, now: float) -> tuple[list[int], bool]:
        """Take a packet. Returns the packets to ask for, and whether a picture is whole now."""
        newest = number - 1 if self._newest is None or number - self._newest > _GREATEST_GAP else self._newest
        asked = list(range(newest + 1, number))
        self._missing |= dict.fromkeys(asked, now)
        known = number <= newest and self._missing.pop(number, None) is None
        self._newest = max(newest, number)
        self._give_up(now)
        if last and not known:
            insort(self._ends, number)
        oldest = min(self._missing, default=self._newest + 1)
        whole = [end for end in self._ends if end < oldest]
        del self._ends[: len(whole)]
        return asked, bool(whole)

    def _give_up(self, now: float) -> None:
        for number, since in list(self._missing.items()):
            if now - since > _PATIENCE:
                del self._missing[number]
                self.lost += 1
                broken = next((end for end in self._ends if end > number), None)
                if broken is not None:
                    self._ends.remove(broken)


class Reception:
    """One viewer of one stream."""

    def __init__(self, video: int, now: float) -> None:
        self.video = video
        """The payload type of the picture."""
        self.pictures = Pictures()
        self._ssrc = random.getrandbits(32)
        self._sources: dict[int, Source] = {}
        self._picture: Source | None = None
        self._octets = 0
        self._estimate: float | None = None
        self._seen = now
        """When the newest whole picture came, or when the viewing began."""
        self.without = 0.0
        """Seconds without a picture until the newest one."""
        self.count = 0
        """Whole pictures, or several that became whole at once."""

    @property
    def empty(self) -> bool:
        """Whether nothing has come yet."""
        return not self._sources

    def take(self, packet: RtpPacket, now: float) -> bytes:
        """Take a packet. Returns RTCP to send, or nothing."""
        self._octets += len(packet.payload) + 12
        if packet.payload_type == RTX_NUMBER:
            if self._picture is None or len(packet.payload) < 2:
                return b""
            number = self._picture.extend(int.from_bytes(packet.payload[:2]))
            source = self._picture
        else:
            source = self._sources.setdefault(packet.ssrc, Source(packet))
            number = source.extend(packet.sequence_number)
            source.take(number)
            if packet.payload_type != self.video:
                return b""
            self._picture = source
        asked, whole = self.pictures.take(number, last=packet.marker, now=now)
        if whole:
            self.count += 1
            self.without = self.time_without(now)
            self._seen = now
        if not asked:
            return b""
        return self._compound([], rtcp.nack(self._ssrc, source.ssrc, [number & 0xFFFF for number in asked]))

    def time_without(self, now: float) -> float:
        """Seconds without a picture so far."""
        gap = now - self._seen
        return self.without + (gap if gap > _FREEZE else 0.0)

    def hear(self, compound: bytes, now: float) -> None:
        """Take RTCP of the media server."""
        for packet in rtcp.parse(compound):
            if isinstance(packet, rtcp.SenderReport) and packet.ssrc in self._sources:
                self._sources[packet.ssrc].clock(packet.ntp, now)

    def report(self, now: float) -> bytes:
        """The RTCP that is due each second."""
        blocks: list[rtcp.ReportBlock] = []
        for source in self._sources.values():
            block, fraction = source.report(now)
            blocks.append(block)
            if source is self._picture:
                self._estimates(fraction)
        self._octets = 0
        if self._estimate is None or self._picture is None:
            return self._compound(blocks, b"")
        return self._compound(blocks, rtcp.remb(self._ssrc, round(self._estimate), (self._picture.ssrc,)))

    def _estimates(self, fraction: float) -> None:
        came = 8 * self._octets / REPORT_INTERVAL
        if fraction > _FULL:
            self._estimate = _DECREASE * came
        elif self._estimate is None:
            self._estimate = _MOST * came
        elif fraction < _GOOD:
            self._estimate = min(_INCREASE * self._estimate, max(_MOST * came, self._estimate))

    def _compound(self, blocks: list[rtcp.ReportBlock], feedback: bytes) -> bytes:
        head = rtcp.receiver_report(self._ssrc, blocks) + rtcp.source_description(self._ssrc, "load")
        return head + feedback
