"""The media engine: it forwards RTP between many WebRTC peers over one UDP socket, and never transcodes.

Theory. Everything runs in one thread of one Trio loop, and code that handles packets never awaits. So no locks are
needed, and each method sees a consistent state. There are three tasks:

- `receive` reads the socket until it is empty, or until `drain` datagrams were read. That is a *round*. Tracks
  queue what they rewrite in `pending`, by group, so that the packets of a round leave in bursts. They leave in
  portions (:mod:`~roomfsm.mediaserver.engine.fanout`), and between two portions the socket is read again and other
  tasks have their turn: a keyframe to hundreds of viewers delays nobody else's sound.
- `attend` runs every 50 ms and does the work that cannot wait for the reports (NACKs, keyframe requests,
  repetitions, DTLS retransmission). It sleeps while there is no such work.
- `tick` runs every half second: it sends receiver reports, checks flow and silence, and does housekeeping.

The datagrams of all peers come to one port (:mod:`~roomfsm.mediaserver.engine.port`), except those of peers that
check an ICE-lite agent (:mod:`~roomfsm.mediaserver.engine.own_port`).

An error with one datagram, peer or round ends at a boundary (:mod:`~roomfsm.mediaserver.base.boundary`). It is
counted, and does not affect the others.
"""

import secrets
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from typing import Protocol
from weakref import WeakValueDictionary

import trio

from roomfsm.mediaserver.base import boundary
from roomfsm.mediaserver.base.boundary import Boundary
from roomfsm.mediaserver.base.errors import (
    AlreadyNegotiated,
    AnswerAlreadyProcessed,
    EngineError,
    EngineFull,
    NoCommonCodec,
    OfferNotGenerated,
    PeerClosed,
    SdpError,
    WorkerDied,
)
from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.base.refusal import Refusal
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.dtls.session import DtlsIdentity
from roomfsm.mediaserver.dtls.state import DtlsState
from roomfsm.mediaserver.engine import memory, packet_info, tcp, udp
from roomfsm.mediaserver.engine.fanout import Fanout
from roomfsm.mediaserver.engine.inbox import open_inbox
from roomfsm.mediaserver.engine.observer import PeerObserver
from roomfsm.mediaserver.engine.own_port import OwnPort
from roomfsm.mediaserver.engine.peer import Peer
from roomfsm.mediaserver.engine.port import Port
from roomfsm.mediaserver.engine.stats import EngineStats, PeerStats
from roomfsm.mediaserver.engine.tcp import TcpPort
from roomfsm.mediaserver.engine.transport import Transport
from roomfsm.mediaserver.engine.watch import Watch
from roomfsm.mediaserver.forwarding.shared_path import SharedPath
from roomfsm.mediaserver.forwarding.sink import Group, Sink
from roomfsm.mediaserver.forwarding.surroundings import Attended
from roomfsm.mediaserver.ice.lite import host_candidates
from roomfsm.mediaserver.ice.state import IceState, LocalCandidate

__all__ = [
    "AlreadyNegotiated",
    "AnswerAlreadyProcessed",
    "DtlsState",
    "Engine",
    "EngineError",
    "EngineFull",
    "EngineSettings",
    "EngineStats",
    "IceState",
    "LocalCandidate",
    "MediaKind",
    "NoCommonCodec",
    "OfferNotGenerated",
    "Peer",
    "PeerClosed",
    "PeerObserver",
    "PeerStats",
    "SdpError",
    "WorkerDied",
    "open_engine",
]

_ATTENTION_INTERVAL = 0.05
"""Seconds between two rounds of the work that cannot wait for the reports: NACKs, keyframe requests, DTLS
retransmission."""

_FREED_SHARE = 0.1
"""Fraction of the peers that must have freed memory before we return it to the system."""
_ADDRESSES_INTERVAL = 5.0
"""Seconds between two checks of the machine's addresses."""
_LATENCY_WEIGHT = 0.05
"""The weight of the newest measurement in the moving average."""

