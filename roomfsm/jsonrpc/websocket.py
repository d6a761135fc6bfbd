"""trio-websocket's connection without three faults of its version 0.12.2.

A ping or a message that arrives during `aclose()` would be answered (a ping by a pong, its issue 184; a message
that is too long by a second close), which raises in the reader task; of a ping the `Cancelled` then leaks out of
`open_websocket`, and an enclosing nursery absorbs it in silence. And a frame that breaks RFC 6455 would end the
connection without the close frame that has the code of its fault (section 7.1.7).

The handlers are private, so a subclass overrides them, and nobody else's websockets change;
`tests/jsonrpc/test_websocket.py` holds the canary.
"""

from __future__ import annotations

import trio
from trio_websocket import WebSocketConnection, WebSocketRequest
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage


class Websocket(WebSocketConnection):
    """A websocket that handles pings and messages only while it is open, and says why it is closed."""

    async def _handle_ping_event(self, event: Ping) -> None:
        if self._wsproto.state is ConnectionState.OPEN:
            await super()._handle_ping_event(event)

    async def _handle_message_event(self, event: TextMessage | BytesMessage) -> None:
        if self._wsproto.state is ConnectionState.OPEN:
            await super()._handle_message_event(event)

    async def _handle_close_connection_event(self, event: CloseConnection) -> None:
        # The peer's own close frame is met in another state: this is wsproto's word for a frame it cannot take.
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
    """A client's websocket over the stream, once the handshake is done; it is read by a task in `nursery`.

    Like `trio_websocket.wrap_client_stream`, and raises the same.
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

    Like `trio_websocket.wrap_server_stream`, and raises the same.
    """
    websocket = Websocket(
        stream,
        WSConnection(ConnectionType.SERVER),
        message_queue_size=message_queue_size,
        max_message_size=max_message_size,
    )
    nursery.start_soon(websocket._reader_task)
    return await websocket._get_request()
