"""The HTTP/1.1 conversation of one connection.

Every request is judged by the same rules, until one side ends the connection. One task reads the heads of
requests, and answers each request before it reads the next one. So requests that the client sent ahead
("pipelined") wait, and are answered in order. h11 keeps the state of the protocol. This module adds the time
limits. A connection can be used again only if both sides have finished the request. It ends if nobody read the
body, if an answer broke off, or if the front door gave the answer by itself.

While a request is being answered, the reader continues. First it passes the body to the answering side, and then
it notices when the client has gone. Otherwise an answer that never ends by itself (server-sent events) would go on
for ever.

We close a connection in such a way that the answer arrives. Closing a socket that has unread bytes resets the
connection, and the reset may overtake the answer. So we first close our side, then read and drop the client's data
for a moment, and then close the socket.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

import h11
import trio

from roomfsm.door.answers import RETRY, Answer, dressed
from roomfsm.door.client_address import Network, client_address
from roomfsm.door.judge import Circumstances, Course, RequestHead, body_too_long, judge
from roomfsm.door.settings import DoorSettings
from roomfsm.door.tally import Tally
from roomfsm.hosts import bound_key
from roomfsm.log import get_logger

_log = get_logger(__name__)

_READ = 16_384
_WRITTEN_AT_ONCE = 65_536
_LINGER = 1.0
"""Seconds that a client has to close its side, or to read the answer to a request with an unread body."""

_REFUSALS = 400
_LOGGED = 200
"""The most characters of a refusal in the log, because a refusal may quote what the client sent."""
_HEAD_TOO_LONG = 431
_NOT_IMPLEMENTED = 501
_TOO_LONG = Answer(_HEAD_TOO_LONG, "The head of the request is too long.", limit="max_head_bytes")

type Transport = trio.SocketStream | trio.SSLStream[trio.SocketStream]
type Address = tuple[str, int]


type Waiting = dict[trio.CancelScope, None]
"""The connections that wait for their client, the oldest first. They are closed if others need their place."""


@contextmanager
def patience(waiting: Waiting, seconds: float) -> Iterator[trio.CancelScope]:
    """Wait for a client for at most so many seconds, and end the wait early if others need the place."""
    with trio.move_on_after(seconds) as scope:
        waiting[scope] = None
        try:
            yield scope
        finally:
            waiting.pop(scope, None)


class Exchange(Protocol):
    """One request and its answer, as the answering side sees them."""

    @property
    def head(self) -> RequestHead:
        """The head of the request."""

    @property
    def secure(self) -> bool:
        """Whether the request came over TLS."""

    @property
    def client(self) -> Address:
        """The address of the client, and the port at the other end of the connection."""

    @property
    def server(self) -> Address:
        """Our address and port of this connection."""

    async def receive(self) -> bytes | None:
        """Return some of the body, or `b""` once at its end.

        After that, wait until the client has gone and return None.
        """

    async def send(self, event: h11.Response | h11.Data | h11.EndOfMessage) -> None:
        """Send the next part of the answer. It is no error if the client has gone; `receive` reports that."""


@dataclass(frozen=True, slots=True)
class BodyBound:
    """The bounds of a body that is not kept in memory, such as a file: its bytes, and the seconds for each part.

    Whoever reads it has to limit the time for all of it.
    """

    most: int
    part_timeout: float


type BoundOf = Callable[[RequestHead], BodyBound | None]
"""The bound of a request's body; None: the one of the settings, which is for bodies in memory."""


def in_memory(_: RequestHead) -> None:
    """The body of any request is kept in memory."""


