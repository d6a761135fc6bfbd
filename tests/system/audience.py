"""A presenter and an audience, with WebRTC peers, who act as pages do when the media server is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import trio
from trio_websocket import ConnectionClosed

from tests.mediaserver.peer import VP8_KEYFRAME, open_test_peer
from tests.protocol_client import Client, Wire, open_client

ROOM = "theatre"
_FRAME = 0.04
_AGAIN = 0.1
"""The seconds after which a page asks again if there was no media server."""


@dataclass(slots=True)
class Person:
    """The times when a person was told that the stream has ended, and when a frame reached or left that person."""

    client: Client
    told: list[float] = field(default_factory=list)
    frames: list[float] = field(default_factory=list)
    leg: trio.CancelScope = field(default_factory=trio.CancelScope)
    answers: dict[int, trio.MemorySendChannel[Wire]] = field(default_factory=dict)
    views: int = 0
    """How many times the person began to view, or began again because the view ended and the stream did not."""

    async def ask(self, type_: str, **fields: Any) -> Wire:
        """Like the client's method, while `listen` reads."""
        answer, answered = trio.open_memory_channel[Wire](1)
        ref = self.client._ref + 1
        self.answers[ref] = answer
        with suppress(ConnectionClosed):  # Then there is no answer, and nobody else asks.
            await self.client.send(type_, **fields)
        return await answered.receive()

    async def listen(self, heard: Callable[[Wire], None]) -> None:
        """Read messages until the server closes the connection."""
        while True:
            try:
                message = await self.client._receive()
            except ConnectionClosed:
                return
            if message["type"] == "streamEnded":
                self.told.append(trio.current_time())
                self.leg.cancel()
            if message.get("view") == "ended":
                self.views += 1
                self.leg.cancel()
            answer = self.answers.pop(message.get("ref", 0), None)
            if answer is not None:
                answer.send_nowait(message)
            heard(message)


@dataclass(slots=True)
class Audience:
    presenter: Person
    viewers: list[Person]

    @property
    def people(self) -> list[Person]:
        return [self.presenter, *self.viewers]

    async def all_watch(self, since: float) -> list[float]:
        """Wait until everybody has got a frame after `since`. Returns when the first one reached each person."""
        while not all(person.frames and person.frames[-1] > since for person in self.viewers):  # noqa: ASYNC110
            await trio.sleep(0.01)
        return [next(time for time in person.frames if time > since) for person in self.viewers]

    async def all_told(self, since: float) -> list[float]:
        """Wait until everybody was told after `since` that the stream has ended. Returns the times."""
        while not all(person.told and person.told[-1] > since for person in self.people):  # noqa: ASYNC110
            await trio.sleep(0.01)
        return [next(time for time in person.told if time > since) for person in self.people]


async def _present(person: Person) -> None:
    """Publish, and publish again whenever the stream ends."""
    while True:
        with trio.CancelScope() as person.leg:
            async with open_test_peer("sendonly") as peer:
                answer = await person.ask("publish", source="camera", sdp=peer.offer)
                if answer["type"] != "answer":
                    await trio.sleep(_AGAIN)
                    continue
                await peer.accept(answer["sdp"])
                timestamp = 0
                while True:
                    peer.send_rtp(VP8_KEYFRAME, timestamp=timestamp, marker=True)
                    timestamp += 3600
                    await trio.sleep(_FRAME)


async def _watch(person: Person, stream: str) -> None:
    """View the stream, and again if only the view ends."""
    begun, person.views = 0, 1
    while begun < person.views:
        begun = person.views
        with trio.CancelScope() as person.leg:
            async with open_test_peer("recvonly") as peer:
                answer = await person.ask("view", stream=stream, sdp=peer.offer)
                if answer["type"] != "answer":
                    return
                await peer.accept(answer["sdp"])
                while True:
                    await peer.receive_rtp()
                    person.frames.append(trio.current_time())


@asynccontextmanager
async def open_audience(url: str, viewers: int) -> AsyncIterator[Audience]:
    """A presenter and so many viewers in a room, who all see the picture. They leave at the end."""
    async with AsyncExitStack() as stack:
        people: list[Person] = []
        for index in range(1 + viewers):
            client = await stack.enter_async_context(open_client(url))
            await client.join(ROOM, f"Person {index}")
            people.append(Person(client))
        audience = Audience(people[0], people[1:])
        async with trio.open_nursery() as nursery:

            def view(person: Person) -> Callable[[Wire], None]:
                def heard(message: Wire) -> None:
                    if message["type"] == "streamStarted":
                        nursery.start_soon(_watch, person, message["stream"]["id"])

                return heard

            for person in audience.viewers:
                nursery.start_soon(person.listen, view(person))
            nursery.start_soon(audience.presenter.listen, lambda _: None)
            nursery.start_soon(_present, audience.presenter)
            await audience.all_watch(0.0)
            yield audience
            nursery.cancel_scope.cancel()
        for person in people:
            with suppress(ConnectionClosed):
                await person.client.send("leave")
