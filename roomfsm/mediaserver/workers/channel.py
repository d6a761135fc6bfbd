"""One end of the stream between the main process and a worker.

Messages are sent without waiting, and read in order.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import trio

from roomfsm.mediaserver.workers.messages import MAX_LINE

_MAX_QUEUED = 64 * 1024 * 1024
"""The most bytes that wait to be written. This is more than any burst, so if it is exceeded the other end
hangs."""
_CHUNK = 65536


class Channel[Received]:
    """Reads messages of one type, and writes any message. `write` must run meanwhile."""

    def __init__(self, sock: socket.socket, received: Any) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._decoder: msgspec.json.Decoder[Received] = msgspec.json.Decoder(received)
        self._encoder = msgspec.json.Encoder()
        self._queued = bytearray()
        self._more = trio.Event()
        self.broken = trio.Event()
        """Set when too much was queued or the other end is gone. Nothing more is written then."""

    def send(self, message: msgspec.Struct) -> None:
        """Send a message, at once if the system accepts it. After `broken` it is lost."""
        if self.broken.is_set():
            return
        self._queued += self._encoder.encode(message) + b"\n"
        # It is sent at once, because the browser's next step may come before the writing task gets its turn.
        if not self._more.is_set():
            self._write()
        if len(self._queued) > _MAX_QUEUED:
            self.broken.set()
        elif self._queued:
            self._more.set()

    def _write(self) -> None:
        try:
            while self._queued:
                del self._queued[: self._socket.send(self._queued[:_CHUNK])]
        except BlockingIOError:
            pass
        except OSError:
            self._queued.clear()
            self.broken.set()

    async def write(self) -> None:
        """Write queued messages, for ever."""
        while True:
            await self._more.wait()
            while self._queued:
                await trio.lowlevel.wait_writable(self._socket)
                self._write()
            self._more = trio.Event()

    async def read(self) -> AsyncGenerator[Received]:
        """Yield messages until the other end is gone.

        Raises `msgspec.DecodeError` for bytes that are not a message.
        """
        buffer = b""
        while len(buffer) <= MAX_LINE:
            await trio.lowlevel.wait_readable(self._socket)
            try:
                received = self._socket.recv(_CHUNK)
            except BlockingIOError:
                continue
            except ConnectionError:
                return
            if not received:
                return
            *lines, buffer = (buffer + received).split(b"\n")
            for line in lines:
                yield self._decoder.decode(line)

    async def cancel_when_broken(self, scope: trio.CancelScope) -> None:
        await self.broken.wait()
        scope.cancel()

    def close(self) -> None:
        self._socket.close()
