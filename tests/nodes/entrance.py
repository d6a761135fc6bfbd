"""One address for several nodes, as a proxy has it, for tests that do not run on Trio."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import trio


class Entrance:
    """Made by :func:`open_entrance`."""

    def __init__(self) -> None:
        self.ports: list[int] = []
        """The ports of the nodes that take connections. Each gets those that the ones before it refuse."""
        self.port = 0
        """Where it listens."""
        self._token: trio.lowlevel.TrioToken
        self._end = trio.Event()
        self._opened = threading.Event()

    def ask[T](self, question: Callable[[], Awaitable[T]]) -> T:
        """Have Trio answer something."""
        return trio.from_thread.run(question, trio_token=self._token)

    async def run(self) -> None:
        """Pass connections on, until it is told to end."""
        self._token = trio.lowlevel.current_trio_token()
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listener.socket.getsockname()[1]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, self._serve, [listener])
            self._opened.set()
            await self._end.wait()
            nursery.cancel_scope.cancel()

    def wait(self) -> None:
        """Returns when it listens."""
        self._opened.wait()

    def end(self) -> None:
        """End it, and all connections."""
        self._token.run_sync_soon(self._end.set)

    async def _serve(self, client: trio.SocketStream) -> None:
        for port in tuple(self.ports):
            try:
                node = await trio.open_tcp_stream("127.0.0.1", port)
            except OSError:
                continue
            async with client, node, trio.open_nursery() as nursery:
                nursery.start_soon(_pass_on, client, node, nursery.cancel_scope)
                nursery.start_soon(_pass_on, node, client, nursery.cancel_scope)
            return
        await trio.aclose_forcefully(client)


async def _pass_on(source: trio.SocketStream, sink: trio.SocketStream, scope: trio.CancelScope) -> None:
    try:
        async for data in source:
            await sink.send_all(data)
    except trio.BrokenResourceError:
        pass  # One end is gone, and so is the other.
    scope.cancel()


@contextmanager
def open_entrance() -> Iterator[Entrance]:
    """An entrance, in a thread of its own."""
    entrance = Entrance()
    thread = threading.Thread(target=trio.run, args=(entrance.run,))
    thread.start()
    entrance.wait()
    try:
        yield entrance
    finally:
        entrance.end()
        thread.join()
