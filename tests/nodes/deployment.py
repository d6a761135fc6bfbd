"""Three nodes as processes of their own, over Debian's Redis, and what can befall them.

Each node has its own way to Redis, a relay, which can be cut: then nothing passes, and nobody is told.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path

import trio

from tests.ports import reserved_port
from tests.redis_server import redis_server
from tests.system.program import Program, running

NAMES = ("one", "two", "three")


class Way:
    """A way to Redis: a TCP relay through which nothing passes while it is `cut`."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._whole = trio.Event()
        self._whole.set()

    def cut(self) -> None:
        """Let nothing pass from now on. Connections stay open, and new ones are accepted."""
        self._whole = trio.Event()

    def mend(self) -> None:
        """Let everything pass again, what waited first."""
        self._whole.set()

    async def serve(self, client: trio.SocketStream) -> None:
        async with client:
            try:
                server = await trio.open_tcp_stream("127.0.0.1", self._port)
            except OSError:
                return
            async with server, trio.open_nursery() as nursery:
                for source, sink in ((client, server), (server, client)):
                    nursery.start_soon(self._pass_on, source, sink, nursery.cancel_scope)

    async def _pass_on(self, source: trio.SocketStream, sink: trio.SocketStream, over: trio.CancelScope) -> None:
        try:
            async for data in source:
                await self._whole.wait()
                await sink.send_all(data)
        except trio.BrokenResourceError:
            pass  # the other end is gone, and so is this one
        over.cancel()


class Deployment:
    """Made by :func:`deployed`."""

    def __init__(self, folder: Path, redis_port: int, ports: dict[str, int], arguments: tuple[str, ...]) -> None:
        self._folder = folder
        self._redis_port = redis_port
        self._ports = ports
        self._arguments = arguments
        self._redis = ExitStack()
        self._nodes: dict[str, tuple[ExitStack, Program]] = {}
        self.ways: dict[str, Way] = {}
        self._way_ports: dict[str, int] = {}

    @property
    def urls(self) -> list[str]:
        """The addresses of all nodes."""
        return [f"ws://127.0.0.1:{port}/ws" for port in self._ports.values()]

    def program(self, name: str) -> Program:
        """A node that runs."""
        return self._nodes[name][1]

    async def open(self, nursery: trio.Nursery) -> None:
        """Start Redis, the ways to it, and the nodes."""
        await trio.to_thread.run_sync(self._start_redis)
        for name in NAMES:
            way = self.ways[name] = Way(self._redis_port)
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            self._way_ports[name] = listener.socket.getsockname()[1]
            nursery.start_soon(trio.serve_listeners, way.serve, [listener])
        for name in NAMES:
            await self.start(name)

    async def start(self, name: str) -> None:
        """Start a node, or start it again. Returns when it takes browsers."""
        await trio.to_thread.run_sync(self._start, name)

    def _start(self, name: str) -> None:
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        stack = ExitStack()
        import os

        os.environ.pop("ROOMFSM_DATA", None)
        os.environ["PROTO_NODE"] = name
        os.environ["PROTO_LEASE"] = "2.0"
        program = stack.enter_context(
            running(
                folder,
                f"--port={self._ports[name]}",
                f"--store=redis://127.0.0.1:{self._way_ports[name]}",
                f"--node={name}",
                *self._arguments,
            )
        )
        self._nodes[name] = stack, program

    async def kill(self, name: str) -> None:
        """End a node at once: it has no time for anything."""
        self.program(name).process.kill()
        await self._close(name)

    async def drain(self, name: str) -> int:
        """End a node as `systemctl stop` does. Returns its exit code."""
        process = self.program(name).process
        process.terminate()
        code = await trio.to_thread.run_sync(process.wait, 60)
        await self._close(name)
        return code

    def pause(self, name: str) -> None:
        """Let a node do nothing at all."""
        self.program(name).process.send_signal(signal.SIGSTOP)

    def go_on(self, name: str) -> None:
        """Let a node go on that was paused."""
        self.program(name).process.send_signal(signal.SIGCONT)

    async def restart_redis(self) -> None:
        """End Redis as `systemctl stop` does, and start it again."""
        await trio.to_thread.run_sync(self._redis.close)
        await trio.to_thread.run_sync(self._start_redis)

    def _start_redis(self) -> None:
        kept = ("--appendonly", "yes", "--appendfsync", "everysec")
        self._redis.enter_context(redis_server(self._folder, *kept, port=self._redis_port))

    async def _close(self, name: str) -> None:
        stack, _ = self._nodes.pop(name)
        await trio.to_thread.run_sync(stack.close)

    async def close(self) -> None:
        """End everything."""
        for name in list(self._nodes):
            self.go_on(name)
            self.program(name).process.kill()
            await self._close(name)
        await trio.to_thread.run_sync(self._redis.close)


@asynccontextmanager
async def deployed(folder: Path, *arguments: str) -> AsyncIterator[Deployment]:
    """Three nodes that run, with these further arguments."""
    async with AsyncExitStack() as stack:
        redis_port, *ports = (stack.enter_context(reserved_port()) for _ in range(len(NAMES) + 1))
        deployment = Deployment(folder, redis_port, dict(zip(NAMES, ports, strict=True)), arguments)
        nursery = await stack.enter_async_context(trio.open_nursery())
        stack.callback(nursery.cancel_scope.cancel)

        async def close() -> None:
            with trio.CancelScope(shield=True):
                await deployment.close()

        stack.push_async_callback(close)
        await deployment.open(nursery)
        yield deployment
