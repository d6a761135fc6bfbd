"""The messages that the server sends, as one tagged union (`type` is the tag, fields are camelCase)."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from roomfsm.protocol.errors import ErrorCode
from roomfsm.protocol.fields import (
    CandidateLine,
    ChatText,
    FileName,
    FileSize,
    LineNumber,
    Mid,
    MLineIndex,
    ParticipantId,
    Ref,
    RoomStateName,
    Sdp,
    SoundState,
    Source,
    StreamId,
    StreamState,
    Token,
    ViewState,
)
from roomfsm.protocol.reactions import Reaction
from roomfsm.protocol.roles import Role
from roomfsm.ranges import MANY


class _Part(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """A value inside messages."""


class IceServer(_Part, frozen=True):
    """A STUN or TURN server for the browser, as in RTCIceServer (W3C WebRTC section 4.2.2)."""

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = None


class Limits(_Part, frozen=True):
    """Limits that a client should know before it reaches them."""

    message_bytes: Annotated[int, Meta(description="the longest message that a client may send, in bytes")]
    message_burst: Annotated[int, Meta(description="how many messages a client may send at once")]
    message_rate: Annotated[float, Meta(description="how many messages a second a client may send on average")]
    chat_text: Annotated[int, Meta(description="how many characters a line of chat may have")]
    display_name: Annotated[int, Meta(description="how many characters a display name may have")]
    people: Annotated[int, Meta(description="how many people may be in a room")]
    presenters: Annotated[int, Meta(description="how many people may present in a room at the same time")]
    views: Annotated[int, Meta(description="how many streams one person may view at the same time")]
    candidates: Annotated[
        int, Meta(description="how many candidates are kept for an endpoint that is not ready yet")
    ]
    # Another server of this protocol may have no such limits.
    told_burst: Annotated[
        int | None, Meta(description="how many lines of chat a person may send at once (otherwise `rate_limited`)")
    ] = None
    told_rate: Annotated[
        float | None, Meta(description="how many lines of chat a second a person may send on average")
    ] = None
    told_bytes: Annotated[
        int | None, Meta(description="how many bytes a person may send to everybody at once")
    ] = None
    file_bytes: Annotated[
        int | None, Meta(description="how many bytes a file may have; none: the server takes no files")
    ] = None


class ParticipantInfo(_Part, frozen=True):
    """One person in the room."""

    id: ParticipantId
    name: Annotated[str, Meta(description="the display name")]
    away: Annotated[
        bool, Meta(description="the person's connection is lost, and the session may still be resumed")
    ] = False
    lookalike: Annotated[
        bool, Meta(description="another person, who took it earlier, has a name that looks the same (UTS 39)")
    ] = False
    role: Annotated[Role, Meta(description="what the person may do")] = Role.PRESENTER
    hand: Annotated[
        int | None,
        Meta(description="the hand is raised; a hand with a smaller number was raised earlier"),
    ] = None
    microphone: Annotated[
        bool | None, Meta(description="the microphone is on, or off; none: the person's client has not told")
    ] = None
    camera: Annotated[
        bool | None, Meta(description="the camera is on, or off; none: the person's client has not told")
    ] = None
    sound: Annotated[SoundState, Meta(description="whether a moderator has muted the person")] = "audible"


class StreamInfo(_Part, frozen=True):
    """One stream of the room."""

    id: StreamId
    participant: ParticipantId
    source: Source
    state: StreamState
    generation: Annotated[int, Meta(description="counts how often its presenter has published it: 1, 2, …")]
    viewers: Annotated[int, Meta(description="how many people view it")]


class FileInfo(_Part, frozen=True):
    """A file of the chat."""

    name: FileName
    size: FileSize
    media_type: Annotated[
        str,
        Meta(
            description="what the server found the bytes to be: one of image/png, image/jpeg, image/gif, "
            "image/webp and image/avif, which pages may show; anything else is application/octet-stream, which "
            "they may only offer to save"
        ),
    ]
    path: Annotated[
        str,
        Meta(
            description="where it can be fetched (HTTP `GET`) as long as the line exists, relative to the address "
            "of the websocket; nobody can guess it"
        ),
    ]
    until: Annotated[
        int | None,
        Meta(
            description="when it is removed at the latest, in milliseconds since 1970 (UTC); without it, the file "
            "stays as long as its line"
        ),
    ] = None


class ChatLine(_Part, frozen=True):
    """One line of chat."""

    seq: Annotated[
        int,
        Meta(
            description="the number of the line; each line to everybody has the next number, and a private line "
            "has the number of the last one before it"
        ),
    ]
    participant: ParticipantId
    name: Annotated[str, Meta(description="the display name that the speaker had then")]
    text: Annotated[ChatText, Meta(description="with `file`, it is the file's name")]
    at: Annotated[int, Meta(description="milliseconds since 1970 (UTC)")]
    to: Annotated[
        ParticipantId | None, Meta(description="the line is private: only the speaker and this person get it")
    ] = None
    reply_to: Annotated[LineNumber | None, Meta(description="the line that this one answers")] = None
    file: Annotated[FileInfo | None, Meta(description="the file that the speaker has sent")] = None


class _ServerMessage(msgspec.Struct, frozen=True, rename="camel", tag_field="type", omit_defaults=True):
    """A message from the server. `ref` repeats the `ref` of the message that it answers."""


class Welcome(_ServerMessage, frozen=True, tag="welcome", kw_only=True):
    """The first message of every connection: the client's id, how to come back, and the limits."""

    protocol: Annotated[str, Meta(description="the subprotocol")]
    server: Annotated[str, Meta(description="the server's name and version")]
    session: Annotated[
        ParticipantId, Meta(description="the client's id in every room, unless it resumes an earlier session")
    ]
    resume_token: Token
    resume_window: Annotated[
        float, Meta(description="how many seconds the client has to come back after it lost its connection")
    ]
    heartbeat: Annotated[float, Meta(description="seconds between the server's websocket pings")]
    ice_servers: Annotated[
        tuple[IceServer, ...], Meta(description="the servers that need no credentials; `joined` has all of them")
    ]
    limits: Limits


