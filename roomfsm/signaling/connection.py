"""One browser's websocket: handshake, heartbeat, rate and size limits, and how it is closed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio
from trio_websocket import ConnectionClosed

from roomfsm.door.tally import Tally
from roomfsm.log import get_logger
from roomfsm.protocol.codec import Outgoing, error_of
from roomfsm.protocol.errors import CloseCode, ErrorCode, Refusal
from roomfsm.signaling.browser_websocket import BrowserWebsocket, MessageOverrun
from roomfsm.signaling.frame_stream import FrameStream, OutboxFull
from roomfsm.signaling.frames import text_frame
from roomfsm.signaling.settings import SignalingSettings

_log = get_logger(__name__)

_NO_STATUS = 1005
_GOODBYES = frozenset({int(CloseCode.NORMAL), int(CloseCode.GOING_AWAY), _NO_STATUS})
"""Close codes of a browser that leaves; with any other, or none, it may want to come back."""

_EXPELLED = frozenset({CloseCode.UNSUPPORTED_DATA, CloseCode.POLICY_VIOLATION})
"""Our close codes for a client that did what no page of ours does; its session is not kept."""


class Connection:
    """An open websocket. `send` and `close_soon` never wait."""

    def __init__(self, websocket: BrowserWebsocket, stream: FrameStream, settings: SignalingSettings) -> None:
        self._websocket = websocket
        self._stream = stream
        self._settings = settings
        self._close = trio.Event()
        self._close_code = CloseCode.NORMAL

    @property
    def left(self) -> bool:
        """Whether nobody will come back for the session: the browser said goodbye, or it was expelled."""
        if self._close.is_set():
            return self._close_code in _EXPELLED
        reason = self._websocket.closed
        return reason is not None and reason.code in _GOODBYES

    @property
    def outbox(self) -> tuple[int, int]:
        """Messages and bytes that the browser has not taken yet."""
        return self._stream.waiting

    def send(self, outgoing: Outgoing) -> None:
        """Send a message as soon as the browser takes it; one that never does is cut with `SLOW_CONSUMER`."""
        if self._close.is_set():
            return
        if outgoing.wire is None:
            outgoing.wire = text_frame(outgoing.payload)
        try:
            self._stream.put(outgoing.wire, outgoing.merge_key)
        except OutboxFull:
            self._stream.discard()
            self.close_soon(CloseCode.SLOW_CONSUMER)

    def close_soon(self, code: CloseCode) -> None:
        """Close the websocket after what was sent so far; the first code counts."""
        if not self._close.is_set():
            self._close_code = code
            self._close.set()

    async def run(self, handle: Callable[[str], Awaitable[None]]) -> None:
        """Call `handle` with each message, until either side closes. Heartbeat and limits are kept meanwhile."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._closer, nursery)
            nursery.start_soon(self._heartbeat)
            await self._read(handle)
            if not self._close.is_set():
                nursery.cancel_scope.cancel()

    async def _read(self, handle: Callable[[str], Awaitable[None]]) -> None:
        budget, refilled = float(self._settings.message_burst), trio.current_time()
        while True:
            try:
                message = await self._websocket.next_message()
            except ConnectionClosed:
                return
            except MessageOverrun as overrun:
                self.close_soon(overrun.code)
                return
            if self._close.is_set():
                return
            if isinstance(message, bytes):
                self.close_soon(CloseCode.UNSUPPORTED_DATA)
                return
            now = trio.current_time()
            budget += (now - refilled) * self._settings.message_rate
            budget = min(budget, float(self._settings.message_burst)) - 1.0
            refilled = now
            if budget < 0:
                self.send(Outgoing(error_of(Refusal(ErrorCode.RATE_LIMITED), None)))
                self.close_soon(CloseCode.POLICY_VIOLATION)
                return
            try:
                await handle(message)
            except Exception:  # noqa: BLE001 (a boundary)
                # A fault in handling one browser's message must not end the others: this is the boundary.
                _log.exception("message not handled")
                self.close_soon(CloseCode.INTERNAL_ERROR)
                return

    async def _heartbeat(self) -> None:
        while True:
            await trio.sleep(self._settings.heartbeat)
            with trio.move_on_after(self._settings.heartbeat_timeout) as patience:
                try:
                    await self._websocket.ping()
                except ConnectionClosed:
                    return
            if patience.cancelled_caught:
                self.close_soon(CloseCode.HEARTBEAT_TIMEOUT)
                return

    async def _closer(self, nursery: trio.Nursery) -> None:
        await self._close.wait()
        with trio.move_on_after(self._settings.close_timeout):
            with suppress(ConnectionClosed):
                await self._websocket.aclose(int(self._close_code), self._close_code.name.lower())
        nursery.cancel_scope.cancel()


async def serve_websocket(
    stream: FrameStream,
    settings: SignalingSettings,
    messages: Tally,
    client: str,
    key: str,
    on_open: Callable[[Connection], Awaitable[None]],
) -> None:
    """Answer the handshake of that `Sec-WebSocket-Key`, and hand the open connection to `on_open`.

    `messages` counts the bytes of messages under way, by the address of the `client`.
    """
    websocket = BrowserWebsocket(stream, settings, messages, client)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.pump)
            try:
                websocket.accept(key, nursery)
                await on_open(Connection(websocket, stream, settings))
            finally:
                with trio.move_on_after(settings.close_timeout, shield=True):
                    await stream.aclose()
                    await stream.linger()
                await stream.shut()
                nursery.cancel_scope.cancel()
    finally:
        # Not sooner: until its task has ended the websocket may still take up what had been read for it.
        websocket.release()
