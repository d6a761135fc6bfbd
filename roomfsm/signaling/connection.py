"""One browser's websocket: handshake, heartbeat, rate and size limits, and how it is closed.

Either side may begin to close, at any moment and both at once. The rule that settles this: `close_soon` only notes
the first close code and wakes `run`, which alone sends the closing handshake. From then on nothing is sent or
read. A browser that has begun to close ends the iteration with trio-websocket's `ConnectionClosed`, and `run` then
has nothing left to say. `left` reads off the two codes afterwards whether the session may be resumed.

At the end the last frames must still reach the browser. They get a short deadline of their own, shielded from the
cancellation that may be the reason for the end; then the transport is closed in any case.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Self

import trio
from trio_websocket import ConnectionClosed

from roomfsm.door.tally import Tally
from roomfsm.protocol.codec import Outgoing, error_of
from roomfsm.protocol.errors import CloseCode, ErrorCode, Refusal
from roomfsm.protocol.server import Error
from roomfsm.rooms.counts import Counts
from roomfsm.signaling.browser_websocket import BrowserWebsocket, MessageOverrun
from roomfsm.signaling.frame_stream import FrameStream, OutboxFull
from roomfsm.signaling.frames import text_frame
from roomfsm.signaling.settings import SignalingSettings

_NO_STATUS = 1005
_GOODBYES = frozenset({int(CloseCode.NORMAL), int(CloseCode.GOING_AWAY), _NO_STATUS})
"""Close codes of a browser that leaves for good. With another code, or none, it may want to come back."""

_EXPELLED = frozenset({CloseCode.UNSUPPORTED_DATA, CloseCode.POLICY_VIOLATION})
"""Our close codes for a client that did something our page never does. Its session is not kept."""


class Connection:
    """An open websocket. Iterate over it to get the browser's messages; `send` and `close_soon` never wait.

    The iteration ends when either side closes, or when the browser breaks a limit. Then `left` says whether the
    browser is gone for good.
    """

    def __init__(
        self, websocket: BrowserWebsocket, stream: FrameStream, settings: SignalingSettings, counts: Counts
    ) -> None:
        self._websocket = websocket
        self._stream = stream
        self._settings = settings
        self._counts = counts
        self._over = trio.Event()
        self._close_code: CloseCode | None = None
        """The code with which we close the websocket; None as long as we do not close it."""
        self._budget = float(settings.message_burst)
        self._refilled = trio.current_time()

    @property
    def left(self) -> bool:
        """Whether nobody will resume the session, because the browser said goodbye or was expelled."""
        if self._close_code is not None:
            return self._close_code in _EXPELLED
        reason = self._websocket.closed
        return reason is not None and reason.code in _GOODBYES

    @property
    def outbox(self) -> tuple[int, int]:
        """How many messages and bytes the browser has not taken yet."""
        return self._stream.waiting

    def send(self, outgoing: Outgoing) -> None:
        """Send a message as soon as the browser takes it.

        If too much waits for the browser, the websocket is closed with `SLOW_CONSUMER`.
        """
        if self._close_code is not None:
            return
        if outgoing.wire is None:
            outgoing.wire = text_frame(outgoing.payload)
            # An error goes to one browser only, so each is counted once, and news to hundreds cost nothing here.
            if isinstance(outgoing.message, Error):
                self._counts.sent_error(outgoing.message)
        self.pass_on(outgoing.wire, outgoing.merge_key)

    def pass_on(self, frame: bytes, merge_key: str | None = None) -> None:
        """Send a frame of a message as `send` does. Its session lives at another node, or here."""
        if self._close_code is not None:
            return
        try:
            self._stream.put(frame, merge_key)
        except OutboxFull:
            self._stream.discard()
            self.close_soon(CloseCode.SLOW_CONSUMER)

    def close_soon(self, code: CloseCode) -> None:
        """Close the websocket behind what was sent so far, and read no more. Only the first code counts."""
        if self._close_code is None:
            self._close_code = code
            self._counts.closed(code)
            self._websocket.stop_reading()
            self._over.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        """The browser's next message. A browser that sends too fast is expelled."""
        try:
            message = await self._websocket.next_message()
        except ConnectionClosed:
            self._over.set()
            raise StopAsyncIteration from None
        except MessageOverrun as overrun:
            raise self._expel(overrun.code) from None
        if self._close_code is not None:
            raise StopAsyncIteration
        if isinstance(message, bytes):
            raise self._expel(CloseCode.UNSUPPORTED_DATA)
        if not self._within_rate():
            self.send(Outgoing(error_of(Refusal(ErrorCode.RATE_LIMITED), None)))
            raise self._expel(CloseCode.POLICY_VIOLATION)
        return message

    async def run(self) -> None:
        """Keep the heartbeat until either side closes. If we close, do the closing handshake then."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._heartbeat)
            await self._over.wait()
            if self._close_code is not None:
                with trio.move_on_after(self._settings.close_timeout), suppress(ConnectionClosed):
                    await self._websocket.aclose(int(self._close_code), self._close_code.name.lower())
            nursery.cancel_scope.cancel()

    def _expel(self, code: CloseCode) -> StopAsyncIteration:
        self.close_soon(code)
        return StopAsyncIteration()

    def _within_rate(self) -> bool:
        """Count a message in a bucket that holds `message_burst` messages and fills at `message_rate`."""
        now = trio.current_time()
        self._budget += (now - self._refilled) * self._settings.message_rate
        self._budget = min(self._budget, float(self._settings.message_burst)) - 1.0
        self._refilled = now
        return self._budget >= 0

    async def _heartbeat(self) -> None:
        while True:
            await trio.sleep(self._settings.heartbeat)
            with trio.move_on_after(self._settings.heartbeat_timeout) as patience:
                try:
                    await self._websocket.ping()
                except ConnectionClosed:
                    self._over.set()
                    return
            if patience.cancelled_caught:
                self.close_soon(CloseCode.HEARTBEAT_TIMEOUT)
                return


async def serve_websocket(
    stream: FrameStream,
    settings: SignalingSettings,
    messages: Tally,
    client: str,
    key: str,
    counts: Counts,
    on_open: Callable[[Connection], Awaitable[None]],
) -> None:
    """Answer the handshake with `key` as its `Sec-WebSocket-Key`, and pass the open connection to `on_open`.

    `messages` counts the bytes of messages that are not handled yet, by the address of the `client`. `counts` are
    those of the server.
    """
    websocket = BrowserWebsocket(stream, settings, messages, client)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.pump)
            try:
                websocket.accept(key, nursery)
                await on_open(Connection(websocket, stream, settings, counts))
            finally:
                with trio.move_on_after(settings.close_timeout, shield=True):
                    await stream.aclose()
                    await stream.linger()
                await stream.shut()
                nursery.cancel_scope.cancel()
    finally:
        # This must not come sooner: until its reading task has ended, the websocket may count another message.
        websocket.release()
