"""Makes webhooks of what happens in the rooms. It is one of the rooms' observers."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from roomfsm.protocol.names import room_key
from roomfsm.protocol.server import (
    ParticipantJoined,
    ParticipantLeft,
    ServerMessage,
    StreamEnded,
    StreamStarted,
)
from roomfsm.rooms.observers import Seen
from roomfsm.rooms.participant import Participant

type Json = dict[str, Any]

TYPES = (
    "roomOpened",
    "roomClosed",
    "participantJoined",
    "participantLeft",
    "kicked",
    "streamStarted",
    "streamEnded",
)
_PUT_OUT = ("kicked", "banned")


@dataclass(slots=True, eq=False)
class Webhook:
    """Something that happened, on its way to one receiver.

    The body is made when it is first sent, and stays the same when it is sent again.
    """

    type: str
    room: str
    """The key of the room, whose webhooks arrive in their order."""
    data: Json
    dropped: int = 0
    """How many webhooks of the room were dropped since the one before this."""
    at: float = field(default_factory=time.time)
    id: str = field(default_factory=lambda: f"msg_{secrets.token_hex(12)}")
    _body: bytes | None = None

    def body(self) -> bytes:
        """The body of each attempt."""
        if self._body is None:
            moment = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            content: Json = {"type": self.type, "timestamp": moment, "data": self.data}
            if self.dropped:
                content["dropped"] = self.dropped
            self._body = msgspec.json.encode(content)
        return self._body


class RoomEvents:
    """Makes a webhook of each thing that receivers are told, and passes it to `send`."""

    def __init__(self, send: Callable[[str, str, Json], None]) -> None:
        self._send = send

    def opened(self, room: Seen) -> None:
        """A room was opened."""
        self._tell("roomOpened", room)

    def ended(self, room: Seen, reason: str) -> None:
        """A room has ended."""
        self._tell("roomClosed", room, reason=reason)

    def happened(
        self, room: Seen, message: ServerMessage, about: Participant | None, by: Participant | None
    ) -> None:
        """Everybody in the room was told a message."""
        match message:
            case ParticipantJoined():
                self._tell("participantJoined", room, participant=_person(about))
            case ParticipantLeft(reason=reason):
                if reason in _PUT_OUT:
                    self._tell(
                        "kicked", room, participant=_person(about), banned=reason == "banned", by=_mover(by)
                    )
                self._tell("participantLeft", room, participant=_person(about), reason=reason)
            case StreamStarted(stream=stream):
                told = {"id": stream.id, "source": stream.source, "generation": stream.generation}
                self._tell("streamStarted", room, participant=_person(about), stream=told)
            case StreamEnded(stream=ended, reason=reason):
                self._tell("streamEnded", room, participant=_person(about), stream={"id": ended}, reason=reason)

    def _tell(self, type_: str, room: Seen, **data: Any) -> None:
        self._send(type_, room_key(room.name), {"room": room.name, "run": room.run_id, **data})


def _person(person: Participant | None) -> Json | None:
    if person is None:
        return None
    return {"id": person.id, "name": person.name, "role": person.role, "subject": person.subject}


def _mover(by: Participant | None) -> Json:
    """Who put somebody out: a moderator, or else an administrator."""
    return {"administrator": True} if by is None else {"administrator": False, "participant": _person(by)}