class Joined(_ServerMessage, frozen=True, tag="joined", kw_only=True):
    """The room as it is now, sent to a person who enters it or comes back. Later messages tell what changes."""

    room: Annotated[str, Meta(description="the room's name, as the person who opened the room wrote it")]
    key: Annotated[
        str,
        Meta(
            description="the name in the form in which it is compared: names with the same key mean the same room"
        ),
    ]
    you: Annotated[ParticipantId, Meta(description="the recipient's own id among the participants")]
    state: RoomStateName
    participants: Annotated[
        tuple[ParticipantInfo, ...], Meta(description="everybody in the room, including the recipient")
    ]
    streams: tuple[StreamInfo, ...]
    chat: Annotated[tuple[ChatLine, ...], Meta(description="the last lines of chat, the oldest first")]
    ice_servers: Annotated[
        tuple[IceServer, ...],
        Meta(description="all STUN and TURN servers, for new RTCPeerConnections; credentials may expire"),
    ] = ()
    locked: Annotated[bool, Meta(description="nobody else may enter the room")] = False
    speaking: Annotated[tuple[ParticipantId, ...], Meta(description="who speaks at the moment")] = ()
    lobby: Annotated[bool, Meta(description="newcomers wait until a moderator admits them")] = False
    newcomers: Annotated[Role, Meta(description="the role of people who enter without a token")] = Role.PRESENTER
    listed: Annotated[bool, Meta(description="the server lists the room")] = True
    files: Annotated[bool, Meta(description="people may send files to the chat")] = False
    layers: Annotated[
        int | None,
        Meta(
            description="in how many layers a picture may be published (simulcast, RFC 8853); none: in one, "
            "because the media server does not take several"
        ),
    ] = None
    resumed: Annotated[
        bool, Meta(description="this answers `resume`: the recipient has had a seat here all the time")
    ] = False
    ref: Ref | None = None


class ParticipantJoined(_ServerMessage, frozen=True, tag="participantJoined", kw_only=True):
    """Somebody entered the room."""

    participant: ParticipantInfo


class ParticipantLeft(_ServerMessage, frozen=True, tag="participantLeft", kw_only=True):
    """Somebody left the room."""

    participant: ParticipantId
    reason: Annotated[
        str,
        Meta(
            description="left, switched, kicked, banned, or disconnected (the resume window was over, or the "
            "place was needed)"
        ),
    ]
    ref: Ref | None = None


class ParticipantChanged(_ServerMessage, frozen=True, tag="participantChanged", kw_only=True):
    """Something about a person has changed.

    It is the name, the role, the raised hand, microphone or camera, whether a moderator has muted the person, or
    whether the person is away.
    """

    participant: ParticipantInfo
    ref: Ref | None = None


class SpeakingNow(_ServerMessage, frozen=True, tag="speaking", kw_only=True):
    """Who speaks at the moment: all of them. The server sends it at most every `speaking_interval`."""

    participants: tuple[ParticipantId, ...]


class ReactionInfo(_Part, frozen=True):
    """What somebody has shown."""

    participant: ParticipantId
    reaction: Reaction


