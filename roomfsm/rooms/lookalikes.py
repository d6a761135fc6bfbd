"""Marks people whose name looks like the name of somebody who was in the room before them.

Nobody owns a name, so a name that is taken already is not refused: three people may all be called "guest". But the
list of people marks everybody who took the name after the first one did. When the first leaves or takes another
name, the next one becomes the first and loses the mark.
"""

from __future__ import annotations

from roomfsm.protocol.names import skeleton
from roomfsm.rooms.participant import Participant


class Lookalikes:
    """The people of one room, by what their names look like (`skeleton`), in the order in which they took them."""

    def __init__(self) -> None:
        self._bearers: dict[str, dict[str, Participant]] = {}

    def add(self, participant: Participant) -> None:
        """Add somebody who has entered, or has taken a new name. This sets `participant.lookalike`."""
        bearers = self._bearers.setdefault(skeleton(participant.name), {})
        participant.lookalike = bool(bearers)
        bearers[participant.id] = participant

    def bearers(self) -> list[list[Participant]]:
        """The people whose names look alike, as far as there are several, each in the order of taking the name."""
        return [list(bearers.values()) for bearers in self._bearers.values() if len(bearers) > 1]

    def remove(self, participant: Participant) -> Participant | None:
        """Remove somebody who leaves or gives up the name. Returns the person who loses the mark, if any."""
        look = skeleton(participant.name)
        bearers = self._bearers[look]
        del bearers[participant.id]
        if not bearers:
            del self._bearers[look]
            return None
        first = next(iter(bearers.values()))
        if not first.lookalike:
            return None
        first.lookalike = False
        return first
