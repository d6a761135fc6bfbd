"""Three servers of this process with one set of rooms, whose bus is in memory. Nobody has to find the rooms."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from roomfsm.nodes.exchange import Exchange
from roomfsm.protocol.errors import ErrorCode, Refusal
from roomfsm.protocol.names import room_key
from roomfsm.rooms.directory import Directory
from roomfsm.signaling.crossing import Crossing
from tests.nodes.memory_bus import MemoryBus
from tests.serving import Served, serving

NAMES = ("one", "two", "three")


class Map:
    """Where the rooms are, for one node."""

    def __init__(self, me: str, homes: dict[str, str], tokens: dict[bytes, str]) -> None:
        self.me = me
        self._homes = homes
        self._tokens = tokens
        self.fault: ErrorCode | None = None
        self.known: list[str] = []
        """The rooms that were asked for, so that this node would bring them back."""
        self.prefers: str | None = None
        """The node that gets the rooms that are nowhere; None: this one."""
        self.given_back: list[str] = []

    async def of_room(self, room: str) -> str | None:
        await trio.lowlevel.checkpoint()
        if self.fault is not None:
            raise Refusal(self.fault)
        home = self._homes.setdefault(room_key(room), self.prefers or self.me)
        return None if home == self.me else home

    async def known_room(self, room: str) -> str | None:
        await trio.lowlevel.checkpoint()
        if self.fault is not None:
            raise Refusal(self.fault)
        self.known.append(room)
        home = self._homes.get(room_key(room))
        return None if home == self.me else home

    async def give_back(self, room: str) -> None:
        await trio.lowlevel.checkpoint()
        if self._homes.get(room_key(room)) == self.me:
            self.given_back.append(room)

    async def of_token(self, token: bytes) -> str | None:
        await trio.lowlevel.checkpoint()
        home = self._tokens.get(token)
        return None if home == self.me else home


class Nodes:
    """Three servers in this process."""

    def __init__(self) -> None:
        self.homes = {"red": "one", "green": "two", "blue": "three"}
        self.tokens: dict[bytes, str] = {}
        self.servers: dict[str, Served] = {}
        self.buses: dict[str, MemoryBus] = {}
        self.maps: dict[str, Map] = {}
        self.living = list(NAMES)

    def url(self, name: str) -> str:
        return self.servers[name].url

    def directory(self, name: str) -> Directory:
        return self.servers[name].running.directory

    def crossing(self, name: str) -> Crossing:
        crossing = self.servers[name].running.registry.crossing
        assert crossing is not None
        return crossing

    def others(self, name: str) -> list[str]:
        """The other nodes that are alive."""
        return [other for other in self.living if other != name]

    def know_tokens(self) -> None:
        """Note which tokens bring somebody back to which node, as the store would."""
        for name, served in self.servers.items():
            for session in served.running.registry.sessions:
                if session.room is not None:
                    self.tokens |= dict.fromkeys(session.resume_hashes, name)

    def under_way(self, name: str) -> int:
        """How many requests a node has passed on, or answers for others."""
        passage = self.servers[name].running.across._passage
        assert passage is not None
        return len(passage.asking) + len(passage.answering)

    async def until_nothing_is_under_way(self) -> None:
        with trio.fail_after(60):
            while any(self.under_way(name) for name in NAMES):
                await wait_all_tasks_blocked(0.01)

    async def until_nobody_is_left(self) -> None:
        with trio.fail_after(60):
            while True:
                if not any(
                    len(served.running.registry) + len(self.crossing(name).edge)
                    for name, served in self.servers.items()
                ):
                    return
                await trio.sleep(0.01)


@asynccontextmanager
async def three(media_server: str, **changes: Any) -> AsyncIterator[Nodes]:
    nodes = Nodes()
    async with AsyncExitStack() as stack:
        for name in NAMES:
            nodes.servers[name] = await stack.enter_async_context(serving(media_server, **changes))
        nursery = await stack.enter_async_context(trio.open_nursery())
        for name in NAMES:
            registry = nodes.servers[name].running.registry
            nodes.maps[name] = Map(name, nodes.homes, nodes.tokens)
            exchange = Exchange(MemoryBus(name, nodes.buses))
            crossing = registry.cross(nursery, exchange, nodes.maps[name], partial(nodes.others, name))
            across = nodes.servers[name].running.across.cross(
                nursery, exchange, nodes.maps[name], partial(nodes.others, name)
            )
            nursery.start_soon(exchange.run, crossing, across)
        yield nodes
        nursery.cancel_scope.cancel()
