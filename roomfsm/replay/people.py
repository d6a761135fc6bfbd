"""The people of a replay: sessions without connections that follow the journal."""

from __future__ import annotations

from typing import Any

from roomfsm.lifecycle.seat import SEAT
from roomfsm.lifecycle.session import SESSION
from roomfsm.lifecycle.table import Model
from roomfsm.rooms.allowance import Voice
from roomfsm.rooms.journal import Journal
from roomfsm.rooms.participant import Seat
from roomfsm.testing import FakeSession


class ReplayedPerson(FakeSession):
    """A person in the journal. Messages to people are not in the journal, because they follow from the table."""

    def __init__(self, participant_id: str, journal: Journal) -> None:
        super().__init__(participant_id, Voice(participant_id, ""), journal)
        self._asked_for: Seat[Any] | None = None
        self._sits = False

    @property
    def last_seat(self) -> Seat[Any]:
        """The seat in this room that the person has, or had last."""
        return Seat(self) if self.seat is None else self.seat

    def asks_for_seat(self, state: str) -> Seat[Any]:
        """Ask for a seat in this room while the session is in `state`, which other rooms' journals explain."""
        if not self._sits:
            self._model = Model(state)
        self._asked_for = Seat(self)
        return self._asked_for

    def moves(self, trigger: str, dest: str) -> None:
        """Move the session's machine, and with it from seat to seat. Then it was in the state `dest`.

        Only another room's journal says whether that room let the person wait. So `dest` says it here.
        """
        asked_for = self._asked_for
        knocking = dest == "knocking" if asked_for is None else asked_for.state == SEAT.initial
        step = self.fire(trigger, waits=knocking)
        if trigger in ("join", "switch"):
            # A person who asked for no seat in this room has got one in another.
            self._sits = self._asked_for is not None
            self.seat, self._asked_for = self._asked_for or self.seat, None
        elif "leave" not in SESSION.legal(step.dest):
            self._sits = self._sits and "reattach" in SESSION.legal(step.dest)
