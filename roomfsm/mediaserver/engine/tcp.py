"""ICE over TCP (RFC 6544), passive: the port to which browsers connect whose network lets no UDP through.

Theory. A connection carries the packets that would come in datagrams, each with its length before it (RFC 4571).
So nothing above the connection differs: its address is a :class:`~roomfsm.mediaserver.ice.lite.StreamAddress`, by
which transports know it as they know the addresses of datagrams, and it takes packets by `sendmsg` like a socket.
It never waits: what the system does not take waits in a :class:`~roomfsm.mediaserver.engine.send_queue.SendQueue`.

Everybody can connect, so a connection must prove within `tcp_check_timeout` that it is a peer's, by an authentic
check. Until then it may send checks only, and it has one of few places: so many for each address, and so many in
all. The oldest makes room, because a peer proves it within a moment. So whoever holds connections open for nothing
does not keep the peers out, not even those of the same NAT or proxy. A connection that has proved it lives as long
as checks come.

A connection that breaks ends only the path. The peer connects again by itself, with the same credentials or after
a restart of ICE, and its media go on.
"""

import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Protocol

import trio

from roomfsm.hosts import bound_key
from roomfsm.mediaserver.base.boundary import Boundary
from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.base.refusal import Refusal
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.engine.send_queue import SendQueue
from roomfsm.mediaserver.engine.transport import Transport
from roomfsm.mediaserver.ice.framing import LENGTH, Deframer, FrameTooLong
from roomfsm.mediaserver.ice.lite import Address, Control, StreamAddress, plain_address
from roomfsm.open_files import EXHAUSTED, connections_possible

_MAX_PACKET = 2048
"""Bytes, as for a datagram."""
_READ = 4096
"""The bytes that are read before others get their turn. Each packet in them may be a few bytes long, and costs as
much as a long one."""
_MOST_UNPROVED = 64
"""The most packets of a connection that proves nothing. A browser checks a few times until it is answered."""
_UNSENT = 4096
"""The system takes no more while so many bytes wait there to be sent. The rest waits with us, where sound
overtakes the picture, and packets that are too late are lost."""
_BACKLOG = 128
_BREATH = 0.1
"""Seconds until we try to accept again, if the system has no room for another connection."""
_LINGER = 1.0
"""Seconds that a peer has to read our goodbye and close its side."""
_SSRC = struct.Struct("!8xI")

_CONNECTION = Boundary("one TCP connection")
_PACKET = Boundary("one packet over TCP")


class Engine(Protocol):
    """The parts of the engine that a TCP port needs."""

    settings: EngineSettings
    by_address: dict[Address, Transport]
    ssrcs: dict[MediaKind, int]
    arrived: float | None

    def take(self, datagram: bytes, address: Address, now: float) -> None: ...

    def refuse(self, reason: Refusal) -> None: ...

    def received(self, datagrams: int) -> None: ...

    async def pump(self, sock: socket.socket, drain: Callable[[float], None], /) -> None: ...


