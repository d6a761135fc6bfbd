"""The client against recorded sessions of a real Kurento 7.3."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest
import trio
from msgspec import to_builtins

from roomfsm.jsonrpc import Message
from roomfsm.kurento import (
    AlreadyNegotiated,
    BadArgument,
    BandwidthLimits,
    CandidateRefused,
    ConnectRefused,
    EventUnsupported,
    IceCandidate,
    KeyframeRefused,
    KurentoError,
    KurentoSettings,
    MediaServerLost,
    MediaType,
    ObjectGone,
    SdpInvalid,
    TagUnknown,
    TypeUnknown,
    UnknownOperation,
    WebRtcEndpoint,
    events,
    open_media_pool,
)
from roomfsm.kurento.connection import open_connection
from roomfsm.kurento.link import Link
from roomfsm.kurento.objects import open_pipeline
from tests.kurento.links import open_link
from tests.kurento.replay import Script, load, replay

DEFAULTS = BandwidthLimits()
TYPED = {
    40001: BadArgument,
    40004: ConnectRefused,
    40008: UnknownOperation,
    40101: ObjectGone,
    40106: EventUnsupported,
    40108: TypeUnknown,
    40110: TagUnknown,
    40111: KeyframeRefused,
    40201: SdpInvalid,
    40208: AlreadyNegotiated,
    40401: CandidateRefused,
}


async def negotiate(endpoint: WebRtcEndpoint, script: Script) -> str:
    """Offer, gather and trickle in the same way as the recorded client."""
    (offer,) = script.params("processOffer", endpoint.id)
    answer = await endpoint.process_offer(offer["offer"])
    await endpoint.gather_candidates()
    for params in script.params("addIceCandidate", endpoint.id):
        candidate = params["candidate"]
        await endpoint.add_ice_candidate(
            IceCandidate(candidate["candidate"], candidate["sdpMid"], candidate["sdpMLineIndex"])
        )
    return answer


def expected(script: Script, endpoint: WebRtcEndpoint) -> list[dict[str, Any]]:
    """The recorded events of an endpoint that the client subscribes to."""
    return [value for value in script.events(endpoint.id) if value["type"] in events.SUBSCRIBED]


async def receive_all(script: Script, endpoint: WebRtcEndpoint) -> None:
    """Receive exactly the recorded events, each with everything that was recorded in it."""
    for value in expected(script, endpoint):
        event = await endpoint.events.receive()
        assert type(event).__name__ == value["type"]
        got = to_builtins(event)
        assert str(got.pop("timestampMillis")) == value["data"]["timestampMillis"]
        assert_contains(value["data"], got)


def assert_contains(recorded: Mapping[str, Any], got: Mapping[str, Any]) -> None:
    for key, value in got.items():
        if isinstance(value, dict):
            assert_contains(recorded[key], value)
        else:
            assert recorded[key] == value


def reply_value(script: Script, operation: str, object_id: str) -> Any:
    (message,) = [
        message
        for message in script.sent()
        if message["params"].get("operation") == operation and message["params"]["object"] == object_id
    ]
    return script.replies()[message["id"]]["result"]["value"]


async def test_a_whole_session_with_media() -> None:
    ((_, script),) = load("02")
    with trio.fail_after(60):
        async with (
            replay([script]) as server,
            open_media_pool([server.url]) as pool,
            pool.pipeline({}) as pipeline,
            pipeline.endpoint(DEFAULTS) as publisher,
        ):
            async with pipeline.endpoint(DEFAULTS) as viewer:
                await publisher.connect(viewer)
                for endpoint in (publisher, viewer):
                    answer = await negotiate(endpoint, script)
                    assert answer == reply_value(script, "processOffer", endpoint.id)
                # A publisher's media flows out of its endpoint, into the pipeline, and a viewer's flows in.
                assert not await publisher.is_flowing_in(MediaType.VIDEO)
                assert not await viewer.is_flowing_out(MediaType.VIDEO)
                stats = await publisher.stats()
                assert "RTCInboundRTPStreamStats" in {entry["__type__"] for entry in stats.values()}
                async with pipeline.endpoint(DEFAULTS) as late:
                    await publisher.connect(late)
                    await negotiate(late, script)
                    for endpoint in (publisher, viewer, late):
                        assert len(expected(script, endpoint)) > 36
                        await receive_all(script, endpoint)
            assert [(s.pipelines, s.endpoints) for s in pool.servers] == [(1, 1)]


async def test_a_peer_that_vanishes() -> None:
    ((_, script),) = load("06")
    with trio.fail_after(60):
        async with (
            replay([script]) as server,
            open_media_pool([server.url]) as pool,
            pool.pipeline({}) as pipeline,
            pipeline.endpoint(DEFAULTS) as publisher,
            pipeline.endpoint(DEFAULTS) as viewer,
        ):
            await publisher.connect(viewer)
            await negotiate(publisher, script)
            await negotiate(viewer, script)
            for endpoint, flow in (
                (publisher, "MediaFlowOutStateChanged"),
                (viewer, "MediaFlowInStateChanged"),
            ):
                kinds = [value["type"] for value in expected(script, endpoint)]
                assert kinds[-1] == "MediaStateChanged"
                assert kinds.count(flow) == 4
                await receive_all(script, endpoint)


@pytest.mark.parametrize(
    ("transcript", "codes"), [("03", set(TYPED) - {40111}), ("17", {40001, 40101, 40111})], ids=["03", "17"]
)
async def test_every_recorded_error_is_raised_with_its_type(transcript: str, codes: set[int]) -> None:
    seen: set[int] = set()
    for _, script in load(transcript):
        seen |= await errors_of(script)
    assert seen >= codes


async def errors_of(script: Script) -> set[int]:
    """Repeat every recorded request and compare its result. Returns the codes of the errors."""
    replies = script.replies()
    seen: set[int] = set()

    def ignore(message: Message) -> None:
        """This test ignores events."""

    with trio.fail_after(60):
        async with (
            replay([script]) as server,
            open_connection(server.url, KurentoSettings(), itertools.count(1), ignore) as connection,
        ):
            for message in script.sent():
                if "params" not in message:
                    continue  # The client always sends params.
                reply = replies[message["id"]]
                if "error" not in reply:
                    assert await connection.call(message["method"], message["params"]) == reply["result"]
                    continue
                with pytest.raises(KurentoError) as caught:
                    await connection.call(message["method"], message["params"])
                error = reply["error"]
                seen.add(error["code"])
                assert type(caught.value) is TYPED.get(error["code"], KurentoError)
                assert (caught.value.code, caught.value.message) == (error["code"], error["message"])
                assert caught.value.type == error.get("data", {}).get("type")
    return seen


async def test_the_session_of_a_client_that_was_killed_goes_on_in_another_process() -> None:
    recorded = dict(load("05"))
    killed, back = recorded["D1"].replies(), recorded["D2"]
    session, pipeline_id, endpoint_id = (
        killed[1]["result"],
        killed[2]["result"]["value"],
        killed[3]["result"]["value"],
    )
    assert recorded["D1"].records[-1]["msg"] == killed[5], "nothing was released"
    with trio.fail_after(60):
        async with replay([back]) as server, trio.open_nursery() as nursery:
            announce, changes = trio.open_memory_channel[bool](10)
            link = Link(server.url, KurentoSettings(), lambda: announce.send_nowait(link.connected))
            link.resume(session["sessionId"], session["serverId"])
            nursery.start_soon(link.run)
            assert await changes.receive()
            assert link.session is not None
            assert (link.session.session_id, link.session.server_id) == (session["sessionId"], session["serverId"])
            described = await link.session.request("describe", {"object": endpoint_id})
            assert described["type"] == "WebRtcEndpoint"
            made = await link.session.create("WebRtcEndpoint", {"mediaPipeline": pipeline_id})
            # It was answered, and not with a reply from the cache to a request of the process before.
            assert made not in {pipeline_id, endpoint_id}
            await link.close()


async def test_a_session_that_its_media_server_has_forgotten_is_not_the_one_that_goes_on() -> None:
    recorded = load("11")
    first = [conn for conn, _ in recorded].index("c-SIGKILL with")
    old, new = (script for _, script in (recorded[first], recorded[first + 2]))
    session = old.replies()[1]["result"]
    with trio.fail_after(60):
        async with replay([new]) as server, trio.open_nursery() as nursery:
            announce, changes = trio.open_memory_channel[bool](10)
            link = Link(server.url, KurentoSettings(), lambda: announce.send_nowait(link.connected))
            link.resume(session["sessionId"], session["serverId"])
            nursery.start_soon(link.run)
            assert await changes.receive()
            assert link.session is not None
            assert link.session.session_id == new.replies()[101]["result"]["sessionId"] != session["sessionId"]
            await link.close()


@pytest.mark.parametrize("how", ["SIGTERM with", "SIGKILL with", "server crash"])
async def test_a_restarted_media_server(how: str) -> None:
    recorded = load("11")
    first = [conn for conn, _ in recorded].index(f"c-{how}")
    scripts = [script for _, script in recorded[first : first + 3]]
    old, _, new = (script.replies() for script in scripts)
    with trio.fail_after(60):
        async with replay(scripts) as server, open_link(server.url, KurentoSettings()) as (link, changes):
            assert link.session is not None
            assert link.session.session_id == old[1]["result"]["sessionId"]
            async with open_pipeline(link.session, {}) as pipeline, pipeline.endpoint(DEFAULTS) as endpoint:
                await server.cut()
                with pytest.raises(MediaServerLost):
                    await endpoint.events.receive()
                with pytest.raises(MediaServerLost):
                    await endpoint.gather_candidates()
                assert pipeline.lost.is_set()
                assert [await changes.receive(), await changes.receive()] == [False, True]
                session = link.session
                assert session.session_id == new[101]["result"]["sessionId"]
                assert session.server_id == new[101]["result"]["serverId"] != old[1]["result"]["serverId"]
                with pytest.raises(ObjectGone):
                    await session.request("describe", {"object": endpoint.id})
                assert await session.invoke("manager_ServerManager", "getCpuCount") == 2
