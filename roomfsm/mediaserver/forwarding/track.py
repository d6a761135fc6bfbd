"""One kind of media that comes from a browser, and its way to the sinks: numbering, repair, keyframes, reports.

A received packet is numbered once (:class:`~roomfsm.mediaserver.forwarding.reception.Reception`), kept once in a
ring, and rewritten once for each *group* of sinks: those with the same payload type and the same offsets of
sequence number and timestamp. All that is left to do for each sink is to protect and to send. A sink that moves to
another track gets offsets that continue what it had: without that browsers stop decoding, and with the same
sequence number for another packet SRTP would no longer be safe.
"""

import struct
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from roomfsm.mediaserver.base.boundary import Boundary
from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.base.refusal import Refusal
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.forwarding.catch_up import Replay, catch_up
from roomfsm.mediaserver.forwarding.keyframes import KeyframeRequests
from roomfsm.mediaserver.forwarding.reception import Reception
from roomfsm.mediaserver.forwarding.red import RedError, RedundantGroup, primary
from roomfsm.mediaserver.forwarding.remb import RembTarget
from roomfsm.mediaserver.forwarding.sink import Continuation, Group, GroupKey, Sink
from roomfsm.mediaserver.forwarding.start import REPEAT, Start
from roomfsm.mediaserver.forwarding.stats import ReceivingStats
from roomfsm.mediaserver.ice.allowance import Allowance
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.mediaserver.rtp.extensions import read_extension
from roomfsm.mediaserver.rtp.packet import (
    KEYFRAME_STARTS,
    RtpError,
    original,
    payload_offset,
    payload_size,
    without_extension,
)
from roomfsm.mediaserver.rtp.ring import KeptPacket, PacketRing
from roomfsm.mediaserver.sdp.codec import Codec

_NUMBERS = struct.Struct("!HII")
_FIRST_CYCLE = 0x10000
"""Extended numbers begin here, so that late packets before the first are not negative."""
_KEYFRAME_FEEDBACK = frozenset(("nack pli", "ccm fir"))
"""Either is an agreement to be asked for keyframes."""
_MANY_STARTS = ("H264",)
"""Codecs of which several packets of one keyframe look like its first."""
_HANDOVER_SILENCE = 0.3
"""A second SSRC of the same kind takes over only when the first has been silent for so long, in seconds."""
_MAX_START = 64
"""Packets of what a viewer starts with that are repeated."""
_MAX_END = 8
"""So many of a replay's last packets are repeated, too, if none came since that could show that they are lost."""
_PATIENCE = 0.5
"""Seconds for which video may wait for repairs that the viewer's budget lacks: then a keyframe is better."""
_REPEATED_AT_ONCE = 256
"""Packets, about: of many who start with one keyframe, the others wait for the next turn."""
_SILENCE = 0.5
"""Seconds without a packet after which nobody waits for a keyframe: the source may send nothing at all."""
_SILENT_KEYFRAME_INTERVAL = 2.0
"""Seconds between two keyframe requests to a publisher that sends no video."""
_SHARED_REPLAY = 0.5
"""Seconds for which a replay is given to others, too: so many joins at once share its packets."""
_REPLAY_INTERVAL = 1.0
"""Seconds between two replays to one viewer of a silent source."""
_MAX_EARLY_REPORTS = 4
_MAX_CLOCKS, _CLOCKS_A_SECOND = 8, 4.0
"""How often a publisher's sender reports are passed on, at once and in the long run: each goes to every viewer."""
_KEPT_REPLAY = 5.0
"""Seconds for which a viewer may ask for parts of its replay again."""

_PUBLISHER = Boundary("telling one publisher")
_VIEWER = Boundary("a track and one of its viewers")
_GROUP = Boundary("a track and viewers who get the same packets")
_RELAY = Boundary("a track and its way to another worker")


class Attended(Protocol):
    """What has something to do for its browser that cannot wait for the reports."""

    def attend(self, now: float) -> bool:
        """Do what is due; whether there is more to come."""


class Outlet(Protocol):
    """What tracks need of the engine."""

    settings: EngineSettings
    ssrcs: dict[MediaKind, int]
    repair_ssrc: int
    """Of retransmissions of video in streams of their own."""
    cname: str
    pending: list[Group]
    """Groups with packets that the current drain brought."""
    attention: set[Attended]
    """Those to be called soon and again."""

    def now(self) -> float:
        """Seconds of the clock that packets' times are of."""

    def send_packets(self, packets: list[bytes], sinks: Collection[Sink]) -> None: ...

    def flush(self) -> None:
        """Send what is pending."""


