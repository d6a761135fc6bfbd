"""The field types of roomfsm.v1 with their constraints, for example of a room name, a display name or an offer."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

MAX_ROOM_NAME = 64
MAX_DISPLAY_NAME = 64
MAX_CHAT_TEXT = 4_000
MAX_FILE_NAME = 255
MAX_SDP = 100_000
MAX_CANDIDATE = 1_024
MAX_REF = 64
MAX_BAN = 604_800.0
"""Seconds of the longest ban: a week."""
MAX_FIRST_FRAME = 600.0
"""The most seconds that a page reports to have waited for a picture."""
MAX_ACCESS_TOKEN = 16_384
MAX_PASSWORD = 128

# The patterns mean the same in Python and in ECMA-262 (with the flag `u`). They find simple mistakes;
# `roomfsm.protocol.names` then decides which characters of which script may follow each other. `(?![\s\S])` is the
# end of the text, because Python's `$` would allow a trailing newline.
_ROOM_NAME = (
    r"^(?!\.{1,2}(?![\s\S]))"
    rf"[^\x00-\x2c\x2f\x3a-\x40\x5b-\x5e\x60\x7b-\xa0]{{1,{MAX_ROOM_NAME}}}(?![\s\S])"
)
_DISPLAY_NAME = rf"^(?=[\s\S]*\S)[^\x00-\x1f\x7f-\x9f]{{1,{MAX_DISPLAY_NAME}}}(?![\s\S])"

# A control character takes six bytes in JSON, and only newline and tab have a meaning in a line of chat.
_CHAT_TEXT = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*(?![\s\S])"

PATTERN_MEANINGS = {
    _ROOM_NAME: f"a room name is 1 to {MAX_ROOM_NAME} letters and digits of any script, '.', '_' or '-'",
    _DISPLAY_NAME: f"a name is 1 to {MAX_DISPLAY_NAME} characters, no control characters, not only spaces",
    _CHAT_TEXT: "a line of chat has no control characters except newlines and tabs",
}
"""What each pattern requires, in words."""

RoomName = Annotated[
    str,
    Meta(
        title="RoomName",
        pattern=_ROOM_NAME,
        description=PATTERN_MEANINGS[_ROOM_NAME]
        + ", each only where its script allows it (IdentifierClass of RFC 8264); the server converts it to "
        "normal form C, keeps its case, and compares names without regard to case",
    ),
]
DisplayName = Annotated[
    str,
    Meta(
        title="DisplayName",
        pattern=_DISPLAY_NAME,
        description=PATTERN_MEANINGS[_DISPLAY_NAME]
        + "; it is a nickname (RFC 8266): the server converts it to normal form KC, removes spaces at its "
        "ends and repeated spaces, and refuses invisible characters",
    ),
]
ChatText = Annotated[
    str,
    Meta(
        title="ChatText",
        min_length=1,
        max_length=MAX_CHAT_TEXT,
        pattern=_CHAT_TEXT,
        description="the text, without formatting; the only control characters are newlines and tabs",
    ),
]
FileName = Annotated[
    str,
    Meta(
        title="FileName",
        min_length=1,
        max_length=MAX_FILE_NAME,
        description="the name of a file; the server replaces what no computer takes in one (control characters, "
        "slashes and the like), and leaves out characters that change the direction of the text",
    ),
]
FileSize = Annotated[int, Meta(title="FileSize", ge=0, le=2**53 - 1, description="how many bytes a file has")]
Sdp = Annotated[
    str,
    Meta(title="Sdp", min_length=1, max_length=MAX_SDP, description="a session description (RFC 8866)"),
]
CandidateLine = Annotated[
    str,
    Meta(
        title="CandidateLine",
        max_length=MAX_CANDIDATE,
        description="a candidate-attribute (RFC 8839 section 5.1); an empty text ends the candidates",
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
    str,
    Meta(
        title="ParticipantId",
        min_length=1,
        max_length=64,
        description="the id of one person; nobody can guess it, and it is the same in every room",
    ),
]
LineNumber = Annotated[
    int,
    Meta(title="LineNumber", ge=1, le=2**53 - 1, description="the `seq` of a line of chat"),
]
BanSeconds = Annotated[
    float, Meta(title="BanSeconds", gt=0, le=MAX_BAN, description="how long the ban holds, in seconds")
]
KnockingSeconds = Annotated[
    float,
    Meta(
        title="KnockingSeconds",
        gt=0,
        le=MAX_BAN,
        description="seconds before whoever is denied may knock again; none if it is left out",
    ),
]
FirstFrame = Annotated[
    float,
    Meta(
        title="FirstFrame",
        ge=0,
        le=MAX_FIRST_FRAME,
        description="how many seconds passed from a message `view` until the page showed the first picture",
    ),
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
    Meta(
        title="Token",
        min_length=1,
        max_length=128,
        description="a secret from `welcome`, with which a session is resumed",
    ),
]
AccessToken = Annotated[
    str,
    Meta(
        title="AccessToken",
        min_length=1,
        max_length=MAX_ACCESS_TOKEN,
        description="a JWT that says who somebody is, and in which rooms with which role",
    ),
]
Password = Annotated[
    str,
    Meta(title="Password", min_length=1, max_length=MAX_PASSWORD, description="the password of a room"),
]
Ref = Annotated[
    Annotated[int, Meta(ge=0, le=2**53 - 1)] | Annotated[str, Meta(min_length=1, max_length=MAX_REF)],
    Meta(title="Ref", description="a mark that the sender gives a message; the reply repeats it"),
]

# These types have the states of a machine as values.
RoomStateName = Annotated[str, Meta(title="RoomStateName", description="a state of the machine `room`")]
StreamState = Annotated[str, Meta(title="StreamState", description="a state of the machine `stream`")]
SoundState = Annotated[str, Meta(title="SoundState", description="a state of the machine `sound`")]
ViewState = Annotated[str, Meta(title="ViewState", description="a state of the machine `view`")]


class Source(StrEnum):
    """What a presenter's stream shows. A presenter has at most one stream of each kind."""

    CAMERA = "camera"
    SCREEN = "screen"


class Size(StrEnum):
    """How a viewer sees a stream's picture."""

    NONE = "none"
    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


def stream_id(participant: str, source: Source) -> str:
    """The id of a participant's stream.

    Both sides can build it, so a client need not wait for it before it sends candidates.
    """
    return f"{participant}.{source}"
