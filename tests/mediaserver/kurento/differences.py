"""Where the embedded media server answers differently from the recorded Kurento, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How far an answer is from the recorded one. The tests accept neither a closer nor a farther one."""

    OUTCOME = "another outcome"
    """One server succeeds and the other fails, or both fail with different codes."""
    MESSAGE = "another message"
    """Both fail with the same code."""
    VALUE = "another value"
    """Both succeed, with values of the same JSON type."""
    EVENTS = "other events"
    """The events of one type on one socket differ."""


@dataclass(frozen=True)
class Difference:
    """One difference.

    `where` is the recording's note before the request or, without a note, the socket, id and operation. For events
    it is the socket and type.
    """

    transcript: str
    where: str
    kind: Kind
    reason: str


_NO_RECORDER = "this server neither records nor plays files"
_NO_LEAK = "Kurento lists unused sessions for ever, with an empty id"
_CLOSED = "here a browser that says goodbye counts as gone at once, and not after half a minute"
_SILENT = "this server reports the ICE state of a silent peer; Kurento leaves it READY for ever"

_NO_MODULES = "this server names its own types and its own version"
_SDP = "an offer that lacks what a secure connection needs is refused; the endpoint can still be used"
_ORDER = "this server lists the newest pipeline first; Kurento's order is that of a hash table"
_WORDS = "this server says what is wrong with the description, and in which line"
_NEWEST = "events go to the session's newest socket; Kurento sent one to the socket that had been replaced"

DIFFERENCES: tuple[Difference, ...] = (
    Difference("01", "c1 12 getInfo", Kind.VALUE, _NO_MODULES),
    Difference("01", "c1 14 getSessions", Kind.VALUE, _NO_LEAK),
    Difference("01", "watch 5 getSessions", Kind.VALUE, _NO_LEAK),
    Difference(
        "01", "c1 19 getKmd", Kind.OUTCOME, "this server has no module descriptions; clients do not need them"
    ),
    Difference("02", "c1 MediaFlowInStateChanged", Kind.EVENTS, _CLOSED),
    Difference("02", "c1 MediaStateChanged", Kind.EVENTS, _CLOSED),
    Difference(
        "03",
        "create WebRtcEndpoint with endpoint as pipeline",
        Kind.MESSAGE,
        "this server says what is wrong; Kurento names a C++ exception",
    ),
    Difference("03", "create RecorderEndpoint without uri", Kind.OUTCOME, _NO_RECORDER),
    Difference("03", "create PlayerEndpoint bad uri", Kind.OUTCOME, _NO_RECORDER),
    Difference("03", "processOffer offer number", Kind.MESSAGE, _WORDS),
    Difference("03", "processOffer garbage", Kind.MESSAGE, _WORDS),
    Difference("03", "processAnswer garbage", Kind.MESSAGE, _WORDS),
    Difference("03", "processOffer without fingerprint", Kind.OUTCOME, _SDP),
    Difference("03", "processOffer without ice-ufrag/pwd", Kind.OUTCOME, _SDP),
    Difference(
        "03",
        "getIceConnectionState",
        Kind.VALUE,
        "an ICE-lite agent sends no checks; it is CONNECTING when it receives a check",
    ),
    Difference("06", "c1 42 getIceConnectionState", Kind.VALUE, _SILENT),
    Difference("06", "c1 45 getIceConnectionState", Kind.VALUE, _SILENT),
    Difference("06", "c1 IceComponentStateChanged", Kind.EVENTS, _SILENT),
    Difference("08", "a ElementConnected", Kind.EVENTS, _NEWEST),
    Difference("08", "b ElementConnected", Kind.EVENTS, _NEWEST),
    Difference("17", "o 200 getPipelines", Kind.VALUE, _ORDER),
)
