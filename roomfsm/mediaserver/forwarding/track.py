"""One kind of media that comes from a browser: how each packet gets to the sinks, and the feedback to the browser.

Theory. A received packet is checked and numbered once, kept once in a ring, and rewritten once for each group of
sinks that get the same bytes. What remains for each single sink is to encrypt the packet and to send it. All of
that is in one method, :meth:`Track.receive`. It runs some thousand times a second, so it makes no call that it can
avoid. Everything that happens seldom is in other files:

- :mod:`~roomfsm.mediaserver.forwarding.stream` has the numbers, the ring, and the place of the last keyframe;
- :mod:`~roomfsm.mediaserver.forwarding.groups` finds the group that continues what a sink had before;
- :mod:`~roomfsm.mediaserver.forwarding.admission` lets sinks and relays begin and leave;
- :mod:`~roomfsm.mediaserver.forwarding.repair` answers the losses of viewers;
- :mod:`~roomfsm.mediaserver.forwarding.keyframes` decides when the browser is asked for a keyframe.

:meth:`Track.receive` keeps four invariants. A packet is kept in the ring before it is handed on, so a repair is
always the packet that was sent. Each extended number is handed on only once. A group is in `outlet.pending`
exactly if it has packets pending. An exception in one group or relay does not affect the others.

For its browser, a track is a receiver: it sends receiver reports (RFC 3550 section 6.4.2), NACKs (RFC 4585
section 6.2.1), requests for keyframes, and a REMB with the bitrate that its viewers can receive
(draft-alvestrand-rmcat-remb).
"""

import struct
from collections.abc import Callable, Sequence

from roomfsm.mediaserver.base.boundary import Boundary
from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.base.refusal import Refusal
from roomfsm.mediaserver.forwarding.admission import Admission
from roomfsm.mediaserver.forwarding.groups import Groups
from roomfsm.mediaserver.forwarding.keyframes import TrackKeyframes
from roomfsm.mediaserver.forwarding.reception import Reception
from roomfsm.mediaserver.forwarding.remb import RembTarget
from roomfsm.mediaserver.forwarding.repair import Repair
from roomfsm.mediaserver.forwarding.sink import Sink
from roomfsm.mediaserver.forwarding.speech import Speech
from roomfsm.mediaserver.forwarding.stats import ReceivingStats
from roomfsm.mediaserver.forwarding.stream import Stream
from roomfsm.mediaserver.forwarding.surroundings import Outlet, Publisher, Relay
from roomfsm.mediaserver.ice.allowance import Allowance
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.mediaserver.rtp.extensions import read_extension
from roomfsm.mediaserver.rtp.packet import RtpError, original, payload_offset, without_extension
from roomfsm.mediaserver.rtp.ring import KeptPacket
from roomfsm.mediaserver.sdp.codec import Codec

_NUMBERS = struct.Struct("!HII")
_HANDOVER_SILENCE = 0.3
"""A second SSRC of the same kind takes over only if the first has been silent for so many seconds."""
_MAX_CLOCKS, _CLOCKS_A_SECOND = 8, 4.0
"""How many of a publisher's sender reports are passed on at once, and each second in the long run. They have a
limit because each of them goes to every viewer."""

_PUBLISHER = Boundary("telling one publisher")
_VIEWER = Boundary("a track and one of its viewers")
_GROUP = Boundary("a track and viewers who get the same packets")
_RELAY = Boundary("a track and its way to another worker")


