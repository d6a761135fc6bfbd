"""The link to one media server.

It connects, resumes the session after a cut, and starts a new one if the session is lost.
"""

from __future__ import annotations

import itertools
import math
import random
import re
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import trio

from roomfsm.jsonrpc import Message, Notification, Params, Response
from roomfsm.kurento.busy import Measured
from roomfsm.kurento.connection import Connection, open_connection
from roomfsm.kurento.errors import (
    ConnectionLost,
    ConnectionRefused,
    ConnectionSilent,
    KurentoError,
    SessionInvalid,
)
from roomfsm.kurento.objects import MANAGER
from roomfsm.kurento.requests import CallCounts
from roomfsm.kurento.session import Session, invocation, value_of
from roomfsm.kurento.settings import KurentoSettings
from roomfsm.log import get_logger

_log = get_logger(__name__)

_SIMULCAST = "simulcast"
"""The capability of a media server that takes a picture in several layers."""
OLDEST = (7, 1, 0)
"""The first Kurento version with `DtlsConnectionStateChange`, the event that a browser's media connection has
begun or ended."""

_MOST_IDS_BEFORE = 2**52
"""The first id of a link that resumes the session of an earlier run is below this, so that all its ids are whole
numbers in JSON (RFC 8259 section 6)."""

_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")
_TELLABLE = re.compile(r"[\w.+~ -]{1,64}")


