"""What has come of a track: its packets' numbers, the packets that are kept, and the place of the last keyframe.

Theory. A track outlives the streams that its browser sends. The browser may restart its encoder or change its
SSRC, and its sequence numbers and timestamps are random at the start and wrap (RFC 3550 section 5.1). The
viewers see one stream all the same. Three invariants make that so:

- *Extended numbers only rise.* Each packet gets a number without wrapping (`Reception.extend`). The first
  packet of a new stream gets the number after the highest of the stream before. `floor` is that number: a
  packet below it belongs to an earlier stream and is refused. A jump of more than 3000 counts as a new stream
  (RFC 3550 appendix A.1).
- *Timestamps go on.* `timestamp_shift` is added to the timestamps of the stream that is received now. It is
  chosen at the stream's first packet, so that the time between the two streams is the time that passed between
  them.
- *A number is never used for two packets.* What is kept in the ring has passed; a second packet with its
  number is refused, and so is every packet that is too old for the ring to tell. Sending two different packets
  under one number would break the encryption of SRTP with AES-GCM (RFC 7714 section 8.1).

The ring keeps all packets from the last keyframe to the newest, as far as they fit: viewers who come late
begin with those. `keyframe_start` is the first of them. If it is below `floor`, the stream received now has
brought no keyframe yet, and nothing in the ring can be a beginning.
"""

from collections.abc import Callable, Sequence

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.base.refusal import Refusal
from roomfsm.mediaserver.forwarding.reception import Reception
from roomfsm.mediaserver.forwarding.red import RedError, primary
from roomfsm.mediaserver.forwarding.surroundings import Attended, Outlet
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.mediaserver.rtp.packet import KEYFRAME_STARTS
from roomfsm.mediaserver.rtp.ring import PacketRing
from roomfsm.mediaserver.sdp.codec import Codec

_FIRST_CYCLE = 0x10000
"""Extended numbers begin here, so that late packets before the first are not negative."""
_KEYFRAME_FEEDBACK = frozenset(("nack pli", "ccm fir"))
"""Either of these in the codec's feedback is the browser's agreement to be asked for keyframes."""
_MANY_STARTS = ("H264",)
"""Codecs with which several packets of one keyframe look like its first."""
_SILENCE = 0.5
"""Seconds without a packet after which nobody waits for a keyframe: the source may send nothing at all."""
_MAX_EARLY_REPORTS = 4


