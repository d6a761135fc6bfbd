"""Sessions without connections, as rooms see them, and the people who use them."""

from __future__ import annotations

import itertools
import json
from contextlib import suppress
from typing import Any

from roomfsm.lifecycle.session import SESSION, SessionFacts
from roomfsm.lifecycle.table import Step
from roomfsm.protocol.codec import Outgoing
from roomfsm.protocol.fields import Ref
from roomfsm.protocol.server import IceServer
from roomfsm.rooms.allowance import UNBOUNDED, Rates, Voice
from roomfsm.rooms.directory import Directory
from roomfsm.rooms.events import Ask, Away, Back, Depart, Enter, RoomMessage
from roomfsm.rooms.journal import Journal
from roomfsm.rooms.room import Room, RoomOver

_numbers = itertools.count(1)


class FakeSession:
    """Implements `roomfsm.rooms.participant.Link`. `fire` moves its machine, like that of a real session.

    `room` is the session's room, or None. Its steps go into the journal of that room, or else into `journal`.
    """

    outbox = (0, 0)
    attachment = 0

    def __init__(self, participant_id: str, voice: Voice, journal: Journal | None = None) -> None:
        self.participant_id = participant_id
        self.voice = voice
        self.room: Any = None
        self._journal = journal
        self._model = SESSION.new()

    @property
    def state(self) -> str:
        return self._model.state

    def deliver(self, outgoing: Outgoing, room: Room) -> None:
        """Ignore a message of the room."""

    def ice_servers(self) -> tuple[IceServer, ...]:
        return ()

    def seated(self, room: Room) -> None:
        before, self.room = self.room, room
        step = self.fire("join" if before is None else "switch")
        if before is not None:
            self.left_for_another(before, step)

    def left_for_another(self, before: Room, step: Step) -> None:
        """Called when this step of its machine made the session leave the room `before`, which must be told."""

    def resumed(self, room: Room) -> None:
        if room is self.room:
            self.fire("resumed")

    def unseated(self, room: Room) -> None:
        if room is self.room:
            self.fire("dismissed")
            self.room = None

    def fire(self, trigger: str) -> Step:
        """Move the session's machine. Raises `IllegalInState`."""
        step = SESSION.fire(self._model, trigger, SessionFacts())
        journal = self.room.journal if self._journal is None else self._journal
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

    @property
    def sits_in(self) -> Room:
        """The room of this person."""
        assert isinstance(self.room, Room)
        return self.room

    @property
    def messages(self) -> list[dict[str, Any]]:
        """All messages that came, the oldest first.

        They are decoded only when they are read, because in a crowd most are never read.
        """
        self._messages += map(json.loads, self._unread)
        self._unread.clear()
        return self._messages

    def deliver(self, outgoing: Outgoing, room: Room) -> None:
        if room is self.room or outgoing.is_reply:
            self._unread.append(outgoing.payload)

    def left_for_another(self, before: Room, step: Step) -> None:
        before.journal.took(SESSION.name, self.participant_id, step, who=self.participant_id)
        with suppress(RoomOver):
            before.post_nowait(Depart(self, "switched"))

    # What people do. A refusal by the room is raised as `Refusal`.

    async def join(self, room: str, ref: Ref | None = None) -> None:
        """Enter a room of this name."""
        if SESSION.state(self.state).final:
            self._model = SESSION.new()
        await self._directory.enter(room, Enter(self, self.name, ref))

    async def leave(self, reason: str = "left", ref: Ref | None = None) -> None:
        """Leave the room. If the person has vanished, this is the end of the resume window."""
        self.fire("leave" if "leave" in SESSION.legal(self.state) else "expire")
        room, self.room = self.sits_in, None
        with suppress(RoomOver):
            await room.request(Depart(self, reason, ref))

    async def switch(self, room: str) -> None:
        """Go to another room."""
        await self._directory.enter(room, Enter(self, self.name, None, asked="switch"))

    async def say(self, message: RoomMessage) -> None:
        """Send a message to the room."""
        await self.sits_in.post(Ask(self, message))

    async def vanish(self) -> None:
        """Lose the connection."""
        self.fire("lost")
        await self.sits_in.post(Away(self))

    def reattach(self) -> None:
        """Get a new connection, of which the room does not know yet."""
        self.fire("reattach")
        self.attachment += 1

    async def come_back(self) -> None:
        """Get a new connection, and tell the room."""
        self.reattach()
        await self.sits_in.post(Back(self, None, self.attachment))

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
