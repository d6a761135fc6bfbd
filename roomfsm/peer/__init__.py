"""A WebRTC peer without a browser, on Trio: it makes an offer, connects, sends RTP and receives it.

docs/peer.md describes it, with an example. It imports nothing of the room server.
"""

try:
    import aioice as _aioice  # noqa: F401 (imported here, so that one place reports that it is missing)
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"roomfsm.peer needs {error.name}, which is not installed. It comes with roomfsm[peer]:"
        " pip install 'roomfsm[peer]', or in a checkout: uv run --extra peer python …",
        name=error.name,
    ) from error

from roomfsm.peer.keyframe import VP8_KEYFRAME, VP8_PAYLOAD
from roomfsm.peer.peer import (
    AUDIO_SSRC,
    SRTP_PROFILES,
    VIDEO_SSRC,
    HandshakeFailed,
    NotConnected,
    Peer,
    RtpPacket,
    open_peer,
    run_peer,
)
from roomfsm.peer.sdp import (
    OPUS_TYPE,
    VP8_TYPE,
    Answer,
    AnswerInvalid,
    Extensions,
    PayloadType,
)

__all__ = [
    "AUDIO_SSRC",
    "OPUS_TYPE",
    "SRTP_PROFILES",
    "VIDEO_SSRC",
    "VP8_KEYFRAME",
    "VP8_PAYLOAD",
    "VP8_TYPE",
    "Answer",
    "AnswerInvalid",
    "Extensions",
    "HandshakeFailed",
    "NotConnected",
    "PayloadType",
    "Peer",
    "RtpPacket",
    "open_peer",
    "run_peer",
]
