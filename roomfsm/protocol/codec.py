"""Strict decoding of client messages, and encoding of server messages once for all their recipients."""

from __future__ import annotations

import re

import msgspec

from roomfsm.protocol.client import ClientMessage, Join, Rename, SendFile, Switch, message_type
from roomfsm.protocol.errors import IllegalInState, Malformed, NotPermitted, Refusal, UnknownMessage
from roomfsm.protocol.fields import PATTERN_MEANINGS, Ref
from roomfsm.protocol.file_names import file_name
from roomfsm.protocol.names import NameFault, display_name, room_name
from roomfsm.protocol.server import Error, Joined, ServerMessage

_client_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
_server_decoder: msgspec.json.Decoder[ServerMessage] = msgspec.json.Decoder(ServerMessage)
_encoder = msgspec.json.Encoder()


class _Readable(msgspec.Struct):
    """The fields that are read from a message whose other fields are wrong."""

    ref: Ref | None = None
    type: str | None = None


_readable_decoder = msgspec.json.Decoder(_Readable)
# msgspec's errors end with "… - at `$.name`". For an unknown tag it says "Invalid value 'x' - at `$.type`".
_PATH = re.compile(r" - at `(?P<path>\$[^`]*)`$")
_MAX_TYPE = 64
_MAX_DETAIL = 200
"""The most characters of an unknown field's name in an error. The client chose that name, and it may be as long as
the message."""
_FIELD = re.compile(r"^Object (?:contains unknown|missing required) field `(?P<field>[^`]*)`$")
_PATTERN = re.compile(r"^Expected `str` matching regex '(?P<regex>.*)'$", re.DOTALL)
_UNKNOWN_TYPE = re.compile(r"^Invalid value '(?P<type>.*)' - at `\$\.type`$", re.DOTALL)


def decode_client(text: str) -> ClientMessage:
    """Read one message of a client. Names in it are converted to the form that is kept (`roomfsm.protocol.names`).

    Raises `UnknownMessage` if there is no message of that type, and otherwise `Malformed` with the path of the
    wrong field.
    """
    return with_prepared_names(read_client(text))


def read_client(text: str) -> ClientMessage:
    """Read one message of a client, and leave names in it as they are. Raises the errors of `decode_client`.

    Checking a name takes a hundred times as long as everything else. A caller that first has to check the client's
    rate limits uses this function, and then `with_prepared_names`.
    """
    try:
        return _client_decoder.decode(text)
    except msgspec.ValidationError as error:
        detail = str(error)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise Malformed(f"not JSON: {error}") from error
    if match := _UNKNOWN_TYPE.match(detail):
        type_ = match["type"][:_MAX_TYPE]
        raise UnknownMessage(f"no message of type '{type_}'", _readable(text).ref, type_)
    path, detail = fault_of(detail)
    known = _readable(text)
    raise Malformed(detail, path, known.ref, known.type)


def fault_of(error: str) -> tuple[str, str]:
    """The path of the wrong field and a detail for people, from the text of one of msgspec's validation errors."""
    where = _PATH.search(error)
    path = where["path"] if where else "$"
    detail = _PATH.sub("", error)
    if field := _FIELD.search(detail):
        path = f"{path}.{field['field']}"
    elif pattern := _PATTERN.match(detail):
        detail = PATTERN_MEANINGS.get(pattern["regex"].replace("\\\\", "\\"), detail)
    return path[:_MAX_DETAIL], detail[:_MAX_DETAIL]


def with_prepared_names[M: ClientMessage](message: M) -> M:
    """The message with its names in the form that is kept. Raises `Malformed` if a text cannot be a name."""
    path = "$"
    if isinstance(message, SendFile):
        # Whoever sends a file has not chosen its name for us. So it is mended, and never refused.
        return msgspec.structs.replace(message, name=file_name(message.name))
    try:
        if isinstance(message, Join | Switch):
            path = "$.room"
            message = msgspec.structs.replace(message, room=room_name(message.room))
        if isinstance(message, Join | Rename):
            path = "$.name"
            message = msgspec.structs.replace(message, name=display_name(message.name))
    except NameFault as fault:
        raise Malformed(str(fault)[:_MAX_DETAIL], path, message.ref, message_type(message)) from fault
    return message


def decode_server(text: str) -> ServerMessage:
    """Read one message of a server (for clients and tests). Raises `msgspec.DecodeError`."""
    return _server_decoder.decode(text)


def encode(message: ClientMessage | ServerMessage) -> str:
    """Write one message as JSON."""
    return _encoder.encode(message).decode()


class Outgoing:
    """A server message that is encoded once and delivered to many people.

    If an older message with the same `merge_key` still waits in an outbox, this message replaces it. `is_reply`
    says that the message answers a message of its only recipient, and is not news of the room. `wire` is the
    transport's encoding. The first connection that sends the message sets it, and the other connections use it.
    """

    __slots__ = ("is_reply", "merge_key", "message", "payload", "wire")

    def __init__(self, message: ServerMessage, merge_key: str | None = None, *, is_reply: bool = False) -> None:
        self.message = message
        self.merge_key = merge_key
        self.payload = _encoder.encode(message)
        self.wire: bytes | None = None
        self.is_reply = (
            is_reply or isinstance(message, Error | Joined) or getattr(message, "ref", None) is not None
        )


def error_of(refusal: Refusal, ref: Ref | None, message: str | None = None, *, stream: str | None = None) -> Error:
    """The `error` message for a refusal. `message` is the type of the refused message."""
    detail = str(refusal)
    match refusal:
        case IllegalInState(machine=machine, state=state, allowed=allowed):
            return Error(
                code=refusal.code,
                detail=detail,
                message=message,
                machine=machine,
                state=state,
                allowed=allowed,
                stream=stream,
                ref=ref,
            )
        case NotPermitted(role=role):
            return Error(code=refusal.code, detail=detail, message=message, stream=stream, role=role, ref=ref)
        case Malformed(path=path, ref=own_ref, message=own_type):
            return Error(code=refusal.code, detail=detail, path=path, message=own_type, ref=own_ref)
        case UnknownMessage(ref=own_ref, message=own_type):
            return Error(code=refusal.code, detail=detail, message=own_type, ref=own_ref)
    return Error(code=refusal.code, detail=detail, message=message, stream=stream, ref=ref)


def _readable(text: str) -> _Readable:
    """The readable fields of a message.

    They are None if the text is not an object, or `ref` or `type` has the wrong type.
    """
    try:
        readable = _readable_decoder.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return _Readable()
    if readable.type is not None:
        readable.type = readable.type[:_MAX_TYPE]
    return readable
