"""All objects of the server: creates, finds, holds and releases them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import TYPE_CHECKING

from roomfsm.mediaserver.base.boundary import Boundary
from roomfsm.mediaserver.kurento.arguments import Arguments
from roomfsm.mediaserver.kurento.errors import (
    FactoryNotFoundError,
    NewrefNotFoundError,
    NotEnoughResourcesError,
    ObjectNotFoundError,
    UnexpectedError,
)
from roomfsm.mediaserver.kurento.objects import MediaObject, MediaPipeline, Registry
from roomfsm.mediaserver.kurento.pass_through import PassThrough
from roomfsm.mediaserver.kurento.server_manager import ServerManager
from roomfsm.mediaserver.kurento.sessions import Session, Sessions
from roomfsm.mediaserver.kurento.webrtc_endpoint import WebRtcEndpoint

if TYPE_CHECKING:
    from roomfsm.mediaserver.kurento.limits import Limits
    from roomfsm.mediaserver.kurento.media_engine import MediaEngine

FACTORIES: Mapping[str, Callable[[Registry, Arguments], MediaObject]] = {
    "MediaPipeline": MediaPipeline,
    "PassThrough": PassThrough,
    "WebRtcEndpoint": WebRtcEndpoint,
}
"""The types that `create` can create, by name. The prefix `kurento.` is allowed."""

_RELEASE = Boundary("releasing one object")

NEWREF = "newref:"
"""The prefix of a reference to an object that an earlier operation of the transaction created. The operation's
number follows."""


class Objects:
    """All objects, by id.

    An object exists until it is released, or until the last session that touched it ends.
    """

    def __init__(self, engine: MediaEngine, limits: Limits) -> None:
        self.engine = engine
        self.limits = limits
        self.sessions = Sessions(limits)
        self._by_id: dict[str, MediaObject] = {}
        self._endpoint_serials = count()
        self.manager = ServerManager(self)

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[MediaObject]:
        """All pipelines and elements, the oldest first, without the manager."""
        return iter(list(self._by_id.values()))

    def next_endpoint_serial(self) -> int:
        return next(self._endpoint_serials)

    def get(self, object_id: str) -> MediaObject | None:
        return self.manager if object_id == self.manager.id else self._by_id.get(object_id)

    def find(self, object_id: str) -> MediaObject:
        """Raises `ObjectNotFoundError`, or `NewrefNotFoundError` for a `newref:`."""
        if (found := self.get(object_id)) is None:
            raise (NewrefNotFoundError if object_id.startswith(NEWREF) else ObjectNotFoundError)(object_id)
        return found

    def find_pipeline(self, object_id: str) -> MediaPipeline:
        found = self.find(object_id)
        if not isinstance(found, MediaPipeline):
            raise UnexpectedError(f"'{object_id}' is not a MediaPipeline")
        return found

    def create(self, type_: str, arguments: Arguments, session: Session) -> MediaObject:
        """Create an object that `session` holds.

        Raises the errors of the type's constructor, `FactoryNotFoundError`, and `NotEnoughResourcesError` if there
        are already `max_objects`, if the session already holds `max_objects_per_session`, or if there is no room
        for the session or in the engine.
        """
        factory = FACTORIES.get(type_.removeprefix("kurento."))
        if factory is None:
            raise FactoryNotFoundError(type_)
        if len(self._by_id) >= self.limits.max_objects:
            raise NotEnoughResourcesError(f"Too many objects: {self.limits.max_objects}")
        if len(session.objects) >= self.limits.max_objects_per_session:
            raise NotEnoughResourcesError(f"Too many objects of a session: {self.limits.max_objects_per_session}")
        self.sessions.require_room(session)
        created = factory(self, arguments)
        self._by_id[created.id] = created
        if created.parent is not None:
            created.parent.children.append(created)
        self.hold(session, created)
        self.manager.emit("ObjectCreated", object=created.id)
        return created

    def hold(self, session: Session, touched: MediaObject) -> None:
        """Record that the session touches an object, so that the object and its parents exist at least as long as
        the session.
        """
        self.sessions.keep(session)
        session.registered = True
        session.used = True
        if touched is self.manager:
            return
        held: MediaObject | None = touched
        while held is not None:
            session.objects[held.id] = held
            held.holders.add(session.id)
            held = held.parent

    def unhold(self, session: Session, held: MediaObject) -> None:
        """Let the session give up an object and its children.

        Objects that no session holds any more are released.
        """
        if held.id not in session.objects:
            return
        for child in list(held.children):
            self.unhold(session, child)
        del session.objects[held.id]
        held.holders.discard(session.id)
        held.subscriptions.remove_session(session.id)
        if not held.holders:
            self.release(held)

    def release(self, released: MediaObject) -> None:
        """Release an object and its children, even if other sessions hold them. The manager cannot be released."""
        if released is self.manager:
            return
        for child in list(released.children):
            with _RELEASE:
                self.release(child)
        for session_id in released.holders:
            if (session := self.sessions.get(session_id)) is not None:
                session.objects.pop(released.id, None)
        released.holders.clear()
        released.subscriptions.clear()
        try:
            released.dispose()
        finally:
            del self._by_id[released.id]
            if released.parent is not None:
                released.parent.children.remove(released)
            self.manager.emit("ObjectDestroyed", objectId=released.id)

    def release_all(self, session: Session) -> None:
        """Release everything that a session created or touched, even if other sessions hold it."""
        for held in list(session.objects.values()):
            if held.id in self._by_id:  # it has not been released with its parent
                with _RELEASE:
                    self.release(held)

    def end_session(self, session: Session) -> None:
        """Let a session give up everything that it holds, and forget the session."""
        for held in list(session.objects.values()):
            with _RELEASE:
                self.unhold(session, held)
        self.manager.subscriptions.remove_session(session.id)
        self.sessions.remove(session)

    def collect(self) -> None:
        """End the abandoned sessions. It is called once every collector period."""
        for session in self.sessions.abandoned():
            self.end_session(session)

    def close(self) -> None:
        """Release every object."""
        for session in self.sessions:
            self.end_session(session)
