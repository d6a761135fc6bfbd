"""One kind of media that goes to a browser, and the groups of sinks that get the same packets.

Theory. A *sink* is one kind of media on its way to one browser. It outlives its sources: a viewer may be moved
from one track to another, and its browser goes on with the one SSRC that was named in the answer. So a sink
keeps what the next source must go on from: `continuation` is the last sequence number and timestamp that it
was sent, and when.

A sink is sent something exactly while it has a `group`. It may have one only while it has a source, its
transport is `open`, one of its codecs fits the source's, and it is not `paused`; :meth:`Sink.refresh` is
called whenever one of these changes, and asks the source to let the sink start or leave. Between asking and
starting it waits for a keyframe.

A *group* holds the sinks for which a packet is rewritten to the same bytes. The invariants:

- The numbers that a sink is sent only rise, from source to source, and no number is used for two packets; else
  SRTP would not be safe (RFC 7714 section 8.1). Repairs without RTX send the very same packet once more.
- A sender report counts all packets and octets of the stream (RFC 3550 section 6.4.1). They are counted once a
  group. A sink's own share is what the group has counted since it joined; what it was sent alone, or in groups
  before, is in `_packets_before`, from which the group's count at the time of joining was taken off.
- What is sent again in a stream of its own (RFC 4588) has its own SSRC, numbers and counts.
"""

import struct
from typing import Any, NamedTuple, Protocol

from roomfsm.mediaserver.base.boundary import Boundary
from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.forwarding.repair_history import RepairHistory
from roomfsm.mediaserver.forwarding.stats import SendingStats
from roomfsm.mediaserver.forwarding.viewer_path import ViewerPath
from roomfsm.mediaserver.ice.lite import Address, Control
from roomfsm.mediaserver.rtp.extensions import ExtensionWriter, OutgoingExtensions
from roomfsm.mediaserver.rtp.packet import payload_size
from roomfsm.mediaserver.rtp.ring import KeptPacket
from roomfsm.mediaserver.sdp.codec import Codec, matching_codec, mismatch

_VIEWER = Boundary("telling one viewer")
_FIXED = struct.Struct("!BBHII")


type GroupKey = tuple[int, int, int, OutgoingExtensions, int | None]
"""What the sinks of a group have in common: payload type, offsets of sequence number and timestamp, header
extensions, payload type of redundant packets."""


class Viewer(Protocol):
    """The peer whose browser a sink goes to."""

    path: ViewerPath

    @property
    def send_limits(self) -> tuple[int, int]:
        """Least and greatest bitrate that the browser's estimate counts for, bit/s; 0 is none."""

    def send_rtcp(self, kind: MediaKind, compound: bytes) -> None: ...

    def sending_changed(self, kind: MediaKind, flowing: bool) -> None: ...

    def codec_mismatched(self, reason: str) -> None: ...


class Source(Protocol):
    """What a sink takes its media from: a :class:`~roomfsm.mediaserver.forwarding.track.Track`."""

    sinks: "set[Sink]"

    @property
    def codec(self) -> Codec | None:
        """What the publisher's browser sends; None while that is not negotiated."""

    def admit(self, sink: "Sink") -> None: ...

    def readmit(self, sink: "Sink", now: float) -> None: ...

    def leave(self, sink: "Sink") -> None: ...

    def retransmit(self, sink: "Sink", sequence_numbers: tuple[int, ...], now: float) -> None: ...

    def request_keyframe_at_start(self, sink: "Sink") -> None: ...

    def request_keyframe_for(self, sink: "Sink", now: float) -> None: ...

    def renew_keyframe_wish(self, sink: "Sink", now: float) -> None: ...


class Continuation(NamedTuple):
    """The last that a sink was sent, for its next source to go on from."""

    sequence_number: int
    timestamp: int
    time: float