class Link:
    """The link to one media server.

    Requests of `session` get answers while `connected` is true. `changed` is called when `connected` changes.
    """

    def __init__(
        self,
        url: str,
        settings: KurentoSettings,
        changed: Callable[[], None],
        counts: CallCounts | None = None,
        number: int = 1,
        is_ours: Callable[[], bool] | None = None,
    ) -> None:
        """`is_ours` says whether what is held at this media server is certainly no other room server's. It is None
        if nobody else adopts anything.
        """
        self.url = url
        self.number = number
        self.session: Session | None = None
        self.connected = False
        self.settings = settings
        self._changed = changed
        self._counts = counts
        # The link counts ids over its whole life, because Kurento answers an id that a session used before from
        # its cache.
        self._ids = itertools.count(1)
        self._former: tuple[str, str] | None = None
        """The ids of a session that an earlier run left, and of its media server, as long as it may be resumed."""
        self._connection: Connection | None = None
        self._unclosed: str | None = None
        self._is_shared = is_ours is not None
        self._is_ours = is_ours or (lambda: True)
        self.measured: Measured | None = None
        """How busy the media server is; None if that is not known."""
        self.refused = False
        """Whether the last attempt to connect has shown that no process listens there."""
        self._closing = False
        self._scope = trio.CancelScope(shield=True)
        self._round = trio.CancelScope()
        """The scope of one connection or attempt to connect, and of the wait before the next attempt."""
        self.version: str | None = None
        """The version that the media server reports; None if it was not asked yet or reports none."""
        self.layered: bool | None = None
        """Whether the media server takes a picture in several layers (simulcast); None if that is not known yet.
        Kurento does not."""
        self._capabilities: frozenset[str] = frozenset()
        self._cut_off = "not connected yet"

    @property
    def leaves(self) -> bool:
        """Whether something in the session is left to somebody else, so that it must go on."""
        return self.session is not None and self.session.leaves

    @property
    def usable(self) -> bool:
        """Whether there is a session in which pipelines can be created."""
        return self.connected and not is_too_old(self.version)

    @property
    def responsive(self) -> bool:
        """Whether the media server is usable and answers."""
        return self.usable and self._connection is not None and not self._connection.silent

    @property
    def problem(self) -> str | None:
        """Why this media server gets no new pipelines, in a few words without addresses; None if it gets them."""
        if not self.connected or self._connection is None or self.session is None:
            return self._cut_off
        if is_too_old(self.version):
            return f"too old: it is Kurento {self.version}, and {_dotted(OLDEST)} or newer is needed"
        if self._connection.silent:
            return "silent: it does not answer"
        if trio.current_time() < self.session.full_until:
            return "full: it has no threads or file descriptors left"
        if trio.current_time() < self.session.failing_until:
            return "failing: it makes no pipeline"
        return None

    def resume(self, session_id: str, server_id: str) -> None:
        """Go on with the session that an earlier run of the program left at this media server, if it is there.

        This must be called before `run`.
        """
        self._former = session_id, server_id
        # Nobody knows which ids the earlier run has used.
        self._ids = itertools.count(secrets.randbelow(_MOST_IDS_BEFORE))

    def resume_no_more(self) -> None:
        """Begin a new session, if the one of the earlier run has not been resumed yet."""
        self._former = None

    def leave(self, object_ids: Iterable[str]) -> None:
        """Let these objects be when their scopes end, and the session when the link is closed."""
        if self.session is not None:
            self.session.leave(object_ids)

    async def run(self) -> None:
        """Keep the media server connected until `close`.

        Cancellation from outside has no effect, because releases still need the connection.
        """
        with self._scope:
            delay = self.settings.reconnect_first
            while True:
                with trio.CancelScope(deadline=self._grace_ends()) as grace:
                    while True:
                        with trio.CancelScope() as self._round:
                            try:
                                await self._carry(grace)
                            except ConnectionLost as error:
                                if self._closing:
                                    return
                                if self.connected:
                                    delay = self.settings.reconnect_first
                                self._cut(str(error))
                                self._cut_off = _in_short(error)
                                self.refused = isinstance(error, ConnectionRefused)
                                if self.refused:
                                    self._changed()
                                    self._give_up("its process has ended: connections are refused")
                            grace.deadline = min(grace.deadline, self._grace_ends())
                            await trio.sleep(delay * random.uniform(0.5, 1))
                            delay = min(2 * delay, self.settings.reconnect_max)
                        if self._round.cancelled_caught:
                            delay = self.settings.reconnect_first
                self._give_up(f"not resumed in {self.settings.reconnect_grace:g} s")
                self.resume_no_more()

    def gone(self, why: str) -> None:
        """Treat the session as lost, because the media server's process has ended.

        The starter of the process knows that.
        """
        if self._closing:
            return  # This is the ordinary end: the process is ended after us, and nobody waits for its session.
        self._cut(why)
        self._cut_off = "ended: it is started again"
        self._give_up(why)
        self._round.cancel()

    async def answers(self, patience: float) -> bool:
        """Whether there is a session and the media server answers something at least every `patience` seconds."""
        if self._connection is None or self.session is None:
            return False
        try:
            with suppress(KurentoError):
                await self._connection.call("ping", {"sessionId": self.session.session_id}, patience)
        except ConnectionLost:
            return False
        return True

    def ready(self) -> None:
        """Connect now, because there is a new process, instead of waiting for the time of the next attempt."""
        if not self.connected:
            self._round.cancel()

    async def close(self) -> None:
        """Close the session, which releases everything that is in it, and then the connection, within
        `release_timeout`. If something in the session is left to somebody else, the session goes on.
        """
        self._closing = True
        with trio.move_on_after(self.settings.release_timeout, shield=True):
            if self._connection is not None and self.session is not None:
                try:
                    if self.leaves or not self._is_ours():
                        _log.info("kurento session left", url=self.url, session=self.session.session_id)
                    else:
                        await self._connection.call("closeSession", closing(self.session.session_id))
                except (ConnectionLost, KurentoError) as error:
                    _log.warning("kurento session not closed", url=self.url, error=str(error))
                else:
                    await self._connection.close()
        if self.session is not None:
            self.session.lose("the client has been closed")
        self.connected = False
        self._scope.cancel()

    def _grace_ends(self) -> float:
        resumes = self.session is not None or self._former is not None
        return trio.current_time() + self.settings.reconnect_grace if resumes else math.inf

    async def _carry(self, grace: trio.CancelScope) -> None:
        """Open one connection and use it until it is lost."""
        async with open_connection(self.url, self.settings, self._ids, self._dispatch, self._counts) as connection:
            try:
                session = await self._establish(connection)
            except KurentoError as error:
                raise ConnectionLost(f"no session: {error}") from error
            grace.deadline = math.inf
            self._connection = connection
            self.connected, self.refused = True, False
            session.attach(connection)
            self._changed()
            await connection.keep_alive(session.session_id)

    async def _establish(self, connection: Connection) -> Session:
        """Resume the session, or start a new one if the media server does not know it any more."""
        old = self.session
        if old is not None:
            why_not = await self._resume(connection, old.session_id, old.server_id)
            if why_not is None:
                return old
            self._lose(why_not)
        elif self._former is not None:
            session_id, server_id = self._former
            try:
                why_not = await self._resume(connection, session_id, server_id)
            except KurentoError as error:
                why_not = f"refused: {error}"
            if why_not is None:
                # If the connection is lost meanwhile, the session can still be resumed.
                session = await self._begin(connection, session_id, server_id)
                self._former = None
                return session
            self._former = None
            _log.warning("kurento session lost", url=self.url, session=session_id, reason=why_not)
        if self._unclosed is not None and self._is_ours():
            # Otherwise its objects would exist for one or two more periods of Kurento's garbage collector. Other
            # room servers may have adopted some of them meanwhile, and these go on.
            with suppress(KurentoError):
                await connection.call("closeSession", closing(self._unclosed, release=not self._is_shared))
        self._unclosed = None
        opened = await connection.call("connect", {})
        session_id, server_id = _member(opened, "sessionId"), _member(opened, "serverId")
        _log.info("kurento session opened", url=self.url, session=session_id, server=server_id)
        return await self._begin(connection, session_id, server_id)

    async def _begin(self, connection: Connection, session_id: str, server_id: str) -> Session:
        await self._learn_version(connection, session_id)
        self.session = Session(
            self.url, session_id, server_id, self.settings, self._ids, self._counts, self._is_ours
        )
        self.session.capabilities = self._capabilities
        return self.session

    async def _resume(self, connection: Connection, session_id: str, server_id: str) -> str | None:
        """Resume a session. Returns why that is not possible, or None if it is resumed."""
        try:
            found = await connection.call("connect", {"sessionId": session_id})
        except SessionInvalid:
            return "the media server does not know the session any more"
        if (_member(found, "sessionId"), _member(found, "serverId")) != (session_id, server_id):
            return "the media server has been restarted"
        _log.info("kurento session resumed", url=self.url, session=session_id)
        return None

    async def _learn_version(self, connection: Connection, session_id: str) -> None:
        self.version = None
        self._capabilities = frozenset()
        try:
            asked = {**invocation(MANAGER, "getInfo"), "sessionId": session_id}
            info = value_of(await connection.call("invoke", asked))
        except KurentoError as error:
            _log.warning("kurento version unknown", url=self.url, error=str(error))
            return
        version = info.get("version") if isinstance(info, dict) else None
        capabilities = info.get("capabilities") if isinstance(info, dict) else None
        if isinstance(capabilities, list):
            self._capabilities = frozenset(name for name in capabilities if isinstance(name, str))
        self.layered = _SIMULCAST in self._capabilities
        if isinstance(version, str):
            # Everybody may ask for the health and sees this value, so only a version may be in it, and nothing
            # else that the media server says.
            self.version = version if _TELLABLE.fullmatch(version) else _numbers_of(version)
        if is_too_old(self.version):
            _log.error(
                "kurento too old",
                url=self.url,
                version=self.version,
                needed=_dotted(OLDEST),
                consequence="no room uses it until it is updated",
            )

    def _dispatch(self, message: Message) -> None:
        session = self.session
        match message:
            case Response() if session is not None:
                session.handle_response(message)
            case Notification() if session is not None:
                session.handle_notification(message)
            case _:
                _log.debug("kurento unexpected message", url=self.url, message=message)

    def _cut(self, reason: str) -> None:
        _log.warning("kurento connection lost", url=self.url, reason=reason)
        self._connection = None
        if self.session is not None:
            self.session.detach()
        if self.connected:
            self.connected = False
            self._changed()

    def _give_up(self, reason: str) -> None:
        """Treat the session as lost although the media server cannot be told.

        If the process is still alive, it is told later.
        """
        if self.session is not None:
            if not self.leaves:
                self._unclosed = self.session.session_id
            self._lose(reason)

    def _lose(self, reason: str) -> None:
        if self.session is not None:
            _log.warning("kurento session lost", url=self.url, session=self.session.session_id, reason=reason)
            self.session.lose(reason)
            self.session = None


