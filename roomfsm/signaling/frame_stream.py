"""The stream under a browser's websocket: whole frames written without waiting, a bounded outbox behind them."""

from __future__ import annotations

import socket
from collections import OrderedDict
from dataclasses import dataclass

import trio

_CLOSE_FRAME = b"\x88"
"""How an unfragmented close frame begins: no frame may follow it (RFC 6455 section 5.5.1)."""
_JOINED = 65_536
_DISCARD = 65_536


class OutboxFull(Exception):
    """The peer reads so slowly that more waits for it than may."""


@dataclass(slots=True)
class _Waiting:
    data: bytes
    merge_key: str | None = None
    rest: bool = False
    """The rest of a frame whose beginning was sent: it must follow, whatever else is dropped."""


class FrameStream(trio.abc.Stream):
    """Bytes in both directions over `transport`, after `head`, which was read from it already.

    `put` never waits: the frame goes straight to the socket if that takes it, else into the outbox that
    `pump` empties. trio-websocket's own frames (pong, close) come by `send_all` and take the same way,
    so the order holds. Over TLS every frame takes the way through the outbox.
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
        # A second object on the same descriptor: trio's own send cannot be tried without waiting.
        self._raw: socket.socket | None = None
        if isinstance(transport, trio.SocketStream):
            self._raw = socket.socket(fileno=transport.socket.fileno())

    @property
    def waiting(self) -> tuple[int, int]:
        """How many frames and bytes are in the outbox."""
        return len(self._outbox), self._waiting_bytes

    def put(self, frame: bytes, merge_key: str | None = None) -> None:
        """Send a whole frame as soon as the peer takes it; nothing is sent any more once the stream is closed.

        A waiting frame of the same `merge_key` is dropped for this one. Raises `OutboxFull`.
        """
        if self._closed or self._broken or self._said_close:
            return
        if self._raw is not None and not self._outbox and not self._pumping:
            try:
                sent = self._raw.send(frame)
            except BlockingIOError:
                sent = 0
            except OSError:
                # The connection is gone; whoever reads from it finds out and ends it.
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
        """Drop what waits, so that a last frame may follow."""
        rest = [waiting for waiting in self._outbox.values() if waiting.rest]
        self._outbox.clear()
        self._by_key.clear()
        self._waiting_bytes = 0
        for waiting in rest:
            self._append(waiting)

    async def pump(self) -> None:
        """Empty the outbox for as long as the connection lives. A dead peer is the reader's news, not ours."""
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
        # The websocket may still be closing for a moment, and the room does not know it yet.
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
        """Nothing more is read, nothing more put. What waits still goes out: `linger`, then `shut`."""
        self._closed = True
        self._reading.cancel()
        await trio.lowlevel.checkpoint()

    async def shut(self) -> None:
        """Close the transport without a word more."""
        self._closed = True
        if self._raw is not None:
            self._raw.detach()
            self._raw = None
        await trio.aclose_forcefully(self._transport)

    async def linger(self) -> None:
        """Let the last frames reach a peer that is still sending: read and drop until it closes, too.

        A socket closed with unread bytes resets the connection, which would take our close frame with it.
        To be bounded by the caller: a peer need not close.
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
