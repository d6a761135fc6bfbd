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


async def test_all_see_the_picture_even_after_a_media_server_is_lost_and_nothing_is_left(
    three: MediaServers,
) -> None:
    async with serving(*three.urls, views_per_media_server=FEW, relays_per_media_server=1) as server:
        async with open_audience(server.url, 3 * FEW) as audience:
            room = room_of(server)
            assert room.broadcast is not None
            relays = room.broadcast.relays
            assert [relay.depth for relay in relays] == [1, 2]
            with trio.fail_after(LOADED):
                while {relay.state for relay in room.broadcast.relays} != {"live"}:  # noqa: ASYNC110
                    await trio.sleep(0.05)
            # The stream and six views, and two endpoints for each of the two relays.
            assert sorted(await endpoints(three.urls, settled=11)) == [3, 4, 4]
            # The middle of the chain goes, and with it what came from there.
            three.process_of(relays[0].below).kill()
            with trio.fail_after(LOADED):
                while sorted(person.views for person in audience.viewers) != [1, 1, 2, 2, 2, 2]:  # noqa: ASYNC110
                    await trio.sleep(0.05)
                await audience.all_watch(trio.current_time())
            assert not any(person.told for person in audience.people)
            alive = tuple(url for url in three.urls if url != relays[0].below)
            # The stream, its views, and one relay.
            assert len(await endpoints(alive, settled=9)) == 2
        await endpoints(alive, settled=0)
