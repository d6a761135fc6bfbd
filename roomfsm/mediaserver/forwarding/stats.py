"""Statistics of received and sent streams (RFC 3550)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReceivingStats:
    """Statistics of one stream from the peer's browser (RFC 3550 section 6.4)."""

    codec: str
    ssrc: int
    packets: int
    bytes: int
    lost: int
    jitter: float
    """The jitter in seconds."""
    nacks: int
    """The packets that we requested again."""
    keyframes: int
    keyframe_requests: int
    """The requests that were sent to the browser."""
    remb: int
    """The bitrate that the browser was last asked for in bit/s; 0 if there was none."""


@dataclass(frozen=True, slots=True)
class SendingStats:
    """Statistics of one stream to the peer's browser."""

    codec: str
    ssrc: int
    packets: int
    bytes: int
    """The bytes of payloads, including retransmissions."""
    retransmitted: int
    nacks: int
    """The packets that the browser requested again."""
    keyframe_requests: int
    """The requests that came from the browser."""
    remb: int
    """The bitrate that the browser last reported in bit/s; 0 if there was none."""
