"""The main process's side of the workers: peers like the engine's own, whose media other processes move.

A peer is negotiated here, where all sources and viewers are known and an answer can be given at once; its worker
is told what was agreed on. A new peer goes to the worker that has the fewest. Where a source and a sink are on
different workers, the source's hands each packet to the sink's, once (`relay.py`).
"""

from __future__ import annotations

import itertools
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, aclosing, asynccontextmanager, closing
from dataclasses import replace
from typing import Any

import msgspec
import trio

from roomfsm.log import get_logger
from roomfsm.mediaserver.base.boundary import Boundary, log_fault
from roomfsm.mediaserver.base.errors import EngineFull, WorkerDied
from roomfsm.mediaserver.base.kinds import ALL_KINDS, MediaKind
from roomfsm.mediaserver.base.refusal import Refusal
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.dtls.session import DtlsIdentity
from roomfsm.mediaserver.dtls.state import DtlsState
from roomfsm.mediaserver.engine.media_transport import MediaTransport
from roomfsm.mediaserver.engine.observer import PeerObserver
from roomfsm.mediaserver.engine.peer import Peer
from roomfsm.mediaserver.engine.stats import PeerStats
from roomfsm.mediaserver.engine.transport import Transport
from roomfsm.mediaserver.forwarding.sink import Group, Sink
from roomfsm.mediaserver.forwarding.surroundings import Attended
from roomfsm.mediaserver.ice import announced
from roomfsm.mediaserver.ice.lite import Address, Credentials, Path, host_candidates
from roomfsm.mediaserver.ice.state import IceState, LocalCandidate
from roomfsm.mediaserver.sdp.answer import AcceptedTransport
from roomfsm.mediaserver.workers.channel import Channel
from roomfsm.mediaserver.workers.messages import (
    AddCandidate,
    AnyReport,
    CloseMirror,
    ClosePeer,
    CloseRelay,
    Command,
    Fault,
    Follow,
    MirrorOpened,
    NegotiateMirror,
    Observed,
    OpenMirror,
    OpenPeer,
    OpenRelay,
    RequestKeyframe,
    SetBandwidth,
    Start,
    Statistics,
    WorkerFailed,
    WorkerReady,
)
from roomfsm.supervise import ChildStartError, Patience, Supervised

_REPORT = Boundary("one report of a worker")
_DEATH = Boundary("telling one peer that its worker died")
_CLOSING = Boundary("closing one peer")
_PATIENCE = Patience(stop_timeout=2.0)
"""A worker has 2 s to say goodbye to its peers, and says something each second."""

_BANDWIDTHS = frozenset(
    {
        "max_video_receive_bandwidth",
        "max_video_send_bandwidth",
        "min_video_receive_bandwidth",
        "min_video_send_bandwidth",
    }
)
_OBSERVED: Mapping[str, tuple[Callable[[Any], Any], ...]] = {
    "ice_state_changed": (IceState,),
    "candidate_pair_selected": (str, str),
    "dtls_state_changed": (DtlsState,),
    "connection_failed": (str,),
    "media_connection_changed": (bool,),
    "receiving_changed": (MediaKind, bool),
    "sending_changed": (MediaKind, bool),
    "pause_changed": (MediaKind, bool),
}
"""The observer's methods, with their arguments' types."""
_FLOWS = frozenset({"receiving_changed", "sending_changed"})

log = get_logger(__name__)


class _Fingerprint(DtlsIdentity):
    """A worker's certificate, as far as answers need it."""

    def __init__(self, fingerprint: str) -> None:
        self.fingerprint = fingerprint


class _Elsewhere(Transport):
    """The transport of a peer whose datagrams another process gets: it only has the ICE credentials."""

    def start(
        self, fingerprints: Sequence[tuple[str, bytes]], now: float, *, dtls_client: bool = False
    ) -> None: ...


