"""Given three media servers, each a process, and more viewers than one may have, then all see the picture."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from roomfsm.kurento.settings import KurentoSettings
from roomfsm.kurento.visit import open_visit
from roomfsm.rooms.room import Room
from tests.mediaserver import kurento_client
from tests.mediaserver.peer import open_test_peer
from tests.ports import reserved_port
from tests.processes import LOADED, Process, media_server_program
from tests.protocol_client import open_client
from tests.serving import Served, serving
from tests.system.audience import ROOM, open_audience
from tests.system.cycles import connect
from tests.system.test_adoption import broadcast, endpoints_at, filming, kill, resume, sees
from tests.system.test_kurento_apart import open_program

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
            # What media servers send to each other is counted apart.
            pool = server.running.directory._pool
            await pool.take_stock(LOADED)
            sent = [bool(traffic.totals["to_media_servers", "packets"]) for traffic in pool.traffic.values()]
            got = [bool(traffic.totals["from_media_servers", "packets"]) for traffic in pool.traffic.values()]
            assert (sorted(sent), sorted(got)) == ([False, True, True], [False, True, True])
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


async def test_pictures_of_a_relay_go_on_while_the_room_server_is_away_and_nothing_is_made_anew(
    tmp_path: Path,
) -> None:
    with media_server_program() as (one, _), media_server_program() as (two, _), reserved_port() as port:
        arguments = (
            *(f"--kurento={one}", f"--kurento={two}", f"--port={port}"),
            *(f"--data={tmp_path / 'data'}", "--views-per-media-server=1"),
        )
        async with AsyncExitStack() as stack:
            camera = await stack.enter_async_context(filming())
            displays = [await stack.enter_async_context(open_test_peer("recvonly")) for _ in range(2)]
            monitors = [await stack.enter_async_context(kurento_client.open_client(url)) for url in (one, two)]

            async def held() -> list[set[str]]:
                return [await endpoints_at(monitor) for monitor in monitors]

            before, tokens = list[set[str]](), list[str]()
            for how in (signal.SIGKILL, None):
                async with AsyncExitStack() as run:
                    program = await run.enter_async_context(open_program(tmp_path, *arguments))
                    ada, *viewers = [await run.enter_async_context(open_client(program.url)) for _ in range(3)]
                    if not before:
                        stream = await broadcast(camera, displays[0], ada, viewers[0])
                        await viewers[1].join("blue", "Cyd")
                        answer = await viewers[1].ask("view", stream=stream, sdp=displays[1].offer)
                        await connect(displays[1], answer)
                        await sees(displays[1])
                        before = await held()
                        # The stream, a view and the sender; the receiver and a view, wherever the home is.
                        assert sorted(map(len, before)) == [2, 3]
                    else:
                        for client, token in zip((ada, *viewers), tokens, strict=True):
                            (seen,) = (await resume(client, token))["streams"]
                            assert (seen["viewers"], seen["generation"]) == (2, 1)
                        assert await held() == before
                        for display in displays:
                            await sees(display)
                    if how is not None:
                        tokens = await kill(program, ada, *viewers, how=how)
                    else:
                        await ada.ask("unpublish", stream=stream)
                        with trio.fail_after(LOADED):
                            while any(await held()):  # noqa: ASYNC110
                                await trio.sleep(0.05)
                for display in displays if how is not None else ():
                    await sees(display)
    log = (tmp_path / "server.log").read_text()
    assert "Traceback" not in log
    # The next run has said in time that it adopts something at each of them.
    assert log.count("kurento session resumed") == 2
