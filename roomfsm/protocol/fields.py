"""Constrained field types of roomfsm.v1: what a room name, a display name or an offer may be."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

MAX_ROOM_NAME = 64
MAX_DISPLAY_NAME = 64
MAX_CHAT_TEXT = 4_000
MAX_SDP = 100_000
MAX_CANDIDATE = 1_024
MAX_REF = 64

# The patterns are what a glance can tell, in words that Python and ECMA-262 (with its flag `u`) read alike; which
# characters of which script may follow each other is said by `roomfsm.protocol.names`, by which decoding goes on.
# `(?![\s\S])` is the end of the text; Python's `$` would let a trailing newline through.
_ROOM_NAME = (
    r"^(?!\.{1,2}(?![\s\S]))"
    rf"[^\x00-\x2c\x2f\x3a-\x40\x5b-\x5e\x60\x7b-\xa0]{{1,{MAX_ROOM_NAME}}}(?![\s\S])"
)
_DISPLAY_NAME = rf"^(?=[\s\S]*\S)[^\x00-\x1f\x7f-\x9f]{{1,{MAX_DISPLAY_NAME}}}(?![\s\S])"

# A control character takes six bytes of JSON, and none but these two says anything in a line of chat.
_CHAT_TEXT = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*(?![\s\S])"

PATTERN_MEANINGS = {
    _ROOM_NAME: f"a room name is 1 to {MAX_ROOM_NAME} letters and digits of any script, '.', '_' or '-'",
    _DISPLAY_NAME: f"a name is 1 to {MAX_DISPLAY_NAME} characters, no control characters, not only spaces",
    _CHAT_TEXT: "a line of chat has no control characters but newlines and tabs",
}
"""What each pattern asks for, in words."""

RoomName = Annotated[
    str,
    Meta(
        title="RoomName",
        pattern=_ROOM_NAME,
        description=PATTERN_MEANINGS[_ROOM_NAME]
        + ", each where its script has it (IdentifierClass of RFC 8264); taken in normal form C, case kept, "
        "compared folded",
    ),
]
DisplayName = Annotated[
    str,
    Meta(
        title="DisplayName",
        pattern=_DISPLAY_NAME,
        description=PATTERN_MEANINGS[_DISPLAY_NAME]
        + "; a nickname (RFC 8266): taken in normal form KC, without spaces at its ends, with single ones within, "
        "and with nothing that cannot be seen",
    ),
]
ChatText = Annotated[
    str,
    Meta(
        title="ChatText",
        min_length=1,
        max_length=MAX_CHAT_TEXT,
        pattern=_CHAT_TEXT,
        description="what is said, as plain text; no control characters but newlines and tabs",
    ),
]
Sdp = Annotated[
    str,
    Meta(title="Sdp", min_length=1, max_length=MAX_SDP, description="a session description (RFC 8866)"),
]
CandidateLine = Annotated[
    str,
    Meta(
        title="CandidateLine",
        max_length=MAX_CANDIDATE,
        description="candidate-attribute (RFC 8839 section 5.1); empty: the last one",
    ),
]
Mid = Annotated[
    str, Meta(title="Mid", max_length=64, description="the `a=mid` of the media section (RFC 5888 section 4)")
]
MLineIndex = Annotated[
    int, Meta(title="MLineIndex", ge=0, le=255, description="the media section, counted from 0")
]
Ufrag = Annotated[str, Meta(title="Ufrag", max_length=256, description="ice-ufrag (RFC 8839 section 5.4)")]
ParticipantId = Annotated[
    str, Meta(title="ParticipantId", description="one person; unguessable, the same in every room")
]
StreamId = Annotated[
    str,
    Meta(
        title="StreamId",
        min_length=1,
        max_length=64,
        description="participant id, '.', source: 'p4k2….camera'",
    ),
]
Token = Annotated[
    str,
    Meta(title="Token", min_length=1, max_length=128, description="a secret that `welcome` told, to resume by"),
]
Ref = Annotated[
    Annotated[int, Meta(ge=0, le=2**53 - 1)] | Annotated[str, Meta(min_length=1, max_length=MAX_REF)],
    Meta(title="Ref", description="the sender's own mark on a message; the reply repeats it"),
]

# The titles of types whose values are the states of a machine.
RoomStateName = Annotated[str, Meta(title="RoomStateName", description="a state of the machine `room`")]
StreamState = Annotated[str, Meta(title="StreamState", description="a state of the machine `stream`")]
ViewState = Annotated[str, Meta(title="ViewState", description="a state of the machine `view`")]


class Source(StrEnum):
    """What a presenter's stream shows; a presenter has at most one stream of each."""

    CAMERA = "camera"
    SCREEN = "screen"


def stream_id(participant: str, source: Source) -> str:
    """The id of a participant's stream; both sides can build it, so no candidate waits to learn it."""
    return f"{participant}.{source}"