class _Context:
    """What peers of one worker need for their negotiation (`PeerContext`); nothing is sent from here."""

    def __init__(self, settings: EngineSettings, ready: WorkerReady) -> None:
        self.settings = settings
        self.identity: DtlsIdentity = _Fingerprint(ready.fingerprint)
        self.candidates = ready.candidates
        self.ssrcs = dict(ready.ssrcs)
        self.repair_ssrc = ready.repair_ssrc
        self.cname = ready.cname
        self.by_ufrag: dict[bytes, Transport] = {}
        self.by_address: dict[Address, Transport] = {}
        self.handshaking: set[Transport] = set()
        self.pending: list[Group] = []
        self.attention: set[Attended] = set()

    def now(self) -> float:
        return trio.current_time()

    def arrival_time(self) -> float:
        return trio.current_time()

    def forget(self, peer: Peer) -> None: ...

    def send(self, datagram: bytes, path: Path) -> None: ...

    def refuse(self, reason: Refusal) -> None: ...

    def memory_freed(self) -> None: ...

    def send_packets(self, packets: list[bytes], sinks: Collection[Sink]) -> None: ...

    def flush(self) -> None: ...


class WorkerPeer(Peer):
    """A peer whose media another process moves. After its worker's death it can only be closed: what would
    negotiate it raises :class:`WorkerDied`, all else does nothing."""

    def __init__(self, workers: Workers, worker: _Worker, number: int, observer: PeerObserver) -> None:
        assert worker.context is not None  # chosen for being ready
        super().__init__(worker.context, observer)
        self._workers = workers
        self._pushed: PeerStats | None = None
        self._flowing: dict[tuple[str, MediaKind], None] = {}
        """What was told to flow, as the observer's method and the kind."""
        self._death: WorkerDied | None = None
        self.number = number
        self.worker: _Worker | None = worker
        """None once it has died, or the peer was closed."""
        self.tell(OpenPeer(number))

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in _BANDWIDTHS and "number" in self.__dict__:
            self.tell(SetBandwidth(self.number, name, value))

    def tell(self, command: Command) -> None:
        """Send the worker a command, while there is one that knows this peer."""
        if self.worker is not None:
            self.worker.send(command)

    def process_offer(self, offer: str) -> str:
        self._check_worker()
        return super().process_offer(offer)

    def generate_offer(self, kinds: Collection[MediaKind] = ALL_KINDS) -> str:
        self._check_worker()
        return super().generate_offer(kinds)

    def process_answer(self, answer: str) -> None:
        self._check_worker()
        super().process_answer(answer)

    def _check_worker(self) -> None:
        if self._death is not None:
            raise WorkerDied(str(self._death))

    def start(self, transports: Sequence[AcceptedTransport], credentials: Sequence[Credentials]) -> None:
        super().start(transports, credentials)
        self.tell(Start(self.number, tuple(transports), tuple(credentials)))
        self._workers.negotiated(self)

    def _open_transport(self, credentials: Credentials, owner: MediaTransport) -> Transport:
        return _Elsewhere(self._context, owner, credentials)

    def gather_candidates(self) -> Sequence[LocalCandidate]:
        self._check_worker()
        return super().gather_candidates()

    def codec_mismatched(self, reason: str) -> None:
        if self._death is None:
            super().codec_mismatched(reason)

    def add_candidate(self, candidate: str, sdp_mid: str, sdp_m_line_index: int) -> None:
        super().add_candidate(candidate, sdp_mid, sdp_m_line_index)
        self.tell(AddCandidate(self.number, candidate, sdp_mid, sdp_m_line_index))

    def connect(self, sink: Peer, kinds: Collection[MediaKind] = ALL_KINDS) -> None:
        super().connect(sink, kinds)
        assert isinstance(sink, WorkerPeer)
        for kind in kinds:
            self._workers.follow(sink, kind, self)

    def disconnect(self, sink: Peer, kinds: Collection[MediaKind] = ALL_KINDS) -> None:
        assert isinstance(sink, WorkerPeer)
        connected = [kind for kind in kinds if sink.source(kind) is self.track(kind)]
        super().disconnect(sink, kinds)
        for kind in connected:
            self._workers.follow(sink, kind, None)

    def request_keyframe(self) -> None:
        self._check_open()
        self.tell(RequestKeyframe(self.number))

    def stats(self) -> PeerStats:
        """At most a second old."""
        self._check_open()
        return self._pushed or super().stats()

    def close(self) -> None:
        if self._observer is not None:
            super().close()
            self._workers.closed(self)

    # From the worker

    def observed(self, report: Observed) -> None:
        if self._observer is None:
            return
        types = zip(_OBSERVED[report.event], report.arguments, strict=True)
        arguments = [type_(value) for type_, value in types]
        if report.event in _FLOWS:
            kind, flowing = arguments
            if flowing:
                self._flowing[report.event, kind] = None
            else:
                self._flowing.pop((report.event, kind), None)
        getattr(self._observer, report.event)(*arguments)

    def update(self, stats: PeerStats) -> None:
        self._pushed = stats

    def died(self, error: WorkerDied) -> None:
        """The worker is gone, and the connection to the browser with it."""
        self.worker = None
        self._death = error
        if self._observer is None:
            return
        self._observer.ice_state_changed(IceState.FAILED)
        self._observer.media_connection_changed(False)
        for event, kind in self._flowing:
            getattr(self._observer, event)(kind, False)
        self._flowing.clear()
        self._observer.worker_died(error)


