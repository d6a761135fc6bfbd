"""People who talk in rooms of several nodes while faults happen, and a check that no line was lost or doubled.

Each person sends numbered lines, and keeps what it was told: the lines of others, and the echoes of its own,
which are promises. A person whose connection is lost, or who hears nothing for a while, comes back over another
node with its token. A line without an echo is sent again, unless the room has it by then.
"""

from __future__ import annotations

import itertools
import json
import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, open_websocket_url

from roomfsm.protocol import SUBPROTOCOL

type Wire = dict[str, Any]

_NEW_SEAT = ("session_unknown", "ended", "room_closed", "no_such_participant")
"""Codes after which a person has lost its seat, and enters anew."""


_HANDSHAKE = 2.0
"""Seconds."""


class Away(Exception):
    """The connection is of no more use."""


@dataclass(slots=True)
class Crowd:
    """Everybody, and how they behave. Times are in seconds."""

    urls: Sequence[str]
    """The addresses of the nodes, each of which may be down."""
    rooms: Sequence[str]
    pause: float = 0.5
    """Between two lines of a person."""
    patience: float = 3.0
    """After which a person takes a connection for dead that does not answer."""
    members: list[Member] = field(default_factory=list)
    talks: bool = True
    """Whether people go on to send new lines."""
    dice: random.Random = field(default_factory=lambda: random.Random(7))
    watch: Watch | None = None
    """Who waits to be heard again."""

    def gather(self, people: int, nursery: trio.Nursery) -> None:
        """Let people come, spread over the rooms and nodes."""
        for number in range(people):
            member = Member(self, f"m{number}", self.rooms[number % len(self.rooms)])
            self.members.append(member)
            nursery.start_soon(member.live)

    async def until_all_talk(self) -> None:
        """Wait until everybody is in its room and has had an echo since now."""
        now = trio.current_time()
        for member in self.members:
            while member.heard_itself < now:
                await member.echoed()

    async def be_quiet(self) -> None:
        """Send no new lines, and wait until each line that was sent has its echo, or is in the room."""
        self.talks = False
        for member in self.members:
            while member.pending is not None:
                await member.echoed()

    async def until_all_are_heard(self) -> list[float]:
        """Wait until a new line of everybody has come to everybody in the room.

        Returns after how many seconds each person was heard so.
        """
        self.watch = Watch(self.members)
        await self.watch.done.wait()
        return list(self.watch.after.values())

    def absences(self) -> list[float]:
        """How long people were out of their rooms, each time, since the last call."""
        found = [seconds for member in self.members for seconds in member.absences]
        for member in self.members:
            member.absences.clear()
        return found

    async def faults(self) -> list[str]:
        """What is wrong with the lines, once everybody `is quiet`: nothing, if all is well."""
        found: list[str] = []
        for room in self.rooms:
            history = await self._history(room)
            texts = Counter(history.values())
            found += [f"{room}: {text} is there {count} times" for text, count in texts.items() if count > 1]
            for member in self.members:
                if member.room == room:
                    found += [f"{room}: {text} was promised and is lost" for text in member.promised - set(texts)]
                    found += [
                        f"{room}: line {seq} was {text} for {member.name}, and is {history.get(seq)}"
                        for seq, text in member.lines.items()
                        if history.get(seq) != text
                    ]
                    missed = range(member.first_line, max(history, default=0) + 1)
                    found += [
                        f"{room}: {member.name} has not heard of line {seq}"
                        for seq in missed
                        if seq in history and seq not in member.lines
                    ]
        return found

    async def _history(self, room: str) -> dict[int, str]:
        """The lines of a room, as a newcomer gets them."""
        for url in itertools.cycle(self.urls):
            try:
                async with _connected(url) as websocket:
                    await _receive(websocket)
                    await websocket.send_message(json.dumps({"type": "join", "room": room, "name": "x", "ref": 1}))
                    with trio.fail_after(self.patience):
                        while (reply := await _receive(websocket)).get("ref") != 1:
                            pass
                    if reply["type"] == "joined":
                        return {line["seq"]: line["text"] for line in reply["chat"]}
            except (Away, ConnectionClosed, HandshakeError, OSError, trio.TooSlowError):
                pass
            await trio.sleep(0.05)
        raise AssertionError("unreachable")


