"""The front door accepts as many connections as there is room for, and serves each of them until it ends.

This module is about the connections themselves; `judge.py` judges the requests. There are never more than
`max_connections`, and never more than the limit of open files allows. A few open files are kept in reserve, so
that accepting does not fail and the program can open other files. If there is one connection too many, the oldest
connection that waits for a request is closed. If all connections are busy, the new one gets status 503.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import h11
import trio

from roomfsm.door.answers import RETRY, Answer, dressed
from roomfsm.door.client_address import is_in, networks_of
from roomfsm.door.conversation import (
    Address,
    BoundOf,
    Conversation,
    ServeHttp,
    Shared,
    Transport,
    Upgrade,
    Visitor,
    in_memory,
    patience,
)
from roomfsm.door.settings import DoorSettings
from roomfsm.door.tally import Tally
from roomfsm.hosts import bound_key, plain
from roomfsm.log import get_logger
from roomfsm.open_files import EXHAUSTED, Spare

_log = get_logger(__name__)

_SLACK = 64
"""So many connections may exceed the limit for a moment, while others are being closed for them."""
_TURNED_AWAY = 64
"""So many connections at a time are told that the server is full, and get time to read that. Others are closed at
once."""
_FAREWELL = 1.0
"""Seconds that they get."""
_LOG_INTERVAL = 10.0
"""Seconds between two lines of the log about refused connections."""
_BREATH = 0.1
"""Seconds until the server tries to accept again, if the system has no room for another connection."""

_BUSY = Answer(503, "The server has reached its limit of connections.", RETRY)
_NO_WEBSOCKETS = Answer(404, "There is no websocket at this port.")
_NO_TLS = Answer(400, "This port speaks HTTPS: use an address that begins with https://.")
_PLAIN_HTTP = frozenset({"HTTP_REQUEST", "HTTPS_PROXY_REQUEST"})
"""OpenSSL's error reasons if a client sends a plain HTTP request instead of a TLS handshake."""

_PROXIES = "proxies"
"""The key that counts the connections of trusted proxies."""

type ServeWebsocket = Callable[[Transport, Upgrade], Awaitable[None]]


