"""One fault of trio-websocket 0.12.2, mended for every websocket of the program (its issue 184)."""

from __future__ import annotations

from typing import Any

from trio_websocket import WebSocketConnection
from wsproto.connection import ConnectionState

_handle_ping = WebSocketConnection._handle_ping_event


async def _handle_ping_while_open(connection: Any, event: Any) -> None:
    if connection._wsproto.state is ConnectionState.OPEN:
        await _handle_ping(connection, event)


def mend_pings() -> None:
    """Answer pings only while the connection is open.

    A ping that arrives during `aclose()` else raises in the reader task, and a `Cancelled` leaks out of
    `open_websocket` which an enclosing nursery absorbs in silence. Idempotent.
    """
    setattr(WebSocketConnection, "_handle_ping_event", _handle_ping_while_open)  # noqa: B010 (mypy: no method assignment)
