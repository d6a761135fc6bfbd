"""Nodes in the test's own process, each with connections of its own to a real Redis, and ways to lose them.

Leases are as short as the settings allow only where a node is to lose its lease; no test fails because something
takes long.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NoReturn
from urllib.parse import urlsplit

import coredis
import pytest
import trio
from coredis.connection import TCPLocation
from trio.testing import wait_all_tasks_blocked

from roomfsm.lifecycle.table import Step
from roomfsm.nodes.ledger import Seen, open_ledger
from roomfsm.nodes.membership import Membership, NameTaken, open_membership
from roomfsm.nodes.settings import NodeSettings
from roomfsm.store.interface import Append, StoreCode, StoreError, Write
from roomfsm.store.redis import Fence, RedisStore, open_redis
from roomfsm.store.redis_keys import HOME
from tests.processes import LOADED

SHORT, LONG = 0.5, 60.0
"""Leases: one that is to end, and one that is not, however busy the machine is."""


async def until(holds: Callable[[], bool]) -> None:
    """Returns when it holds."""
    with trio.fail_after(LOADED):
        while not holds():
            await wait_all_tasks_blocked(0.01)


type Client = coredis.Redis[bytes] | coredis.RedisCluster[bytes]


def client_of(url: str) -> Client:
    """A client of coredis, for what only tests do."""
    if not url.startswith("redis+cluster://"):
        return coredis.Redis.from_url(url)
    host, _, port = url.removeprefix("redis+cluster://").partition(",")[0].partition(":")
    return coredis.RedisCluster(startup_nodes=[TCPLocation(host, int(port))], decode_responses=False)


class Relay:
    """The way of one node to Redis, which can be cut, and can hold everything up."""

    def __init__(self, url: str, listener: trio.SocketListener) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._target = parts.hostname, parts.port
        self._scopes: set[trio.CancelScope] = set()
        self._open = trio.Event()
        self._open.set()
        self.is_cut = False
        self.url = f"redis://127.0.0.1:{listener.socket.getsockname()[1]}{parts.path}"

    def cut(self) -> None:
        """End all connections, and those that are made from now on."""
        self.is_cut = True
        for scope in tuple(self._scopes):
            scope.cancel()

    def hold(self) -> None:
        """Pass nothing on in either direction, as if the node or the network stood still."""
        self._open = trio.Event()

    def mend(self) -> None:
        self.is_cut = False
        self._open.set()

    async def serve(self, client: trio.SocketStream) -> None:
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                if self.is_cut:
                    return
                server = await trio.open_tcp_stream(*self._target)
                async with client, server, trio.open_nursery() as nursery:
                    for source, sink in ((client, server), (server, client)):
                        nursery.start_soon(self._pass_on, source, sink, scope)
            except OSError:
                pass  # Redis is away.
            finally:
                self._scopes.discard(scope)
                with trio.CancelScope(shield=True):
                    await trio.aclose_forcefully(client)

    async def _pass_on(self, source: trio.SocketStream, sink: trio.SocketStream, scope: trio.CancelScope) -> None:
        try:
            async for data in source:
                await self._open.wait()
                await sink.send_all(data)
        except trio.BrokenResourceError:
            pass  # The other end is gone, and so is this one.
        scope.cancel()


@asynccontextmanager
async def open_relay(url: str) -> AsyncIterator[Relay]:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    relay = Relay(url, listener)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, relay.serve, [listener])
        yield relay
        nursery.cancel_scope.cancel()


class Node:
    """A node, the store that carries its fence, and what it was told. Implements `Host`."""

    def __init__(self, name: str, lease: float = LONG) -> None:
        self.name = name
        self.settings = NodeSettings(node=name, node_lease=lease)
        self.here: dict[str, None] = {}
        """The rooms that live here, as far as this node knows."""
        self.people = 0
        self.gone: list[str] = []
        self.given_up: list[set[str]] = []
        self.moves: list[str] = []
        self.membership: Membership
        self.store: RedisStore
        self.relay: Relay

    # What a membership wants of its program

    def load(self) -> tuple[int, int]:
        return self.people, len(self.here)

    def alike(self) -> str:
        return ""

    def rooms(self) -> Iterable[str]:
        return tuple(self.here)

    def take_up(self, rooms: Sequence[str]) -> None:
        self.here.update(dict.fromkeys(rooms))

    def nodes_gone(self, nodes: Sequence[str]) -> None:
        self.gone += nodes

    def nodes_seen(self, nodes: Sequence[Seen]) -> None:
        pass

    def give_up(self) -> None:
        self.given_up.append(set(self.here))
        self.here.clear()

    def moved(self, step: Step) -> None:
        self.moves.append(step.dest)

    # What tests do

    @property
    def id(self) -> str:
        return self.membership.me

    @property
    def state(self) -> str:
        return self.membership.state

    async def open(self, room: str) -> None:
        """Somebody enters a room that lived nowhere."""
        assert await self.membership.home_of(room) == self.id
        self.here[room] = None
        assert await self.store.commit([Append(room, 0, (b"opened",), {f"token of {room}".encode(): True})]) == ()

    def cannot_register(self) -> None:
        """From now on Redis does not answer to a registration."""

        async def fail(*_: object) -> NoReturn:
            await trio.lowlevel.checkpoint()
            raise StoreError(StoreCode.UNREACHABLE, "a test")

        self.membership._ledger.register = fail  # type: ignore[method-assign,assignment]

    async def writes(self, *writes: Write) -> Sequence[str]:
        """Write, as soon as Redis and the node are there. Returns the rooms that are not ours."""
        with trio.fail_after(LOADED):
            while True:
                try:
                    return await self.store.commit(writes)
                except StoreError:
                    await trio.sleep(0.01)


@asynccontextmanager
async def opened(url: str, name: str, lease: float = LONG) -> AsyncIterator[Node]:
    """A node. At the end it says goodbye, unless its relay is cut."""
    node = Node(name, lease)
    async with AsyncExitStack() as stack:
        node.relay = await stack.enter_async_context(open_relay(url))
        node.membership = await stack.enter_async_context(open_membership(node.relay.url, node.settings, node))
        fence = node.membership
        node.store = await stack.enter_async_context(open_redis(node.relay.url, name, lambda: fence.fence))
        yield node


class Company:
    """Nodes that share a Redis."""

    def __init__(self, url: str, stack: AsyncExitStack, client: coredis.Redis[bytes]) -> None:
        self.url = url
        self.client = client
        self._stack = stack

    async def join(self, name: str, lease: float = LONG) -> Node:
        return await self._stack.enter_async_context(opened(self.url, name, lease))

    async def alone(self) -> RedisStore:
        """The store of a server that is no node."""
        return await self._stack.enter_async_context(open_redis(self.url, "a server alone"))

    async def reap(self, fence: Fence) -> None:
        """Another node takes this one for dead."""
        async with open_ledger(self.url, LONG) as ledger:
            await ledger.reap(fence.age, fence.node, for_sure=True)

    async def lose(self, node: Node, state: str) -> None:
        """A node in this state learns that the others have taken it for dead."""
        await self._in(node, state)
        old = node.membership.fence
        await self.reap(old)
        node.relay.mend()
        node.membership.hurry()
        await until(lambda: node.state == "gone" or (node.state == "member" and node.id != old.node))

    async def forget(self, node: Node, state: str) -> None:
        """A node in this state learns that Redis has lost its data."""
        await self._in(node, state)
        old = node.membership.fence
        await self.client.flushall()
        node.relay.mend()
        node.membership.hurry()
        await until(lambda: node.state == "member" and node.membership.fence.age != old.age)

    async def refuses(self, holder: Node, other: Node) -> None:
        """Another node wants the name of this one, which runs."""

        async def live() -> None:
            while True:
                holder.membership.hurry()
                await wait_all_tasks_blocked(0.01)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(live)
            with pytest.raises(NameTaken, match=holder.name):
                async with open_membership(self.url, other.settings, other):
                    pass
            nursery.cancel_scope.cancel()

    async def _in(self, node: Node, state: str) -> None:
        if state == "cut_off":
            node.relay.cut()
        await until(lambda: node.state == state)

    async def homes(self) -> dict[str, str]:
        """The homes of all rooms."""
        return {room.decode(): node.decode() for room, node in (await self.client.hgetall(HOME)).items()}


@asynccontextmanager
async def company(url: str) -> AsyncIterator[Company]:
    """Nobody, at first."""
    async with coredis.Redis.from_url(url) as client, AsyncExitStack() as stack:
        await client.flushdb()
        yield Company(url, stack, client)