class FrontDoor:
    """Accepts connections, and passes their requests to the parts that serve them.

    If `serve_websocket` is None, there are no websockets at this door.
    """

    def __init__(
        self,
        settings: DoorSettings,
        serve_websocket: ServeWebsocket | None,
        serve_http: ServeHttp,
        is_full: Callable[[], bool],
        tls: ssl.SSLContext | None = None,
        bound_of: BoundOf = in_memory,
    ) -> None:
        self._settings = settings
        self._serve_websocket = serve_websocket
        self.tls = tls
        """The TLS context for new handshakes."""
        self._connections = Tally(
            settings.max_connections, settings.max_connections_per_address, boundless=_PROXIES
        )
        bodies = Tally(settings.max_bodies_bytes, settings.max_bodies_bytes_per_address)
        self._shared = Shared(settings, networks_of(settings.trusted_proxy), serve_http, is_full, bodies, bound_of)
        self._turning = 0
        self._unlogged = 0
        self._logged_at = -_LOG_INTERVAL

    @property
    def limits_hit(self) -> Mapping[str, int]:
        """How often each limit of the settings was the reason to refuse a connection or request."""
        return self._shared.limits_hit

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return self._connections.taken

    def apply(self, settings: DoorSettings) -> None:
        """Use these settings from now on. Open connections use them from their next request on.

        The counters of connections and bodies stay as they are.
        """
        self._settings = settings
        self._shared.settings = settings
        self._shared.trusted = networks_of(settings.trusted_proxy)

    async def serve(
        self,
        listeners: list[trio.SocketListener],
        handler_nursery: trio.Nursery,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept connections until cancelled. Then the listeners are closed, so that nobody waits there in vain.

        The connections run in `handler_nursery`, and may run on after that.
        """
        try:
            async with trio.open_nursery() as nursery:
                for listener in listeners:
                    nursery.start_soon(self._accept, listener, handler_nursery)
                task_status.started()
        finally:
            for listener in listeners:
                listener.socket.close()

    async def _accept(self, listener: trio.SocketListener, nursery: trio.Nursery) -> None:
        spare = Spare()
        try:
            while True:
                try:
                    stream = await listener.accept()
                except OSError as error:
                    if error.errno not in EXHAUSTED:
                        raise
                    if not spare.give_up():
                        self._complain()
                        await trio.sleep(_BREATH)
                    continue
                if spare.take_back():
                    await self._admit(stream, nursery)
                    continue
                # This connection uses the last open file that is allowed.
                await self._say(stream, _BUSY)
                stream.socket.close()
                spare.take_back()
        finally:
            spare.give_up()

    async def _admit(self, stream: trio.SocketStream, nursery: trio.Nursery) -> None:
        try:
            peer, here = _address(stream.socket.getpeername()), _address(stream.socket.getsockname())
        except OSError:
            stream.socket.close()
            return
        visitor: Visitor = Visitor(stream, peer, here)
        # A proxy connects for many clients. Their requests are limited by their own addresses.
        key = _PROXIES if is_in(peer[0], self._shared.trusted) else bound_key(peer[0])
        if self._take_place(key):
            nursery.start_soon(self._handle, visitor, key)
        elif self._turning < _TURNED_AWAY:
            self._turning += 1
            nursery.start_soon(self._turn_away, visitor)
        else:
            self._complain()
            if self.tls is None:
                await self._say(stream, _BUSY)
            stream.socket.close()

    def _take_place(self, key: str) -> bool:
        """Take a place for one more connection, and return whether there was one.

        It may close the oldest connection that waits for a request.
        """
        if self._connections.take(key):
            return True
        # No other connection is closed for an address that has reached its own limit.
        if not self._connections.take(key, slack=_SLACK):
            return False
        for scope in self._shared.waiting:
            del self._shared.waiting[scope]
            scope.cancel()
            return True
        self._connections.give_back(key)
        return False

    async def _handle(self, visitor: Visitor, key: str) -> None:
        transport: Transport = visitor.transport
        try:
            if self.tls is not None:
                visitor = await self._shake_hands(visitor, self.tls)
                transport = visitor.transport
            upgrade = await self._converse(visitor)
            if upgrade is not None:
                if self._serve_websocket is None:
                    await self._see_off(transport, _NO_WEBSOCKETS)
                else:
                    await self._serve_websocket(transport, upgrade)
        except* (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError) as group:
            # The client went away or never spoke TLS, so there is nobody to answer.
            _log.debug("connection ended early", why=repr(group.exceptions))
        except* Exception:  # noqa: BLE001 (a boundary)
            # This is the boundary: a mistake in serving one connection must not end the others.
            _log.exception("connection failed")
        finally:
            self._connections.give_back(key)
            await trio.aclose_forcefully(transport)

    async def _shake_hands(self, visitor: Visitor, tls: ssl.SSLContext) -> Visitor:
        """The visitor over TLS.

        Raises `trio.TooSlowError`, or `trio.BrokenResourceError` if the handshake fails.
        """
        assert isinstance(visitor.transport, trio.SocketStream)
        transport = trio.SSLStream(visitor.transport, tls, server_side=True)
        with patience(self._shared.waiting, self._settings.head_timeout) as scope:
            try:
                await transport.do_handshake()
            except trio.BrokenResourceError as error:
                if isinstance(error.__cause__, ssl.SSLError) and error.__cause__.reason in _PLAIN_HTTP:
                    await self._see_off(visitor.transport, _NO_TLS)
                raise
        if scope.cancelled_caught:
            raise trio.TooSlowError
        return Visitor(transport, visitor.peer, visitor.here)

    async def _converse(self, visitor: Visitor) -> Upgrade | None:
        conversation = Conversation(visitor, self._shared)
        upgrade = await conversation.run()
        if upgrade is None:
            await conversation.close()
        return upgrade

    async def _turn_away(self, visitor: Visitor) -> None:
        """Tell a client that there is no room for its connection."""
        self._complain()
        transport = visitor.transport
        try:
            with trio.move_on_after(_FAREWELL):
                if self.tls is not None:
                    transport = (await self._shake_hands(visitor, self.tls)).transport
                await self._see_off(transport, _BUSY)
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            pass
        except Exception:  # noqa: BLE001 (a boundary)
            # This is a boundary, too: a mistake here must not end the other connections.
            _log.exception("connection failed")
        finally:
            self._turning -= 1
            await trio.aclose_forcefully(transport)

    async def _see_off(self, transport: Transport, answer: Answer) -> None:
        """Send this answer, whatever the request is, and give the client time to read it."""
        with trio.move_on_after(_FAREWELL):
            await self._say(transport, answer)
            if isinstance(transport, trio.SocketStream):
                await transport.send_eof()
            while await transport.receive_some():
                pass

    async def _say(self, transport: Transport, answer: Answer) -> None:
        http = h11.Connection(h11.SERVER)
        parts = [
            http.send(dressed(part, self._settings.frame_ancestors) if isinstance(part, h11.Response) else part)
            for part in answer.events()
        ]
        with trio.move_on_after(_FAREWELL), suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await transport.send_all(b"".join(part or b"" for part in parts))

    def _complain(self) -> None:
        """Log that connections are being refused, but not for each of them."""
        self._shared.limits_hit["max_connections"] += 1
        self._unlogged += 1
        now = trio.current_time()
        if now - self._logged_at >= _LOG_INTERVAL:
            self._logged_at = now
            _log.warning("connections turned away", number=self._unlogged, open=self._connections.taken)
            self._unlogged = 0


def _address(name: tuple[str, int] | tuple[str, int, int, int]) -> Address:
    return plain(name[0]), name[1]
