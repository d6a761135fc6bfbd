"""Two faults of trio-websocket 0.12.2, mended for every websocket of the program."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from trio_websocket import WebSocketConnection
from wsproto.connection import ConnectionState

_HANDLERS = ("_handle_ping_event", "_handle_message_event")

type _Handler = Callable[[Any, Any], Awaitable[None]]


def mend_websockets() -> None:
    """Handle pings and messages only while the connection is open.

    One that arrives during `aclose()` would be answered (a ping by a pong, its issue 184; a message that is too
    long by a second close), which raises in the reader task; of a ping the `Cancelled` then leaks out of
    `open_websocket`, and an enclosing nursery absorbs it in silence. Idempotent.
    """
    for name in _HANDLERS:
        handler: _Handler = getattr(WebSocketConnection, name)
        if not hasattr(handler, "unmended"):
            setattr(WebSocketConnection, name, _while_open(handler))


def _while_open(handler: _Handler) -> _Handler:
    async def handle_while_open(connection: Any, event: Any) -> None:
        if connection._wsproto.state is ConnectionState.OPEN:
            await handler(connection, event)

    setattr(handle_while_open, "unmended", handler)  # noqa: B010 (a function has no such attribute to mypy)
    return handle_while_open
