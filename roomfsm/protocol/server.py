"""Messages that the server sends, as one tagged union (`type` is the tag, fields are camelCase)."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from roomfsm.protocol.errors import ErrorCode
from roomfsm.protocol.fields import (
    CandidateLine,
    ChatText,
    Mid,
    MLineIndex,
    ParticipantId,
    Ref,
    RoomStateName,
    Sdp,
    Source,
    StreamId,
    StreamState,
    Token,
    ViewState,
)


class _Part(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """A value inside messages."""


class IceServer(_Part, frozen=True):
    """A STUN or TURN server for the browser, as in RTCIceServer (W3C WebRTC section 4.2.2)."""

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = None


class Limits(_Part, frozen=True):
    """Bounds a client should know before it meets them."""

    message_bytes: Annotated[int, Meta(description="the longest message from a client")]
    message_burst: Annotated[int, Meta(description="how many messages at once")]
    message_rate: Annotated[float, Meta(description="how many messages a second on average")]
    chat_text: Annotated[int, Meta(description="characters of a line of chat")]
    display_name: Annotated[int, Meta(description="characters of a display name")]
    people: Annotated[int, Meta(description="people in a room")]
    presenters: Annotated[int, Meta(description="people in a room who present at a time")]
    views: Annotated[int, Meta(description="streams that one participant views at a time")]
    candidates: Annotated[int, Meta(description="candidates kept for an endpoint that is not ready yet")]
    # Another server of this protocol may have no such bounds.
    told_burst: Annotated[
        int | None, Meta(description="how many lines of chat at once, if that is bounded (see `rate_limited`)")
    ] = None
    told_rate: Annotated[float | None, Meta(description="how many lines of chat a second on average")] = None
    told_bytes: Annotated[int | None, Meta(description="bytes that one may have told to everybody at once")] = None


class ParticipantInfo(_Part, frozen=True):
    """One person in the room."""

    id: ParticipantId
    name: Annotated[str, Meta(description="the display name")]
    away: Annotated[bool, Meta(description="the connection is lost, and may still be resumed")] = False
    lookalike: Annotated[
        bool, Meta(description="somebody else who had it before has a name that looks the same (UTS 39)")
    ] = False


class StreamInfo(_Part, frozen=True):
    """One stream of the room."""

    id: StreamId
    participant: ParticipantId
    source: Source
    state: StreamState
    generation: Annotated[int, Meta(description="counts the endpoints that its presenter has had for it: 1, 2, …")]
    viewers: Annotated[int, Meta(description="how many view it")]


class ChatLine(_Part, frozen=True):
    """One line of chat."""

    seq: Annotated[int, Meta(description="counts up by one in a room")]
    participant: ParticipantId
    name: Annotated[str, Meta(description="the speaker's display name then")]
    text: ChatText
    at: Annotated[int, Meta(description="milliseconds since 1970 (UTC)")]


class _ServerMessage(msgspec.Struct, frozen=True, rename="camel", tag_field="type", omit_defaults=True):
    """A message from the server; `ref` repeats that of the message it replies to."""


class Welcome(_ServerMessage, frozen=True, tag="welcome", kw_only=True):
    """The first message of every connection: how to go on, and how to come back."""

    protocol: Annotated[str, Meta(description="the subprotocol")]
    server: Annotated[str, Meta(description="the server's name and version")]
    session: Annotated[ParticipantId, Meta(description="who one is in every room, unless one resumes")]
    resume_token: Token
    resume_window: Annotated[float, Meta(description="seconds in which a lost connection may be resumed")]
    heartbeat: Annotated[float, Meta(description="seconds between the server's websocket pings")]
    ice_servers: Annotated[
        tuple[IceServer, ...], Meta(description="those that need no credentials; `joined` tells the rest")
    ]
    limits: Limits


class Joined(_ServerMessage, frozen=True, tag="joined", kw_only=True):
    """The room as it is, for one who enters it or comes back: everything later comes as changes to this."""

    room: Annotated[str, Meta(description="the room's name, written as by the one who opened it")]
    key: Annotated[str, Meta(description="the room's name folded: two names with one key are one room")]
    you: Annotated[ParticipantId, Meta(description="which of the participants one is")]
    state: RoomStateName
    participants: Annotated[tuple[ParticipantInfo, ...], Meta(description="everybody, oneself among them")]
    streams: tuple[StreamInfo, ...]
    chat: Annotated[tuple[ChatLine, ...], Meta(description="the last lines, oldest first")]
    ice_servers: Annotated[
        tuple[IceServer, ...],
        Meta(description="all, for RTCPeerConnections made from now on; credentials may end after a while"),
    ] = ()
    resumed: Annotated[bool, Meta(description="one had a seat here all along: it answers `resume`")] = False
    ref: Ref | None = None


class ParticipantJoined(_ServerMessage, frozen=True, tag="participantJoined", kw_only=True):
    """Somebody entered the room."""

    participant: ParticipantInfo


class ParticipantLeft(_ServerMessage, frozen=True, tag="participantLeft", kw_only=True):
    """Somebody left the room."""

    participant: ParticipantId
    reason: Annotated[
        str, Meta(description="left, switched, or disconnected (resume window over, or the place was needed)")
    ]
    ref: Ref | None = None


class ParticipantChanged(_ServerMessage, frozen=True, tag="participantChanged", kw_only=True):
    """Somebody has another name, or is away or back, or has a name that looks like another's no more."""

    participant: ParticipantInfo
    ref: Ref | None = None


