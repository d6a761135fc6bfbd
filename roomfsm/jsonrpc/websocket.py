"""Three faults of trio-websocket 0.12.2, mended for every websocket of the program."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from trio_websocket import WebSocketConnection
from wsproto.connection import ConnectionState
from wsproto.events import CloseConnection

_WHILE_OPEN = ("_handle_ping_event", "_handle_message_event")
_CLOSE = "_handle_close_connection_event"

type _Handler = Callable[[Any, Any], Awaitable[None]]


def mend_websockets() -> None:
    """Handle pings and messages only while the connection is open, and say why it is closed.

    One that arrives during `aclose()` would be answered (a ping by a pong, its issue 184; a message that is too
    long by a second close), which raises in the reader task; of a ping the `Cancelled` then leaks out of
    `open_websocket`, and an enclosing nursery absorbs it in silence. A frame that breaks RFC 6455 would end the
    connection without the close frame that has the code of its fault (section 7.1.7). Idempotent.
    """
    for name in _WHILE_OPEN:
        _mend(name, _while_open)
    _mend(_CLOSE, _with_reason)


def _mend(name: str, mended: Callable[[_Handler], _Handler]) -> None:
    handler: _Handler = getattr(WebSocketConnection, name)
    if not hasattr(handler, "unmended"):
        replacement = mended(handler)
        setattr(replacement, "unmended", handler)  # noqa: B010 (a function has no such attribute to mypy)
        setattr(WebSocketConnection, name, replacement)


def _while_open(handler: _Handler) -> _Handler:
    async def handle_while_open(connection: Any, event: Any) -> None:
        if connection._wsproto.state is ConnectionState.OPEN:
            await handler(connection, event)

    return handle_while_open


def _with_reason(handler: _Handler) -> _Handler:
    async def handle_close(connection: Any, event: Any) -> None:
        # The peer's own close frame is met in another state: this is wsproto's word for a frame it cannot take.
        if connection._wsproto.state is ConnectionState.OPEN:
            await connection._send(CloseConnection(event.code, event.reason))
        await handler(connection, event)

    return handle_close
