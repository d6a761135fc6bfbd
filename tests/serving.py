"""A room server in the test's own process, on a free port of the loopback, over a real media server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields
from typing import Any
from urllib.parse import urlsplit

import trio

from roomfsm.rooms.settings import RoomSettings
from roomfsm.server import Running, open_server
from roomfsm.settings import ServerSettings, Settings
from roomfsm.signaling.settings import SignalingSettings
from roomfsm.web.settings import WebSettings


def settings(kurento: str, **changes: Any) -> Settings:
    """Settings with some changed, whichever part they belong to."""
    parts: dict[type[Any], dict[str, Any]] = {ServerSettings: {"kurento": (kurento,), "port": 0}}
    for name, value in changes.items():
        (part,) = (
            p
            for p in (ServerSettings, RoomSettings, SignalingSettings, WebSettings)
            if name in {f.name for f in fields(p)}
        )
        parts.setdefault(part, {})[name] = value
    return Settings(
        server=ServerSettings(**parts[ServerSettings]),
        rooms=RoomSettings(**parts.get(RoomSettings, {})),
        signaling=SignalingSettings(**parts.get(SignalingSettings, {})),
        web=WebSettings(**parts.get(WebSettings, {})),
    )


class Served:
    """A running server and its addresses."""

    def __init__(self, running: Running, scheme: str = "ws") -> None:
        self.running = running
        self.port = running.port
        self.url = f"{scheme}://127.0.0.1:{running.port}/ws"


@asynccontextmanager
async def serving(kurento: str, **changes: Any) -> AsyncIterator[Served]:
    """Run a server; leaving drains it."""
    async with open_server(settings(kurento, **changes)) as running:
        yield Served(running, "wss" if "certfile" in changes else "ws")


class Proxy:
    """Passes TCP connections on to a media server; what the server says can be held back."""

    def __init__(self, target: str, port: int) -> None:
        self.url = f"ws://127.0.0.1:{port}/kurento"
        self._target = target
        self._flowing = trio.Event()
        self._flowing.set()

    def hold(self) -> None:
        self._flowing = trio.Event()

    def let_go(self) -> None:
        self._flowing.set()

    async def serve(self, client: trio.SocketStream) -> None:
        port = urlsplit(self._target).port
        assert port is not None
        async with (
            client,
            await trio.open_tcp_stream("127.0.0.1", port) as server,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(self._pass_on, client, server, nursery.cancel_scope, False)
            nursery.start_soon(self._pass_on, server, client, nursery.cancel_scope, True)

    async def _pass_on(
        self, source: trio.SocketStream, sink: trio.SocketStream, scope: trio.CancelScope, holds: bool
    ) -> None:
        try:
            async for data in source:
                if holds:
                    await self._flowing.wait()
                await sink.send_all(data)
        except trio.BrokenResourceError:
            # One side is gone: so is the other, then.
            pass
        scope.cancel()


@asynccontextmanager
async def proxied(target: str) -> AsyncIterator[Proxy]:
    """A proxy before a media server."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    proxy = Proxy(target, listeners[0].socket.getsockname()[1])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, proxy.serve, listeners)
        yield proxy
        nursery.cancel_scope.cancel()
