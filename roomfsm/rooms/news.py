"""News for the people of a room: encoded once for all of them, and merged where a newer makes an older void.

What happens (somebody came, said something, a stream began or ended) is told at once. What only *is* (a name,
who is away, how many view a stream, the room's state) is told as it stands at the end of the room's turn, in
which the room handles all that waits for it: so of many changes of one thing in a turn only the newest is told.
Beyond `room_changes_rate` changes a second it is told later, once for all that has changed by then.

Where changes are few, everything comes in the order in which it happened: what happens is told after the
changes that came before it.
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
    """Tell all of them; the one whose message this replies to gets its `ref` back.

    `merge` names what the news are about, where a newer one of the same type makes an older one worthless.
    """
    outgoing = Outgoing(message, None if merge is None else f"{message_type(message)} {merge}")
    for participant in people:
        if participant is replied and ref is not None:
            participant.send(msgspec.structs.replace(message, ref=ref))
        else:
            participant.deliver(outgoing)


@dataclass(frozen=True, slots=True)
class _Change:
    """Something that is another now: how it is told, and who knows already."""

    now: Callable[[], ServerMessage]
    knows: Participant | None


class News:
    """What one room tells all its `people`. Nothing here waits."""

    def __init__(self, people: Mapping[str, Participant], rates: Rates) -> None:
        self._people = people
        self._rates = rates
        self._told = Meter()
        self._changes: dict[str, _Change] = {}
        self._in_turn = False
        self.deliveries = 0
        """Messages that were handed on in this turn."""
        self._start: Callable[[float], None] | None = None
        self._waiting = False

    def begin_turn(self) -> None:
        """Changes wait for the end of the turn."""
        self._in_turn = True
        self.deliveries = 0

    def end_turn(self, tell_later: Callable[[float], None]) -> None:
        """Tell what has changed; or, if that is too often, call `tell_later` with the seconds until it is not."""
        self._in_turn = False
        self._start = tell_later
        self._tell_changes_soon()

    def happened(
        self, message: ServerMessage, replied: Participant | None = None, *, ref: Ref | None = None
    ) -> None:
        """Tell all of them; the one whose message this replies to gets its `ref` back."""
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
        """Have all told how something is now. `about` names it; `now` makes the message when it is sent.

        The one whose message this replies to gets it at once, with the `ref`.
        """
        knows = None
        if replied is not None and ref is not None:
            knows = replied
            tell((replied,), now(), replied, ref=ref)
        self._changes[about] = _Change(now, knows)
        if not self._in_turn:
            self._tell_changes_soon()

    def forget(self, about: str) -> None:
        """It is over: how it was need not be told any more."""
        self._changes.pop(about, None)

    def tell_changes_if_few(self) -> None:
        """Tell what has changed so far, unless changes come too thick."""
        if self._changes and self._seconds_until_more() <= 0:
            self.tell_changes()

    def tell_changes(self) -> None:
        """Tell what has changed so far."""
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
