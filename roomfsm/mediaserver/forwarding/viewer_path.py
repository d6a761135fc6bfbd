"""The path to one viewer's browser: its round trip, losses and bandwidth, and the budgets for its repairs.

The round trip is measured as RFC 3550 section 6.4.1 describes. A receiver report names the newest sender report
that the browser has (LSR, the middle 32 bits of its NTP timestamp), and how long the browser has had it (DLSR).
The sender reports that we forward have the publisher's clock, which we do not know. So we remember when each
report was sent, and the round trip is the time since then minus DLSR. It includes the time in queues on the path.

Reports come once a second, but a queue fills up sooner. A NACK shows it at once. The browser notices a missing
packet when it gets the next one, so the time since that one was sent is a round trip, too. It is too long if an
earlier NACK was lost, so the shorter of two such times counts.

If a viewer loses packets because its path is full, it must not be sent more because of that. So the bytes that are
sent to it again have a budget, which is a share of the bytes that it is sent for the first time. The keyframes for
its losses have an allowance, because they cost all the others quality. Both are token buckets.
"""

from roomfsm.mediaserver.base.kinds import ALL_KINDS, MediaKind
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.forwarding.bandwidth.estimator import PathTransport
from roomfsm.mediaserver.forwarding.loss_window import LossWindow
from roomfsm.mediaserver.forwarding.shared_path import Claim, SharedPath
from roomfsm.mediaserver.ice.allowance import Allowance
from roomfsm.mediaserver.rtp.rtcp import ReportBlock

_REPORTS = 16
"""The number of sent sender reports that are remembered. They cover several seconds of two kinds of media."""
_WEIGHT = 1 / 8
"""The weight of the newest round trip in the smoothed one (RFC 6298 section 2)."""
_MAX_ROUND_TRIP = 5.0
"""The longest round trip in seconds that counts. A longer one is wrong: its sender report was stuck somewhere, or
DLSR is wrong."""
_LIFE = 5.0
"""Seconds for which a report of the browser counts. Browsers report about once a second."""
_NOTICED_LIFE = 2.0
"""Seconds for which the measured delay of a NACK counts."""
_MAX_NOTICED = 1.0
"""The longest delay of a NACK in seconds that counts. A loss that is noticed later says nothing about the path."""
_RATE_WEIGHT = 0.5
_START = 1.0
"""Seconds during which a viewer's start is repaired, whatever its rate."""
_KEPT_FOR_AUDIO = 0.2
"""The share of the smallest burst of repairs that video leaves to audio, which is half a second of audio."""
SOUND = 40_000
"""The bitrate that is kept for the sound of a viewer, in bit/s."""
_KEPT_AT_START = 0.1
"""The share of the burst of repairs that the repetition of a start leaves for later losses."""
_GREAT_LOSS, _SMALL_LOSS = 0.1, 0.02
_RISE = 1.08
_LIMIT_INTERVAL = 1.0
"""Seconds."""


