"""Three nodes as processes of their own, over Debian's Redis, and what can befall them.

Each node has its own way to Redis, a relay, which can hold everything up: then nothing passes, and nobody is told.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path

import trio

from tests.nodes.company import Relay, open_relay
from tests.ports import reserved_port
from tests.redis_server import redis_server
from tests.system.program import Program, running

NAMES = ("one", "two", "three")
TOKEN = "the-right-token-of-all"
"""That of the inspector, at all nodes."""


class Deployment:
    """Made by :func:`deployed`."""

    def __init__(self, folder: Path, redis_port: int, ports: dict[str, int], arguments: tuple[str, ...]) -> None:
        self._folder = folder
        self._redis_port = redis_port
        self._ports = ports
        self._arguments = arguments
        self._redis = ExitStack()
        self._nodes: dict[str, tuple[ExitStack, Program]] = {}
        self.ways: dict[str, Relay] = {}
        """Each node's own way to Redis."""

    @property
    def urls(self) -> list[str]:
        """The addresses of all nodes."""
        return [f"ws://127.0.0.1:{port}/ws" for port in self._ports.values()]

    @property
    def ports(self) -> list[int]:
        """The TCP ports of all nodes."""
        return list(self._ports.values())

    def journal(self, name: str) -> Path:
        """The file with the journals of the rooms that this node has had."""
        return self._folder / name / "journal.jsonl"

    def program(self, name: str) -> Program:
        """A node that runs."""
        return self._nodes[name][1]

    async def open(self, stack: AsyncExitStack) -> None:
        """Start Redis, the ways to it, and the nodes."""
        await trio.to_thread.run_sync(self._start_redis)
        for name in NAMES:
            self.ways[name] = await stack.enter_async_context(open_relay(f"redis://127.0.0.1:{self._redis_port}"))
        for name in NAMES:
            await self.start(name)

    async def start(self, name: str) -> None:
        """Start a node, or start it again. Returns when it takes browsers."""
        await trio.to_thread.run_sync(self._start, name)

    def _start(self, name: str) -> None:
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        stack = ExitStack()
        program = stack.enter_context(
            running(
                folder,
                f"--port={self._ports[name]}",
                f"--store={self.ways[name].url}",
                f"--node={name}",
                f"--inspect-token={TOKEN}",
                f"--journal-file={self.journal(name)}",
                "--journal-file-bytes=1000000000",
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

        async def close() -> None:
            with trio.CancelScope(shield=True):
                await deployment.close()

        stack.push_async_callback(close)
        await deployment.open(stack)
        yield deployment
