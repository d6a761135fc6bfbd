"""Framing of packets on a TCP connection (RFC 4571 section 2): each has its length in two bytes before it."""

import struct
from collections.abc import Iterator

LENGTH = struct.Struct("!H")


class FrameTooLong(ValueError):
    """The other side announces a packet that is longer than any that it may send. What follows cannot be read."""


class Deframer:
    """Finds the packets in a stream of bytes, wherever that is cut. It keeps less than one packet."""

    __slots__ = ("_longest", "_rest")

    def __init__(self, longest: int) -> None:
        """`longest` is the length of the longest packet that is taken."""
        self._longest = longest
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take more of the stream, and yield the packets that are complete now, empty ones included.

        Raises :class:`FrameTooLong` after the packets before the frame that is too long.
        """
        data, self._rest, begin = self._rest + data, b"", 0
        while len(data) - begin >= LENGTH.size:
            (length,) = LENGTH.unpack_from(data, begin)
            if length > self._longest:
                raise FrameTooLong(f"a frame of {length} bytes")
            end = begin + LENGTH.size + length
            if end > len(data):
                break
            yield data[begin + LENGTH.size : end]
            begin = end
        self._rest = data[begin:]
