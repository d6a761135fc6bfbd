"""Constrained field types of roomfsm.v1: what a room name, a display name or an offer may be."""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

MAX_ROOM_NAME = 64
MAX_DISPLAY_NAME = 64
MAX_CHAT_TEXT = 4_000
MAX_SDP = 100_000
MAX_CANDIDATE = 1_024
MAX_REF = 64

# `\w` is a letter or digit of any script, or "_". "." and ".." are refused because no URL can name them.
# `(?![\s\S])` is the end of the text; `$` would let a trailing newline through.
_ROOM_NAME = rf"^(?!\.{{1,2}}$)[\w.\-]{{1,{MAX_ROOM_NAME}}}(?![\s\S])"
_ROOM_NAME_ECMA = rf"^(?!\.{{1,2}}$)[\p{{L}}\p{{N}}._\-]{{1,{MAX_ROOM_NAME}}}$"
# Something to read, and nothing that forges lines in logs or turns the text around it: no control characters,
# no direction marks, no zero-width spaces; joiners (U+200C, U+200D) are parts of words and emoji, but none alone.
_UNSEEN = r"\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
_DISPLAY_NAME = rf"^(?=[\s\S]*[^\s\u200c\u200d])[^{_UNSEEN}]{{1,{MAX_DISPLAY_NAME}}}(?![\s\S])"

PATTERN_MEANINGS = {
    _ROOM_NAME: f"a room name is 1 to {MAX_ROOM_NAME} letters and digits of any script, '.', '_' or '-'",
    _DISPLAY_NAME: f"a name is 1 to {MAX_DISPLAY_NAME} characters, no control characters, not only spaces",
}
"""What each pattern asks for, in words."""

ECMA_PATTERNS = {_ROOM_NAME: _ROOM_NAME_ECMA, _DISPLAY_NAME: _DISPLAY_NAME}
"""The same patterns as ECMA-262 writes them, which JSON Schema does; they need its `u` flag."""

RoomName = Annotated[
    str,
    Meta(
        title="RoomName",
        pattern=_ROOM_NAME,
        description=PATTERN_MEANINGS[_ROOM_NAME] + "; case kept, compared folded",
    ),
]
DisplayName = Annotated[
    str, Meta(title="DisplayName", pattern=_DISPLAY_NAME, description=PATTERN_MEANINGS[_DISPLAY_NAME])
]
ChatText = Annotated[
    str, Meta(title="ChatText", min_length=1, max_length=MAX_CHAT_TEXT, description="what is said, as plain text")
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


def fold_room_name(name: str) -> str:
    """The form by which room names are compared (Unicode 15, section 3.13: compatibility caseless match)."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return unicodedata.normalize("NFKC", folded)


def is_room_name(name: str) -> bool:
    """Whether `name` (of a URL, say) may name a room."""
    return re.search(_ROOM_NAME, name) is not None


def stream_id(participant: str, source: Source) -> str:
    """The id of a participant's stream; both sides can build it, so no candidate waits to learn it."""
    return f"{participant}.{source}"
