"""What viewers get for their losses: the lost packets again, if their budget permits it, or otherwise a keyframe.

Theory. If a browser misses a packet of video, it shows nothing more until it gets that packet or a keyframe. It
asks for the packet by NACK (RFC 4585 section 6.2.1), and we send it again from the ring, in a stream of its own if
that was negotiated (RFC 4588), or otherwise unchanged. Three rules keep this from doing harm:

- *A packet that may still be under way is not sent again.* `Sink.repaired` remembers when each packet was last
  sent, and a round trip must have passed since then.
- *Repairs have a budget* (:mod:`~roomfsm.mediaserver.forwarding.viewer_path`). If a path loses packets because it
  is full, the server must not send it more because of that. If the budget would take too long, video is *given
  up*: the browser is asked for a keyframe, and nothing is repaired until that has begun.
- *A repeated packet has the same content as before.* Before `Sink.start`, the ring has packets that the sink never
  got, or got with other timestamps. So none of those is repeated to it.

The packets with which a viewer begins are repeated without being asked for
(:mod:`~roomfsm.mediaserver.forwarding.start`).
"""

from collections.abc import Iterable, Sequence

from roomfsm.mediaserver.base.boundary import Boundary
from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.forwarding.admission import Admission
from roomfsm.mediaserver.forwarding.keyframes import TrackKeyframes
from roomfsm.mediaserver.forwarding.sink import Sink
from roomfsm.mediaserver.forwarding.start import REPEAT
from roomfsm.mediaserver.forwarding.stream import Stream
from roomfsm.mediaserver.rtp.packet import payload_size
from roomfsm.mediaserver.rtp.ring import KeptPacket

_MAX_START = 64
"""The most packets of a viewer's start that are repeated."""
_MAX_END = 8
"""So many of a replay's last packets are repeated, too, if no later packet can show that they are lost."""
_PATIENCE = 0.5
"""Video may wait so many seconds until the viewer's budget permits repairs. After that a keyframe is better."""
_MAX_PADDING = 64
"""The most packets of padding that are sent at once."""
_REPEATED_AT_ONCE = 256
"""About so many packets of starts are repeated in one turn. If too many viewers begin with one keyframe, some of
them wait for the next turn."""

_VIEWER = Boundary("a track and one of its viewers")


