"""Linux's `recvmmsg` and `sendmmsg`: many datagrams with one system call.

Python's `socket` module has neither of them, and no maintained library offers them for its sockets. So `ctypes`
calls them, with memory that is laid out once. `ctypes` would make an object for each access to a field, so the
fields are read and written as numbers, by views of that memory.
"""

import ctypes
import errno
import socket
import sys
from typing import Any, Literal

from roomfsm.mediaserver.ice.lite import Address

NAME = 28
"""The bytes of the longest address (`sockaddr_in6`)."""
MAX_ADDRESSES = 4096
"""The most addresses whose other form is remembered."""
_IN_REST = bytes(8)
"""The unused rest of `sockaddr_in`."""


class _Vector(ctypes.Structure):
    """`struct iovec`."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    """`struct msghdr`."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    """`struct mmsghdr`."""

    _fields_ = (("header", _Header), ("length", ctypes.c_uint))


def _function(name: str, *arguments: Any) -> Any:
    if sys.platform != "linux":
        return None
    function = getattr(ctypes.CDLL(None, use_errno=True), name, None)
    if function is not None:
        function.argtypes = arguments
    return function


_recvmmsg = _function("recvmmsg", ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
_sendmmsg = _function("sendmmsg", ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)

AVAILABLE = _recvmmsg is not None and _sendmmsg is not None


class Messages:
    """Memory for `count` datagrams with their addresses and control messages.

    Datagram `i` begins at `i * size` of the memory at `data`, its address at `i * NAME` of `names`, and its
    control messages at `i * control` of `controls`.
    """

    def __init__(self, sock: socket.socket, count: int, data: int, size: int, control: int = 0) -> None:
        """`data` is the address of `count * size` bytes, which must exist as long as this object."""
        self._descriptor = sock.fileno()
        self._count = count
        self._names = ctypes.create_string_buffer(count * NAME)
        self._controls = ctypes.create_string_buffer(count * control)
        self._vectors = (_Vector * count)()
        self._messages = (_Message * count)()
        for index, (vector, message) in enumerate(zip(self._vectors, self._messages, strict=True)):
            vector.base, vector.length = data + index * size, size
            header = message.header
            header.name, header.name_length = ctypes.addressof(self._names) + index * NAME, NAME
            header.vectors, header.vector_count = ctypes.addressof(vector), 1
            if control:
                header.control = ctypes.addressof(self._controls) + index * control
                header.control_length = control
        self._begin = ctypes.addressof(self._messages)
        self._stride = ctypes.sizeof(_Message)
        self._bytes = memoryview(self._messages).cast("B")
        self._fresh = bytes(self._bytes)
        self.names = memoryview(self._names).cast("B")
        self.controls = memoryview(self._controls).cast("B")
        self.lengths = _column(self._messages, "I", _Message.length.offset)
        """The lengths of received datagrams."""
        self.name_lengths = _column(self._messages, "I", _Header.name_length.offset)
        self.control_lengths = _column(self._messages, "L", _Header.control_length.offset)
        self.sizes = _column(self._vectors, "L", _Vector.length.offset)
        """The lengths of the datagrams that are to be sent."""

    def receive(self) -> int:
        """Read what waits at the socket, without waiting. Returns the number of datagrams. Raises `OSError`.

        Call :meth:`renew` before the next time.
        """
        count: int = _recvmmsg(self._descriptor, self._begin, self._count, socket.MSG_DONTWAIT, None)
        if count >= 0:
            return count
        number = ctypes.get_errno()
        if number == errno.EAGAIN:
            return 0
        raise OSError(number, "recvmmsg failed")

    def renew(self, count: int) -> None:
        """Restore the first `count` headers, in which the system has written what was received."""
        end = count * self._stride
        self._bytes[:end] = self._fresh[:end]

    def send(self, count: int) -> int:
        """Send the first `count` datagrams. Returns how many of them the system accepted.

        If it refuses one, those after it are sent all the same.
        """
        begin = accepted = 0
        while begin < count:
            address = self._begin + begin * self._stride
            sent: int = _sendmmsg(self._descriptor, address, count - begin, socket.MSG_DONTWAIT)
            accepted += max(0, sent)
            begin += max(1, sent)
        return accepted


def _column(array: "ctypes.Array[Any]", kind: Literal["I", "L"], offset: int) -> memoryview:
    """A view of the number at this offset of each element. `size_t` is a long on Linux."""
    numbers = memoryview(array).cast("B").cast(kind)
    return numbers[offset // numbers.itemsize :: ctypes.sizeof(array._type_) // numbers.itemsize]


class Addresses:
    """Converts between the addresses of Python's sockets and the system's `sockaddr_in` and `sockaddr_in6`."""

    def __init__(self, sock: socket.socket) -> None:
        self._family = sock.family
        self.size = 16 if sock.family == socket.AF_INET else NAME
        """The bytes of an address of this socket."""
        self._names: dict[Address, bytes] = {}
        self._addresses: dict[bytes, Address] = {}

    def name(self, address: Address) -> bytes:
        """The system's form of an address."""
        return self._names.get(address) or _remember(self._names, address, self._pack(address))

    def address(self, name: bytes) -> Address:
        """Python's form of an address."""
        return self._addresses.get(name) or _remember(self._addresses, name, self._unpack(name))

    def _pack(self, address: Address) -> bytes:
        head = int(self._family).to_bytes(2, sys.byteorder) + address[1].to_bytes(2)
        if len(address) == 2:
            return head + socket.inet_pton(socket.AF_INET, address[0]) + _IN_REST
        assert len(address) == 4, "a stream is no address of a socket"
        packed = socket.inet_pton(socket.AF_INET6, address[0])
        return head + address[2].to_bytes(4) + packed + address[3].to_bytes(4, sys.byteorder)

    def _unpack(self, name: bytes) -> Address:
        port = int.from_bytes(name[2:4])
        if self._family == socket.AF_INET:
            return (socket.inet_ntop(socket.AF_INET, name[4:8]), port)
        host, flow, scope = name[8:24], int.from_bytes(name[4:8]), int.from_bytes(name[24:28], sys.byteorder)
        return (socket.inet_ntop(socket.AF_INET6, host), port, flow, scope)


def _remember[Key, Value](known: dict[Key, Value], key: Key, value: Value) -> Value:
    if len(known) >= MAX_ADDRESSES:
        known.clear()
    known[key] = value
    return value
