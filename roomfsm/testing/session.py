"""Sessions without connections, as rooms see them, and the people who use them."""

from __future__ import annotations

import itertools
import json
from contextlib import suppress
from typing import Any

from roomfsm.access.credentials import UNASKED
from roomfsm.lifecycle.legality import for_client
from roomfsm.lifecycle.seat import SEAT
from roomfsm.lifecycle.session import SESSION, SessionFacts
from roomfsm.lifecycle.table import Step
from roomfsm.protocol.codec import Outgoing
from roomfsm.protocol.errors import Refusal
from roomfsm.protocol.fields import Ref
from roomfsm.protocol.server import IceServer
from roomfsm.rooms.allowance import UNBOUNDED, Rates, Voice
from roomfsm.rooms.directory import Directory
from roomfsm.rooms.events import Ask, Away, Back, RoomMessage
from roomfsm.rooms.journal import Journal
from roomfsm.rooms.participant import Seat
from roomfsm.rooms.record import Ear
from roomfsm.rooms.room import Room, RoomOver, give_up

_numbers = itertools.count(1)


class FakeSession:
    """Implements `roomfsm.rooms.participant.Sitter`. Its machine moves by `fire`, as that of a real session does.

    `seat` is its seat in a room, or None. What it does goes into that room's journal, or into `journal`.
    """

    outbox = (0, 0)
    expected = False

    def __init__(self, participant_id: str, voice: Voice, journal: Journal | None = None) -> None:
        self.participant_id = participant_id
        self.voice = voice
        self.seat: Seat[Any] | None = None
        self._journal = journal
        self._model = SESSION.new()

    @property
    def state(self) -> str:
        return self._model.state

    @property
    def ear(self) -> Ear | None:
        return self.hear

    @property
    def resume_hashes(self) -> tuple[bytes, ...]:
        return (self.participant_id.encode(),)

    def hear(self, outgoing: Outgoing) -> None:
        """Nobody listens."""

    def ice_servers(self) -> tuple[IceServer, ...]:
        return ()

    def admitted(self) -> None:
        if "admitted" in SESSION.legal(self.state):
            self.fire("admitted")

    def put_out(self) -> None:
        """The room has taken the seat away."""

    def sent_on(self) -> None:
        """The room goes on at another server."""

    def fire(self, trigger: str, *, waits: bool = False) -> Step:
        """Move the session's machine. Raises `IllegalInState`."""
        step = SESSION.fire(self._model, trigger, SessionFacts(waits=waits))
        journal = self._journal
        if journal is None:
            assert self.seat is not None
            journal = self.seat.room.journal
        me = self.participant_id
        journal.took(SESSION.name, me, step, who=me, final=SESSION.state(step.dest).final)
        return step


class Person(FakeSession):
    """Somebody who uses rooms without a connection, and keeps what they send."""

    def __init__(
        self, directory: Directory, name: str = "Ada", address: str = "192.0.2.1", rates: Rates = UNBOUNDED
    ) -> None:
        me = f"p{next(_numbers)}"
        super().__init__(me, Voice(me, address, rates))
        self.name = name
        self._messages: list[dict[str, Any]] = []
        self._unread: list[bytes] = []
        self._directory = directory
        self.brings = UNASKED
        """What this person has and knows who wants to enter a room."""
        self._entering = False
        self.was_sent_on = False
        """Whether the connection was closed, because the room goes on at another server."""

    @property
    def room(self) -> Room | None:
        """The room that this person is in."""
        return None if self.seat is None else self.sits_in

    @property
    def own_seat(self) -> Seat[Any]:
        """The seat of this person, who must have one."""
        assert self.seat is not None
        return self.seat

    @property
    def sits_in(self) -> Room:
        """The room that this person is in, who must be in one."""
        room = self.own_seat.room
        assert isinstance(room, Room)
        return room

    @property
    def messages(self) -> list[dict[str, Any]]:
        """All messages that came, the oldest first.

        They are decoded only when they are read, because in a crowd most are never read.
        """
        self._messages += map(json.loads, self._unread)
        self._unread.clear()
        return self._messages

    def hear(self, outgoing: Outgoing) -> None:
        self._unread.append(outgoing.payload)

    def put_out(self) -> None:
        if not self._entering:
            self._notice_taken_seat()

    def sent_on(self) -> None:
        self.was_sent_on = True
        self.put_out()

    def _notice_taken_seat(self) -> None:
        if self.seat is not None and self.seat.taken_away:
            self.fire("dismissed")
            self.seat = None

    # What people do. A refusal by the room is raised as `Refusal`.

    async def join(self, room: str, ref: Ref | None = None) -> None:
        """Enter a room of this name."""
        if SESSION.state(self.state).final:
            self._model = SESSION.new()
        await self._enter(room, "join", ref)

    async def leave(self, reason: str = "left", ref: Ref | None = None) -> None:
        """Leave the room. If the person has vanished, this is the end of the resume window."""
        self.fire("leave" if "leave" in SESSION.legal(self.state) else "expire")
        seat, self.seat = self.own_seat, None
        await give_up(seat, reason, ref)

    async def switch(self, room: str) -> None:
        """Go to another room."""
        await self._enter(room, "switch", None)

    async def _enter(self, room: str, asked: str, ref: Ref | None) -> None:
        before, self._entering = self.seat, True
        try:
            self.seat = await self._directory.enter(
                room, self, self.name, ref, asked=asked, credentials=self.brings, before=before
            )
            step = self.fire(asked, waits=self.own_seat.state == SEAT.initial)
        except Refusal as refusal:
            raise for_client(refusal, asked, self.state, None if self.room is None else self.room.state) from None
        finally:
            self._entering = False
            self._notice_taken_seat()
        if before is not None:
            before.room.journal.took(SESSION.name, self.participant_id, step, who=self.participant_id)
            await give_up(before, "switched")

    async def say(self, message: RoomMessage) -> None:
        """Send a message to the room."""
        await self.sits_in.post(Ask(self.own_seat, message))

    async def vanish(self) -> None:
        """Lose the connection."""
        self.fire("lost")
        if SESSION.state(self.state).final:
            await give_up(self.own_seat, "disconnected")
        else:
            await self.sits_in.post(Away(self.own_seat))

    async def come_back(self, ref: Ref | None = None) -> None:
        """Have a connection again, and have the room described to it."""
        self.fire("reattach")
        seat, room = self.own_seat, self.sits_in
        # The room may end meanwhile, and has put this person out then.
        with suppress(RoomOver, Refusal):
            await room.request(Back(seat, ref))
        if self.seat is seat:
            self.fire("resumed")

    def last(self, type: str) -> dict[str, Any]:  # noqa: A002 (the protocol's word)
        """The newest message of that type."""
        return self.all(type)[-1]

    def all(self, type: str) -> list[dict[str, Any]]:  # noqa: A002 (the protocol's word)
        """All messages of that type, the oldest first."""
        return [message for message in self.messages if message["type"] == type]

    def views(self) -> list[str]:
        """The states of this person's own views that it was told, the oldest first."""
        return [message["view"] for message in self.all("streamChanged") if "view" in message]

    def stream(self, source: str = "camera") -> str:
        """The id of the stream that this person presents, or would present."""
        return f"{self.participant_id}.{source}"
