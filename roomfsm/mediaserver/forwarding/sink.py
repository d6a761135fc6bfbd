"""One kind of media that goes to a browser, and the groups of sinks that get the same packets.

Theory. A *sink* is one kind of media on its way to one browser. It lives longer than its sources: a viewer may be
moved from one track to another, while its browser keeps the SSRC that the answer named. So a sink keeps the point
from which the next source must continue: `continuation` has the last sequence number and timestamp that it was
sent, and the time.

A sink gets packets exactly while it has a `group`. It may have a group only while it has a source, its transport
is `open`, one of its codecs fits the source's, and it is not `paused`. :meth:`Sink.refresh` is called whenever one
of these changes, and asks the source to let the sink start or leave. Between asking and starting it waits for a
keyframe.

A *group* holds the sinks for which a packet is rewritten to the same bytes. The invariants:

- The numbers of a sink's packets only rise, also from source to source, and no number is used for two packets,
  because SRTP would not be safe (RFC 7714 section 8.1). Repairs without RTX send exactly the same packet again.
- A sender report counts all packets and octets of the stream (RFC 3550 section 6.4.1). They are counted once for
  each group. A sink's own share is what the group has counted since the sink joined. Packets that it got alone or
  in earlier groups are in `_packets_before`, from which the group's count at the time of joining was subtracted.
- Packets that are repeated in a stream of their own (RFC 4588) have their own SSRC, numbers and counts.
"""

import socket
import struct
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from roomfsm.mediaserver.base.boundary import Boundary
from roomfsm.mediaserver.base.kinds import MediaKind, PictureSize
from roomfsm.mediaserver.forwarding.repair_history import RepairHistory
from roomfsm.mediaserver.forwarding.stats import SendingStats
from roomfsm.mediaserver.forwarding.viewer_path import ViewerPath
from roomfsm.mediaserver.ice.lite import Address, Control, Stream
from roomfsm.mediaserver.rtp.extensions import ExtensionWriter, OutgoingExtensions
from roomfsm.mediaserver.rtp.packet import payload_size
from roomfsm.mediaserver.rtp.ring import KeptPacket
from roomfsm.mediaserver.rtp.vp8 import UNCHANGED, PictureNumbers, PictureOffsets, renumbered
from roomfsm.mediaserver.sdp.codec import Codec, matching_codec, mismatch

_VIEWER = Boundary("telling one viewer")
_FIXED = struct.Struct("!BBHII")


type GroupKey = tuple[int, int, int, OutgoingExtensions, PictureOffsets, int | None]
"""The properties that all sinks of a group share: payload type, offsets of sequence number and timestamp, header
extensions, offsets of the pictures' numbers, and payload type of redundant packets."""


class Viewer(Protocol):
    """The peer whose browser gets the media of a sink."""

    path: ViewerPath

    @property
    def send_limits(self) -> tuple[int, int]:
        """The lowest and the highest bitrate that the browser's estimate can count for, in bit/s; 0 means no
        limit.
        """

    def send_rtcp(self, kind: MediaKind, compound: bytes) -> None: ...

    def sending_changed(self, kind: MediaKind, flowing: bool) -> None: ...

    def codec_mismatched(self, reason: str) -> None: ...


class Source(Protocol):
    """The source of a sink's media: a :class:`~roomfsm.mediaserver.forwarding.track.Track`, or the layers of a
    :class:`~roomfsm.mediaserver.forwarding.simulcast.Simulcast`.
    """

    sinks: "set[Sink]"
    layered: bool
    """Whether a layer is to be chosen for each sink, so that it must be known what its path carries."""

    @property
    def codec(self) -> Codec | None:
        """The codec that the publisher's browser sends; None while it is not negotiated."""

    def admit(self, sink: "Sink") -> None: ...

    def readmit(self, sink: "Sink", now: float) -> None: ...

    def leave(self, sink: "Sink") -> None: ...

    def retransmit(self, sink: "Sink", sequence_numbers: tuple[int, ...], now: float) -> None: ...

    def request_keyframe_at_start(self, sink: "Sink") -> None: ...

    def request_keyframe_for(self, sink: "Sink", now: float) -> None: ...

    def renew_keyframe_wish(self, sink: "Sink", now: float) -> None: ...

    def resized(self, sink: "Sink") -> None: ...

    def smallest_fits(self, sink: "Sink", now: float) -> bool | None:
        """Whether a sink's path carries the smallest layer; None if that is not known or there is only one."""


