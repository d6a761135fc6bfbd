"""What the path to a viewer carries, by transport-wide feedback: draft-ietf-rmcat-gcc-02, and probes.

The draft is for a sender whose encoder follows the estimate, so that the path is always nearly full, and the
estimate can grow step by step. We forward layers. While the next layer does not fit, we send much less than the
path may carry, and nothing that arrives says how much that is. So **each change of the estimate needs evidence**:

- It falls to nine tenths of what arrives if the path is full: if a queue grows or stands (:mod:`.delay`). If more
  than a tenth of the packets is lost, it falls by half that share. Both lower the same number, so it is the lower
  of the draft's two estimates.
- It rises to what arrives without a queue, and slowly beyond while nearly as much as the estimate is sent.
- It rises by probes (:mod:`.probe`): for a moment more is sent than usual, as padding. As long as probes succeed
  they follow each other, so ten times the bitrate are found in two seconds. If a probe fills the path, there is a
  pause (:mod:`.pauses`).

A probe sends 1.5 times what was seen to arrive lately, not 1.5 times the estimate. While little is sent, the path
may have become worse unnoticed, and a probe by the estimate would then cost the viewer the sound.

The effect of a change is seen only in packets that were sent after it. So the rules look at the times when packets
were sent, and need no round trip. While a probe lasts, only the probe is judged.
"""

from collections.abc import Callable

from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.forwarding.bandwidth import constants
from roomfsm.mediaserver.forwarding.bandwidth.arrivals import Arrivals
from roomfsm.mediaserver.forwarding.bandwidth.delay import Delay
from roomfsm.mediaserver.forwarding.bandwidth.pauses import Pauses
from roomfsm.mediaserver.forwarding.bandwidth.probe import Probe
from roomfsm.mediaserver.forwarding.bandwidth.sent_packets import SentPackets
from roomfsm.mediaserver.rtp.transport_feedback import TICKS, TICKS_OF_REFERENCE, TransportFeedback

_NEVER = float("-inf")


