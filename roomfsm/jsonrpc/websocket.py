"""trio-websocket's connection without three faults of version 0.12.2.

If a ping or a message arrives during `aclose()`, trio-websocket answers it (a ping with a pong, see its issue 184;
a message that is too long with a second close), which raises an exception in the reader task. After a ping, the
`Cancelled` leaks out of `open_websocket`, and an enclosing nursery absorbs it silently. Also, a frame that breaks
RFC 6455 would end the connection without a close frame that has the right code (section 7.1.7).

The handlers are private. A subclass overrides them, so that websockets of other code do not change.
`tests/jsonrpc/test_websocket.py` has the canary test.
"""

from __future__ import annotations

import trio
from trio_websocket import WebSocketConnection, WebSocketRequest
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage


class Websocket(WebSocketConnection):
    """A websocket that handles pings and messages only while it is open, and sends the right close code."""

    async def _handle_ping_event(self, event: Ping) -> None:
        if self._wsproto.state is ConnectionState.OPEN:
            await super()._handle_ping_event(event)

    async def _handle_message_event(self, event: TextMessage | BytesMessage) -> None:
        if self._wsproto.state is ConnectionState.OPEN:
            await super()._handle_message_event(event)

    async def _handle_close_connection_event(self, event: CloseConnection) -> None:
        # If the peer sent a close frame, the state is another one. In this state, wsproto reports a frame that
        # breaks the rules.
        if self._wsproto.state is ConnectionState.OPEN:
            await self._send(CloseConnection(event.code, event.reason))
        await super()._handle_close_connection_event(event)


async def wrap_client(
    nursery: trio.Nursery,
    stream: trio.abc.Stream,
    host: str,
    resource: str,
    *,
    headers: list[tuple[bytes, bytes]],
    max_message_size: int,
) -> Websocket:
    """A client's websocket over the stream, after the handshake. A task in `nursery` reads it.

    It is like `trio_websocket.wrap_client_stream`, and raises the same errors.
    """
    websocket = Websocket(
        stream,
        WSConnection(ConnectionType.CLIENT),
        host=host,
        path=resource,
        client_extra_headers=headers,
        max_message_size=max_message_size,
    )
    nursery.start_soon(websocket._reader_task)
    await websocket._open_handshake.wait()
    return websocket


async def wrap_server(
    nursery: trio.Nursery, stream: trio.abc.Stream, *, message_queue_size: int, max_message_size: int
) -> WebSocketRequest:
    """A client's request for a websocket over the stream, to be accepted or rejected.

    It is like `trio_websocket.wrap_server_stream`, and raises the same errors.
    """
    websocket = Websocket(
        stream,
        WSConnection(ConnectionType.SERVER),
        message_queue_size=message_queue_size,
        max_message_size=max_message_size,
    )
    nursery.start_soon(websocket._reader_task)
    return await websocket._get_request()