class Stream:
    """The media of one kind that come from one browser, as they were received."""

    __slots__ = (
        "_early_reports",
        "_keyframe_timestamp",
        "attended",
        "audio_level",
        "codec",
        "floor",
        "flowing",
        "is_keyframe_start",
        "keyframe_start",
        "keyframe_time",
        "keyframes_seen",
        "kind",
        "outlet",
        "reception",
        "red",
        "ring",
        "timestamp_shift",
    )

    def __init__(self, kind: MediaKind, outlet: Outlet, attended: Attended) -> None:
        """`attended`: the track, which the engine calls soon after :meth:`attend_soon`."""
        self.kind = kind
        self.outlet = outlet
        self.attended: Attended | None = attended
        """None once the track was closed: else the two would keep each other in memory."""
        self.codec: Codec | None = None
        """Negotiated for receiving; None before the answer, or if the browser does not send this kind."""
        self.audio_level = 0
        """The id of this header extension in what the browser sends; 0 is none."""
        self.red: int | None = None
        """The payload type of redundant packets."""
        self.reception: Reception | None = None
        """The state of the SSRC that is received now; None before the first packet."""
        self.ring: PacketRing | None = None
        """None before the codec is known."""
        self.floor = 0
        """The first extended number of the stream received now; those before it belong to an earlier stream."""
        self.timestamp_shift = 0
        self.flowing = False
        self.is_keyframe_start: Callable[[bytes, int], bool] | None = None
        """Whether a packet, with its payload at an offset, begins a keyframe; None for audio."""
        self.keyframe_start = 0
        self._keyframe_timestamp: int | None = None
        self.keyframe_time = float("-inf")
        """When the last keyframe's first packet came."""
        self.keyframes_seen = 0
        self._early_reports: dict[int, tuple[rtcp.SenderReport, float]] = {}
        """While no packet has come: the newest sender report of each SSRC, and when it came."""

    def negotiated(self, codec: Codec, audio_level: int) -> None:
        self.codec = codec
        self.audio_level = audio_level
        self.red = codec.red
        self.is_keyframe_start = KEYFRAME_STARTS.get(codec.name)
        settings = self.outlet.settings
        if self.is_keyframe_start is None:
            self.ring = PacketRing(settings.audio_ring, settings.audio_ring)
        else:
            self.ring = PacketRing(settings.nack_ring, settings.repair_window)

    def attend_soon(self) -> None:
        """Let the engine call the track's `attend` soon."""
        if self.attended is not None:
            self.outlet.attention.add(self.attended)

    # Numbers

    def begin(self, ssrc: int, sequence_number: int, timestamp: int, now: float) -> Reception:
        """Number a new stream's first packet on from the stream before, if there was one."""
        assert self.codec is not None
        old = self.reception
        if old is None:
            first = _FIRST_CYCLE + sequence_number
        else:
            self.floor = first = old.highest + 1
            follows = following_timestamp(old.last_timestamp, now - old.last_time, self.codec.clock_rate)
            self.timestamp_shift = follows - timestamp
        self.reception = Reception(self.outlet.settings, ssrc, self.codec, sequence_number, first)
        if ssrc in self._early_reports:
            self.reception.sender_report(*self._early_reports[ssrc])
        self._early_reports.clear()
        return self.reception

    def misfit(self, packet: bytes, payload: int) -> Refusal | None:
        """Why a packet is not taken that has the payload type of redundant ones (RFC 2198); None if it is."""
        if packet[1] & 0x7F != self.red or self.codec is None:
            return None
        try:
            payload_type, _ = primary(packet, payload)
        except RedError:
            return Refusal.RTP_MALFORMED
        return None if payload_type == self.codec.payload_type else Refusal.RTP_UNKNOWN_PAYLOAD

    def kept(self, sequence_numbers: Sequence[int]) -> list[bytes]:
        """The packets with these numbers, as they came, that the ring still has."""
        reception, ring = self.reception, self.ring
        if reception is None or ring is None:
            return []
        found = (ring.get(reception.extend(number)) for number in sequence_numbers)
        return [kept.packet for kept in found if kept is not None]

    # Keyframes

    def is_new_frame(self, extended: int, timestamp: int) -> bool:
        """Whether a packet that looks like a keyframe's first is not just a later packet of the same keyframe: the
        parameter sets look like a beginning, and so does the slice behind them."""
        return extended > self.keyframe_start and timestamp != self._keyframe_timestamp

    def keyframe_began(self, extended: int, timestamp: int, now: float) -> int:
        """Note that a keyframe's first packet came; returns the extended number that the keyframe begins with.

        That may be a lower one: where several packets look like the first, those missing before this one may be
        the real beginning, such as the parameter sets.
        """
        assert self.codec is not None
        assert self.reception is not None
        assert self.ring is not None
        first = extended
        if self.codec.name in _MANY_STARTS:
            while first - 1 in self.reception.missing:
                first -= 1
        self.keyframe_start = self.ring.keyframe_start = first
        self._keyframe_timestamp = timestamp
        self.keyframe_time = now
        self.keyframes_seen += 1
        return first

    @property
    def can_be_asked(self) -> bool:
        """Whether the browser takes requests for keyframes of this media."""
        if self.codec is None or self.is_keyframe_start is None:
            return False
        return not _KEYFRAME_FEEDBACK.isdisjoint(self.codec.feedback)

    # Time

    def is_silent(self, now: float) -> bool:
        """Whether the source has sent before, and has sent nothing lately."""
        return self.reception is not None and now - self.reception.last_time >= _SILENCE

    def sender_report(self, report: rtcp.SenderReport, now: float) -> bool:
        """Note a sender report of the browser's; whether it is of the SSRC that is received now."""
        reception = self.reception
        if reception is None and len(self._early_reports) < _MAX_EARLY_REPORTS:
            self._early_reports[report.ssrc] = report, now
        if reception is None or report.ssrc != reception.ssrc:
            return False
        reception.sender_report(report, now)
        return True


def following_timestamp(last: int, elapsed: float, clock_rate: int) -> int:
    """The timestamp of a packet `elapsed` seconds after one with `last`; never the same one."""
    return (last + max(1, round(elapsed * clock_rate))) & 0xFFFFFFFF