type ServeHttp = Callable[[Exchange], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Visitor:
    """An accepted connection, with the addresses of its two ends."""

    transport: Transport
    peer: Address
    here: Address

    @property
    def secure(self) -> bool:
        """Whether the connection's TLS ends here, and not at a proxy."""
        return isinstance(self.transport, trio.SSLStream)


@dataclass(frozen=True, slots=True)
class Upgrade:
    """The request for a websocket with which a conversation ended."""

    head: RequestHead
    client: str
    """The client's address."""
    read: bytes
    """The bytes that were read after the request."""

    @property
    def key(self) -> str:
        """The request's `Sec-WebSocket-Key`."""
        return self.head.headers["sec-websocket-key"]


@dataclass(slots=True)
class Shared:
    """What all conversations share. The settings may change at any time."""

    settings: DoorSettings
    trusted: Sequence[Network]
    """The networks of proxies that are trusted to name their clients."""
    serve_http: ServeHttp
    is_full: Callable[[], bool]
    """Whether the limit of websockets is reached."""
    bodies: Tally
    """The bytes of request bodies, by address."""
    bound_of: BoundOf = in_memory
    waiting: Waiting = field(default_factory=dict)
    limits_hit: Counter[str] = field(default_factory=Counter)
    """How often each limit of the settings was the reason for an answer, since the start."""


class Conversation:
    """Reads the requests of one visitor and gets them answered."""

    def __init__(self, visitor: Visitor, shared: Shared) -> None:
        self.visitor = visitor
        self.shared = shared
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=shared.settings.max_head_bytes)
        self._writing = trio.Lock()
        """Keeps writes in order. Two tasks write: the answering side, and the reader of the body, which may send
        100 Continue."""
        self._requests = 0
        self._ended = False
        """Whether the client has closed its side and sends no more."""
        self._lost = trio.Event()
        """Set when the client gets no more, because the connection is broken or was given up."""

    @property
    def _settings(self) -> DoorSettings:
        return self.shared.settings

    @property
    def _gone(self) -> bool:
        return self._lost.is_set()

    async def run(self) -> Upgrade | None:
        """Serve requests until the connection is to be closed (returns None) or becomes a websocket."""
        while True:
            request = await self._next_request()
            if request is None:
                return None
            if isinstance(request, Answer):
                await self._answer(request, None, self.visitor.peer[0])
                return None
            self._requests += 1
            head = RequestHead.of(request).without_prefix(self._settings.path_prefix)
            client = client_address(self.visitor.peer[0], head.headers, self.shared.trusted)
            bound = self.shared.bound_of(head)
            most = None if bound is None else bound.most
            verdict = judge(
                head, Circumstances(self.visitor.secure, client, self.shared.is_full(), most), self._settings
            )
            if isinstance(verdict, Answer):
                await self._answer(verdict, head, client)
                return None
            if verdict is Course.WEBSOCKET:
                return Upgrade(head, client, self._http.trailing_data[0])
            await self._serve(head, client, bound)
            if self._gone or self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                return None
            self._http.start_next_cycle()

    async def close(self) -> None:
        """Close our side, and give the client time to read what was sent."""
        transport = self.visitor.transport
        socket = transport if isinstance(transport, trio.SocketStream) else transport.transport_stream
        try:
            with trio.move_on_after(_LINGER), suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                if isinstance(transport, trio.SSLStream):
                    # This fails if the client still sends. Our side has been closed by then.
                    with suppress(trio.BrokenResourceError):
                        await transport.unwrap()
                await socket.send_eof()
                while await socket.receive_some(_READ):
                    pass
        finally:
            await trio.aclose_forcefully(socket)

    async def send(self, event: h11.Response | h11.Data | h11.EndOfMessage | h11.InformationalResponse) -> None:
        """Send the next part of an answer, unless the client has gone."""
        if self._gone:
            return
        if isinstance(event, h11.Response):
            event = dressed(
                event,
                self._settings.frame_ancestors,
                last=self._requests >= self._settings.max_connection_requests,
            )
        try:
            data = self._http.send(event)
        except h11.LocalProtocolError as error:
            _log.warning("answer broken off", why=str(error))
            await self._give_up()
            return
        async with self._writing:
            await self._write(data or b"")

    async def next_of_body(self) -> h11.Data | h11.EndOfMessage | None:
        """The next part of the request's body, or None if the client has gone.

        Raises `h11.RemoteProtocolError`.
        """
        if self._http.they_are_waiting_for_100_continue and self._http.our_state is h11.SEND_RESPONSE:
            await self.send(h11.InformationalResponse(status_code=100, headers=[]))
        while (event := self._http.next_event()) is h11.NEED_DATA:
            await self._read()
            if self._gone:
                return None
        return event if isinstance(event, h11.Data | h11.EndOfMessage) else None

    async def wait_until_gone(self) -> None:
        """Wait until the client has gone.

        Meanwhile it may send further requests, as many bytes as a head may have.
        """
        while not self._gone and not self._ended:
            if len(self._http.trailing_data[0]) > self._settings.max_head_bytes:
                # Nothing more is read, so only sending the answer can show that the client has gone.
                await self._lost.wait()
                return
            await self._read()
        if not self._gone:
            # The client may have closed only its own side, and may still be reading an answer.
            await trio.sleep(_LINGER)

    async def _serve(self, head: RequestHead, client: str, bound: BodyBound | None) -> None:
        exchange = _Exchange(self, head, client, bound)
        try:
            await self.shared.serve_http(exchange)
        finally:
            exchange.release()
        if exchange.objection is not None and self._http.our_state is h11.SEND_RESPONSE:
            await self._answer(exchange.objection, head, client)

    async def _answer(self, answer: Answer, head: RequestHead | None, client: str) -> None:
        if answer.limit is not None:
            self.shared.limits_hit[answer.limit] += 1
        if answer.status >= _REFUSALS:
            _log.info("request refused", status=answer.status, why=answer.why[:_LOGGED], client=client)
        for event in answer.events(with_body=head is None or head.method != "HEAD"):
            await self.send(event)

    async def _next_request(self) -> h11.Request | Answer | None:
        """The next request, or the answer to something that is not a request; None if nothing comes."""
        settings = self._settings
        if not self._http.trailing_data[0]:
            with patience(
                self.shared.waiting, settings.keep_alive_timeout if self._requests else settings.head_timeout
            ):
                await self._read()
            if not self._ended and not self._http.trailing_data[0]:
                return None
        # When the time is over, this returns None.
        with patience(self.shared.waiting, settings.head_timeout):
            return await self._read_head()

    async def _read_head(self) -> h11.Request | Answer | None:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                await self._read()
                if self._gone:
                    return None
        except h11.RemoteProtocolError as error:
            return _malformed(error)
        if not isinstance(event, h11.Request):
            return None
        too_long = _length(event) > self._settings.max_head_bytes
        return _TOO_LONG if too_long else event

    async def _read(self) -> None:
        try:
            data = await self.visitor.transport.receive_some(_READ)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._lost.set()
            return
        self._ended = not data
        self._http.receive_data(bytes(data))

    async def _write(self, data: bytes) -> None:
        view = memoryview(data)
        for start in range(0, len(view), _WRITTEN_AT_ONCE):
            with trio.move_on_after(self._settings.send_timeout) as scope:
                try:
                    await self.visitor.transport.send_all(view[start : start + _WRITTEN_AT_ONCE])
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    self._lost.set()
                    return
            if scope.cancelled_caught:
                await self._give_up()
                return

    async def _give_up(self) -> None:
        self._lost.set()
        await trio.aclose_forcefully(self.visitor.transport)


