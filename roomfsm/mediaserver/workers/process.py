"""One worker's process in the main process: starts it, reads its reports, and starts it again when it dies.

Theory. A worker is a child process under supervision (:mod:`roomfsm.supervise`). It is started with one end of a
Unix stream, reports that it is ready or why it cannot be, sends reports until it dies, and is started again.
`context` is set exactly while a process is ready. It has the data for answers to browsers, such as the
certificate's fingerprint, so a peer can be opened on a worker only while `context` is set. The UDP port is the
same after every start, because firewalls and announced addresses name it.

When a worker dies, its peers are lost for good, because their keys and sockets were in its memory. Nothing of them
is restored. The owner is told at once, in the same turn of the loop, so that no command is sent to a process that
no longer exists.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Collection
from contextlib import ExitStack, aclosing, closing
from dataclasses import replace
from typing import Protocol

import msgspec
import trio

from roomfsm.log import get_logger
from roomfsm.mediaserver.base.boundary import Boundary, log_fault
from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.base.refusal import Refusal
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.dtls.session import DtlsIdentity
from roomfsm.mediaserver.engine.own_port import OwnPort
from roomfsm.mediaserver.engine.peer import Peer
from roomfsm.mediaserver.engine.stats import PeerStats
from roomfsm.mediaserver.engine.transport import Transport
from roomfsm.mediaserver.forwarding.shared_path import SharedPath
from roomfsm.mediaserver.forwarding.sink import Group, Sink
from roomfsm.mediaserver.forwarding.surroundings import Attended
from roomfsm.mediaserver.ice.lite import Address, Path, host_candidates
from roomfsm.mediaserver.workers.channel import Channel
from roomfsm.mediaserver.workers.messages import (
    AnyReport,
    Command,
    Fault,
    MirrorOpened,
    Observed,
    Statistics,
    WorkerFailed,
    WorkerReady,
)
from roomfsm.supervise import ChildStartError, Patience, Supervised

_REPORT = Boundary("one report of a worker")
_PATIENCE = Patience(stop_timeout=2.0)
"""The times of supervision. A worker has 2 s to say goodbye to its peers, and sends a report every second."""

log = get_logger(__name__)


class Reported(Protocol):
    """A peer whose media the process forwards, and which gets the process's reports."""

    def observed(self, report: Observed) -> None: ...

    def update(self, stats: PeerStats) -> None: ...


class Owner[P: Reported](Protocol):
    """The owner of all workers."""

    def mirror_opened(self, target: WorkerProcess[P], source: int, kind: MediaKind, opening: int) -> None: ...

    def died(self, worker: WorkerProcess[P]) -> None: ...


class _Fingerprint(DtlsIdentity):
    """The part of a worker's certificate that answers need."""

    def __init__(self, fingerprint: str) -> None:
        self.fingerprint = fingerprint


class WorkerContext:
    """The context in which peers of one worker negotiate (`PeerContext`). Nothing is sent from here."""

    def __init__(self, settings: EngineSettings, ready: WorkerReady) -> None:
        self.settings = settings
        self.identity: DtlsIdentity = _Fingerprint(ready.fingerprint)
        self.candidates = ready.candidates
        self.tcp_port = ready.tcp_port
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

    def open_port(self) -> OwnPort:
        raise OSError("the worker has the ports")

    def shared_path(self, name: str) -> SharedPath:
        """A path of its own, because a worker takes no layers, and estimates no path."""
        del name
        return SharedPath(self.settings)

    def forget(self, peer: Peer) -> None: ...

    def send(self, datagram: bytes, path: Path) -> None: ...

    def refuse(self, reason: Refusal) -> None: ...

    def memory_freed(self) -> None: ...

    def send_packets(self, packets: list[bytes], sinks: Collection[Sink]) -> None: ...

    def flush(self) -> None: ...


class WorkerProcess[P: Reported](Supervised):
    """One worker's process, which is started again whenever it dies or hangs."""

    def __init__(self, index: int, settings: EngineSettings, folder: str, owner: Owner[P]) -> None:
        super().__init__("media worker", _PATIENCE, log.bind(worker=index))
        self.index = index
        self.peers: dict[int, P] = {}
        self.context: WorkerContext | None = None
        """None while the worker is not ready."""
        self.latency = 0.0
        self._settings = settings
        self._folder = folder
        self._owner = owner
        self._socket: socket.socket | None = None
        """Our end of the stream to the newest process."""
        self._channel: Channel[AnyReport] | None = None
        """The channel to a process that is ready."""

    @property
    def port(self) -> int:
        """The UDP port, the same after every start."""
        return self._settings.port

    def announce(self, addresses: tuple[str, ...]) -> None:
        """Send these addresses to its browsers from now on, also after its next start."""
        self._settings = replace(self._settings, announced_addresses=addresses)
        if self.context is not None:
            self.context.candidates = host_candidates(
                addresses, self.port, self.context.tcp_port, self._settings.announced_tcp_port
            )

    def send(self, command: Command) -> None:
        if self._channel is not None:
            self._channel.send(command)

    async def open_process(self) -> trio.Process:
        with ExitStack() as unfinished:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            unfinished.enter_context(closing(ours))
            with theirs:
                settings = msgspec.json.encode(self._settings).decode()
                # The worker is in our process group, so that killing the group leaves nothing behind.
                process = await trio.lowlevel.open_process(
                    [
                        *(sys.executable, "-m", "roomfsm.mediaserver.workers"),
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
                # This is raised outside of the nursery, which would wrap it in a group.
                raise ChildStartError(failure)

    def _take(self, report: AnyReport, channel: Channel[AnyReport]) -> None:
        match report:
            case WorkerReady():
                self._settings = replace(self._settings, port=report.port, tcp_port=report.tcp_port or 0)
                self.context = WorkerContext(self._settings, report)
                self._channel = channel
                self.ready(port=report.port)
            case Observed():
                if (peer := self.peers.get(report.peer)) is not None:
                    peer.observed(report)
            case MirrorOpened(source, kind, opening):
                self._owner.mirror_opened(self, source, kind, opening)
            case Fault(what, times, cause):
                log_fault(f"{what} (worker {self.index})", times, cause)
            case Statistics(peers, latency):
                self.latency = latency
                for number, stats in peers.items():
                    if (peer := self.peers.get(number)) is not None:
                        peer.update(stats)

    def ask_to_end(self, process: trio.Process) -> None:
        """Nothing to do: the worker ends because the stream has been closed."""

    def gone(self, why: str) -> None:
        del why
        assert self._socket is not None
        self._socket.close()
        self.context = self._channel = None
        # This is done at once, so that further calls of its peers are refused.
        self._owner.died(self)
