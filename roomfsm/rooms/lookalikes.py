"""Whose name looks like that of somebody who is in the room under it already.

Nobody owns a name, so a doubled one is not refused: three guests are three guests. But the roster marks all who
took it after the first, and when the first leaves or takes another name, the next is the first and loses the mark.
"""

from __future__ import annotations

from roomfsm.protocol.names import skeleton
from roomfsm.rooms.participant import Participant


class Lookalikes:
    """The people of one room by the looks of their names (`skeleton`), in the order in which they took them."""

    def __init__(self) -> None:
        self._bearers: dict[str, dict[str, Participant]] = {}

    def add(self, participant: Participant) -> None:
        """Somebody has come in, or has taken another name: set `participant.lookalike`."""
        bearers = self._bearers.setdefault(skeleton(participant.name), {})
        participant.lookalike = bool(bearers)
        bearers[participant.id] = participant

    def remove(self, participant: Participant) -> Participant | None:
        """Somebody leaves or gives up the name; returns the one who thereby has lost the mark, if anybody has."""
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
