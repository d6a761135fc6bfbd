"""The path to one viewer's browser: its round trip, its losses and its bandwidth, and what it may cost us.

The round trip is measured as RFC 3550 section 6.4.1 has it. A receiver report names the newest sender report that
the browser has (LSR: the middle 32 bits of its NTP timestamp) and how long it has had it (DLSR). The sender
reports that we pass on carry the publisher's clock, which we do not know. So we note when each was sent, and the
round trip is the time since then less DLSR. What waits in a queue of the path is part of it.

Reports come once a second, and a queue fills up sooner. A NACK tells of it at once: the browser misses a packet
when it gets the one behind it, so the time since that one was sent is a round trip, too, though too long a one if
an earlier NACK was lost. The shorter of two such times therefore counts.

Who loses packets because its path is full must not be sent more for it. So what is repeated to a viewer has a
budget in bytes, a share of what it is sent for the first time, and the keyframes that it costs all the others have
an allowance. Both are token buckets.
"""

from roomfsm.mediaserver.base.kinds import ALL_KINDS, MediaKind
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.forwarding.loss_window import LossWindow
from roomfsm.mediaserver.ice.allowance import Allowance
from roomfsm.mediaserver.rtp.rtcp import ReportBlock

_REPORTS = 16
"""Sender reports whose sending is remembered: of two kinds of media, several seconds of them."""
_WEIGHT = 1 / 8
"""Weight of the newest round trip in the smoothed one (RFC 6298 section 2)."""
_MAX_ROUND_TRIP = 5.0
"""Seconds. A longer one is no measurement: its sender report was stuck somewhere, or DLSR is wrong."""
_LIFE = 5.0
"""Seconds for which a report of the browser counts. Browsers report about once a second."""
_NOTICED_LIFE = 2.0
"""Seconds for which the time that a loss was noticed after counts."""
_MAX_NOTICED = 1.0
"""Seconds: a loss that is noticed later tells nothing of the path."""
_RATE_WEIGHT = 0.5
_START = 1.0
"""Seconds in which a viewer's start is repaired, whatever its rate."""
_KEPT_FOR_AUDIO = 0.2
"""The share that video leaves of the least that may be repeated to a viewer at once: half a second of audio."""
_KEPT_AT_START = 0.1
"""The share that the repetition of a start leaves of what may be repeated at once, for later losses."""
_GREAT_LOSS, _SMALL_LOSS = 0.1, 0.02
_RISE = 1.08
_LIMIT_INTERVAL = 1.0
"""Seconds."""