class PathEstimator:
    """The estimate for the transport of one viewer. Times are in seconds, sizes in bytes, rates in bit/s.

    The sizes must be those by which the bitrates of the layers are measured.
    """

    __slots__ = (
        "_arrivals",
        "_before_queue",
        "_ceiling",
        "_delay",
        "_estimate",
        "_heard",
        "_loss",
        "_lowered",
        "_pauses",
        "_probe",
        "_reference",
        "_sent",
        "_settings",
        "_shared",
        "_shown",
        "number",
    )

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._sent = SentPackets()
        self.number: Callable[[int, float], int] = self._sent.number
        """`number(size, now)`: call it for each packet that is sent with a transport-wide number. Returns the
        16-bit number."""
        self._reference = 0
        """The reference time of the newest feedback, without wraps."""
        self._begin_anew(_NEVER)

    def _begin_anew(self, now: float) -> None:
        self._heard = now
        """When feedback last said that something arrived."""
        self._arrivals = Arrivals(now)
        self._delay = Delay()
        self._pauses = Pauses(self._settings, now)
        self._probe: Probe | None = None
        self._estimate: float | None = None
        self._lowered = self._shared = _NEVER
        """When the estimate was last lowered, and when a queue was last seen that others made."""
        self._shown = self._ceiling = (_NEVER, 0.0)
        """When a probe last succeeded, and when the path was last full, with the bitrates that arrived."""
        self._before_queue = 0.0
        """The bitrate that was sent when the queue began."""
        self._loss = 0.0
        """The usual share of lost packets."""

    def bitrate(self, now: float) -> int | None:
        """What the path carries; None if nothing is known.

        The estimate ages only while feedback is missing. While nothing is sent, it stays.
        """
        return None if self._estimate is None or self._is_stale(now) else round(self._estimate)

    def _is_stale(self, now: float) -> bool:
        life = self._settings.path_estimate_life
        if now - self._heard <= life:
            return False
        waiting = self._sent.waiting_since()
        return waiting is not None and now - waiting > life

    def feedback(self, report: TransportFeedback, now: float) -> None:
        """Take a feedback of the viewer's browser."""
        if self._is_stale(now):
            self._begin_anew(now)
        self._reference += (report.reference - self._reference + 0x800000 & 0xFFFFFF) - 0x800000
        reference = self._reference * TICKS_OF_REFERENCE / TICKS
        answered = self._sent.take(report, reference, self._probe)
        if answered is None:
            return
        self._heard = now
        shortest = self._arrivals.add(answered, self._sent.octets(), now)
        if shortest is not None:
            self._delay.sample(self._arrivals.sent, shortest, answered.jitter)
        if self._probe is not None:
            self._judge_probe(self._probe, now)
        elif shortest is not None:
            self._judge(now)

    # What the media show

    def _judge(self, now: float) -> None:
        arrivals, delay = self._arrivals, self._delay
        if self._estimate is None:
            if (first := arrivals.rate(constants.FIRST_RATE)) is not None:
                self._estimate = self._bounded(first)
                self._shown = (now, first)
            return
        loss = arrivals.loss(constants.LOSS_TIME)
        self._loss += (loss - self._loss) * constants.LOSS_WEIGHT
        if delay.over == 1:
            self._before_queue = arrivals.sending(constants.RATE)
        if arrivals.sent < self._lowered + constants.REACTION:
            return
        shared = self._is_shared(now)
        if self._is_filling() and not shared:
            self._lower_to_arriving(constants.FULL_RATE, now)
        elif self._is_standing() and not shared:
            self._lower_to_arriving(constants.RATE, now)
        elif loss > constants.GREAT_LOSS:
            self._lower(max(self._estimate * (1 - loss / 2), arrivals.rate(constants.RATE) or 0.0), now)
        elif shared or not delay.over:
            self._raise(loss)
        self._give_up_queue(now)

    def _is_filling(self) -> bool:
        """Whether more is sent than the path carries. A queue that is full does not grow, but loses packets."""
        loses = self._arrivals.loss(constants.FULL_RATE) > constants.GREAT_LOSS
        return self._delay.grows or (self._delay.over > 1 and loses)

    def _is_standing(self) -> bool:
        """Whether there is a queue that does not shrink, and the estimate has not been lowered for that."""
        stands = self._delay.stands(self._arrivals.sent)
        began = self._arrivals.sent - stands
        tried = self._lowered > began + constants.STANDING
        return stands > constants.STANDING and self._delay.trend > constants.SHRINKS and not tried

    def _is_shared(self, now: float) -> bool:
        return now - self._shared < constants.SHARED_LIFE

    def _give_up_queue(self, now: float) -> None:
        """If a queue has not shrunk for long, count it as part of the path."""
        assert self._estimate is not None
        sent, delay = self._arrivals.sent, self._delay
        if delay.stands(sent) > constants.NOT_OURS and delay.trend > constants.SHRINKS:
            few = max(constants.YIELDED * self._before_queue, constants.OBEYED * self._estimate)
            if self._arrivals.sending(constants.RATE) < few:
                self._shared = now
            delay.forget(sent)

    def _lower_to_arriving(self, span: float, now: float) -> None:
        rate = self._arrivals.rate(span)
        if rate is None or self._estimate is None:
            return
        if self._arrivals.sending(constants.RATE) < constants.IDLE * self._estimate:
            self._lower(max(constants.LOWER * rate, constants.IDLE * self._estimate), now)
        else:
            self._ceiling = (now, rate)
            self._lower(constants.LOWER * rate, now)

    def _lower(self, target: float, now: float) -> None:
        if self._estimate is None or target >= self._estimate:
            return
        self._estimate = self._bounded(target)
        self._lowered = now
        self._pauses.full(now)

    def _raise(self, loss: float) -> None:
        rate = self._arrivals.rate(constants.RATE)
        if rate is None or self._estimate is None:
            return
        estimate = max(self._estimate, rate)
        if loss < constants.SMALL_LOSS and rate > constants.NEARLY * estimate:
            grown = estimate * constants.RISE**self._arrivals.since_last
            estimate = max(estimate, min(grown, rate * constants.BEYOND))
        self._estimate = self._bounded(estimate)

    def _bounded(self, estimate: float) -> float:
        return min(constants.MAX_BITRATE, max(self._settings.min_path_estimate, estimate))

    # What probes show

    def probe(self, now: float, wanted: int) -> int:
        """How many bytes of padding are to be sent now. Call it every 50 ms while the estimate is below `wanted`.

        `wanted` is the bitrate at which the next layer would fit, with everything else that is sent. The padding
        is sent at once, in packets that are numbered. If less is sent, the probe shows less.
        """
        probe = self._probe
        if probe is None:
            return self._begin_probe(now, wanted) if self._may_probe(now, wanted) else 0
        if probe.end is not None:
            return constants.PROBE_MARK if probe.is_alone(self._sent.octets()) else 0
        if probe.must_end(now):
            probe.stop(now, self._sent.octets())
            return 0
        return probe.due(now, self._sent.octets())

    def _may_probe(self, now: float, wanted: int) -> bool:
        known = self.bitrate(now)
        if known is None or wanted <= known or now < self._pauses.next:
            return False
        return not self._delay.over or self._is_shared(now)

    def _begin_probe(self, now: float, wanted: int) -> int:
        media = self._arrivals.rate(constants.RATE) or 0.0
        when, rate = self._shown
        shown = max(media, rate if now - when < constants.SHOWN_LIFE else 0.0, self._settings.min_path_estimate)
        enough = max(wanted * constants.PROBE_MARGIN, self._known_ceiling(now) * constants.ABOVE_CEILING)
        self._probe = Probe(
            now,
            self._sent.octets(),
            delay=self._delay,
            rate=min(shown * constants.PROBE_RATE, enough),
            media=media,
            shown=shown,
            wanted=wanted,
            rise=constants.SHARED_RISE if self._is_shared(now) else constants.PROBE_RISE,
        )
        return self._probe.due(now, self._sent.octets())

    def _known_ceiling(self, now: float) -> float:
        """The bitrate at which the path was full lately; 0 if it was not."""
        when, rate = self._ceiling
        return rate if now - when < constants.CEILING_LIFE else 0.0

    def _judge_probe(self, probe: Probe, now: float) -> None:
        if probe.end is None and probe.is_forgotten(now):
            probe.stop(now, self._sent.octets())
        if not probe.answered(now):
            return
        self._probe = None
        self._arrivals.clear()  # The padding and its losses say nothing about the media.
        found = probe.verdict(self._loss)
        if found is None or self._estimate is None:
            self._pauses.unknown(now)
        elif found.full:
            # The media went through without a queue before.
            least = max(constants.PROBE_SAFETY * found.carried, min(self._estimate, probe.media))
            self._estimate = self._bounded(max(least, min(self._estimate, found.carried)))
            self._pauses.failed(now)
        else:
            self._succeed(probe, found.carried, self._estimate, now)

    def _succeed(self, probe: Probe, carried: float, before: float, now: float) -> None:
        near = carried < self._known_ceiling(now) * constants.NEAR_CEILING
        self._estimate = self._bounded(max(before, carried * constants.LOWER if near else carried))
        if carried < probe.shown * constants.PROGRESS:
            self._pauses.failed(now)
            return
        self._shown = (now, carried)
        higher = self._estimate > before * constants.PROGRESS
        self._pauses.succeeded(now, higher=higher, fits=self._estimate >= probe.wanted)
