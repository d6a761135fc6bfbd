"""Given room servers with one media server, when one has lost its rooms, then it ends nothing of the others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from roomfsm.kurento import (
    BandwidthLimits,
    KurentoSettings,
    MediaPool,
    ObjectGone,
    PipelinePlace,
    SessionResumed,
    open_media_pool,
)
from roomfsm.kurento.events import IceCandidateFound
from roomfsm.kurento.owner import INSTANCE_TAG, NAME_TAG, Owner
from roomfsm.kurento.visit import open_visit
from roomfsm.mediaserver.kurento.limits import Limits
from roomfsm.mediaserver.kurento.server_manager import MANAGER_ID
from tests.kurento.fake import URL, FakeServer, fake_server
from tests.kurento.test_embedded import PUBLISH
from tests.mediaserver.kurento_client import open_client, open_server
from tests.processes import LOADED

SETTINGS = KurentoSettings(adoption_time=100.0)
QUICK = KurentoSettings(adoption_time=0.05)
LIMITS = BandwidthLimits()
ONE, TWO = Owner("one"), Owner("two")


class Lease:
    """Whether a room server still has its rooms."""

    holds = True


@asynccontextmanager
async def sharing(
    lease: Lease, url: str = URL, settings: KurentoSettings = SETTINGS, owner: Owner = ONE
) -> AsyncIterator[MediaPool]:
    """The media server, as a room server has it that shares it with others."""
    async with open_media_pool([url], settings, owner, is_ours=lambda: lease.holds) as pool:
        await pool.wait_ready()
        yield pool


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeServer]:
    async with fake_server(monkeypatch) as server:
        with trio.fail_after(3000):
            yield server


def about(server: FakeServer, method: str) -> list[str]:
    """The objects of all requests of this kind, in order."""
    return [str((one.params or {}).get("object")) for one in server.requests if one.method == method]


def closed(server: FakeServer) -> dict[str, bool]:
    """Whether each session that was closed was closed with all that it had touched."""
    params = [one.params or {} for one in server.requests if one.method == "closeSession"]
    return {str(one["sessionId"]): bool(one.get("release")) for one in params}


async def test_what_may_be_anothers_is_not_released_but_let_go_of_later(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    lease = Lease()
    async with sharing(lease) as pool:
        (status,) = pool.servers
        async with pool.pipeline({}) as pipeline, pipeline.endpoint(LIMITS) as gone:
            # Before anybody knows that the room is lost, its scopes may end.
            lease.holds = False
        # It is a member again, with nothing of what it had.
        lease.holds = True
        await trio.sleep(SETTINGS.adoption_time - 1)
        assert about(server, "release") == about(server, "unref") == []
        await trio.sleep(SETTINGS.adoption_time)
        assert about(server, "unref") == [gone.id, pipeline.id]
        async with pool.pipeline({}) as another:
            pass
        assert about(server, "release") == [another.id]
    assert status.session_id not in closed(server)


async def test_what_is_passed_on_is_let_go_of_later_and_the_rest_is_released(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    async with sharing(Lease()) as pool:
        async with (
            pool.pipeline({}) as pipeline,
            pipeline.endpoint(LIMITS) as one,
            pipeline.endpoint(LIMITS) as other,
        ):
            pool.pass_on(pipeline.place, [one.id])
            # Its scope goes on for long, and until then it is held.
            await trio.sleep(3 * SETTINGS.adoption_time)
            assert about(server, "unref") == []
        assert about(server, "release") == [other.id]
        await trio.sleep(SETTINGS.adoption_time)
        assert sorted(about(server, "unref")) == sorted([pipeline.id, one.id])


async def test_nothing_is_passed_on_at_a_media_server_that_nobody_else_has(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    async with open_media_pool([URL], SETTINGS, ONE) as pool, pool.pipeline({}) as pipeline:
        pool.pass_on(pipeline.place, [])
    assert about(server, "release") == [pipeline.id]
    assert set(closed(server).values()) == {True, False}, "the pool's own session, and that of the sweep"


async def test_what_comes_back_to_the_same_server_is_its_own_again(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    async with sharing(Lease()) as pool:
        async with pool.pipeline({}) as pipeline, pipeline.endpoint(LIMITS) as endpoint:
            pool.pass_on(pipeline.place, [endpoint.id])
        elsewhere = PipelinePlace(URL, "another server's", server.server_id, pipeline.id)
        async with pool.adopt(elsewhere) as again, again.adopt(endpoint.id):
            await trio.sleep(3 * SETTINGS.adoption_time)
        assert about(server, "unref") == []
        assert about(server, "release") == [endpoint.id, pipeline.id]


@pytest.mark.parametrize("holds", [True, False])
async def test_a_session_that_was_lost_is_closed_without_what_others_have_adopted(
    server: FakeServer, autojump_clock: MockClock, holds: bool
) -> None:
    lease = Lease()
    async with sharing(lease) as pool:
        (status,) = pool.servers
        assert status.session_id is not None
        async with pool.pipeline({}) as pipeline:
            server.refuse_connections = True
            await server.cut()
            await pipeline.lost.wait()
        lease.holds = holds
        server.refuse_connections = False
        await pool.wait_ready()
        assert closed(server).get(status.session_id) is (False if holds else None)
        assert about(server, "release") == []


async def test_what_is_cancelled_while_it_is_made_is_let_go_of_later_too(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    lease = Lease()
    server.hold("addTag")
    async with sharing(lease) as pool:
        async with trio.open_nursery() as nursery:

            async def make() -> None:
                async with pool.pipeline({}):
                    pass

            nursery.start_soon(make)
            await server.arrived("addTag")
            lease.holds = False
            nursery.cancel_scope.cancel()
        lease.holds = True
        await trio.sleep(2 * SETTINGS.adoption_time)
        assert about(server, "release") == []
        assert about(server, "unref") == list(server.objects)


async def test_the_sweep_gives_others_time_to_adopt(server: FakeServer, autojump_clock: MockClock) -> None:
    tags = [{"key": NAME_TAG, "value": ONE.name}, {"key": INSTANCE_TAG, "value": "an earlier run"}]
    server.values = {"getPipelines": ["left"], "getTags": tags}
    async with sharing(Lease()):
        await trio.sleep(SETTINGS.adoption_time - 1)
        assert "getPipelines" not in server.methods()
        await server.arrived("release")
        assert about(server, "release") == ["left"]


# With a media server


async def until(holds: Callable[[], bool]) -> None:
    with trio.fail_after(LOADED):
        while not holds():
            await wait_all_tasks_blocked(0.01)


async def pipelines_at(url: str) -> list[str]:
    # A visit holds what it sees, so each is a new one.
    async with open_visit(url, KurentoSettings()) as visit:
        return await visit.pipelines()


async def tags_of(url: str, pipeline: str) -> dict[str, str]:
    async with open_visit(url, KurentoSettings()) as visit:
        return dict(await visit.tags(pipeline))


@pytest.mark.parametrize("ends", ["collected", "lets go"])
async def test_what_another_server_has_adopted_outlives_whoever_had_it(ends: str) -> None:
    limits = Limits(collector_period=0.05)
    async with open_server(limits) as media, sharing(Lease(), media.url, owner=TWO) as two:
        with trio.fail_after(2 * LOADED):
            settings = SETTINGS if ends == "collected" else QUICK
            async with sharing(Lease(), media.url, settings) as one:
                async with one.pipeline({"room": "blue"}) as pipeline, pipeline.endpoint(LIMITS) as endpoint:
                    place = pipeline.place
                    one.pass_on(place, [endpoint.id])
                    async with pipeline.endpoint(LIMITS):
                        pass
                async with two.adopt(place) as adopted, adopted.adopt(endpoint.id) as other:
                    session = one._links[0].session
                    assert session is not None
                    if ends == "lets go":
                        await until(lambda: not session._left and not session.releasing)
                    else:
                        # Its program ends.
                        for link in one._links:
                            await link.close()
                        async with open_client(media.url) as client:
                            while place.session_id in await client.invoke(MANAGER_ID, "getSessions"):
                                await wait_all_tasks_blocked(0.01)
                    assert isinstance(await other.events.receive(), SessionResumed)
                    assert await other.is_connected() is False
                    await other.process_offer(PUBLISH)
                    await other.gather_candidates()
                    async for event in other.events:
                        if isinstance(event, IceCandidateFound):
                            break
                    # There is room for somebody new.
                    async with adopted.endpoint(LIMITS) as new:
                        await other.connect(new)
                    assert await tags_of(media.url, place.pipeline_id) == {"room": "blue", **TWO.tags}
            with pytest.raises(ObjectGone):
                async with two.adopt(place):
                    pass


async def test_what_nobody_adopts_ends_when_a_server_lets_go_of_it() -> None:
    async with open_server() as media, sharing(Lease(), media.url, QUICK) as one:
        with trio.fail_after(2 * LOADED):
            async with one.pipeline({}) as pipeline, pipeline.endpoint(LIMITS) as endpoint:
                one.pass_on(pipeline.place, [endpoint.id])
            while await pipelines_at(media.url):
                await wait_all_tasks_blocked(0.01)
