"""This server as one of several nodes (`--node`): it takes up rooms, lets sessions move, and hands its rooms over.

A node that was taken for dead, because it hung or was cut off, has lost all its rooms to others. It ends what it
has of them without a word, and goes on with another id. Whatever belongs to an id, such as the bus, ends with it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

import trio

from roomfsm.alike import differences, fingerprint
from roomfsm.lifecycle.node import NODE
from roomfsm.lifecycle.table import Step
from roomfsm.log import get_logger
from roomfsm.nodes.bus import Bus, open_bus
from roomfsm.nodes.counts import NodeCounts
from roomfsm.nodes.exchange import Exchange, Handler
from roomfsm.nodes.inspection import NodeSeen, look_at_node
from roomfsm.nodes.ledger import Seen
from roomfsm.nodes.media_register import MediaRegister, open_media_register
from roomfsm.nodes.membership import Membership, NameTaken, open_membership
from roomfsm.nodes.settings import BusSettings
from roomfsm.protocol.names import room_key
from roomfsm.rooms.directory import Directory
from roomfsm.rooms.media_servers import MediaServers
from roomfsm.rooms.writer import Writer
from roomfsm.settings import Settings
from roomfsm.signaling.crossing import Crossing
from roomfsm.signaling.homes import Homes
from roomfsm.signaling.registry import Registry
from roomfsm.store.interface import StoreError
from roomfsm.web.across import Across

__all__ = ["Cluster", "NameTaken"]

_log = get_logger(__name__)

_HANDING_OVER = 1.5
"""Seconds that the end of the server gives to hand the rooms over."""
_LOOK = 0.5
"""Seconds between two looks at the register of media servers."""
_TAKING = 1000
"""So many lists of rooms that are to be taken up may wait. There is one in a beat at most."""


class Cluster:
    """This node's part in the set of nodes. Implements `roomfsm.nodes.membership.Host`.

    It is made before the rooms are, because the store asks for the node's id. `attach` gives it the rooms.
    """

    def __init__(self, url: str, settings: Settings) -> None:
        """`url` is the address of the Redis."""
        self._url = url
        self._settings = settings
        self._alike = fingerprint(settings)
        self.counts = NodeCounts()
        """What has happened between this node and the others."""
        self._others: dict[str, str] = {}
        """The fingerprints of the other nodes."""
        self._membership: Membership | None = None
        self._writer: Writer | None = None
        self._directory: Directory | None = None
        self._registry: Registry | None = None
        self._across: Across | None = None
        self._media_servers: MediaServers | None = None
        self._knows_media_servers = True
        """Whether the last look at the register of media servers was answered."""
        self._homes: Homes | None = None
        self._crossing: Crossing | None = None
        self._handlers: Sequence[Handler] = ()
        self._bus: Bus | None = None
        self._taking, self._to_take = trio.open_memory_channel[tuple[Sequence[str], str]](_TAKING)
        self._renamed = trio.Event()

    @property
    def membership(self) -> Membership:
        """The node's place among the others."""
        assert self._membership is not None
        return self._membership

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[None]:
        """Be a node. At the end of the scope, rooms that are still here go to the others.

        Raises `StoreError`, or `roomfsm.nodes.membership.NameTaken`.
        """
        async with open_membership(self._url, self._settings.nodes, self, self.counts) as membership:
            self._membership = membership
            yield

    @asynccontextmanager
    async def media_register(self, own: Mapping[str, str | None]) -> AsyncIterator[MediaRegister]:
        """What all nodes say of media servers. This one lists its `own`, with their secrets.

        Raises `StoreError`.
        """
        async with open_media_register(self._url, lambda: self.membership.fence, own) as register:
            yield register

    def attach(
        self,
        writer: Writer,
        directory: Directory,
        registry: Registry,
        across: Across,
        media_servers: MediaServers,
    ) -> None:
        """Learn of the parts of the server."""
        self._writer, self._directory, self._registry, self._across = writer, directory, registry, across
        self._media_servers = media_servers
        self._homes = Homes(self.membership, directory, registry, writer.store, writer.counts, writer.flush_room)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Let sessions move, and take rooms up, until cancelled. The server must be open."""
        assert self._registry is not None
        assert self._across is not None
        assert self._homes is not None
        # A room that is taken up may have its media at a media server that another node has named.
        await self.look_at_media_servers()
        async with trio.open_nursery() as taking:
            taking.start_soon(self._follow_media_servers)
            taking.start_soon(self._take_up)
            while True:
                self._renamed = trio.Event()
                async with (
                    open_bus(self._url, self.membership.me, BusSettings(), self.counts) as self._bus,
                    trio.open_nursery() as nursery,
                ):
                    exchange = Exchange(self._bus, self.counts)
                    self._crossing = self._registry.cross(nursery, exchange, self._homes, self._living)
                    requests = self._across.cross(nursery, exchange, self._homes, self._living)
                    self._handlers = (self._crossing, requests)
                    nursery.start_soon(exchange.run, *self._handlers)
                    task_status.started()
                    task_status = trio.TASK_STATUS_IGNORED
                    try:
                        await self._renamed.wait()
                    finally:
                        # Something may have crossed after the rooms had been given up.
                        self._crossing.close()
                    nursery.cancel_scope.cancel()

    async def hand_over(self) -> None:
        """Give every room to another node, if there is one. Returns when that is done, or cannot be done."""
        assert self._writer is not None
        assert self._directory is not None
        self.drain()
        with trio.move_on_after(_HANDING_OVER):
            await self._writer.flush()
            people = {node.id: node.info.people for node in self.membership.nodes if not node.info.draining}
            for room in self._directory.rooms():
                if not people:
                    return
                to = min(people, key=lambda node: (people[node], node))
                key = room_key(room.name)
                # Nothing may write for it any more.
                self._writer.disown(key)
                try:
                    if await self.membership.hand_over(key, to):
                        people[to] += len(room.people)
                    else:
                        del people[to]
                except StoreError as error:
                    # Whoever finds this node gone takes the rest.
                    _log.warning("room not handed over", room=room.name, why=str(error))
                    return

    def look(self) -> NodeSeen:
        """What the inspector shows of this node and the others."""
        return look_at_node(
            self.membership,
            {} if self._bus is None else self._bus.links,
            lambda other: differences(self._settings, other.alike),
            0 if self._crossing is None else len(self._crossing.edge),
            0 if self._crossing is None else self._crossing.visitors,
            () if self._media_servers is None else self._media_servers.all(),
        )

    def drain(self) -> None:
        """Take no more rooms, and let nobody begin anything at a media server that is about to end."""
        if "drain" in NODE.legal(self.membership.state):
            self.membership.drain()
        if self._media_servers is not None:
            self._media_servers.withdraw()

    async def _take_up(self) -> None:
        assert self._homes is not None
        async for rooms, node in self._to_take:
            for room in rooms:
                if node != self.membership.me:
                    break
                try:
                    await self._homes.take_up(room)
                except StoreError as error:
                    # It comes back when somebody wants to enter it.
                    _log.warning("room not taken up", room=room, why=str(error))
                except Exception:  # noqa: BLE001 (a boundary)
                    # One room must not end the others, nor this node, and then the next one.
                    _log.exception("room not taken up", room=room)

    async def look_at_media_servers(self) -> None:
        """Learn which media servers there are now. Without an answer, those of the last one are still there."""
        assert self._media_servers is not None
        try:
            await self._media_servers.look()
        except StoreError as error:
            if self._knows_media_servers:
                _log.warning("register of media servers not read", why=str(error))
            self._knows_media_servers = False
        except Exception:  # noqa: BLE001 (a boundary)
            # What is wrong with one media server must not end this node.
            _log.exception("media servers not followed")
        else:
            self._knows_media_servers = True

    async def _follow_media_servers(self) -> None:
        while True:
            await self.look_at_media_servers()
            await trio.sleep(_LOOK)

    def _living(self) -> Sequence[str]:
        return [node.id for node in self.membership.nodes]

    # What the membership asks and tells

    def load(self) -> tuple[int, int]:
        """How many people and how many rooms are here."""
        return (0, 0) if self._registry is None else (len(self._registry), len(self._registry.directory))

    def alike(self) -> str:
        """The fingerprint of the settings that all nodes must have alike."""
        return self._alike

    def rooms(self) -> Iterable[str]:
        """The keys of the rooms that live here."""
        return () if self._directory is None else [room_key(room.name) for room in self._directory.rooms()]

    def take_up(self, rooms: Sequence[str]) -> None:
        """Take these rooms up."""
        self._taking.send_nowait((rooms, self.membership.me))

    def nodes_gone(self, nodes: Sequence[str]) -> None:
        """Whoever is at these nodes, or has a session there, comes back."""
        for node in nodes:
            for handler in self._handlers:
                handler.lose(node)
            if self._bus is not None:
                self._bus.forget(node)

    def nodes_seen(self, nodes: Sequence[Seen]) -> None:
        """Say which settings differ, once for each node and each change."""
        others = {node.id: node.info.alike for node in nodes}
        for node, alike in others.items():
            if self._others.get(node) != alike and (settings := differences(self._settings, alike)):
                _log.warning("another node has other settings", node=node, settings=settings)
        self._others = others

    def apply(self, settings: Settings) -> None:
        """These settings are in force from now on."""
        self._settings, self._alike, self._others = settings, fingerprint(settings), {}
        self.membership.hurry()

    def give_up(self) -> None:
        """All rooms are other nodes'."""
        if self._crossing is not None:
            self._crossing.close()
        if self._writer is not None:
            self._writer.disown_all()

    def moved(self, step: Step) -> None:
        """Begin anew with another id."""
        if step.moved and self._bus is not None and self._bus.me != self.membership.me:
            self._renamed.set()
