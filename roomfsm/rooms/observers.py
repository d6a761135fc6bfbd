"""Those who follow what happens in the rooms without being in them, such as webhooks.

There is one place for each thing that they follow: the directory opens and ends rooms, and a room's news are told
to its observers as to its people. An observer that fails must not end a room, so `Observers` is the boundary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from roomfsm.log import get_logger
from roomfsm.protocol.server import ServerMessage
from roomfsm.rooms.participant import Participant

_log = get_logger(__name__)


class Seen(Protocol):
    """What an observer may use of the room that it follows."""

    @property
    def name(self) -> str: ...

    @property
    def run_id(self) -> str:
        """Another one each time that a room of this name is opened."""


class Observer(Protocol):
    """Follows all rooms. Nothing here waits."""

    def opened(self, room: Seen) -> None:
        """A room was opened."""

    def happened(
        self, room: Seen, message: ServerMessage, about: Participant | None, by: Participant | None
    ) -> None:
        """Everybody in the room was told a message.

        `about` is the person whom it is about, and `by` the moderator who caused it, as far as the room says so.
        """

    def ended(self, room: Seen, reason: str) -> None:
        """A room has ended."""


class Observers:
    """All observers of the rooms of one server."""

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        self._observers = tuple(observers)

    def opened(self, room: Seen) -> None:
        """Tell everybody that a room was opened."""
        for observer in self._observers:
            _guarded(partial(observer.opened, room))

    def happened(
        self,
        room: Seen,
        message: ServerMessage,
        about: Participant | None = None,
        by: Participant | None = None,
    ) -> None:
        """Tell everybody what the people of a room were told."""
        for observer in self._observers:
            _guarded(partial(observer.happened, room, message, about, by))

    def ended(self, room: Seen, reason: str) -> None:
        """Tell everybody that a room has ended."""
        for observer in self._observers:
            _guarded(partial(observer.ended, room, reason))


def _guarded(tell: Callable[[], None]) -> None:
    try:
        tell()
    except Exception:  # noqa: BLE001 (a boundary)
        _log.exception("observer failed")
