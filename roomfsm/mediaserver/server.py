"""The websocket server at `/kurento`: sockets with bounded outboxes, requests served in order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream
from wsproto.utilities import LocalProtocolError

from roomfsm.jsonrpc import FramingError
from roomfsm.mediaserver.limits import Limits
from roomfsm.mediaserver.methods import Methods
from roomfsm.mediaserver.registry import Objects

PATH = "/kurento"

NORMAL, GOING_AWAY, PROTOCOL_ERROR, INVALID_DATA = 1000, 1001, 1002, 1007
"""Close codes (RFC 6455 section 7.4.1)."""

log = structlog.get_logger()


class ClientSocket:
    """One client's websocket; what goes to it waits in a bounded outbox, replies and events in one order."""

    def __init__(self, websocket: WebSocketConnection, limits: Limits) -> None:
        self.session_id: str | None = None
        self._websocket = websocket
        self._limits = limits
        self._outbox, self._to_send = trio.open_memory_channel[str](limits.outbox)
        self._scope = trio.CancelScope()

    def push(self, text: str) -> None:
        """Queue an event; a socket whose outbox is full is cut."""
        try:
            self._outbox.send_nowait(text)
        except trio.WouldBlock:
            self._cut("outbox full")
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # it is going already

    async def serve(self, methods: Methods) -> int:
        """Serve requests one after another until the client closes, is cut, or sends what is not JSON.

        Returns the code to close with.
        """
        close_code = NORMAL
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._send_outbox)
                try:
                    await self._serve_requests(methods)
                except FramingError as error:
                    log.info("not JSON, closing", error=str(error))
                    close_code = INVALID_DATA
                # What is still queued goes out first.
                self._outbox.close()
        return close_code

    async def _serve_requests(self, methods: Methods) -> None:
        while True:
            try:
                text = await self._websocket.get_message()
            except ConnectionClosed:
                return
            # Waits where the client reads slowly: then its next request waits too.
            await self._outbox.send(await methods.answer(text, self))

    async def _send_outbox(self) -> None:
        async for text in self._to_send:
            with trio.move_on_after(self._limits.send_timeout) as scope:
                try:
                    await self._websocket.send_message(text)
                except ConnectionClosed:
                    return
            if scope.cancelled_caught:
                self._cut("client does not read")

    def _cut(self, reason: str) -> None:
        log.warning("cutting a client", reason=reason, session=self.session_id)
        self._scope.cancel()


class WebSocketServer:
    """Accepts clients until cancelled; `url` is where."""

    def __init__(self, objects: Objects, limits: Limits, listeners: list[trio.SocketListener]) -> None:
        self._objects = objects
        self._limits = limits
        self._methods = Methods(objects)
        self._listeners = listeners
        self._sockets = 0
        host, port = listeners[0].socket.getsockname()[:2]
        self.url = f"ws://{f'[{host}]' if ':' in host else host}:{port}{PATH}"

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._collect_abandoned)
            await trio.serve_listeners(self._serve_client, self._listeners)

    async def _collect_abandoned(self) -> None:
        while True:
            await trio.sleep(self._limits.collector_period)
            self._objects.collect()

    async def _serve_client(self, stream: trio.SocketStream) -> None:
        async with stream:
            if self._sockets >= self._limits.max_sockets:
                log.warning("too many sockets", limit=self._limits.max_sockets)
                return
            self._sockets += 1
            try:
                await self._serve_websocket(stream)
            except* LocalProtocolError as group:
                # trio-websocket sends a pong, or what was under way, into a closing handshake: wsproto refuses.
                log.debug("websocket ended in the middle", error=str(group.exceptions[0]))
            finally:
                self._sockets -= 1

    async def _serve_websocket(self, stream: trio.SocketStream) -> None:
        """Serve one client from its handshake to its end."""
        async with trio.open_nursery() as nursery:
            with trio.move_on_after(self._limits.handshake_timeout) as handshake:
                request = await wrap_server_stream(
                    nursery, stream, message_queue_size=1, max_message_size=self._limits.max_message
                )
                websocket = await request.accept()
            if handshake.cancelled_caught:
                nursery.cancel_scope.cancel()
                return
            close_code, reason = GOING_AWAY, None
            try:
                if request.path.partition("?")[0] == PATH:
                    close_code = await self._serve_socket(websocket)
                else:
                    close_code, reason = PROTOCOL_ERROR, "Invalid path"
            finally:
                # Also while cancelled, so that a client learns that the server goes.
                with trio.move_on_after(self._limits.close_timeout, shield=True):
                    await websocket.aclose(close_code, reason)
                nursery.cancel_scope.cancel()

    async def _serve_socket(self, websocket: WebSocketConnection) -> int:
        socket = ClientSocket(websocket, self._limits)
        try:
            return await socket.serve(self._methods)
        finally:
            self._objects.sessions.unbind(socket)


@asynccontextmanager
async def open_websocket_server(
    objects: Objects, limits: Limits, host: str, port: int
) -> AsyncIterator[WebSocketServer]:
    """Serve Kurento's protocol on `host` and `port` (0: the system chooses) until the block ends.

    Raises `OSError` where the address cannot be bound.
    """
    listeners = await trio.open_tcp_listeners(port, host=host)
    server = WebSocketServer(objects, limits, listeners)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run)
        yield server
        nursery.cancel_scope.cancel()
