"""The front door: one port, where a websocket upgrade on `/ws` goes to signalling and all else to HTTP."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import h11
import structlog
import trio

from roomfsm.signaling.settings import SignalingSettings

_log = structlog.get_logger()

MAX_HEAD = 16_384
"""Bytes of a request head; hypercorn, which answers an overlong one, has the same bound."""

WEBSOCKET_PATH = "/ws"
_END_OF_HEAD = b"\r\n\r\n"

type Transport = trio.SocketStream | trio.SSLStream[trio.SocketStream]
type ServeWebsocket = Callable[[Transport, RequestHead], Awaitable[None]]
type ServeHttp = Callable[[trio.abc.Stream], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class RequestHead:
    """What was read from a connection so far, and the request head in it. `headers` by lower-case names."""

    read: bytes
    method: str
    target: str
    headers: Mapping[str, str]

    @property
    def asks_for_websocket(self) -> bool:
        """Whether it wants to become a websocket, rightly or not."""
        return self.headers.get("upgrade", "").lower() == "websocket"

    def fault(self) -> str | None:
        """The status line and headers that refuse an upgrade that is none of ours (RFC 6455 section 4.2)."""
        if self.target.split("?", 1)[0] != WEBSOCKET_PATH:
            return "404 Not Found"
        if self.headers.get("sec-websocket-version") != "13":
            return "426 Upgrade Required\r\nSec-WebSocket-Version: 13"
        tokens = [token.strip() for token in self.headers.get("connection", "").lower().split(",")]
        if self.method != "GET" or "upgrade" not in tokens or not self.headers.get("sec-websocket-key"):
            return "400 Bad Request"
        return None


class ReplayedStream(trio.abc.HalfCloseableStream):
    """A transport whose first bytes were read already and are read again.

    Looks like the transport to hypercorn's TCPServer, which asks for `socket` or, over TLS, for
    `do_handshake`, `selected_alpn_protocol` and `transport_stream`.
    """

    def __init__(self, transport: Transport, head: bytes) -> None:
        self._transport = transport
        self._head = head

    def __getattr__(self, name: str) -> object:
        if name in ("socket", "do_handshake", "selected_alpn_protocol", "transport_stream"):
            return getattr(self._transport, name)
        raise AttributeError(name)

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if self._head:
            await trio.lowlevel.checkpoint()
            head, self._head = self._head, b""
            return head
        return await self._transport.receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._transport.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._transport.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        if isinstance(self._transport, trio.SocketStream):
            await self._transport.send_eof()

    async def aclose(self) -> None:
        await self._transport.aclose()


@dataclass(frozen=True, slots=True)
class FrontDoor:
    """Accepts connections and decides by the request head who serves them."""

    settings: SignalingSettings
    serve_websocket: ServeWebsocket
    serve_http: ServeHttp
    tls: ssl.SSLContext | None = None
    _open: set[Transport] = field(default_factory=set)

    async def serve(
        self,
        listeners: list[trio.SocketListener],
        handler_nursery: trio.Nursery,
        *,
        task_status: trio.TaskStatus[list[trio.SocketListener]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept until cancelled; the connections live in `handler_nursery`, and may outlive the accepting."""
        await trio.serve_listeners(
            self._handle, listeners, handler_nursery=handler_nursery, task_status=task_status
        )

    async def _handle(self, socket_stream: trio.SocketStream) -> None:
        transport: Transport = socket_stream
        serve = None
        try:
            with trio.move_on_after(self.settings.head_timeout):
                if self.tls is not None:
                    transport = trio.SSLStream(socket_stream, self.tls, server_side=True, https_compatible=True)
                    await transport.do_handshake()
                serve = self._route(transport, await _read_head(transport))
            self._open.add(transport)
            if serve is not None:
                await serve()
        except* (trio.BrokenResourceError, trio.ClosedResourceError) as group:
            # A client that went away, or spoke plain HTTP to the TLS port: nobody is left to be told.
            _log.debug("connection ended early", why=repr(group.exceptions))
        except* Exception:  # noqa: BLE001 (a boundary)
            # A fault in serving one connection must not end the others: this is the boundary.
            _log.exception("connection failed")
        finally:
            self._open.discard(transport)
            await trio.aclose_forcefully(transport)

    async def shut(self) -> None:
        """Close every transport that is still open.

        hypercorn sends inside a shield, so a client that does not read can only be ended by its transport.
        """
        for transport in tuple(self._open):
            await trio.aclose_forcefully(transport)

    def _route(self, transport: Transport, read: bytes) -> Callable[[], Awaitable[None]] | None:
        if not read:
            return None
        head = parse_head(read)
        if head is not None and head.asks_for_websocket:
            fault = head.fault()
            if fault is not None:
                # hypercorn would take any upgrade for a websocket of its own.
                return lambda: _refuse(transport, fault)
            return lambda: self.serve_websocket(transport, head)
        return lambda: self.serve_http(ReplayedStream(transport, read))


async def _refuse(transport: Transport, status: str) -> None:
    await transport.send_all(f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())


async def _read_head(transport: Transport) -> bytes:
    """Up to and perhaps beyond the end of the request head; what there is if it ends early or is too long."""
    head = b""
    while _END_OF_HEAD not in head and len(head) <= MAX_HEAD:
        data = await transport.receive_some(4096)
        if not data:
            break
        head += data
    return head


def parse_head(read: bytes) -> RequestHead | None:
    """The request head that `read` begins with; None if it is not HTTP/1.1, which hypercorn then answers."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
    try:
        connection.receive_data(read)
        request = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    if not isinstance(request, h11.Request):
        return None
    headers = {name.decode("ascii"): value.decode("latin-1") for name, value in request.headers}
    return RequestHead(read, request.method.decode("ascii"), request.target.decode("latin-1"), headers)