class _Worker(Supervised):
    """One worker's process, started again whenever it is of no more use."""

    def __init__(self, index: int, settings: EngineSettings, folder: str, workers: Workers) -> None:
        super().__init__("media worker", _PATIENCE, log.bind(worker=index))
        self.index = index
        self.peers: dict[int, WorkerPeer] = {}
        self.context: _Context | None = None
        """None while it is not ready."""
        self.latency = 0.0
        self._settings = settings
        self._folder = folder
        self._workers = workers
        self._socket: socket.socket | None = None
        """Our end of the stream to the newest process."""
        self._channel: Channel[AnyReport] | None = None
        """To a process that is ready."""

    @property
    def port(self) -> int:
        """The UDP port, the same after every start."""
        return self._settings.port

    def announce(self, addresses: tuple[str, ...]) -> None:
        """Tell its browsers these addresses from now on, also after its next start."""
        self._settings = replace(self._settings, announced_addresses=addresses)
        if self.context is not None:
            self.context.candidates = host_candidates(addresses, self.port)

    def send(self, command: Command) -> None:
        if self._channel is not None:
            self._channel.send(command)

    async def open_process(self) -> trio.Process:
        with ExitStack() as unfinished:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            unfinished.enter_context(closing(ours))
            with theirs:
                settings = msgspec.json.encode(self._settings).decode()
                # In our process group, so that who kills that leaves nothing behind.
                process = await trio.lowlevel.open_process(
                    [
                        *(sys.executable, "-m", "roomfsm.mediaserver.workers.worker"),
                        *(str(theirs.fileno()), str(self.index), self._folder, settings),
                    ],
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                )
            unfinished.pop_all()
        self._socket = ours
        return process

    async def converse(self, process: trio.Process) -> None:
        del process
        assert self._socket is not None
        with closing(Channel[AnyReport](self._socket, AnyReport.__value__)) as channel:
            failure: str | None = None
            async with trio.open_nursery() as nursery:
                nursery.start_soon(channel.write)
                nursery.start_soon(channel.cancel_when_broken, nursery.cancel_scope)
                async with aclosing(channel.read()) as reports:
                    async for report in reports:
                        if isinstance(report, WorkerFailed):
                            failure = report.error
                            break
                        self.heard()
                        with _REPORT:
                            self._take(report, channel)
                nursery.cancel_scope.cancel()
            if failure is not None:
                # Beyond the nursery, which would wrap it in a group.
                raise ChildStartError(failure)

    def _take(self, report: AnyReport, channel: Channel[AnyReport]) -> None:
        match report:
            case WorkerReady():
                self._settings = replace(self._settings, port=report.port)
                self.context = _Context(self._settings, report)
                self._channel = channel
                self.ready(port=report.port)
            case Observed():
                if (peer := self.peers.get(report.peer)) is not None:
                    peer.observed(report)
            case MirrorOpened(source, kind, opening):
                self._workers.mirror_opened(self, source, kind, opening)
            case Fault(what, times, cause):
                log_fault(f"{what} (worker {self.index})", times, cause)
            case Statistics(peers, latency):
                self.latency = latency
                for number, stats in peers.items():
                    if (peer := self.peers.get(number)) is not None:
                        peer.update(stats)

    def ask_to_end(self, process: trio.Process) -> None:
        """It ends with the stream, which has been closed."""

    def gone(self, why: str) -> None:
        del why
        assert self._socket is not None
        self._socket.close()
        self.context = self._channel = None
        # At once: what is asked of its peers from now on is refused.
        self._workers.died(self)


