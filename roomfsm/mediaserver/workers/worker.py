"""A worker: a process with its own engine, which forwards the media of the main process's peers.

`python -m roomfsm.mediaserver.workers DESCRIPTOR INDEX FOLDER SETTINGS` starts it. The arguments are the
stream to the main process, the worker's number, the folder of the workers' sockets, and the engine's settings in
JSON.

Theory. A worker makes no decisions. It carries out the main process's commands in order, and passes on the reports
of its peers. A command has no answer, because everything that can be refused has been refused before. The worker
lives as long as the stream to the main process. When the stream ends, because the main process closed it or died,
the worker says goodbye to its browsers and ends. It ignores signals to the process group, because the main process
gets them as well, and ends its workers in order.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Collection
from contextlib import AsyncExitStack, aclosing, closing
from pathlib import Path

import msgspec
import trio

from roomfsm.mediaserver.base.boundary import Boundary
from roomfsm.mediaserver.base.errors import WorkerDied
from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.dtls.state import DtlsState
from roomfsm.mediaserver.engine import memory
from roomfsm.mediaserver.engine.engine import Engine, open_engine
from roomfsm.mediaserver.engine.peer import Peer
from roomfsm.mediaserver.engine.stats import PeerStats
from roomfsm.mediaserver.forwarding.relay import Links, Mirror, Relay
from roomfsm.mediaserver.forwarding.track import Track
from roomfsm.mediaserver.ice.state import IceState
from roomfsm.mediaserver.workers.channel import Channel
from roomfsm.mediaserver.workers.messages import (
    AddCandidate,
    AnyCommand,
    CloseMirror,
    ClosePeer,
    CloseRelay,
    Fault,
    Follow,
    MirrorOpened,
    NegotiateMirror,
    Observed,
    OpenMirror,
    OpenPeer,
    OpenRelay,
    RequestKeyframe,
    Restart,
    SetBandwidth,
    Start,
    Statistics,
    WorkerFailed,
    WorkerReady,
)

_STATISTICS_INTERVAL = 1.0
_COMMAND = Boundary("one command of the main process")
_STATISTICS = Boundary("one peer's statistics")


class _Observer:
    """Passes a peer's reports on to the main process."""

    def __init__(self, channel: Channel[AnyCommand], peer: int) -> None:
        self._channel = channel
        self._peer = peer

    def _tell(self, event: str, *arguments: object) -> None:
        self._channel.send(Observed(self._peer, event, arguments))

    def ice_state_changed(self, state: IceState) -> None:
        self._tell("ice_state_changed", state)

    def candidate_pair_selected(self, local: str, remote: str) -> None:
        self._tell("candidate_pair_selected", local, remote)

    def dtls_state_changed(self, state: DtlsState) -> None:
        self._tell("dtls_state_changed", state)

    def connection_failed(self, reason: str) -> None:
        self._tell("connection_failed", reason)

    def media_connection_changed(self, connected: bool) -> None:
        self._tell("media_connection_changed", connected)

    def receiving_changed(self, kind: MediaKind, flowing: bool) -> None:
        self._tell("receiving_changed", kind, flowing)

    def sending_changed(self, kind: MediaKind, flowing: bool) -> None:
        self._tell("sending_changed", kind, flowing)

    def pause_changed(self, kind: MediaKind, paused: bool) -> None:
        self._tell("pause_changed", kind, paused)

    def speech_changed(self, speaks: bool) -> None:
        self._tell("speech_changed", speaks)

    def layers_wanted(self, names: Collection[str]) -> None:
        """Nothing to do: browsers send one layer, because workers hand on one to each other."""

    def codec_mismatched(self, reason: str) -> None:
        """Nothing to do: the main process negotiates, and notices this by itself."""

    def worker_died(self, error: WorkerDied) -> None:
        """Nothing to do: the main process notices this."""


