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

A viewer of several pictures may have a transport for each of them, and all share one path. Each transport numbers
its packets for itself, and its feedback comes at times of its own. So what arrives, and the queue, are measured
for each (:class:`PathTransport`), and the path carries the sum of what arrives. The estimate is for the whole
path. A queue that one transport sees concerns all, and one probe at a time is enough, because it sends on top of
everything.
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


class PathTransport:
    """One transport of a path: it numbers packets, and takes what feedback says of them.

    :meth:`PathEstimator.open_transport` opens it. Times are in seconds, sizes in bytes, rates in bit/s. The sizes
    must be those by which the bitrates of the layers are measured.
    """

    __slots__ = (
        "_before_probe",
        "_path",
        "_reference",
        "_settings",
        "arrivals",
        "before_queue",
        "delay",
        "heard",
        "loss",
        "next_probe",
        "number",
        "sent",
    )

    def __init__(self, path: "PathEstimator", settings: EngineSettings) -> None:
        self._path: PathEstimator | None = path
        self._settings = settings
        self.sent = SentPackets()
        self.number: Callable[[int, float], int] = self.sent.number
        """`number(size, now)`: call it for each packet that is sent with a transport-wide number. Returns the
        16-bit number."""
        self._reference = 0
        """The reference time of the newest feedback, without wraps."""
        self.begin_anew(_NEVER)

    def begin_anew(self, now: float) -> None:
        """Forget what arrived."""
        self.heard = now
        """When feedback last said that something arrived."""
        self.arrivals = Arrivals(now)
        self.delay = Delay()
        self.before_queue = 0.0
        """The bitrate that was sent on the path when the queue began."""
        self.loss = 0.0
        """The usual share of lost packets."""
        self._before_probe = (_NEVER, 0.0)
        """When it began its last probe while media came, and their bitrate."""
        self.next_probe = _NEVER
        """It may not probe before that time."""

    def is_stale(self, now: float) -> bool:
        """Whether feedback is missing about packets that were sent long ago."""
        life = self._settings.path_estimate_life
        if now - self.heard <= life:
            return False
        waiting = self.sent.waiting_since()
        return waiting is not None and now - waiting > life

    def feedback(self, report: TransportFeedback, now: float) -> None:
        """Take a feedback of the viewer's browser."""
        if self._path is None:
            return
        if self.is_stale(now):
            self._path.is_found_again(self, now)
        self._reference += (report.reference - self._reference + 0x800000 & 0xFFFFFF) - 0x800000
        reference = self._reference * TICKS_OF_REFERENCE / TICKS
        answered = self.sent.take(report, reference, self._path.probe_of(self))
        if answered is None:
            return
        self.heard = now
        shortest = self.arrivals.add(answered, self.sent.octets(), now)
        if shortest is not None:
            self.delay.sample(self.arrivals.sent, shortest, answered.jitter)
        self._path.heard(self, now, sampled=shortest is not None)

    def bitrate(self, now: float) -> int | None:
        """What the whole path carries; None if nothing is known."""
        return None if self._path is None else self._path.bitrate(now)

    def share(self, now: float) -> int | None:
        """What the path carries beside what the other transports send; None if nothing is known."""
        carried = self.bitrate(now)
        return None if carried is None or self._path is None else round(self._path.share(self, carried, now))

    def probe(self, now: float, wanted: int) -> int:
        """How many bytes of padding are to be sent now (:meth:`PathEstimator.probe`)."""
        return 0 if self._path is None else self._path.probe(self, now, wanted)

    def carries(self, span: float, now: float) -> float:
        """The bitrate of the media that has arrived within the last `span` seconds; 0 if it is not known."""
        return 0.0 if self.is_silent(now) else self.arrivals.rate(span) or self._known_media(now)

    def sends(self, now: float) -> float:
        """The bitrate that was sent lately."""
        if self.is_silent(now):
            return 0.0
        sending = self.arrivals.sending(constants.RATE)
        return self._known_media(now) if sending is None else sending

    def is_silent(self, now: float) -> bool:
        """Whether it has told of nothing lately."""
        return now - self.heard > constants.SILENCE

    def begins_probe(self, now: float) -> float:
        """Note that a probe begins. Returns the bitrate of the media."""
        rate = self.arrivals.rate(constants.RATE)
        if rate is not None:
            self._before_probe = (now, rate)
        return rate or 0.0

    def _known_media(self, now: float) -> float:
        """The bitrate of the media before a probe, after which what had arrived is forgotten."""
        when, rate = self._before_probe
        return rate if now - when <= constants.PROBE_MEDIA else 0.0

    def close(self) -> None:
        if self._path is not None:
            self._path.forget(self)
        self._path = None


