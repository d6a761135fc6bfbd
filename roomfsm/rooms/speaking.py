"""Who speaks in a room. Everybody is told in one message, which lists all who speak, and not too often.

A media server that hears somebody's sound says whether that person speaks. Otherwise the person's client says so.

Whether somebody speaks changes every few seconds. If each change were a message to everybody, the messages would
grow with the square of the people.
"""

from __future__ import annotations

from collections.abc import Mapping

from roomfsm.protocol.server import SpeakingNow
from roomfsm.rooms.news import tell
from roomfsm.rooms.participant import Participant
from roomfsm.rooms.spaced import DoLater, Spaced


class Speakers:
    """Who speaks among the `people` of a room, of which everybody is told at most once in `interval` seconds."""

    def __init__(self, people: Mapping[str, Participant], interval: float, do_later: DoLater) -> None:
        self._people = people
        self._spaced = Spaced(interval, do_later, self._tell)
        self._told: tuple[str, ...] = ()

    @property
    def told(self) -> tuple[str, ...]:
        """Those of whom everybody was told last that they speak."""
        return self._told

    def note(self, person: Participant, speaks: bool) -> None:
        """Note whether somebody speaks by the word of that person's client."""
        person.claims_to_speak = speaks
        self.look_at(person)

    def hear(self, person: Participant, speaks: bool | None) -> None:
        """Note whether somebody speaks by the media server's word. None if it does not hear that person."""
        person.heard = speaks
        self.look_at(person)

    def look_at(self, person: Participant) -> None:
        """Somebody may begin or cease to speak, or to be heard."""
        if person.speaks is not (person.id in self._told):
            self._spaced.changed()

    def forget(self, person: Participant) -> None:
        """Somebody has left, of which everybody is told anyway."""
        self._told = tuple(one for one in self._told if one != person.id)

    def _tell(self) -> bool:
        """Tell everybody who speaks, unless they know it."""
        now = tuple(person.id for person in self._people.values() if person.speaks)
        if now == self._told:
            return False
        self._told = now
        tell(self._people.values(), SpeakingNow(participants=now), merge="")
        return True
