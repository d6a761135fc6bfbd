"""The media servers as an administrator sees and steers them. The machine of each decides what may be done.

A server that is one of several nodes shares them with the others by a *register*: what an administrator does at
one node is written there first, and every node does as the register says, each in its own time. A node takes a
media server away when nothing of its own is there any more, whatever the others still have there.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from typing import Protocol

import trio

from roomfsm.kurento.pool import MediaPool, MediaServerStatus
from roomfsm.lifecycle.media_server import MEDIA_SERVER, MediaServerFacts
from roomfsm.lifecycle.table import Model
from roomfsm.log import get_logger
from roomfsm.rooms.counts import Counts

_log = get_logger(__name__)

USE = "useMediaServer"
"""What is wanted of a media server if nobody has said anything: a trigger of its machine."""
_ID = 12
"""Hexadecimal digits of an id."""


def id_of(url: str) -> str:
    """What the media server at this address is called, at all nodes."""
    return hashlib.sha256(url.encode()).hexdigest()[:_ID]


class MediaServerExists(Exception):
    """The pool has a media server with this address already."""


class TooManyMediaServers(Exception):
    """The pool has as many media servers as the settings allow."""


class Origin(StrEnum):
    """Why this server knows a media server."""

    SETTINGS = "settings"
    EMBEDDED = "embedded"
    ADDED = "added"
    NODES = "nodes"


@dataclass(frozen=True, slots=True)
class Registered:
    """What the register of all nodes says of a media server.

    `nodes` are the ids of the nodes that list it. `wish` is what an administrator wanted last of it, a trigger of
    its machine.
    """

    secret: str | None = field(repr=False)
    added: bool
    nodes: tuple[str, ...] = ()
    wish: str = USE


class Register(Protocol):
    """What all nodes say of media servers, by their addresses. Its methods may raise `StoreError`."""

    async def look(self) -> Mapping[str, Registered] | None:
        """All that are to be known; None if nothing has changed since the last look."""

    async def add(self, url: str, secret: str | None) -> None:
        """An administrator adds a media server."""

    async def wish(self, url: str, trigger: str) -> None:
        """An administrator wants this of a media server."""

    def withdraw(self, url: str) -> None:
        """This node lists a media server no more, from the next look on."""


@dataclass(slots=True)
class MediaServer:
    """One media server. `id` names it in the admin API, and is the same at all nodes."""

    id: str
    model: Model
    status: MediaServerStatus
    origin: Origin
    nodes: tuple[str, ...]
    """The ids of the nodes that list it."""

    @property
    def state(self) -> str:
        """The state of its machine."""
        return self.model.state


class MediaServers:
    """All media servers of the pool, which asks here which of them may be chosen.

    The steps of their machines are added to the server's `counts`. The first ones are those of the settings, or
    our own embedded one if `is_embedded`. A `register` shares all but those that are `private`.
    """

    def __init__(
        self,
        pool: MediaPool,
        most: int,
        counts: Counts,
        *,
        is_embedded: bool = False,
        register: Register | None = None,
        private: Collection[str] = (),
    ) -> None:
        self._pool = pool
        self._counts = counts
        self._most = most
        self._models = {server.url: MEDIA_SERVER.new() for server in pool.servers}
        self._own = dict.fromkeys(self._models, Origin.EMBEDDED if is_embedded else Origin.SETTINGS)
        self._private = frozenset(private)
        self._register = register
        self._registered: Mapping[str, Registered] = {}
        """What the register said last."""
        self._moved_at: dict[str, float] = {}
        """When the machine of a media server moved last."""
        self._turn = trio.Lock()
        """Whoever has it changes the media servers."""
        pool.may_choose = self._may_choose

    def all(self) -> list[MediaServer]:
        """All media servers, in the order in which they became known."""
        for status in self._pool.servers:
            self._empty(status)
        servers = [self._told(status) for status in self._pool.servers]
        return [server for server in servers if not _is_over(server.model)]

    def find(self, name: str) -> MediaServer | None:
        """The media server with that id."""
        return next((server for server in self.all() if server.id == name), None)

    async def add(self, url: str, secret: str | None) -> MediaServer:
        """Use another media server, from the moment on in which it can be reached.

        `secret` is what it asks for. Raises `MediaServerExists`, `TooManyMediaServers` or `StoreError`.
        """
        async with self._turn:
            known = self._models.get(url)
            if known is not None and "listed" not in MEDIA_SERVER.legal(known.state):
                raise MediaServerExists(url)
            if known is None and len(self._models) >= self._most:
                raise TooManyMediaServers
            entry = Registered(secret, added=True)
            if self._register is not None:
                await self._register.add(url, secret)
                self._registered = {**self._registered, url: entry}
            await self._use(url, entry)
            return self._told(self._status(url))

    async def steer(self, server: MediaServer, trigger: str) -> None:
        """Move the machine of a media server, under all addresses by which it is known.

        Raises `Refusal` or `StoreError`.
        """
        async with self._turn:
            urls = [url for url in self._pool.names_of(server.status.url) if url in self._models]
            for url in urls:
                MEDIA_SERVER.check(self._models[url], trigger)
            for url in urls:
                if self._register is not None and url not in self._private:
                    await self._register.wish(url, trigger)
                    if url in self._registered:
                        # The next look is to find nothing new in it.
                        wished = replace(self._registered[url], wish=trigger)
                        self._registered = {**self._registered, url: wished}
                await self._fire(url, trigger)

    def withdraw(self) -> None:
        """Have the other nodes begin nothing at our own embedded media server any more, because we end soon."""
        for url, origin in self._own.items():
            if origin is Origin.EMBEDDED and self._register is not None:
                self._register.withdraw(url)

    async def look(self) -> None:
        """Do as the register says, and forget media servers that nobody needs any more. Raises `StoreError`."""
        assert self._register is not None
        async with self._turn:
            said = await self._register.look()
            if said is not None:
                before, self._registered = self._registered, said
                for url, entry in said.items():
                    await self._use(url, entry)
                    wished = before[url].wish if url in before else USE
                    if url in self._models and entry.wish != wished:
                        await self._hear(url, entry.wish)
                for url in self._models.keys() - said.keys() - self._private:
                    await self._hear(url, "unlisted")
            for server in self._pool.servers:
                self._empty(server)
            for url in [url for url, model in self._models.items() if _is_over(model)]:
                await self._forget(url)

    async def _use(self, url: str, entry: Registered) -> None:
        """Know this media server from now on, if it is not known yet."""
        known = self._models.get(url)
        if known is None:
            if len(self._models) >= self._most:
                _log.warning("media server not used, there are too many", url=url, see="--max-media-servers")
                return
            self._pool.add(url, entry.secret)
            self._models[url] = MEDIA_SERVER.new()
            _log.info("media server added", url=url)
            return
        if url not in self._own:
            self._pool.use_secret(url, entry.secret)
        await self._hear(url, "listed")

    async def _hear(self, url: str, trigger: str) -> None:
        """Act on what others say, unless that means nothing now."""
        if trigger in MEDIA_SERVER.legal(self._models[url].state):
            await self._fire(url, trigger)

    async def _fire(self, url: str, trigger: str) -> None:
        model = self._models[url]
        step = MEDIA_SERVER.fire(model, trigger, self._facts(self._status(url)))
        self._counts.moves[MEDIA_SERVER.name, step.trigger] += 1
        if step.moved:
            self._moved_at[url] = trio.current_time()
            _log.info("media server", url=url, trigger=trigger, source=step.source, dest=step.dest)
        self._pool.may_choose_another()
        if _is_over(model):
            await self._forget(url)

    async def _forget(self, url: str) -> None:
        del self._models[url]
        self._moved_at.pop(url, None)
        await self._pool.remove(url)

    def _empty(self, status: MediaServerStatus) -> None:
        """Notice that nothing is there any more."""
        step = MEDIA_SERVER.follow(self._models[status.url], "emptied", partial(self._facts, status))
        if step is not None:
            self._counts.moves[MEDIA_SERVER.name, step.trigger] += 1

    def _facts(self, status: MediaServerStatus) -> MediaServerFacts:
        """Rooms of other nodes have some time to come after their node has gone, and its media servers with it."""
        since = self._moved_at.get(status.url, -math.inf)
        return MediaServerFacts(status.pipelines, trio.current_time() < since + self._pool.adoption_time)

    def _status(self, url: str) -> MediaServerStatus:
        return next(status for status in self._pool.servers if status.url == url)

    def _told(self, status: MediaServerStatus) -> MediaServer:
        entry = self._registered.get(status.url)
        origin = self._own.get(status.url)
        if origin is None:
            origin = Origin.NODES if entry is not None and not entry.added else Origin.ADDED
        nodes = () if entry is None else entry.nodes
        return MediaServer(id_of(status.url), self._models[status.url], status, origin, nodes)

    def _may_choose(self, url: str, aliases: Collection[str]) -> bool:
        return self._has_row(url, "choose") and all(
            self._has_row(alias, "chooseAlias") for alias in aliases if alias in self._models
        )

    def _has_row(self, url: str, trigger: str) -> bool:
        known = self._models.get(url)
        return known is not None and bool(MEDIA_SERVER.rows_of(known.state, trigger))


def _is_over(model: Model) -> bool:
    return MEDIA_SERVER.state(model.state).final
