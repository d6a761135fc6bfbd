"""The client against the embedded media server: a process of its own, behind a TCP proxy that can be cut."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trio

from roomfsm.kurento import (
    AlreadyNegotiated,
    BandwidthLimits,
    CandidateRefused,
    IceCandidate,
    KeyframeRefused,
    KurentoSettings,
    MediaServerLost,
    MediaType,
    PipelinePlace,
    SdpInvalid,
    WebRtcEndpoint,
    events,
    open_media_pool,
)
from roomfsm.mediaserver.kurento.server_manager import MANAGER_ID
from tests.kurento.links import open_link
from tests.mediaserver import kurento_client
from tests.processes import LOADED

OFFERS = Path(__file__).parent / "transcripts"
PUBLISH = (OFFERS / "chromium_offer_pub.sdp").read_text()
VIEW = (OFFERS / "chromium_offer_view.sdp").read_text()
LIMITS = BandwidthLimits(max_video_recv=2500, min_video_send=300, max_video_send=2000)
SETTINGS = KurentoSettings(reconnect_first=0.01, reconnect_max=0.1)
DEADLINE = 2 * LOADED


@asynccontextmanager
async def media_server() -> AsyncIterator[str]:
    """The address of a new server process."""
    command = [sys.executable, "-m", "roomfsm.mediaserver", "--exit-with-parent", "--port", "0"]
    command += ["--media-host", "127.0.0.1", "--media-port", "0"]
    async with trio.open_nursery() as nursery:
        start = partial(trio.run_process, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, check=False)
        process: trio.Process = await nursery.start(start)
        assert process.stdout is not None
        line = b""
        with trio.fail_after(DEADLINE):
            while not line.endswith(b"\n"):
                line += await process.stdout.receive_some(1)
        yield json.loads(line)["url"]
        nursery.cancel_scope.cancel()


class Proxy:
    """Passes TCP connections on to `target`, until they are cut."""

    def __init__(self, target: str, listener: trio.SocketListener) -> None:
        self.target = target
        self.connections = 0
        self.url = f"ws://127.0.0.1:{listener.socket.getsockname()[1]}/kurento"
        self._scopes: set[trio.CancelScope] = set()

    def cut(self) -> None:
        for scope in self._scopes:
            scope.cancel()

    async def serve(self, client: trio.SocketStream) -> None:
        self.connections += 1
        parts = urlsplit(self.target)
        async with client, await trio.open_tcp_stream("127.0.0.1", parts.port or 0) as server:
            async with trio.open_nursery() as nursery:
                self._scopes.add(nursery.cancel_scope)
                nursery.start_soon(_pump, client, server, nursery.cancel_scope)
                nursery.start_soon(_pump, server, client, nursery.cancel_scope)
            self._scopes.discard(nursery.cancel_scope)


async def _pump(source: trio.SocketStream, sink: trio.SocketStream, scope: trio.CancelScope) -> None:
    with suppress(trio.BrokenResourceError):
        async for data in source:
            await sink.send_all(data)
    scope.cancel()


@pytest.fixture
async def proxy(nursery: trio.Nursery) -> AsyncIterator[Proxy]:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with media_server() as url:
        proxy = Proxy(url, listener)
        nursery.start_soon(trio.serve_listeners, proxy.serve, [listener])
        yield proxy


async def pipelines_at(url: str) -> list[str]:
    """The objects that a second client sees at the media server.

    It does not use a link, because a closed link would release everything that it had looked at.
    """
    async with kurento_client.open_client(url) as client:
        return list(await client.invoke(MANAGER_ID, "getPipelines"))


async def gathered(endpoint: WebRtcEndpoint) -> list[events.IceCandidateFound]:
    found: list[events.IceCandidateFound] = []
    async for event in endpoint.events:
        match event:
            case events.IceCandidateFound():
                found.append(event)
            case events.IceGatheringDone():
                break
    return found


async def test_a_publisher_and_a_viewer_are_negotiated_connected_and_released(proxy: Proxy) -> None:
    with trio.fail_after(DEADLINE):
        async with open_media_pool([proxy.url], SETTINGS) as pool:
            async with pool.pipeline({"room": "lobby"}) as pipeline:
                assert await pipelines_at(proxy.target) == [pipeline.id]
                async with pipeline.endpoint(LIMITS) as publisher, pipeline.endpoint(LIMITS) as viewer:
                    answer = await publisher.process_offer(PUBLISH)
                    assert "m=video" in answer
                    assert [await publisher.hears(told) for told in (answer, "", "v=0")] == [True, True, False]
                    await publisher.follow_speech()
                    assert await publisher.is_speaking() is False
                    assert "m=video" in await viewer.process_offer(VIEW)
                    await publisher.connect(viewer)
                    await publisher.disconnect(viewer, MediaType.AUDIO)
                    for endpoint in (publisher, viewer):
                        await endpoint.gather_candidates()
                        candidates = await gathered(endpoint)
                        assert "127.0.0.1" in candidates[0].candidate.candidate
                        await endpoint.add_ice_candidate(
                            IceCandidate("candidate:1 1 udp 2122260223 127.0.0.1 50000 typ host", "0", 0)
                        )
                        await endpoint.add_ice_candidate(IceCandidate("", "0", 0))
                    with pytest.raises(KeyframeRefused):
                        await viewer.request_keyframe()
                    assert isinstance(await viewer.stats(), dict)
            assert await pipelines_at(proxy.target) == []


async def test_it_says_whether_a_viewer_is_sent_the_picture(proxy: Proxy) -> None:
    """Kurento does not report this, so the client has to find out."""
    with trio.fail_after(DEADLINE):
        async with (
            open_media_pool([proxy.url], settings=SETTINGS) as pool,
            pool.pipeline({}) as pipeline,
            pipeline.endpoint(LIMITS) as first,
            pipeline.endpoint(LIMITS) as second,
        ):
            assert set(first._session.has.values()) == {True}
            for endpoint in (first, second):
                assert await endpoint.is_paused(MediaType.VIDEO) is False
                assert await endpoint.is_connected() is False


async def test_bad_input_is_raised_typed_and_harms_nobody(proxy: Proxy) -> None:
    with trio.fail_after(DEADLINE):
        async with (
            open_media_pool([proxy.url], SETTINGS) as pool,
            pool.pipeline({}) as pipeline,
            pipeline.endpoint(LIMITS) as endpoint,
        ):
            for garbage in ("", "this is not SDP"):
                with pytest.raises(SdpInvalid):
                    await endpoint.process_offer(garbage)
            await endpoint.process_offer(PUBLISH)
            with pytest.raises(AlreadyNegotiated):
                await endpoint.process_offer(PUBLISH)
            with pytest.raises(CandidateRefused):
                await endpoint.add_ice_candidate(
                    IceCandidate("candidate:1 1 udp 2122260223 127.0.0.1 50000 typ host", "9", 9)
                )
            await endpoint.gather_candidates()
            assert await gathered(endpoint)


async def test_a_cut_connection_loses_no_object_and_no_subscription(proxy: Proxy) -> None:
    with trio.fail_after(DEADLINE):
        async with (
            open_media_pool([proxy.url], SETTINGS) as pool,
            pool.pipeline({}) as pipeline,
            pipeline.endpoint(LIMITS) as endpoint,
        ):
            before = pool.servers
            for cuts in range(1, 4):
                proxy.cut()
                assert isinstance(await endpoint.events.receive(), events.SessionResumed)
                assert proxy.connections == 1 + cuts
                assert pool.servers == before
            assert "m=video" in await endpoint.process_offer(PUBLISH)
            await endpoint.gather_candidates()
            assert await gathered(endpoint)
            assert not pipeline.lost.is_set()


async def test_requests_under_way_survive_cuts_and_are_carried_out_once(proxy: Proxy) -> None:
    with trio.fail_after(DEADLINE):
        async with open_media_pool([proxy.url], SETTINGS) as pool, pool.pipeline({}) as pipeline:
            ids: set[str] = set()

            async def use() -> None:
                async with pipeline.endpoint(LIMITS) as endpoint:
                    assert "m=video" in await endpoint.process_offer(PUBLISH)
                    ids.add(endpoint.id)

            for _ in range(10):
                async with trio.open_nursery() as nursery:
                    for _ in range(3):
                        nursery.start_soon(use)
                    await trio.lowlevel.checkpoint()
                    proxy.cut()
            assert len(ids) == 30
            async with open_link(proxy.target, SETTINGS) as (link, _):
                assert link.session is not None
                assert await link.session.invoke(pipeline.id, "getChildren") == []


async def test_creations_cancelled_at_any_point_leave_nothing(proxy: Proxy) -> None:
    with trio.fail_after(DEADLINE):
        async with open_media_pool([proxy.url], SETTINGS) as pool:
            await pool.wait_ready()
            for step in range(60):
                with trio.move_on_after(step / 5000):
                    async with pool.pipeline({"room": "lobby"}) as pipeline, pipeline.endpoint(LIMITS):
                        await trio.sleep_forever()
            async with pool.pipeline({}) as last, last.endpoint(LIMITS):
                # Replies come in their order: the orphans were named before `last` was, and released before
                # its endpoint was made.
                assert await pipelines_at(proxy.target) == [last.id]
            assert [(s.pipelines, s.endpoints) for s in pool.servers] == [(0, 0)]


async def test_another_process_behind_the_same_address_is_a_new_session(proxy: Proxy) -> None:
    with trio.fail_after(DEADLINE):
        async with media_server() as successor, open_media_pool([proxy.url], SETTINGS) as pool:
            async with pool.pipeline({}) as pipeline, pipeline.endpoint(LIMITS) as endpoint:
                before = pool.servers[0]
                proxy.target = successor
                proxy.cut()
                with pytest.raises(MediaServerLost):
                    await endpoint.events.receive()
                assert pipeline.lost.is_set()
            async with pool.pipeline({}) as pipeline, pipeline.endpoint(LIMITS) as endpoint:
                after = pool.servers[0]
                assert (after.server_id, after.session_id) != (before.server_id, before.session_id)
                assert "m=video" in await endpoint.process_offer(PUBLISH)


async def test_a_run_that_was_killed_leaves_its_objects_and_subscriptions_to_the_next(proxy: Proxy) -> None:
    with trio.fail_after(DEADLINE):
        # Whoever only drops the socket is taken for a client that was killed.
        async with kurento_client.open_client(proxy.target) as killed:
            opened = (await killed.request("connect", {}))["result"]
            session: dict[str, str] = {"sessionId": opened["sessionId"]}
            made = {"type": "MediaPipeline", "constructorParams": {}, **session}
            pipeline_id = await killed.call("create", **made)
            made = {"type": "WebRtcEndpoint", "constructorParams": {"mediaPipeline": pipeline_id}, **session}
            publisher_id, viewer_id, _ = [await killed.call("create", **made) for _ in range(3)]
            for endpoint in (publisher_id, viewer_id):
                for name in (*events.SUBSCRIBED, *events.OPTIONAL):
                    await killed.call("subscribe", object=endpoint, type=name, **session)
            await killed.invoke(publisher_id, "connect", sink=viewer_id, mediaType="AUDIO")
        place = PipelinePlace(proxy.url, opened["sessionId"], opened["serverId"], pipeline_id)
        async with open_media_pool([proxy.url], SETTINGS, at_once=False) as pool:
            pool.resume([place])
            async with pool.adopt(place) as pipeline:
                async with pipeline.adopt(publisher_id) as publisher, pipeline.adopt(viewer_id) as viewer:
                    pipeline.release_left()
                    assert await publisher.connected_to(viewer) == {MediaType.AUDIO}
                    # It is one of those that report this.
                    assert set(viewer._session.has.values()) == {True}
                    assert await viewer.is_paused(MediaType.VIDEO) is False
                    await publisher.process_offer(PUBLISH)
                    await publisher.gather_candidates()
                    candidates = [found.candidate for found in await gathered(publisher)]
                    assert candidates
                    # None came twice, so there is only the subscription of the run before.
                    assert all(candidates.count(candidate) == 1 for candidate in candidates)
                    stocks = await pool.take_stock(DEADLINE)
                    (stock,) = stocks.values()
                    assert stock is not None
                    assert (stock.only_here, stock.only_there) == ({}, {})
                assert await pipelines_at(proxy.target) == [pipeline_id]
            assert await pipelines_at(proxy.target) == []


async def test_closing_the_pool_leaves_nothing_at_the_media_server(proxy: Proxy) -> None:
    with trio.fail_after(DEADLINE):
        async with open_media_pool([proxy.url], SETTINGS) as pool:
            await pool.wait_ready()
            async with open_link(proxy.url, SETTINGS) as (link, _):
                assert link.session is not None
                await link.session.create("MediaPipeline", {})
                assert len(await pipelines_at(proxy.target)) == 1
            assert await pipelines_at(proxy.target) == []


async def test_a_monitor_that_looked_keeps_nothing_of_a_pool_that_is_closed(proxy: Proxy) -> None:
    with trio.fail_after(DEADLINE):
        async with kurento_client.open_client(proxy.target) as monitor:
            async with open_link(proxy.url, SETTINGS) as (link, _):
                assert link.session is not None
                pipeline = await link.session.create("MediaPipeline", {})
                endpoint = await link.session.create("WebRtcEndpoint", {"mediaPipeline": pipeline})
                assert await monitor.invoke(MANAGER_ID, "getPipelines") == [pipeline]
                assert await monitor.invoke(pipeline, "getChildren") == [endpoint]
            assert await monitor.invoke(MANAGER_ID, "getPipelines") == []