class Workers:
    """In the place of an :class:`~roomfsm.mediaserver.engine.engine.Engine`. Made by :func:`open_workers`."""

    def __init__(self, settings: EngineSettings, number: int, folder: str) -> None:
        self.settings = settings
        self.workers = [
            _Worker(
                index,
                replace(
                    settings,
                    port=settings.port and settings.port + index,
                    announced_addresses=announced.shifted(settings.announced_addresses, index),
                ),
                folder,
                self,
            )
            for index in range(number)
        ]
        self._numbers = itertools.count(1)
        self._mirrors: dict[WorkerPeer, dict[tuple[MediaKind, _Worker], set[WorkerPeer]]] = {}
        """The sinks of each source that are on other workers."""
        self._mirrored: dict[tuple[WorkerPeer, MediaKind], WorkerPeer] = {}
        """The source of each of them."""
        self._openings = itertools.count(1)
        self._opening: dict[tuple[int, MediaKind, _Worker], int] = {}
        """Of each mirror, by its source's number."""

    def announce(self, addresses: Sequence[str]) -> None:
        """Tell browsers these addresses from now on (`announced.look_up`)."""
        for worker in self.workers:
            worker.announce(announced.shifted(addresses, worker.index))

    @property
    def port(self) -> int:
        """The first worker's."""
        return self.workers[0].port

    @property
    def processes(self) -> tuple[int, ...]:
        """The workers' process ids, of those that run."""
        return tuple(worker.pid for worker in self.workers if worker.pid is not None)

    @property
    def peers(self) -> int:
        return sum(len(worker.peers) for worker in self.workers)

    @property
    def mirrors(self) -> int:
        """How many tracks are handed from one worker to another."""
        return sum(map(len, self._mirrors.values()))

    @property
    def latency(self) -> float:
        """Of the worker that has the longest (:attr:`~roomfsm.mediaserver.engine.engine.Engine.latency`)."""
        return max(worker.latency for worker in self.workers)

    def open_peer(self, observer: PeerObserver) -> WorkerPeer:
        """Raises :class:`EngineFull`, also while no worker is ready."""
        ready = [worker for worker in self.workers if worker.context is not None]
        if not ready or self.peers >= self.settings.max_peers:
            raise EngineFull(f"{self.peers} peers are open, {len(ready)} workers are ready")
        worker = min(ready, key=lambda one: len(one.peers))
        peer = WorkerPeer(self, worker, next(self._numbers), observer)
        worker.peers[peer.number] = peer
        return peer

    # For its peers

    def negotiated(self, source: WorkerPeer) -> None:
        """Its codecs are known: those who mirror it must know them too."""
        for kind, worker in self._mirrors.get(source, ()):
            self._tell_codec(source, kind, worker)

    def _tell_codec(self, source: WorkerPeer, kind: MediaKind, worker: _Worker) -> None:
        track = source.track(kind)
        if track.codec is not None:
            worker.send(NegotiateMirror(source.number, kind, track.codec, track.audio_level))

    def follow(self, sink: WorkerPeer, kind: MediaKind, source: WorkerPeer | None) -> None:
        """Let a sink's worker send it that source's media."""
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
        """Let the source's worker hand it over, unless the mirror has been closed since."""
        if self._opening.get((source, kind, target)) == opening:
            peer = next(peer for peer in self._mirrors if peer.number == source)
            peer.tell(OpenRelay(source, kind, target.index))

    def _leave(self, sink: WorkerPeer, kind: MediaKind, source: WorkerPeer) -> None:
        """One sink fewer elsewhere; without any the mirror ends."""
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
        """End what crosses workers because of this peer."""
        for kind, target in list(self._mirrors.get(peer, ())):
            self._end_mirror(peer, kind, target)
        for kind in ALL_KINDS:
            source = self._mirrored.pop((peer, kind), None)
            if source is not None:
                self._leave(peer, kind, source)

    def died(self, worker: _Worker) -> None:
        """Its peers are gone for good; the others do not notice but for the media that came from there."""
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
    """Start `number` workers, on the UDP ports from `settings.port` on; leaving closes every peer and ends them.

    Raises OSError, in a group, if one cannot bind its port.
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
