"""One received RTP stream: its numbering, its losses and the times to request them again, and its reports."""

from dataclasses import replace
from typing import NamedTuple

from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.rtp.rtcp import ReportBlock, SenderReport
from roomfsm.mediaserver.sdp.codec import Codec

_MAX_DROPOUT = 3000
"""If the sequence number jumps by more than this, the stream was restarted (RFC 3550 appendix A.1)."""
_MAX_MISSING = 512
"""If more packets than this are missing, they are not requested, because a keyframe is cheaper."""
_BACKOFF = 1.5
"""The time until a packet is requested again is so many times the time before, or the time that answers take."""
_MAX_RETRY = 1.0
"""The longest time until then, in seconds."""
_LONGER_WEIGHT = 1 / 8
"""The weight of an answer that took longer than the round trip."""
_LEAST_TRIES = 2
"""So often a packet is requested before its time is over, because a request may be lost."""
_MAX_ASKED = 256
"""The most packets that one NACK requests, so that it always fits into a datagram."""


class _Lost(NamedTuple):
    """A packet that has not come."""

    tries: int
    """How often it was requested."""
    due: float
    """When to request it next."""
    asked: float
    """When it was requested first."""


class Reception:
    """The receiver's side of one SSRC.

    Sequence numbers are *extended*: they do not wrap, and `first` continues the numbers of the stream before. So
    the forwarded numbers only rise, whatever the publisher does.
    """

    __slots__ = (
        "_clock_rate",
        "_expected_prior",
        "_first",
        "_last_report",
        "_last_report_time",
        "_received_prior",
        "_repairs",
        "_settings",
        "_shift",
        "_transit",
        "highest",
        "jitter",
        "keyframe_wanted",
        "last_time",
        "last_timestamp",
        "missing",
        "nacks",
        "octets",
        "packets",
        "repaired",
        "round_trip",
        "ssrc",
    )

    def __init__(
        self, settings: EngineSettings, ssrc: int, codec: Codec, sequence_number: int, first: int
    ) -> None:
        """`first` is the extended number of the packet with `sequence_number`."""
        self._settings = settings
        self._clock_rate = codec.clock_rate
        self._repairs = "nack" in codec.feedback
        self.ssrc = ssrc
        self.highest = first - 1
        self._first = first
        self._shift = first - sequence_number
        self.packets = 0
        self.octets = 0
        self.repaired = 0
        """How many of `packets` came as retransmissions in another stream. For the sender they count as lost."""
        self.jitter = 0.0
        """The jitter in timestamp units (RFC 3550 section 6.4.1)."""
        self._transit: float | None = None
        self.last_time = 0.0
        self.last_timestamp = 0
        self.missing: dict[int, _Lost] = {}
        """The missing packets by extended number."""
        self.round_trip: float | None = None
        """The usual time in seconds from requesting a packet to getting it; None until a requested packet has
        come."""
        self.nacks = 0
        self.keyframe_wanted = False
        """Whether losses were given up, so that only a keyframe helps."""
        self._expected_prior = 0
        self._received_prior = 0
        self._last_report: SenderReport | None = None
        self._last_report_time = 0.0

    def extend(self, sequence_number: int) -> int:
        """The extended number nearest to the highest so far."""
        distance = (sequence_number + self._shift - self.highest) & 0xFFFF
        return self.highest + (distance if distance < 0x8000 else distance - 0x10000)

    def is_restart(self, extended: int) -> bool:
        return not -_MAX_DROPOUT < extended - self.highest < _MAX_DROPOUT

    def received(self, extended: int, timestamp: int, size: int, now: float) -> bool:
        """Count a packet. Returns whether it is the newest one, in order or after a gap."""
        self.packets += 1
        self.octets += size
        transit = now * self._clock_rate - timestamp
        if self._transit is not None:
            difference = abs(transit - self._transit)
            if difference < self._clock_rate:  # A greater jump of the timestamps is not jitter.
                self.jitter += (difference - self.jitter) / 16
        self._transit = transit
        distance = extended - self.highest
        if distance <= 0:
            lost = self.missing.pop(extended, None)
            if lost is not None and lost.tries:
                self._answered(lost, now)
            return False
        if distance > 1 and self._repairs:
            self._lost(self.highest + 1, extended, now)
        self.highest = extended
        self.last_time = now
        self.last_timestamp = timestamp
        return True

    def _lost(self, start: int, end: int, now: float) -> None:
        if len(self.missing) + end - start > _MAX_MISSING:
            self.missing.clear()
            self.keyframe_wanted = True
        else:
            due = now + self._settings.nack_delay
            self.missing.update((number, _Lost(0, due, due)) for number in range(start, end))

    def _answered(self, lost: _Lost, now: float) -> None:
        """Update `round_trip` after a requested packet has come.

        If it was requested more than once, it may answer any of the requests. So the time since the first request
        is never too short, but it is too long if a request was lost. Therefore a shorter time counts at once, and
        a longer one only if it is usual.
        """
        response = now - lost.asked
        if self.round_trip is None or response < self.round_trip:
            self.round_trip = response
        else:
            self.round_trip += (response - self.round_trip) * _LONGER_WEIGHT

    def _until_next(self, tries: int) -> float:
        """Seconds until a packet that was requested so often is requested again.

        The answer must have had time to arrive.
        """
        least = self._settings.nack_retry
        if self.round_trip is None:
            return least * _BACKOFF ** (tries - 1)
        return min(max(least, self.round_trip * _BACKOFF), _MAX_RETRY)

    def nacks_due(self, now: float) -> list[int]:
        """The sequence numbers to request now, as the sender counts them. Each request is counted."""
        due: list[int] = []
        for number, (tries, when, asked) in list(self.missing.items()):
            if now < when:
                continue
            if len(due) >= _MAX_ASKED:
                break
            late = tries >= _LEAST_TRIES and now - asked >= self._settings.nack_patience
            if late or tries >= self._settings.nack_tries:
                del self.missing[number]
                self.keyframe_wanted = True
                continue
            self.missing[number] = _Lost(tries + 1, now + self._until_next(tries + 1), asked if tries else now)
            due.append((number - self._shift) & 0xFFFF)
        self.nacks += len(due)
        return due

    def sender_report(self, report: SenderReport, now: float) -> None:
        self._last_report = report
        self._last_report_time = now

    def clock(self, now: float) -> SenderReport | None:
        """The newest sender report, with its two times moved to `now`; None if none has come."""
        last, elapsed = self._last_report, now - self._last_report_time
        if last is None:
            return None
        ntp = (last.ntp + round(elapsed * 2**32)) & 0xFFFFFFFFFFFFFFFF
        return replace(last, ntp=ntp, rtp=(last.rtp + round(elapsed * self._clock_rate)) & 0xFFFFFFFF)

    @property
    def lost(self) -> int:
        """The cumulative number of lost packets, which is negative if there are duplicates (RFC 3550 section
        6.4.1).
        """
        return self.highest - self._first + 1 - self._came_themselves

    @property
    def _came_themselves(self) -> int:
        return self.packets - self.repaired

    def report(self, now: float) -> ReportBlock:
        """The block for the next receiver report. It starts a new interval for the lost fraction."""
        expected = self.highest - self._first + 1
        interval = expected - self._expected_prior
        received = self._came_themselves
        lost = interval - (received - self._received_prior)
        self._expected_prior, self._received_prior = expected, received
        last = self._last_report
        delay = int((now - self._last_report_time) * 65536) if last else 0
        return ReportBlock(
            self.ssrc,
            min(255, 256 * lost // interval) if interval > 0 and lost > 0 else 0,
            max(-0x800000, min(0x7FFFFF, self.lost)),
            (self.highest - self._shift) & 0xFFFFFFFF,
            int(self.jitter),
            (last.ntp >> 16) & 0xFFFFFFFF if last else 0,
            min(delay, 0xFFFFFFFF),
        )
