"""The stream under a browser's websocket: it writes whole frames without waiting, and has a bounded outbox.

A room sends one message to hundreds of browsers and must not wait for any of them. So `put` tries the socket
directly. Whatever the socket does not take goes to the outbox, which `pump` empties in a task of its own. Three
rules keep the byte stream whole:

- While anything waits, or `pump` is sending, every new frame goes to the outbox: frames never overtake each other.
- If the socket took only the beginning of a frame, the rest is the first in the outbox and is never dropped. Only
  whole frames may be replaced by newer ones, or discarded.
- No frame follows a close frame.
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from dataclasses import dataclass

import trio

_CLOSE_FRAME = b"\x88"
"""The first byte of an unfragmented close frame. No frame may follow it (RFC 6455 section 5.5.1)."""
_JOINED = 65_536
_DISCARD = 65_536


class OutboxFull(Exception):
    """The peer reads so slowly that the outbox has reached its bound."""


@dataclass(slots=True)
class _Waiting:
    data: bytes
    merge_key: str | None = None
    rest: bool = False
    """Whether this is the rest of a frame whose beginning was sent. It must be sent, whatever else is dropped."""


class FrameStream(trio.abc.Stream):
    """A stream over `transport`. `head` has the bytes that were already read from it.

    `put` never waits: the frame goes straight to the socket if that takes it, and otherwise into the outbox.
    trio-websocket's own frames (pong, close) come through `send_all` and go the same way, so the order holds. Over
    TLS every frame goes through the outbox.
    """

    def __init__(
        self,
        transport: trio.SocketStream | trio.SSLStream[trio.SocketStream],
        head: bytes,
        *,
        outbox_messages: int,
        outbox_bytes: int,
    ) -> None:
        self._transport = transport
        self._head = head
        self._outbox_messages = outbox_messages
        self._outbox_bytes = outbox_bytes
        self._outbox: OrderedDict[int, _Waiting] = OrderedDict()
        self._number = 0
        self._by_key: dict[str, int] = {}
        self._waiting_bytes = 0
        self._pumping = False
        self._work = trio.Event()
        self._emptied = trio.Event()
        self._closed = False
        self._broken = False
        self._said_close = False
        self._reading = trio.CancelScope()
        # This is a second object for the same descriptor, because trio's `send` cannot be tried without waiting.
        self._raw: socket.socket | None = None
        if isinstance(transport, trio.SocketStream):
            self._raw = socket.socket(fileno=transport.socket.fileno())

    @property
    def waiting(self) -> tuple[int, int]:
        """How many frames and bytes are in the outbox."""
        return len(self._outbox), self._waiting_bytes

    def put(self, frame: bytes, merge_key: str | None = None) -> None:
        """Send a whole frame as soon as the peer takes it. Once the stream is closed, this does nothing.

        The frame replaces one of the same `merge_key` that still waits. Raises `OutboxFull`.
        """
        if self._closed or self._broken or self._said_close:
            return
        if self._raw is not None and not self._outbox and not self._pumping:
            try:
                sent = self._raw.send(frame)
            except BlockingIOError:
                sent = 0
            except OSError:
                # The connection is gone. The task that reads from it will notice and end it.
                return
            if sent == len(frame):
                return
            if sent:
                self._append(_Waiting(frame[sent:], rest=True))
                return
        if merge_key is not None:
            older = self._by_key.pop(merge_key, None)
            if older is not None:
                self._waiting_bytes -= len(self._outbox.pop(older).data)
        if len(self._outbox) >= self._outbox_messages or self._waiting_bytes + len(frame) > self._outbox_bytes:
            raise OutboxFull
        self._append(_Waiting(frame, merge_key))

    def discard(self) -> None:
        """Drop the frames that wait, so that a last frame can be sent."""
        rest = [waiting for waiting in self._outbox.values() if waiting.rest]
        self._outbox.clear()
        self._by_key.clear()
        self._waiting_bytes = 0
        for waiting in rest:
            self._append(waiting)

    async def pump(self) -> None:
        """Empty the outbox as long as the connection lives. If the peer is dead, the reading task reports that."""
        try:
            while True:
                while joined := self._next():
                    self._pumping = True
                    await self._transport.send_all(joined)
                self._pumping = False
                self._emptied.set()
                self._work = trio.Event()
                await self._work.wait()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._broken = True
            self._pumping = False
            self._emptied.set()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise trio.ClosedResourceError
        if self._broken:
            raise trio.BrokenResourceError
        try:
            self.put(bytes(data))
        except OutboxFull:
            raise trio.BrokenResourceError("the peer does not read") from None
        # After its close frame the websocket is open for another moment, in which the room may still send.
        self._said_close = self._said_close or data[:1] == _CLOSE_FRAME

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if self._head:
            await trio.lowlevel.checkpoint()
            size = len(self._head) if max_bytes is None else max_bytes
            data, self._head = self._head[:size], self._head[size:]
            return data
        if not self._closed:
            self._reading = trio.CancelScope()
            with self._reading:
                return await self._transport.receive_some(max_bytes)
        raise trio.ClosedResourceError

    async def aclose(self) -> None:
        """Read no more and take no more frames. `linger` still sends those that wait; call `shut` after it."""
        self._closed = True
        self._reading.cancel()
        await trio.lowlevel.checkpoint()

    async def shut(self) -> None:
        """Close the transport at once."""
        self._closed = True
        if self._raw is not None:
            self._raw.detach()
            self._raw = None
        await trio.aclose_forcefully(self._transport)

    async def linger(self) -> None:
        """Wait until the last frames have reached the peer: read and drop what it sends until it closes, too.

        If a socket is closed while bytes are unread, the connection is reset and our close frame is lost. The
        caller must set a deadline, because the peer may never close.
        """
        while (self._outbox or self._pumping) and not self._broken:
            self._emptied = trio.Event()
            await self._emptied.wait()
        try:
            if isinstance(self._transport, trio.SocketStream):
                await self._transport.send_eof()
            while await self._transport.receive_some(_DISCARD):
                pass
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError):
            return

    def _next(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        while self._outbox and size < _JOINED:
            _, waiting = self._outbox.popitem(last=False)
            if waiting.merge_key is not None:
                del self._by_key[waiting.merge_key]
            parts.append(waiting.data)
            size += len(waiting.data)
        self._waiting_bytes -= size
        return b"".join(parts)

    def _append(self, waiting: _Waiting) -> None:
        self._number += 1
        if waiting.merge_key is not None:
            self._by_key[waiting.merge_key] = self._number
        self._outbox[self._number] = waiting
        self._waiting_bytes += len(waiting.data)
        self._work.set()
