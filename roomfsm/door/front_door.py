"""The front door: accepts connections, as many as there is room for, and has each served to its end.

What is asked over a connection is judged in `judge.py`; this module is about connections as such. There are never
more than `max_connections`, nor more than the open files allow with a reserve kept: so accepting does not fail,
and what else the program opens can be opened. One connection too many makes the oldest of those give way that
wait for a request; if all are busy it is answered 503.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress

import h11
import trio

from roomfsm.door.answers import RETRY, Answer, dressed
from roomfsm.door.client_address import bound_key, is_in, networks_of, plain
from roomfsm.door.conversation import (
    Address,
    Conversation,
    ServeHttp,
    Shared,
    Transport,
    Upgrade,
    Visitor,
    patience,
)
from roomfsm.door.open_files import EXHAUSTED, Spare
from roomfsm.door.settings import DoorSettings
from roomfsm.door.tally import Tally
from roomfsm.log import get_logger

_log = get_logger(__name__)

_SLACK = 64
"""Connections above the bound for a moment, while others that give way for them are being closed."""
_TURNED_AWAY = 64
"""Connections at a time that are told of it and given the time to read that; more are closed at once."""
_FAREWELL = 1.0
"""Seconds for that."""
_LOG_INTERVAL = 10.0
"""Seconds between two lines of the log about connections that were turned away."""
_BREATH = 0.1
"""Seconds until accepting is tried again, if the system has no room for even one connection more."""

_BUSY = Answer(503, "There are as many connections as may be.", RETRY)
_NO_TLS = Answer(400, "This port speaks HTTPS: use an address that begins with https://.")
_PLAIN_HTTP = frozenset({"HTTP_REQUEST", "HTTPS_PROXY_REQUEST"})
"""OpenSSL's reasons where a request stands in place of a TLS handshake."""

_PROXIES = "proxies"
"""By what the connections of trusted proxies are counted."""

type ServeWebsocket = Callable[[Transport, Upgrade], Awaitable[None]]


class FrontDoor:
    """Accepts connections, and gives what is asked over them to those who serve it."""

    def __init__(
        self,
        settings: DoorSettings,
        serve_websocket: ServeWebsocket,
        serve_http: ServeHttp,
        is_full: Callable[[], bool],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._settings = settings
        self._serve_websocket = serve_websocket
        self.tls = tls
        """For handshakes from now on."""
        self._connections = Tally(
            settings.max_connections, settings.max_connections_per_address, boundless=_PROXIES
        )
        bodies = Tally(settings.max_bodies_bytes, settings.max_bodies_bytes_per_address)
        self._shared = Shared(settings, networks_of(settings.trusted_proxy), serve_http, is_full, bodies)
        self._turning = 0
        self._unlogged = 0
        self._logged_at = -_LOG_INTERVAL

    def apply(self, settings: DoorSettings) -> None:
        """Go by these settings from now on, connections that are open from their next request on.

        What counts connections and bodies stays as it was.
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
        """Accept until cancelled; the connections live in `handler_nursery`, and may outlive the accepting."""
        async with trio.open_nursery() as nursery:
            for listener in listeners:
                nursery.start_soon(self._accept, listener, handler_nursery)
            task_status.started()

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
                # This connection has the last file that there is.
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
        # A proxy connects for many, whose requests are bounded by their own addresses.
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
        """Whether there is a place for one more; the oldest connection that waits for a request may give way."""
        if self._connections.take(key):
            return True
        # An address that has all it may have makes nobody give way.
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
                await self._serve_websocket(transport, upgrade)
        except* (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError) as group:
            # A client that went away, or never spoke TLS: nobody is left to be told.
            _log.debug("connection ended early", why=repr(group.exceptions))
        except* Exception:  # noqa: BLE001 (a boundary)
            # A fault in serving one connection must not end the others: this is the boundary.
            _log.exception("connection failed")
        finally:
            self._connections.give_back(key)
            await trio.aclose_forcefully(transport)

    async def _shake_hands(self, visitor: Visitor, tls: ssl.SSLContext) -> Visitor:
        """The visitor over TLS. Raises `trio.TooSlowError`, and `trio.BrokenResourceError` if there is none."""
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
        """Tell a connection that there is no room for it."""
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
            # As in serving a connection: a fault here must not end the others.
            _log.exception("connection failed")
        finally:
            self._turning -= 1
            await trio.aclose_forcefully(transport)

    async def _see_off(self, transport: Transport, answer: Answer) -> None:
        """Give this answer, whatever is asked, and the time to read it."""
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
        """Say in the log, but not for each, that connections are turned away."""
        self._unlogged += 1
        now = trio.current_time()
        if now - self._logged_at >= _LOG_INTERVAL:
            self._logged_at = now
            _log.warning("connections turned away", number=self._unlogged, open=self._connections.taken)
            self._unlogged = 0


def _address(name: tuple[str, int] | tuple[str, int, int, int]) -> Address:
    return plain(name[0]), name[1]
