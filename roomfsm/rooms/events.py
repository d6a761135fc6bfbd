"""The events in a room's inbox. Sessions and the room's own tasks post them.

Each event fires the `trigger` of the room's table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import msgspec
import trio

from roomfsm.access.credentials import UNASKED, Credentials
from roomfsm.access.policy import Policy
from roomfsm.files.shared_file import SharedFile
from roomfsm.lifecycle.room import ADMINISTERED
from roomfsm.protocol.client import (
    Adjust,
    Admit,
    Ban,
    Candidate,
    Chat,
    ClearChat,
    CloseRoom,
    Configure,
    DeleteLine,
    Deny,
    EndStream,
    Kick,
    Lock,
    LowerHand,
    Media,
    Mute,
    Publish,
    RaiseHand,
    React,
    Rename,
    Restart,
    SendFile,
    SetRole,
    Speaking,
    Unban,
    Unlock,
    Unmute,
    Unpublish,
    Unview,
    View,
    message_type,
)
from roomfsm.protocol.errors import Refusal
from roomfsm.protocol.fields import Ref
from roomfsm.rooms.broadcast import Broadcast
from roomfsm.rooms.legs import Stream
from roomfsm.rooms.legs import View as StreamView
from roomfsm.rooms.participant import Participant, Seat

type Moderating = (
    RaiseHand
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
)
type Administering = Kick | Ban | Unban | SetRole | Lock | Unlock | ClearChat | SetPolicy
type RoomMessage = (
    Rename
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
    | Moderating
)


class SetPolicy(msgspec.Struct, frozen=True, tag_field="type", tag="configure"):
    """Give the room another policy. It is no message of the protocol, because only an administrator may do it."""

    policy: Policy


OPERATIONS: Mapping[type[Any], str] = {
    Kick: "kickPerson",
    Ban: "banPerson",
    Unban: "unbanPerson",
    SetRole: "giveRole",
    Lock: "lockRoom",
    Unlock: "unlockRoom",
    ClearChat: "clearRoomChat",
    SetPolicy: "configureRoom",
}
"""The trigger of the administrator's machine by what is asked for."""


@dataclass(slots=True)
class Ask:
    """A participant has sent a message."""

    seat: Seat[Any]
    message: RoomMessage

    @property
    def trigger(self) -> str:
        return message_type(self.message)


@dataclass(slots=True, kw_only=True)
class Awaited:
    """An event whose sender waits until `done`.

    Then it has been `handled`, with a `refusal` or without, or the room ended before its turn came.
    """

    done: trio.Event = field(default_factory=trio.Event)
    handled: bool = False
    refusal: Refusal | None = None


@dataclass(slots=True)
class Enter(Awaited):
    """A session wants to enter the room. `asked` is the client's message for that: `join` or `switch`."""

    trigger: ClassVar[str] = "join"
    seat: Seat[Any]
    name: str
    ref: Ref | None
    asked: str = "join"
    credentials: Credentials = UNASKED
    admitted: bool = False
    """Whether a moderator has admitted the person, who waited in the lobby."""


@dataclass(slots=True)
class Depart(Awaited):
    """A session leaves the room. `reason` is left, switched, or disconnected (longer than the resume window)."""

    trigger: ClassVar[str] = "leave"
    seat: Seat[Any]
    reason: str
    ref: Ref | None = None
    put_out: bool = False
    """Whether the person was put out, by a moderator or an administrator."""
    by: Participant | None = None
    """The moderator who put the person out."""


@dataclass(slots=True)
class Away:
    """A session has lost its connection, and may come back."""

    trigger: ClassVar[str] = "away"
    seat: Seat[Any]


@dataclass(slots=True)
class Back(Awaited):
    """A session has a connection again, and needs a description of the room as it is now."""

    trigger: ClassVar[str] = "back"
    seat: Seat[Any]
    ref: Ref | None


@dataclass(slots=True)
class Administer(Awaited):
    """An administrator uses an operation of the admin API. `message` is what a moderator would send for that."""

    trigger: ClassVar[str] = ADMINISTERED
    message: Administering

    @property
    def operation(self) -> str:
        """The trigger of the administrator's machine."""
        return OPERATIONS[type(self.message)]


@dataclass(slots=True)
class ChangePolicy(Administer):
    """An administrator changes a part of the room's policy.

    `change` makes the new policy from the one before, or raises `Refusal`. The room calls it in its turn, so that
    nothing is lost that a moderator or another administrator has changed in the meantime. From then on `message`
    is the whole policy.
    """

    message: Administering = field(init=False)
    change: Callable[[Policy], Policy]

    def settle(self, policy: Policy) -> None:
        """Make the new policy from this one. Raises `Refusal`."""
        self.message = SetPolicy(self.change(policy))


@dataclass(slots=True)
class FileArrived(Awaited):
    """All bytes of a file have come."""

    trigger: ClassVar[str] = "file_arrived"
    file: SharedFile


@dataclass(slots=True)
class StreamFailed:
    """A stream's endpoint failed, or its presenter's media connection ended."""

    trigger: ClassVar[str] = "stream_failed"
    stream: Stream
    refusal: Refusal


@dataclass(slots=True)
class Revoked:
    """The person who publishes a stream may not do so any more."""

    trigger: ClassVar[str] = "revoked"
    stream: Stream


@dataclass(slots=True)
class ViewFailed:
    """A view's endpoint failed, or its viewer's media connection ended."""

    trigger: ClassVar[str] = "view_failed"
    view: StreamView
    refusal: Refusal


@dataclass(slots=True)
class MediaLost:
    """A media server lost the broadcast, or none could take it. `reason` is that of `streamEnded`."""

    trigger: ClassVar[str] = "media_lost"
    broadcast: Broadcast
    reason: str


@dataclass(slots=True)
class Expire:
    """The room has been empty for long enough. `linger` is the time that is over."""

    trigger: ClassVar[str] = "expire"
    linger: trio.CancelScope


@dataclass(slots=True)
class Vacate(Awaited):
    """The server needs the place of this room, which is empty, for another one."""

    trigger: ClassVar[str] = "vacate"


@dataclass(slots=True)
class Close(Awaited):
    """The room must close, whatever goes on in it."""

    trigger: ClassVar[str] = "close"
    reason: str
    by: Participant | None = None
    """The moderator who closes it."""
    ref: Ref | None = None
    with_server: bool = False
    """Whether the server ends, so that the room comes back with it."""


@dataclass(slots=True)
class Disowned:
    """The room goes on at another server."""

    trigger: ClassVar[str] = "disowned"


@dataclass(slots=True)
class HandOver(Awaited):
    """The room ends here, and somebody else opens it again, with the people and the media that it has now.

    That may be the next run of this server, or another server that uses the same store.
    """

    trigger: ClassVar[str] = "hand_over"
    reason: str


@dataclass(slots=True)
class Drained:
    """A closing room waits no longer, neither for its people nor for the release of its endpoints."""

    trigger: ClassVar[str] = "drained"


type Event = (
    Ask
    | Enter
    | Depart
    | Away
    | Back
    | Administer
    | FileArrived
    | StreamFailed
    | Revoked
    | ViewFailed
    | MediaLost
    | Expire
    | Vacate
    | Close
    | Disowned
    | HandOver
    | Drained
)
