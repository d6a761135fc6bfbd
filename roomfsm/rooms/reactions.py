"""The reactions of a room. Everybody is told in one message about all that were shown, and not too often.

If each of 500 people applauds, a message for each would be 250,000 deliveries. So a reaction only begins a time,
at whose end everybody is told all reactions since the message before. The time is over at once if nobody was told
anything for as long. Nobody sees more than some dozens at a time, so there is a bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import trio

from roomfsm.protocol.reactions import Reaction
from roomfsm.protocol.server import Reacted, ReactionInfo
from roomfsm.rooms.news import tell
from roomfsm.rooms.participant import Participant

MOST = 40
"""How many reactions one message tells. Those beyond that are left out."""


class Reactions:
    """What the `people` of a room have shown and nobody was told yet. Nothing here waits.

    `tell_later` is called with a number of seconds, after which it must call `tell`.
    """

    def __init__(
        self, people: Mapping[str, Participant], interval: float, tell_later: Callable[[float], None]
    ) -> None:
        self._people = people
        self._interval = interval
        self._tell_later = tell_later
        self._shown: list[ReactionInfo] = []
        self._told_at = -math.inf

    def note(self, person: Participant, reaction: Reaction) -> None:
        """Note that somebody shows a reaction."""
        if len(self._shown) >= MOST:
            return
        self._shown.append(ReactionInfo(participant=person.id, reaction=reaction))
        if len(self._shown) == 1:
            self._tell_later(max(0.0, self._told_at + self._interval - trio.current_time()))

    def tell(self) -> None:
        """Tell everybody what was shown."""
        shown, self._shown = self._shown, []
        self._told_at = trio.current_time()
        tell(self._people.values(), Reacted(reactions=tuple(shown)), merge="")
