"""Statistics of the streams that come and go (RFC 3550)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReceivingStats:
    """One stream that comes from the peer's browser (RFC 3550 section 6.4)."""

    codec: str
    ssrc: int
    packets: int
    bytes: int
    lost: int
    jitter: float
    """Seconds."""
    nacks: int
    """Packets asked for again, by us."""
    keyframes: int
    keyframe_requests: int
    """Sent to the browser."""
    remb: int
    """The bitrate last told to the browser, bit/s; 0 while none was."""


@dataclass(frozen=True, slots=True)
class SendingStats:
    """One stream that goes to the peer's browser."""

    codec: str
    ssrc: int
    packets: int
    bytes: int
    """The bytes of payloads, retransmissions included."""
    retransmitted: int
    nacks: int
    """Packets that the browser asked for again."""
    keyframe_requests: int
    """Received from the browser."""
    remb: int
    """The bitrate that the browser last told us, bit/s; 0 while it told none."""
