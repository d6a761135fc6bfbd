"""Sessions: their sockets, the objects that they hold, the replies that they got, and when they are abandoned."""

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
    """The session of this socket. Its events come here, and requests without a `sessionId` belong to it."""

    def push(self, text: str) -> None:
        """Queue a message after those that are already queued. It never waits and never raises."""


class ReplyCache:
    """The replies of one session by request id, for `request_cache_time`, within `request_cache_size`.

    As in Kurento, the method does not matter, and the ids 2 and "2" are the same. So a client must not reuse an
    id.
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
        """Remember the reply to a request. `size` is the size of its text."""
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
    """One client's session. It may exist longer than its socket, until it is closed or found to be abandoned."""

    def __init__(self, session_id: str, limits: Limits) -> None:
        self.id = session_id
        self.socket: Socket | None = None
        self.replies = ReplyCache(limits)
        self.objects: dict[str, MediaObject] = {}
        """The objects that this session created or touched. They exist at least as long as the session."""
        self.registered = False
        """Whether it has touched an object. Before that, `connect` and `keepAlive` do not know the session."""
        self.used = True
        """Whether it had a socket or a request since the collector's last round."""


class Sessions:
    """All sessions of the server, by id."""

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
        """The session with that id, or a new one.

        A new session is kept only by `keep`, so that a request that fails leaves nothing behind. Raises
        `InvalidSessionError` if the id is longer than `max_session_id`.
        """
        if session_id is None:
            return Session(str(uuid4()), self._limits)
        if len(session_id) > self._limits.max_session_id:
            raise InvalidSessionError
        return self._by_id.get(session_id) or Session(session_id, self._limits)

    def require_room(self, session: Session) -> None:
        """Raise `NotEnoughResourcesError` if the session is new and there are already `max_sessions`."""
        if session.id not in self._by_id and len(self._by_id) >= self._limits.max_sessions:
            raise NotEnoughResourcesError(f"Too many sessions: {self._limits.max_sessions}")

    def keep(self, session: Session) -> None:
        """Keep a session. Raises the errors of `require_room`."""
        self.require_room(session)
        self._by_id[session.id] = session

    def bind(self, session: Session, socket: Socket) -> None:
        """Bind the session to `socket`. If it was bound to another socket, that one has no session any more."""
        self.keep(session)
        session.used = True
        if session.socket is not None and session.socket is not socket:
            session.socket.session_id = None
        if socket.session_id not in (None, session.id):
            self.unbind(socket)
        session.socket = socket
        socket.session_id = session.id

    def unbind(self, socket: Socket) -> None:
        """Unbind a socket that is gone or goes to another session.

        A session that never touched an object is forgotten.
        """
        session = None if socket.session_id is None else self._by_id.get(socket.session_id)
        socket.session_id = None
        if session is not None and session.socket is socket:
            session.socket = None
            session.used = True
            if not session.registered:
                del self._by_id[session.id]

    def remove(self, session: Session) -> None:
        """Forget a session. Its socket may begin another one."""
        self._by_id.pop(session.id, None)
        if session.socket is not None:
            session.socket.session_id = None
            session.socket = None

    def deliver(self, session_id: str, text: str) -> None:
        """Send an event to the session's socket. If it has none, the event is lost, as in Kurento."""
        session = self._by_id.get(session_id)
        if session is not None and session.socket is not None:
            session.socket.push(text)

    def abandoned(self) -> list[Session]:
        """The sessions that had neither a socket nor a request since the last call.

        It is called once every collector period.
        """
        found = [session for session in self if session.socket is None and not session.used]
        for session in self:
            session.used = session.socket is not None
        return found
