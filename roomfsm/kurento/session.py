"""A session with a media server.

It survives a cut connection; if the session is lost, everything in it is gone.

An object lives until it is released, or until the last session that has touched it lets go of it (`unref`) or
ends. So what may be another room server's by now is never released: it is *left*, and this session lets go of it
later. If somebody has adopted it, it goes on; if nobody has, that is its end.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any

import trio

from roomfsm.jsonrpc import Notification, Params, Response
from roomfsm.kurento import events
from roomfsm.kurento.connection import Connection
from roomfsm.kurento.errors import (
    KurentoError,
    MediaServerError,
    MediaServerLost,
    ObjectGone,
    RequestTimedOut,
    ResourcesExhausted,
    UnknownEvent,
)
from roomfsm.kurento.requests import Call, CallCounts, PendingCalls
from roomfsm.kurento.settings import REPLY_CACHE_SECONDS, KurentoSettings
from roomfsm.log import get_logger
from roomfsm.tracing import part

_log = get_logger(__name__)


class Session:
    """A session of Kurento's protocol. `roomfsm.kurento.link` creates it.

    Requests that are made while the connection is cut wait for the next connection. Requests that were already
    sent are sent again with the same id. If the media server had carried such a request out, it answers from its
    cache.
    """

    def __init__(
        self,
        url: str,
        session_id: str,
        server_id: str,
        settings: KurentoSettings,
        ids: Iterator[int],
        counts: CallCounts | None = None,
        is_ours: Callable[[], bool] = lambda: True,
    ) -> None:
        """`is_ours` says whether what this session holds is certainly no other room server's."""
        self.url = url
        self.session_id = session_id
        self.server_id = server_id
        self.settings = settings
        self.lost = trio.Event()
        self.objects: Counter[str] = Counter()
        self._held: dict[str, str] = {}
        """The ids of the objects that scopes hold, with their types."""
        self.relaying: set[str] = set()
        """The ids of the endpoints among them that are connected to another media server, and not to a browser."""
        self._left: dict[str, float] = {}
        """When the objects that are left to somebody else were left, by their ids."""
        self.leaves = False
        """Whether anything was ever left, so that the session must not be closed with all that it has touched."""
        self._is_ours = is_ours
        self._notes: list[set[str]] = []
        self.has: dict[str, bool] = {}
        """Whether the media server has an event that not all media servers have, by the event's name. It has only
        events that were tried."""
        self.trying = trio.Lock()
        """Held while such events are tried, so that endpoints which begin at once do not all try them."""
        self.capabilities: frozenset[str] = frozenset()
        """What the media server says that it can do."""
        self.full_until = -math.inf
        """Until then others are tried first, because the media server had no threads or file descriptors left."""
        self.failing_until = -math.inf
        """Until then others are tried first, because the media server failed to create a pipeline in time."""
        self._reason = ""
        self._ids = ids
        self._calls = PendingCalls(counts)
        self._channels: dict[str, events.EventChannel] = {}
        self._connection: Connection | None = None

    async def request(self, method: str, params: Params) -> Any:
        """Send one request and return its `result`.

        Raises `KurentoError`, `RequestTimedOut` and `MediaServerLost`.
        """
        return await self._outcome(self._issue(method, params))

    async def invoke(self, object_id: str, operation: str, params: Params | None = None) -> Any:
        """Call an operation of an object and return its value. Raises the errors of `request`."""
        return value_of(await self.request("invoke", invocation(object_id, operation, params)))

    async def request_all(self, requests: Sequence[tuple[str, Params]]) -> None:
        """Send requests without waiting between them.

        When this returns, all have succeeded. Raises the first error.
        """
        calls = [self._issue(method, params) for method, params in requests]
        try:
            for call in calls:
                await self._outcome(call)
        finally:
            for call in calls:
                if not call.answered.is_set():
                    self._abandon(call)

    async def request_each(self, requests: AsyncIterable[tuple[str, Params]]) -> None:
        """Send requests as they come, in order, without waiting for the reply to the one before.

        At most `requests_ahead` wait for their replies. Returns when there are no more and all have succeeded.
        Raises the first error.
        """
        places = trio.Semaphore(self.settings.requests_ahead)
        errors: list[MediaServerError] = []

        async def settle(call: Call) -> None:
            try:
                await self._outcome(call)
                places.release()
            except MediaServerError as error:
                errors.append(error)
                nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            async for method, params in requests:
                await places.acquire()
                nursery.start_soon(settle, self._issue(method, params))
        if errors:
            raise errors[0]

    @asynccontextmanager
    async def object(
        self, kind: str, constructor: Params, prepare: Callable[[str], Awaitable[None]] | None = None
    ) -> AsyncIterator[str]:
        """The id of a new object, which is released at the end of the scope.

        Raises the errors of `request` and of `prepare`. `objects` counts the object from the moment of the
        request, so that many creations at once spread over the media servers. `prepare` is called first, with the
        id. If it fails or is cancelled, the release is sent but not waited for, because a media server that hangs
        would delay a caller who wants to try another one.
        """
        self.objects[kind] += 1
        try:
            object_id = await self.create(kind, constructor)
            self._held[object_id] = kind
            self._note(object_id)
            if prepare is not None:
                with ExitStack() as unfinished:
                    unfinished.callback(self.let_go, object_id)
                    await prepare(object_id)
                    unfinished.pop_all()
            try:
                yield object_id
            finally:
                await self.release(object_id)
        finally:
            self.objects[kind] -= 1

    @asynccontextmanager
    async def adopted(self, kind: str, object_id: str) -> AsyncIterator[None]:
        """Hold an object that exists already, and release it at the end of the scope."""
        # It may have been this session's before.
        self._left.pop(object_id, None)
        self.objects[kind] += 1
        self._held[object_id] = kind
        self._note(object_id)
        try:
            yield
        finally:
            await self.release(object_id)
            self.objects[kind] -= 1

    @property
    def held(self) -> Mapping[str, str]:
        """The ids of the objects that scopes hold now, with their types."""
        return self._held

    @property
    def releasing(self) -> set[str]:
        """The ids of the objects of which the media server has not confirmed yet that we have let go of them."""
        requests = (call.request for call in self._calls)
        return {str((one.params or {})["object"]) for one in requests if one.method in ("release", "unref")}

    @contextmanager
    def noting(self) -> Iterator[set[str]]:
        """The ids of all objects that this session holds, leaves or releases at any time within the scope."""
        note = {*self._held, *self._left, *self.releasing}
        self._notes.append(note)
        try:
            yield note
        finally:
            self._notes = [other for other in self._notes if other is not note]

    def _note(self, object_id: str) -> None:
        for note in self._notes:
            note.add(object_id)

    def leave(self, object_ids: Iterable[str]) -> None:
        """Do not release these objects at the end of their scopes: somebody else goes on with them."""
        self.leaves = True
        now = trio.current_time()
        for object_id in object_ids:
            self._left.setdefault(object_id, now)

    def let_go_of_left(self) -> None:
        """Let go of what was left for as long as `adoption_time`, without waiting.

        What nobody has adopted is released by that.
        """
        before = trio.current_time() - self.settings.adoption_time
        for object_id, since in tuple(self._left.items()):
            if since <= before and object_id not in self._held:
                del self._left[object_id]
                self._note(object_id)
                self._send("unref", object_id)

    async def create(self, kind: str, constructor: Params) -> str:
        """Create an object and return its id.

        If the creation was cancelled or timed out, the object is released as soon as its id arrives.
        """
        call = self._issue("create", {"type": kind, "constructorParams": constructor})
        call.orphaned = self._release_orphan
        try:
            return str(value_of(await self._outcome(call)))
        except ResourcesExhausted:
            self.full_until = trio.current_time() + self.settings.full_pause
            raise

    async def release(self, object_id: str) -> None:
        """Release an object, unless it is left, or may be another room server's. One that is gone counts as
        released.

        Cancellation does not stop the release, but it takes no longer than `release_timeout`. If it has not been
        confirmed by then, it is repeated on new connections for as long as the session lives.
        """
        if not self._gives_up(object_id) or self.lost.is_set():
            return
        call = self._issue("release", {"object": object_id})
        with trio.move_on_after(self.settings.release_timeout, shield=True) as deadline:
            await call.answered.wait()
        if deadline.cancelled_caught:
            _log.warning("kurento release unconfirmed", url=self.url, object=object_id)
            return
        if isinstance(call.error, KurentoError) and not isinstance(call.error, ObjectGone):
            _log.warning("kurento release failed", url=self.url, object=object_id, error=str(call.error))

    @contextmanager
    def subscription(self, object_id: str) -> Iterator[events.EventChannel]:
        """The channel that receives the object's events within the scope."""
        channel = events.EventChannel(self.settings.event_buffer)
        self._channels[object_id] = channel
        try:
            yield channel
        finally:
            del self._channels[object_id]
            channel.close()

    def attach(self, connection: Connection) -> None:
        """Use a new connection, and repeat the requests that have no answer yet, in their order."""
        self._connection = connection
        for call in self._calls:
            self._post(call)
        for channel in self._channels.values():
            channel.put(events.SessionResumed())

    def detach(self) -> None:
        """Hold requests back, because the connection is cut."""
        self._connection = None

    def lose(self, reason: str) -> None:
        """End everything that waits for the session with `MediaServerLost`, because the session is gone."""
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
            _log.debug("kurento late reply", url=self.url, id=response.id)

    def handle_notification(self, notification: Notification) -> None:
        if notification.method != "onEvent":
            _log.debug("kurento unknown notification", url=self.url, method=notification.method)
            return
        try:
            object_id, event = events.decode(notification.params)
        except UnknownEvent as error:
            _log.debug("kurento unknown event", url=self.url, error=str(error))
            return
        if isinstance(event, events.Error):
            _log.warning(
                "kurento object error",
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
            # Sending it again might create a second object, and the id of the first would still be unknown.
            _log.warning("kurento orphan unknown", url=self.url, params=call.request.params)
            self._calls.discard(call)
            return
        self._connection.post(call.request)

    async def _outcome(self, call: Call) -> Any:
        method, operation = call.asked
        with part(f"media server: {operation or method}"):
            waited = False
            try:
                with trio.fail_at(call.issued_at + self.settings.request_timeout):
                    await call.answered.wait()
                    waited = True
            except trio.TooSlowError:
                self._calls.timed_out(call)
                raise RequestTimedOut(self.url, call.request.method, self.settings.request_timeout) from None
            finally:
                if not waited:
                    self._abandon(call)
            return call.unwrap()

    def _abandon(self, call: Call) -> None:
        """Mark a call whose caller does not wait for the outcome any more."""
        call.abandoned = True
        if call.answered.is_set():
            # The reply came after the cancellation, but before the cancelled task ran.
            call.orphan()
        elif call.sent_at is None or call.orphaned is None:
            self._calls.discard(call)

    def _release_orphan(self, result: Any) -> None:
        self.let_go(value_of(result))

    def let_go(self, object_id: Any) -> None:
        """Release an object that nobody holds, without waiting, if `release` would.

        The release is repeated on new connections while the session lives.
        """
        if self._gives_up(object_id) and not self.lost.is_set():
            _log.info("kurento orphan released", url=self.url, object=object_id)
            self._note(object_id)
            self._send("release", object_id)

    def _gives_up(self, object_id: str) -> bool:
        """Hold an object no longer. Returns whether it is to be released."""
        self._held.pop(object_id, None)
        self.relaying.discard(object_id)
        if object_id not in self._left and not self._is_ours():
            self.leave([object_id])
        return object_id not in self._left

    def _send(self, method: str, object_id: str) -> None:
        """Send a request about an object, whose answer nobody waits for."""
        if not self.lost.is_set():
            self._issue(method, {"object": object_id})


def invocation(object_id: str, operation: str, params: Params | None = None) -> Params:
    """The params of an `invoke`. Kurento does not accept `operationParams` for an operation that has none."""
    members: dict[str, Any] = {"object": object_id, "operation": operation}
    if params is not None:
        members["operationParams"] = params
    return members


def value_of(result: Any) -> Any:
    """The `value` of a result; None if it has none."""
    return result.get("value") if isinstance(result, Mapping) else None
