"""The page `/metrics`: asks the media servers, counts everything, and writes it as Prometheus reads it."""

from __future__ import annotations

import trio
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

from roomfsm.door.front_door import FrontDoor
from roomfsm.files.store import FileStore
from roomfsm.kurento.pool import MediaPool
from roomfsm.metrics.collector import Node, Parts, ServerCollector
from roomfsm.rooms.directory import Directory
from roomfsm.rooms.writer import Writer
from roomfsm.signaling.registry import Registry

_PATIENCE = 1.0
"""Seconds that each media server has to say what it holds. Prometheus waits for 10 s by default."""
_FRESH = 1.0
"""Seconds for which their answers are used again, so that nobody makes them work by asking often."""


class MetricsPage:
    """Makes the page for one server."""

    def __init__(
        self,
        directory: Directory,
        registry: Registry,
        pool: MediaPool,
        door: FrontDoor,
        files: FileStore | None,
        writer: Writer | None,
        node: Node | None = None,
    ) -> None:
        self._parts = parts = Parts(directory, registry, pool, door, files, writer, node)
        self._asking = trio.Lock()
        self._fresh_until = 0.0
        self._registry = CollectorRegistry()
        self._registry.register(ServerCollector(parts))
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    async def write(self, accept: str) -> tuple[bytes, str]:
        """The page in the format that the `Accept` header prefers, and its content type."""
        async with self._asking:
            if trio.current_time() >= self._fresh_until:
                self._parts.stocks = await self._parts.pool.take_stock(_PATIENCE)
                self._fresh_until = trio.current_time() + _FRESH
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type