class Track:
    """One kind of media that comes from one peer's browser, and everything that happens to it until it is sent.

    For its sinks it is a :class:`~roomfsm.mediaserver.forwarding.sink.Source`.
    """

    layered = False
    __slots__ = (
        "_admission",
        "_clocks",
        "_groups",
        "_outlet",
        "_publisher",
        "_remb_target",
        "_repair",
        "_speech",
        "keyframes",
        "kind",
        "relays",
        "remb",
        "sinks",
        "stream",
    )

    def __init__(self, kind: MediaKind, outlet: Outlet, publisher: Publisher) -> None:
        self.kind = kind
        self._outlet = outlet
        self._publisher = publisher
        self.stream = Stream(kind, outlet, self)
        self.keyframes = TrackKeyframes(self.stream)
        self._groups = Groups(self.stream)
        self._admission = Admission(self.stream, self._groups, self.keyframes)
        self._repair = Repair(self.stream, self._admission, self.keyframes)
        self.sinks: set[Sink] = set()
        """All sinks that follow this track, whether or not they get packets at present."""
        self.relays = self._admission.relays
        """The relays that are handed each packet."""
        self._clocks = Allowance(_CLOCKS_A_SECOND, _MAX_CLOCKS)
        self._speech = Speech(outlet.settings)
        self.remb = 0
        """The bitrate that the browser was last asked for, in bit/s; 0 if it was asked for none."""
        self._remb_target = RembTarget()

    @property
    def codec(self) -> Codec | None:
        """The codec that was negotiated for receiving.

        It is None before the answer, or if the browser does not send this kind.
        """
        return self.stream.codec

    @property
    def audio_level(self) -> int:
        """The id of the audio level extension in the browser's packets; 0 means that they do not have it."""
        return self.stream.audio_level

    @property
    def reception(self) -> Reception | None:
        """The state of the SSRC that is being received; None before the first packet."""
        return self.stream.reception

    @property
    def keyframes_seen(self) -> int:
        return self.stream.keyframes_seen

    def negotiated(self, codec: Codec, audio_level: int) -> None:
        """Set the codec that the browser will send. `audio_level` is the id of that header extension, or 0."""
        self.stream.negotiated(codec, audio_level)
        for sink in list(self.sinks):
            with _VIEWER:
                sink.refresh()

    # Receiving

    def receive_repair(self, packet: bytes, now: float) -> Refusal | None:
        """Take a decrypted packet that has the payload type of this track's retransmissions (RFC 4588).

        To probe the bandwidth, browsers also send retransmissions that nobody asked for, and packets that are only
        padding. These are ignored.
        """
        stream = self.stream
        reception, ring = stream.reception, stream.ring
        if reception is None or stream.codec is None or ring is None:
            return None
        try:
            restored = original(packet, reception.ssrc, stream.codec.payload_type)
        except RtpError:
            return Refusal.RTP_MALFORMED
        if restored is None:
            return None
        extended = reception.extend(int.from_bytes(restored[2:4]))
        known = extended < ring.oldest or ring.get(extended) is not None
        if known or extended > reception.highest or extended < stream.floor:
            return None
        reception.repaired += 1
        return self.receive(restored, now)

    def receive(self, packet: bytes, now: float) -> Refusal | None:
        """Take a decrypted packet that has this track's payload type, and queue it for the sinks."""
        received, stream = packet, self.stream
        try:
            payload = payload_offset(packet)
        except RtpError:
            return Refusal.RTP_MALFORMED
        if stream.red is not None and (refusal := stream.misfit(packet, payload)) is not None:
            return refusal
        sequence_number, timestamp, ssrc = _NUMBERS.unpack_from(packet, 2)
        reception = stream.reception
        if reception is None or ssrc != reception.ssrc:
            if reception is not None and now - reception.last_time < _HANDOVER_SILENCE:
                return Refusal.RTP_SECOND_STREAM
            reception = self._begin(ssrc, sequence_number, timestamp, now)
        extended = reception.extend(sequence_number)
        if reception.is_restart(extended):
            reception = self._begin(ssrc, sequence_number, timestamp, now)
            extended = reception.highest + 1
        if extended < stream.floor:
            return Refusal.RTP_TOO_OLD
        timestamp = (timestamp + stream.timestamp_shift) & 0xFFFFFFFF
        ring = stream.ring
        if extended <= reception.highest and ring is not None and ring.get(extended) is not None:
            # The retransmission came sooner, in another stream. This packet must not be sent as well: it would
            # have the same number and another send time, and SRTP is not safe for two packets of one number
            # (RFC 7714 section 8.1).
            reception.repaired -= 1  # The packet was not lost after all.
            return Refusal.RTP_DUPLICATE
        newest = reception.received(extended, timestamp, len(packet), now)
        if reception.missing or reception.keyframe_wanted:
            self._outlet.attention.add(self)
        if not stream.flowing:
            self._set_flowing(True)
        level = b""
        if packet[0] & 0x10:
            if stream.audio_level:
                level = read_extension(packet, payload, stream.audio_level)[:1]
                if newest and level and self._speech.heard(level[0], now):
                    self._tell_speech()
            packet = without_extension(packet, payload)
            payload = 12 + 4 * (packet[0] & 0x0F)
        if ring is None or extended < ring.oldest:
            return Refusal.RTP_TOO_OLD
        begins = stream.is_keyframe_start
        keyframe = begins is not None and begins(packet, payload) and stream.is_new_frame(extended, timestamp)
        ring.keep(KeptPacket(extended, timestamp, now, packet, level))
        if keyframe:
            first = stream.keyframe_began(extended, timestamp, now)
            self.keyframes.seen()
            self._admission.keyframe_began(extended, timestamp, now, first)
        elif begins is None and self._admission.joining:
            self._admission.start_joining(extended, timestamp, now)
        octets = max(0, len(packet) - payload - (packet[-1] if packet[0] & 0x20 else 0))
        pending = self._outlet.pending
        for group in self._groups.by_key.values():
            if newest or extended >= group.start:
                try:
                    rewritten = group.rewrite(extended, timestamp, now, packet, level)
                except Exception as error:  # noqa: BLE001 (see boundary.py)
                    _GROUP.caught(error)
                    continue
                if not group.pending:
                    pending.append(group)
                group.pending.append(rewritten)
                group.pending_octets += octets - group.removed
        for relay in self.relays:
            with _RELAY:
                relay.packet(received)
        return None

    def _begin(self, ssrc: int, sequence_number: int, timestamp: int, now: float) -> Reception:
        """Take the first packet of a new stream. If there was another before, viewers need a new keyframe."""
        if self.stream.reception is not None:
            self.keyframes.request()
        return self.stream.begin(ssrc, sequence_number, timestamp, now)

    # For sinks and relays, as their source

    def admit(self, sink: Sink) -> None:
        """Let a sink that is ready begin (:meth:`Admission.admit`)."""
        self._admission.admit(sink)

    def readmit(self, sink: Sink, now: float) -> None:
        """Let a sink that was paused begin again (:meth:`Admission.readmit`)."""
        self._admission.readmit(sink, now)

    def leave(self, sink: Sink) -> None:
        """Stop sending to a sink, which stays connected."""
        self._admission.leave(sink)

    # For simulcast, of which this track is a layer

    def on_hand_over(self, hand_over: Callable[[Sink], None] | None) -> None:
        """Call `hand_over` with each sink that begins, before it gets packets of this track."""
        self._admission.hand_over = hand_over

    def expect(self, sink: Sink, now: float, *, urgent: bool) -> None:
        """Let a sink of another layer begin here with the next keyframe (:meth:`Admission.expect`)."""
        self._admission.expect(sink, now, urgent=urgent)

    def forget(self, sink: Sink) -> None:
        """Let a sink that waits begin no more."""
        self._admission.forget(sink)

    def pad(self, sink: Sink, octets: int, now: float) -> None:
        """Send a sink about so many octets that it does not need, to find out what its path carries."""
        self._repair.pad(sink, octets, now)

    def part(self, sink: Sink) -> None:
        """Stop sending to a sink that goes on with another layer."""
        self._admission.leave(sink, goes_on=True)

    def admit_relay(self, relay: Relay) -> None:
        """Let a relay begin (:meth:`Admission.admit_relay`)."""
        self._admission.admit_relay(relay)

    def dismiss_relay(self, relay: Relay) -> None:
        """Hand no more packets to a relay."""
        self._admission.dismiss_relay(relay)

    def retransmit(self, sink: Sink, sequence_numbers: tuple[int, ...], now: float) -> None:
        """Answer a sink's NACK (:meth:`Repair.retransmit`)."""
        self._repair.retransmit(sink, sequence_numbers, now)

    def request_keyframe(self) -> None:
        """Ask the browser for a keyframe (:meth:`TrackKeyframes.request`)."""
        self.keyframes.request()

    def resized(self, sink: Sink) -> None:
        """A viewer's picture has another size, which changes nothing here, because there is only one."""

    def smallest_fits(self, sink: Sink, now: float) -> bool | None:
        """None, because there is only one layer."""
        del sink, now
        return None

    def request_keyframe_at_start(self, sink: Sink) -> None:
        """Ask for a keyframe because the owner of a sink wishes it (:meth:`Repair.request_keyframe_at_start`)."""
        self._repair.request_keyframe_at_start(sink)

    def request_keyframe_for(self, sink: Sink, now: float) -> None:
        """Give a sink a keyframe for its losses (:meth:`Repair.request_keyframe_for`)."""
        self._repair.request_keyframe_for(sink, now)

    def renew_keyframe_wish(self, sink: Sink, now: float) -> None:
        """Check whether a sink's wish for a keyframe can be granted now, or has been met already."""
        self._repair.renew_keyframe_wish(sink, now)

    def kept(self, sequence_numbers: Sequence[int]) -> list[bytes]:
        """The packets with these numbers that the ring still has, in the form in which they came."""
        return self.stream.kept(sequence_numbers)

    # Feedback to the browser

    def attend(self, now: float) -> bool:
        """Send the NACKs, keyframe request and repetitions that are due. Returns whether more will follow."""
        stream = self.stream
        reception = stream.reception
        if reception is None or stream.codec is None:
            return False
        ours = self._outlet.ssrcs[self.kind]
        feedback = b""
        if reception.missing and (numbers := reception.nacks_due(now)):
            feedback += rtcp.nack(ours, reception.ssrc, numbers)
        if reception.keyframe_wanted:
            reception.keyframe_wanted = False
            self.keyframes.request()
        self._admission.ask_for_joining(now)
        self._tell(feedback + self.keyframes.request_due(now))
        admission = self._admission
        if admission.replaying:
            admission.go_on_replaying(now)
        self._repair.repeat_starts(reception.highest, now)
        goes_on = reception.missing or admission.starting or admission.unasked or admission.replaying
        return bool(goes_on) or self.keyframes.wanted

    def renew(self, now: float) -> None:
        """Make sure that the ring holds a keyframe and all packets after it, for viewers that come late."""
        self._tell(self.keyframes.renewal_due(now))

    def _tell(self, feedback: bytes) -> None:
        """Send feedback to the browser, if there is any, behind a receiver report (RFC 3550 section 6.1)."""
        if feedback:
            report = rtcp.receiver_report(self._outlet.ssrcs[self.kind], ())
            self._publisher.send_rtcp(self.kind, report + feedback)

    def report(self, now: float) -> tuple[list[rtcp.ReportBlock], bytes] | None:
        """The report block for the browser, and the REMB if that was negotiated; None while it sends nothing."""
        stream = self.stream
        reception = stream.reception
        if reception is None or stream.codec is None or not stream.flowing:
            return None
        self._remb_target.measure(reception.octets, now)
        estimate = b""
        if "goog-remb" in stream.codec.feedback:
            self.remb = self.target_bitrate(now)
            estimate = rtcp.remb(self._outlet.ssrcs[self.kind], self.remb, (reception.ssrc,))
        return [reception.report(now)], estimate

    def target_bitrate(self, now: float) -> int:
        """The bitrate to ask the browser for by REMB, in bit/s."""
        settings, limits = self._outlet.settings, self._publisher.receive_limits
        return self._remb_target.bitrate(self.estimates(now), settings, limits)

    def estimates(self, now: float) -> list[int | None]:
        """The bitrate that each viewer can receive, in bit/s, or None if that is not known.

        If all viewers are paused, these count: then nobody suffers if the publisher sends as little as they can
        receive.
        """
        estimates: list[int | None] = []
        for sink in self.sinks:
            with _VIEWER:
                if sink.group:
                    estimates.append(sink.bitrate(now))
        estimates += [relay.bitrate(now) for relay in self.relays]
        return estimates or [sink.bitrate(now) for sink in self.sinks if sink.paused]

    # Time

    def sender_report(self, report: rtcp.SenderReport, now: float) -> None:
        """Pass the publisher's clock on to every sink, as the clock of our own streams. Lip sync depends on it."""
        if not self.stream.sender_report(report, now) or not self._clocks.take(1, now):
            return
        for relay in self.relays:
            with _RELAY:
                relay.sender_report(report)
        self._groups.tell_clock(report, now)

    def check_flow(self, now: float) -> None:
        """Do what is due when the source is silent.

        The flow ends after a while, and those who wait for a keyframe get the last picture that there is.
        """
        stream, admission = self.stream, self._admission
        admission.forget_replays(now)
        if self._speech.look(now):
            self._tell_speech()
        reception = stream.reception
        if reception is None or not stream.is_silent(now):
            return
        admission.end_waiting(now)
        if stream.flowing and now - reception.last_time >= self._outlet.settings.flow_timeout:
            self._set_flowing(False)
        if not stream.flowing:
            admission.end_flow_of_replays(now)

    def _tell_speech(self) -> None:
        with _PUBLISHER:
            self._publisher.speech_changed(self._speech.speaks)

    def _set_flowing(self, flowing: bool) -> None:
        self.stream.flowing = flowing
        with _PUBLISHER:
            self._publisher.receiving_changed(self.kind, flowing)
        if flowing and self.keyframes.wanted:
            self._outlet.attention.add(self)
        self._groups.set_flowing(flowing)

    def close(self) -> None:
        """Let all sinks go. They keep what their next source needs."""
        for sink in list(self.sinks):
            with _VIEWER:
                sink.follow(None)
        # The stream refers to this track. We break that circle, so that both are freed at once, and not some time
        # later by the garbage collector.
        self.stream.attended = None

    def stats(self) -> ReceivingStats | None:
        """Statistics of what was received; None before the first packet."""
        reception, codec = self.stream.reception, self.stream.codec
        if reception is None or codec is None:
            return None
        return ReceivingStats(
            codec.name,
            reception.ssrc,
            reception.packets,
            reception.octets,
            reception.lost,
            reception.jitter / codec.clock_rate,
            reception.nacks,
            self.stream.keyframes_seen,
            self.keyframes.count,
            self.remb,
        )
