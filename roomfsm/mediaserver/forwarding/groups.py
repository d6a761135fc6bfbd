"""The groups of a track's sinks: which group continues what a sink had before, and the publisher's clock for each.

Theory. If many sinks get the same bytes before encryption, it costs no more to rewrite a packet for all of them
than for one. So sinks with the same payload type, header extensions and offsets form a *group*, and a packet is
rewritten once for each group. A new sink has the offsets 0 and 0. A sink that had another source before, or was
paused, gets other offsets: they give the next packet the number after the last one that the sink got, and a
timestamp that is later by the time that has passed. Otherwise its browser would stop decoding, and a number could
be used for a second packet, which would break SRTP (RFC 7714 section 8.1). The numbers of VP8's pictures continue,
too, because a decoder takes a lower one for an old picture.

For the same reason, a group that continues something never forwards a packet from before its `start`. Late packets
from before a sink joined would get numbers that the sink has already seen.

Sender reports are passed on with the publisher's clock and our own timestamps. Lip sync depends on both being in
the same report (RFC 3550 section 6.4.1).
"""

from collections.abc import Iterable
from dataclasses import replace

from roomfsm.mediaserver.base.boundary import Boundary
from roomfsm.mediaserver.forwarding.red import RedundantGroup
from roomfsm.mediaserver.forwarding.sink import Continuation, Group, GroupKey, Sink
from roomfsm.mediaserver.forwarding.stream import Stream, following_timestamp
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.mediaserver.rtp.packet import HEADER_LENGTH
from roomfsm.mediaserver.rtp.vp8 import UNCHANGED, PictureNumbers, continuing, picture_numbers, shifted

_VIEWER = Boundary("a track and one of its viewers")


class Groups:
    """The groups of sinks to which a track is being sent, by the properties that the sinks have in common."""

    __slots__ = ("_stream", "by_key")

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.by_key: dict[GroupKey, Group] = {}
        """The groups by key. It stays the same dictionary, because the track goes through it for each packet."""

    def place(self, sink: Sink, extended: int, timestamp: int, now: float, *, apart: bool = False) -> Group:
        """Put a sink into the group that continues what it had before, beginning with this packet of time `now`.

        If `apart` is true, the sink gets a group of its own with the same key. That gets no live packets, until
        the sink may :meth:`join` the others.
        """
        assert sink.codec is not None
        stream = self._stream
        sequence_offset = timestamp_offset = 0
        pictures = UNCHANGED
        before = sink.continuation
        if before is not None:
            follows = following_timestamp(before.timestamp, now - before.time, sink.codec.clock_rate)
            sequence_offset = (before.sequence_number + 1 - extended) & 0xFFFF
            timestamp_offset = (follows - timestamp) & 0xFFFFFFFF
            first = self._picture(extended)
            if before.picture is not None and first is not None:
                pictures = continuing(before.picture, first)
        source_red = stream.codec.red if stream.codec is not None else None
        red = None if source_red is None else sink.codec.red
        key = (sink.codec.payload_type, sequence_offset, timestamp_offset, sink.extensions, pictures, red)
        group = self._new_group(key) if apart else self._shared(key)
        if before is not None:
            group.start = max(group.start, extended)
        group.sinks.append(sink)
        present = stream.outlet.now()
        sink.joined(group, extended, present)
        sink.set_flowing(stream.flowing)
        clock = stream.reception.clock(present) if stream.reception else None
        if clock is not None:  # Otherwise there would be no lip sync until the publisher's next report.
            self._tell_clock(clock, group, (sink,), present)
        return group

    def _shared(self, key: GroupKey) -> Group:
        """The group with this key that gets live packets, ready to take in a sink."""
        group = self.by_key.get(key)
        if group is None:
            group = self.by_key[key] = self._new_group(key)
        if group.pending:
            # The new sink must not get the pending packets: it begins later, or got them with its replay.
            self._stream.outlet.flush()
        return group

    def join(self, sink: Sink) -> None:
        """Give a sink that was placed apart live packets with the others, now that it has got all earlier ones."""
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

        `newest` and `timestamp` are the extended number and the timestamp of the newest packet that it got, and
        `time` is when it got that.
        """
        group.sinks.remove(sink)
        if not group.sinks and self.by_key.get(group.key) is group:
            del self.by_key[group.key]
        sink.left(group)
        sink.continuation = Continuation(
            (newest + group.sequence_offset) & 0xFFFF,
            (timestamp + group.timestamp_offset) & 0xFFFFFFFF,
            time,
            None if (last := self._picture(newest)) is None else shifted(last, group.pictures),
        )

    def _picture(self, extended: int) -> PictureNumbers | None:
        """The numbers of the picture of a packet of VP8 that the ring has."""
        stream = self._stream
        kept = stream.ring.get(extended) if stream.ring is not None else None
        if kept is None or stream.codec is None or stream.codec.name != "VP8":
            return None
        return picture_numbers(kept.packet, HEADER_LENGTH + 4 * (kept.packet[0] & 0x0F))

    def set_flowing(self, flowing: bool) -> None:
        for group in list(self.by_key.values()):
            for sink in list(group.sinks):
                sink.set_flowing(flowing)

    def tell_clock(self, report: rtcp.SenderReport, now: float) -> None:
        """Pass one of the publisher's sender reports on to every sink."""
        for group in self.by_key.values():
            self._tell_clock(report, group, group.sinks, now)

    def _tell_clock(self, report: rtcp.SenderReport, group: Group, sinks: Iterable[Sink], now: float) -> None:
        """Send one of the publisher's reports to sinks of a group, as a report about our own streams.

        These are the media stream and, if the sink got retransmissions, their stream.
        """
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
