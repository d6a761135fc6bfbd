"""Strict decoding of client messages, and encoding of server messages once for all their recipients."""

from __future__ import annotations

import re

import msgspec

from roomfsm.protocol.client import ClientMessage, Join, Rename, Switch, message_type
from roomfsm.protocol.errors import IllegalInState, Malformed, Refusal, UnknownMessage
from roomfsm.protocol.fields import PATTERN_MEANINGS, Ref
from roomfsm.protocol.names import NameFault, display_name, room_name
from roomfsm.protocol.server import Error, Joined, ServerMessage

_client_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
_server_decoder: msgspec.json.Decoder[ServerMessage] = msgspec.json.Decoder(ServerMessage)
_encoder = msgspec.json.Encoder()


class _Readable(msgspec.Struct):
    """What of a message is worth reading when the rest cannot be read."""

    ref: Ref | None = None
    type: str | None = None


_readable_decoder = msgspec.json.Decoder(_Readable)
# msgspec says where by "… - at `$.name`", and an unknown tag by "Invalid value 'x' - at `$.type`".
_PATH = re.compile(r" - at `(?P<path>\$[^`]*)`$")
_MAX_TYPE = 64
_MAX_DETAIL = 200
"""An unknown field's name is the client's, and may be as long as its message."""
_FIELD = re.compile(r"^Object (?:contains unknown|missing required) field `(?P<field>[^`]*)`$")
_PATTERN = re.compile(r"^Expected `str` matching regex '(?P<regex>.*)'$", re.DOTALL)
_UNKNOWN_TYPE = re.compile(r"^Invalid value '(?P<type>.*)' - at `\$\.type`$", re.DOTALL)


def decode_client(text: str) -> ClientMessage:
    """Read one message of a client; names in it are as they are kept and told (`roomfsm.protocol.names`).

    Raises `UnknownMessage` where the type is none of ours, else `Malformed` with the path of the field
    at fault.
    """
    return with_prepared_names(read_client(text))


def read_client(text: str) -> ClientMessage:
    """Read one message of a client; names in it are as they came. Raises like `decode_client`.

    That is for whoever must first ask whether so much may be done for the client: what names need, a
    hundred times as much as all else, is done by `with_prepared_names`.
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
    where = _PATH.search(detail)
    path = where["path"] if where else "$"
    detail = _PATH.sub("", detail)
    if field := _FIELD.search(detail):
        path = f"{path}.{field['field']}"
    elif pattern := _PATTERN.match(detail):
        detail = PATTERN_MEANINGS[pattern["regex"].replace("\\\\", "\\")]
    known = _readable(text)
    raise Malformed(detail[:_MAX_DETAIL], path[:_MAX_DETAIL], known.ref, known.type)


def with_prepared_names[M: ClientMessage](message: M) -> M:
    """The message with its names as they are kept and told. Raises `Malformed` where one can be none."""
    path = "$"
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
    """A server message encoded once, to be delivered to many.

    `merge_key`: while an older message of the same key still waits in an outbox, this one takes its
    place. `is_reply`: it answers a message of its one recipient, and is no news of the room. `wire` is the
    transport's own encoding, made by the first connection that sends it and shared by the others.
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
    """The `error` that answers a refusal of the message of that type."""
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
        case Malformed(path=path, ref=own_ref, message=own_type):
            return Error(code=refusal.code, detail=detail, path=path, message=own_type, ref=own_ref)
        case UnknownMessage(ref=own_ref, message=own_type):
            return Error(code=refusal.code, detail=detail, message=own_type, ref=own_ref)
    return Error(code=refusal.code, detail=detail, message=message, stream=stream, ref=ref)


def _readable(text: str) -> _Readable:
    """Nothing of a message whose ref or type is of a wrong type, or that is no object."""
    try:
        readable = _readable_decoder.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return _Readable()
    if readable.type is not None:
        readable.type = readable.type[:_MAX_TYPE]
    return readable