class Worker:
    """Carries out the main process's commands."""

    def __init__(self, engine: Engine, links: Links, channel: Channel[AnyCommand]) -> None:
        self._engine = engine
        self._links = links
        self._channel = channel
        self._peers: dict[int, Peer] = {}

    def execute(self, command: AnyCommand) -> None:
        """Carry out a command.

        It cannot fail because of its content, which the main process has checked before.
        """
        match command:
            case OpenPeer(peer):
                self._peers[peer] = self._engine.open_peer(_Observer(self._channel, peer))
            case Start(peer, transports, credentials):
                self._peers[peer].start(transports, credentials)
            case Restart(peer, credentials):
                self._peers[peer].restart(credentials)
            case AddCandidate(peer, candidate, sdp_mid, index):
                self._peers[peer].add_candidate(candidate, sdp_mid, index)
            case SetBandwidth(peer, name, kilobits):
                setattr(self._peers[peer], name, kilobits)
            case Follow(peer, kind, source):
                self._peers[peer].follow(kind, None if source is None else self._track(source, kind))
            case RequestKeyframe(peer):
                self._peers[peer].request_keyframe()
            case ClosePeer(peer):
                self._peers.pop(peer).close()
            case OpenMirror(source, kind, origin, opening):
                self._open_mirror(source, kind, origin)
                self._channel.send(MirrorOpened(source, kind, opening))
            case NegotiateMirror(source, kind, codec, audio_level):
                self._links.mirrors[source, kind].negotiated(codec, audio_level)
            case CloseMirror(source, kind):
                mirror = self._links.mirrors.pop((source, kind))
                self._engine.mirrors.discard(mirror)
                mirror.close()
                self._engine.attention.discard(mirror.track)
            case OpenRelay(source, kind, target):
                relay = Relay(self._links, self._peers[source].track(kind), source, target)
                self._links.relays[source, kind, target] = relay
                relay.open()
            case CloseRelay(source, kind, target):
                # The relay may have ended before its mirror was open.
                if (opened := self._links.relays.pop((source, kind, target), None)) is not None:
                    opened.close()

    def _track(self, source: int, kind: MediaKind) -> Track:
        peer = self._peers.get(source)
        return self._links.mirrors[source, kind].track if peer is None else peer.track(kind)

    def _open_mirror(self, source: int, kind: MediaKind, origin: int) -> None:
        mirror = Mirror(self._links, self._engine, source, kind, origin)
        self._links.mirrors[source, kind] = mirror
        self._engine.mirrors.add(mirror)

    async def report(self) -> None:
        """Send the peers' statistics, for ever."""
        while True:
            await trio.sleep(_STATISTICS_INTERVAL)
            self._channel.send(Statistics(self._statistics(), self._engine.latency))

    def _statistics(self) -> dict[int, PeerStats]:
        """The statistics of the peers that are connected."""
        connected = {}
        for number, peer in self._peers.items():
            with _STATISTICS:
                stats = peer.stats()
                if stats.remote_address is not None:
                    connected[number] = stats
        return connected


async def serve(sock: socket.socket, index: int, folder: Path, settings: EngineSettings) -> None:
    """Run the worker until the main process closes the stream."""
    async with AsyncExitStack() as stack:
        channel = stack.enter_context(closing(Channel[AnyCommand](sock, AnyCommand.__value__)))
        try:
            engine = await stack.enter_async_context(open_engine(settings))
        except OSError as error:
            channel.send(WorkerFailed(str(error)))
            return
        links = stack.enter_context(closing(Links(folder, index, engine.attention)))
        engine.end_turn = links.flush
        Boundary.tell = staticmethod(lambda *fault: channel.send(Fault(*fault)))
        worker = Worker(engine, links, channel)
        fingerprint = engine.identity.fingerprint
        memory.settle_start_up()
        channel.send(
            WorkerReady(
                engine.port,
                engine.tcp_port,
                fingerprint,
                engine.candidates,
                engine.ssrcs,
                engine.repair_ssrc,
                engine.cname,
            )
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.write)
            nursery.start_soon(engine.pump, links.socket, links.drain)
            nursery.start_soon(worker.report)
            nursery.start_soon(channel.cancel_when_broken, nursery.cancel_scope)
            async with aclosing(channel.read()) as commands:
                async for command in commands:
                    with _COMMAND:
                        worker.execute(command)
                    engine.end_turn()
            nursery.cancel_scope.cancel()


def main() -> None:
    """Run one worker, with the arguments of the command line."""
    descriptor, index, folder, settings = sys.argv[1:]
    with socket.socket(fileno=int(descriptor)) as sock:
        decoded = msgspec.json.decode(settings, type=EngineSettings)
        trio.run(serve, sock, int(index), Path(folder), decoded)
