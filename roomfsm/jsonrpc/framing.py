"""Encoding and decoding of single JSON-RPC 2.0 messages (https://www.jsonrpc.org/specification)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603

type MessageId = int | str | float | None
type Params = Mapping[str, Any]


class FramingError(Exception):
    """The text is not a single JSON-RPC 2.0 message.

    `code` is `PARSE_ERROR` (not JSON), `INVALID_REQUEST` (JSON, but not a message; or a batch, which Kurento
    answers with -32600) or `INVALID_PARAMS` (a call whose `params` are neither missing, null nor an object). `id`
    is the message's id if it could be read.
    """

    def __init__(self, code: int, message: str, id: MessageId = None) -> None:  # noqa: A002 (the field's name)
        super().__init__(message)
        self.code = code
        self.id = id


class ErrorObject(msgspec.Struct, frozen=True):
    """The error of a request (section 5.1)."""

    code: int
    message: str
    data: Any = None


class Request(msgspec.Struct, frozen=True):
    """A call that expects a response (section 4). `params` is None if the member is missing."""

    id: MessageId
    method: str
    params: Params | None = None


class Notification(msgspec.Struct, frozen=True):
    """A call without an id, which is never answered (section 4.1)."""

    method: str
    params: Params | None = None


class Response(msgspec.Struct, frozen=True):
    """The response to the request with that id (section 5). `error` is None if the request succeeded."""

    id: MessageId
    result: Any = None
    error: ErrorObject | None = None


type Message = Request | Notification | Response


def decode(text: str | bytes) -> Message:
    """Read one message.

    Raises `FramingError` if the text is not exactly one JSON-RPC 2.0 message.
    """
    try:
        raw = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FramingError(PARSE_ERROR, f"Parse error: {error}") from error
    if not isinstance(raw, dict):
        raise FramingError(INVALID_REQUEST, "Invalid JSON-RPC request: expected one object")
    has_id = "id" in raw
    id_ = raw.get("id")
    if isinstance(id_, bool) or not isinstance(id_, int | float | str | None):
        raise FramingError(INVALID_REQUEST, "'id' must be a string or a number")
    if isinstance(id_, int) and not -(2**63) <= id_ < 2**64:
        # JSON encoders cannot write this number as an integer. Kurento also answers such an id as a float.
        try:
            id_ = float(id_)
        except OverflowError as error:
            raise FramingError(INVALID_REQUEST, "'id' is out of range") from error
    if raw.get("jsonrpc") != "2.0":
        raise FramingError(INVALID_REQUEST, "'jsonrpc' must be '2.0'", id_)
    if "method" in raw:
        return _decode_call(raw, has_id, id_)
    if "result" in raw:
        return Response(id_, result=raw["result"])
    if "error" in raw:
        try:
            return Response(id_, error=msgspec.convert(raw["error"], ErrorObject))
        except msgspec.ValidationError as error:
            raise FramingError(INVALID_REQUEST, f"'error': {error}", id_) from error
    raise FramingError(INVALID_REQUEST, "neither 'method', 'result' nor 'error'", id_)


def _decode_call(raw: dict[str, Any], has_id: bool, id_: MessageId) -> Request | Notification:
    method = raw["method"]
    params = raw.get("params")
    if not isinstance(method, str):
        raise FramingError(INVALID_REQUEST, "'method' must be a string", id_)
    if params is not None and not isinstance(params, dict):
        # Kurento accepts parameters by name only.
        raise FramingError(INVALID_PARAMS, "'params' must be an object", id_)
    return Request(id_, method, params) if has_id else Notification(method, params)


_encoder = msgspec.json.Encoder()


def encode(message: Message) -> str:
    """Write one message. Members are in the order of the specification."""
    members: dict[str, Any] = {"jsonrpc": "2.0"}
    match message:
        case Request(id=id_, method=method, params=params):
            members |= {"id": id_, "method": method}
            if params is not None:
                members["params"] = params
        case Notification(method=method, params=params):
            members["method"] = method
            if params is not None:
                members["params"] = params
        case Response(id=id_, result=result, error=None):
            members |= {"id": id_, "result": result}
        case Response(id=id_, error=ErrorObject(code=code, message=text, data=data)):
            error: dict[str, Any] = {"code": code, "message": text}
            if data is not None:
                error["data"] = data
            members |= {"id": id_, "error": error}
    return _encoder.encode(members).decode()
