"""One websocket to a media server, which sends and receives JSON-RPC messages.

Calls on it end with the websocket.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    HandshakeError,
)
from wsproto.utilities import LocalProtocolError

from roomfsm.jsonrpc import FramingError, Message, Params, Request, Response, decode, encode
from roomfsm.jsonrpc.websocket import Websocket, wrap_client
from roomfsm.kurento.errors import ConnectionLost, ConnectionRefused, ConnectionSilent, KurentoError
from roomfsm.kurento.requests import Call, CallCounts, Outcome, PendingCalls
from roomfsm.kurento.settings import KurentoSettings
from roomfsm.kurento.stream import HandshakeGuard, is_refusal, open_stream
from roomfsm.log import get_logger

_log = get_logger(__name__)

_MAX_REASON = 200
"""The most characters of a media server's text that appear in an error."""


class Connection:
    """An open websocket. `open_connection` creates it."""

    def __init__(
        self, websocket: Websocket, settings: KurentoSettings, ids: Iterator[int], counts: CallCounts | None = None
    ) -> None:
        self._websocket = websocket
        self._settings = settings
        self._ids = ids
        self._calls = PendingCalls(counts)
        self._outbox, self._unsent = trio.open_memory_channel[str](math.inf)
        self._last_reply = trio.current_time()
        self._pinged = math.inf
        """When the ping was sent that waits for its answer; infinity while no ping waits."""
        self._closed: trio.Event | None = None

    def post(self, request: Request) -> None:
        """Send a request after all that were posted before.

        It never waits, so a caller that is cancelled cannot leave half a frame behind.
        """
        self._outbox.send_nowait(encode(request))

    async def call(self, method: str, params: Params, patience: float | None = None) -> Any:
        """Send a request that is not repeated on another websocket, and return its result.

        Raises `KurentoError`, or `ConnectionLost` if the websocket ends or is silent for `patience` seconds (by
        default `ping_timeout`).
        """
        call = self._calls.add(next(self._ids), method, params)
        self.post(call.request)
        try:
            await self._answered(call, patience or self._settings.ping_timeout)
        except ConnectionSilent:
            self._calls.discard(call, Outcome.TIMEOUT)
            raise
        finally:
            self._calls.discard(call)
        return call.unwrap()

    async def part(self, method: str, params: Params) -> None:
        """Send the last request, within `release_timeout`, and wait for its answer if there can be one.

        In a scope that is cancelled nobody reads answers any more, and nobody else sends. Raises `KurentoError` or
        `ConnectionLost`.
        """
        cancelled = trio.current_effective_deadline() == -math.inf
        with trio.move_on_after(self._settings.release_timeout, shield=True):
            if cancelled:
                request = Request(next(self._ids), method, params)
                with suppress(ConnectionClosed, trio.BrokenResourceError):
                    await self._websocket.send_message(encode(request))
            else:
                await self.call(method, params)

    async def keep_alive(self, session_id: str) -> None:
        """Ping for ever.

        Raises `ConnectionLost` if the media server answers nothing for `ping_timeout` while a ping waits.
        """
        interval = self._settings.ping_interval
        while True:
            await trio.sleep(interval)
            self._pinged = trio.current_time()
            with suppress(KurentoError):  # an error reply is an answer, too
                await self.call("ping", {"interval": int(interval * 1000), "sessionId": session_id})
            self._pinged = math.inf

    @property
    def silent(self) -> bool:
        """Whether a ping has waited for `silent_after` seconds and no other reply has come since."""
        since = max(self._pinged, self._last_reply)
        return trio.current_time() - since >= self._settings.silent_after

    async def close(self) -> None:
        """Close the websocket with its closing handshake, within `release_timeout`."""
        self._closed = trio.Event()
        try:
            with trio.move_on_after(self._settings.release_timeout):
                await self._websocket.aclose()
        finally:
            self._closed.set()

    async def _answered(self, call: Call, patience: float) -> None:
        # Kurento handles the requests of one websocket one after another. So while it answers other requests, this
        # one only waits for its turn.
        silent_since = trio.current_time()
        while not call.answered.is_set():
            silent_since = max(silent_since, self._last_reply)
            deadline = silent_since + patience
            if trio.current_time() >= deadline:
                raise ConnectionSilent(f"no answer to {call.request.method} in {patience:g} s")
            with trio.move_on_at(deadline):
                await call.answered.wait()

    async def _write(self) -> None:
        async for text in self._unsent:
            await self._websocket.send_message(text)

    async def _read(self, dispatch: Callable[[Message], None]) -> None:
        while True:
            try:
                text = await self._websocket.get_message()
            except ConnectionClosed:
                if self._closed is not None:
                    # We are closing the websocket. Wait until the closing handshake is over, because it needs a
                    # task of the nursery that this error would cancel.
                    await self._closed.wait()
                raise
            try:
                message = decode(text)
            except FramingError as error:
                _log.warning("kurento unreadable message", code=error.code, error=str(error))
                continue
            if isinstance(message, Response):
                self._last_reply = trio.current_time()
                if self._calls.settle(message):
                    continue
            dispatch(message)


