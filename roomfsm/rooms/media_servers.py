"""The media servers as an administrator sees and steers them. The machine of each decides what may be done."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from roomfsm.kurento.pool import MediaPool, MediaServerStatus
from roomfsm.lifecycle.media_server import MEDIA_SERVER, MediaServerFacts
from roomfsm.lifecycle.table import Model
from roomfsm.log import get_logger
from roomfsm.rooms.counts import Counts

_log = get_logger(__name__)


class MediaServerExists(Exception):
    """The pool has a media server with this address already."""


class TooManyMediaServers(Exception):
    """The pool has as many media servers as the settings allow."""


@dataclass(slots=True)
class MediaServer:
    """One media server. `id` names it in the admin API."""

    id: str
    model: Model
    status: MediaServerStatus

    @property
    def state(self) -> str:
        """The state of its machine."""
        return self.model.state


class MediaServers:
    """All media servers of the pool, which asks here which of them may be chosen.

    The steps of their machines are added to the server's `counts`.
    """

    def __init__(self, pool: MediaPool, most: int, counts: Counts) -> None:
        self._pool = pool
        self._counts = counts
        self._most = most
        self._models = {server.url: MEDIA_SERVER.new() for server in pool.servers}
        pool.may_choose = self._may_choose

    def all(self) -> list[MediaServer]:
        """All media servers, in the order in which they became known."""
        servers = []
        for status in self._pool.servers:
            model = self._models[status.url]
            step = MEDIA_SERVER.follow(model, "emptied", partial(MediaServerFacts, status.pipelines))
            if step is not None:
                self._counts.moves[MEDIA_SERVER.name, step.trigger] += 1
            servers.append(MediaServer(str(status.number), model, status))
        return servers

    def find(self, name: str) -> MediaServer | None:
        """The media server with that id."""
        return next((server for server in self.all() if server.id == name), None)

    def add(self, url: str, secret: str | None) -> MediaServer:
        """Use another media server, from the moment on in which it can be reached.

        `secret` is what it asks for. Raises `MediaServerExists` or `TooManyMediaServers`.
        """
        if url in self._models:
            raise MediaServerExists(url)
        if len(self._models) >= self._most:
            raise TooManyMediaServers
        self._pool.add(url, secret)
        self._models[url] = MEDIA_SERVER.new()
        _log.info("media server added", url=url)
        return self.all()[-1]

    async def steer(self, server: MediaServer, trigger: str) -> None:
        """Move the machine of a media server. Raises `Refusal`."""
        step = MEDIA_SERVER.fire(server.model, trigger, MediaServerFacts(server.status.pipelines))
        self._counts.moves[MEDIA_SERVER.name, step.trigger] += 1
        _log.info("media server", url=server.status.url, trigger=trigger, source=step.source, dest=step.dest)
        self._pool.may_choose_another()
        if MEDIA_SERVER.state(step.dest).final:
            del self._models[server.status.url]
            await self._pool.remove(server.status.url)

    def _may_choose(self, url: str) -> bool:
        known = self._models.get(url)
        return known is not None and bool(MEDIA_SERVER.rows_of(known.state, "choose"))
