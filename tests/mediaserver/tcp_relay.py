"""A TCP relay whose connections a test can cut, and whose answers it can hold back."""

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
        self.accepted = 0
        """Connections so far."""
        self._answers = trio.Event()
        self._answers.set()
        self.url = f"ws://127.0.0.1:{listener.socket.getsockname()[1]}{parts.path}"

    def cut(self) -> None:
        """End the connections that there are; new ones are relayed."""
        for scope in self._scopes:
            scope.cancel()

    def hold_answers(self) -> None:
        """From now on, what the target sends waits. When a connection is cut, what waits in it is lost."""
        self._answers = trio.Event()

    def release_answers(self) -> None:
        self._answers.set()

    async def serve(self, client: trio.SocketStream) -> None:
        self.accepted += 1
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            async with client, await trio.open_tcp_stream(*self._target) as server, trio.open_nursery() as nursery:
                nursery.start_soon(self._pass_on, client, server, scope)
                nursery.start_soon(self._pass_on, server, client, scope, True)
        self._scopes.discard(scope)

    async def _pass_on(
        self, source: trio.SocketStream, sink: trio.SocketStream, scope: trio.CancelScope, answers: bool = False
    ) -> None:
        try:
            async for data in source:
                if answers:
                    await self._answers.wait()
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
