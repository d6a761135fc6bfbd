"""A receiver of webhooks on a real socket, which can behave as badly as any."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import h11
import trio
from standardwebhooks import Webhook as Verifier

SECRET = "whsec_" + base64.b64encode(b"a secret of twenty-four b").decode()
OTHER = "whsec_" + base64.b64encode(b"another secret of 24 byte").decode()


@dataclass(frozen=True, slots=True)
class Got:
    """One request."""

    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(self.body)
        return decoded


type Behave = Callable[[trio.SocketStream, Got], Awaitable[None]]


def answering(status: int, headers: list[tuple[str, str]] | None = None, body: bytes = b"") -> Behave:
    """Answers with this."""

    async def behave(stream: trio.SocketStream, _: Got) -> None:
        fields = [*(headers or []), ("Content-Length", str(len(body)))]
        lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in fields), "", ""]
        await stream.send_all("\r\n".join(lines).encode() + body)

    return behave


async def silent(_: trio.SocketStream, __: Got) -> None:
    """Takes the request, and never answers."""
    await trio.sleep_forever()


async def hang_up(_: trio.SocketStream, __: Got) -> None:
    """Closes the connection without an answer."""


async def endless_body(stream: trio.SocketStream, _: Got) -> None:
    """Answers with a body that never ends."""
    await stream.send_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await stream.send_all(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")


async def endless_headers(stream: trio.SocketStream, _: Got) -> None:
    """Answers with headers that never end."""
    await stream.send_all(b"HTTP/1.1 200 OK\r\n")
    while True:
        await stream.send_all(b"X-More: " + b"x" * 1000 + b"\r\n")


async def endless_informational(stream: trio.SocketStream, _: Got) -> None:
    """Says again and again that it goes on."""
    while True:
        await stream.send_all(b"HTTP/1.1 102 Processing\r\n\r\n")


async def nonsense(stream: trio.SocketStream, _: Got) -> None:
    """Speaks no HTTP."""
    await stream.send_all(b"\x00\xff" * 1000)


GOOD = answering(204)


@dataclass(slots=True)
class Receiver:
    """Keeps what it gets. It behaves as the list says, one entry for each request, and then well."""

    port: int = 0
    got: list[Got] = field(default_factory=list)
    behaves: list[Behave] = field(default_factory=list)
    otherwise: Behave = GOOD
    connections: int = 0
    most_connections: int = 0
    _came: trio.Event = field(default_factory=trio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks?of=rooms"

    @property
    def events(self) -> list[dict[str, Any]]:
        return [got.event for got in self.got]

    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    async def until(self, count: int, patience: float = 60.0) -> None:
        """Wait for so many requests."""
        with trio.fail_after(patience):
            while len(self.got) < count:
                self._came = trio.Event()
                await self._came.wait()

    async def serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        self.most_connections = max(self.most_connections, self.connections)
        try:
            got = await _request(stream)
            self.got.append(got)
            behave = self.behaves.pop(0) if self.behaves else self.otherwise
            self._came.set()
            await behave(stream, got)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self.connections -= 1
            with trio.move_on_after(1, shield=True):
                await stream.aclose()


async def _request(stream: trio.SocketStream) -> Got:
    http = h11.Connection(h11.SERVER)
    target, headers, body = "", {}, b""
    while True:
        event = http.next_event()
        match event:
            case h11.NEED_DATA:
                http.receive_data(bytes(await stream.receive_some(65536)))
            case h11.Request():
                assert event.method == b"POST"
                target = event.target.decode()
                headers = {name.decode(): value.decode() for name, value in event.headers}
            case h11.Data():
                body += bytes(event.data)
            case h11.EndOfMessage():
                return Got(target, headers, body)


def verified(got: Got, secret: str = SECRET) -> Any:
    """What the receiver's library makes of a request. Raises its error if the signature is wrong."""
    return Verifier(secret).verify(got.body, got.headers)


@asynccontextmanager
async def receiving(*behaves: Behave, otherwise: Behave = GOOD) -> AsyncIterator[Receiver]:
    """A receiver on a free port."""
    receiver = Receiver(behaves=list(behaves), otherwise=otherwise)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        receiver.port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, receiver.serve, listeners)
        yield receiver
        nursery.cancel_scope.cancel()