@asynccontextmanager
async def open_connection(
    url: str,
    settings: KurentoSettings,
    ids: Iterator[int],
    dispatch: Callable[[Message], None],
    counts: CallCounts | None = None,
) -> AsyncIterator[Connection]:
    """Open a websocket to `url`. `dispatch` gets every message that is not the reply to a `Connection.call`.

    `counts` counts its calls.

    When the websocket ends, the body is cancelled and `ConnectionLost` is raised. The same error is raised if the
    websocket cannot be opened within `ping_timeout`, and `ConnectionRefused` if no process listens at the address.
    At the end the socket is closed without a closing handshake, unless `Connection.close` was called before.
    """
    try:
        with trio.fail_after(settings.ping_timeout):
            stream = HandshakeGuard(await open_stream(url))
    except trio.TooSlowError:
        raise ConnectionSilent(f"no connection in {settings.ping_timeout:g} s") from None
    except OSError as error:
        lost = ConnectionRefused if is_refusal(error) else ConnectionLost
        raise lost(f"cannot connect: {error}") from error
    try:
        async with trio.open_nursery() as nursery:
            websocket = await _shake_hands(nursery, stream, url, settings)
            connection = Connection(websocket, settings, ids, counts)
            nursery.start_soon(connection._write)
            nursery.start_soon(connection._read, dispatch)
            try:
                yield connection
            finally:
                connection._calls.fail_all(lambda: ConnectionLost("the connection has ended"))
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        # trio-websocket's reader raises LocalProtocolError if a ping arrives while we close (its issue 184).
        ended, others = group.split((ConnectionLost, ConnectionClosed, HandshakeError, LocalProtocolError))
        if others is not None:
            raise others from None
        first = _first(ended)
        lost = ConnectionSilent if isinstance(first, ConnectionSilent) else ConnectionLost
        raise lost(_reason(first)) from group
    finally:
        await trio.aclose_forcefully(stream)


def _first(ended: BaseException | None) -> BaseException | None:
    while isinstance(ended, BaseExceptionGroup):
        ended = ended.exceptions[0]
    return ended


def _reason(ended: BaseException | None) -> str:
    match ended:
        case ConnectionClosed(reason=reason) if reason is not None:
            return f"closed with {reason.code} {reason.name}{': ' + reason.reason if reason.reason else ''}"
        case ConnectionRejected(status_code=status, body=body):
            why = (body or b"").decode(errors="replace").strip()[:_MAX_REASON]
            return f"the media server refused the connection with {status}{': ' + why if why else ''}"
        case _:
            return str(ended) or repr(ended)


async def _shake_hands(
    nursery: trio.Nursery, stream: HandshakeGuard, url: str, settings: KurentoSettings
) -> Websocket:
    parts = urlsplit(url)
    # The secret goes into a header, because addresses are logged.
    secret = [] if settings.secret is None else [(b"Authorization", f"Bearer {settings.secret}".encode())]
    try:
        with trio.fail_after(settings.ping_timeout):
            websocket = await wrap_client(
                nursery,
                stream,
                parts.netloc,
                f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}",
                headers=secret,
                max_message_size=settings.max_message_bytes,
            )
    except trio.TooSlowError:
        raise ConnectionSilent(f"no websocket handshake in {settings.ping_timeout:g} s") from None
    stream.shaking_hands = False
    return websocket
