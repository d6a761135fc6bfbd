"""A TCP relay whose connections a test can cut."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import trio


class Relay:
    """Made by :func:`open_relay`; `url` is where it listens."""

    def __init__(self, target: str, listener: trio.SocketListener) -> None:
        parts = urlsplit(target)
        assert parts.hostname is not None
        assert parts.port is not None
        self._target = (parts.hostname, parts.port)
        self._scopes: set[trio.CancelScope] = set()
        self.url = f"ws://127.0.0.1:{listener.socket.getsockname()[1]}{parts.path}"

    def cut(self) -> None:
        """End the connections that there are; new ones are relayed."""
        for scope in self._scopes:
            scope.cancel()

    async def serve(self, client: trio.SocketStream) -> None:
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            async with client, await trio.open_tcp_stream(*self._target) as server, trio.open_nursery() as nursery:
                for source, sink in ((client, server), (server, client)):
                    nursery.start_soon(self._pass_on, source, sink, scope)
        self._scopes.discard(scope)

    @staticmethod
    async def _pass_on(source: trio.SocketStream, sink: trio.SocketStream, scope: trio.CancelScope) -> None:
        try:
            async for data in source:
                await sink.send_all(data)
        except trio.BrokenResourceError:
            pass  # the other end is gone, and so is this one
        scope.cancel()


@asynccontextmanager
async def open_relay(target: str) -> AsyncIterator[Relay]:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    relay = Relay(target, listener)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, relay.serve, [listener])
        yield relay
        nursery.cancel_scope.cancel()
