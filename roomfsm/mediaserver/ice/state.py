"""The state of ICE and our candidates, as they are reported."""

from enum import StrEnum
from typing import NamedTuple


class IceState(StrEnum):
    """Kurento's IceComponentState."""

    DISCONNECTED = "DISCONNECTED"
    GATHERING = "GATHERING"
    CONNECTING = "CONNECTING"
    CONNECTED = "CONNECTED"
    READY = "READY"
    FAILED = "FAILED"


class LocalCandidate(NamedTuple):
    """One ICE candidate of ours for one m-line, in the terms of the browser's RTCIceCandidate."""

    candidate: str
    sdp_mid: str
    sdp_m_line_index: int