def bind(settings: EngineSettings, address: Address) -> socket.socket:
    """Open the listening socket at the address at which UDP is bound. Raises `OSError`."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, settings.host != "::")
        # Connections of the run before may still be ending.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setblocking(False)
        listener.bind((address[0], settings.tcp_port, *address[2:]))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


class TcpPort:
    """The listening socket, and the connections that have come by it."""

    def __init__(self, engine: Engine, listener: socket.socket, nursery: trio.Nursery) -> None:
        self.engine = engine
        self.lost = 0
        """Packets that were not sent, because their connection was too slow for them."""
        self._listener = listener
        self._nursery = nursery
        self._most = min(engine.settings.max_tcp_connections, connections_possible())
        self._connections: set[Connection] = set()
        self._unproved: dict[Connection, str] = {}
        """The keys of the addresses of those that have not proved to be a peer's, the oldest first."""
        self._unproved_of: Counter[str] = Counter()
        """How many of these each address has."""

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    async def accept(self) -> None:
        """Accept connections for ever."""
        listener = trio.socket.from_stdlib_socket(self._listener)
        while True:
            try:
                connection, address = await listener.accept()
            except OSError as error:
                if error.errno in EXHAUSTED:
                    self._make_room()
                    await trio.sleep(_BREATH)
                continue
            with _CONNECTION:
                self.admit(socket.socket(fileno=connection.detach()), address)

    def admit(self, sock: socket.socket, address: Address) -> None:
        """Serve a connection that was accepted, if there is a place for it."""
        settings, key = self.engine.settings, bound_key(address[0])
        if self._unproved_of[key] >= settings.max_tcp_unproved_per_address:
            self._make_room(key)
        elif len(self._unproved) >= settings.max_tcp_unproved:
            self._make_room()
        elif len(self._connections) >= self._most and not self._make_room():
            self.engine.refuse(Refusal.TCP_FULL)
            sock.close()
            return
        connection = Connection(self, sock, address)
        self._connections.add(connection)
        self._unproved[connection] = key
        self._unproved_of[key] += 1
        self._nursery.start_soon(self._serve, connection)

    def _make_room(self, key: str | None = None) -> bool:
        """End the oldest connection that has proved nothing, or the oldest of one address.

        Returns whether there was one.
        """
        for connection, of in self._unproved.items():
            if key in (None, of):
                self.proved(connection)
                connection.break_off()
                return True
        return False

    def proved(self, connection: "Connection") -> None:
        """It needs no place among those that have not proved to be a peer's any more."""
        if (key := self._unproved.pop(connection, None)) is not None:
            self._unproved_of[key] -= 1
            if not self._unproved_of[key]:
                del self._unproved_of[key]

    async def _serve(self, connection: "Connection") -> None:
        address = connection.address
        try:
            with _CONNECTION:
                await connection.serve()
        finally:
            # The two refer to each other.
            del connection.address
            self.proved(connection)
            self._connections.discard(connection)
            if (transport := self.engine.by_address.get(address)) is not None:
                with _CONNECTION:
                    transport.lost(address)


