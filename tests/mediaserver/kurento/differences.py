"""Where the embedded media server answers otherwise than the recorded Kurento, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How far an answer is from the recorded one; an answer that is closer or farther is not as listed."""

    OUTCOME = "another outcome"
    """One server succeeds and the other does not, or both fail with different codes."""
    MESSAGE = "another message"
    """Both fail with the same code."""
    VALUE = "another value"
    """Both succeed, with values of the same JSON type."""
    EVENTS = "other events"
    """Of one type, on one socket."""


@dataclass(frozen=True)
class Difference:
    """`where`: the recording's note before the request, else socket, id and operation; of events socket, type."""

    transcript: str
    where: str
    kind: Kind
    reason: str


_NO_RECORDER = "recording and playing are not among what it does"
_NO_LEAK = "Kurento lists sessions for ever that were never used, with an empty id"
_CLOSED = "a browser that says goodbye counts as gone at once, not after half a minute"
_SILENT = "a silent peer's ICE state is told; Kurento leaves it READY for ever"

_NO_MODULES = "this server names the types that it has, and its own version"
_SDP = "an offer without what a secure connection needs is refused, and the endpoint stays free"
_ORDER = "pipelines are listed newest first; Kurento's order is that of a hash table"
_WORDS = "ours says what is wrong with the description, and in which line"
_NEWEST = "events go to the session's newest socket; Kurento sent one to the displaced"

DIFFERENCES: tuple[Difference, ...] = (
    Difference("01", "c1 12 getInfo", Kind.VALUE, _NO_MODULES),
    Difference("01", "c1 14 getSessions", Kind.VALUE, _NO_LEAK),
    Difference("01", "watch 5 getSessions", Kind.VALUE, _NO_LEAK),
    Difference("01", "c1 19 getKmd", Kind.OUTCOME, "the module descriptions are Kurento's; clients do without"),
    Difference("02", "c1 MediaFlowInStateChanged", Kind.EVENTS, _CLOSED),
    Difference("02", "c1 MediaStateChanged", Kind.EVENTS, _CLOSED),
    Difference(
        "03",
        "create WebRtcEndpoint with endpoint as pipeline",
        Kind.MESSAGE,
        "ours says what is wrong, Kurento's names a C++ exception",
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
        "an ICE-lite agent sends no checks: it is CONNECTING when it is checked",
    ),
    Difference("06", "c1 42 getIceConnectionState", Kind.VALUE, _SILENT),
    Difference("06", "c1 45 getIceConnectionState", Kind.VALUE, _SILENT),
    Difference("06", "c1 IceComponentStateChanged", Kind.EVENTS, _SILENT),
    Difference("08", "a ElementConnected", Kind.EVENTS, _NEWEST),
    Difference("08", "b ElementConnected", Kind.EVENTS, _NEWEST),
    Difference("17", "o 200 getPipelines", Kind.VALUE, _ORDER),
)
