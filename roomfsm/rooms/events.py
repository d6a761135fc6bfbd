"""What comes into a room's inbox: from sessions and from the room's tasks. `trigger` names the table's rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import trio

from roomfsm.protocol.client import (
    Candidate,
    Chat,
    Publish,
    Rename,
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
from roomfsm.rooms.participant import Seat

type RoomMessage = Rename | Chat | Publish | Unpublish | View | Unview | Candidate


@dataclass(slots=True)
class Ask:
    """A participant's message."""

    seat: Seat[Any]
    message: RoomMessage

    @property
    def trigger(self) -> str:
        return message_type(self.message)


@dataclass(slots=True, kw_only=True)
class Awaited:
    """An event whose sender waits until it is done: `handled`, with a `refusal` or without, or left behind."""

    done: trio.Event = field(default_factory=trio.Event)
    handled: bool = False
    refusal: Refusal | None = None


@dataclass(slots=True)
class Enter(Awaited):
    """A session wants in. `asked` is the client's word for it: join or switch."""

    trigger: ClassVar[str] = "join"
    seat: Seat[Any]
    name: str
    ref: Ref | None
    asked: str = "join"


@dataclass(slots=True)
class Depart(Awaited):
    """A session is out: left, switched, or disconnected for longer than its resume window."""

    trigger: ClassVar[str] = "leave"
    seat: Seat[Any]
    reason: str
    ref: Ref | None = None


@dataclass(slots=True)
class Away:
    """A session's connection is lost; it may come back."""

    trigger: ClassVar[str] = "away"
    seat: Seat[Any]


@dataclass(slots=True)
class Back(Awaited):
    """A session has a connection again, and needs the room as it is."""

    trigger: ClassVar[str] = "back"
    seat: Seat[Any]
    ref: Ref | None


@dataclass(slots=True)
class StreamFailed:
    """A stream's endpoint failed, or its presenter's media connection ended."""

    trigger: ClassVar[str] = "stream_failed"
    stream: Stream
    refusal: Refusal


@dataclass(slots=True)
class ViewFailed:
    """A view's endpoint failed, or its viewer's media connection ended."""

    trigger: ClassVar[str] = "view_failed"
    view: StreamView
    refusal: Refusal


@dataclass(slots=True)
class MediaLost:
    """The media server that held a broadcast lost it, or none could be had; `reason` as in `streamEnded`."""

    trigger: ClassVar[str] = "media_lost"
    broadcast: Broadcast
    reason: str


@dataclass(slots=True)
class Expire:
    """The room has been empty for long enough."""

    trigger: ClassVar[str] = "expire"


@dataclass(slots=True)
class Vacate(Awaited):
    """The place of the room, which is empty, is needed for another one."""

    trigger: ClassVar[str] = "vacate"


@dataclass(slots=True)
class Close:
    """The room is to end, whatever goes on in it."""

    trigger: ClassVar[str] = "close"
    reason: str


@dataclass(slots=True)
class Drained:
    """A closing room waits no longer: neither for its people nor for the release of its endpoints."""

    trigger: ClassVar[str] = "drained"


type Event = (
    Ask | Enter | Depart | Away | Back | StreamFailed | ViewFailed | MediaLost | Expire | Vacate | Close | Drained
)