class Connection:
    """One connection (:class:`~roomfsm.mediaserver.ice.lite.Stream`)."""

    __slots__ = (
        "_deframer",
        "_ending",
        "_nursery",
        "_open",
        "_port",
        "_proved",
        "_queue",
        "_socket",
        "_sound",
        "_unproved",
        "address",
    )

    def __init__(self, port: TcpPort, sock: socket.socket, address: Address) -> None:
        settings = port.engine.settings
        self.address = StreamAddress(*plain_address(address), self)
        self._port = port
        self._socket = sock
        self._open = trio.CancelScope()
        self._nursery: trio.Nursery | None = None
        self._proved = False
        """Whether it has sent an authentic check."""
        self._ending = False
        """Whether we have closed our side, and only wait for the peer to close its own."""
        self._deframer = Deframer(_MAX_PACKET)
        self._unproved = 0
        """How many packets came before it was proved."""
        self._queue = SendQueue(settings.tcp_queue_life, settings.max_tcp_queue, self._count_lost)
        self._sound = port.engine.ssrcs[MediaKind.AUDIO]

    def _count_lost(self, packets: int) -> None:
        self._port.lost += packets

    async def serve(self) -> None:
        """Read, and send what waits, until the connection ends."""
        engine = self._port.engine
        with self._socket as sock, self._open:
            self._open.deadline = trio.current_time() + engine.settings.tcp_check_timeout
            sock.setblocking(False)
            with suppress(OSError):  # It has gone already, which is noticed when it is read.
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if sys.platform == "linux":
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                try:
                    await engine.pump(sock, self._drain)
                finally:
                    self._nursery = None
        if not self._proved:
            engine.refuse(Refusal.TCP_UNPROVED)

    def break_off(self) -> None:
        """End the connection at once."""
        self._open.cancel()

    def close(self) -> None:
        """End the connection, so that the peer can read what was sent."""
        if self._ending:
            return
        self._ending = True
        self._open.deadline = trio.current_time() + _LINGER
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    # Receiving

    def _drain(self, now: float) -> None:
        """Handle what has come, up to `_READ` bytes of it."""
        try:
            data = self._socket.recv(_READ)
        except BlockingIOError:
            return
        except OSError:  # The peer has reset the connection, or vanished.
            data = b""
        if not data:
            self.break_off()
        elif not self._ending:
            self._receive(data, now)

    def _receive(self, data: bytes, now: float) -> None:
        engine, count = self._port.engine, 0
        # It must be in seconds of the clock by which the system stamps datagrams, because a peer may change from
        # one to the other.
        engine.arrived = time.time()
        try:
            for packet in self._deframer.feed(data):
                count += 1
                if not self._proved and not self._may_prove(packet):
                    self.break_off()
                    break
                if not packet:
                    continue
                with _PACKET:
                    engine.take(packet, self.address, now)
                if packet[0] < 4:
                    self._checked(now)
                if self._ending:
                    break
        except FrameTooLong:
            engine.refuse(Refusal.TCP_FRAME_TOO_LONG)
            self.break_off()
        finally:
            engine.arrived = None
        engine.received(count)

    def _may_prove(self, packet: bytes) -> bool:
        """Whether a packet may be that of a peer who proves itself. Nobody needs many of them."""
        self._unproved += 1
        return self._unproved <= _MOST_UNPROVED and (not packet or packet[0] < 4)

    def _checked(self, now: float) -> None:
        """A STUN message came. If it was authentic, a transport knows our address now."""
        if self.address in self._port.engine.by_address and not self._ending:
            if not self._proved:
                self._proved = True
                self._port.proved(self)
            self._open.deadline = now + self._port.engine.settings.tcp_idle_timeout

    # Sending

    def sendmsg(
        self,
        buffers: Iterable[bytes | memoryview],
        ancillary: Control = (),
        flags: int = 0,
        to: object = None,
        /,
    ) -> int:
        """Send one packet, or let it wait, or lose it."""
        del ancillary, flags, to
        (packet,) = buffers
        self._send((packet,))
        return len(packet)

    def send_run(self, view: memoryview, stride: int, /) -> None:
        self._send([view[begin : begin + stride] for begin in range(0, len(view), stride)])

    def _send(self, packets: Sequence[bytes | memoryview]) -> None:
        if self._ending or self._nursery is None:
            return
        queue, waited = self._queue, bool(self._queue)
        if not waited and len(packets) == 1:
            self._send_at_once(packets[0])
        else:
            now = trio.current_time()
            for packet in packets:
                queue.put(LENGTH.pack(len(packet)) + packet, now, picture=self._is_picture(packet))
            if not waited:
                self._send_waiting(now)
        if queue and not waited and not self._open.cancel_called:
            self._nursery.start_soon(self._send_when_writable)

    def _send_at_once(self, packet: bytes | memoryview) -> None:
        """Send a packet, before which nothing waits, without a copy. What the system does not take waits."""
        length = LENGTH.pack(len(packet))
        try:
            taken = self._socket.sendmsg((length, packet))
        except BlockingIOError:
            taken = 0
        except OSError:  # It is broken, which ends it when it is read.
            return
        if not taken:
            self._queue.put(length + packet, trio.current_time(), picture=self._is_picture(packet))
        elif taken < len(length) + len(packet):
            self._queue.begin((length + packet)[taken:])

    def _is_picture(self, packet: bytes | memoryview) -> bool:
        """Whether it is RTP of the picture (RFC 7983, RFC 5761 section 4)."""
        if packet[0] < 128 or 192 <= packet[1] <= 223:
            return False
        return bool(_SSRC.unpack_from(packet)[0] != self._sound)

    def _send_waiting(self, now: float) -> None:
        """Send of what waits as much as the system takes."""
        queue = self._queue
        try:
            while queue:
                queue.sent(self._socket.send(queue.take(now)))
        except BlockingIOError:
            pass
        except OSError:
            self.break_off()

    async def _send_when_writable(self) -> None:
        """Send what waits, until nothing does. A peer that takes nothing for too long is given up."""
        patience = self._port.engine.settings.tcp_stall_timeout
        while self._queue:
            with trio.move_on_after(patience) as waiting:
                await trio.lowlevel.wait_writable(self._socket)
            if waiting.cancelled_caught:
                self.break_off()
                return
            self._send_waiting(trio.current_time())