class ViewerPath:
    """The data about the path to one viewer.

    Its peer updates it, and its sinks read it. Times are in seconds, rates in bit/s.
    """

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
        "_shared",
        "_time",
        "claim",
        "keyframes",
        "newest_round_trip",
        "rate",
        "relief",
        "remb",
        "repairs",
        "round_trip",
        "to_server",
        "transport",
    )

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self.round_trip: float | None = None
        """The smoothed round trip; None until it was measured."""
        self.newest_round_trip: float | None = None
        """The round trip that was measured last. It is longer than the smoothed one while a queue builds up."""
        self.remb = 0
        """The newest estimate of the browser in bit/s; 0 if there was none."""
        self._remb = float("-inf")
        """When the newest estimate came."""
        self.rate = 0.0
        """The bitrate of RTP to this viewer without repairs, smoothed over about a second."""
        self.repairs = Allowance(settings.start_repair_rate, settings.start_repair_burst)
        """The budget of bytes that may be sent again to this viewer."""
        self.keyframes = Allowance(1 / settings.viewer_keyframe_interval, settings.viewer_keyframe_burst)
        """The allowance of keyframes for losses of this viewer."""
        self.relief = Allowance(1 / settings.viewer_keyframe_interval, settings.viewer_keyframe_burst)
        """The allowance of keyframes with which this viewer gets a smaller layer."""
        self._shared: SharedPath | None = None
        """The path with the other viewers of the same participant; None if there are no others."""
        self.transport: PathTransport | None = None
        """Our own estimate, if the viewer's browser tells when packets came. None if it estimates itself."""
        self.claim: Claim | None = None
        """What the picture needs of the path; None if the viewer's browser estimates itself."""
        self.to_server = False
        """Whether the viewer is another media server with viewers of its own (:meth:`leads_to_server`)."""
        self._sent: list[tuple[int, int, float]] = []
        """The SSRC, the middle of the NTP timestamp, and the time of each sender report that was sent to the
        viewer."""
        self._losses = {kind: LossWindow() for kind in ALL_KINDS}
        self._loss_limit: float | None = None
        self._limited = float("-inf")
        """When losses last changed the limit."""
        self._noticed: tuple[tuple[float, float], ...] = ()
        """The delays of the newest two NACKs, and when they came."""
        self._octets = 0
        self._time: float | None = None
        self._flowing_since: float | None = None
        """When packets were first seen to be sent."""

    def leads_to_server(self) -> None:
        """Note that the viewer is another media server.

        It asks for keyframes for all its viewers, also for those that begin, and within allowances like ours. So
        we allow it as many as viewers that begin. Its estimate is about the paths of its viewers.
        """
        settings = self._settings
        self.to_server = True
        self.keyframes = Allowance(1 / settings.join_keyframe_interval, settings.join_keyframe_burst)

    # The round trip

    def report_sent(self, ssrc: int, ntp: int, now: float) -> None:
        """Record that a sender report with this NTP timestamp is sent to the viewer."""
        self._sent.append((ssrc, _middle(ntp), now))
        if len(self._sent) > _REPORTS:
            del self._sent[0]

    def reported(self, kind: MediaKind, block: ReportBlock, now: float) -> None:
        """Record a report block about our stream of that kind."""
        self._losses[kind].reported(block, now)
        if kind is MediaKind.VIDEO:
            self._limit_by_loss(now)
        if not block.last_report:
            return  # The browser has no sender report yet.
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
        """Record a NACK that came `delay` seconds after the packet that follows the missing one was sent."""
        self._noticed = (*self._noticed[-1:], (min(delay, _MAX_NOTICED), now))

    def repeat_interval(self, now: float) -> float:
        """Seconds in which the viewer cannot have noticed that a packet is missing: its round trip, including the
        queue.
        """
        if self.round_trip is None or self.newest_round_trip is None:
            known = self._settings.viewer_round_trip
        else:
            known = max(self.round_trip, self.newest_round_trip)
        noticed = [delay for delay, time in self._noticed if now - time <= _NOTICED_LIFE]
        return max(known, min(noticed)) if len(noticed) > 1 else known

    @property
    def kept_for_audio(self) -> float:
        """The bytes of the budget that only audio may use.

        It is not a share of the large burst at a start, because video would then get too little.
        """
        return self._settings.min_repair_burst * _KEPT_FOR_AUDIO

    @property
    def kept_at_start(self) -> float:
        """The bytes of the budget that the repetition of a start leaves."""
        return self.repairs.burst * _KEPT_AT_START

    # Losses and bandwidth

    def loss(self, kind: MediaKind, now: float) -> float | None:
        """The lost fraction of a kind within the last seconds, 0 to 1; None if there was no report lately."""
        return self._losses[kind].fraction(now)

    def paused(self) -> None:
        """Forget the losses of video, because none is sent from now on and later reports are about the time
        before.
        """
        self._losses[MediaKind.VIDEO].clear()
        self._loss_limit = None

    def estimated(self, bitrate: int, now: float) -> None:
        """Record the browser's estimate of the bitrate that it can receive."""
        self.remb, self._remb = bitrate, now

    def share(self, path: SharedPath) -> None:
        """Share the path with other viewers. Call this before :meth:`number_packets`."""
        self._shared = path

    def number_packets(self) -> PathTransport:
        """Estimate what the path carries from now on, by the transport-wide numbers of packets of video."""
        if self.transport is None:
            shared = self._shared or SharedPath(self._settings)
            self._shared = shared
            self.transport, self.claim = shared.estimator.open_transport(), shared.open_claim()
        return self.transport

    def close(self) -> None:
        """Leave the path to the other viewers."""
        if self.transport is not None:
            self.transport.close()
        if self._shared is not None and self.claim is not None:
            self._shared.forget(self.claim)
        self._shared = self.transport = self.claim = None

    def estimate(self, now: float) -> int | None:
        """The estimate of what the path carries in bit/s; None if there was none lately.

        It is our own if the browser tells us when packets came, and otherwise the browser's. Ours is about video,
        so some room for sound is added. It is what this viewer can get while others of the same path get what they
        get.
        """
        if self.transport is not None and (carried := self.transport.share(now)) is not None:
            return carried + SOUND
        return self.remb if now - self._remb <= _LIFE else None

    def limit(self, now: float) -> int | None:
        """The bitrate that may be sent over the path in bit/s; None if nothing is known.

        It is the browser's estimate or, if there is none, a limit that follows its losses.
        """
        estimate = self.estimate(now)
        if estimate is None and self._loss_limit is not None:
            return round(self._loss_limit)
        return estimate

    def _limit_by_loss(self, now: float) -> None:
        """Update the limit as in draft-ietf-rmcat-gcc-02 section 6: great losses lower it, and small ones let it
        rise.
        """
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
        """Record that so many octets of RTP have been sent to the viewer for the first time until `now`."""
        if self._time is not None and now > self._time:
            self.rate += _RATE_WEIGHT * (8 * (octets - self._octets) / (now - self._time) - self.rate)
            if self._flowing_since is None and octets > self._octets:
                self._flowing_since = now
            started = self._flowing_since is not None and now - self._flowing_since >= _START
            if started and octets > self._octets:  # The budget from before a silence stays.
                share = self.rate / 8 * self._settings.repair_share
                self.repairs.rate, self.repairs.burst = share, max(share, self._settings.min_repair_burst)
        self._octets, self._time = octets, now


def _middle(ntp: int) -> int:
    return (ntp >> 16) & 0xFFFFFFFF