class Sink:
    """One kind of media that goes to one peer's browser."""

    __slots__ = (
        "_mismatched",
        "_octets_before",
        "_packets_before",
        "address",
        "codec",
        "codecs",
        "continuation",
        "control",
        "extensions",
        "flowing",
        "given_up",
        "group",
        "handle",
        "joined_at",
        "keyframe_requests",
        "keyframe_wish",
        "kind",
        "nacks",
        "open",
        "paused",
        "repair_octets",
        "repair_packets",
        "repaired",
        "retransmitted",
        "source",
        "start",
        "tag_length",
        "undecodable",
        "viewer",
    )

    def __init__(self, kind: MediaKind, viewer: Viewer) -> None:
        self.kind = kind
        self.viewer = viewer
        self.codecs: tuple[Codec, ...] = ()
        """Negotiated for sending; empty before the answer, or if the browser does not receive this kind."""
        self.undecodable = False
        """The browser would receive this kind, but in no codec of ours: `codecs` stays empty, no source fits."""
        self.extensions = OutgoingExtensions()
        self.codec: Codec | None = None
        """The codec among `codecs` that fits `source`; None if none does."""
        self.source: Source | None = None
        self.group: Group | None = None
        self.open = False
        """The transport is up and the peer is not silent. Only then are `address` to `tag_length` set."""
        self.paused = False
        """The viewer's path is too slow for this kind: it gets none of it."""
        self.address: Address = ("", 0)
        self.control: Control = ()
        self.handle: Any = None
        self.tag_length = 0
        self.start = 0
        """The first extended number of `source` that this sink was given, or that it still needs."""
        self.joined_at = 0.0
        """When the sink was given that packet."""
        self.continuation: Continuation | None = None
        self.flowing = False
        self.nacks = 0
        self.keyframe_requests = 0
        self.keyframe_wish: int | None = None
        """How many keyframes `source` had begun when this sink wished for one for its losses. None if it wishes
        for none, or once the wish is granted."""
        self.repaired = RepairHistory()
        self.given_up: int | None = None
        """How many keyframes `source` had begun when repairing was given up: losses are not repaired until it
        begins another. None while losses are repaired."""
        self.retransmitted = 0
        self.repair_packets = 0
        """How many of those were sent in a stream of their own (RFC 4588)."""
        self.repair_octets = 0
        """Octets of the payloads of `repair_packets`."""
        self._mismatched = False
        """Whether the viewer was told that none of its codecs fits `source`."""
        self._packets_before = 0
        self._octets_before = 0

    def follow(self, source: Source | None) -> None:
        """Take media from another track, or from none."""
        if self.source is source:
            return
        if self.source is not None:
            self.source.leave(self)
            self.source.sinks.discard(self)
        self.source = source
        self._mismatched = False
        if source is not None:
            source.sinks.add(self)
        self.refresh()

    def refresh(self) -> None:
        """Start or stop, after the source, a negotiation or the transport changed."""
        source = self.source
        if source is None:
            return
        wanted = source.codec if self.codecs or self.undecodable else None
        self.codec = matching_codec(self.codecs, wanted) if wanted else None
        if self.codec is None or not self.open:
            source.leave(self)
        elif self.group is None and not self.paused:
            source.admit(self)
        if wanted is not None and self.codec is None and not self._mismatched:
            self._mismatched = True
            with _VIEWER:
                self.viewer.codec_mismatched(mismatch(self.kind, wanted, self.codecs))

    def pause(self) -> None:
        """Send nothing until :meth:`go_on`: what comes then continues the numbers, and begins with a keyframe."""
        self.paused = True
        if self.source is not None:
            self.source.leave(self)

    def go_on(self, now: float) -> None:
        """Send again, as soon as a keyframe for it is granted. To be called until `group` is set."""
        self.paused = False
        if self.source is not None and self.codec is not None and self.open and self.group is None:
            self.source.readmit(self, now)

    def set_flowing(self, flowing: bool) -> None:
        if flowing != self.flowing:
            self.flowing = flowing
            with _VIEWER:
                self.viewer.sending_changed(self.kind, flowing)

    def joined(self, group: "Group", start: int, now: float) -> None:
        self.group = group
        self.start, self.joined_at = start, now
        self.repaired.clear()
        self.given_up = None
        self.keyframe_wish = None
        self._packets_before -= group.packets
        self._octets_before -= group.octets

    def left(self, group: "Group") -> None:
        self.group = None
        self._packets_before += group.packets
        self._octets_before += group.octets

    def sent_alone(self, packets: list[bytes]) -> None:
        """Count packets of the media stream that went to this sink only."""
        self._packets_before += len(packets)
        self._octets_before += sum(map(payload_size, packets))

    @property
    def packets(self) -> int:
        """Sent in the media stream, as sender reports count (RFC 3550 section 6.4.1)."""
        return self._packets_before + (self.group.packets if self.group else 0)

    @property
    def octets(self) -> int:
        """Octets of the payloads of `packets`, without headers and padding."""
        return self._octets_before + (self.group.octets if self.group else 0)

    def bitrate(self, now: float) -> int | None:
        """What the path takes within the limits, bit/s; None if that is not known."""
        path = self.viewer.path
        # While a sink is paused its browser measures nothing, so the last estimate is all that there is.
        estimate = path.limit(now) or (path.remb or None if self.paused else None)
        if estimate is None:
            return None
        least, greatest = self.viewer.send_limits
        return max(least, min(estimate, greatest)) if greatest else max(least, estimate)

    def stats(self, ssrc: int) -> SendingStats:
        return SendingStats(
            self.codec.name if self.codec else "",
            ssrc,
            self.packets + self.repair_packets,
            self.octets + self.repair_octets,
            self.retransmitted,
            self.nacks,
            self.keyframe_requests,
            self.viewer.path.remb,
        )


