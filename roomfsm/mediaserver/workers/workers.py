"""All workers together, which replace the engine in a media server with several processes.

Theory. One Python process can forward media with one core only. So the peers are spread over worker processes,
each with an engine and a UDP port of its own. A new peer goes to the worker that has the fewest. All negotiation
stays in the main process, which knows all sources and viewers and can answer at once.

If a source and one of its viewers are on different workers, the source's worker sends each packet to the viewer's
worker once, however many viewers there are (:mod:`~roomfsm.mediaserver.forwarding.relay`). There the source has a
*mirror*. This file manages the mirrors:

- A mirror for a source, kind and target worker is open exactly while at least one sink on the target follows that
  source.
- A mirror is first opened at the target. The origin begins to send only after the target has reported that.
  Packets that are sent earlier would be lost, including the keyframe with which the viewers begin. Each opening
  has a number, because the mirror may be closed and opened again before the report of the first opening arrives.
- When a worker dies, all mirrors from it and on it end.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import trio

from roomfsm.mediaserver.base.boundary import Boundary
from roomfsm.mediaserver.base.errors import EngineFull, WorkerDied
from roomfsm.mediaserver.base.kinds import ALL_KINDS, MediaKind
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.engine.observer import PeerObserver
from roomfsm.mediaserver.ice import announced
from roomfsm.mediaserver.workers.messages import (
    CloseMirror,
    ClosePeer,
    CloseRelay,
    Follow,
    NegotiateMirror,
    OpenMirror,
    OpenRelay,
)
from roomfsm.mediaserver.workers.process import WorkerProcess
from roomfsm.mediaserver.workers.worker_peer import WorkerPeer

_DEATH = Boundary("telling one peer that its worker died")
_CLOSING = Boundary("closing one peer")

type _Worker = WorkerProcess[WorkerPeer]


class Workers:
    """Replaces an :class:`~roomfsm.mediaserver.engine.engine.Engine`. :func:`open_workers` creates it."""

    def __init__(self, settings: EngineSettings, number: int, folder: str) -> None:
        self.settings = settings
        self.workers = [
            WorkerProcess[WorkerPeer](
                index,
                replace(
                    settings,
                    port=settings.port and settings.port + index,
                    tcp_port=settings.tcp_port and settings.tcp_port + index,
                    announced_tcp_port=settings.announced_tcp_port and settings.announced_tcp_port + index,
                    announced_addresses=announced.shifted(settings.announced_addresses, index),
                ),
                folder,
                self,
            )
            for index in range(number)
        ]
        self._numbers = itertools.count(1)
        self._mirrors: dict[WorkerPeer, dict[tuple[MediaKind, _Worker], set[WorkerPeer]]] = {}
        """For each source, its sinks on other workers."""
        self._mirrored: dict[tuple[WorkerPeer, MediaKind], WorkerPeer] = {}
        """For each of these sinks and kinds, its source."""
        self._openings = itertools.count(1)
        self._opening: dict[tuple[int, MediaKind, _Worker], int] = {}
        """The number of each mirror's last opening, by the source's number, the kind and the target."""

    def announce(self, addresses: Sequence[str]) -> None:
        """Send these addresses to browsers from now on (`announced.look_up`)."""
        for worker in self.workers:
            worker.announce(announced.shifted(addresses, worker.index))

    @property
    def port(self) -> int:
        """The UDP port of the first worker."""
        return self.workers[0].port

    @property
    def layered(self) -> bool:
        """Browsers send one layer, because workers hand on one to each other."""
        return False

    @property
    def processes(self) -> tuple[int, ...]:
        """The process ids of the workers that run."""
        return tuple(worker.pid for worker in self.workers if worker.pid is not None)

    @property
    def peers(self) -> int:
        return sum(len(worker.peers) for worker in self.workers)

    @property
    def mirrors(self) -> int:
        """The number of tracks that are sent from one worker to another."""
        return sum(map(len, self._mirrors.values()))

    @property
    def latency(self) -> float:
        """The longest latency of a worker, in seconds
        (:attr:`~roomfsm.mediaserver.engine.engine.Engine.latency`).
        """
        return max(worker.latency for worker in self.workers)

    def open_peer(self, observer: PeerObserver) -> WorkerPeer:
        """Open a peer. Raises :class:`EngineFull`, also while no worker is ready."""
        ready = [worker for worker in self.workers if worker.context is not None]
        if not ready or self.peers >= self.settings.max_peers:
            raise EngineFull(f"{self.peers} peers are open, {len(ready)} workers are ready")
        worker = min(ready, key=lambda one: len(one.peers))
        peer = WorkerPeer(self, worker, next(self._numbers), observer)
        worker.peers[peer.number] = peer
        return peer

    # For its peers

    def negotiated(self, source: WorkerPeer) -> None:
        """Send the codecs of a source to the workers that mirror it, because they are now known."""
        for kind, worker in self._mirrors.get(source, ()):
            self._tell_codec(source, kind, worker)

    def _tell_codec(self, source: WorkerPeer, kind: MediaKind, worker: _Worker) -> None:
        track = source.track(kind)
        if track.codec is not None:
            worker.send(NegotiateMirror(source.number, kind, track.codec, track.audio_level))

    def follow(self, sink: WorkerPeer, kind: MediaKind, source: WorkerPeer | None) -> None:
        """Make a sink's worker send it the media of that source."""
        previous = self._mirrored.pop((sink, kind), None)
        if source is not None and source.worker is None:
            source = None
        if source is not None and sink.worker is not None and source.worker is not sink.worker:
            self._mirror(sink, kind, source, sink.worker)
        sink.tell(Follow(sink.number, kind, None if source is None else source.number))
        if previous is not None and previous is not source:
            self._leave(sink, kind, previous)

    def _mirror(self, sink: WorkerPeer, kind: MediaKind, source: WorkerPeer, target: _Worker) -> None:
        assert source.worker is not None
        mirrors = self._mirrors.setdefault(source, {})
        if (kind, target) not in mirrors:
            mirrors[kind, target] = set()
            opening = self._opening[source.number, kind, target] = next(self._openings)
            target.send(OpenMirror(source.number, kind, source.worker.index, opening))
            self._tell_codec(source, kind, target)
        mirrors[kind, target].add(sink)
        self._mirrored[sink, kind] = source

    def mirror_opened(self, target: _Worker, source: int, kind: MediaKind, opening: int) -> None:
        """Make the source's worker send to the mirror, unless the mirror has been closed meanwhile."""
        if self._opening.get((source, kind, target)) == opening:
            peer = next(peer for peer in self._mirrors if peer.number == source)
            peer.tell(OpenRelay(source, kind, target.index))

    def _leave(self, sink: WorkerPeer, kind: MediaKind, source: WorkerPeer) -> None:
        """Remove a sink on another worker. If it was the last one there, the mirror ends."""
        for (mirrored, target), sinks in list(self._mirrors.get(source, {}).items()):
            if mirrored is kind and sink in sinks:
                sinks.remove(sink)
                if not sinks:
                    self._end_mirror(source, kind, target)

    def _end_mirror(self, source: WorkerPeer, kind: MediaKind, target: _Worker) -> None:
        mirrors = self._mirrors[source]
        del self._opening[source.number, kind, target]
        for sink in mirrors.pop((kind, target)):
            self._mirrored.pop((sink, kind), None)
        if not mirrors:
            del self._mirrors[source]
        source.tell(CloseRelay(source.number, kind, target.index))
        target.send(CloseMirror(source.number, kind))

    def closed(self, peer: WorkerPeer) -> None:
        self._detach(peer)
        peer.tell(ClosePeer(peer.number))
        if peer.worker is not None:
            del peer.worker.peers[peer.number]
            peer.worker = None

    def _detach(self, peer: WorkerPeer) -> None:
        """End the mirrors that exist because of this peer."""
        for kind, target in list(self._mirrors.get(peer, ())):
            self._end_mirror(peer, kind, target)
        for kind in ALL_KINDS:
            source = self._mirrored.pop((peer, kind), None)
            if source is not None:
                self._leave(peer, kind, source)

    def died(self, worker: _Worker) -> None:
        """Report that a worker's peers are gone for good. Other peers only lose the media that came from there."""
        error = WorkerDied(f"media worker {worker.index} died")
        peers, worker.peers = list(worker.peers.values()), {}
        for peer in peers:
            peer.worker = None
        for peer in peers:
            with _DEATH:
                self._detach(peer)
            with _DEATH:
                peer.died(error)

    def close(self) -> None:
        for worker in self.workers:
            for peer in list(worker.peers.values()):
                with _CLOSING:
                    peer.close()


async def _start(worker: _Worker, nursery: trio.Nursery) -> None:
    if (failure := await nursery.start(worker.supervise)) is not None:
        raise OSError(str(failure))


@asynccontextmanager
async def open_workers(settings: EngineSettings, number: int) -> AsyncIterator[Workers]:
    """Start `number` workers, on the UDP ports from `settings.port` on.

    Leaving the scope closes every peer and ends the workers. Raises `OSError`, in a group, if a worker cannot bind
    its port.
    """
    with tempfile.TemporaryDirectory(prefix="roomfsm-") as folder:
        workers = Workers(settings, number, folder)
        async with trio.open_nursery() as nursery:
            async with trio.open_nursery() as starting:
                for worker in workers.workers:
                    starting.start_soon(_start, worker, nursery)
            try:
                yield workers
            finally:
                workers.close()
                nursery.cancel_scope.cancel()
