"""Sessions: which socket has one, which objects it holds, which replies it was given, and when it is abandoned."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

import trio

from roomfsm.jsonrpc import MessageId, Response
from roomfsm.mediaserver.kurento.arguments import as_text
from roomfsm.mediaserver.kurento.errors import InvalidSessionError, NotEnoughResourcesError

if TYPE_CHECKING:
    from roomfsm.mediaserver.kurento.limits import Limits
    from roomfsm.mediaserver.kurento.objects import MediaObject


class Socket(Protocol):
    """A client's connection, as its session sees it."""

    session_id: str | None
    """The session that requests without a `sessionId` belong to and whose events come here."""

    def push(self, text: str) -> None:
        """Queue a message behind those already queued; never waits, never raises."""


class ReplyCache:
    """The replies of one session by request id, for `request_cache_time`, within `request_cache_size`.

    The method plays no part, and the ids 2 and "2" are one, as in Kurento: a client must not reuse an id.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._replies: OrderedDict[str, tuple[float, Response, int]] = OrderedDict()
        self._size = 0

    def get(self, id_: MessageId) -> Response | None:
        self._forget_expired()
        entry = self._replies.get(_cache_key(id_))
        return None if entry is None else entry[1]

    def put(self, reply: Response, size: int) -> None:
        """Remember the reply to a request; `size` is that of its text."""
        self._forget_expired()
        key = _cache_key(reply.id)
        if (earlier := self._replies.pop(key, None)) is not None:
            self._size -= earlier[2]
        expires = trio.current_time() + self._limits.request_cache_time
        self._replies[key] = (expires, reply, size)
        self._size += size
        while self._size > self._limits.request_cache_size:
            self._forget_oldest()

    def _forget_expired(self) -> None:
        now = trio.current_time()
        while self._replies and next(iter(self._replies.values()))[0] <= now:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        _, (_, _, size) = self._replies.popitem(last=False)
        self._size -= size


def _cache_key(id_: MessageId) -> str:
    text = as_text(id_)
    assert text is not None  # a MessageId is a scalar
    return text


class Session:
    """One client's session; it outlives its socket until it is closed or found abandoned."""

    def __init__(self, session_id: str, limits: Limits) -> None:
        self.id = session_id
        self.socket: Socket | None = None
        self.replies = ReplyCache(limits)
        self.objects: dict[str, MediaObject] = {}
        """Objects that this session created or touched: they live at least as long as it."""
        self.registered = False
        """Whether it has touched an object: before that, `connect` and `keepAlive` do not know it."""
        self.used = True
        """Whether it had a socket or a request since the collector last came by."""


class Sessions:
    """All sessions of the server by id."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._by_id: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._by_id.values()))

    def get(self, session_id: str) -> Session | None:
        return self._by_id.get(session_id)

    def get_or_new(self, session_id: str | None) -> Session:
        """The session of that id, or one that is not yet among the others: a failing request leaves nothing.

        Raises `InvalidSessionError` where the id is longer than `max_session_id`.
        """
        if session_id is None:
            return Session(str(uuid4()), self._limits)
        if len(session_id) > self._limits.max_session_id:
            raise InvalidSessionError
        return self._by_id.get(session_id) or Session(session_id, self._limits)

    def require_room(self, session: Session) -> None:
        """Raises `NotEnoughResourcesError` where the session is new and there are `max_sessions` others."""
        if session.id not in self._by_id and len(self._by_id) >= self._limits.max_sessions:
            raise NotEnoughResourcesError(f"Too many sessions: {self._limits.max_sessions}")

    def keep(self, session: Session) -> None:
        """Put a session among the others; raises what `require_room` raises."""
        self.require_room(session)
        self._by_id[session.id] = session

    def bind(self, session: Session, socket: Socket) -> None:
        """Make `socket` the session's own; the socket that had it, if another, has none from now on."""
        self.keep(session)
        session.used = True
        if session.socket is not None and session.socket is not socket:
            session.socket.session_id = None
        if socket.session_id not in (None, session.id):
            self.unbind(socket)
        session.socket = socket
        socket.session_id = session.id

    def unbind(self, socket: Socket) -> None:
        """The socket is gone, or goes to another session; a session that never touched an object goes with it."""
        session = None if socket.session_id is None else self._by_id.get(socket.session_id)
        socket.session_id = None
        if session is not None and session.socket is socket:
            session.socket = None
            session.used = True
            if not session.registered:
                del self._by_id[session.id]

    def remove(self, session: Session) -> None:
        """Forget a session; its socket may ask for another."""
        self._by_id.pop(session.id, None)
        if session.socket is not None:
            session.socket.session_id = None
            session.socket = None

    def deliver(self, session_id: str, text: str) -> None:
        """Send an event to where the session is bound; without a socket it is lost, as in Kurento."""
        session = self._by_id.get(session_id)
        if session is not None and session.socket is not None:
            session.socket.push(text)

    def abandoned(self) -> list[Session]:
        """The sessions without a socket or a request since the last call: called once a collector period."""
        found = [session for session in self if session.socket is None and not session.used]
        for session in self:
            session.used = session.socket is not None
        return found
