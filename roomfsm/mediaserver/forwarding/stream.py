"""The received part of a track: its packets' numbers, the kept packets, and the place of the last keyframe.

Theory. A track lives longer than the streams that its browser sends. The browser may restart its encoder or change
its SSRC, and its sequence numbers and timestamps begin at random and wrap (RFC 3550 section 5.1). Viewers
nevertheless get one continuous stream. Three invariants make that possible:

- *Extended numbers only rise.* Each packet gets a number that does not wrap (`Reception.extend`). The first packet
  of a new stream gets the number after the highest one of the stream before. That number is `floor`: a packet
  below it belongs to an earlier stream and is refused. A jump of more than 3000 counts as a new stream (RFC 3550
  appendix A.1).
- *Timestamps continue.* `timestamp_shift` is added to all timestamps of the present stream. It is chosen at the
  stream's first packet, so that the timestamps of two streams differ by the time that passed between them.
- *A number is never used for two packets.* A packet in the ring has been sent, so a second packet with its number
  is refused. So is every packet that is so old that the ring cannot tell. To send two different packets with one
  number would break the encryption of SRTP with AES-GCM (RFC 7714 section 8.1).

The ring keeps all packets from the last keyframe to the newest packet, as far as they fit, because viewers who
come late begin with them. `keyframe_start` is the number of the first of them. If it is below `floor`, the present
stream has had no keyframe yet, and no packet in the ring can be a beginning.
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
"""Extended numbers begin here, so that a late packet from before the first one has no negative number."""
_KEYFRAME_FEEDBACK = frozenset(("nack pli", "ccm fir"))
"""If one of these is in the codec's feedback, the browser has agreed to be asked for keyframes."""
_MANY_STARTS = ("H264",)
"""The codecs for which several packets of one keyframe look like its first packet."""
_SILENCE = 0.5
"""After so many seconds without a packet nobody waits for a keyframe any more, because there may never be one."""
_MAX_EARLY_REPORTS = 4


class Stream:
    """The media of one kind from one browser, in the form in which they were received."""

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
        """`attended` is the track, which the engine calls soon after :meth:`attend_soon`."""
        self.kind = kind
        self.outlet = outlet
        self.attended: Attended | None = attended
        """The track. It is None after the track was closed, because the two would keep each other in memory."""
        self.codec: Codec | None = None
        """The codec that was negotiated for receiving. It is None before the answer, or if the browser does not
        send this kind."""
        self.audio_level = 0
        """The id of the audio level extension in the browser's packets; 0 means that they do not have it."""
        self.red: int | None = None
        """The payload type of redundant packets."""
        self.reception: Reception | None = None
        """The state of the SSRC that is being received; None before the first packet."""
        self.ring: PacketRing | None = None
        """The kept packets; None before the codec is known."""
        self.floor = 0
        """The first extended number of the present stream. Lower numbers belong to earlier streams."""
        self.timestamp_shift = 0
        self.flowing = False
        self.is_keyframe_start: Callable[[bytes, int], bool] | None = None
        """Whether a packet, with its payload at an offset, begins a keyframe; None for audio."""
        self.keyframe_start = 0
        self._keyframe_timestamp: int | None = None
        self.keyframe_time = float("-inf")
        """The time when the last keyframe's first packet came."""
        self.keyframes_seen = 0
        self._early_reports: dict[int, tuple[rtcp.SenderReport, float]] = {}
        """The newest sender report of each SSRC and the time when it came, until the first packet comes."""

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
        """Have the engine call the track's `attend` soon."""
        if self.attended is not None:
            self.outlet.attention.add(self.attended)

    # Numbers

    def begin(self, ssrc: int, sequence_number: int, timestamp: int, now: float) -> Reception:
        """Begin a new stream with its first packet, and continue the numbers of the stream before, if any."""
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
        """Why a redundant packet (RFC 2198) is refused; None if it is taken, or is not redundant."""
        if packet[1] & 0x7F != self.red or self.codec is None:
            return None
        try:
            payload_type, _ = primary(packet, payload)
        except RedError:
            return Refusal.RTP_MALFORMED
        return None if payload_type == self.codec.payload_type else Refusal.RTP_UNKNOWN_PAYLOAD

    def kept(self, sequence_numbers: Sequence[int]) -> list[bytes]:
        """The packets with these numbers that the ring still has, in the form in which they came."""
        reception, ring = self.reception, self.ring
        if reception is None or ring is None:
            return []
        found = (ring.get(reception.extend(number)) for number in sequence_numbers)
        return [kept.packet for kept in found if kept is not None]

    # Keyframes

    def is_new_frame(self, extended: int, timestamp: int) -> bool:
        """Whether a packet that looks like the first of a keyframe is not just a later packet of the last one.

        The parameter sets look like a beginning, and so does the slice behind them.
        """
        return extended > self.keyframe_start and timestamp != self._keyframe_timestamp

    def keyframe_began(self, extended: int, timestamp: int, now: float) -> int:
        """Note that a packet came that begins a keyframe. Returns the extended number with which that begins.

        This may be lower than the packet's number: if several packets of a keyframe look like the first, the
        missing packets before this one may be the real beginning, for example the parameter sets.
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
        """Whether the browser has agreed to be asked for keyframes of this media."""
        if self.codec is None or self.is_keyframe_start is None:
            return False
        return not _KEYFRAME_FEEDBACK.isdisjoint(self.codec.feedback)

    # Time

    def is_silent(self, now: float) -> bool:
        """Whether the source has sent packets before, but none lately."""
        return self.reception is not None and now - self.reception.last_time >= _SILENCE

    def sender_report(self, report: rtcp.SenderReport, now: float) -> bool:
        """Note a sender report from the browser. Returns whether it is about the SSRC that is being received."""
        reception = self.reception
        if reception is None and len(self._early_reports) < _MAX_EARLY_REPORTS:
            self._early_reports[report.ssrc] = report, now
        if reception is None or report.ssrc != reception.ssrc:
            return False
        reception.sender_report(report, now)
        return True


def following_timestamp(last: int, elapsed: float, clock_rate: int) -> int:
    """The timestamp of a packet that comes `elapsed` seconds after one with the timestamp `last`.

    The two timestamps always differ.
    """
    return (last + max(1, round(elapsed * clock_rate))) & 0xFFFFFFFF
