"""The people of a replay: sessions without connections that follow the journal."""

from __future__ import annotations

from roomfsm.lifecycle.session import SESSION
from roomfsm.lifecycle.table import Model
from roomfsm.rooms.allowance import Voice
from roomfsm.rooms.journal import Journal
from roomfsm.testing import FakeSession


class Elsewhere:
    """Another room. This journal says only that somebody was in it."""

    state = "waiting"


class ReplayedPerson(FakeSession):
    """A person in the journal. Messages to people are not in the journal, because they follow from the table."""

    def __init__(self, participant_id: str, journal: Journal) -> None:
        super().__init__(participant_id, Voice(participant_id, ""), journal)

    def comes_as(self, state: str) -> None:
        """Note that the person is not in this room and the session is in `state`. Other journals say why."""
        self._model = Model(state)
        self.room = Elsewhere() if SESSION.rows_of(state, "leave") else None

    def moves_on(self) -> None:
        """Note that another room has admitted the person, who will leave the seat here."""
        self.fire("switch")
        self.room = Elsewhere()