def is_too_old(version: str | None) -> bool:
    """Whether a media server of that version lacks something that rooms need.

    False if the version cannot be read.
    """
    found = _VERSION.match(version or "")
    return found is not None and tuple(int(part or 0) for part in found.groups()) < OLDEST


def _numbers_of(version: str) -> str | None:
    found = _VERSION.match(version)
    return None if found is None else found.group()


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _in_short(error: ConnectionLost) -> str:
    """The reason that everybody who asks for the health may see: it has no address and no text from outside."""
    match error:
        case ConnectionSilent():
            return "silent: it does not answer"
        case ConnectionRefused():
            return "unreachable: nobody listens there"
        case _:
            return "unreachable: the connection was lost or refused"


def closing(session_id: str, *, release: bool = True) -> Params:
    """The params of a `closeSession` that releases everything that was created in the session.

    Without `release`, Kurento keeps every object that another session holds as well, and a session holds all
    objects that it ever looked at. So one monitor that asks for `getPipelines` would keep the pipelines of every
    room server that has ended. For the same reason, a session that is closed like this must never have looked at
    objects of others.
    """
    return {"sessionId": session_id, "release": release}


def _member(result: Any, name: str) -> str:
    value = result.get(name) if isinstance(result, dict) else None
    if not isinstance(value, str):
        raise ConnectionLost(f"the reply to connect has no {name}")
    return value
