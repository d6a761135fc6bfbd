"""Given what a killed run has left at a media server, then the next run goes on with it, or releases it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from roomfsm.jsonrpc import ErrorObject
from roomfsm.kurento import (
    KurentoSettings,
    MediaFlowOutStateChanged,
    MediaPool,
    MediaServerLost,
    MediaServerUnavailable,
    MediaType,
    ObjectGone,
    PipelinePlace,
    SessionResumed,
    open_media_pool,
)
from roomfsm.kurento.events import SUBSCRIBED
from roomfsm.kurento.owner import INSTANCE_TAG, NAME_TAG, Owner, has_ended, is_running, this_instance
from roomfsm.pids import boot, started
from tests.kurento.fake import URL, FakeServer, fake_server, server_id_at

OWNER = Owner("blue:8080")
OURS = [{"key": NAME_TAG, "value": OWNER.name}, {"key": INSTANCE_TAG, "value": "an earlier run"}]
PIPELINE, PUBLISHER, VIEWER = "p_kurento.MediaPipeline", "p_kurento.MediaPipeline/a", "p_kurento.MediaPipeline/b"
SERVER_ID = server_id_at(URL)
PLACE = PipelinePlace(URL, "former", SERVER_ID, PIPELINE)


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeServer]:
    """A media server that an earlier run has left a pipeline with two endpoints."""
    async with fake_server(monkeypatch) as server:
        server.sessions.add(PLACE.session_id)
        server.objects |= {PIPELINE, PUBLISHER, VIEWER}
        yield server


@asynccontextmanager
async def resumed(*places: PipelinePlace, owner: Owner | None = None) -> AsyncIterator[MediaPool]:
    with trio.fail_after(300):
        async with open_media_pool([URL], owner=owner, at_once=False) as pool:
            pool.resume(places)
            yield pool


def released(server: FakeServer) -> list[str]:
    return [str((one.params or {})["object"]) for one in server.requests if one.method == "release"]


async def test_it_is_adopted_with_its_subscriptions_and_nothing_is_created(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    async with resumed(PLACE) as pool, pool.adopt(PLACE) as pipeline:
        assert pipeline.place == PLACE
        async with pipeline.adopt(PUBLISHER) as endpoint:
            # What happened while nobody listened must be asked for.
            assert isinstance(await endpoint.events.receive(), SessionResumed)
            await server.emit(PUBLISHER, "MediaFlowOutStateChanged", mediaType="VIDEO", state="FLOWING")
            assert isinstance(await endpoint.events.receive(), MediaFlowOutStateChanged)
            (status,) = pool.servers
            assert (status.session_id, status.pipelines, status.endpoints) == (PLACE.session_id, 1, 1)
            asked = [request for request in server.requests if request.method != "ping"]
            assert "create" not in {request.method for request in asked}
            assert [request.method for request in asked].count("connect") == 1
            # A media server answers an id that was used before from its cache.
            assert all(isinstance(request.id, int) and 2**20 < request.id < 2**53 for request in asked)
        assert released(server) == [PUBLISHER]
    assert released(server) == [PUBLISHER, PIPELINE]


async def test_what_nobody_adopts_is_released_and_what_is_made_meanwhile_is_not(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    async with resumed(PLACE) as pool, pool.adopt(PLACE) as pipeline, pipeline.adopt(PUBLISHER):
        server.objects.add(f"{PIPELINE}/new")
        pipeline.release_left()
        await server.arrived("release")
        assert released(server) == [VIEWER]
        with pytest.raises(ObjectGone):
            async with pipeline.adopt(VIEWER):
                pass


async def test_what_is_left_is_not_released_and_its_session_is_adopted_again(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    for _ in range(2):
        async with resumed(PLACE) as pool:
            assert not pool.leaves(URL)
            async with pool.adopt(PLACE) as pipeline, pipeline.adopt(PUBLISHER), pipeline.adopt(VIEWER):
                pool.leave(PLACE, [PUBLISHER, VIEWER])
            assert pool.leaves(URL)
            assert not pool.leaves("ws://another.test/kurento")
    assert released(server) == []
    assert "closeSession" not in server.methods()
    assert server.methods().count("create") == 0


async def test_beside_what_is_left_everything_else_is_released(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    async with (
        resumed(PLACE) as pool,
        pool.adopt(PLACE) as pipeline,
        pipeline.adopt(PUBLISHER),
        pipeline.adopt(VIEWER),
        pool.pipeline({}) as another,
    ):
        pool.leave(PLACE, [PUBLISHER])
    assert released(server) == [another.id, VIEWER]
    assert "closeSession" not in server.methods()


async def test_a_session_with_something_left_is_not_closed_when_its_connection_is_refused(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    async with resumed(PLACE) as pool, pool.adopt(PLACE) as pipeline:
        pool.leave(PLACE, [PUBLISHER])
        server.refuse_connections, server.refusal = True, ConnectionRefusedError()
        await server.cut()
        await pipeline.lost.wait()
        server.refuse_connections = False
        await pool.wait_ready()
    assert PLACE.session_id in server.sessions


@pytest.mark.parametrize("gone", [PUBLISHER, PIPELINE])
async def test_what_is_gone_is_reported_as_gone(server: FakeServer, autojump_clock: MockClock, gone: str) -> None:
    server.objects = {name for name in server.objects if not name.startswith(gone)}
    async with resumed(PLACE) as pool:
        with pytest.raises(ObjectGone):
            async with pool.adopt(PLACE) as pipeline, pipeline.adopt(PUBLISHER):
                pass
        assert pool.ready()


async def test_an_endpoint_is_adopted_once(server: FakeServer, autojump_clock: MockClock) -> None:
    async with resumed(PLACE) as pool, pool.adopt(PLACE) as pipeline, pipeline.adopt(PUBLISHER):
        with pytest.raises(ObjectGone):
            async with pipeline.adopt(PUBLISHER):
                pass


async def test_an_endpoint_that_goes_while_its_pipeline_is_adopted_ends_nothing_else(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.hold("getChildren")
    async with resumed(PLACE) as pool, trio.open_nursery() as nursery:

        async def go() -> None:
            await server.arrived("getChildren")
            server.objects.remove(PUBLISHER)
            await server.let_go("getChildren")

        nursery.start_soon(go)
        async with pool.adopt(PLACE) as pipeline, pipeline.adopt(VIEWER):
            pass
        (tried, *_) = [one.params for one in server.requests if one.method == "subscribe"]
        assert tried is not None
        assert tried["object"] == PUBLISHER


async def test_of_a_media_server_that_was_restarted_nothing_can_be_adopted(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.server_id = "server-2"
    async with resumed(PLACE) as pool:
        with pytest.raises(MediaServerLost):
            async with pool.adopt(PLACE):
                pass
        assert pool.servers[0].session_id != PLACE.session_id
        async with pool.pipeline({}) as pipeline:
            assert pipeline.id in server.objects


@pytest.mark.parametrize("how", ["forgotten", "refused"])
async def test_if_the_session_is_gone_there_is_a_new_one_that_makes_the_objects_its_own(
    server: FakeServer, autojump_clock: MockClock, how: str
) -> None:
    if how == "forgotten":
        server.sessions.clear()
    else:
        server.fail["connect"] = ErrorObject(40003, "no", {"type": "UNEXPECTED_ERROR"})
    async with resumed(PLACE, owner=OWNER) as pool:
        if how == "refused":
            await server.arrived("connect")
            server.fail.clear()
        async with pool.adopt(PLACE) as pipeline, pipeline.adopt(PUBLISHER) as endpoint:
            place = pipeline.place
            assert place == replace(PLACE, session_id=place.session_id)
            assert place.session_id != PLACE.session_id
            assert isinstance(await endpoint.events.receive(), SessionResumed)
            asked = [one for one in server.requests if (one.params or {}).get("sessionId") == place.session_id]
            about = {
                one: [request for request in asked if (request.params or {}).get("object") == one]
                for one in (PIPELINE, PUBLISHER, VIEWER)
            }
            subscribed = {
                (request.params or {}).get("type") for request in about[PUBLISHER] if request.method == "subscribe"
            }
            assert subscribed >= set(SUBSCRIBED)
            assert {"ref"} <= {request.method for request in about[PIPELINE]} & {
                request.method for request in about[PUBLISHER]
            }
            told = [(request.params or {}).get("operationParams") for request in about[PIPELINE]]
            assert [{"key": key, "value": value} for key, value in OWNER.tags.items()] == [
                one for one in told if one
            ]
            # What nobody wants is not touched.
            assert about[VIEWER] == []
        assert released(server) == [PUBLISHER, PIPELINE]


async def test_what_cannot_be_adopted_is_swept(server: FakeServer, autojump_clock: MockClock) -> None:
    server.server_id = "server-2"
    server.values = {"getPipelines": [PIPELINE], "getTags": OURS}
    async with resumed(PLACE, owner=OWNER) as pool:
        with pytest.raises(MediaServerLost):
            async with pool.adopt(PLACE):
                pass
        await server.arrived("release")
        assert released(server) == [PIPELINE]


async def test_the_sweep_waits_for_what_is_to_be_adopted_and_spares_it(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.objects.add("left")
    server.values = {"getPipelines": [PIPELINE, "left"], "getTags": OURS}
    async with resumed(PLACE, owner=OWNER) as pool:
        await pool.wait_ready()
        await wait_all_tasks_blocked()
        assert "getPipelines" not in server.methods()
        async with pool.adopt(PLACE):
            await server.arrived("release")
            await wait_all_tasks_blocked()
            assert released(server) == ["left"]


@pytest.mark.parametrize(
    ("whose", "expected"),
    [
        (("red:8080", "one"), ["left"]),
        (("red:8080", "two"), []),
        (("green:8080", "one"), []),
        ((OWNER.name, "two"), ["left"]),
    ],
)
async def test_what_a_run_with_another_name_left_beside_what_is_adopted_is_released(
    server: FakeServer, autojump_clock: MockClock, whose: tuple[str, str], expected: list[str]
) -> None:
    """The name is a new one with `--port 0`, or in another container."""
    server.objects.add("left")
    name, instance = whose
    tags = [{"key": NAME_TAG, "value": name}, {"key": INSTANCE_TAG, "value": instance}]
    server.values = {"getPipelines": [PIPELINE, "left"], "getTags": tags}
    place = replace(PLACE, left_by=Owner("red:8080", "one"))
    async with resumed(place, owner=OWNER) as pool, pool.adopt(place):
        await server.arrived("closeSession")
        assert released(server) == expected


async def test_nothing_is_taken_from_a_run_that_has_not_ended(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    """Two servers may use one Redis, and the one that comes later has read where the media of the other are."""
    alive = replace(PLACE, left_by=Owner("red:8080", this_instance()))
    beside = replace(PLACE, pipeline_id="another")
    server.values = {"getPipelines": [PIPELINE], "getTags": [{"key": NAME_TAG, "value": "red:8080"}]}
    async with resumed(alive, beside, owner=OWNER) as pool:
        for place in (alive, beside):
            with pytest.raises(MediaServerLost):
                async with pool.adopt(place):
                    pass
        await server.arrived("closeSession")
        assert PLACE.session_id not in {(one.params or {}).get("sessionId") for one in server.requests}
        assert released(server) == []


def test_a_run_that_was_killed_and_that_nobody_has_waited_for_has_ended() -> None:
    """The system keeps its number until its parent has learned of its end."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        instance = " ".join((boot(), str(process.pid), started(process.pid), "random"))
        assert is_running(instance)
        assert not has_ended(instance)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert started(process.pid)
        assert not is_running(instance)
        assert has_ended(instance)
        # Nobody here can see the processes of another boot or machine.
        assert not has_ended("another" + instance)