class Publisher(Protocol):
    """The peer whose browser a track comes from."""

    @property
    def receive_limits(self) -> tuple[int, int]:
        """Least and greatest bitrate to ask of the browser, bit/s; 0 is none."""

    def send_rtcp(self, kind: MediaKind, compound: bytes) -> None: ...

    def receiving_changed(self, kind: MediaKind, flowing: bool) -> None: ...


class Relay(Protocol):
    """Where a track goes beside its own sinks: another worker's mirror of it."""

    def replay(self, packets: Sequence[bytes], now: float) -> None:
        """What the mirror begins with, as the publisher numbered it."""

    def packet(self, packet: bytes) -> None:
        """A packet as the publisher numbered it, each once."""

    def sender_report(self, report: rtcp.SenderReport) -> None: ...

    def bitrate(self, now: float) -> int | None:
        """What its viewers can take, bit/s; None where that is not known."""


class Track:
    """One kind of media that comes from one peer's browser, and everything that happens to it on its way out."""

    __slots__ = (
        "_clocks",
        "_early_reports",
        "_floor",
        "_groups",
        "_is_keyframe_start",
        "_join_keyframes",
        "_joining",
        "_joining_relays",
        "_keyframe_start",
        "_keyframe_time",
        "_keyframe_timestamp",
        "_loss_keyframes",
        "_outlet",
        "_publisher",
        "_red",
        "_remb_target",
        "_renewals",
        "_replays",
        "_ring",
        "_shared_replay",
        "_starting",
        "_timestamp_shift",
        "audio_level",
        "codec",
        "flowing",
        "keyframes",
        "keyframes_seen",
        "kind",
        "reception",
        "relays",
        "remb",
        "sinks",
    )

    def __init__(self, kind: MediaKind, outlet: Outlet, publisher: Publisher) -> None:
        self.kind = kind
        self._outlet = outlet
        self._publisher = publisher
        self.codec: Codec | None = None
        """Negotiated for receiving; None before the answer, or if the browser does not send this kind."""
        self.reception: Reception | None = None
        """Of the SSRC that is received now; None before the first packet."""
        self.sinks: set[Sink] = set()
        self.relays: list[Relay] = []
        self._groups: dict[GroupKey, Group] = {}
        self._red: int | None = None
        """The payload type of redundant packets."""
        self._joining: set[Sink] = set()
        """Sinks that wait for the next packet to start with: of video, a keyframe's first."""
        self._joining_relays: list[Relay] = []
        """Relays that wait for that: a mirror has no use for video before a keyframe."""
        self._shared_replay: Replay | None = None
        """The one made last: whoever comes just then is given the same."""
        self._replays: dict[Sink, Replay] = {}
        """What sinks were given when they started, while they may still ask for it again."""
        self._starting: dict[Sink, Start] = {}
        self._ring: PacketRing | None = None
        """None before the codec is known."""
        self._floor = 0
        """The first extended number of the stream received now; those before it belong to an earlier stream."""
        self._timestamp_shift = 0
        self._early_reports: dict[int, tuple[rtcp.SenderReport, float]] = {}
        """By SSRC: the newest sender report and when it came, while no packet has come."""
        self._clocks = Allowance(_CLOCKS_A_SECOND, _MAX_CLOCKS)
        self.audio_level = 0
        """The id of this header extension in what the browser sends; 0 is none."""
        self._is_keyframe_start: Callable[[bytes, int], bool] | None = None
        self._keyframe_start = 0
        self._keyframe_timestamp: int | None = None
        self._keyframe_time = float("-inf")
        settings = outlet.settings
        self.keyframes = KeyframeRequests(settings.keyframe_interval)
        self._loss_keyframes = Allowance(1 / settings.loss_keyframe_interval, settings.loss_keyframe_burst)
        """Keyframes for losses of any viewers."""
        self._join_keyframes = Allowance(1 / settings.join_keyframe_interval, settings.join_keyframe_burst)
        """Keyframes for viewers that start."""
        self._renewals = Allowance(1 / settings.renewal_interval, 1)
        """Keyframes asked for so that the ring holds all that a late viewer needs."""
        self.keyframes_seen = 0
        self.flowing = False
        self.remb = 0
        self._remb_target = RembTarget()

    def negotiated(self, codec: Codec, audio_level: int) -> None:
        """The browser will send this codec; `audio_level` is the id of that header extension, 0 for none."""
        self.codec = codec
        self.audio_level = audio_level
        self._red = codec.red
        self._is_keyframe_start = KEYFRAME_STARTS.get(codec.name)
        settings = self._outlet.settings
        self._ring = PacketRing(settings.nack_ring if self._is_keyframe_start else settings.audio_ring)
        for sink in list(self.sinks):
            with _VIEWER:
                sink.refresh()

    def receive_repair(self, packet: bytes, now: float) -> Refusal | None:
        """Take a decrypted packet of the payload type of this track's retransmissions (RFC 4588).

        Browsers also send such that nobody asked for, or that are nothing but padding, to probe the bandwidth:
        they are passed over.
        """
        reception, ring = self.reception, self._ring
        if reception is None or self.codec is None or ring is None:
            return None
        try:
            restored = original(packet, reception.ssrc, self.codec.payload_type)
        except RtpError:
            return Refusal.RTP_MALFORMED
        if restored is None:
            return None
        extended = reception.extend(int.from_bytes(restored[2:4]))
        known = extended <= reception.highest - ring.size or ring.get(extended) is not None
        if known or extended > reception.highest or extended < self._floor:
            return None
        reception.repaired += 1
        return self.receive(restored, now)

    def receive(self, packet: bytes, now: float) -> Refusal | None:
        """Take a decrypted packet of this track's payload type and queue it for the sinks."""
        received = packet
        try:
            payload = payload_offset(packet)
        except RtpError:
            return Refusal.RTP_MALFORMED
        if self._red is not None and (refusal := self._misfit(packet, payload)) is not None:
            return refusal
        sequence_number, timestamp, ssrc = _NUMBERS.unpack_from(packet, 2)
        reception = self.reception
        if reception is None or ssrc != reception.ssrc:
            if reception is not None and now - reception.last_time < _HANDOVER_SILENCE:
                return Refusal.RTP_SECOND_STREAM
            reception = self._begin(ssrc, sequence_number, timestamp, now)
        extended = reception.extend(sequence_number)
        if reception.is_restart(extended):
            reception = self._begin(ssrc, sequence_number, timestamp, now)
            extended = reception.highest + 1
        if extended < self._floor:
            return Refusal.RTP_TOO_OLD
        timestamp = (timestamp + self._timestamp_shift) & 0xFFFFFFFF
        if extended <= reception.highest and self._ring is not None and self._ring.get(extended) is not None:
            # Its repair came sooner, in another stream. Nobody must be sent that number with a second send time:
            # SRTP is not safe for two packets of one number (RFC 7714 section 8.1).
            reception.repaired -= 1  # It was not lost after all.
            return Refusal.RTP_DUPLICATE
        newest = reception.received(extended, timestamp, len(packet), now)
        if reception.missing or reception.keyframe_wanted:
            self._outlet.attention.add(self)
        if not self.flowing:
            self._set_flowing(True)
        level = b""
        if packet[0] & 0x10:
            if self.audio_level:
                level = read_extension(packet, payload, self.audio_level)[:1]
            packet = without_extension(packet, payload)
            payload = 12 + 4 * (packet[0] & 0x0F)
        if self._ring is None or extended <= reception.highest - self._ring.size:
            return Refusal.RTP_TOO_OLD
        begins = self._is_keyframe_start
        keyframe = begins is not None and begins(packet, payload) and self._is_new_frame(extended, timestamp)
        self._ring.keep(KeptPacket(extended, timestamp, now, packet, level))
        if keyframe:
            self._keyframe_began(extended, timestamp, now)
        elif begins is None and self._joining:
            self._start_joining(extended, timestamp, now)
        octets = max(0, len(packet) - payload - (packet[-1] if packet[0] & 0x20 else 0))
        pending = self._outlet.pending
        for group in self._groups.values():
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

    def _misfit(self, packet: bytes, payload: int) -> Refusal | None:
        """Why a packet that is redundant is not taken."""
        if packet[1] & 0x7F != self._red or self.codec is None:
            return None
        try:
            payload_type, _ = primary(packet, payload)
        except RedError:
            return Refusal.RTP_MALFORMED
        return None if payload_type == self.codec.payload_type else Refusal.RTP_UNKNOWN_PAYLOAD

    def _begin(self, ssrc: int, sequence_number: int, timestamp: int, now: float) -> Reception:
        """A stream's first packet: number it on from the stream before, if there was one."""
        assert self.codec is not None
        settings, old = self._outlet.settings, self.reception
        if old is None:
            first = _FIRST_CYCLE + sequence_number
        else:
            self._floor = first = old.highest + 1
            follows = _following_timestamp(old.last_timestamp, now - old.last_time, self.codec.clock_rate)
            self._timestamp_shift = follows - timestamp
            self.request_keyframe()
        self.reception = Reception(settings, ssrc, self.codec, sequence_number, first)
        if ssrc in self._early_reports:
            self.reception.sender_report(*self._early_reports[ssrc])
        self._early_reports.clear()
        return self.reception

    def _keyframe_began(self, extended: int, timestamp: int, now: float) -> None:
        """A keyframe's first packet came, or the first to come of several that it may begin with."""
        assert self.codec is not None
        assert self.reception is not None
        first = extended
        if self.codec.name in _MANY_STARTS:
            # What is missing before it may be its real beginning, such as the parameter sets.
            while first - 1 in self.reception.missing:
                first -= 1
        self._keyframe_start = first
        self._keyframe_timestamp = timestamp
        self._keyframe_time = now
        self.keyframes_seen += 1
        self.keyframes.seen()
        joining, self._joining_relays = self._joining_relays, []
        for relay in joining:
            self._add_relay(relay)
        if self._joining:
            self._start_joining(extended, timestamp, now, first)

    def _is_new_frame(self, extended: int, timestamp: int) -> bool:
        """Not so for the later of several packets that look like a beginning (parameter sets, then a slice)."""
        return extended > self._keyframe_start and timestamp != self._keyframe_timestamp

    # Sinks

    def admit(self, sink: Sink) -> None:
        """Let a sink that is ready start: with a replay where there can be one, else with the next keyframe.

        A keyframe goes to all viewers. While many start, or one again and again, the others would see little else.
        So beyond an allowance those that start are given the last keyframe and all that followed, however much.
        """
        if sink in self._joining:
            return
        now = self._outlet.now()
        replay = self._replay(now)
        if replay is None and not (self.keyframes.wanted or self._join_keyframes.take(1, now)):
            replay = self._replay(now, long=True)
        if replay is None:
            self._joining.add(sink)
            self.request_keyframe()
        else:
            self._start_with(sink, replay)

    def readmit(self, sink: Sink, now: float) -> None:
        """Let a sink start that was paused: at once where there can be a replay, else with the next keyframe. That
        is asked for as for losses are, because others have no need of it."""
        replay = self._replay(now)
        if replay is not None:
            self._joining.discard(sink)
            self._start_with(sink, replay)
            return
        self._joining.add(sink)
        own = sink.viewer.path.keyframes
        if not self.keyframes.wanted and own.left(now) >= 1 and self._loss_keyframes.take(1, now):
            own.take(1, now)
            self.request_keyframe()

    def _start_with(self, sink: Sink, replay: Replay) -> None:
        self._outlet.flush()  # What is pending is in the ring too: the new sink must not get it twice.
        first = replay.packets[0]
        group = self._place(sink, first.extended, first.timestamp, replay.time)
        self._replays[sink] = replay
        sink.set_flowing(True)
        packets = [group.rewrite(*kept) for kept in replay.packets]
        sink.sent_alone(packets)
        self._outlet.send_packets(packets, (sink,))

    def _replay(self, now: float, *, long: bool = False) -> Replay | None:
        """The last keyframe and all that followed it, if that is whole and better than to wait for a new keyframe:
        because it is short or has just begun, or because the source is silent and may send none; or `long`."""
        reception = self.reception
        if reception is None or self.codec is None or self._ring is None or self._is_keyframe_start is None:
            return None
        if self._keyframe_start < self._floor:
            return None
        settings = self._outlet.settings
        size = reception.highest + 1 - self._keyframe_start
        recent = reception.last_time - self._keyframe_time <= settings.keyframe_replay
        suited = long or recent or size <= settings.small_replay or self._is_silent(now)
        if not suited or size > self._ring.size:
            return None
        shared, span = self._shared_replay, (self._keyframe_start, reception.highest)
        if shared is not None and shared.span == span and now - shared.time <= _SHARED_REPLAY:
            return shared
        kept = self._ring.span(*span)
        if not kept:
            return None
        self._shared_replay = catch_up(kept, now - reception.last_time, now, self.codec.clock_rate)
        return self._shared_replay

    def _is_silent(self, now: float) -> bool:
        return self.reception is not None and now - self.reception.last_time >= _SILENCE

    def _start_joining(self, extended: int, timestamp: int, now: float, first: int | None = None) -> None:
        """Let those who wait start with this packet, and with what overtook it on its way here.

        `first`: the extended number that they start with, where one before this packet's is still to come.
        """
        assert self.reception is not None
        joining, self._joining = self._joining, set()
        later = range(extended + 1, self.reception.highest + 1)
        early = [kept for number in later if self._ring and (kept := self._ring.get(number)) is not None]
        for sink in joining:
            with _VIEWER:
                group = self._place(sink, extended if first is None else first, timestamp, now)
                if early:
                    packets = [group.rewrite(*kept) for kept in early]
                    sink.sent_alone(packets)
                    self._outlet.send_packets(packets, (sink,))

    def _place(self, sink: Sink, extended: int, timestamp: int, now: float) -> Group:
        """Put a sink into the group that continues what it had, from this packet, of the time `now`, on."""
        assert sink.codec is not None
        sequence_offset = timestamp_offset = 0
        before = sink.continuation
        if before is not None:
            follows = _following_timestamp(before.timestamp, now - before.time, sink.codec.clock_rate)
            sequence_offset = (before.sequence_number + 1 - extended) & 0xFFFF
            timestamp_offset = (follows - timestamp) & 0xFFFFFFFF
        red = None if self._red is None else sink.codec.red
        key = (sink.codec.payload_type, sequence_offset, timestamp_offset, sink.extensions, red)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = self._new_group(key)
        if group.pending:
            self._outlet.flush()  # Packets before `extended` are not for this sink.
        if before is not None:
            group.start = max(group.start, extended)
        group.sinks.append(sink)
        present = self._outlet.now()
        sink.joined(group, extended, present)
        sink.set_flowing(self.flowing)
        clock = self.reception.clock(present) if self.reception else None
        if clock is not None:  # Without one there is no lip sync until the publisher's next, seconds later.
            self._tell_clock(clock, group, (sink,), present)
        if before is None and sink.codec.rtx is not None:
            self._starting[sink] = Start(sink.joined_at)
            self._outlet.attention.add(self)
        return group

    def _new_group(self, key: GroupKey) -> Group:
        ssrc = self._outlet.ssrcs[self.kind]
        if self.codec is None or self._red is None:
            return Group(*key[:-1], ssrc)
        return RedundantGroup(*key, ssrc, (self.codec.payload_type, self._red))

    def leave(self, sink: Sink) -> None:
        """Stop sending to a sink; it stays connected."""
        self._joining.discard(sink)
        self._starting.pop(sink, None)
        replay = self._replays.pop(sink, None)
        group = sink.group
        if group is None:
            return
        group.sinks.remove(sink)
        if not group.sinks:
            del self._groups[group.key]
        sink.left(group)
        reception = self.reception
        assert reception is not None
        timestamp, time = reception.last_timestamp, reception.last_time
        if replay is not None and replay.packets[-1].extended == reception.highest:
            timestamp, time = replay.packets[-1].timestamp, replay.time
        sink.continuation = Continuation(
            (reception.highest + group.sequence_offset) & 0xFFFF,
            (timestamp + group.timestamp_offset) & 0xFFFFFFFF,
            time,
        )
        sink.set_flowing(False)

    def retransmit(self, sink: Sink, sequence_numbers: tuple[int, ...], now: float) -> None:
        """Answer a sink's NACK from the ring; what is not there is on its way from the publisher, or lost.

        What may still be under way is not sent again, and no more than the viewer's budget has. A browser that
        misses a packet shows nothing more until it has it or a keyframe. So where the budget would take too long,
        video is given up until the next keyframe, and that is asked for.
        """
        group, reception, ring, path = sink.group, self.reception, self._ring, sink.viewer.path
        sink.nacks += len(sequence_numbers)
        if group is None or reception is None or ring is None or self._has_given_up(sink):
            return
        newest = reception.highest + group.sequence_offset
        wanted = sorted({reception.highest - ((newest - number) & 0xFFFF) for number in sequence_numbers})
        if wanted and (start := self._starting.get(sink)) is not None:
            start.asked(wanted[0])
        due = self._due(sink, wanted, now, path.repeat_interval(now))
        if due and due[-1].extended not in sink.repaired and (after := ring.get(due[-1].extended + 1)) is not None:
            path.loss_noticed(now - max(after.time, sink.joined_at), now)
        if self.kind is MediaKind.AUDIO:
            self._repeat(sink, due, now)
            return
        cost = sum(len(kept.packet) for kept in due)
        lacking = cost - max(0.0, path.repairs.left(now) - path.kept_for_audio)
        if lacking > path.repairs.rate * _PATIENCE or (lacking > 0 and now - due[0].time > _PATIENCE):
            self.request_keyframe_for(sink, now)
            if sink.group is not group:
                return  # It was given all of a silent source again, under new numbers.
            if self.keyframes.wanted:
                sink.given_up = self.keyframes_seen
                return
        self._repeat(sink, due, now, keep=path.kept_for_audio)

    def _has_given_up(self, sink: Sink) -> bool:
        """Whether losses of the sink wait for the next keyframe; once that has begun, they are repaired again."""
        if sink.given_up is None:
            return False
        if sink.given_up == self.keyframes_seen:
            return True
        sink.given_up = None
        sink.start = max(sink.start, self._keyframe_start)
        return False

    def _due(self, sink: Sink, numbers: Iterable[int], now: float, interval: float) -> list[KeptPacket]:
        """Of these extended numbers, the packets that may be sent to the sink again: not within `interval`."""
        ring, due = self._ring, []
        if ring is None:
            return []
        for number in numbers:
            kept = ring.get(number) if number >= sink.start else None
            if kept is None or not sink.repaired.is_due(number, now, interval):
                continue
            after = ring.get(number + 1)
            if after is not None and after.time < kept.time and now - kept.time < interval:
                continue  # It came late from the publisher: the viewer missed it before it was sent at all.
            due.append(kept)
        replay = self._replays.get(sink)
        return [replay.as_sent(kept) for kept in due] if replay is not None else due

    def _repeat(self, sink: Sink, due: Sequence[KeptPacket], now: float, *, keep: float = 0.0) -> int:
        """Send packets to a sink again until only `keep` bytes of its budget are left; returns how many went."""
        group = sink.group
        if group is None or sink.codec is None:
            return 0
        packets, repair = [], sink.codec.rtx
        for kept in due:
            if not sink.viewer.path.repairs.spend(len(kept.packet), now, keep=keep):
                break
            sink.repaired.sent(kept.extended, now)
            if repair is None:
                packets.append(group.rewrite(*kept))
            else:
                number = (sink.repair_packets + len(packets) + 1) & 0xFFFF
                packets.append(group.repair(kept, now, repair, number, self._outlet.repair_ssrc))
        if packets:
            sink.retransmitted += len(packets)
            if repair is None:
                sink.sent_alone(packets)
            else:
                sink.repair_packets += len(packets)
                sink.repair_octets += sum(map(payload_size, packets))
            self._outlet.send_packets(packets, (sink,))
        return len(packets)

    def _repeat_starts(self, newest: int, now: float) -> None:
        """Repeat what sinks started with when that is due (see start.py)."""
        budget = _REPEATED_AT_ONCE
        for sink, start in list(self._starting.items()):
            if now < start.due or budget <= 0:
                continue
            with _VIEWER:
                given = list(range(sink.start, min(newest + 1, sink.start + _MAX_START)))
                replay = self._replays.get(sink)
                if replay is not None and newest == replay.packets[-1].extended:
                    given += range(max(given[-1], newest - _MAX_END) + 1, newest + 1)
                due = self._due(sink, start.numbers(given, now), now, REPEAT)
                keep = sink.viewer.path.kept_at_start
                count = self._repeat(sink, due, now, keep=keep)
                start.repeated(due[:count])
                budget -= count
            if start.is_over(now):
                del self._starting[sink]

    # Relays

    def admit_relay(self, relay: Relay) -> None:
        """Let a relay start, as :meth:`admit` does with a sink."""
        now = self._outlet.now()
        replay = self._replay(now)
        if replay is not None:
            self._start_relay_with(relay, replay)
        elif self._is_keyframe_start is None:
            self._add_relay(relay)
        else:
            self._joining_relays.append(relay)
            self.request_keyframe()

    def _start_relay_with(self, relay: Relay, replay: Replay) -> None:
        # A packet in the ring still has its number and timestamp; the mirror shifts timestamps as we do.
        shift, packets = self._timestamp_shift, []
        for _, timestamp, _, packet, _ in replay.packets:
            packets.append(packet[:4] + ((timestamp - shift) & 0xFFFFFFFF).to_bytes(4) + packet[8:])
        relay.replay(packets, replay.time)
        self._add_relay(relay)

    def _add_relay(self, relay: Relay) -> None:
        self.relays.append(relay)
        clock = self.reception.clock(self._outlet.now()) if self.reception else None
        if clock is not None:
            relay.sender_report(clock)

    def dismiss_relay(self, relay: Relay) -> None:
        """Hand nothing more to a relay."""
        for relays in (self.relays, self._joining_relays):
            if relay in relays:
                relays.remove(relay)

    def kept(self, sequence_numbers: Sequence[int]) -> list[bytes]:
        """The packets with these numbers, as they came, that the ring still has."""
        reception, ring = self.reception, self._ring
        if reception is None or ring is None:
            return []
        found = (ring.get(reception.extend(number)) for number in sequence_numbers)
        return [kept.packet for kept in found if kept is not None]

    def request_keyframe(self) -> None:
        """Ask the browser for a keyframe, as soon as that is due and until one comes.

        Nothing is done for audio, or where the browser has not agreed to be asked: then nobody may count on it.
        """
        if self._is_keyframe_start and self._can_be_asked:
            self.keyframes.want()
            self._outlet.attention.add(self)

    def request_keyframe_at_start(self, sink: Sink) -> None:
        """Ask for a keyframe for a sink at its owner's wish, who has just connected it: within the allowance of
        those that start. Beyond that it gets one as for losses."""
        now = self._outlet.now()
        if self.keyframes.wanted or self._join_keyframes.take(1, now):
            self.request_keyframe()
        elif sink.group is not None:
            sink.keyframe_wish = self.keyframes_seen

    def request_keyframe_for(self, sink: Sink, now: float) -> None:
        """Give a sink a keyframe for its losses, as soon as that is granted: it costs all others quality.

        Of a silent source it gets a replay, where there is one, in place of a keyframe.
        """
        own = sink.viewer.path.keyframes
        if sink.group is None or now - self._keyframe_time < (sink.viewer.path.round_trip or 0.0):
            return  # What it has not seen yet may be all that it asks for.
        # A replay is looked for only where the viewer may have one: that takes long, and it may ask all the time.
        if own.left(now) >= 1 and (replay := self._replay_again(sink, now)) is not None:
            own.take(1, now)
            self.leave(sink)
            self._start_with(sink, replay)
            return
        if self.keyframes.wanted:
            return  # It gets one anyhow.
        if own.left(now) >= 1 and self._loss_keyframes.take(1, now):
            own.take(1, now)
            sink.keyframe_wish = None
            self.request_keyframe()
        else:
            sink.keyframe_wish = self.keyframes_seen

    def _replay_again(self, sink: Sink, now: float) -> Replay | None:
        """What a silent source sent last, unless the sink was just given it."""
        before = self._replays.get(sink)
        if not self._is_silent(now) or (before is not None and now - before.time < _REPLAY_INTERVAL):
            return None
        return self._replay(now)

    def renew_keyframe_wish(self, sink: Sink, now: float) -> None:
        """See whether a sink's wish is granted by now, or has been met."""
        if sink.keyframe_wish == self.keyframes_seen:
            self.request_keyframe_for(sink, now)
        else:
            sink.keyframe_wish = None

    def attend(self, now: float) -> bool:
        """Send the NACKs, the keyframe request and the repetitions that are due; whether there is more to come."""
        reception = self.reception
        if reception is None or self.codec is None:
            return False
        ours = self._outlet.ssrcs[self.kind]
        feedback = b""
        if reception.missing and (numbers := reception.nacks_due(now)):
            feedback += rtcp.nack(ours, reception.ssrc, numbers)
        if reception.keyframe_wanted:
            reception.keyframe_wanted = False
            self.request_keyframe()
        if self.keyframes.due(now, 0.0 if self.flowing else _SILENT_KEYFRAME_INTERVAL):
            feedback += self._keyframe_request(reception)
        if feedback:
            self._publisher.send_rtcp(self.kind, rtcp.receiver_report(ours, ()) + feedback)
        self._repeat_starts(reception.highest, now)
        return bool(reception.missing or self._starting) or self.keyframes.wanted

    @property
    def _can_be_asked(self) -> bool:
        """Whether the browser takes requests for keyframes."""
        return self.codec is not None and not _KEYFRAME_FEEDBACK.isdisjoint(self.codec.feedback)

    def _keyframe_request(self, reception: Reception) -> bytes:
        """The request that was just counted, in the form that was agreed on."""
        assert self.codec is not None
        ours = self._outlet.ssrcs[self.kind]
        if "nack pli" in self.codec.feedback:
            return rtcp.pli(ours, reception.ssrc)
        return rtcp.fir(ours, reception.ssrc, self.keyframes.count)

    def renew(self, now: float) -> None:
        """See to it that the ring holds a keyframe and all that followed, for viewers that come late.

        A source may fall silent at any time, and some then make no keyframe, even if they are asked: nobody draws
        on their canvas again. So a source that sends much is asked while it still does. One that has just fallen
        silent is asked, too, because a short replay is better than a long one. It is asked once each
        `renewal_interval` and not until it answers.
        """
        reception, ring, settings = self.reception, self._ring, self._outlet.settings
        if reception is None or ring is None or self._is_keyframe_start is None or not self._can_be_asked:
            return
        followed = reception.highest + 1 - max(self._keyframe_start, self._floor)
        few = settings.small_replay if self._is_silent(now) else ring.size * settings.renewal_share
        if followed > few and not self.keyframes.wanted and self._renewals.take(1, now):
            self.keyframes.sent(now)
            report = rtcp.receiver_report(self._outlet.ssrcs[self.kind], ())
            self._publisher.send_rtcp(self.kind, report + self._keyframe_request(reception))

    # Reports and time

    def sender_report(self, report: rtcp.SenderReport, now: float) -> None:
        """Pass the publisher's clock on to every sink (lip sync), as of our own streams."""
        reception = self.reception
        if reception is None and len(self._early_reports) < _MAX_EARLY_REPORTS:
            self._early_reports[report.ssrc] = report, now
        if reception is None or report.ssrc != reception.ssrc:
            return
        reception.sender_report(report, now)
        if not self._clocks.take(1, now):
            return
        for relay in self.relays:
            with _RELAY:
                relay.sender_report(report)
        for group in self._groups.values():
            self._tell_clock(report, group, group.sinks, now)

    def _tell_clock(self, report: rtcp.SenderReport, group: Group, sinks: Iterable[Sink], now: float) -> None:
        """Send a report of the publisher's to sinks of a group as of our streams, of retransmissions, too."""
        timestamp = report.rtp + self._timestamp_shift + group.timestamp_offset
        description = rtcp.source_description(group.ssrc, self._outlet.cname)
        for sink in sinks:
            with _VIEWER:
                compound = rtcp.sender_report(
                    group.ssrc, replace(report, rtp=timestamp, packets=sink.packets, octets=sink.octets)
                )
                if sink.repair_packets:
                    repairs = replace(
                        report, rtp=timestamp, packets=sink.repair_packets, octets=sink.repair_octets
                    )
                    compound += rtcp.sender_report(self._outlet.repair_ssrc, repairs)
                sink.viewer.path.report_sent(group.ssrc, report.ntp, now)
                sink.viewer.send_rtcp(self.kind, compound + description)

    def report(self, now: float) -> tuple[rtcp.ReportBlock, bytes] | None:
        """The report block and, where negotiated, the REMB for the browser; None while it sends nothing."""
        reception = self.reception
        if reception is None or self.codec is None or not self.flowing:
            return None
        self._remb_target.measure(reception.octets, now)
        estimate = b""
        if "goog-remb" in self.codec.feedback:
            self.remb = self.target_bitrate(now)
            estimate = rtcp.remb(self._outlet.ssrcs[self.kind], self.remb, (reception.ssrc,))
        return reception.report(now), estimate

    def target_bitrate(self, now: float) -> int:
        """What to tell the browser by REMB, bit/s."""
        settings, limits = self._outlet.settings, self._publisher.receive_limits
        return self._remb_target.bitrate(self.estimates(now), settings, limits)

    def estimates(self, now: float) -> list[int | None]:
        """What each viewer can take, bit/s, None where that is not known. Paused ones count where there are no
        others: then nobody suffers if the publisher sends as little as they can take."""
        estimates: list[int | None] = []
        for sink in self.sinks:
            with _VIEWER:
                if sink.group:
                    estimates.append(sink.bitrate(now))
        estimates += [relay.bitrate(now) for relay in self.relays]
        return estimates or [sink.bitrate(now) for sink in self.sinks if sink.paused]

    def check_flow(self, now: float) -> None:
        """What silence brings about: the flow ends, and who waits for a keyframe gets what there is."""
        for sink, replay in list(self._replays.items()):
            if now - replay.time >= _KEPT_REPLAY:
                # Those packets are in the ring with other timestamps.
                sink.start = replay.packets[-1].extended + 1
                del self._replays[sink]
        if self._shared_replay is not None and now - self._shared_replay.time > _SHARED_REPLAY:
            self._shared_replay = None
        reception = self.reception
        if reception is None or not self._is_silent(now):
            return
        if (self._joining or self._joining_relays) and (found := self._replay(now)) is not None:
            joining, self._joining = self._joining, set()
            for sink in joining:
                with _VIEWER:
                    self._start_with(sink, found)
            relays, self._joining_relays = self._joining_relays, []
            for relay in relays:
                with _RELAY:
                    self._start_relay_with(relay, found)
        timeout = self._outlet.settings.flow_timeout
        if self.flowing and now - reception.last_time >= timeout:
            self._set_flowing(False)
        if not self.flowing:
            for sink, replay in self._replays.items():
                if now - replay.time >= timeout:
                    sink.set_flowing(False)

    def _set_flowing(self, flowing: bool) -> None:
        self.flowing = flowing
        with _PUBLISHER:
            self._publisher.receiving_changed(self.kind, flowing)
        if flowing and self.keyframes.wanted:
            self._outlet.attention.add(self)
        for group in list(self._groups.values()):
            for sink in list(group.sinks):
                sink.set_flowing(flowing)

    def close(self) -> None:
        """Let all sinks go; they keep what the next source needs."""
        for sink in list(self.sinks):
            with _VIEWER:
                sink.follow(None)

    def stats(self) -> ReceivingStats | None:
        reception = self.reception
        if reception is None or self.codec is None:
            return None
        return ReceivingStats(
            self.codec.name,
            reception.ssrc,
            reception.packets,
            reception.octets,
            reception.lost,
            reception.jitter / self.codec.clock_rate,
            reception.nacks,
            self.keyframes_seen,
            self.keyframes.count,
            self.remb,
        )


def _following_timestamp(last: int, elapsed: float, clock_rate: int) -> int:
    """The timestamp of a packet `elapsed` seconds after one with `last`; never the same one."""
    return (last + max(1, round(elapsed * clock_rate))) & 0xFFFFFFFF
