"""A plain client of Kurento's protocol over a real websocket, and the real server for it to talk to."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, open_websocket_url

from roomfsm.mediaserver.kurento.limits import Limits
from roomfsm.mediaserver.parents import Ready
from roomfsm.mediaserver.program import MediaServerSettings, run

PATIENCE = 180.0
"""Seconds that any single wait of a test may take."""


HANDSHAKE = (
    b"GET /kurento HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def frame(opcode: int, payload: bytes) -> bytes:
    """A final client frame of less than 126 bytes, masked with zeros."""
    return bytes((0x80 | opcode, 0x80 | len(payload))) + bytes(4) + payload


class Client:
    """One websocket; replies and events are kept in the order in which they came."""

    def __init__(self, websocket: WebSocketConnection) -> None:
        self.websocket = websocket
        self.received: list[dict[str, Any]] = []
        self._news = trio.Condition()
        self._closed = trio.Event()
        self._ids = count(1)

    async def read(self) -> None:
        """Collect what comes until the socket closes."""
        try:
            while True:
                message = json.loads(await self.websocket.get_message())
                async with self._news:
                    self.received.append(message)
                    self._news.notify_all()
        except ConnectionClosed:
            self._closed.set()

    async def send(self, message: Any) -> None:
        await self.websocket.send_message(message if isinstance(message, str | bytes) else json.dumps(message))

    async def request(self, method: str, params: Any = None, *, id_: Any = None) -> dict[str, Any]:
        """Send a request and return its whole reply."""
        id_ = next(self._ids) if id_ is None else id_
        message = {"jsonrpc": "2.0", "id": id_, "method": method}
        before = len(self.received)
        await self.send(message if params is None else message | {"params": params})
        return await self.wait_for(lambda m: "method" not in m, since=before)

    async def call(self, method: str, **params: Any) -> Any:
        """Send a request that must succeed, and return its `value`."""
        reply = await self.request(method, params)
        assert "error" not in reply, reply
        return reply["result"].get("value") if reply["result"] is not None else None

    async def error(self, method: str, **params: Any) -> tuple[int, str]:
        """Send a request that must fail, and return code and message."""
        reply = await self.request(method, params)
        assert "error" in reply, reply
        return reply["error"]["code"], reply["error"]["message"]

    async def invoke(self, object_id: str, operation: str, **arguments: Any) -> Any:
        return await self.call("invoke", object=object_id, operation=operation, operationParams=arguments)

    async def invoke_error(self, object_id: str, operation: str, **arguments: Any) -> tuple[int, str]:
        return await self.error("invoke", object=object_id, operation=operation, operationParams=arguments)

    async def pipeline(self) -> str:
        id_: str = await self.call("create", type="MediaPipeline")
        return id_

    async def endpoint(self, pipeline: str) -> str:
        id_: str = await self.call("create", type="WebRtcEndpoint", constructorParams={"mediaPipeline": pipeline})
        return id_

    def events(self, type_: str | None = None) -> list[dict[str, Any]]:
        """The `value` of each event so far."""
        values = [m["params"]["value"] for m in self.received if m.get("method") == "onEvent"]
        return [value for value in values if type_ in (None, value["type"])]

    async def event(self, type_: str, **data: Any) -> dict[str, Any]:
        """The data of the first event of that type, past or to come, that has these members."""

        def matches(message: dict[str, Any]) -> bool:
            value = message.get("params", {}).get("value", {})
            return bool(value.get("type") == type_ and value["data"].items() >= data.items())

        found = await self.wait_for(matches)
        event: dict[str, Any] = found["params"]["value"]["data"]
        return event

    async def reply(self, id_: Any) -> dict[str, Any]:
        """The reply to the request of that id, past or to come."""
        return await self.wait_for(lambda message: "method" not in message and message["id"] == id_)

    async def wait_for(self, matches: Callable[[dict[str, Any]], bool], *, since: int = 0) -> dict[str, Any]:
        with trio.fail_after(PATIENCE):
            async with self._news:
                while True:
                    for message in self.received[since:]:
                        if matches(message):
                            return message
                    since = len(self.received)
                    await self._news.wait()

    async def closed(self) -> tuple[int, str | None]:
        """Wait until the socket is closed: code and reason."""
        with trio.fail_after(PATIENCE):
            await self._closed.wait()
        reason = self.websocket.closed
        assert reason is not None
        return reason.code, reason.reason


@asynccontextmanager
async def open_client(url: str, secret: str | None = None) -> AsyncIterator[Client]:
    headers = [] if secret is None else [(b"Authorization", f"Bearer {secret}".encode())]
    async with open_websocket_url(url, extra_headers=headers, max_message_size=64 * 1024 * 1024) as websocket:
        client = Client(websocket)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.read)
            yield client
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_server(
    limits: Limits | None = None, *, workers: int = 1, media_host: str = "127.0.0.1", media_tcp_port: int = 0
) -> AsyncIterator[Ready]:
    """The real media server on free ports, that of the websocket at the loopback."""
    settings = MediaServerSettings(
        port=0,
        media_host=media_host,
        media_tcp_port=media_tcp_port,
        limits=limits or Limits(),
        workers=workers,
    )
    async with trio.open_nursery() as nursery:
        ready: Ready = await nursery.start(run, settings)
        yield ready
        nursery.cancel_scope.cancel()


async def silence(client: Client) -> None:
    """Wait until all that the server has sent so far is read: its answer to a ping comes last."""
    await client.request("ping", {}, id_=f"silence {len(client.received)}")


async def tcp(url: str) -> trio.SocketStream:
    """A bare connection to the server."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return await trio.open_tcp_stream(parts.hostname, parts.port)
