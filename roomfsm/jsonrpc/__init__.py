"""JSON-RPC 2.0 framing shared by the Kurento client and the embedded media server."""

from roomfsm.jsonrpc.framing import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    ErrorObject,
    FramingError,
    Message,
    MessageId,
    Notification,
    Params,
    Request,
    Response,
    decode,
    encode,
)

__all__ = [
    "INTERNAL_ERROR",
    "INVALID_PARAMS",
    "INVALID_REQUEST",
    "METHOD_NOT_FOUND",
    "PARSE_ERROR",
    "ErrorObject",
    "FramingError",
    "Message",
    "MessageId",
    "Notification",
    "Params",
    "Request",
    "Response",
    "decode",
    "encode",
]
