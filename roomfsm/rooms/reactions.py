"""The reactions of a room. Everybody is told in one message about all that were shown, and not too often.

If each of 500 people applauds, a message for each would be 250,000 deliveries. Nobody can look at more than some
dozens at a time, so a message has a bound.
"""

from __future__ import annotations

from collections.abc import Mapping

from roomfsm.protocol.reactions import Reaction
from roomfsm.protocol.server import Reacted, ReactionInfo
from roomfsm.rooms.news import tell
from roomfsm.rooms.participant import Participant
from roomfsm.rooms.spaced import DoLater, Spaced

MOST = 40
"""How many reactions one message tells. Those beyond that are left out."""


class Reactions:
    """What the `people` of a room have shown. Everybody is told at most once in `interval` seconds."""

    def __init__(self, people: Mapping[str, Participant], interval: float, do_later: DoLater) -> None:
        self._people = people
        self._spaced = Spaced(interval, do_later, self._tell)
        self._shown: list[ReactionInfo] = []

    def note(self, person: Participant, reaction: Reaction) -> None:
        """Note that somebody shows a reaction."""
        if len(self._shown) < MOST:
            self._shown.append(ReactionInfo(participant=person.id, reaction=reaction))
            self._spaced.changed()

    def _tell(self) -> bool:
        shown, self._shown = self._shown, []
        tell(self._people.values(), Reacted(reactions=tuple(shown)), merge="")
        return True
