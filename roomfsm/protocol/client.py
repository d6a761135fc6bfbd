"""The messages that a client sends, as one tagged union (`type` is the tag, fields are camelCase)."""

from __future__ import annotations

from typing import Annotated, get_args

import msgspec
from msgspec import Meta

from roomfsm.protocol.fields import (
    AccessToken,
    BanSeconds,
    CandidateLine,
    ChatText,
    DisplayName,
    FileName,
    FileSize,
    FirstFrame,
    KnockingSeconds,
    LineNumber,
    Mid,
    MLineIndex,
    ParticipantId,
    Password,
    Ref,
    RoomName,
    Sdp,
    Size,
    Source,
    StreamId,
    Token,
    Ufrag,
)
from roomfsm.protocol.reactions import Reaction
from roomfsm.protocol.roles import Role


class _ClientMessage(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    rename="camel",
    tag_field="type",
    omit_defaults=True,
):
    """A message from a client. If it has a `ref`, the reply repeats it."""


class Join(_ClientMessage, frozen=True, tag="join", kw_only=True):
    """Enter a room. If the room does not exist yet, it is opened. Reply: `joined`.

    If the room has a lobby, the client gets `knocking` first, and `joined` or an `error` when a moderator decides.
    A room may need a `token` or a `password`. The token's name is taken, unless the message has one. A token that
    the session has shown in an earlier `join` or `switch` stays in force, unless the message has another one: it
    holds in this room if it is for it.
    """

    room: RoomName
    name: DisplayName = "Guest"
    token: AccessToken | None = None
    password: Password | None = None
    ref: Ref | None = None


class Leave(_ClientMessage, frozen=True, tag="leave", kw_only=True):
    """Leave the room. The sender's streams and views end. Reply: `participantLeft` with the sender's own id."""

    ref: Ref | None = None


class Switch(_ClientMessage, frozen=True, tag="switch", kw_only=True):
    """Go to another room in one step, keeping the name and the connection. Reply: `joined` of that room.

    The token of the `join` is kept, too. It holds in the other room if it is for that room as well.
    """

    room: RoomName
    token: AccessToken | None = None
    password: Password | None = None
    ref: Ref | None = None


class Rename(_ClientMessage, frozen=True, tag="rename", kw_only=True):
    """Take another display name. Reply: `participantChanged`, which everybody in the room gets."""

    name: DisplayName
    ref: Ref | None = None


class Chat(_ClientMessage, frozen=True, tag="chat", kw_only=True):
    """Say something to everybody in the room, or in private to one person. Reply: the `chat` that they get.

    With `to`, only that person and the sender get the line, and nobody gets it later. `replyTo` is the line that
    this one answers.
    """

    text: ChatText
    to: ParticipantId | None = None
    reply_to: LineNumber | None = None
    ref: Ref | None = None


class SendFile(_ClientMessage, frozen=True, tag="sendFile", kw_only=True):
    """Announce a file for the chat, for everybody in the room, or in private for one person. Reply: `upload`.

    The reply says where the client sends the bytes (HTTP `PUT`). When they are there, the people get a `chat`
    whose line has the `file`. `to` and `replyTo` are the same as in `chat`.
    """

    name: FileName
    size: FileSize
    to: ParticipantId | None = None
    reply_to: LineNumber | None = None
    ref: Ref | None = None


class Publish(_ClientMessage, frozen=True, tag="publish", kw_only=True):
    """Offer a stream to the room (an offer with `a=sendonly` media). Reply: `answer`."""

    source: Source
    sdp: Sdp
    ref: Ref | None = None


class Unpublish(_ClientMessage, frozen=True, tag="unpublish", kw_only=True):
    """End the sender's own stream. Reply: `streamEnded`, which everybody in the room gets."""

    stream: StreamId
    ref: Ref | None = None


class EndStream(_ClientMessage, frozen=True, tag="endStream", kw_only=True):
    """End anybody's stream, as a moderator. Reply: `streamEnded`, which everybody in the room gets."""

    stream: StreamId
    ref: Ref | None = None


class View(_ClientMessage, frozen=True, tag="view", kw_only=True):
    """Ask for somebody's stream (an offer with `a=recvonly` media). Reply: `answer`.

    With `size` *none*, the picture is not sent before an `adjust` asks for it.
    """

    stream: StreamId
    sdp: Sdp
    size: Size = Size.LARGE
    ref: Ref | None = None


class Unview(_ClientMessage, frozen=True, tag="unview", kw_only=True):
    """Stop viewing a stream. Reply: `streamChanged` with `view` ended."""

    stream: StreamId
    ref: Ref | None = None


