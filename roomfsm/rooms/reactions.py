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


class Reactions:
    """What the `people` of a room have shown. Everybody is told at most once in `interval` seconds.

    One message has at most `most` reactions. Those beyond that are left out.
    """

    def __init__(self, people: Mapping[str, Participant], interval: float, most: int, do_later: DoLater) -> None:
        self._people = people
        self._most = most
        self._spaced = Spaced(interval, do_later, self._tell)
        self._shown: list[ReactionInfo] = []

    def note(self, person: Participant, reaction: Reaction) -> None:
        """Note that somebody shows a reaction."""
        if len(self._shown) < self._most:
            self._shown.append(ReactionInfo(participant=person.id, reaction=reaction))
            self._spaced.changed()

    def _tell(self) -> bool:
        shown, self._shown = self._shown, []
        tell(self._people.values(), Reacted(reactions=tuple(shown)), merge="")
        return True
