"""The people of a replay: sessions without connections, moved as the journal says."""

from __future__ import annotations

from typing import Any

from roomfsm.lifecycle.session import SESSION, SessionFacts
from roomfsm.lifecycle.table import Model
from roomfsm.protocol.codec import Outgoing
from roomfsm.protocol.server import IceServer
from roomfsm.rooms.allowance import Voice
from roomfsm.rooms.journal import Journal
from roomfsm.rooms.room import Room


class Elsewhere:
    """Another room, of which this journal knows only that somebody was there."""

    state = "waiting"


class ReplayedPerson:
    """Implements `roomfsm.rooms.participant.Link`."""

    outbox = (0, 0)
    attachment = 0

    def __init__(self, participant_id: str, journal: Journal) -> None:
        self.participant_id = participant_id
        self.voice = Voice(participant_id, "")
        self.room: Room | Elsewhere | None = None
        self._journal = journal
        self._model = SESSION.new()

    @property
    def state(self) -> str:
        return self._model.state

    def comes_as(self, state: str) -> None:
        """Is not in this room, and its session is in `state`: what led there, other journals tell."""
        self._model = Model(state)
        self.room = Elsewhere() if SESSION.rows_of(state, "leave") else None

    def moves_on(self) -> None:
        """Another room has admitted this one, who will leave the seat here."""
        self.fire("switch")
        self.room = Elsewhere()

    def deliver(self, outgoing: Outgoing, room: Room) -> None:
        """The journal does not tell what was said to whom: the table does."""

    def seated(self, room: Room) -> None:
        before, self.room = self.room, room
        self.fire("join" if before is None else "switch")

    def ice_servers(self) -> tuple[IceServer, ...]:
        return ()

    def resumed(self, room: Room) -> None:
        if room is self.room:
            self.fire("resumed")

    def unseated(self, room: Any) -> None:
        if room is self.room:
            self.fire("dismissed")
            self.room = None

    def fire(self, trigger: str) -> None:
        """Move the session. Raises `IllegalInState`."""
        me = self.participant_id
        step = SESSION.fire(self._model, trigger, SessionFacts())
        self._journal.took(SESSION.name, me, step, who=me, final=SESSION.state(step.dest).final)