class Continuation(NamedTuple):
    """The last packet that a sink got, from which its next source continues."""

    sequence_number: int
    timestamp: int
    time: float
    picture: PictureNumbers | None = None
    """The numbers of the picture in a descriptor of VP8; None if they are not known."""


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
        "number",
        "numbered",
        "open",
        "own_socket",
        "paused",
        "repair_octets",
        "repair_packets",
        "repaired",
        "retransmitted",
        "size",
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
        """The codecs that were negotiated for sending. Empty before the answer, or if the browser does not receive
        this kind."""
        self.undecodable = False
        """Whether the browser wants to receive this kind, but in none of our codecs. Then `codecs` is empty and no
        source fits."""
        self.extensions = OutgoingExtensions()
        self.numbered = OutgoingExtensions()
        """The header extensions of packets from a source with layers. They have no numbers if the browser does not
        understand them."""
        self.codec: Codec | None = None
        """The codec among `codecs` that fits `source`; None if none does."""
        self.source: Source | None = None
        self.group: Group | None = None
        self.open = False
        """Whether the transport is connected and the peer is not silent. `address` to `tag_length` are set only
        then."""
        self.paused = False
        """Whether the viewer's path is too slow for this kind, so that it gets none of it."""
        self.size = PictureSize.LARGE
        """How large the viewer sees the picture."""
        self.address: Address = ("", 0)
        self.control: Control = ()
        self.own_socket: socket.socket | Stream | None = None
        self.handle: Any = None
        self.tag_length = 0
        self.number: Callable[[int, float], int] | None = None
        """Gives its packets transport-wide numbers; None if they have none."""
        self.start = 0
        """The first extended number of `source` that this sink got, or that it still needs."""
        self.joined_at = 0.0
        """When the sink got that packet."""
        self.continuation: Continuation | None = None
        self.flowing = False
        self.nacks = 0
        self.keyframe_requests = 0
        self.keyframe_wish: int | None = None
        """How many keyframes `source` had begun when this sink asked for one because of losses. None if it has not
        asked, or after a keyframe was requested."""
        self.repaired = RepairHistory()
        self.given_up: int | None = None
        """How many keyframes `source` had begun when repairing was given up. Losses are not repaired until it
        begins another one. None while losses are repaired."""
        self.retransmitted = 0
        self.repair_packets = 0
        """How many of them were sent in a stream of their own (RFC 4588)."""
        self.repair_octets = 0
        """The octets of the payloads of `repair_packets`."""
        self._mismatched = False
        """Whether the viewer was told that none of its codecs fits `source`."""
        self._packets_before = 0
        self._octets_before = 0

    def follow(self, source: Source | None) -> None:
        """Get media from another track, or from none."""
        if self.source is source:
            return
        if self.source is not None:
            self.source.leave(self)
            self.source.sinks.discard(self)
            if self.kind is MediaKind.VIDEO and self.viewer.path.claim is not None:
                self.viewer.path.claim.clear()
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
        if source.layered and self.number is None and self.numbered.transport_cc:
            # It stays so, because a browser that gets numbered packets ceases to estimate the path.
            self.extensions, self.number = self.numbered, self.viewer.path.number_packets().number
        if self.codec is None or not self.open:
            source.leave(self)
        elif self.group is None and not self.paused:
            source.admit(self)
        if wanted is not None and self.codec is None and not self._mismatched:
            self._mismatched = True
            with _VIEWER:
                self.viewer.codec_mismatched(mismatch(self.kind, wanted, self.codecs))

    def pause(self) -> None:
        """Send nothing until :meth:`go_on`.

        The packets after that continue the numbers, and begin with a keyframe.
        """
        self.paused = True
        if self.source is not None:
            self.source.leave(self)

    def go_on(self, now: float) -> None:
        """Send again as soon as a keyframe is allowed. Call this repeatedly until `group` is set."""
        self.paused = False
        if self.source is not None and self.codec is not None and self.open and self.group is None:
            self.source.readmit(self, now)

    def resize(self, size: PictureSize) -> None:
        """Note how large the viewer sees the picture."""
        if size is not self.size:
            self.size = size
            if self.source is not None:
                self.source.resized(self)

    def set_flowing(self, flowing: bool) -> None:
        if flowing != self.flowing:
            self.flowing = flowing
            with _VIEWER:
                self.viewer.sending_changed(self.kind, flowing)

    @property
    def goes_on(self) -> bool:
        """Whether packets can still be sent to it, and it gets them from another group now."""
        return self.open and self.group is not None

    def joined(self, group: "Group", start: int, now: float) -> None:
        self.group = group
        self.start, self.joined_at = start, now
        self.repaired.clear()
        self.given_up = None
        self.keyframe_wish = None
        self._packets_before -= group.packets
        self._octets_before -= group.octets

    def moved(self, group: "Group") -> None:
        """Go on in another group, which gets the same bytes."""
        if self.group is not None:
            self.left(self.group)
        self.group = group
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
        """The packets that were sent in the media stream, as sender reports count them (RFC 3550 section
        6.4.1).
        """
        return self._packets_before + (self.group.packets if self.group else 0)

    @property
    def octets(self) -> int:
        """The octets of the payloads of `packets`, without headers and padding."""
        return self._octets_before + (self.group.octets if self.group else 0)

    def bitrate(self, now: float) -> int | None:
        """The bitrate that the path can carry, within the limits, in bit/s; None if it is not known."""
        path = self.viewer.path
        # While a sink is paused its browser measures nothing, so the last estimate is used.
        estimate = path.limit(now) or (path.remb or None if self.paused else None)
        return None if estimate is None else self.limited(estimate)

    def limited(self, bitrate: int) -> int:
        """A bitrate within the limits that the viewer's owner has set, in bit/s."""
        least, greatest = self.viewer.send_limits
        return max(least, min(bitrate, greatest)) if greatest else max(least, bitrate)

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
    """The sinks of a track that get exactly the same packets before these are protected."""

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
        "pictures",
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
        pictures: PictureOffsets,
        ssrc: int,
    ) -> None:
        self.payload_type = payload_type
        self.sequence_offset = sequence_offset
        self.timestamp_offset = timestamp_offset
        self.extensions = extensions
        self.pictures = pictures
        self._writer = ExtensionWriter(extensions)
        self.ssrc = ssrc
        self.start = 0
        """Packets before this extended number are not forwarded, because their numbers may have been used
        already."""
        self.sinks: list[Sink] = []
        self.pending: list[bytes] = []
        self.removed = 0
        """The octets of the payload that were left out of the packet that was rewritten last."""
        self.pending_octets = 0
        """The octets of the payloads of `pending`."""
        self.packets = 0
        self.octets = 0
        """The octets of the payloads of all `packets`, without headers and padding."""

    @property
    def key(self) -> GroupKey:
        return (
            self.payload_type,
            self.sequence_offset,
            self.timestamp_offset,
            self.extensions,
            self.pictures,
            self.red,
        )

    def rewrite(self, extended: int, timestamp: int, time: float, packet: bytes, level: bytes = b"") -> bytes:
        """The packet in the form that this group gets. `level` is the byte of the audio level, if it is known."""
        extension = self._writer.write(time, level)
        first = packet[0]
        if self.pictures is not UNCHANGED:
            packet = renumbered(packet, 12 + 4 * (first & 0x0F), self.pictures)
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
        """The packet as a retransmission in a stream of its own.

        Its number comes before the payload (RFC 4588 section 4).
        """
        extended, timestamp, _, packet, _ = kept
        extension = self._writer.write(time, b"")
        first = packet[0]
        payload = 12 + 4 * (first & 0x0F)
        if self.pictures is not UNCHANGED:
            packet = renumbered(packet, payload, self.pictures)
        head = _FIXED.pack(
            first | 0x10 if extension else first,
            (packet[1] & 0x80) | payload_type,
            sequence_number,
            (timestamp + self.timestamp_offset) & 0xFFFFFFFF,
            ssrc,
        )
        original = ((extended + self.sequence_offset) & 0xFFFF).to_bytes(2)
        return head + packet[12:payload] + extension + original + packet[payload:]
