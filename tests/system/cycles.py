"""Cycles in which people join, publish, view and leave in every way, against a running server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from roomfsm.protocol.errors import CloseCode
from tests.mediaserver.peer import VP8_KEYFRAME, TestPeer, open_test_peer
from tests.protocol_client import Client, Wire, open_client

PATIENCE = 60.0
"""The seconds after which a wait fails."""

LANES = 4
"""The number of cycles that run at the same time."""

RESUME_WINDOW = 0.5
"""The setting of the server. It is small, because the test waits for the end of each such time."""

STAGE = "stage"
"""The room where somebody always presents. Its pipeline outlives the cycles, so it cannot hide their leaks."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A presenter and a viewer in one room, each with a browser's media connection."""

    url: str
    ada: Client
    bob: Client
    camera: TestPeer
    display: TestPeer

    @property
    def stream(self) -> str:
        return f"{self.ada.me}.camera"

    async def watch(self) -> None:
        """Publish and view, until the viewer gets media."""
        await connect(self.camera, await self.ada.ask("publish", source="camera", sdp=self.camera.offer))
        await connect(self.display, await self.bob.ask("view", stream=self.stream, sdp=self.display.offer))
        received = False
        while not received:
            self.camera.send_rtp(VP8_KEYFRAME)
            with trio.move_on_after(0.2):
                await self.display.receive_rtp()
                received = True

    async def begin(self) -> None:
        """Ask to publish and to view, without waiting for an answer."""
        await self.ada.send("publish", source="camera", sdp=self.camera.offer)
        started: Wire = {}
        while started.get("stream", {}).get("id") != self.stream:
            started = await self.bob.expect("streamStarted")
        await self.bob.send("view", stream=self.stream, sdp=self.display.offer)


async def join(client: Client, room: str) -> None:
    """Join, and try again while a room of that name is about to end."""
    while (reply := await client.ask("join", room=room, name="Ada"))["type"] == "error":
        assert reply.get("state") == "closing", reply
        await trio.sleep(0.05)
    client.me = reply["you"]


async def connect(peer: TestPeer, answer: Wire) -> None:
    assert answer["type"] == "answer", answer
    await peer.accept(answer["sdp"])


async def cut(client: Client) -> None:
    """End the TCP connection without a closing frame."""
    await client.websocket._stream.aclose()
    # The library closes a websocket only once all that came before is read.
    await client.closed()


async def leave(pair: Pair) -> None:
    await pair.watch()
    await pair.bob.ask("leave")
    await pair.ada.ask("leave")


async def stop_and_leave(pair: Pair) -> None:
    await pair.watch()
    await pair.bob.ask("unview", stream=pair.stream)
    await pair.ada.ask("unpublish", stream=pair.stream)
    await pair.ada.ask("leave")
    await pair.bob.ask("leave")


async def close_the_page(pair: Pair) -> None:
    """The websockets are closed, and nobody sends anything more."""
    await pair.watch()


async def cut_the_connections(pair: Pair) -> None:
    await pair.watch()
    await cut(pair.ada)
    await cut(pair.bob)


async def leave_in_the_middle(pair: Pair) -> None:
    await pair.begin()
    await pair.bob.send("leave")
    await pair.ada.send("leave")
    await pair.ada.expect("participantLeft", participant=pair.ada.me)


async def cut_in_the_middle(pair: Pair) -> None:
    await pair.begin()
    await cut(pair.bob)
    await cut(pair.ada)


async def hang_up_the_media(pair: Pair) -> None:
    """The browsers close their media connections first, the viewer's before the presenter's."""
    await pair.watch()
    pair.display.close_notify()
    while (await pair.bob.expect("streamChanged")).get("view") != "ended":
        pass
    pair.camera.close_notify()
    await pair.bob.expect("streamEnded", stream=pair.stream)


async def vanish(pair: Pair) -> None:
    """The browsers send nothing any more, neither media nor a goodbye."""
    await pair.watch()
    for peer in (pair.camera, pair.display):
        peer.lose = lambda _datagram: True
    await cut(pair.ada)
    await cut(pair.bob)


async def come_back(pair: Pair) -> None:
    """One connection resumes two sessions, one after the other, while the second still has its own connection."""
    await pair.watch()
    async with open_client(pair.url) as back:
        since = trio.current_time()
        await cut(pair.ada)
        resumed = await back.ask("resume", token=pair.ada.welcome["resumeToken"])
        if resumed.get("code") == "session_unknown":
            # This is right only on a machine that is so busy.
            assert trio.current_time() - since > RESUME_WINDOW
        else:
            assert resumed.get("you") == pair.ada.me, resumed
            await back.ask("leave")
        await resume(back, pair.bob)
        assert await pair.bob.closed() == CloseCode.RESUMED_ELSEWHERE
        await back.ask("leave")


async def resume(client: Client, before: Client) -> None:
    """Resume the session of another connection."""
    resumed = await client.ask("resume", token=before.welcome["resumeToken"])
    assert resumed.get("you") == before.me, resumed


PARTINGS: tuple[Callable[[Pair], Awaitable[None]], ...] = (
    leave,
    stop_and_leave,
    close_the_page,
    cut_the_connections,
    leave_in_the_middle,
    cut_in_the_middle,
    hang_up_the_media,
    vanish,
    come_back,
)


async def cycle(url: str, room: str, part: Callable[[Pair], Awaitable[None]]) -> None:
    with trio.move_on_after(PATIENCE) as patience:
        async with (
            open_test_peer("sendonly") as camera,
            open_test_peer("recvonly") as display,
            open_client(url) as ada,
            open_client(url) as bob,
        ):
            await join(ada, room)
            await join(bob, room)
            await part(Pair(url, ada, bob, camera, display))
    if patience.cancelled_caught:
        # Of the error itself pytest shows nothing: it cuts what is nested deeper than ten groups.
        print(f"{part.__name__} in {room} does not end; heard: {[message['type'] for message in ada.seen]}")
        raise trio.TooSlowError


async def run_cycles(url: str, count: int) -> None:
    """Try each way to leave in turn, in the room where somebody presents and in rooms that come and go."""
    numbers = iter(range(count))

    async def lane(name: str) -> None:
        for number in numbers:
            turn, way = divmod(number, len(PARTINGS))
            await cycle(url, STAGE if turn % 2 else name, PARTINGS[way])

    async with trio.open_nursery() as nursery:
        for index in range(LANES):
            nursery.start_soon(lane, f"lane-{index}")


@asynccontextmanager
async def presenting(url: str) -> AsyncIterator[None]:
    """Eve presents on the stage, and reads what she is told."""
    async with open_test_peer("sendonly") as camera, open_client(url) as eve, trio.open_nursery() as nursery:
        await eve.join(STAGE, "Eve")
        await connect(camera, await eve.ask("publish", source="camera", sdp=camera.offer))

        async def read() -> None:
            while True:
                await eve.websocket.get_message()

        nursery.start_soon(read)
        yield
        nursery.cancel_scope.cancel()
