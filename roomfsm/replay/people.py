"""The people of a replay: sessions without connections, moved as the journal says."""

from __future__ import annotations

from roomfsm.lifecycle.session import SESSION
from roomfsm.lifecycle.table import Model
from roomfsm.rooms.allowance import Voice
from roomfsm.rooms.journal import Journal
from roomfsm.testing import FakeSession


class Elsewhere:
    """Another room, of which this journal knows only that somebody was there."""

    state = "waiting"


class ReplayedPerson(FakeSession):
    """Somebody of the journal, which does not tell what was said to whom: the table does."""

    def __init__(self, participant_id: str, journal: Journal) -> None:
        super().__init__(participant_id, Voice(participant_id, ""), journal)

    def comes_as(self, state: str) -> None:
        """Is not in this room, and its session is in `state`: what led there, other journals tell."""
        self._model = Model(state)
        self.room = Elsewhere() if SESSION.rows_of(state, "leave") else None

    def moves_on(self) -> None:
        """Another room has admitted this one, who will leave the seat here."""
        self.fire("switch")
        self.room = Elsewhere()