class PathEstimator:
    """The estimate for a path to a viewer, which may have several transports."""

    __slots__ = (
        "_ceiling",
        "_estimate",
        "_lowered",
        "_pauses",
        "_probe",
        "_probing",
        "_raised",
        "_settings",
        "_shared",
        "_shown",
        "_transports",
        "_wanted",
    )

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._transports: list[PathTransport] = []
        self._begin_anew(_NEVER)

    def _begin_anew(self, now: float) -> None:
        self._pauses = Pauses(self._settings, now)
        self._probe: Probe | None = None
        self._probing: PathTransport | None = None
        """The transport of the probe."""
        self._estimate: float | None = None
        self._lowered = self._shared = self._raised = _NEVER
        """When the estimate was last lowered, when a queue was last seen that others made, and when the estimate
        last grew."""
        self._shown = self._ceiling = (_NEVER, 0.0)
        """When a probe last succeeded, and when the path was last full, with the bitrates that arrived."""
        self._wanted = (_NEVER, 0)
        """When the most was wanted lately, and how much that was."""

    def open_transport(self) -> PathTransport:
        """Open one more transport of the path."""
        transport = PathTransport(self, self._settings)
        self._transports.append(transport)
        return transport

    def bitrate(self, now: float) -> int | None:
        """What the path carries; None if nothing is known.

        The estimate ages only while feedback is missing. While nothing is sent, it stays.
        """
        return None if self._estimate is None or self._is_stale(now) else round(self._estimate)

    def _is_stale(self, now: float) -> bool:
        life = self._settings.path_estimate_life
        return not any(now - one.heard <= life for one in self._transports) and any(
            one.is_stale(now) for one in self._transports
        )

    # For its transports

    def forget(self, transport: PathTransport) -> None:
        self._transports.remove(transport)
        if self._probing is transport:
            self._probe = self._probing = None

    def is_found_again(self, transport: PathTransport, now: float) -> None:
        """Feedback comes again after it was missing for long."""
        if self._is_stale(now):
            self._begin_anew(now)
        elif self._probing is transport:
            self._probe = self._probing = None
        transport.begin_anew(now)

    def probe_of(self, transport: PathTransport) -> Probe | None:
        """The probe, if that transport sends it."""
        return self._probe if self._probing is transport else None

    def heard(self, transport: PathTransport, now: float, *, sampled: bool) -> None:
        """A feedback said that something arrived. `sampled` is whether there is a new sample."""
        if self._probe is not None and self._probing is not None:
            self._judge_probe(self._probe, self._probing, now)
        elif sampled:
            self._judge(transport, now)

    def share(self, transport: PathTransport, carried: float, now: float) -> float:
        """What is left for a transport of `carried`."""
        return max(0.0, carried - self._others(transport, now))

    # What the media show

    def _rate(self, span: float, now: float) -> float:
        """The bitrate that arrives on all transports."""
        return sum(one.carries(span, now) for one in self._transports)

    def _others(self, transport: PathTransport, now: float) -> float:
        return sum(one.carries(constants.RATE, now) for one in self._transports if one is not transport)

    def _sending(self, now: float) -> float:
        """The bitrate that is sent on all transports."""
        return sum(one.sends(now) for one in self._transports)

    def _judge(self, transport: PathTransport, now: float) -> None:
        arrivals, delay = transport.arrivals, transport.delay
        if self._estimate is None:
            if arrivals.rate(constants.FIRST_RATE) is not None:
                first = self._rate(constants.FIRST_RATE, now)
                self._estimate = self._bounded(first)
                self._shown = (now, first)
            return
        loss = arrivals.loss(constants.LOSS_TIME)
        transport.loss += (loss - transport.loss) * constants.LOSS_WEIGHT
        if delay.over == 1:
            transport.before_queue = self._sending(now)
        if arrivals.sent < self._lowered + constants.REACTION:
            return
        shared = self._is_shared(now)
        if _is_filling(transport) and not shared:
            self._lower_to_arriving(transport, constants.FULL_RATE, now)
        elif self._is_standing(transport) and not shared:
            self._lower_to_arriving(transport, constants.RATE, now)
        elif loss > constants.GREAT_LOSS:
            arrives = 0.0 if arrivals.rate(constants.RATE) is None else self._rate(constants.RATE, now)
            self._lower(max(self._estimate * (1 - loss / 2), arrives), now)
        elif shared or not self._has_queue(now):
            self._raise(transport, loss, now)
        self._give_up_queue(transport, now)

    def _has_queue(self, now: float) -> bool:
        """Whether a transport sees that its packets wait."""
        return any(one.delay.over and not one.is_silent(now) for one in self._transports)

    def _is_standing(self, transport: PathTransport) -> bool:
        """Whether there is a queue that does not shrink, and the estimate has not been lowered for that."""
        sent, delay = transport.arrivals.sent, transport.delay
        stands = delay.stands(sent)
        tried = self._lowered > sent - stands + constants.STANDING
        return stands > constants.STANDING and delay.trend > constants.SHRINKS and not tried

    def _is_shared(self, now: float) -> bool:
        return now - self._shared < constants.SHARED_LIFE

    def _give_up_queue(self, transport: PathTransport, now: float) -> None:
        """If a queue has not shrunk for long, count it as part of the path."""
        assert self._estimate is not None
        sent, delay = transport.arrivals.sent, transport.delay
        if delay.stands(sent) > constants.NOT_OURS and delay.trend > constants.SHRINKS:
            few = max(constants.YIELDED * transport.before_queue, constants.OBEYED * self._estimate)
            if self._sending(now) < few:
                self._shared = now
            delay.forget(sent)

    def _lower_to_arriving(self, transport: PathTransport, span: float, now: float) -> None:
        if transport.arrivals.rate(span) is None or self._estimate is None:
            return
        rate = self._rate(span, now)
        if self._sending(now) < constants.IDLE * self._estimate:
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

    def _raise(self, transport: PathTransport, loss: float, now: float) -> None:
        if transport.arrivals.rate(constants.RATE) is None or self._estimate is None:
            return
        rate = self._rate(constants.RATE, now)
        estimate = max(self._estimate, rate)
        if loss < constants.SMALL_LOSS and rate > constants.NEARLY * estimate:
            # Several transports may tell of the same time.
            elapsed = min(transport.arrivals.since_last, now - self._raised)
            estimate = max(estimate, min(estimate * constants.RISE**elapsed, rate * constants.BEYOND))
            self._raised = now
        self._estimate = self._bounded(estimate)

    def _bounded(self, estimate: float) -> float:
        return min(constants.MAX_BITRATE, max(self._settings.min_path_estimate, estimate))

    # What probes show

    def probe(self, transport: PathTransport, now: float, wanted: int) -> int:
        """How many bytes of padding are to be sent now. Call it every 50 ms while the estimate is below `wanted`.

        `wanted` is the bitrate at which the next layer would fit, with everything else that is sent. The padding
        is sent at once, in packets that are numbered. If less is sent, the probe shows less. Only one transport
        probes at a time.
        """
        probe, sent = self._probe, transport.sent
        if probe is not None and self._probing is not None and self._gives_up(probe, self._probing, now):
            return 0
        pauses = now - sent.newest() > constants.PROBE_STEP / 2
        wanted = self._most_wanted(wanted, now)
        if probe is None:
            if not self._may_probe(transport, now, wanted):
                return 0
            if transport.is_silent(now):
                # What becomes of this packet shows the delay before the probe, and that it is told at all.
                return constants.PROBE_MARK if now - sent.newest() > constants.GAP else 0
            return self._begin_probe(transport, now, wanted)
        if self._probing is not transport:
            return 0
        if probe.end is not None:
            return constants.PROBE_MARK if pauses else 0
        if probe.must_end(now):
            probe.stop(now, sent.octets())
            return constants.PROBE_MARK if pauses else 0
        return probe.due(now, sent.octets())

    def _most_wanted(self, wanted: int, now: float) -> int:
        """The most that was wanted lately. Several pictures may lack something, and one probe serves all."""
        asked, most = self._wanted
        if wanted >= most or now - asked > 2 * constants.PROBE_STEP:
            self._wanted = now, wanted
        return self._wanted[1]

    def _gives_up(self, probe: Probe, transport: PathTransport, now: float) -> bool:
        """Judge a probe whose answer does not come, although nothing else comes either that would show it."""
        if probe.end is None and probe.is_forgotten(now):
            probe.stop(now, transport.sent.octets())
        if not probe.is_given_up(now):
            return False
        self._judge_probe(probe, transport, now)
        return True

    def _may_probe(self, transport: PathTransport, now: float, wanted: int) -> bool:
        known = self.bitrate(now)
        if known is None or wanted <= known or now < max(self._pauses.next, transport.next_probe):
            return False
        return not self._has_queue(now) or self._is_shared(now)

    def _begin_probe(self, transport: PathTransport, now: float, wanted: int) -> int:
        octets, others = transport.sent.octets(), self._others(transport, now)
        media = transport.begins_probe(now)
        when, rate = self._shown
        recent = rate if now - when < constants.SHOWN_LIFE else 0.0
        shown = max(media + others, recent, self._settings.min_path_estimate)
        enough = max(wanted * constants.PROBE_MARGIN, self._known_ceiling(now) * constants.ABOVE_CEILING)
        self._probing = transport
        self._probe = Probe(
            now,
            octets,
            delay=transport.delay,
            rate=min(shown * constants.PROBE_RATE, enough),
            media=media,
            others=others,
            shown=shown,
            wanted=wanted,
            rise=constants.SHARED_RISE if self._is_shared(now) else constants.PROBE_RISE,
        )
        return self._probe.due(now, octets)

    def _known_ceiling(self, now: float) -> float:
        """The bitrate at which the path was full lately; 0 if it was not."""
        when, rate = self._ceiling
        return rate if now - when < constants.CEILING_LIFE else 0.0

    def _judge_probe(self, probe: Probe, transport: PathTransport, now: float) -> None:
        if probe.end is None and probe.is_forgotten(now):
            probe.stop(now, transport.sent.octets())
        if not probe.answered(now):
            return
        self._probe = self._probing = None
        transport.arrivals.clear()  # The padding and its losses say nothing about the media.
        found = probe.verdict(transport.loss)
        if found is None or self._estimate is None:
            self._pauses.unknown(now)
            if len(self._transports) > 1:
                transport.next_probe = now + constants.DEAF
        elif found.full:
            # The media went through without a queue before.
            least = max(constants.PROBE_SAFETY * found.carried, min(self._estimate, probe.media + probe.others))
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


def _is_filling(transport: PathTransport) -> bool:
    """Whether more is sent than the path carries. A queue that is full does not grow, but loses packets."""
    loses = transport.arrivals.loss(constants.FULL_RATE) > constants.GREAT_LOSS
    return transport.delay.grows or (transport.delay.over > 1 and loses)