class Reacted(_ServerMessage, frozen=True, tag="reacted", kw_only=True):
    """What people have shown since the message before. The server sends it at most every `speaking_interval`."""

    reactions: Annotated[
        tuple[ReactionInfo, ...], Meta(description="the oldest first; if there are very many, some are left out")
    ]


class Muted(_ServerMessage, frozen=True, tag="muted", kw_only=True):
    """A moderator has muted the recipient, whose client should turn the microphone off."""

    by: Annotated[ParticipantId, Meta(description="the moderator")]
    hold: Annotated[bool, Meta(description="only a moderator can end it")] = False


class BanInfo(_Part, frozen=True):
    """A person who may not enter the room for a time."""

    participant: ParticipantId
    name: Annotated[str, Meta(description="the display name that the person had")]
    until: Annotated[int, Meta(description="when the ban ends, in milliseconds since 1970 (UTC)")]


class Bans(_ServerMessage, frozen=True, tag="bans", kw_only=True):
    """Everybody who is banned from the room, for its moderators."""

    bans: tuple[BanInfo, ...]
    ref: Ref | None = None


class Knocking(_ServerMessage, frozen=True, tag="knocking", kw_only=True):
    """The room has a lobby, and the recipient waits there. A moderator decides; then comes `joined` or an `error`.

    Meanwhile the recipient is in no room. A client that was in another room has left it. Whoever does not want to
    wait sends `leave`: then the `join` or `switch` is answered by the error `ended`, and the `leave` by
    `participantLeft`.
    """

    room: Annotated[str, Meta(description="the room's name, as the person who opened the room wrote it")]
    key: Annotated[str, Meta(description="the name in the form in which it is compared")]


class Waiting(_Part, frozen=True):
    """A person who waits in the lobby."""

    participant: ParticipantId
    name: Annotated[str, Meta(description="the display name")]
    since: Annotated[int, Meta(description="when the person came, in milliseconds since 1970 (UTC)")]


class LobbyChanged(_ServerMessage, frozen=True, tag="lobby", kw_only=True):
    """Everybody who waits in the lobby, for the moderators of the room. The first has waited longest."""

    waiting: tuple[Waiting, ...]
    ref: Ref | None = None


class RoomChanged(_ServerMessage, frozen=True, tag="roomChanged", kw_only=True):
    """A moderator has changed who may enter the room, or as what."""

    locked: Annotated[bool, Meta(description="nobody else may enter the room")]
    lobby: Annotated[bool, Meta(description="newcomers wait until a moderator admits them")] = False
    newcomers: Annotated[Role, Meta(description="the role of people who enter without a token")] = Role.PRESENTER
    listed: Annotated[bool, Meta(description="the server lists the room")] = True
    files: Annotated[bool, Meta(description="people may send files to the chat")] = False
    ref: Ref | None = None


class ChatCleared(_ServerMessage, frozen=True, tag="chatCleared", kw_only=True):
    """A moderator has deleted all lines of chat."""

    ref: Ref | None = None


class LineDeleted(_ServerMessage, frozen=True, tag="lineDeleted", kw_only=True):
    """A moderator, or its speaker, has deleted a line of chat."""

    line: LineNumber
    ref: Ref | None = None


class StreamStarted(_ServerMessage, frozen=True, tag="streamStarted", kw_only=True):
    """A presenter offers a stream. It may be viewed from now on; media flow once it is live."""

    stream: StreamInfo


class StreamChanged(_ServerMessage, frozen=True, tag="streamChanged", kw_only=True):
    """The state or the number of viewers of a stream changed, or the state of the recipient's own view of it."""

    stream: StreamInfo
    view: Annotated[
        ViewState | None, Meta(description="the state of the recipient's own view, if the message is about that")
    ] = None
    reason: Annotated[
        str | None,
        Meta(
            description="with `view`: why the view has `ended` by itself, in words; or why it is `limited`: "
            "slow_path (the recipient's own connection is too slow for the picture)"
        ),
    ] = None
    ref: Ref | None = None


class LayersWanted(_ServerMessage, frozen=True, tag="layers", kw_only=True):
    """Which simulcast layers of the recipient's own stream are of use. Its client need not send the others.

    It begins with all of them.
    """

    stream: StreamId
    layers: Annotated[tuple[str, ...], Meta(description="the rids of the layers (RFC 8851)")]


class StreamEnded(_ServerMessage, frozen=True, tag="streamEnded", kw_only=True):
    """A stream is over, and so is every view of it."""

    stream: StreamId
    reason: Annotated[
        str,
        Meta(
            description="unpublished, moderator (a moderator ended it), left, failed, media_lost (its presenter "
            "should publish again), media_unavailable, media_full, or why the room closes"
        ),
    ]
    ref: Ref | None = None


