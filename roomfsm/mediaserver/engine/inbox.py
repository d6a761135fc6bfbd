"""Reads the datagrams that wait at a UDP socket: many with one system call on Linux, or one by one."""

import ctypes
import socket
import struct
import time
from collections.abc import Iterator
from typing import Protocol

from roomfsm.mediaserver.engine import mmsg, packet_info, udp
from roomfsm.mediaserver.ice.lite import Address

_MAX_DATAGRAM = 2048
_BATCH = 64
"""The most datagrams that are read with one system call."""
_CONTROL = 128
"""The bytes that are reserved for the control messages of a datagram: its arrival time, and where it was sent."""
_CONTROL_HEADER = struct.Struct("@Nii")
"""`struct cmsghdr`: the length with this header, the level, and the type."""
_CONTROL_ALIGNMENT = struct.calcsize("N")
_TIMESTAMP = 35
"""The socket option and control message SO_TIMESTAMPNS of Linux (asm-generic/socket.h)."""
_TIMESPEC = struct.Struct("@ll")

type Control = tuple[int, int, bytes]
"""Level, type and data of a control message."""


class Inbox(Protocol):
    """The datagrams of one socket. All but `read` concern the datagram that `read` yielded last."""

    def read(self, most: int, *, asks: bool) -> Iterator[tuple[bytes, Address]]:
        """The datagrams that wait, about so many at most, and where they come from.

        `asks` says whether :meth:`asked` will be called.
        """

    def asked(self) -> bytes:
        """The address of ours to which the datagram was sent, packed; empty if it is not known."""

    def arrival_time(self) -> float:
        """When the datagram came, in seconds of a clock that only this method uses."""


class SingleInbox:
    """Reads one datagram with each system call."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._controls: list[Control] = []

    def read(self, most: int, *, asks: bool) -> Iterator[tuple[bytes, Address]]:
        for _ in range(most):
            try:
                if asks:
                    datagram, self._controls, _, address = self._socket.recvmsg(
                        _MAX_DATAGRAM, packet_info.ANCILLARY
                    )
                else:
                    datagram, address = self._socket.recvfrom(_MAX_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:  # On some systems this is an ICMP error of an earlier send.
                continue
            yield datagram, address

    def asked(self) -> bytes:
        return packet_info.asked_address(self._controls)

    def arrival_time(self) -> float:
        came = udp.arrival_time(self._socket)
        # The system does not say it when it is asked for the first time. Its times are those of this clock.
        return time.time() if came is None else came


class BatchInbox:
    """Reads many datagrams with each system call. Only Linux can do that."""

    def __init__(self, sock: socket.socket) -> None:
        self._data = ctypes.create_string_buffer(_BATCH * _MAX_DATAGRAM)
        self._view = memoryview(self._data).cast("B")
        self._messages = mmsg.Messages(sock, _BATCH, ctypes.addressof(self._data), _MAX_DATAGRAM, _CONTROL)
        self._addresses = mmsg.Addresses(sock)
        self._current = 0
        sock.setsockopt(socket.SOL_SOCKET, _TIMESTAMP, 1)

    def read(self, most: int, *, asks: bool) -> Iterator[tuple[bytes, Address]]:
        del asks  # The system says it in any case.
        messages, view, names, address = self._messages, self._view, self._messages.names, self._addresses.address
        count = _BATCH
        # Fewer than there is room for are all that waited, so there is no need to ask again.
        while count == _BATCH and most > 0:
            try:
                count = messages.receive()
            except OSError:  # It may be an ICMP error of an earlier send.
                return
            most -= count
            try:
                for index in range(count):
                    self._current = index
                    begin, name = index * _MAX_DATAGRAM, index * mmsg.NAME
                    datagram = bytes(view[begin : begin + messages.lengths[index]])
                    yield datagram, address(bytes(names[name : name + messages.name_lengths[index]]))
            finally:
                messages.renew(count)

    def asked(self) -> bytes:
        return packet_info.asked_address(self._controls())

    def arrival_time(self) -> float:
        for level, type_, data in self._controls():
            if level == socket.SOL_SOCKET and type_ == _TIMESTAMP:
                seconds, nanoseconds = _TIMESPEC.unpack(data)
                return float(seconds + nanoseconds / 1e9)
        return time.time()

    def _controls(self) -> Iterator[Control]:
        """The control messages of the current datagram (cmsg(3))."""
        place = self._current * _CONTROL
        end = place + self._messages.control_lengths[self._current]
        while place + _CONTROL_HEADER.size <= end:
            size, level, type_ = _CONTROL_HEADER.unpack_from(self._messages.controls, place)
            if size < _CONTROL_HEADER.size:
                return  # Nothing has been read into this memory yet.
            yield level, type_, bytes(self._messages.controls[place + _CONTROL_HEADER.size : place + size])
            place += size + -size % _CONTROL_ALIGNMENT


def open_inbox(sock: socket.socket) -> Inbox:
    """The quicker of the two for this system."""
    return BatchInbox(sock) if mmsg.AVAILABLE else SingleInbox(sock)
