"""Messages that the server sends, as one tagged union (`type` is the tag, fields are camelCase)."""

from __future__ import annotations

import msgspec

from roomfsm.protocol.errors import ErrorCode
from roomfsm.protocol.fields import Ref, Source


class _Part(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """A value inside messages."""


class IceServer(_Part, frozen=True):
    """A STUN or TURN server for the browser, as in RTCIceServer (W3C WebRTC section 4.2.2)."""

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = None


class Limits(_Part, frozen=True):
    """Bounds a client should know before it meets them.

    `people` in a room, `presenters` among them, `views` of one participant; `candidates` kept for an endpoint that
    is not ready yet; `messageBytes` the longest message, `messageBurst` how many at once, `messageRate` how many a
    second on average; `chatText` and `displayName` in characters.
    """

    message_bytes: int
    message_burst: int
    message_rate: float
    chat_text: int
    display_name: int
    people: int
    presenters: int
    views: int
    candidates: int


class ParticipantInfo(_Part, frozen=True):
    """One person in the room; `away` while the connection is lost and may still be resumed."""

    id: str
    name: str
    away: bool = False


class StreamInfo(_Part, frozen=True):
    """One stream of the room; `state` is that of the stream machine, `generation` counts its endpoints."""

    id: str
    participant: str
    source: Source
    state: str
    generation: int
    viewers: int


class ChatLine(_Part, frozen=True):
    """One line of chat; `seq` counts up by one in a room, `at` is milliseconds since 1970 (UTC)."""

    seq: int
    participant: str
    name: str
    text: str
    at: int


class _ServerMessage(msgspec.Struct, frozen=True, rename="camel", tag_field="type", omit_defaults=True):
    """A message from the server; `ref` repeats that of the message it replies to."""


class Welcome(_ServerMessage, frozen=True, tag="welcome", kw_only=True):
    """The first message of every connection: how to go on, and how to come back."""

    protocol: str
    server: str
    session: str
    resume_token: str
    resume_window: float
    heartbeat: float
    ice_servers: tuple[IceServer, ...]
    limits: Limits


class Joined(_ServerMessage, frozen=True, tag="joined", kw_only=True):
    """The room as it is, for one who enters it or comes back: everything later comes as changes to this."""

    room: str
    you: str
    state: str
    participants: tuple[ParticipantInfo, ...]
    streams: tuple[StreamInfo, ...]
    chat: tuple[ChatLine, ...]
    resumed: bool = False
    ref: Ref | None = None


class ParticipantJoined(_ServerMessage, frozen=True, tag="participantJoined", kw_only=True):
    """Somebody entered the room."""

    participant: ParticipantInfo


class ParticipantLeft(_ServerMessage, frozen=True, tag="participantLeft", kw_only=True):
    """Somebody left the room; `reason`: left, switched, disconnected (resume window over)."""

    participant: str
    reason: str
    ref: Ref | None = None


class ParticipantChanged(_ServerMessage, frozen=True, tag="participantChanged", kw_only=True):
    """Somebody has another name, or is away, or is back."""

    participant: ParticipantInfo
    ref: Ref | None = None


class StreamStarted(_ServerMessage, frozen=True, tag="streamStarted", kw_only=True):
    """A presenter offers a stream; it may be viewed from now on, its media come when it is live."""

    stream: StreamInfo


class StreamChanged(_ServerMessage, frozen=True, tag="streamChanged", kw_only=True):
    """A stream is live or stalled; `view`, if given, is the state of the recipient's own view of it."""

    stream: StreamInfo
    view: str | None = None
    reason: str | None = None
    ref: Ref | None = None


class StreamEnded(_ServerMessage, frozen=True, tag="streamEnded", kw_only=True):
    """A stream is over, and so is every view of it.

    `reason`: unpublished, left, failed, media_lost (its presenter should publish again), media_unavailable.
    """

    stream: str
    reason: str
    ref: Ref | None = None


class Answer(_ServerMessage, frozen=True, tag="answer", kw_only=True):
    """The media server's answer to the offer of a `publish` or `view` (RFC 3264)."""

    stream: str
    sdp: str
    ref: Ref | None = None


class CandidateFound(_ServerMessage, frozen=True, tag="candidate", kw_only=True):
    """One ICE candidate of the media server, for one's own stream of that id or one's view of it."""

    stream: str
    candidate: str
    sdp_mid: str
    sdp_m_line_index: int


class ChatSaid(_ServerMessage, frozen=True, tag="chat", kw_only=True):
    """Somebody said something."""

    line: ChatLine
    ref: Ref | None = None


class RoomState(_ServerMessage, frozen=True, tag="roomState", kw_only=True):
    """The room's machine entered another state."""

    state: str
    participants: int
    streams: int


class Error(_ServerMessage, frozen=True, tag="error", kw_only=True):
    """A message was refused, or what it asked for failed; the session and the room go on.

    `message` is the refused message's type. With `illegal_in_state`: `machine` and `state` say why,
    `allowed` lists what is legal instead. With `malformed`: `path` is the field at fault.
    """

    code: ErrorCode
    detail: str
    message: str | None = None
    machine: str | None = None
    state: str | None = None
    allowed: tuple[str, ...] | None = None
    path: str | None = None
    stream: str | None = None
    ref: Ref | None = None


class Pong(_ServerMessage, frozen=True, tag="pong", kw_only=True):
    """A sign of life."""

    ref: Ref | None = None


class Closing(_ServerMessage, frozen=True, tag="closing", kw_only=True):
    """The room (`scope` room: join another, or this one again) or the server (`scope` server) is closing."""

    scope: str
    reason: str


type ServerMessage = (
    Welcome
    | Joined
    | ParticipantJoined
    | ParticipantLeft
    | ParticipantChanged
    | StreamStarted
    | StreamChanged
    | StreamEnded
    | Answer
    | CandidateFound
    | ChatSaid
    | RoomState
    | Error
    | Pong
    | Closing
)

SERVER_MESSAGES: tuple[type[ServerMessage], ...] = (
    Welcome,
    Joined,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantChanged,
    StreamStarted,
    StreamChanged,
    StreamEnded,
    Answer,
    CandidateFound,
    ChatSaid,
    RoomState,
    Error,
    Pong,
    Closing,
)
