"""A client that writes raw bytes and reads answers one by one, over one connection, with or without TLS."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import h11
import trio

from roomfsm.protocol import SUBPROTOCOL
from tests.serving import Served
from tests.web.http import Reply

PATIENCE = 60.0

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: " + SUBPROTOCOL.encode() + b"\r\n\r\n"
)


class Talk:
    """One connection."""

    def __init__(self, stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]) -> None:
        self.stream = stream
        self._left = b""

    async def say(self, data: bytes) -> None:
        """Send these bytes."""
        await self.stream.send_all(data)

    async def get(self, target: str = "/health/live", *fields: str) -> Reply:
        """Send one valid request. Returns its answer."""
        lines = (f"GET {target} HTTP/1.1", "Host: localhost", *fields, "", "")
        await self.say("\r\n".join(lines).encode("latin-1"))
        return await self.answer()

    async def answer(self, method: str = "GET") -> Reply:
        """The next answer to a request with that `method`. Informational answers are left out."""
        http = h11.Connection(h11.CLIENT)
        offer = [("Host", "localhost"), ("Connection", "Upgrade"), ("Upgrade", "websocket")]
        http.send(h11.Request(method=method, target="/", headers=offer))
        http.send(h11.EndOfMessage())
        if self._left:
            http.receive_data(self._left)
        response, body = None, b""
        with trio.fail_after(PATIENCE):
            while True:
                event = http.next_event()
                if event is h11.NEED_DATA:
                    http.receive_data(bytes(await self.stream.receive_some(65536)))
                elif isinstance(event, h11.InformationalResponse):
                    if event.status_code == 101:
                        self._left = http.trailing_data[0]
                        return Reply(event, b"")
                elif isinstance(event, h11.Response):
                    response = event
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                else:
                    assert isinstance(event, h11.EndOfMessage), event
                    assert response is not None
                    self._left = http.trailing_data[0]
                    return Reply(response, body)

    async def welcome(self) -> None:
        """Read until the websocket's first message, the welcome, has come."""
        with trio.fail_after(PATIENCE):
            while b'"type":"welcome"' not in self._left:
                data = await self.stream.receive_some(65536)
                assert data, self._left
                self._left += data

    async def is_closed(self) -> bool:
        """Wait until the server closes. Returns whether nothing more came before that."""
        with trio.fail_after(PATIENCE):
            try:
                return not self._left and not await self.stream.receive_some(65536)
            except trio.BrokenResourceError:
                return True


@asynccontextmanager
async def talking(server: Served) -> AsyncIterator[Talk]:
    """A connection to the server, over TLS if the server uses it."""
    stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]
    stream = await trio.open_tcp_stream("127.0.0.1", server.port)
    if server.url.startswith("wss"):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        stream = trio.SSLStream(stream, context, server_hostname="127.0.0.1")
        await stream.do_handshake()
    try:
        yield Talk(stream)
    finally:
        await trio.aclose_forcefully(stream)