async def test_the_sweep_does_not_wait_for_ever(server: FakeServer, autojump_clock: MockClock) -> None:
    """A room that ended before it could adopt anything does not take its claim back."""
    server.values = {"getPipelines": [PIPELINE], "getTags": OURS}
    async with resumed(PLACE, owner=OWNER):
        await server.arrived("release")
        assert released(server) == [PIPELINE]


async def test_a_link_resumes_the_session_in_which_most_of_the_pipelines_are(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.sessions.add("older")
    older = PipelinePlace(URL, "older", SERVER_ID, "older pipeline")
    other = PipelinePlace(URL, PLACE.session_id, SERVER_ID, "another pipeline")
    async with resumed(older, PLACE, other) as pool:
        async with pool.adopt(PLACE) as pipeline:
            assert pipeline.place == PLACE
        server.objects.add(older.pipeline_id)
        async with pool.adopt(older) as pipeline:
            # Those that are in another session are made this one's.
            assert pipeline.place == replace(older, session_id=PLACE.session_id)


async def test_a_media_server_that_cannot_be_reached_is_waited_for_until_new_pipelines_would_not_be(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.refuse_connections = True
    since = trio.current_time()
    async with resumed(PLACE) as pool:
        with pytest.raises(MediaServerUnavailable):
            async with pool.adopt(PLACE):
                pass
        assert trio.current_time() - since == pytest.approx(KurentoSettings().ready_timeout, abs=0.1)


async def test_the_session_of_a_media_server_that_is_reached_too_late_is_left_alone(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    """A session that is resumed lives as long as the server, with all that nobody has adopted in it."""
    server.refuse_connections = True
    async with resumed(PLACE) as pool:
        with pytest.raises(MediaServerUnavailable):
            async with pool.adopt(PLACE):
                pass
        server.refuse_connections = False
        await pool.wait_ready()
        assert pool.servers[0].session_id != PLACE.session_id


async def test_a_media_server_that_is_not_in_the_settings_any_more_is_not_waited_for(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    url = "ws://elsewhere.test/kurento"
    elsewhere = PipelinePlace(url, "former", server_id_at(url), PIPELINE)
    async with resumed(elsewhere) as pool:
        with pytest.raises(MediaServerLost):
            async with pool.adopt(elsewhere):
                pass


async def test_a_media_server_that_is_only_slow_to_be_reached_has_kept_its_session(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.refuse_connections = True
    async with resumed(PLACE) as pool, trio.open_nursery() as nursery:

        async def connect_later() -> None:
            await trio.sleep(5 * KurentoSettings().reconnect_first)
            server.refuse_connections = False

        nursery.start_soon(connect_later)
        async with pool.adopt(PLACE) as pipeline, pipeline.adopt(PUBLISHER):
            pass


async def test_a_cut_at_the_first_request_of_a_resumed_session_loses_nothing(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.hold("getInfo")
    async with resumed(PLACE) as pool:
        await server.arrived("getInfo")
        await server.cut()
        await server.let_go("getInfo")
        async with pool.adopt(PLACE) as pipeline, pipeline.adopt(PUBLISHER):
            pass


async def test_a_session_that_cannot_be_resumed_because_of_cuts_is_not_tried_for_ever(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.hold("connect")
    async with resumed(PLACE) as pool:
        since = trio.current_time()
        while "sessionId" in ((await server.arrived("connect")).params or {}):
            await server.cut()
        assert trio.current_time() - since == pytest.approx(KurentoSettings().reconnect_grace, abs=0.1)
        await server.let_go("connect")
        await pool.wait_ready()
        assert pool.servers[0].session_id != PLACE.session_id


async def test_which_media_are_connected_is_asked_of_the_media_server(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    connections = [
        {"source": PUBLISHER, "sink": VIEWER, "type": "AUDIO"},
        {"source": PUBLISHER, "sink": VIEWER, "type": "DATA"},
        {"source": "another", "sink": VIEWER, "type": "VIDEO"},
        "nonsense",
    ]
    async with (
        resumed(PLACE) as pool,
        pool.adopt(PLACE) as pipeline,
        pipeline.adopt(PUBLISHER) as source,
        pipeline.adopt(VIEWER) as sink,
    ):
        server.values = {"getSourceConnections": connections}
        assert await source.connected_to(sink) == {MediaType.AUDIO, MediaType.DATA}
        server.values = {"getSourceConnections": None}
        assert await source.connected_to(sink) == frozenset()


async def test_a_run_that_ends_before_it_has_adopted_anything_releases_nothing(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    """The start may fail while the rooms come back, and the next run finds everything."""
    async with open_media_pool([URL], owner=OWNER, at_once=False) as pool:
        with trio.move_on_after(100), suppress(MediaServerLost):
            async with pool.adopt(PLACE):
                raise AssertionError
    assert server.requests == []
