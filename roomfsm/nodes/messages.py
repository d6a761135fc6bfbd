"""What nodes tell each other about the browsers that are at one of them and in a room of another (by msgpack).

A browser's *edge* is the node that has its websocket, and its *home* is the node where its session lives. The edge
numbers its connections.

A request by HTTP has an edge, too, which numbers its requests, and its home is the node that answers it. The parts
of its body, and those of the answer, are sent only as far as the other node wants them (`BodyWanted`,
`AnswerWanted`), and as far as what was sent before has arrived there (`Arrived`).
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from roomfsm.access.grant import Grant
from roomfsm.protocol.fields import Ref


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A message from one node to another."""


class Luggage(msgspec.Struct, frozen=True, array_like=True):
    """What a session takes along when it moves to another node."""

    person: str
    tokens: tuple[bytes, ...]
    """The hashes of the tokens by which it can be resumed, the newest first."""
    address: str
    """The key of the browser's address, as `roomfsm.hosts.bound_key` makes it."""
    asked: str
    """The type of the browser's message: `join`, `switch` or `resume`."""
    state: str
    room_state: str | None
    """The states that the session and its room had, for what the browser is told if the message is refused."""
    ref: Ref | None = None
    grant: Grant | None = None


class Open(_Message, frozen=True):
    """The edge asks for a session that answers this message of the browser, and goes on there if it is taken."""

    connection: int
    luggage: Luggage
    text: str


class Outcome(StrEnum):
    """What has become of an `Open`."""

    TAKEN = "taken"
    """The session lives where it was asked for."""
    REFUSED = "refused"
    """The session stays where it was. The browser has its answer."""
    ELSEWHERE = "elsewhere"
    """The room, or the session that the token belongs to, is not there any more. The browser has no answer."""
    UNKNOWN = "unknown"
    """Nobody knows, because the other node is gone. The browser has to come back."""


class Opened(_Message, frozen=True):
    """The answer to an `Open`. `payloads` are messages for the browser, which come before all others."""

    connection: int
    outcome: Outcome
    payloads: tuple[bytes, ...]


class Said(_Message, frozen=True):
    """The browser has sent this message."""

    connection: int
    text: str


class Unread(_Message, frozen=True):
    """The messages that the browser had sent before its session moved, and that nobody has answered."""

    connection: int
    texts: tuple[str, ...]


class Took(_Message, frozen=True):
    """The home has handled so many more characters of what the browser has sent."""

    connection: int
    size: int


class Lost(_Message, frozen=True):
    """The browser's websocket is closed. `left` says whether the browser is gone for good."""

    connection: int
    left: bool


class Told(_Message, frozen=True):
    """The home tells these browsers the same message."""

    connections: tuple[int, ...]
    payload: bytes
    merge_key: str | None


class Close(_Message, frozen=True):
    """The home wants the websocket closed with this code."""

    connection: int
    code: int


class Move(_Message, frozen=True):
    """The home asks the edge to open the session at the node `to`."""

    connection: int
    to: str
    luggage: Luggage
    text: str


class Moved(_Message, frozen=True):
    """The answer to a `Move`."""

    connection: int
    outcome: Outcome


class Seek(_Message, frozen=True):
    """Who has a session that the token with this hash resumes? It has no seat, so the store does not know it."""

    number: int
    token: bytes


class Found(_Message, frozen=True):
    """The answer to a `Seek`: whether this node has it."""

    number: int
    here: bool


class Request(_Message, frozen=True):
    """The edge wants a request answered. The fields are those of `roomfsm.door.conversation.Exchange`."""

    number: int
    method: str
    target: str
    version: str
    fields: tuple[tuple[bytes, bytes], ...]
    secure: bool
    client: tuple[str, int]
    server: tuple[str, int]


class Question(_Message, frozen=True):
    """A node asks another one for a list of what it has."""

    number: int
    about: str


class BodyWanted(_Message, frozen=True):
    """The home takes so many more parts of the request's body."""

    number: int
    parts: int


class BodyPart(_Message, frozen=True):
    """A part of the request's body. An empty one is its end."""

    number: int
    data: bytes


class Gone(_Message, frozen=True):
    """Nobody waits for the answer any more."""

    number: int


class Answer(_Message, frozen=True):
    """The head of the answer."""

    number: int
    status: int
    fields: tuple[tuple[bytes, bytes], ...]


class AnswerPart(_Message, frozen=True):
    """A part of the answer. An empty one is its end."""

    number: int
    data: bytes


class AnswerWanted(_Message, frozen=True):
    """The edge takes so many more parts of the answer."""

    number: int
    parts: int


class AnswerBroken(_Message, frozen=True):
    """There is no answer, or no more of it."""

    number: int


class Arrived(_Message, frozen=True):
    """A part, or the head of a request, has arrived, whether or not somebody takes it."""


type ToHome = Open | Said | Lost | Moved
type ToEdge = Opened | Told | Close | Move | Unread | Took
type BetweenNodes = Seek | Found
type HttpToHome = Request | Question | BodyPart | Gone | AnswerWanted
type HttpToEdge = BodyWanted | Answer | AnswerPart | AnswerBroken
type NodeMessage = ToHome | ToEdge | BetweenNodes | HttpToHome | HttpToEdge | Arrived

_decoder: msgspec.msgpack.Decoder[NodeMessage] = msgspec.msgpack.Decoder(NodeMessage)
_encoder = msgspec.msgpack.Encoder()


def encode(message: NodeMessage) -> bytes:
    """The message as it is sent."""
    return _encoder.encode(message)


def decode(data: bytes) -> NodeMessage:
    """Read a message of another node. Raises `msgspec.DecodeError`, if that is of another version."""
    return _decoder.decode(data)