class ViewerPath:
    """What is known of the path to one viewer. Its peer keeps it up to date, its sinks read it; seconds, bit/s."""

    __slots__ = (
        "_flowing_since",
        "_limited",
        "_loss_limit",
        "_losses",
        "_noticed",
        "_octets",
        "_remb",
        "_sent",
        "_settings",
        "_time",
        "keyframes",
        "newest_round_trip",
        "rate",
        "remb",
        "repairs",
        "round_trip",
    )

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self.round_trip: float | None = None
        """Smoothed; None until it was measured."""
        self.newest_round_trip: float | None = None
        """As measured last: longer than the smoothed one while a queue builds up."""
        self.remb = 0
        """The newest estimate of the browser, bit/s; 0 while it told none."""
        self._remb = float("-inf")
        """When the newest estimate came."""
        self.rate = 0.0
        """Bit/s of RTP sent to this viewer, repairs not counted, smoothed over about a second."""
        self.repairs = Allowance(settings.start_repair_rate, settings.start_repair_burst)
        """Bytes that may be sent again to this viewer."""
        self.keyframes = Allowance(1 / settings.viewer_keyframe_interval, settings.viewer_keyframe_burst)
        """Keyframes that losses of this viewer may cost."""
        self._sent: list[tuple[int, int, float]] = []
        """SSRC, middle of the NTP timestamp and time of each sender report that went to the viewer."""
        self._losses = {kind: LossWindow() for kind in ALL_KINDS}
        self._loss_limit: float | None = None
        self._limited = float("-inf")
        """When the limit was last set by losses."""
        self._noticed: tuple[tuple[float, float], ...] = ()
        """How long after its sending a loss was noticed, and when; the newest two."""
        self._octets = 0
        self._time: float | None = None
        self._flowing_since: float | None = None
        """When it was first noticed that something is sent."""

    # The round trip

    def report_sent(self, ssrc: int, ntp: int, now: float) -> None:
        """A sender report with this NTP timestamp goes to the viewer."""
        self._sent.append((ssrc, _middle(ntp), now))
        if len(self._sent) > _REPORTS:
            del self._sent[0]

    def reported(self, kind: MediaKind, block: ReportBlock, now: float) -> None:
        """A report block about our stream of a kind came."""
        self._losses[kind].reported(block, now)
        if kind is MediaKind.VIDEO:
            self._limit_by_loss(now)
        if not block.last_report:
            return  # It has no sender report yet.
        for ssrc, middle, time in reversed(self._sent):
            if ssrc == block.ssrc and middle == block.last_report:
                self._measured(now - time - block.delay / 65536)
                return

    def _measured(self, round_trip: float) -> None:
        if not 0 <= round_trip <= _MAX_ROUND_TRIP:
            return
        self.newest_round_trip = round_trip
        if self.round_trip is None:
            self.round_trip = round_trip
        else:
            self.round_trip += (round_trip - self.round_trip) * _WEIGHT

    def loss_noticed(self, delay: float, now: float) -> None:
        """A NACK came `delay` after the packet behind the missing one was sent."""
        self._noticed = (*self._noticed[-1:], (min(delay, _MAX_NOTICED), now))

    def repeat_interval(self, now: float) -> float:
        """Seconds in which a packet just sent cannot have been missed by the viewer: its round trip and queue."""
        if self.round_trip is None or self.newest_round_trip is None:
            known = self._settings.viewer_round_trip
        else:
            known = max(self.round_trip, self.newest_round_trip)
        noticed = [delay for delay, time in self._noticed if now - time <= _NOTICED_LIFE]
        return max(known, min(noticed)) if len(noticed) > 1 else known

    @property
    def kept_for_audio(self) -> float:
        """Bytes of the budget that only audio may use. A share of a start's great burst would starve video."""
        return self._settings.min_repair_burst * _KEPT_FOR_AUDIO

    @property
    def kept_at_start(self) -> float:
        """Bytes of the budget that a start is not repeated with."""
        return self.repairs.burst * _KEPT_AT_START

    # Losses and bandwidth

    def loss(self, kind: MediaKind, now: float) -> float | None:
        """The fraction lost of a kind within the last seconds, 0 to 1; None if there was no report lately."""
        return self._losses[kind].fraction(now)

    def paused(self) -> None:
        """No video is sent: what is told of its losses from now on is of the time before."""
        self._losses[MediaKind.VIDEO].clear()
        self._loss_limit = None

    def estimated(self, bitrate: int, now: float) -> None:
        """The browser told what it can take."""
        self.remb, self._remb = bitrate, now

    def estimate(self, now: float) -> int | None:
        """What the browser can take by its own estimate, bit/s; None if it told none lately."""
        return self.remb if now - self._remb <= _LIFE else None

    def limit(self, now: float) -> int | None:
        """What may be sent over the path, bit/s: the browser's estimate, or of one that tells none what its losses
        allow; None if nothing is known."""
        estimate = self.estimate(now)
        if estimate is None and self._loss_limit is not None:
            return round(self._loss_limit)
        return estimate

    def _limit_by_loss(self, now: float) -> None:
        """As draft-ietf-rmcat-gcc-02 section 6 has it: great losses lower the limit, small ones let it rise."""
        if now - self._limited < _LIMIT_INTERVAL or (fraction := self.loss(MediaKind.VIDEO, now)) is None:
            return
        self._limited = now
        if fraction > _GREAT_LOSS and self.rate > 0:
            known = self.rate if self._loss_limit is None else min(self._loss_limit, self.rate)
            self._loss_limit = known * (1 - fraction / 2)
        elif fraction < _SMALL_LOSS and self._loss_limit is not None:
            self._loss_limit *= _RISE
            if self._loss_limit > 2 * self.rate:
                self._loss_limit = None

    def measure(self, octets: int, now: float) -> None:
        """So many octets of RTP have gone to the viewer for the first time until `now`."""
        if self._time is not None and now > self._time:
            self.rate += _RATE_WEIGHT * (8 * (octets - self._octets) / (now - self._time) - self.rate)
            if self._flowing_since is None and octets > self._octets:
                self._flowing_since = now
            started = self._flowing_since is not None and now - self._flowing_since >= _START
            if started and octets > self._octets:  # What was there before a silence is repaired as before it.
                share = self.rate / 8 * self._settings.repair_share
                self.repairs.rate, self.repairs.burst = share, max(share, self._settings.min_repair_burst)
        self._octets, self._time = octets, now


def _middle(ntp: int) -> int:
    return (ntp >> 16) & 0xFFFFFFFF