class Adjust(_ClientMessage, frozen=True, tag="adjust", kw_only=True):
    """Tell how large the picture of a viewed stream is seen. Reply: `streamChanged` with `view`.

    With *none*, the picture is not sent, and the sound still is. When it is wanted again, it begins with a
    keyframe, over the same media connection. If the presenter sends it in several layers, *small* asks for the
    smallest one, and *medium* for the middle one of three at most.
    """

    stream: StreamId
    size: Size
    ref: Ref | None = None


class Candidate(_ClientMessage, frozen=True, tag="candidate", kw_only=True):
    """One ICE candidate of the browser, as in RTCIceCandidateInit (W3C WebRTC section 4.8.1).

    It belongs to the sender's own stream with that id, or to the sender's view of it. A candidate whose
    `usernameFragment` is not that of the endpoint's offer is stale and is dropped. There is no reply, unless it is
    refused.
    """

    stream: StreamId
    candidate: CandidateLine
    sdp_mid: Mid | None = None
    sdp_m_line_index: MLineIndex | None = None
    username_fragment: Ufrag | None = None
    ref: Ref | None = None


class Restart(_ClientMessage, frozen=True, tag="restart", kw_only=True):
    """Restart the media connection of a stream or view (RFC 8445 section 9), because the network has changed.

    It belongs to the sender's own stream with that id, or to the sender's view of it. The offer comes from the
    same RTCPeerConnection, after `restartIce()`. Reply: `answer`. The stream or view goes on meanwhile, and also
    if this is refused.
    """

    stream: StreamId
    sdp: Sdp
    ref: Ref | None = None


class RaiseHand(_ClientMessage, frozen=True, tag="raiseHand", kw_only=True):
    """Ask to speak. Hands are in the order in which they were raised. Reply: `participantChanged`."""

    ref: Ref | None = None


class LowerHand(_ClientMessage, frozen=True, tag="lowerHand", kw_only=True):
    """Lower the own hand; a moderator may lower the hand of another person. Reply: `participantChanged`."""

    participant: ParticipantId | None = None
    ref: Ref | None = None


class Media(_ClientMessage, frozen=True, tag="media", kw_only=True):
    """Tell everybody whether the sender's microphone and camera are on. Reply: `participantChanged`.

    Somebody whom a moderator has muted is heard again with `microphone`, unless the moderator holds the sound.
    """

    microphone: bool
    camera: bool
    ref: Ref | None = None


class Speaking(_ClientMessage, frozen=True, tag="speaking", kw_only=True):
    """Tell that the sender begins or ceases to speak. There is no reply, unless it is refused.

    Everybody gets `speaking` a little later, which says who speaks by then. It changes nothing while the media
    server hears the sender.
    """

    speaking: bool
    ref: Ref | None = None


class React(_ClientMessage, frozen=True, tag="react", kw_only=True):
    """Show a reaction to everybody for a moment. There is no reply, unless it is refused.

    Everybody gets `reacted` a little later, with all reactions since the one before.
    """

    reaction: Reaction
    ref: Ref | None = None


class Mute(_ClientMessage, frozen=True, tag="mute", kw_only=True):
    """Mute a person, as a moderator: nobody hears the person any more. Reply: `participantChanged`.

    The person may turn the microphone on again (`media`), unless `hold` says that only a moderator may end it. It
    ends with the person's seat: somebody who leaves and comes again is heard.
    """

    participant: ParticipantId
    hold: Annotated[bool, Meta(description="whether only a moderator may end it, and not the person")] = False
    ref: Ref | None = None


class Unmute(_ClientMessage, frozen=True, tag="unmute", kw_only=True):
    """Let a person be heard whom a moderator has muted. Only moderators may. Reply: `participantChanged`.

    It does not turn on the person's microphone, which only the person can do.
    """

    participant: ParticipantId
    ref: Ref | None = None


class Kick(_ClientMessage, frozen=True, tag="kick", kw_only=True):
    """Put a person out of the room, as a moderator. Reply: `participantLeft`, which everybody gets."""

    participant: ParticipantId
    ref: Ref | None = None


class Ban(_ClientMessage, frozen=True, tag="ban", kw_only=True):
    """Put a person out of the room, and do not let that person in for a time.

    Only moderators may. Reply: `participantLeft`, which everybody gets.
    """

    participant: ParticipantId
    seconds: BanSeconds | None = None
    ref: Ref | None = None