class _Exchange:
    """One request of a conversation. It enforces the limits of the request's body."""

    def __init__(
        self, conversation: Conversation, head: RequestHead, client: str, bound: BodyBound | None
    ) -> None:
        visitor = conversation.visitor
        self.head = head
        self.secure = visitor.secure
        self.client: Address = (client, visitor.peer[1])
        self.server = visitor.here
        self.objection: Answer | None = None
        """The front door's own answer, which is sent if no other answer has begun."""
        self._conversation = conversation
        self._settings = conversation.shared.settings
        self._bodies = conversation.shared.bodies
        self._key = bound_key(client)
        self._bound = bound
        self._size = 0
        self._whole = False
        self._deadline = trio.current_time() + self._settings.body_timeout

    async def send(self, event: h11.Response | h11.Data | h11.EndOfMessage) -> None:
        await self._conversation.send(event)

    async def receive(self) -> bytes | None:
        if self._whole:
            await self._conversation.wait_until_gone()
            return None
        try:
            deadline = self._deadline
            if self._bound is not None:
                deadline = trio.current_time() + self._bound.part_timeout
            with trio.move_on_at(deadline) as scope:
                event = await self._conversation.next_of_body()
        except h11.RemoteProtocolError as error:
            self.objection = _malformed(error)
            return None
        if scope.cancelled_caught:
            self.objection = Answer(408, "The body of the request took too long.")
            return None
        if isinstance(event, h11.Data):
            return self._take(bytes(event.data))
        self._whole = event is not None
        return b"" if self._whole else None

    def release(self) -> None:
        """Give back the memory of the body."""
        if self._bound is None:
            self._bodies.give_back(self._key, self._size)
        self._size = 0

    def _take(self, data: bytes) -> bytes | None:
        if self._bound is not None:
            self._size += len(data)
            if self._size <= self._bound.most:
                return data
            self.objection = body_too_long(self._bound.most, "--max-file-bytes")
        elif self._size + len(data) > self._settings.max_body_bytes:
            self.objection = body_too_long(self._settings.max_body_bytes)
        elif not self._bodies.take(self._key, len(data)):
            self.objection = Answer(503, "Too much is being sent to the server.", RETRY, limit="max_bodies_bytes")
        else:
            self._size += len(data)
            return data
        return None


def _malformed(error: h11.RemoteProtocolError) -> Answer:
    """The answer for h11's error. It does not use h11's text, because that repeats what the client sent."""
    if error.error_status_hint == _HEAD_TOO_LONG:
        return _TOO_LONG
    if error.error_status_hint == _NOT_IMPLEMENTED:
        return Answer(_NOT_IMPLEMENTED, "The only transfer coding is chunked.")
    return Answer(400, "This is not HTTP/1.1.")


def _length(request: h11.Request) -> int:
    """The bytes that a head had when it was sent, without optional spaces."""
    line = len(request.method) + len(request.target) + len("  HTTP/1.1\r\n")
    return line + sum(len(name) + len(value) + len(": \r\n") for name, value in request.headers) + len("\r\n")
