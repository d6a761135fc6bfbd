"""Pipelines and endpoints are scopes. Whatever ends them, nothing of them is left at the media server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from roomfsm.jsonrpc import ErrorObject
from roomfsm.kurento import (
    BandwidthLimits,
    ConnectRefused,
    EventUnsupported,
    IceCandidate,
    KurentoError,
    KurentoSettings,
    MediaPool,
    MediaServersFull,
    ObjectGone,
    RequestTimedOut,
    ResourcesExhausted,
    WebRtcEndpoint,
    open_media_pool,
)
from roomfsm.kurento.events import OPTIONAL, SUBSCRIBED, MediaType
from roomfsm.mediaserver.rtp.extensions import AUDIO_LEVEL
from tests.kurento.fake import URL, FakeServer, fake_server

LIMITS = BandwidthLimits(max_video_recv=2500, min_video_send=300, max_video_send=2000)


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeServer]:
    async with fake_server(monkeypatch) as server:
        yield server


@pytest.fixture
async def pool(server: FakeServer) -> AsyncIterator[MediaPool]:
    async with open_media_pool([URL]) as pool:
        yield pool


async def test_a_new_pipeline_gets_its_tags(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock
) -> None:
    with trio.fail_after(60):
        async with pool.pipeline({"room": "lobby", "instance": "a"}) as pipeline:
            assert pipeline.id in server.objects
            assert pipeline.server_url == URL
    tags = [
        r.params["operationParams"] for r in server.requests if r.params and r.params.get("operation") == "addTag"
    ]
    assert tags == [{"key": "room", "value": "lobby"}, {"key": "instance", "value": "a"}]
    assert server.objects == set()


async def test_a_new_endpoint_is_subscribed_and_limited_before_its_offer(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock
) -> None:
    with trio.fail_after(60):
        async with pool.pipeline({}) as pipeline, pipeline.endpoint(LIMITS) as endpoint:
            assert await endpoint.process_offer("v=0 offer") == "v=0 answer"
    names = server.methods()
    made = [i for i, name in enumerate(names) if name == "create"][1]
    # The last ask whether this media server has events that Kurento has not.
    wanted = ["setMaxVideoRecvBandwidth", "setMaxVideoSendBandwidth", "setMinVideoSendBandwidth"]
    wanted += [*["subscribe"] * len(OPTIONAL), "processOffer"]
    assert names[made + 1 :][: len(SUBSCRIBED) + len(wanted)] == ["subscribe"] * len(SUBSCRIBED) + wanted


async def test_an_event_that_the_media_server_has_not_is_tried_once(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock
) -> None:
    with trio.fail_after(60):
        async with pool.pipeline({}) as pipeline:
            for _ in range(3):
                async with pipeline.endpoint(LIMITS) as endpoint:
                    assert not await endpoint.is_paused(MediaType.VIDEO)
    asked = [r.params["type"] for r in server.requests if r.method == "subscribe" and r.params is not None]
    assert [name for name in asked if name in OPTIONAL] == list(OPTIONAL)


@pytest.mark.parametrize("has", [False, True])
async def test_endpoints_that_begin_at_once_try_an_event_once(
    server: FakeServer, pool: MediaPool, has: bool, autojump_clock: MockClock
) -> None:
    if has:
        server.values["subscribe"] = "subscription"
    count = 3
    with trio.fail_after(60):
        async with pool.pipeline({}) as pipeline, AsyncExitStack() as stack:
            server.hold("setMinVideoSendBandwidth")
            endpoints: list[WebRtcEndpoint] = []
            async with trio.open_nursery() as nursery:

                async def begin() -> None:
                    endpoints.append(await stack.enter_async_context(pipeline.endpoint(LIMITS)))

                for _ in range(count):
                    nursery.start_soon(begin)
                for _ in range(count):
                    await server.arrived("setMinVideoSendBandwidth")
                await server.let_go("setMinVideoSendBandwidth")
            asked = [
                (r.params["object"], r.params["type"])
                for r in server.requests
                if r.method == "subscribe" and r.params is not None and r.params["type"] in OPTIONAL
            ]
            if has:
                assert sorted(asked) == sorted((endpoint.id, name) for endpoint in endpoints for name in OPTIONAL)
            else:
                assert [name for _, name in asked] == list(OPTIONAL)


async def test_a_media_server_that_does_not_say_so_is_not_asked_whether_it_hears(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock
) -> None:
    with trio.fail_after(60):
        async with pool.pipeline({}) as pipeline, pipeline.endpoint(LIMITS) as endpoint:
            before = len(server.requests)
            for answer in ("", f"a=extmap:1 {AUDIO_LEVEL}"):
                assert not await endpoint.hears(answer)
            assert len(server.requests) == before


async def test_the_set_up_of_an_endpoint_does_not_wait_for_each_reply(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock
) -> None:
    server.hold("subscribe")
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:

            async def use() -> None:
                async with pool.pipeline({}) as pipeline, pipeline.endpoint(LIMITS):
                    pass

            nursery.start_soon(use)
            await server.arrived("subscribe")
            await server.let_go("subscribe")
            server.hold("subscribe")
            await server.arrived("setMinVideoSendBandwidth")
            assert server.methods().count("subscribe") == 1 + len(SUBSCRIBED)
            await server.let_go("subscribe", backwards=True)


async def test_replies_out_of_order_reach_their_requests(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock
) -> None:
    results: dict[str, str] = {}
    with trio.fail_after(60):
        async with pool.pipeline({}) as pipeline, pipeline.endpoint(LIMITS) as endpoint:
            server.hold("getStats")
            server.hold("processOffer")
            async with trio.open_nursery() as nursery:

                async def offer() -> None:
                    results["offer"] = await endpoint.process_offer("v=0")

                async def stats() -> None:
                    results["stats"] = str(await endpoint.stats())

                nursery.start_soon(offer)
                await server.arrived("processOffer")
                nursery.start_soon(stats)
                await server.arrived("getStats")
                await server.let_go("getStats")
                await server.let_go("processOffer")
    assert results == {"offer": "v=0 answer", "stats": "{}"}


async def test_no_request_id_is_used_twice(server: FakeServer, pool: MediaPool, autojump_clock: MockClock) -> None:
    with trio.fail_after(60):
        for _ in range(3):
            async with pool.pipeline({}) as pipeline, pipeline.endpoint(LIMITS):
                pass
    ids = [request.id for request in server.requests]
    assert len(ids) == len(set(ids))


async def test_an_error_reply_is_raised_typed_and_the_endpoint_is_released(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock
) -> None:
    server.fail["setMaxVideoSendBandwidth"] = ErrorObject(40106, "Event not supported")
    with trio.fail_after(60):
        async with pool.pipeline({}) as pipeline:
            with pytest.raises(EventUnsupported):
                async with pipeline.endpoint(LIMITS):
                    pytest.fail("entered")
            assert server.objects == {pipeline.id}


async def test_a_full_media_server_refuses_a_pipeline(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock
) -> None:
    server.fail["create"] = ErrorObject(40009, "Not enough resources", {"type": "NOT_ENOUGH_RESOURCES"})
    with trio.fail_after(60):
        with pytest.raises(MediaServersFull):
            async with pool.pipeline({}):
                pytest.fail("entered")
        assert pool.servers[0].problem == "full: it has no threads or file descriptors left"
        # When it has room again, it is there again at once: nobody waits out a pause where there is no other.
        server.fail.clear()
        async with pool.pipeline({}) as pipeline:
            server.fail["create"] = ErrorObject(40009, "Not enough resources", {"type": "NOT_ENOUGH_RESOURCES"})
            with pytest.raises(ResourcesExhausted) as caught:
                async with pipeline.endpoint(LIMITS):
                    pytest.fail("entered")
    assert (caught.value.code, caught.value.type) == (40009, "NOT_ENOUGH_RESOURCES")


async def test_a_request_without_an_answer_times_out(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock
) -> None:
    with trio.fail_after(60):
        async with pool.pipeline({}) as pipeline, pipeline.endpoint(LIMITS) as endpoint:
            server.hold("processOffer")
            before = trio.current_time()
            with pytest.raises(RequestTimedOut, match="invoke"):
                await endpoint.process_offer("v=0")
            assert trio.current_time() - before == pytest.approx(10)


async def test_an_endpoint_is_released_when_its_scope_is_cancelled(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock
) -> None:
    with trio.fail_after(60):
        async with pool.pipeline({}) as pipeline:
            with trio.CancelScope() as scope:
                async with pipeline.endpoint(LIMITS):
                    scope.cancel()
                    await trio.sleep_forever()
            assert server.objects == {pipeline.id}


async def test_a_release_without_an_answer_holds_a_cancelled_scope_for_its_bound_only(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock
) -> None:
    with trio.fail_after(60):
        async with pool.pipeline({}) as pipeline:
            server.hold("release")
            before = trio.current_time()
            with trio.CancelScope() as scope:
                async with pipeline.endpoint(LIMITS):
                    scope.cancel()
            assert trio.current_time() - before == pytest.approx(2)
            await server.let_go("release")


async def test_releasing_what_is_gone_succeeds(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock
) -> None:
    gone = ErrorObject(40101, "Object not found", {"type": "MEDIA_OBJECT_NOT_FOUND"})
    with trio.fail_after(60), capture_logs() as logs:
        async with pool.pipeline({}) as pipeline, pipeline.endpoint(LIMITS) as endpoint:
            server.objects.discard(endpoint.id)
            server.fail["release"] = gone
            with pytest.raises(ObjectGone):
                await endpoint.gather_candidates()
    assert [entry for entry in logs if entry["log_level"] == "warning"] == []


@pytest.mark.parametrize("kind", ["pipeline", "endpoint"])
async def test_what_was_created_for_a_cancelled_caller_is_released(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock, kind: str
) -> None:
    with trio.fail_after(60):
        async with pool.pipeline({}) as pipeline:
            await server.arrived("create")
            async with trio.open_nursery() as nursery:
                server.hold("create")

                async def create() -> None:
                    async with pool.pipeline({}) if kind == "pipeline" else pipeline.endpoint(LIMITS):
                        pytest.fail("entered")

                nursery.start_soon(create)
                await server.arrived("create")
                nursery.cancel_scope.cancel()
            (orphan,) = server.objects - {pipeline.id}
            await server.let_go("create")
            released = await server.arrived("release")
            assert released.params is not None
            assert released.params["object"] == orphan


async def test_what_was_created_after_the_timeout_is_released(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock
) -> None:
    with trio.fail_after(60):
        async with pool.pipeline({}) as pipeline:
            server.hold("create")
            with pytest.raises(RequestTimedOut):
                async with pipeline.endpoint(LIMITS):
                    pytest.fail("entered")
            await server.let_go("create")
            await server.arrived("release")
            assert server.objects == {pipeline.id}


async def test_a_sink_that_is_no_endpoint_is_refused_before_it_is_sent(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock
) -> None:
    with trio.fail_after(60):
        async with pool.pipeline({}) as pipeline, pipeline.endpoint(LIMITS) as endpoint:
            for sink in (pipeline, pipeline.id, None):
                with pytest.raises(TypeError):
                    await endpoint.connect(sink)  # type: ignore[arg-type]  # what the check is for
                with pytest.raises(TypeError):
                    await endpoint.disconnect(sink)  # type: ignore[arg-type]  # what the check is for
    assert "connect" not in server.methods()[1:]


async def test_a_sink_of_another_pipeline_is_refused_before_it_is_sent(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock
) -> None:
    with trio.fail_after(60):
        async with (
            pool.pipeline({}) as one,
            pool.pipeline({}) as other,
            one.endpoint(LIMITS) as source,
            other.endpoint(LIMITS) as sink,
        ):
            with pytest.raises(ConnectRefused) as caught:
                await source.connect(sink)
    assert caught.value.code == 40004
    assert "connect" not in server.methods()[1:]


async def test_an_mdns_candidate_is_not_sent(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock
) -> None:
    hidden = IceCandidate("candidate:1 1 udp 2113937151 0b6c5a3e-1d5f.local 50000 typ host", "0", 0)
    plain = IceCandidate("candidate:2 1 udp 2113937151 192.0.2.2 50001 typ host", "0", 0)
    with trio.fail_after(60):
        async with pool.pipeline({}) as pipeline, pipeline.endpoint(LIMITS) as endpoint:
            await endpoint.add_ice_candidate(hidden)
            await endpoint.add_ice_candidate(plain)
    sent = [
        r.params["operationParams"]["candidate"]
        for r in server.requests
        if r.params and r.params.get("operation") == "addIceCandidate"
    ]
    assert sent == [{"candidate": plain.candidate, "sdpMid": "0", "sdpMLineIndex": 0}]


def numbered(first: int, last: int) -> list[IceCandidate]:
    return [IceCandidate(f"candidate:{n} 1 udp 1 192.0.2.2 {n} typ host", "0", 0) for n in range(first, last + 1)]


async def test_candidates_are_sent_in_order_and_none_waits_for_the_reply_to_another(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    settings = KurentoSettings(requests_ahead=3)
    to_endpoint, candidates = trio.open_memory_channel[IceCandidate](10)
    with trio.fail_after(60):
        async with (
            open_media_pool([URL], settings) as pool,
            pool.pipeline({}) as pipeline,
            pipeline.endpoint(LIMITS) as endpoint,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(endpoint.add_ice_candidates, candidates)
            server.hold("addIceCandidate")
            for candidate in numbered(1, 5):
                to_endpoint.send_nowait(candidate)
            await wait_all_tasks_blocked()
            assert server.methods().count("addIceCandidate") == 3
            await server.let_go("addIceCandidate")
            to_endpoint.close()
    sent = [
        r.params["operationParams"]["candidate"]["candidate"]
        for r in server.requests
        if r.params and r.params.get("operation") == "addIceCandidate"
    ]
    assert sent == [candidate.candidate for candidate in numbered(1, 5)]


async def test_a_candidate_that_is_refused_ends_the_handing_over(
    server: FakeServer, pool: MediaPool, autojump_clock: MockClock
) -> None:
    to_endpoint, candidates = trio.open_memory_channel[IceCandidate](10)
    refused = ErrorObject(40401, "Error adding candidate", {"type": "ICE_ADD_CANDIDATE_ERROR"})
    with trio.fail_after(60):
        async with pool.pipeline({}) as pipeline, pipeline.endpoint(LIMITS) as endpoint:
            server.fail["addIceCandidate"] = refused
            to_endpoint.send_nowait(numbered(1, 1)[0])
            # More may come: nobody has closed the channel.
            with pytest.raises(KurentoError) as caught:
                await endpoint.add_ice_candidates(candidates)
            assert caught.value.code == refused.code
            assert await endpoint.process_offer("v=0") == "v=0 answer"