class Unban(_ClientMessage, frozen=True, tag="unban", kw_only=True):
    """Let a person whom a moderator has banned enter the room again. Only moderators may. Reply: `bans`."""

    participant: ParticipantId
    ref: Ref | None = None


class SetRole(_ClientMessage, frozen=True, tag="setRole", kw_only=True):
    """Give another person a role, as a moderator. Reply: `participantChanged`, which everybody gets."""

    participant: ParticipantId
    role: Role
    ref: Ref | None = None


class Admit(_ClientMessage, frozen=True, tag="admit", kw_only=True):
    """Let a person enter who waits in the lobby, or everybody who does. Only moderators may. Reply: `lobby`."""

    participant: ParticipantId | None = None
    ref: Ref | None = None


class Deny(_ClientMessage, frozen=True, tag="deny", kw_only=True):
    """Refuse a person who waits in the lobby, or everybody who does. Only moderators may. Reply: `lobby`.

    With `seconds`, nobody who is refused may knock again for that time. It is a ban, and `unban` ends it.
    """

    participant: ParticipantId | None = None
    seconds: KnockingSeconds | None = None
    ref: Ref | None = None


class Configure(_ClientMessage, frozen=True, tag="configure", kw_only=True):
    """Change the rules of the room; what is left out stays as it is. Only moderators may. Reply: `roomChanged`.

    `lobby` makes newcomers wait until a moderator admits them, `role` is the role of people who enter without a
    token, and `listed` says whether the server lists the room. `files` says whether people may send files.
    """

    lobby: Annotated[bool | None, Meta(description="whether newcomers wait until a moderator admits them")] = None
    role: Annotated[Role | None, Meta(description="the role of people who enter without a token")] = None
    listed: Annotated[bool | None, Meta(description="whether the server lists the room for everybody")] = None
    files: Annotated[bool | None, Meta(description="whether people may send files to the chat")] = None
    ref: Ref | None = None


class Lock(_ClientMessage, frozen=True, tag="lock", kw_only=True):
    """Let nobody else enter the room. Only moderators may. Reply: `roomChanged`, which everybody gets."""

    ref: Ref | None = None


class Unlock(_ClientMessage, frozen=True, tag="unlock", kw_only=True):
    """Let people enter the room again. Only moderators may. Reply: `roomChanged`, which everybody gets."""

    ref: Ref | None = None


class ClearChat(_ClientMessage, frozen=True, tag="clearChat", kw_only=True):
    """Forget all lines of chat. Only moderators may. Reply: `chatCleared`, which everybody gets."""

    ref: Ref | None = None


class DeleteLine(_ClientMessage, frozen=True, tag="deleteLine", kw_only=True):
    """Delete a line of chat. Its speaker and moderators may. Reply: `lineDeleted`, which everybody gets."""

    line: LineNumber
    ref: Ref | None = None


class CloseRoom(_ClientMessage, frozen=True, tag="closeRoom", kw_only=True):
    """Close the room, as a moderator. Everybody has to leave it. Reply: `closing`, which everybody gets."""

    ref: Ref | None = None


class Ping(_ClientMessage, frozen=True, tag="ping", kw_only=True):
    """Ask the server whether it is alive. This message is always legal. Reply: `pong`.

    `firstFrame` reports how long the page has just waited for a picture. The server only counts it.
    """

    first_frame: FirstFrame | None = None
    ref: Ref | None = None


class Resume(_ClientMessage, frozen=True, tag="resume", kw_only=True):
    """Continue the session of a lost connection on this new connection. Reply: `joined` of the session's room.

    A session that waits in a lobby waits no longer. It is continued, but in no room, and the reply is the error
    `ended`.
    """

    token: Token
    ref: Ref | None = None


type ClientMessage = (
    Join
    | Leave
    | Switch
    | Rename
    | Chat
    | SendFile
    | Publish
    | Unpublish
    | EndStream
    | View
    | Unview
    | Adjust
    | Candidate
    | Restart
    | RaiseHand
    | LowerHand
    | Media
    | Speaking
    | React
    | Mute
    | Unmute
    | Kick
    | Ban
    | Unban
    | SetRole
    | Admit
    | Deny
    | Configure
    | Lock
    | Unlock
    | ClearChat
    | DeleteLine
    | CloseRoom
    | Ping
    | Resume
)

CLIENT_MESSAGES: tuple[type[ClientMessage], ...] = get_args(ClientMessage.__value__)


def message_type(message: msgspec.Struct | type[msgspec.Struct]) -> str:
    """The `type` of a message or of its class: 'publish', 'joined', …"""
    tag = message.__struct_config__.tag
    assert isinstance(tag, str)
    return tag
