"""The engine's UDP socket: binding it, the addresses for candidates, and sending bursts of protected packets."""

import errno
import ipaddress
import itertools
import socket
import struct
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import ifaddr

if sys.platform == "linux":
    import fcntl

from roomfsm.mediaserver.base.boundary import Boundary
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.dtls import srtp
from roomfsm.mediaserver.engine import mmsg
from roomfsm.mediaserver.engine.destination import Destination
from roomfsm.mediaserver.engine.outbox import Outbox
from roomfsm.mediaserver.ice.lite import Address, Control, Stream
from roomfsm.mediaserver.rtp.extensions import number_place

_UDP_SEGMENT = 103
"""The socket option and control message of Linux's UDP GSO (linux/udp.h)."""
_SIOCGSTAMPNS = 0x8907
"""Linux's ioctl request for the arrival time of the packet that was read last (socket(7), linux/sockios.h)."""
_NUMBER = struct.Struct("!H")
_TIMESPEC = struct.Struct("@ll")
_MAX_SEGMENTS = 64
_MAX_BURST = 65000
"""The most bytes of one GSO send, which is below the limit of an IP packet."""
_DUAL_STACK = "::"
_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, socket.EAI_ADDRFAMILY, socket.EAI_NONAME)

_DESTINATION = Boundary("sending to one browser")


class _Run(NamedTuple):
    """Packets of the same length (the last may be shorter), laid out for one system call."""

    template: bytes
    """The packets, each followed by room for the tag."""
    packets: tuple[tuple[Any, int], ...]
    """For each packet, a pointer into the buffer and the length."""
    view: memoryview
    """The protected run in the buffer."""
    stride: int
    places: tuple[int, ...]
    """The places of the packets' transport-wide numbers in the buffer; empty if they have none."""


def bind(settings: EngineSettings) -> socket.socket:
    """Open the non-blocking socket. Raises `OSError`."""
    try:
        return _bind(settings, settings.host)
    except OSError as error:
        if settings.host != _DUAL_STACK or error.errno not in _NO_IPV6:
            raise
    return _bind(settings, "0.0.0.0")


def _bind(settings: EngineSettings, host: str) -> socket.socket:
    infos = socket.getaddrinfo(host, settings.port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = infos[0]
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6 and address[0] == _DUAL_STACK:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, settings.socket_buffer)
        sock.setblocking(False)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


def candidate_addresses(settings: EngineSettings, sock: socket.socket) -> tuple[str, ...]:
    """The addresses that browsers are told: the announced ones, or else the bound one, or else all of the
    machine's.
    """
    if settings.announced_addresses:
        return settings.announced_addresses
    bound = sock.getsockname()[0]
    if not ipaddress.ip_address(bound).is_unspecified:
        return (bound,)
    both = sock.family == socket.AF_INET6
    found = [
        ipaddress.ip_address(ip.ip if isinstance(ip.ip, str) else ip.ip[0])
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
    ]
    usable = [ip for ip in found if (both or ip.version == 4) and not ip.is_link_local and not ip.is_loopback]
    return tuple(str(ip) for ip in sorted(usable, key=lambda ip: ip.version)) or ("127.0.0.1",)


def arrival_time(sock: socket.socket) -> float | None:
    """The arrival time of the datagram that was read last, in seconds of the system's clock; None if the system
    does not say.

    Datagrams that are read together arrived at different times, and a bandwidth estimate depends on these times.
    """
    if sys.platform != "linux":
        return None
    try:
        seconds, nanoseconds = _TIMESPEC.unpack(fcntl.ioctl(sock, _SIOCGSTAMPNS, bytes(_TIMESPEC.size)))
    except OSError:
        return None
    return float(seconds + nanoseconds / 1e9)


class Burst:
    """Unprotected RTP packets that go to any number of destinations, in order."""

    __slots__ = ("numbered", "packets", "runs")

    def __init__(self, packets: Sequence[bytes], *, numbered: bool = False) -> None:
        """`numbered` says that the packets have room for a transport-wide number."""
        self.packets = packets
        self.numbered = numbered
        self.runs: dict[int, list[_Run]] = {}
        """The runs by tag length. The sender lays them out when the first destination needs them."""