class Group:
    """The sinks of a track that get byte for byte the same packets before protection."""

    red: int | None = None
    """The payload type of redundant packets (:mod:`~roomfsm.mediaserver.forwarding.red`)."""
    __slots__ = (
        "_writer",
        "extensions",
        "octets",
        "packets",
        "payload_type",
        "pending",
        "pending_octets",
        "removed",
        "sequence_offset",
        "sinks",
        "ssrc",
        "start",
        "timestamp_offset",
    )

    def __init__(
        self,
        payload_type: int,
        sequence_offset: int,
        timestamp_offset: int,
        extensions: OutgoingExtensions,
        ssrc: int,
    ) -> None:
        self.payload_type = payload_type
        self.sequence_offset = sequence_offset
        self.timestamp_offset = timestamp_offset
        self.extensions = extensions
        self._writer = ExtensionWriter(extensions)
        self.ssrc = ssrc
        self.start = 0
        """Packets before this extended number are not passed on: their numbers may have been used."""
        self.sinks: list[Sink] = []
        self.pending: list[bytes] = []
        self.removed = 0
        """Octets of the payload that were left out of the packet rewritten last."""
        self.pending_octets = 0
        """Octets of the payloads of `pending`."""
        self.packets = 0
        self.octets = 0
        """Octets of the payloads of all `packets`, without headers and padding."""

    @property
    def key(self) -> GroupKey:
        return self.payload_type, self.sequence_offset, self.timestamp_offset, self.extensions, self.red

    def rewrite(self, extended: int, timestamp: int, time: float, packet: bytes, level: bytes = b"") -> bytes:
        """The packet as this group gets it; `level` is the audio level's byte, if known."""
        extension = self._writer.write(time, level)
        first = packet[0]
        head = _FIXED.pack(
            first | 0x10 if extension else first,
            (packet[1] & 0x80) | self.payload_type,
            (extended + self.sequence_offset) & 0xFFFF,
            (timestamp + self.timestamp_offset) & 0xFFFFFFFF,
            self.ssrc,
        )
        if not extension:
            return head + packet[12:]
        payload = 12 + 4 * (first & 0x0F)
        return head + packet[12:payload] + extension + packet[payload:]

    def repair(self, kept: KeptPacket, time: float, payload_type: int, sequence_number: int, ssrc: int) -> bytes:
        """The packet as a retransmission in a stream of its own: its number stands before the payload (RFC 4588
        section 4)."""
        extended, timestamp, _, packet, _ = kept
        extension = self._writer.write(time, b"")
        first = packet[0]
        payload = 12 + 4 * (first & 0x0F)
        head = _FIXED.pack(
            first | 0x10 if extension else first,
            (packet[1] & 0x80) | payload_type,
            sequence_number,
            (timestamp + self.timestamp_offset) & 0xFFFFFFFF,
            ssrc,
        )
        original = ((extended + self.sequence_offset) & 0xFFFF).to_bytes(2)
        return head + packet[12:payload] + extension + original + packet[payload:]
