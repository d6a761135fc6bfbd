"""The websocket server at `/kurento`.

It decides who may connect, has bounded outboxes, and serves requests in order. Kurento's protocol has no
passwords, and anybody who speaks it controls every call. Three kinds of strangers can reach a port on the loopback
interface: pages in a browser on the machine, whose handshake always has an `Origin`; pages whose name was rebound
to us, whose `Host` has that name; and programs of other users, which do not know the secret.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import parse_qs

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest
from wsproto.utilities import LocalProtocolError

from roomfsm.hosts import answers_to
from roomfsm.jsonrpc import FramingError
from roomfsm.jsonrpc.websocket import wrap_server
from roomfsm.log import get_logger
from roomfsm.mediaserver.base.boundary import Boundary
from roomfsm.mediaserver.kurento.limits import Limits
from roomfsm.mediaserver.kurento.methods import Methods
from roomfsm.mediaserver.kurento.registry import Objects

PATH = "/kurento"

NORMAL, GOING_AWAY, PROTOCOL_ERROR, INVALID_DATA = 1000, 1001, 1002, 1007
"""Close codes (RFC 6455 section 7.4.1)."""

log = get_logger(__name__)


@dataclass(slots=True)
class Clients:
    """Who may connect."""

    host_names: tuple[str, ...] = ()
    """Our own names, besides addresses and the loopback names."""
    secret: str | None = None
    """The secret that a client must know; None if it needs none."""

    def refusal(self, request: WebSocketRequest) -> tuple[int, str] | None:
        """The HTTP status and the reason for refusing this handshake; None if it is allowed."""
        headers = [(name.lower(), value) for name, value in request.headers]
        if any(name == b"origin" for name, _ in headers):
            return 403, "a web page may not control a media server"
        if self.secret is not None:
            given = [value.decode("latin-1") for name, value in headers if name == b"authorization"]
            if not any(self._is_secret(text) for text in _secrets_in(given, request.path)):
                return 401, "the secret is missing or wrong (see --secret-file)"
        elif not answers_to(request._event.host, self.host_names):  # the only header that `request` does not offer
            return 421, "the Host header is not a name of this media server (see --host-name)"
        return None

    def _is_secret(self, given: str) -> bool:
        # The comparison takes the same time however much of the secret is right.
        return self.secret is not None and hmac.compare_digest(given.encode(), self.secret.encode())


def _secrets_in(authorizations: list[str], target: str) -> list[str]:
    """The secrets that a client offers.

    They are a bearer token or a password (RFC 6750, RFC 7617), or `?secret=` for clients that can only be given a
    URL.
    """
    found = parse_qs(target.partition("?")[2]).get("secret", [])
    for authorization in authorizations:
        scheme, _, credentials = authorization.partition(" ")
        if scheme.lower() == "bearer":
            found.append(credentials.strip())
        elif scheme.lower() == "basic":
            try:
                found.append(base64.b64decode(credentials, validate=True).decode().partition(":")[2])
            except (binascii.Error, UnicodeDecodeError):
                continue
    return found


_CLIENT = Boundary("one client's connection")
_COLLECTOR = Boundary("a round of the collector")


class ClientSocket:
    """One client's websocket. Replies and events wait for it in one bounded outbox, in order."""

    def __init__(self, websocket: WebSocketConnection, limits: Limits) -> None:
        self.session_id: str | None = None
        self._websocket = websocket
        self._limits = limits
        self._outbox, self._to_send = trio.open_memory_channel[str](limits.outbox)
        self._scope = trio.CancelScope()

    def push(self, text: str) -> None:
        """Queue an event. If the outbox is full, the socket is cut."""
        try:
            self._outbox.send_nowait(text)
        except trio.WouldBlock:
            self._cut("outbox full")
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the socket is already closing

    async def serve(self, methods: Methods) -> int:
        """Serve requests one after another until the client closes, is cut, or sends a message that is not JSON.

        Returns the close code.
        """
        close_code = NORMAL
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._send_outbox)
                try:
                    await self._serve_requests(methods)
                except FramingError as error:
                    log.info("message is no json, closing", error=str(error))
                    close_code = INVALID_DATA
                # Messages that are still queued are sent first.
                self._outbox.close()
        return close_code

    async def _serve_requests(self, methods: Methods) -> None:
        while True:
            try:
                text = await self._websocket.get_message()
            except ConnectionClosed:
                return
            # If the client reads slowly, this waits, and so does the client's next request.
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
    """Accepts clients until cancelled. `url` is its address."""

    def __init__(
        self, objects: Objects, limits: Limits, listeners: list[trio.SocketListener], clients: Clients
    ) -> None:
        self._objects = objects
        self._clients = clients
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
            with _COLLECTOR:
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
                # trio-websocket may send a pong or another frame during the closing handshake, which wsproto
                # refuses.
                log.debug("websocket ended in the middle", error=str(group.exceptions[0]))
            except* UnicodeError as group:
                # wsproto decodes the Host header by IDNA, and does not catch the error if that fails.
                log.debug("host header is not a name", error=str(group.exceptions[0]))
            except* Exception as group:  # noqa: BLE001 (see boundary.py)
                _CLIENT.caught(group)
            finally:
                self._sockets -= 1

    async def _serve_websocket(self, stream: trio.SocketStream) -> None:
        """Serve one client from its handshake until it has gone."""
        async with trio.open_nursery() as nursery:
            with trio.move_on_after(self._limits.handshake_timeout) as handshake:
                request = await wrap_server(
                    nursery, stream, message_queue_size=1, max_message_size=self._limits.max_message
                )
                refusal = self._clients.refusal(request)
                if refusal is not None:
                    status, why = refusal
                    log.warning("client refused", status=status, why=why)
                    await request.reject(status, body=f"{why}\n".encode())
                    nursery.cancel_scope.cancel()
                    return
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
                # This is also done while cancelled, so that clients learn that the server is shutting down.
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
    objects: Objects, limits: Limits, host: str, port: int, clients: Clients | None = None
) -> AsyncIterator[WebSocketServer]:
    """Serve Kurento's protocol on `host` and `port` until the block ends. With port 0 the system chooses one.

    Without `clients`, no secret is needed, and the server has no names besides its addresses.

    Raises `OSError` if the address cannot be bound.
    """
    listeners = await trio.open_tcp_listeners(port, host=host)
    server = WebSocketServer(objects, limits, listeners, clients or Clients())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run)
        yield server
        nursery.cancel_scope.cancel()
