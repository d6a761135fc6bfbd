"""A session with a media server: what survives a cut connection, and what is lost with the session."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any

import trio

from roomfsm.jsonrpc import Notification, Params, Response
from roomfsm.kurento import events
from roomfsm.kurento.connection import Connection
from roomfsm.kurento.errors import (
    KurentoError,
    MediaServerLost,
    ObjectGone,
    RequestTimedOut,
    ResourcesExhausted,
    UnknownEvent,
)
from roomfsm.kurento.requests import Call, PendingCalls
from roomfsm.kurento.settings import REPLY_CACHE_SECONDS, KurentoSettings
from roomfsm.log import get_logger

_log = get_logger(__name__)


class Session:
    """What Kurento calls a session. Made by `roomfsm.kurento.link`.

    A request made while the connection is cut waits; one that was sent already is sent again with the same
    id, which the media server answers from its cache if it had carried it out.
    """

    def __init__(
        self, url: str, session_id: str, server_id: str, settings: KurentoSettings, ids: Iterator[int]
    ) -> None:
        self.url = url
        self.session_id = session_id
        self.server_id = server_id
        self.settings = settings
        self.lost = trio.Event()
        self.objects: Counter[str] = Counter()
        self.has: dict[str, bool] = {}
        """Whether the media server has an event that not all have, by its name, as far as that was tried."""
        self.full_until = -math.inf
        """The media server refused for want of threads or file descriptors: until then others are tried first."""
        self.failing_until = -math.inf
        """It could not make a pipeline, or not in time: until then others are tried first."""
        self._reason = ""
        self._ids = ids
        self._calls = PendingCalls()
        self._channels: dict[str, events.EventChannel] = {}
        self._connection: Connection | None = None

    async def request(self, method: str, params: Params) -> Any:
        """Send one request and return its `result`.

        Raises `KurentoError`, `RequestTimedOut`, `MediaServerLost`.
        """
        return await self._outcome(self._issue(method, params))

    async def invoke(self, object_id: str, operation: str, params: Params | None = None) -> Any:
        """Call an operation of an object and return its value. Raises as `request`."""
        return value_of(await self.request("invoke", invocation(object_id, operation, params)))

    async def request_all(self, requests: Sequence[tuple[str, Params]]) -> None:
        """Send requests without waiting between them; all have succeeded on return. Raises the first error."""
        calls = [self._issue(method, params) for method, params in requests]
        try:
            for call in calls:
                await self._outcome(call)
        finally:
            for call in calls:
                if not call.answered.is_set():
                    self._abandon(call)

    @asynccontextmanager
    async def object(
        self, kind: str, constructor: Params, prepare: Callable[[str], Awaitable[None]] | None = None
    ) -> AsyncIterator[str]:
        """The id of a new object that is released at the end of the scope. Raises as `request`, and `prepare`.

        `objects` counts it from the moment of asking, so that a burst of creations spreads over the servers.
        `prepare` is called with the id first. Where it fails or is cancelled, the release is sent and nobody waits
        for it: a media server that hangs would hold up whoever wants to ask another one.
        """
        self.objects[kind] += 1
        try:
            object_id = await self.create(kind, constructor)
            if prepare is not None:
                with ExitStack() as unfinished:
                    unfinished.callback(self._let_go, object_id)
                    await prepare(object_id)
                    unfinished.pop_all()
            try:
                yield object_id
            finally:
                await self.release(object_id)
        finally:
            self.objects[kind] -= 1

    async def create(self, kind: str, constructor: Params) -> str:
        """Create an object and return its id.

        An object whose creation was cancelled or timed out is released as soon as its id comes to light.
        """
        call = self._issue("create", {"type": kind, "constructorParams": constructor})
        call.orphaned = self._release_orphan
        try:
            return str(value_of(await self._outcome(call)))
        except ResourcesExhausted:
            self.full_until = trio.current_time() + self.settings.full_pause
            raise

    async def release(self, object_id: str) -> None:
        """Release an object; what is gone already counts as released.

        Cancellation does not stop it, `release_timeout` bounds it. A release that could not be confirmed by
        then stays posted for as long as the session lives.
        """
        if self.lost.is_set():
            return
        call = self._issue("release", {"object": object_id})
        with trio.move_on_after(self.settings.release_timeout, shield=True) as deadline:
            await call.answered.wait()
        if deadline.cancelled_caught:
            _log.warning("kurento.release_unconfirmed", url=self.url, object=object_id)
            return
        if isinstance(call.error, KurentoError) and not isinstance(call.error, ObjectGone):
            _log.warning("kurento.release_failed", url=self.url, object=object_id, error=str(call.error))

    @contextmanager
    def subscription(self, object_id: str) -> Iterator[events.EventChannel]:
        """The channel that gets the object's events within the scope."""
        channel = events.EventChannel(self.settings.event_buffer)
        self._channels[object_id] = channel
        try:
            yield channel
        finally:
            del self._channels[object_id]
            channel.close()

    def attach(self, connection: Connection) -> None:
        """Go on over a new connection: repeat what has no answer yet, in order."""
        self._connection = connection
        for call in self._calls:
            self._post(call)
        for channel in self._channels.values():
            channel.put(events.SessionResumed())

    def detach(self) -> None:
        """The connection is cut: hold requests back."""
        self._connection = None

    def lose(self, reason: str) -> None:
        """The session is gone: everything that waits on it ends with `MediaServerLost`."""
        if self.lost.is_set():
            return
        self._reason = reason
        self._connection = None
        self.lost.set()
        self._calls.fail_all(self.lost_error)
        for channel in self._channels.values():
            channel.break_off(self.lost_error())

    def lost_error(self) -> MediaServerLost:
        return MediaServerLost(self.url, self._reason)

    def handle_response(self, response: Response) -> None:
        if not self._calls.settle(response):
            _log.debug("kurento.late_reply", url=self.url, id=response.id)

    def handle_notification(self, notification: Notification) -> None:
        if notification.method != "onEvent":
            _log.debug("kurento.unknown_notification", url=self.url, method=notification.method)
            return
        try:
            object_id, event = events.decode(notification.params)
        except UnknownEvent as error:
            _log.debug("kurento.unknown_event", url=self.url, error=str(error))
            return
        if isinstance(event, events.Error):
            _log.warning(
                "kurento.object_error",
                url=self.url,
                object=object_id,
                type=event.type,
                code=event.error_code,
                description=event.description,
            )
        channel = self._channels.get(object_id)
        if channel is not None:
            channel.put(event)

    def _issue(self, method: str, params: Params) -> Call:
        if self.lost.is_set():
            raise self.lost_error()
        call = self._calls.add(next(self._ids), method, {**params, "sessionId": self.session_id})
        self._post(call)
        return call

    def _post(self, call: Call) -> None:
        if self._connection is None:
            return
        now = trio.current_time()
        if call.sent_at is None:
            call.sent_at = now
        elif call.orphaned is not None and now - call.sent_at >= REPLY_CACHE_SECONDS:
            # Sent again it might create a second object, and the first would still have no name.
            _log.warning("kurento.orphan_unknown", url=self.url, params=call.request.params)
            self._calls.discard(call)
            return
        self._connection.post(call.request)

    async def _outcome(self, call: Call) -> Any:
        waited = False
        try:
            with trio.fail_at(call.issued_at + self.settings.request_timeout):
                await call.answered.wait()
                waited = True
        except trio.TooSlowError:
            raise RequestTimedOut(self.url, call.request.method, self.settings.request_timeout) from None
        finally:
            if not waited:
                self._abandon(call)
        return call.unwrap()

    def _abandon(self, call: Call) -> None:
        """Nobody waits for the outcome any more."""
        call.abandoned = True
        if call.answered.is_set():
            # The reply came between the cancellation and the moment that the cancelled task ran.
            call.orphan()
        elif call.sent_at is None or call.orphaned is None:
            self._calls.discard(call)

    def _release_orphan(self, result: Any) -> None:
        self._let_go(value_of(result))

    def _let_go(self, object_id: Any) -> None:
        """Release an object that nobody has got, without waiting; it stays posted as long as the session lives."""
        if self.lost.is_set():
            return
        _log.info("kurento.orphan_released", url=self.url, object=object_id)
        self._issue("release", {"object": object_id})


def invocation(object_id: str, operation: str, params: Params | None = None) -> Params:
    """The params of an `invoke`; Kurento wants no `operationParams` where the operation has none."""
    members: dict[str, Any] = {"object": object_id, "operation": operation}
    if params is not None:
        members["operationParams"] = params
    return members


def value_of(result: Any) -> Any:
    """The `value` of a result; None where there is none."""
    return result.get("value") if isinstance(result, Mapping) else None