class Answer(_ServerMessage, frozen=True, tag="answer", kw_only=True):
    """The media server's answer to the offer of a `publish` or `view` (RFC 3264)."""

    stream: StreamId
    sdp: Sdp
    hears: Annotated[
        bool,
        Meta(
            description="the media server finds out by the sound whether the recipient speaks, so the client need "
            "not send `speaking`"
        ),
    ] = False
    ref: Ref | None = None


class CandidateFound(_ServerMessage, frozen=True, tag="candidate", kw_only=True):
    """One ICE candidate of the media server, for the recipient's own stream with that id or view of it."""

    stream: StreamId
    candidate: CandidateLine
    sdp_mid: Mid
    sdp_m_line_index: MLineIndex


class ChatSaid(_ServerMessage, frozen=True, tag="chat", kw_only=True):
    """Somebody said something."""

    line: ChatLine
    ref: Ref | None = None


class Upload(_ServerMessage, frozen=True, tag="upload", kw_only=True):
    """A place is kept for the file that the recipient has announced, who may send its bytes now, once."""

    path: Annotated[
        str,
        Meta(
            description="where the bytes go (HTTP `PUT`), relative to the address of the websocket: with "
            "`wss://host/ws` and `files/x` it is `https://host/files/x`"
        ),
    ]
    seconds: Annotated[float, Meta(description="within so many seconds the bytes must begin to come")]
    ref: Ref | None = None


class RoomState(_ServerMessage, frozen=True, tag="roomState", kw_only=True):
    """The room's state changed."""

    state: RoomStateName
    participants: Annotated[int, Meta(description="how many people are in the room")]
    streams: Annotated[int, Meta(description="how many streams the room has")]


class Error(_ServerMessage, frozen=True, tag="error", kw_only=True):
    """A message was refused, or what it asked for failed. The session and the room continue."""

    code: ErrorCode
    detail: Annotated[str, Meta(description="what is wrong, in a sentence")]
    message: Annotated[str | None, Meta(description="the type of the message that was refused")] = None
    machine: Annotated[str | None, Meta(description="with `illegal_in_state`: the machine that refuses")] = None
    state: Annotated[str | None, Meta(description="with `illegal_in_state`: the state that machine is in")] = None
    allowed: Annotated[
        tuple[str, ...] | None, Meta(description="with `illegal_in_state`: the messages that are legal instead")
    ] = None
    path: Annotated[
        str | None, Meta(description="with `malformed`: the field that is wrong; '$' is the whole message")
    ] = None
    stream: Annotated[StreamId | None, Meta(description="the stream that the message was about")] = None
    role: Annotated[Role | None, Meta(description="with `not_permitted`: the least role that may do it")] = None
    ref: Ref | None = None


class Pong(_ServerMessage, frozen=True, tag="pong", kw_only=True):
    """The answer to `ping`."""

    ice_servers: Annotated[
        tuple[IceServer, ...],
        Meta(description="servers with new credentials, once half the time of the old ones is over"),
    ] = ()
    ref: Ref | None = None


class Closing(_ServerMessage, frozen=True, tag="closing", kw_only=True):
    """The room (`scope` room: the client may join a room again) or the server (`scope` server) is closing.

    A server that closes with the reason `restarting` leaves the streams and views as they are, and its next run
    goes on with them. The client keeps its media connections, connects again, and resumes its session.

    With `seconds`, the server closes only after that time. Until then everything goes on, but no room is opened.
    The message comes again while the time runs out.
    """

    scope: Literal["room", "server"]
    reason: Annotated[
        str,
        Meta(
            description="shutdown, restarting (the server is back in a moment, and media go on), room_failed, "
            "moderator (a moderator closed the room), or the reason that an administrator gave"
        ),
    ]
    seconds: Annotated[
        int, Meta(ge=0, le=MANY, description="how many seconds are left until the server closes; 0: it closes now")
    ] = 0
    ref: Ref | None = None


type ServerMessage = (
    Welcome
    | Joined
    | ParticipantJoined
    | ParticipantLeft
    | ParticipantChanged
    | SpeakingNow
    | Reacted
    | Muted
    | RoomChanged
    | Knocking
    | LobbyChanged
    | Bans
    | ChatCleared
    | LineDeleted
    | StreamStarted
    | StreamChanged
    | LayersWanted
    | StreamEnded
    | Answer
    | CandidateFound
    | ChatSaid
    | Upload
    | RoomState
    | Error
    | Pong
    | Closing
)

SERVER_MESSAGES: tuple[type[ServerMessage], ...] = get_args(ServerMessage.__value__)