class Repair:
    """Answers the losses of a track's viewers."""

    __slots__ = ("_admission", "_keyframes", "_stream")

    def __init__(self, stream: Stream, admission: Admission, keyframes: TrackKeyframes) -> None:
        self._stream = stream
        self._admission = admission
        self._keyframes = keyframes

    def retransmit(self, sink: Sink, sequence_numbers: tuple[int, ...], now: float) -> None:
        """Answer a sink's NACK with packets from the ring, within the viewer's budget.

        A packet that is not in the ring is on its way from the publisher, or lost. If the budget would take too
        long, video is given up until the next keyframe, and the browser is asked for one.
        """
        stream, path, group = self._stream, sink.viewer.path, sink.group
        reception, ring = stream.reception, stream.ring
        sink.nacks += len(sequence_numbers)
        if group is None or reception is None or ring is None or self._has_given_up(sink):
            return
        newest = reception.highest + group.sequence_offset
        wanted = sorted({reception.highest - ((newest - number) & 0xFFFF) for number in sequence_numbers})
        if wanted and (start := self._admission.starting.get(sink)) is not None:
            start.asked(wanted[0])
        due = self._due(sink, wanted, now, path.repeat_interval(now))
        if due and due[-1].extended not in sink.repaired and (after := ring.get(due[-1].extended + 1)) is not None:
            path.loss_noticed(now - max(after.time, sink.joined_at), now)
        if stream.kind is MediaKind.AUDIO:
            self._repeat(sink, due, now)
            return
        cost = sum(len(kept.packet) for kept in due)
        lacking = cost - max(0.0, path.repairs.left(now) - path.kept_for_audio)
        if lacking > path.repairs.rate * _PATIENCE or (lacking > 0 and now - due[0].time > _PATIENCE):
            self.request_keyframe_for(sink, now)
            if sink.group is not group:
                return  # The source is silent, and the sink got a replay of everything under new numbers.
            if self._keyframes.wanted:
                sink.given_up = stream.keyframes_seen
                return
        self._repeat(sink, due, now, keep=path.kept_for_audio)

    def _has_given_up(self, sink: Sink) -> bool:
        """Whether losses of the sink wait for the next keyframe. When it has begun, losses are repaired again."""
        if sink.given_up is None:
            return False
        if sink.given_up == self._stream.keyframes_seen:
            return True
        sink.given_up = None
        sink.start = max(sink.start, self._stream.keyframe_start)
        return False

    def _due(self, sink: Sink, numbers: Iterable[int], now: float, interval: float) -> list[KeptPacket]:
        """The packets with these extended numbers that may be sent to the sink again.

        Those that were sent within the last `interval` seconds are left out.
        """
        ring, due = self._stream.ring, []
        if ring is None:
            return []
        for number in numbers:
            kept = ring.get(number) if number >= sink.start else None
            if kept is None or not sink.repaired.is_due(number, now, interval):
                continue
            after = ring.get(number + 1)
            if after is not None and after.time < kept.time and now - kept.time < interval:
                continue  # It came late from the publisher. The viewer missed it before we had sent it.
            due.append(kept)
        replay = self._admission.replays.get(sink)
        return [replay.as_sent(kept) for kept in due] if replay is not None else due

    def _repeat(self, sink: Sink, due: Sequence[KeptPacket], now: float, *, keep: float = 0.0) -> int:
        """Send packets to a sink again, until only `keep` bytes of its budget are left.

        Returns how many were sent.
        """
        group, outlet = sink.group, self._stream.outlet
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
                packets.append(group.repair(kept, now, repair, number, outlet.repair_ssrc))
        if packets and repair is not None:
            self._send_apart(sink, packets)
        elif packets:
            sink.retransmitted += len(packets)
            sink.sent_alone(packets)
            outlet.send_packets(packets, (sink,))
        return len(packets)

    def pad(self, sink: Sink, octets: int, now: float) -> None:
        """Send a sink about so many octets of its newest packets again, in the stream of its retransmissions.

        They are not charged to its budget, because they answer no loss. Its browser drops them, as it has them.
        """
        reception, ring, group, repair = self._stream.reception, self._stream.ring, sink.group, None
        if sink.codec is not None:
            repair = sink.codec.rtx
        if reception is None or ring is None or group is None or repair is None:
            return
        packets: list[bytes] = []
        number = self._admission.replaying.newest(sink, reception.highest)
        while octets > 0 and number >= max(sink.start, ring.oldest) and len(packets) < _MAX_PADDING:
            kept = ring.get(number)
            number -= 1
            if kept is None:
                continue
            if (replay := self._admission.replays.get(sink)) is not None:
                kept = replay.as_sent(kept)
            order = (sink.repair_packets + len(packets) + 1) & 0xFFFF
            packets.append(group.repair(kept, now, repair, order, self._stream.outlet.repair_ssrc))
            octets -= len(packets[-1])
        if packets:
            self._send_apart(sink, packets)

    def _send_apart(self, sink: Sink, packets: list[bytes]) -> None:
        """Send packets in the stream of a sink's retransmissions, and count them."""
        sink.retransmitted += len(packets)
        sink.repair_packets += len(packets)
        sink.repair_octets += sum(map(payload_size, packets))
        self._stream.outlet.send_packets(packets, (sink,))

    def repeat_starts(self, newest: int, now: float) -> None:
        """Repeat the packets with which sinks began, when that is due.

        `newest` is the highest extended number that has come.
        """
        budget, admission = _REPEATED_AT_ONCE, self._admission
        for sink, start in list(admission.starting.items()):
            if now < start.due or budget <= 0:
                continue
            with _VIEWER:
                sent = admission.replaying.newest(sink, newest)
                given = list(range(sink.start, min(sent + 1, sink.start + _MAX_START)))
                replay = admission.replays.get(sink)
                if given and replay is not None and sent == replay.packets[-1].extended:
                    given += range(max(given[-1], sent - _MAX_END) + 1, sent + 1)
                due = self._due(sink, start.numbers(given, now), now, REPEAT)
                keep = sink.viewer.path.kept_at_start
                count = self._repeat(sink, due, now, keep=keep)
                start.repeated(due[:count])
                budget -= count
            if start.is_over(now):
                del admission.starting[sink]

    # Keyframes

    def request_keyframe_at_start(self, sink: Sink) -> None:
        """Ask for a keyframe for a sink because its owner, who has just connected it, wishes one.

        This is done within the allowance for viewers that begin. Beyond that nothing is done, because a sink that
        gets packets began with a whole picture.
        """
        if sink.group is None or self._keyframes.wanted:
            return  # The sink waits for a keyframe already, or will get one in any case.
        if self._keyframes.for_joins.take(1, self._stream.outlet.now()):
            self._keyframes.request()

    def request_keyframe_for(self, sink: Sink, now: float) -> None:
        """Give a sink a keyframe for its losses, as soon as the allowances permit it.

        They limit this because a keyframe costs all other viewers quality. If the source is silent, the sink gets
        a replay instead, if there can be one. Another media server also asks for its viewers that begin, so its
        wishes count as those of viewers that begin here.
        """
        own, admission = sink.viewer.path.keyframes, self._admission
        if sink.group is None or now - self._stream.keyframe_time < (sink.viewer.path.round_trip or 0.0):
            return  # The viewer may not have seen the last keyframe yet, and may need nothing else.
        # We look for a replay only if the viewer may have one, because that takes long and viewers may ask often.
        if own.left(now) >= 1 and (replay := admission.replay_again(sink, now)) is not None:
            own.take(1, now)
            admission.leave(sink)
            admission.start_with(sink, replay)
            return
        if self._keyframes.wanted:
            return  # The sink will get a keyframe in any case.
        keyframes = self._keyframes
        allowed = keyframes.for_joins if sink.viewer.path.to_server else keyframes.for_losses
        if own.left(now) >= 1 and allowed.take(1, now):
            own.take(1, now)
            sink.keyframe_wish = None
            self._keyframes.request()
        else:
            sink.keyframe_wish = self._stream.keyframes_seen

    def renew_keyframe_wish(self, sink: Sink, now: float) -> None:
        """Check whether a sink's wish for a keyframe can be granted now, or has been met already."""
        if sink.keyframe_wish == self._stream.keyframes_seen:
            self.request_keyframe_for(sink, now)
        else:
            sink.keyframe_wish = None
