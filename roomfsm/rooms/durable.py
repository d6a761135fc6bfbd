"""What of a room outlives the process: its durable events, each of which says what a table has let happen.

Together the events of a room are the room: a room comes back when they are put to the tables again, in their order
(`roomfsm.rooms.come_back`). An event says what came out of a decision (the role that somebody got, the number of a
line), and not what led to it (the policy of that time, the clock), because that may be different when the room
comes back. A snapshot is a list of events, too: the shortest one that makes the room as it is.

Streams and views are kept, too, because media servers and browsers go on without the server. Each is kept when the
media server has answered its offer, with the id of its endpoint.

They are stored as JSON. The tag says what the rest means: an event whose meaning changes gets a new tag, and the
old one can still be read. Fields that are added later have a default.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from roomfsm.access.policy import Policy
from roomfsm.protocol.fields import Source, stream_id
from roomfsm.protocol.roles import Role
from roomfsm.protocol.server import ChatLine

_encoder = msgspec.json.Encoder()


class _Durable(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel", tag_field="is"):
    pass


class Opened(_Durable, frozen=True, tag="opened"):
    """The room was opened by a participant and an address, or by an administrator, who may have `reserved` it."""

    room: str
    by: tuple[str, str] = ("", "")
    own_policy: Policy | None = None
    reserved: bool = False


class Sat(_Durable, frozen=True, tag="sat", kw_only=True):
    """Somebody has entered. `at` is in milliseconds since 1970, and `tokens` are the hashes of resume tokens."""

    person: str
    name: str
    role: Role
    given: Role
    address: str
    at: int
    tokens: tuple[bytes, ...] = ()
    subject: str | None = None
    stands_in: bool = False
    only_watches: bool = False


class Returned(_Durable, frozen=True, tag="returned"):
    """Somebody is back over a new connection, and may come back by these tokens from now on.

    The address is that of the new connection. Events of older servers lack it.
    """

    person: str
    tokens: tuple[bytes, ...]
    address: str = ""


class Left(_Durable, frozen=True, tag="left"):
    """Somebody has left, was put out, or has lost the seat."""

    person: str


class Renamed(_Durable, frozen=True, tag="renamed"):
    person: str
    name: str


class GotRole(_Durable, frozen=True, tag="role"):
    person: str
    role: Role
    given: Role
    stands_in: bool = False


class HandMoved(_Durable, frozen=True, tag="hand"):
    """A hand is up, with this number in the queue of hands, or down."""

    person: str
    number: int | None = None


class MediaTold(_Durable, frozen=True, tag="media"):
    person: str
    microphone: bool | None = None
    camera: bool | None = None


class SoundMoved(_Durable, frozen=True, tag="sound"):
    """The machine of a person's sound took this trigger."""

    person: str
    trigger: str


class DoorMoved(_Durable, frozen=True, tag="door"):
    """The machine of the room's door took this trigger."""

    trigger: str


class Configured(_Durable, frozen=True, tag="configured"):
    """A moderator has changed these rules of the room's policy."""

    lobby: bool | None = None
    role: Role | None = None
    listed: bool | None = None
    files: bool | None = None


class PolicySet(_Durable, frozen=True, tag="policy"):
    """An administrator has given the room another policy."""

    policy: Policy


class Banned(_Durable, frozen=True, tag="banned"):
    """Somebody may not enter before `until` (milliseconds since 1970)."""

    person: str
    name: str
    address: str
    until: int
    subject: str | None = None


class Unbanned(_Durable, frozen=True, tag="unbanned"):
    person: str


class Said(_Durable, frozen=True, tag="said"):
    """Somebody has said a line for everybody. A file that it has is not kept."""

    line: ChatLine


class LineDeleted(_Durable, frozen=True, tag="lineDeleted"):
    line: int


class ChatCleared(_Durable, frozen=True, tag="chatCleared"):
    pass


class ChatKept(_Durable, frozen=True, tag="chat"):
    """All that is known of the chat: the newest lines, who said the last ones, and the number of the last one.

    Only snapshots have it.
    """

    number: int
    speakers: tuple[str | None, ...]
    lines: tuple[ChatLine, ...]


class MediaAt(_Durable, frozen=True, tag="mediaAt"):
    """The endpoints of the streams and views that follow are in this pipeline of a media server.

    `node` and `run` name the run of the room server that has it. Events of older servers lack them.
    """

    url: str
    session: str
    server: str
    pipeline: str
    node: str = ""
    run: str = ""


class Published(_Durable, frozen=True, tag="published"):
    """A stream has been answered."""

    person: str
    source: Source
    generation: int
    endpoint: str

    @property
    def stream(self) -> str:
        """The stream's id."""
        return stream_id(self.person, self.source)


class Relayed(_Durable, frozen=True, tag="relayed", kw_only=True):
    """A stream is relayed from the media server `above` to this pipeline at another one. `above` is empty for that
    of the presenter. `sender` and `receiver` are the two endpoints.

    Nothing says that a relay has ended: only what views need is taken up.
    """

    stream: str
    sender: str
    receiver: str
    above: str = ""
    to: MediaAt


class Unpublished(_Durable, frozen=True, tag="unpublished"):
    """A stream has ended, for whatever reason, and all views of it. If somebody leaves, `Left` says so."""

    person: str
    source: Source


class Viewed(_Durable, frozen=True, tag="viewed"):
    """A view has been answered. The media server knows which of the stream's media it passes on.

    `at` is the address of the media server to which the stream is relayed for it. Events of older servers lack it.
    """

    person: str
    stream: str
    generation: int
    endpoint: str
    at: str = ""


class Unviewed(_Durable, frozen=True, tag="unviewed"):
    """A view has ended, for whatever reason. If its stream ends or somebody leaves, those events say so."""

    person: str
    stream: str


class HandsCounted(_Durable, frozen=True, tag="hands"):
    """How many hands were raised so far. Only snapshots have it."""

    count: int


type Durable = (
    Opened
    | Sat
    | Returned
    | Left
    | Renamed
    | GotRole
    | HandMoved
    | MediaTold
    | SoundMoved
    | DoorMoved
    | Configured
    | PolicySet
    | Banned
    | Unbanned
    | Said
    | LineDeleted
    | ChatCleared
    | ChatKept
    | HandsCounted
    | MediaAt
    | Published
    | Relayed
    | Unpublished
    | Viewed
    | Unviewed
)

_decoder: msgspec.json.Decoder[Durable] = msgspec.json.Decoder(Durable)
_list_decoder: msgspec.json.Decoder[list[Durable]] = msgspec.json.Decoder(list[Durable])


def without_file(line: ChatLine) -> ChatLine:
    """The line as it is kept: files do not outlive the server."""
    return line if line.file is None else msgspec.structs.replace(line, file=None)


def named(event: Durable) -> str:
    """What the log says of the event: nothing that people have said, and no secret."""
    person = getattr(event, "person", None)
    tag = str(event.__struct_config__.tag)
    return tag if person is None else f"{tag} of {person}"


def encode(event: Durable) -> bytes:
    """The event as it is stored."""
    return _encoder.encode(event)


def encode_snapshot(events: Iterable[Durable]) -> bytes:
    """The events that make a room as it is now, as one snapshot."""
    return _encoder.encode(list(events))


def decode(snapshot: bytes | None, events: Sequence[bytes]) -> list[Durable]:
    """The events of a room that was stored. Raises `msgspec.DecodeError`."""
    before = [] if snapshot is None else _list_decoder.decode(snapshot)
    return before + [_decoder.decode(event) for event in events]
