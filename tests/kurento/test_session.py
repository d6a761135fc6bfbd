"""A session over cut connections: what it resumes, what is lost, and how a dead media server is noticed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from roomfsm.jsonrpc import ErrorObject, Response
from roomfsm.kurento import (
    BandwidthLimits,
    IceCandidate,
    KurentoSettings,
    MediaPool,
    MediaServerLost,
    MediaServersFull,
    MediaServerUnavailable,
    RequestTimedOut,
    ResourcesExhausted,
    events,
    open_media_pool,
)
from roomfsm.kurento.settings import REPLY_CACHE_SECONDS
from tests.kurento.fake import URL, FakeServer, fake_server
from tests.kurento.links import open_link

LIMITS = BandwidthLimits()
SETTINGS = KurentoSettings()


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeServer]:
    async with fake_server(monkeypatch) as server:
        yield server


@pytest.fixture
async def pool(server: FakeServer) -> AsyncIterator[MediaPool]:
    async with open_media_pool([URL], SETTINGS) as pool:
        yield pool


async def test_a_cut_session_is_resumed_with_its_objects_and_subscriptions(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock
) -> None:
    with trio.fail_after(60):
        async with pool.pipeline({}) as pipeline, pipeline.endpoint(LIMITS) as endpoint:
            (before,) = pool.servers
            await server.cut()
            assert isinstance(await endpoint.events.receive(), events.SessionResumed)
            await server.emit(endpoint.id, "MediaFlowOutStateChanged", mediaType="VIDEO", state="FLOWING")
            flowing = await endpoint.events.receive()
            assert isinstance(flowing, events.MediaFlowOutStateChanged)
            assert flowing.state is events.MediaFlowState.FLOWING
            assert pool.servers == [before]
            assert await endpoint.process_offer("v=0") == "v=0 answer"
            assert not pipeline.lost.is_set()
        assert server.accepted == 2
        assert server.objects == set()


async def test_a_request_cut_off_before_its_reply_is_repeated_with_its_id_and_carried_out_once(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock
) -> None:
    with trio.fail_after(60):
        async with pool.pipeline({}) as pipeline, pipeline.endpoint(LIMITS) as endpoint:
            server.silent = True
            async with trio.open_nursery() as nursery:
                nursery.start_soon(endpoint.process_offer, "v=0")
                first = await server.arrived("processOffer")
                server.silent = False
                await server.cut()
                again = await server.arrived("processOffer")
            assert again.id == first.id
    assert sum(request.id == first.id for request in server.executed) == 1


async def test_a_request_made_while_the_connection_is_cut_waits_for_the_next(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock
) -> None:
    with trio.fail_after(60):
        async with pool.pipeline({}) as pipeline, pipeline.endpoint(LIMITS) as endpoint:
            server.refuse_connections = True
            await server.cut()
            await wait_all_tasks_blocked()
            assert not pool.ready()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(endpoint.process_offer, "v=0")
                await trio.sleep(SETTINGS.reconnect_grace / 2)
                assert "processOffer" not in server.methods()
                server.refuse_connections = False
                await server.arrived("processOffer")


async def test_a_request_cancelled_before_it_was_sent_is_never_sent(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock
) -> None:
    with trio.fail_after(60):
        async with pool.pipeline({}) as pipeline, pipeline.endpoint(LIMITS) as endpoint:
            server.refuse_connections = True
            await server.cut()
            await wait_all_tasks_blocked()
            with trio.move_on_after(1):
                await endpoint.process_offer("v=0")
            server.refuse_connections = False
            await endpoint.events.receive()
            await endpoint.gather_candidates()
    assert "processOffer" not in server.methods()


async def test_an_endpoint_whose_scope_ended_while_the_connection_was_cut_is_released_afterwards(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock
) -> None:
    with trio.fail_after(60):
        async with pool.pipeline({}) as pipeline:
            async with pipeline.endpoint(LIMITS) as endpoint:
                server.refuse_connections = True
                await server.cut()
                await wait_all_tasks_blocked()
            server.refuse_connections = False
            released = await server.arrived("release")
            assert released.params is not None
            assert released.params["object"] == endpoint.id


async def test_what_a_cancelled_caller_created_is_released_even_when_its_reply_was_cut_off(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock
) -> None:
    with trio.fail_after(60):
        async with pool.pipeline({}) as pipeline:
            await server.arrived("create")
            server.silent = True
            async with trio.open_nursery() as nursery:

                async def create() -> None:
                    async with pipeline.endpoint(LIMITS):
                        pytest.fail("entered")

                nursery.start_soon(create)
                await server.arrived("create")
                nursery.cancel_scope.cancel()
            assert len(server.objects) == 2
            server.silent = False
            await server.cut()
            await server.arrived("release")
            assert server.objects == {pipeline.id}


async def test_a_reply_that_meets_the_cancellation_of_its_caller_leaves_nothing(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    with trio.fail_after(60):
        async with open_link(URL, SETTINGS) as (link, _):
            session = link.session
            assert session is not None
            server.silent = True
            async with trio.open_nursery() as callers:
                callers.start_soon(session.create, "MediaPipeline", {})
                request = await server.arrived("create")
                await wait_all_tasks_blocked()
                # In one step: the caller is woken by its cancellation, and before it runs the reply comes.
                callers.cancel_scope.cancel()
                session.handle_response(Response(request.id, {"value": "late_kurento.MediaPipeline"}))
            server.silent = False
            released = await server.arrived("release")
            assert released.params is not None
            assert released.params["object"] == "late_kurento.MediaPipeline"


async def test_a_creation_is_not_repeated_when_its_reply_may_have_left_the_cache(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock
) -> None:
    with trio.fail_after(60):
        async with pool.pipeline({}) as pipeline:
            server.hold("create")
            with pytest.raises(RequestTimedOut):
                async with pipeline.endpoint(LIMITS):
                    pytest.fail("entered")
            await trio.sleep(REPLY_CACHE_SECONDS - SETTINGS.request_timeout)
            await server.cut()
            await server.arrived("connect")
            await server.arrived("connect")
            await pool.wait_ready()
        assert server.methods().count("create") == 2


async def test_a_restarted_media_server_loses_the_session_and_a_new_one_starts(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock
) -> None:
    with trio.fail_after(60):
        async with pool.pipeline({}) as pipeline, pipeline.endpoint(LIMITS) as endpoint:
            (before,) = pool.servers
            server.hold("processOffer")
            async with trio.open_nursery() as nursery:

                async def offer() -> None:
                    with pytest.raises(MediaServerLost, match=URL):
                        await endpoint.process_offer("v=0")

                async def read() -> None:
                    with pytest.raises(MediaServerLost):
                        await endpoint.events.receive()

                nursery.start_soon(offer)
                nursery.start_soon(read)
                await server.arrived("processOffer")
                await server.restart()
                await pipeline.lost.wait()
            with pytest.raises(MediaServerLost):
                await endpoint.gather_candidates()
        assert "release" not in server.methods()
        async with pool.pipeline({}) as pipeline:
            (after,) = pool.servers
            assert not pipeline.lost.is_set()
            assert (after.session_id, after.server_id) != (before.session_id, before.server_id)
            assert (after.pipelines, after.endpoints) == (1, 0)


async def test_a_session_that_comes_back_with_another_server_id_is_lost(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock
) -> None:
    with trio.fail_after(60):
        async with pool.pipeline({}) as pipeline:
            server.server_id = "server-2"
            await server.cut()
            await pipeline.lost.wait()


async def test_a_session_that_is_not_resumed_in_its_grace_is_lost_and_closed_later(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock
) -> None:
    with trio.fail_after(60):
        async with pool.pipeline({}) as pipeline:
            old = pool.servers[0].session_id
            server.refuse_connections = True
            await server.cut()
            before = trio.current_time()
            await pipeline.lost.wait()
            assert trio.current_time() - before == pytest.approx(SETTINGS.reconnect_grace)
            server.refuse_connections = False
            closed = await server.arrived("closeSession")
            assert closed.params == {"sessionId": old, "release": True}
            await pool.wait_ready()
            assert server.objects == set()


async def test_a_session_resumed_within_its_grace_is_kept(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock
) -> None:
    settings = KurentoSettings(reconnect_max=0.5)
    with trio.fail_after(60):
        async with open_media_pool([URL], settings) as pool, pool.pipeline({}) as pipeline:
            for _ in range(3):
                server.refuse_connections = True
                await server.cut()
                await trio.sleep(settings.reconnect_grace - settings.reconnect_max - 0.01)
                server.refuse_connections = False
                await pool.wait_ready()
            assert not pipeline.lost.is_set()


async def test_a_media_server_that_stops_answering_is_left_and_found_again(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock
) -> None:
    with trio.fail_after(60):
        async with pool.pipeline({}) as pipeline:
            server.silent = True
            begun = trio.current_time()
            await server.arrived("ping")
            await trio.sleep(SETTINGS.silent_after - 0.01)
            assert pool.ready()
            await trio.sleep(0.02)
            # It is told within 5 s, and cut off a while later: it may yet answer.
            assert trio.current_time() - begun < 5
            assert (pool.ready(), pool.servers[0].problem) == (False, "silent: it does not answer")
            assert pool.servers[0].connected
            await trio.sleep(SETTINGS.ping_timeout - SETTINGS.silent_after)
            (status,) = pool.servers
            assert (status.connected, status.problem) == (False, "silent: it does not answer")
            server.silent = False
            await pool.wait_ready()
            assert not pipeline.lost.is_set()
            assert server.accepted == 2


async def test_a_media_server_that_is_busy_with_requests_is_not_dead(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock
) -> None:
    with trio.fail_after(120):
        async with pool.pipeline({}) as pipeline, pipeline.endpoint(LIMITS) as endpoint:
            server.hold("ping")
            await server.arrived("ping")
            for _ in range(10):
                await trio.sleep(SETTINGS.ping_timeout * 0.9)
                await endpoint.gather_candidates()
            await server.let_go("ping")
            assert server.accepted == 1


async def test_cancellation_from_outside_still_releases_and_closes(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    with trio.fail_after(60):
        with trio.CancelScope() as scope:
            async with open_media_pool([URL]) as pool, pool.pipeline({}) as pipeline, pipeline.endpoint(LIMITS):
                scope.cancel()
                await trio.sleep_forever()
        assert scope.cancelled_caught
    assert server.methods()[-3:] == ["release", "release", "closeSession"]


async def test_closing_is_bounded_when_the_media_server_is_silent(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    with trio.fail_after(60):
        async with open_media_pool([URL], SETTINGS) as pool:
            await pool.wait_ready()
            server.silent = True
            before = trio.current_time()
        assert trio.current_time() - before == pytest.approx(SETTINGS.release_timeout)


async def test_a_pipeline_waits_for_a_media_server_that_is_on_its_way(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.refuse_connections = True
    with trio.fail_after(60):
        async with open_media_pool([URL]) as pool, trio.open_nursery() as nursery:

            async def use() -> None:
                async with pool.pipeline({}):
                    assert pool.ready()

            nursery.start_soon(use)
            await trio.sleep(1)
            server.refuse_connections = False


async def test_a_pipeline_without_a_media_server_fails_in_time(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.refuse_connections = True
    with trio.fail_after(60):
        async with open_media_pool([URL], SETTINGS) as pool:
            before = trio.current_time()
            with pytest.raises(MediaServerUnavailable):
                async with pool.pipeline({}):
                    pytest.fail("entered")
            assert trio.current_time() - before == pytest.approx(SETTINGS.ready_timeout)


async def test_a_pipeline_whose_creation_met_a_restart_is_created_in_the_new_session(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock
) -> None:
    with trio.fail_after(60):
        server.hold("create")
        async with trio.open_nursery() as nursery:

            async def use() -> None:
                async with pool.pipeline({}) as pipeline:
                    assert server.objects == {pipeline.id}

            nursery.start_soon(use)
            await server.arrived("create")
            await server.restart()
            await server.arrived("create")
            await server.let_go("create")


async def test_events_after_the_release_are_nobodys(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock
) -> None:
    with trio.fail_after(60):
        async with pool.pipeline({}) as pipeline:
            async with pipeline.endpoint(LIMITS) as endpoint:
                await server.emit(endpoint.id, "IceGatheringDone")
                await server.emit(endpoint.id, "SomethingNew")
                await endpoint.add_ice_candidate(IceCandidate(""))
            seen = [event async for event in endpoint.events]
            assert [type(event) for event in seen] == [events.IceGatheringDone]
            await server.emit(endpoint.id, "IceGatheringDone")
            async with pipeline.endpoint(LIMITS):
                pass


async def test_a_new_pipeline_goes_to_the_media_server_with_the_fewest_endpoints(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    urls = ["ws://one.test/kurento", "ws://two.test/kurento"]
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            servers = {url: FakeServer(nursery, url) for url in urls}

            async def open_stream(url: str) -> trio.abc.Stream:
                return await servers[url].open_stream(url)

            monkeypatch.setattr("roomfsm.kurento.connection.open_stream", open_stream)
            async with open_media_pool(urls) as pool:
                await wait_all_tasks_blocked()
                async with pool.pipeline({}) as one, one.endpoint(LIMITS), pool.pipeline({}) as two:
                    async with two.endpoint(LIMITS), two.endpoint(LIMITS), pool.pipeline({}) as three:
                        assert [one.server_url, two.server_url, three.server_url] == [urls[0], urls[1], urls[0]]
                        assert [(s.pipelines, s.endpoints) for s in pool.servers] == [(2, 1), (1, 2)]
                    await servers[urls[1]].restart()
                    await two.lost.wait()
                    assert not one.lost.is_set()
            nursery.cancel_scope.cancel()


async def two_servers(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> tuple[FakeServer, FakeServer, list[str]]:
    urls = ["ws://one.test/kurento", "ws://two.test/kurento"]
    servers = {url: FakeServer(nursery, url) for url in urls}

    async def open_stream(url: str) -> trio.abc.Stream:
        return await servers[url].open_stream(url)

    monkeypatch.setattr("roomfsm.kurento.connection.open_stream", open_stream)
    return servers[urls[0]], servers[urls[1]], urls


async def test_a_full_media_server_is_passed_over_for_the_next_and_rested(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    one, two, urls = await two_servers(nursery, monkeypatch)
    full = ErrorObject(40009, "Too many threads", {"type": "NOT_ENOUGH_RESOURCES"})
    with trio.fail_after(120):
        async with open_media_pool(urls) as pool:
            await wait_all_tasks_blocked()
            one.fail["create"] = full
            async with pool.pipeline({}) as pipeline:
                assert pipeline.server_url == two.url
            assert [server.problem is None for server in pool.servers] == [False, True]
            assert pool.ready()
            # Not asked again and again: the other one is preferred for a while, however loaded.
            asked = one.methods().count("create")
            async with pool.pipeline({}), pool.pipeline({}):
                assert one.methods().count("create") == asked
            two.fail["create"] = full
            with pytest.raises(MediaServersFull):
                async with pool.pipeline({}):
                    pytest.fail("entered")
            one.fail.clear()
            async with pool.pipeline({}) as pipeline:
                assert pipeline.server_url == one.url
            two.fail.clear()
            await trio.sleep(SETTINGS.full_pause)
            async with pool.pipeline({}) as first, first.endpoint(LIMITS), pool.pipeline({}) as second:
                assert {first.server_url, second.server_url} == set(urls)


@pytest.mark.parametrize("how", ["refuses", "create", "subscribe", "invoke"])
async def test_a_media_server_that_makes_no_pipeline_is_passed_over_for_the_next_and_rested(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, how: str
) -> None:
    """This media server always has the fewest endpoints, so it would be asked again and again.

    `how` says whether it refuses, or hangs at that method and does not answer the release.
    """
    tags = {"room": "blue"}
    one, two, urls = await two_servers(nursery, monkeypatch)
    with trio.fail_after(120):
        async with open_media_pool(urls) as pool:
            await wait_all_tasks_blocked()
            if how == "refuses":
                one.fail["create"] = ErrorObject(-32603, "Unexpected error while processing method")
            else:
                for method in (how, "release"):
                    one.hold(method)
            began = trio.current_time()
            async with pool.pipeline(tags) as pipeline:
                assert pipeline.server_url == two.url
            assert trio.current_time() - began <= SETTINGS.pipeline_patience
            assert [server.problem for server in pool.servers] == ["failing: it makes no pipeline", None]
            asked = one.methods().count("create")
            async with pool.pipeline({}), pool.pipeline({}):
                assert one.methods().count("create") == asked
            two.fail["create"] = ErrorObject(-32603, "Unexpected error while processing method")
            with pytest.raises(MediaServerUnavailable, match="make no pipeline"):
                async with pool.pipeline(tags):
                    pytest.fail("entered")
            one.fail.clear()
            if how != "refuses":
                for method in list(one.held):
                    await one.let_go(method)
                await wait_all_tasks_blocked()
                assert one.objects == set(), "made too late, and released"
            async with pool.pipeline({}) as pipeline:
                assert pipeline.server_url == one.url
                # It makes pipelines: nothing is said against it any more, and it is as good as any other.
                assert pool.servers[0].problem is None


async def test_one_that_is_alone_has_all_the_time_of_a_request(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    with trio.fail_after(120):
        async with open_media_pool([URL]) as pool:
            await wait_all_tasks_blocked()
            server.hold("create")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_let_go_after, SETTINGS.request_timeout - 1, server)
                async with pool.pipeline({}) as pipeline:
                    assert pipeline.server_url == URL


async def _let_go_after(seconds: float, server: FakeServer) -> None:
    await trio.sleep(seconds)
    await server.let_go("create")


async def test_an_endpoint_that_is_refused_for_want_of_room_sends_the_next_pipeline_elsewhere(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    one, two, urls = await two_servers(nursery, monkeypatch)
    with trio.fail_after(60):
        async with open_media_pool(urls) as pool:
            await wait_all_tasks_blocked()
            async with pool.pipeline({}) as pipeline:
                assert pipeline.server_url == one.url
                one.fail["create"] = ErrorObject(40009, "Too many", {"type": "NOT_ENOUGH_RESOURCES"})
                with pytest.raises(ResourcesExhausted):
                    async with pipeline.endpoint(LIMITS):
                        pytest.fail("entered")
            async with pool.pipeline({}) as pipeline:
                assert pipeline.server_url == two.url


@pytest.mark.parametrize(
    ("version", "old"),
    [
        ("6.18.0", True),
        ("7.0.1", True),
        ("7.1.0", False),
        ("7.3.1~55.g2e4bf5524", False),
        ("7.3.1-dev", False),
        ("8.0", False),
        ("11.0.0", False),
        ("unheard of", False),
    ],
)
async def test_a_media_server_that_is_too_old_is_told_and_not_used(
    server: FakeServer, autojump_clock: MockClock, version: str, old: bool
) -> None:
    server.version = version
    with trio.fail_after(60), capture_logs() as logs:
        async with open_media_pool([URL]) as pool:
            await wait_all_tasks_blocked()
            (status,) = pool.servers
            assert (status.connected, status.version, pool.ready()) == (True, version, not old)
            told = f"too old: it is Kurento {version}, and 7.1.0 or newer is needed"
            assert status.problem == (told if old else None)
            if old:
                with pytest.raises(MediaServerUnavailable):
                    async with pool.pipeline({}):
                        pytest.fail("entered")
    assert ("kurento too old" in {entry["event"] for entry in logs}) is old


@pytest.mark.parametrize(
    ("said", "told"),
    [("6.9 at ws://10.0.0.7:8888", "6.9"), ("ws://10.0.0.7", None), ("7.3.1 " + "x" * 1000, "7.3.1")],
)
async def test_a_version_tells_everybody_nothing_else(
    server: FakeServer, autojump_clock: MockClock, said: str, told: str | None
) -> None:
    server.version = said
    with trio.fail_after(60):
        async with open_media_pool([URL]) as pool:
            await wait_all_tasks_blocked()
            (status,) = pool.servers
            assert (status.connected, status.version) == (True, told)
            assert "ws:" not in (status.problem or "")


@pytest.mark.parametrize("url", ["http://127.0.0.1/kurento", "ws:///kurento", "kurento"])
async def test_an_address_that_is_no_websocket_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=url):
        async with open_media_pool([url]):
            pytest.fail("entered")


def test_a_request_may_not_outlive_the_media_servers_cache_of_replies() -> None:
    KurentoSettings(request_timeout=19.9)
    with pytest.raises(ValueError, match="request_timeout"):
        KurentoSettings(request_timeout=20)


@pytest.mark.parametrize("limit", ["event_buffer", "requests_ahead", "max_message_bytes"])
def test_a_limit_is_at_least_one(limit: str) -> None:
    least: dict[str, Any] = {limit: 1}
    KurentoSettings(**least)
    with pytest.raises(ValueError, match="at least 1"):
        KurentoSettings(**(least | {limit: 0}))