_ROUND = Boundary("what was received at once")
_FANOUT = Boundary("sending")
_RELAYING = Boundary("handing over to other workers")
_ATTENDING = Boundary("what one track or path has to do soon")
_HANDSHAKE = Boundary("one DTLS handshake")
_TICK = Boundary("one peer's reports")
_HOUSEKEEPING = Boundary("looking after memory and addresses")
_CLOSING = Boundary("closing one peer")


class Ticked(Protocol):
    """Something that gets the time every `report_interval`."""

    def tick(self, now: float) -> None: ...


class _WakingSet[Item](set[Item]):
    """A set that calls `wake` whenever something is added."""

    def __init__(self, wake: Callable[[], None]) -> None:
        super().__init__()
        self._wake = wake

    def add(self, item: Item) -> None:
        super().add(item)
        self._wake()


class Engine(Port):
    """All peers of one UDP socket. :func:`open_engine` creates it."""

    def __init__(
        self, settings: EngineSettings, sock: socket.socket, listener: socket.socket | None = None
    ) -> None:
        """`listener` is the TCP socket to which browsers connect, if they may."""
        super().__init__(sock, open_inbox(sock))
        self.settings = settings
        self.port: int = sock.getsockname()[1]
        self.tcp_port: int | None = None if listener is None else listener.getsockname()[1]
        self.tcp: TcpPort | None = None
        """Set while the engine is open, if browsers may come over TCP."""
        self.identity = DtlsIdentity()
        self._count_addresses()
        self._addresses_counted = float("-inf")
        self.candidates = self._candidates(udp.candidate_addresses(settings, sock))
        self.cname = secrets.token_hex(8)
        audio = secrets.randbits(31) + 1
        self.ssrcs = {MediaKind.AUDIO: audio, MediaKind.VIDEO: audio + 1}
        """The SSRCs of every stream that leaves here. Each viewer's answer names them, so they stay the same
        whatever source the viewer is connected to."""
        self.repair_ssrc = audio + 2
        self._due = trio.Event()
        """Set when something is added to one of the next two sets."""
        self.handshaking: set[Transport] = _WakingSet(self._wake)
        self.attention: set[Attended] = _WakingSet(self._wake)
        self.pending: list[Group] = []
        self.latency = 0.0
        """Seconds from reading packets to having sent them to all viewers, as a moving average."""
        self.mirrors: set[Ticked] = set()
        """Sources on other workers."""
        self.end_turn: Callable[[], None] = lambda: None
        """Called when all datagrams of a round have been handled."""
        self.nursery: trio.Nursery | None = None
        """The tasks of transports that have a port of their own; None while the engine is not open."""
        self._peers: set[Peer] = set()
        self._paths = WeakValueDictionary[str, SharedPath]()
        """The paths that several peers share, by their names, as long as one of these peers exists."""
        self._sender = udp.BurstSender(sock, self.now)
        self._fanout = Fanout(self._sender)
        self._received = 0
        self._refused: Counter[Refusal] = Counter()
        self._memory_freed = 0
        """The number of peers whose handshake memory was freed since memory was last returned to the system."""
        self._memory_given_back = float("-inf")

    # For its owner

    def open_peer(self, observer: PeerObserver) -> Peer:
        """Open a peer, which reports to `observer`. Raises :class:`EngineFull`."""
        if len(self._peers) >= self.settings.max_peers:
            raise EngineFull(f"{self.settings.max_peers} peers are open")
        peer = Peer(self, observer)
        self._peers.add(peer)
        return peer

    @property
    def layered(self) -> bool:
        """Whether browsers may send a picture in several layers."""
        return True

    @property
    def processes(self) -> tuple[int, ...]:
        """The ids of other processes that work for this one. Here there are none."""
        return ()

    @property
    def peers(self) -> int:
        """The number of open peers."""
        return len(self._peers)

    def stats(self) -> EngineStats:
        return EngineStats(
            len(self._peers),
            self._received,
            self._sender.packets_sent,
            self._sender.packets_dropped + (0 if self.tcp is None else self.tcp.lost),
            {reason.value: count for reason, count in self._refused.items()},
            dict(boundary.faults),
        )

    # For peers, transports and tracks

    def now(self) -> float:
        return trio.current_time()

    def shared_path(self, name: str) -> SharedPath:
        if (path := self._paths.get(name)) is None:
            path = self._paths[name] = SharedPath(self.settings)
        return path if len(path.claims) < self.settings.shared_path_viewers else SharedPath(self.settings)

    def forget(self, peer: Peer) -> None:
        self._peers.discard(peer)

    def refuse(self, reason: Refusal) -> None:
        self._refused[reason] += 1

    def received(self, datagrams: int) -> None:
        self._received += datagrams

    def memory_freed(self) -> None:
        self._memory_freed += 1

    def open_port(self) -> OwnPort:
        """Open a UDP socket for one transport, and read it until it is closed. Raises `OSError`."""
        assert self.nursery is not None
        port = OwnPort(self, udp.bind(replace(self.settings, port=0)))
        self.nursery.start_soon(port.serve, self.pump)
        return port

    def send_packets(self, packets: list[bytes], sinks: Collection[Sink]) -> None:
        numbered = any(sink.extensions.transport_cc for sink in sinks)
        self._sender.send(udp.Burst(packets, numbered=numbered), sinks)
        self._sender.flush()

    def flush(self) -> None:
        for group in self.pending:
            packets, group.pending = group.pending, []
            group.packets += len(packets)
            group.octets += group.pending_octets
            group.pending_octets = 0
            try:
                self._fanout.add(group, packets)
            except Exception as error:  # noqa: BLE001 (see boundary.py)
                _FANOUT.caught(error)
        self.pending.clear()

    # Tasks

    async def receive(self) -> None:
        """Read the socket for ever.

        After each round of datagrams and its consequences, other tasks get their turn if they have something to
        do, even if more datagrams are waiting. They get it between portions of packets to send, too.
        """
        with Watch(self._socket) as watch:
            await self.pump(self._socket, self._drain, watch)

    async def pump(self, sock: socket.socket, drain: Callable[[float], None], watch: Watch | None = None) -> None:
        """Call `drain` with the time whenever the socket is readable, and send the resulting packets.

        With a `watch`, that is known without Trio while Trio has nothing to do.
        """
        now, awaited = trio.current_time(), True
        while True:
            awaited = watch is None or not watch.readable(now, awaited=awaited)
            if awaited:
                await trio.lowlevel.wait_readable(sock)
            began = now = trio.current_time()
            self._turn(drain, now)
            if self._fanout.empty:
                continue
            while self._send_portion():
                awaited = True
                await self._give_way()
                if not self._fanout.overfull:
                    self._turn(drain, trio.current_time())
            now = trio.current_time()
            self.latency += (now - began - self.latency) * _LATENCY_WEIGHT

    async def _give_way(self) -> None:
        """Let other tasks have their turn. If this one is cancelled, another one sends what waits."""
        gone_on = False
        try:
            await trio.lowlevel.checkpoint()
            gone_on = True
        finally:
            if not gone_on:
                self._wake()

    def _send_portion(self) -> bool:
        """Send a portion of the waiting packets. Returns whether there are more."""
        try:
            return self._fanout.work()
        except Exception as error:  # noqa: BLE001 (see boundary.py)
            _FANOUT.caught(error)
            return not self._fanout.empty

    def _turn(self, drain: Callable[[float], None], now: float) -> None:
        """Read a round of datagrams and do what follows."""
        try:
            drain(now)
        except Exception as error:  # noqa: BLE001 (see boundary.py)
            _ROUND.caught(error)
        self.flush()
        if self.attention:
            self._attend(now)
        self._end_turn()

    def _end_turn(self) -> None:
        try:
            self.end_turn()
        except Exception as error:  # noqa: BLE001 (see boundary.py)
            _RELAYING.caught(error)

    async def attend(self) -> None:
        """Do the work that cannot wait for the reports. Without such work, sleep."""
        while True:
            if not self.attention and not self.handshaking and self._fanout.empty:
                self._due = trio.Event()
                await self._due.wait()
            now = trio.current_time()
            self._send_portion()
            self._attend(now)
            self._drive_handshakes(now)
            self._end_turn()
            await trio.sleep(_ATTENTION_INTERVAL)

    def _wake(self) -> None:
        self._due.set()

    def _drive_handshakes(self, now: float) -> None:
        for transport in list(self.handshaking):
            goes_on = False
            with _HANDSHAKE:
                goes_on = transport.drive_handshake(now)
            if not goes_on:
                self.handshaking.discard(transport)

    def _attend(self, now: float) -> None:
        for attended in list(self.attention):
            goes_on = False
            with _ATTENDING:
                goes_on = attended.attend(now)
            if not goes_on:
                self.attention.discard(attended)

    async def tick(self) -> None:
        """Send reports, and check flow and silence, for ever.

        If this process did not run for a while, what came meanwhile still waits at the sockets, and everybody
        would seem to be silent. The round after such a pause is left out, but never two of them: a machine that is
        always late still sends its reports.
        """
        interval, left_out = self.settings.report_interval, False
        while True:
            due = trio.current_time() + interval
            await trio.sleep(interval)
            left_out = not left_out and trio.current_time() - due > interval
            if not left_out:
                self._tick(trio.current_time())
                self._end_turn()

    def _tick(self, now: float) -> None:
        # This is not done in the task itself, because its frame would keep the last peer alive until the next
        # round.
        for peer in list(self._peers):
            with _TICK:
                peer.tick(now)
        for mirror in list(self.mirrors):
            with _TICK:
                mirror.tick(now)
        with _HOUSEKEEPING:
            self._keep_house(now)

    def _keep_house(self, now: float) -> None:
        if self._tells_addresses and now - self._addresses_counted >= _ADDRESSES_INTERVAL:
            self._addresses_counted = now
            self._count_addresses()
        # This is done rarely. It takes longer the more peers there are, and peers that joined together free their
        # memory at about the same time.
        enough = self._memory_freed > len(self._peers) * _FREED_SHARE
        if enough and now - self._memory_given_back >= self.settings.handshake_linger:
            self._memory_freed, self._memory_given_back = 0, now
            memory.give_back()

    def _count_addresses(self) -> None:
        """Check whether the machine has several addresses, so that it matters which one was contacted.

        Addresses may change at any time.
        """
        announced = bool(self.settings.announced_addresses)
        self._asks_addresses = self._tells_addresses and (announced or packet_info.several_addresses())

    def announce(self, addresses: Sequence[str]) -> None:
        """Send these addresses to browsers from now on (`announced.look_up`)."""
        self.settings = replace(self.settings, announced_addresses=tuple(addresses))
        self.candidates = self._candidates(addresses)

    def _candidates(self, addresses: Sequence[str]) -> tuple[str, ...]:
        return host_candidates(addresses, self.port, self.tcp_port, self.settings.announced_tcp_port)

    def close(self) -> None:
        for peer in list(self._peers):
            with _CLOSING:
                peer.close()


@asynccontextmanager
async def open_engine(settings: EngineSettings) -> AsyncIterator[Engine]:
    """Open the UDP socket, and the TCP socket if the settings say so, and serve them.

    Leaving the scope closes every peer. Raises `OSError` if a socket cannot be bound.
    """
    with ExitStack() as sockets:
        sock = sockets.enter_context(udp.bind(settings))
        listener = sockets.enter_context(tcp.bind(settings, sock.getsockname())) if settings.tcp else None
        engine = Engine(settings, sock, listener)
        async with trio.open_nursery() as nursery:
            engine.nursery = nursery
            for task in (engine.receive, engine.attend, engine.tick):
                nursery.start_soon(task)
            if listener is not None:
                engine.tcp = TcpPort(engine, listener, nursery)
                nursery.start_soon(engine.tcp.accept)
            try:
                yield engine
            finally:
                engine.close()
                nursery.cancel_scope.cancel()