class Watch:
    """How long it takes until each person is heard by everybody in the room, from now on.

    Only lines count that a person begins to send from now on.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self._began = trio.current_time()
        self._first = {member.name: member.begun for member in members}
        self._people = Counter(member.room for member in members)
        self._heard: Counter[str] = Counter()
        self.after: dict[str, float] = {}
        """Seconds, of each person who was heard."""
        self.done = trio.Event()

    def hears(self, member: Member, text: str) -> None:
        """This member was told this line for the first time."""
        name, _, number = text.partition(":")
        if name in self.after or int(number) < self._first[name]:
            return
        self._heard[text] += 1
        if self._heard[text] == self._people[member.room]:
            self.after[name] = trio.current_time() - self._began
            if len(self.after) == len(self._first):
                self.done.set()


class Member:
    """One person."""

    def __init__(self, crowd: Crowd, name: str, room: str) -> None:
        self._crowd = crowd
        self.name = name
        self.room = room
        self.lines: dict[int, str] = {}
        """All lines that the person was told, by their numbers."""
        self.first_line = 0
        """The number of the first line that the person has to know of."""
        self.promised: set[str] = set()
        """The person's own lines that had an echo."""
        self.pending: str | None = None
        """The line that was sent last, and has no echo yet."""
        self.heard_itself = -1.0
        self.absences: list[float] = []
        self.anew = 0
        """How often the person had lost its seat."""
        self.refusals: Counter[str] = Counter()
        self._token: str | None = None
        self.begun = 0
        """How many lines the person has begun to send."""
        self._echoed = trio.Event()
        self._gone_since: float | None = None

    async def echoed(self) -> None:
        """Wait for the next echo."""
        await self._echoed.wait()

    async def live(self) -> None:
        """Be in the room, again and again, until cancelled."""
        while True:
            url = self._crowd.dice.choice(self._crowd.urls)
            try:
                # trio-websocket may wait for ever if the other end is gone during the handshake.
                with trio.CancelScope(deadline=trio.current_time() + _HANDSHAKE) as shaking_hands:
                    async with _connected(url) as websocket:
                        shaking_hands.deadline = math.inf
                        try:
                            await self._stay(websocket)
                        finally:
                            # Whoever gives up a connection means to come back, and says no goodbye.
                            await trio.aclose_forcefully(websocket._stream)
            except* (Away, ConnectionClosed, HandshakeError, OSError, trio.TooSlowError):
                pass
            if self._gone_since is None:
                self._gone_since = trio.current_time()
            await trio.sleep(self._crowd.dice.uniform(0.02, 0.1))

    async def _stay(self, websocket: WebSocketConnection) -> None:
        with trio.fail_after(self._crowd.patience):
            token = (await _receive(websocket))["resumeToken"]
            await self._enter(websocket)
        self._token = token
        if self._gone_since is not None:
            self.absences.append(trio.current_time() - self._gone_since)
            self._gone_since = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._talk, websocket)
            while True:
                self._take(await _receive(websocket))

    async def _enter(self, websocket: WebSocketConnection) -> None:
        if self._token is not None:
            reply = await _ask(websocket, type="resume", token=self._token)
            if reply.get("code") in _NEW_SEAT:
                self._token = None
                self.anew += 1
                self.refusals[f"resume: {reply['code']}"] += 1
        if self._token is None:
            reply = await _ask(websocket, type="join", room=self.room, name=self.name)
            if reply["type"] == "joined" and not self.first_line:
                self.first_line = max((line["seq"] for line in reply["chat"]), default=0) + 1
        if reply["type"] != "joined":
            self.refusals[str(reply.get("code"))] += 1
            raise Away
        for line in reply["chat"]:
            self._note(line)

    async def _talk(self, websocket: WebSocketConnection) -> None:
        while True:
            if self.pending is None and self._crowd.talks:
                self.pending = f"{self.name}:{self.begun}"
                self.begun += 1
            if self.pending is None:
                # Whoever has nothing to say finds out in this way whether the connection is dead.
                await websocket.send_message(json.dumps({"type": "ping"}))
            else:
                echo = self._echoed
                await websocket.send_message(json.dumps({"type": "chat", "text": self.pending, "ref": "c"}))
                with trio.fail_after(self._crowd.patience):
                    await echo.wait()
            await trio.sleep(self._crowd.pause * self._crowd.dice.uniform(0.5, 1.5))

    def _take(self, message: Wire) -> None:
        if message["type"] == "chat":
            self._note(message["line"])
        elif message["type"] == "error" and message.get("ref") == "c":
            self.refusals[message["code"]] += 1
            # It is sent again on this connection, after a pause.
            self._ring()

    def _note(self, line: Wire) -> None:
        if self._crowd.watch is not None and line["seq"] not in self.lines:
            self._crowd.watch.hears(self, line["text"])
        self.lines[line["seq"]] = line["text"]
        if self.pending is not None and line["text"] == self.pending:
            self.promised.add(self.pending)
            self.pending = None
            self.heard_itself = trio.current_time()
            self._ring()

    def _ring(self) -> None:
        self._echoed.set()
        self._echoed = trio.Event()


def _connected(url: str) -> Any:
    return open_websocket_url(
        url,
        subprotocols=[SUBPROTOCOL],
        message_queue_size=10_000,
        max_message_size=2**24,
        disconnect_timeout=0.2,
    )


async def _receive(websocket: WebSocketConnection) -> Wire:
    message: Wire = json.loads(await websocket.get_message())
    return message


async def _ask(websocket: WebSocketConnection, **message: Any) -> Wire:
    """Send a message, and return what answers it. Whatever else comes before is news of no interest."""
    await websocket.send_message(json.dumps({**message, "ref": "a"}))
    while (reply := await _receive(websocket)).get("ref") != "a":
        pass
    return reply
