"""Given three media servers, each a process, and more viewers than one may have, then all see the picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
import trio

from roomfsm.kurento.settings import KurentoSettings
from roomfsm.kurento.visit import open_visit
from roomfsm.rooms.room import Room
from tests.processes import LOADED, Process, media_server_program
from tests.serving import Served, serving
from tests.system.audience import ROOM, open_audience

FEW = 2
"""The views that one media server has of the room."""


@dataclass
class MediaServers:
    urls: tuple[str, ...]
    processes: tuple[Process, ...]

    def process_of(self, url: str) -> Process:
        return self.processes[self.urls.index(url)]


@pytest.fixture
def three() -> Iterator[MediaServers]:
    with ExitStack() as stack:
        started = [stack.enter_context(media_server_program()) for _ in range(3)]
        yield MediaServers(tuple(url for url, _ in started), tuple(process for _, process in started))


def room_of(server: Served) -> Room:
    room = server.running.directory.find(ROOM)
    assert room is not None
    return room


async def endpoints(urls: tuple[str, ...], *, settled: int) -> list[int]:
    """How many endpoints each media server has, by its own word, as soon as there are `settled` in all."""
    with trio.fail_after(LOADED):
        while True:
            found = [await _endpoints(url) for url in urls]
            if sum(found) == settled:
                return found
            await trio.sleep(0.05)


async def _endpoints(url: str) -> int:
    async with open_visit(url, KurentoSettings()) as visit:
        return sum([len(await visit.children(pipeline)) for pipeline in await visit.pipelines()])


async def release_relay_at(url: str, room: Room) -> None:
    """Release the endpoint that sends a relay from this media server, as nobody but a fault would do."""
    (stream,) = room.streams.values()
    known = {stream.endpoint_id, *(view.endpoint_id for view in stream.views.values())}
    async with open_visit(url, KurentoSettings()) as visit:
        (pipeline,) = await visit.pipelines()
        (sender,) = {*await visit.children(pipeline)} - known
        await visit.call("release", {"object": sender})


async def until_live(room: Room, relays: int) -> None:
    """Wait until so many relays carry media, and no other."""
    assert room.broadcast is not None
    with trio.fail_after(LOADED):
        while [relay.state for relay in room.broadcast.relays] != relays * ["live"]:  # noqa: ASYNC110
            await trio.sleep(0.05)


async def test_all_see_the_picture_even_after_faults_and_nothing_is_left(three: MediaServers) -> None:
    async with serving(*three.urls, views_per_media_server=FEW, relays_per_media_server=1) as server:
        async with open_audience(server.url, 3 * FEW) as audience:
            room = room_of(server)
            assert room.broadcast is not None
            first, second = room.broadcast.relays
            assert (first.depth, second.depth) == (1, 2)
            await until_live(room, 2)
            # The stream and six views, and two endpoints for each of the two relays.
            assert sorted(await endpoints(three.urls, settled=11)) == [3, 4, 4]
            # A relay is lost, and made anew under its viewers.
            await release_relay_at(first.above, room)
            with trio.fail_after(LOADED):
                while not room.journal.counts.moves["relay", "lost"]:  # noqa: ASYNC110
                    await trio.sleep(0.05)
            await until_live(room, 2)
            with trio.fail_after(LOADED):
                await audience.all_watch(trio.current_time())
            assert [person.views for person in audience.viewers] == 3 * FEW * [1]
            # The middle of the chain goes, and with it its viewers. Those behind it get the stream from elsewhere.
            three.process_of(first.below).kill()
            with trio.fail_after(LOADED):
                while sorted(person.views for person in audience.viewers) != [1, 1, 1, 1, 2, 2]:  # noqa: ASYNC110
                    await trio.sleep(0.05)
                await audience.all_watch(trio.current_time())
            assert not any(person.told for person in audience.people)
            alive = tuple(url for url in three.urls if url != first.below)
            # The stream, its views, and one relay.
            assert len(await endpoints(alive, settled=9)) == 2
        await endpoints(alive, settled=0)