class StreamStarted(_ServerMessage, frozen=True, tag="streamStarted", kw_only=True):
    """A presenter offers a stream; it may be viewed from now on, its media come when it is live."""

    stream: StreamInfo


class StreamChanged(_ServerMessage, frozen=True, tag="streamChanged", kw_only=True):
    """A stream has another state or another number of viewers, or the recipient's own view of it has."""

    stream: StreamInfo
    view: Annotated[
        ViewState | None, Meta(description="the state of the recipient's own view, if it speaks of that")
    ] = None
    reason: Annotated[
        str | None,
        Meta(
            description="with `view`, why it has `ended` without having been asked to, in words; why it is "
            "`limited`: slow_path (the recipient's own connection is too slow for the picture)"
        ),
    ] = None
    ref: Ref | None = None


class StreamEnded(_ServerMessage, frozen=True, tag="streamEnded", kw_only=True):
    """A stream is over, and so is every view of it."""

    stream: StreamId
    reason: Annotated[
        str,
        Meta(
            description="unpublished, left, failed, media_lost (its presenter should publish again), "
            "media_unavailable, media_full, or why the room closes"
        ),
    ]
    ref: Ref | None = None


class Answer(_ServerMessage, frozen=True, tag="answer", kw_only=True):
    """The media server's answer to the offer of a `publish` or `view` (RFC 3264)."""

    stream: StreamId
    sdp: Sdp
    ref: Ref | None = None


class CandidateFound(_ServerMessage, frozen=True, tag="candidate", kw_only=True):
    """One ICE candidate of the media server, for one's own stream of that id or one's view of it."""

    stream: StreamId
    candidate: CandidateLine
    sdp_mid: Mid
    sdp_m_line_index: MLineIndex


class ChatSaid(_ServerMessage, frozen=True, tag="chat", kw_only=True):
    """Somebody said something."""

    line: ChatLine
    ref: Ref | None = None


class RoomState(_ServerMessage, frozen=True, tag="roomState", kw_only=True):
    """The room's machine entered another state."""

    state: RoomStateName
    participants: Annotated[int, Meta(description="how many are in the room")]
    streams: Annotated[int, Meta(description="how many streams the room has")]


class Error(_ServerMessage, frozen=True, tag="error", kw_only=True):
    """A message was refused, or what it asked for failed; the session and the room go on."""

    code: ErrorCode
    detail: Annotated[str, Meta(description="what is wrong, in words")]
    message: Annotated[str | None, Meta(description="the type of the message that was refused")] = None
    machine: Annotated[str | None, Meta(description="with `illegal_in_state`: the machine that refuses")] = None
    state: Annotated[str | None, Meta(description="with `illegal_in_state`: the state that machine is in")] = None
    allowed: Annotated[
        tuple[str, ...] | None, Meta(description="with `illegal_in_state`: the messages that are legal instead")
    ] = None
    path: Annotated[str | None, Meta(description="with `malformed`: the field at fault, '$' being the whole")] = (
        None
    )
    stream: Annotated[StreamId | None, Meta(description="the stream that the message named or asked for")] = None
    ref: Ref | None = None


class Pong(_ServerMessage, frozen=True, tag="pong", kw_only=True):
    """A sign of life."""

    ice_servers: Annotated[
        tuple[IceServer, ...],
        Meta(description="with new credentials, when those told last have half their time behind them"),
    ] = ()
    ref: Ref | None = None


class Closing(_ServerMessage, frozen=True, tag="closing", kw_only=True):
    """The room (`scope` room: join another, or this one again) or the server (`scope` server) is closing."""

    scope: Literal["room", "server"]
    reason: Annotated[str, Meta(description="shutdown, room_failed, or what an administrator gave")]


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
