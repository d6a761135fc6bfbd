"""Who speaks in a room. Everybody is told in one message, which lists all who speak, and not too often.

Whether somebody speaks changes every few seconds. If each change were a message to everybody, the messages would
grow with the square of the people. So a change only begins a time, at whose end everybody is told who speaks by
then. The time is over at once if nobody was told anything for as long.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import trio

from roomfsm.protocol.server import SpeakingNow
from roomfsm.rooms.news import tell
from roomfsm.rooms.participant import Participant


class Speakers:
    """Who speaks among the `people` of a room. Nothing here waits.

    `tell_later` is called with a number of seconds, after which it must call `tell`.
    """

    def __init__(
        self, people: Mapping[str, Participant], interval: float, tell_later: Callable[[float], None]
    ) -> None:
        self._people = people
        self._interval = interval
        self._tell_later = tell_later
        self._told: tuple[str, ...] = ()
        self._told_at = -math.inf
        self._waiting = False

    @property
    def told(self) -> tuple[str, ...]:
        """Those of whom everybody was told last that they speak."""
        return self._told

    def note(self, person: Participant, speaks: bool) -> None:
        """Note whether somebody speaks."""
        if person.speaks is speaks:
            return
        person.speaks = speaks
        if not self._waiting:
            self._waiting = True
            self._tell_later(max(0.0, self._told_at + self._interval - trio.current_time()))

    def forget(self, person: Participant) -> None:
        """Somebody has left, of which everybody is told anyway."""
        self._told = tuple(one for one in self._told if one != person.id)

    def tell(self) -> None:
        """Tell everybody who speaks, unless they know it."""
        self._waiting = False
        now = tuple(person.id for person in self._people.values() if person.speaks)
        if now == self._told:
            return
        self._told, self._told_at = now, trio.current_time()
        tell(self._people.values(), SpeakingNow(participants=now), merge="")
