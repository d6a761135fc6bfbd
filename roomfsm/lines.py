"""Reads lines from a stream of bytes, such as what a child process says."""

from __future__ import annotations

import trio

MAX_LINE = 64 * 1024
"""The most bytes of a line. A longer line is passed on in pieces."""


class LineReader:
    """Reads lines of at most `MAX_LINE` bytes from a stream."""

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream
        self._buffer = bytearray()

    async def read(self) -> bytes:
        """The next line with its line end; b"" at the end of the stream."""
        searched = 0
        while (end := self._buffer.find(b"\n", searched) + 1) == 0:
            searched = len(self._buffer)
            if searched >= MAX_LINE:
                end = MAX_LINE
                break
            try:
                received = await self._stream.receive_some()
            except trio.BrokenResourceError:
                received = b""
            if not received:
                end = searched
                break
            self._buffer += received
        line = bytes(self._buffer[:end])
        del self._buffer[:end]
        return line
