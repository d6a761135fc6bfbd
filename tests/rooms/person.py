"""A person in tests: a session without a connection, whose room's messages are kept to be looked at."""

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
from roomfsm.rooms.room import Room, RoomOver

_numbers = itertools.count(1)


class Person:
    """Implements `roomfsm.rooms.participant.Link`."""

    outbox = (0, 0)
    attachment = 0

    def __init__(
        self, directory: Directory, name: str = "Ada", address: str = "192.0.2.1", rates: Rates = UNBOUNDED
    ) -> None:
        self.name = name
        self.participant_id = f"p{next(_numbers)}"
        self.voice = Voice(self.participant_id, address, rates)
        self._messages: list[dict[str, Any]] = []
        self._unread: list[bytes] = []
        self._directory = directory
        self._model = SESSION.new()
        self._room: Room | None = None

    @property
    def state(self) -> str:
        return self._model.state

    @property
    def room(self) -> Room | None:
        return self._room

    @property
    def sits_in(self) -> Room:
        assert self._room is not None
        return self._room

    @property
    def messages(self) -> list[dict[str, Any]]:
        """All that came, oldest first. Decoded when somebody looks: in a crowd most is never looked at."""
        self._messages += map(json.loads, self._unread)
        self._unread.clear()
        return self._messages

    def deliver(self, outgoing: Outgoing, room: Room) -> None:
        if room is self._room or outgoing.is_reply:
            self._unread.append(outgoing.payload)

    def seated(self, room: Room) -> None:
        before, self._room = self._room, room
        step = self._fire("join" if before is None else "switch")
        if before is not None:
            before.journal.took(SESSION.name, self.participant_id, step, who=self.participant_id)
            with suppress(RoomOver):
                before.post_nowait(Depart(self, "switched"))

    def ice_servers(self) -> tuple[IceServer, ...]:
        return ()

    def resumed(self, room: Room) -> None:
        if room is self._room:
            self._fire("resumed")

    def unseated(self, room: Room) -> None:
        if room is self._room:
            self._fire("dismissed")
            self._room = None

    def _fire(self, trigger: str) -> Step:
        step = SESSION.fire(self._model, trigger, SessionFacts())
        me, ended = self.participant_id, SESSION.state(step.dest).final
        self.sits_in.journal.took(SESSION.name, me, step, who=me, final=ended)
        return step

    async def join(self, room: str, ref: Ref | None = None) -> None:
        if SESSION.state(self.state).final:
            self._model = SESSION.new()
        await self._directory.enter(room, Enter(self, self.name, ref))

    async def leave(self, reason: str = "left", ref: Ref | None = None) -> None:
        # One who is away cannot say so: the resume window ends.
        self._fire("leave" if "leave" in SESSION.legal(self.state) else "expire")
        room, self._room = self.sits_in, None
        with suppress(RoomOver):
            await room.request(Depart(self, reason, ref))

    async def switch(self, room: str) -> None:
        await self._directory.enter(room, Enter(self, self.name, None, asked="switch"))

    async def say(self, message: RoomMessage) -> None:
        await self.sits_in.post(Ask(self, message))

    async def vanish(self) -> None:
        self._fire("lost")
        await self.sits_in.post(Away(self))

    async def come_back(self) -> None:
        self._fire("reattach")
        await self.sits_in.post(Back(self, None, self.attachment))

    def last(self, type: str) -> dict[str, Any]:  # noqa: A002 (the protocol's word)
        """The newest message of that type."""
        return self.all(type)[-1]

    def all(self, type: str) -> list[dict[str, Any]]:  # noqa: A002 (the protocol's word)
        """Every message of that type, oldest first."""
        return [message for message in self.messages if message["type"] == type]

    def views(self) -> list[str]:
        """What this one was told of its own views, oldest first."""
        return [message["view"] for message in self.all("streamChanged") if "view" in message]

    def stream(self, source: str = "camera") -> str:
        return f"{self.participant_id}.{source}"
