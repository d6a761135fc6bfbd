"""The groups of a track's sinks: which group continues what a sink had, and the publisher's clock as each sees it.

Theory. Rewriting a packet costs as much for one sink as for a thousand, if all get the same bytes before
encryption. So sinks with the same payload type, header extensions and offsets form a *group*, and a packet is
rewritten once a group. A sink that starts fresh has the offsets 0 and 0. A sink that had another source, or
was paused, gets offsets by which the next packet has the number after the last that it was sent, and a
timestamp as much later as time has passed. Without that its browser would stop decoding, and the same number
for a second packet would break SRTP (RFC 7714 section 8.1).

For the same reason a group that continues something never passes on a packet before its `start`: late packets
from before a sink joined would get numbers that the sink was already sent.

Sender reports are passed on with the publisher's clock and our own timestamps, because lip sync depends on the
two being told together (RFC 3550 section 6.4.1).
"""

from collections.abc import Iterable
from dataclasses import replace

from roomfsm.mediaserver.base.boundary import Boundary
from roomfsm.mediaserver.forwarding.red import RedundantGroup
from roomfsm.mediaserver.forwarding.sink import Continuation, Group, GroupKey, Sink
from roomfsm.mediaserver.forwarding.stream import Stream, following_timestamp
from roomfsm.mediaserver.rtp import rtcp

_VIEWER = Boundary("a track and one of its viewers")


class Groups:
    """The sinks that a track is sent to at present, by what they have in common."""

    __slots__ = ("_stream", "by_key")

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.by_key: dict[GroupKey, Group] = {}
        """Always the same dictionary: the track goes through it for each packet."""

    def place(self, sink: Sink, extended: int, timestamp: int, now: float, *, apart: bool = False) -> Group:
        """Put a sink into the group that continues what it had, from this packet, of the time `now`, on.

        `apart`: into a group of its own with the same key, which no live packets go to, until it is to
        :meth:`join` the others.
        """
        assert sink.codec is not None
        stream = self._stream
        sequence_offset = timestamp_offset = 0
        before = sink.continuation
        if before is not None:
            follows = following_timestamp(before.timestamp, now - before.time, sink.codec.clock_rate)
            sequence_offset = (before.sequence_number + 1 - extended) & 0xFFFF
            timestamp_offset = (follows - timestamp) & 0xFFFFFFFF
        source_red = stream.codec.red if stream.codec is not None else None
        red = None if source_red is None else sink.codec.red
        key = (sink.codec.payload_type, sequence_offset, timestamp_offset, sink.extensions, red)
        group = self._new_group(key) if apart else self._shared(key)
        if before is not None:
            group.start = max(group.start, extended)
        group.sinks.append(sink)
        present = stream.outlet.now()
        sink.joined(group, extended, present)
        sink.set_flowing(stream.flowing)
        clock = stream.reception.clock(present) if stream.reception else None
        if clock is not None:  # Without one there is no lip sync until the publisher's next, seconds later.
            self._tell_clock(clock, group, (sink,), present)
        return group

    def _shared(self, key: GroupKey) -> Group:
        """The group with this key that live packets go to, ready to take in a sink."""
        group = self.by_key.get(key)
        if group is None:
            group = self.by_key[key] = self._new_group(key)
        if group.pending:
            # Who is taken in now begins with a later packet, or was sent these by its replay.
            self._stream.outlet.flush()
        return group

    def join(self, sink: Sink) -> None:
        """Let a sink that was placed apart, and was sent all that came, have live packets with the others."""
        apart = sink.group
        assert apart is not None
        group = self._shared(apart.key)
        group.start = max(group.start, apart.start)
        group.sinks.append(sink)
        sink.moved(group)

    def _new_group(self, key: GroupKey) -> Group:
        codec, ssrc = self._stream.codec, self._stream.outlet.ssrcs[self._stream.kind]
        if codec is None or codec.red is None:
            return Group(*key[:-1], ssrc)
        return RedundantGroup(*key, ssrc, (codec.payload_type, codec.red))

    def remove(self, sink: Sink, group: Group, newest: int, timestamp: int, time: float) -> None:
        """Take a sink out of its group.

        `newest`, `timestamp`: the extended number and the timestamp of the newest packet that it was sent, at
        `time`.
        """
        group.sinks.remove(sink)
        if not group.sinks and self.by_key.get(group.key) is group:
            del self.by_key[group.key]
        sink.left(group)
        sink.continuation = Continuation(
            (newest + group.sequence_offset) & 0xFFFF,
            (timestamp + group.timestamp_offset) & 0xFFFFFFFF,
            time,
        )

    def set_flowing(self, flowing: bool) -> None:
        for group in list(self.by_key.values()):
            for sink in list(group.sinks):
                sink.set_flowing(flowing)

    def tell_clock(self, report: rtcp.SenderReport, now: float) -> None:
        """Pass a report of the publisher's on to every sink."""
        for group in self.by_key.values():
            self._tell_clock(report, group, group.sinks, now)

    def _tell_clock(self, report: rtcp.SenderReport, group: Group, sinks: Iterable[Sink], now: float) -> None:
        """Send a report of the publisher's to sinks of a group, as a report about our streams: about the media
        stream, and about the stream of retransmissions if the sink was sent any."""
        stream = self._stream
        timestamp = report.rtp + stream.timestamp_shift + group.timestamp_offset
        description = rtcp.source_description(group.ssrc, stream.outlet.cname)
        for sink in sinks:
            with _VIEWER:
                compound = rtcp.sender_report(
                    group.ssrc, replace(report, rtp=timestamp, packets=sink.packets, octets=sink.octets)
                )
                if sink.repair_packets:
                    repairs = replace(
                        report, rtp=timestamp, packets=sink.repair_packets, octets=sink.repair_octets
                    )
                    compound += rtcp.sender_report(stream.outlet.repair_ssrc, repairs)
                sink.viewer.path.report_sent(group.ssrc, report.ntp, now)
                sink.viewer.send_rtcp(stream.kind, compound + description)
