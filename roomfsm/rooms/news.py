"""News for the people of a room. A message is encoded once for all of them, and replaces an older one if it can.

There are two kinds of news. An event (somebody came or said something, a stream began or ended) is sent at once,
and each is sent. A change (of a name, of who is away, of the number of viewers, of the room's state) matters only
as the newest value. It is sent at the end of the room's turn, in which the room handles the events that wait: so
if something changes many times in a turn, only the newest value is sent. If there are more than
`room_changes_rate` changes a second, they are sent later, once for everything that has changed by then.

While there are few changes, all news arrive in the order in which they happened, because the changes so far are
sent before an event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import msgspec
import trio

from roomfsm.protocol.client import message_type
from roomfsm.protocol.codec import Outgoing
from roomfsm.protocol.fields import Ref
from roomfsm.protocol.server import ServerMessage
from roomfsm.rooms.allowance import Cost, Meter, Rates
from roomfsm.rooms.participant import Participant


def tell(
    people: Iterable[Participant],
    message: ServerMessage,
    replied: Participant | None = None,
    *,
    ref: Ref | None = None,
    merge: str | None = None,
) -> None:
    """Send a message to all these people. `replied` is the one whose message this replies to, and gets `ref` back.

    If a newer message of the same type makes an older one worthless, `merge` names what the message is about.
    """
    outgoing = Outgoing(message, None if merge is None else f"{message_type(message)} {merge}")
    for participant in people:
        if participant is replied and ref is not None:
            participant.send(msgspec.structs.replace(message, ref=ref))
        else:
            participant.deliver(outgoing)


@dataclass(frozen=True, slots=True)
class _Change:
    """Something that has changed: the function that makes its message, and the person who knows it already."""

    now: Callable[[], ServerMessage]
    knows: Participant | None


class News:
    """The news that one room sends to all its `people`. Nothing here waits."""

    def __init__(
        self,
        people: Mapping[str, Participant],
        rates: Rates,
        observe: Callable[[ServerMessage, Participant | None, Participant | None], None] | None = None,
    ) -> None:
        """`observe` is called with each event, the person whom it is about, and the one who caused it."""
        self._people = people
        self._observe = observe
        self._rates = rates
        self._told = Meter()
        self._changes: dict[str, _Change] = {}
        self._in_turn = False
        self.deliveries = 0
        """The number of messages that were delivered in this turn."""
        self._start: Callable[[float], None] | None = None
        self._waiting = False

    def begin_turn(self) -> None:
        """Begin a turn, at whose end the changes are sent."""
        self._in_turn = True
        self.deliveries = 0

    def end_turn(self, tell_later: Callable[[float], None]) -> None:
        """Send what has changed. If that is too soon, call `tell_later` with the seconds until it is not."""
        self._in_turn = False
        self._start = tell_later
        self._tell_changes_soon()

    def happened(
        self,
        message: ServerMessage,
        replied: Participant | None = None,
        *,
        ref: Ref | None = None,
        about: Participant | None = None,
    ) -> None:
        """Send an event to everybody. `replied` is the one whose message this replies to, and gets `ref` back.

        `about` is the person whom it is about, for observers of the room.
        """
        if self._observe is not None:
            self._observe(message, about, replied)
        self.tell_changes_if_few()
        self.deliveries += len(self._people)
        tell(self._people.values(), message, replied, ref=ref)

    def changed(
        self,
        about: str,
        now: Callable[[], ServerMessage],
        replied: Participant | None = None,
        *,
        ref: Ref | None = None,
    ) -> None:
        """Have everybody told that something has changed.

        `about` names it, and `now` makes the message when it is sent. If this replies to somebody's message, that
        person gets it at once, with the `ref`.
        """
        knows = None
        if replied is not None and ref is not None:
            knows = replied
            tell((replied,), now(), replied, ref=ref)
        self._changes[about] = _Change(now, knows)
        if not self._in_turn:
            self._tell_changes_soon()

    def forget(self, about: str) -> None:
        """Forget the changes of something that has ended."""
        self._changes.pop(about, None)

    def tell_changes_if_few(self) -> None:
        """Send what has changed so far, unless there are too many changes a second."""
        if self._changes and self._seconds_until_more() <= 0:
            self.tell_changes()

    def tell_changes(self) -> None:
        """Send what has changed so far."""
        self._waiting = False
        changes, self._changes = self._changes, {}
        if not changes:
            return
        self._told.run_down(self._rates, trio.current_time())
        self._told.use(Cost(len(changes)))
        for about, change in changes.items():
            people = self._people.values()
            if change.knows is None:
                tell(people, change.now(), merge=about)
            else:
                tell([person for person in people if person is not change.knows], change.now(), merge=about)

    def _tell_changes_soon(self) -> None:
        if not self._changes:
            return
        seconds = self._seconds_until_more()
        if seconds <= 0:
            self.tell_changes()
        elif not self._waiting and self._start is not None:
            self._waiting = True
            self._start(seconds)

    def _seconds_until_more(self) -> float:
        self._told.run_down(self._rates, trio.current_time())
        return self._told.seconds_over(self._rates)
