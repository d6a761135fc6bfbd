"""What viewers get for their losses: the packets again, as far as their budget goes, or else a keyframe.

Theory. A browser that misses a packet of video shows nothing more until it has that packet or a keyframe. It
asks for the packet by NACK (RFC 4585 section 6.2.1), and is sent it again from the ring: in a stream of its
own where that was agreed on (RFC 4588), else as it was. Three rules keep that from doing harm:

- *Nothing is sent again while it may still be under way.* `Sink.repaired` remembers when each packet was last
  sent, and a round trip must have passed since.
- *Repairs have a budget* (:mod:`~roomfsm.mediaserver.forwarding.viewer_path`): a path that loses packets
  because it is full must not be sent more for it. Where the budget would take too long, video is *given up*:
  nothing is repaired until the next keyframe has begun, and that is asked for.
- *What is sent again has the same content as before.* Below `Sink.start` the ring has packets that the sink
  was not sent, or was sent with other timestamps, so none of them is repeated to it.

What a viewer starts with is repeated unasked (:mod:`~roomfsm.mediaserver.forwarding.start`).
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
"""Packets of what a viewer starts with that are repeated."""
_MAX_END = 8
"""So many of a replay's last packets are repeated, too, if none came since that could show that they are lost."""
_PATIENCE = 0.5
"""Seconds for which video may wait for repairs that the viewer's budget lacks: then a keyframe is better."""
_REPEATED_AT_ONCE = 256
"""About so many packets of starts are repeated in one turn. If more viewers than that start with one keyframe, the
others wait for the next turn."""

_VIEWER = Boundary("a track and one of its viewers")


class Repair:
    """Answers the losses of a track's viewers."""

    __slots__ = ("_admission", "_keyframes", "_stream")

    def __init__(self, stream: Stream, admission: Admission, keyframes: TrackKeyframes) -> None:
        self._stream = stream
        self._admission = admission
        self._keyframes = keyframes

    def retransmit(self, sink: Sink, sequence_numbers: tuple[int, ...], now: float) -> None:
        """Answer a sink's NACK from the ring; what is not there is on its way from the publisher, or lost.

        What may still be under way is not sent again, and no more than the viewer's budget has. A browser that
        misses a packet shows nothing more until it has it or a keyframe. So where the budget would take too long,
        video is given up until the next keyframe, and that is asked for.
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
                return  # It was given all of a silent source again, under new numbers.
            if self._keyframes.wanted:
                sink.given_up = stream.keyframes_seen
                return
        self._repeat(sink, due, now, keep=path.kept_for_audio)

    def _has_given_up(self, sink: Sink) -> bool:
        """Whether losses of the sink wait for the next keyframe; once that has begun, they are repaired again."""
        if sink.given_up is None:
            return False
        if sink.given_up == self._stream.keyframes_seen:
            return True
        sink.given_up = None
        sink.start = max(sink.start, self._stream.keyframe_start)
        return False

    def _due(self, sink: Sink, numbers: Iterable[int], now: float, interval: float) -> list[KeptPacket]:
        """The packets among these extended numbers that may be sent to the sink again: not within `interval`."""
        ring, due = self._stream.ring, []
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
        replay = self._admission.replays.get(sink)
        return [replay.as_sent(kept) for kept in due] if replay is not None else due

    def _repeat(self, sink: Sink, due: Sequence[KeptPacket], now: float, *, keep: float = 0.0) -> int:
        """Send packets to a sink again until only `keep` bytes of its budget are left; returns how many went."""
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
        if packets:
            sink.retransmitted += len(packets)
            if repair is None:
                sink.sent_alone(packets)
            else:
                sink.repair_packets += len(packets)
                sink.repair_octets += sum(map(payload_size, packets))
            outlet.send_packets(packets, (sink,))
        return len(packets)

    def repeat_starts(self, newest: int, now: float) -> None:
        """Repeat what sinks started with when that is due. `newest`: the highest extended number that came."""
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
        """Ask for a keyframe for a sink at its owner's wish, who has just connected it: within the allowance of
        those that start. Beyond that nothing is done: a sink that was sent anything began with a whole picture.
        """
        if sink.group is None or self._keyframes.wanted:
            return  # It waits for one, or gets one anyhow.
        if self._keyframes.for_joins.take(1, self._stream.outlet.now()):
            self._keyframes.request()

    def request_keyframe_for(self, sink: Sink, now: float) -> None:
        """Give a sink a keyframe for its losses, as soon as that is granted: it costs all others quality.

        Of a silent source it gets a replay, where there is one, in place of a keyframe.
        """
        own, admission = sink.viewer.path.keyframes, self._admission
        if sink.group is None or now - self._stream.keyframe_time < (sink.viewer.path.round_trip or 0.0):
            return  # What it has not seen yet may be all that it asks for.
        # A replay is looked for only where the viewer may have one: that takes long, and it may ask all the time.
        if own.left(now) >= 1 and (replay := admission.replay_again(sink, now)) is not None:
            own.take(1, now)
            admission.leave(sink)
            admission.start_with(sink, replay)
            return
        if self._keyframes.wanted:
            return  # It gets one anyhow.
        if own.left(now) >= 1 and self._keyframes.for_losses.take(1, now):
            own.take(1, now)
            sink.keyframe_wish = None
            self._keyframes.request()
        else:
            sink.keyframe_wish = self._stream.keyframes_seen

    def renew_keyframe_wish(self, sink: Sink, now: float) -> None:
        """See whether a sink's wish is granted by now, or has been met."""
        if sink.keyframe_wish == self._stream.keyframes_seen:
            self.request_keyframe_for(sink, now)
        else:
            sink.keyframe_wish = None