class BurstSender:
    """Protects and sends the same packets to many destinations, with few system calls.

    Packets that the system refuses are dropped, because viewers ask for lost packets (NACK).

    A burst of one packet goes out with those to the other destinations (`sendmmsg`), at the latest with
    :meth:`flush`. A burst of several packets goes out at once, with one system call for each destination (GSO).
    """

    def __init__(self, sock: socket.socket, clock: Callable[[], float]) -> None:
        """`clock` gives the time in seconds at which numbered packets are sent."""
        self._socket = sock
        self._clock = clock
        self._buffer = srtp.PacketBuffer(_MAX_BURST + srtp.MAX_PACKET)
        self._segmentation = _has_segmentation(sock)
        self._outbox = Outbox(sock) if mmsg.AVAILABLE else None
        self._sent = 0
        self._dropped = 0

    @property
    def packets_sent(self) -> int:
        """The packets that the system accepted."""
        return self._sent + (self._outbox.sent if self._outbox is not None else 0)

    @property
    def packets_dropped(self) -> int:
        """The packets that the system refused."""
        return self._dropped + (self._outbox.dropped if self._outbox is not None else 0)

    def flush(self) -> None:
        """Send what waits for more."""
        if self._outbox is not None:
            self._outbox.flush()

    def send(self, burst: Burst, destinations: Iterable[Destination]) -> None:
        """Send a burst to each destination."""
        if not burst.packets:
            return
        rest = iter(destinations)
        # If sending to one destination fails, the destinations after it are still served.
        while True:
            try:
                self._send(burst, rest)
            except Exception as error:  # noqa: BLE001 (see boundary.py)
                _DESTINATION.caught(error)
            else:
                return

    def _send(self, burst: Burst, destinations: Iterator[Destination]) -> None:
        outbox, packet = self._outbox, burst.packets[0]
        if outbox is None or len(burst.packets) > 1 or len(packet) > srtp.MAX_PACKET:
            self.flush()  # The packets before these.
            self._send_runs(burst, destinations)
            return
        place, now = (number_place(packet), self._clock()) if burst.numbered else (0, 0.0)
        while (other := outbox.add(packet, place, destinations, now)) is not None:
            outbox.flush()
            self._send_runs(burst, iter((other,)))

    def _send_runs(self, burst: Burst, destinations: Iterator[Destination]) -> None:
        runs = burst.runs
        protect, copy, pack_number = srtp.protect, srtp.copy, _NUMBER.pack_into
        memory, length = self._buffer.memory, self._buffer.length
        sendto = self._socket.sendto
        now = self._clock() if burst.numbered else 0.0
        sent = dropped = 0
        for destination in destinations:
            tag = destination.tag_length
            if tag not in runs:
                runs[tag] = self._layout(burst, tag)
            handle, address, control = destination.handle, destination.address, destination.control
            own, number = destination.own_socket, destination.number
            for template, slots, view, stride, places in runs[tag]:
                copy(memory, template, len(template))
                count = len(slots)
                if number is not None:
                    for place, (_, size) in zip(places, slots, strict=False):
                        pack_number(view, place, number(size, now))
                for pointer, size in slots:
                    length[0] = size
                    if protect(handle, pointer, length):
                        count = 0
                        break
                if not count:
                    dropped += len(slots)
                    continue
                if count == 1:
                    try:
                        if control or own is not None:
                            (own or self._socket).sendmsg((view,), control, 0, address)
                        else:
                            sendto(view, address)
                        sent += 1
                    except OSError:
                        dropped += 1
                else:
                    taken = self._send_run(own or self._socket, view, stride, count, address, control)
                    sent += taken
                    dropped += count - taken
        self._sent += sent
        self._dropped += dropped

    def _send_run(
        self,
        sock: socket.socket | Stream,
        view: memoryview,
        stride: int,
        count: int,
        address: Address,
        control: Control,
    ) -> int:
        """Send `count` packets at once, or one by one if the system refuses that.

        Returns how many the system accepted.
        """
        if not isinstance(sock, socket.socket):
            sock.send_run(view, stride)
            return count
        if self._segmentation:
            segment = (socket.SOL_UDP, _UDP_SEGMENT, struct.pack("H", stride))
            try:
                sock.sendmsg((view,), (segment, *control), 0, address)
            except BlockingIOError:
                return 0
            except OSError as error:
                # EIO means that the network device does not support it. Other errors (EINVAL for the path's MTU)
                # concern only this destination.
                self._segmentation = error.errno != errno.EIO
            else:
                return count
        for index in range(count):
            try:
                sock.sendmsg((view[index * stride : (index + 1) * stride],), control, 0, address)
            except OSError:
                return index
        return count

    def _layout(self, burst: Burst, tag: int) -> list[_Run]:
        """Group the packets into runs, each of which starts at the beginning of the buffer."""
        packets, room, memory = burst.packets, bytes(tag), self._buffer.memory
        if len(packets) == 1:  # In a small room nearly always.
            template = packets[0] + room
            slot, view = (memory, len(packets[0])), self._buffer.view[: len(template)]
            place = (number_place(packets[0]),) if burst.numbered else ()
            return [_Run(template, (slot,), view, len(template), place)]
        runs: list[_Run] = []
        for group in self._groups(packets, tag):
            stride = len(group[0]) + tag
            template = b"".join(itertools.chain.from_iterable((packet, room) for packet in group))
            slots = tuple((memory + index * stride, len(packet)) for index, packet in enumerate(group))
            places = (
                tuple(index * stride + number_place(packet) for index, packet in enumerate(group))
                if burst.numbered
                else ()
            )
            runs.append(_Run(template, slots, self._buffer.view[: len(template)], stride, places))
        return runs

    def _groups(self, packets: Sequence[bytes], tag: int) -> list[list[bytes]]:
        groups: list[list[bytes]] = []
        full = True
        for packet in packets:
            size = len(packet)
            group = groups[-1] if groups else []
            if full or size > len(group[0]) or (len(group) + 1) * (len(group[0]) + tag) > _MAX_BURST:
                group = []
                groups.append(group)
            group.append(packet)
            full = len(group) == _MAX_SEGMENTS or size < len(group[0])
        return groups


def _has_segmentation(sock: socket.socket) -> bool:
    if sys.platform != "linux":
        return False
    try:
        sock.setsockopt(socket.SOL_UDP, _UDP_SEGMENT, 0)
    except OSError:
        return False
    return True
