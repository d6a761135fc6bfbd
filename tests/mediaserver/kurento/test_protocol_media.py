"""Media over the protocol: pass-throughs, changes of source, offers by the server, directions, latency."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
import trio

from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.engine.engine import open_engine
from roomfsm.mediaserver.kurento.arguments import Arguments
from roomfsm.mediaserver.kurento.limits import Limits
from roomfsm.mediaserver.kurento.objects import MediaElement, MediaType
from roomfsm.mediaserver.kurento.registry import Objects
from roomfsm.mediaserver.rtp.extensions import AUDIO_LEVEL, RID
from roomfsm.peer import AUDIO_SSRC
from tests.mediaserver import answering
from tests.mediaserver.kurento_client import PATIENCE, Client, open_client, open_server
from tests.mediaserver.peer import OPUS, VP8_KEYFRAME, TestPeer, open_test_peer
from tests.ports import reserved_port

OTHER_KEYFRAME = VP8_KEYFRAME + b"other"


@asynccontextmanager
async def open_room() -> AsyncIterator[tuple[Client, str]]:
    """A client of a server of its own, and a pipeline."""
    with trio.fail_after(PATIENCE):
        async with open_server() as server, open_client(server.url) as client:
            yield client, await client.pipeline()


@dataclass(frozen=True)
class Participant:
    endpoint: str
    peer: TestPeer

    async def watch(self, payload: bytes) -> None:
        """Wait until a packet with this payload comes."""
        while (await self.peer.receive_rtp()).payload != payload:
            pass


async def create(client: Client, type_: str, pipeline: str, **arguments: Any) -> str:
    given = {"mediaPipeline": pipeline, **arguments}
    id_: str = await client.call("create", type=type_, constructorParams=given)
    return id_


@asynccontextmanager
async def join(client: Client, pipeline: str, direction: str) -> AsyncIterator[Participant]:
    """A browser with its endpoint, connected; one that sends goes on sending to the end."""
    endpoint = await client.endpoint(pipeline)
    async with open_test_peer(direction) as peer:
        await peer.accept(await client.invoke(endpoint, "processOffer", offer=peer.offer))
        yield Participant(endpoint, peer)
        assert peer.refused == 0, "the server sent what SRTP refuses"


@asynccontextmanager
async def sending(peer: TestPeer, payload: bytes = VP8_KEYFRAME) -> AsyncIterator[None]:
    """The peer sends video, and audio, all the while."""

    async def send() -> None:
        while True:
            peer.send_rtp(payload, marker=True)
            peer.send_rtp(OPUS, ssrc=AUDIO_SSRC)
            await trio.sleep(0.01)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        yield
        nursery.cancel_scope.cancel()


# Joints


@pytest.mark.parametrize("source_first", [True, False])
async def test_a_pass_through_forwards_media_to_everything_behind_it(source_first: bool) -> None:
    async with (
        open_room() as (client, pipeline),
        join(client, pipeline, "sendonly") as publisher,
        join(client, pipeline, "recvonly") as one,
        join(client, pipeline, "recvonly") as other,
        sending(publisher.peer),
    ):
        joint = await create(client, "PassThrough", pipeline)
        connections = [(joint, one.endpoint), (joint, other.endpoint)]
        connections.insert(0 if source_first else 2, (publisher.endpoint, joint))
        for source, sink in connections:
            await client.invoke(source, "connect", sink=sink)
        await one.watch(VP8_KEYFRAME)
        await other.watch(VP8_KEYFRAME)
        for operation in ("isMediaFlowingIn", "isMediaFlowingOut"):
            assert await client.invoke(joint, operation, mediaType="VIDEO") is True
        sources = await client.invoke(one.endpoint, "getSourceConnections")
        assert {connection["source"] for connection in sources} == {joint}
        assert await client.invoke(joint, "getStats") == {}


@pytest.mark.parametrize("how", ["disconnect", "release joint", "release publisher"])
async def test_media_stop_behind_a_pass_through_without_a_source(how: str) -> None:
    async with (
        open_room() as (client, pipeline),
        join(client, pipeline, "sendonly") as publisher,
        join(client, pipeline, "recvonly") as viewer,
        sending(publisher.peer),
    ):
        joint = await create(client, "PassThrough", pipeline)
        await client.call("subscribe", object=viewer.endpoint, type="MediaFlowInStateChanged")
        await client.invoke(publisher.endpoint, "connect", sink=joint)
        await client.invoke(joint, "connect", sink=viewer.endpoint)
        await client.event("MediaFlowInStateChanged", mediaType="VIDEO", state="FLOWING")
        if how == "disconnect":
            await client.invoke(publisher.endpoint, "disconnect", sink=joint)
        else:
            await client.call("release", object=joint if how == "release joint" else publisher.endpoint)
        await client.event("MediaFlowInStateChanged", mediaType="VIDEO", state="NOT_FLOWING")


async def test_the_source_of_a_pass_through_is_replaced_while_it_plays() -> None:
    async with (
        open_room() as (client, pipeline),
        join(client, pipeline, "sendonly") as first,
        join(client, pipeline, "sendonly") as second,
        join(client, pipeline, "recvonly") as viewer,
        sending(first.peer),
        sending(second.peer, OTHER_KEYFRAME),
    ):
        joint = await create(client, "PassThrough", pipeline)
        await client.invoke(joint, "connect", sink=viewer.endpoint)
        for publisher, payload in ((first, VP8_KEYFRAME), (second, OTHER_KEYFRAME), (first, VP8_KEYFRAME)):
            await client.invoke(publisher.endpoint, "connect", sink=joint)
            await viewer.watch(payload)


async def test_pass_throughs_in_a_circle_forward_nothing_and_do_no_harm() -> None:
    async with open_room() as (client, pipeline), join(client, pipeline, "recvonly") as viewer:
        one, other = [await create(client, "PassThrough", pipeline) for _ in range(2)]
        for source, sink in ((one, other), (other, one), (other, viewer.endpoint)):
            await client.invoke(source, "connect", sink=sink)
        await client.invoke(one, "connect", sink=one, mediaType="AUDIO")
        assert await client.invoke(one, "isMediaFlowingIn", mediaType="VIDEO") is False
        await client.call("release", object=one)
        assert await client.invoke(viewer.endpoint, "getName") == viewer.endpoint


async def test_a_chain_of_pass_throughs_longer_than_the_stack_does_no_harm() -> None:
    async with open_engine(EngineSettings(host="127.0.0.1")) as engine:
        objects = Objects(engine, Limits())
        session = objects.sessions.get_or_new("s")
        pipeline = objects.create("MediaPipeline", Arguments({}, ""), session)
        types = ["WebRtcEndpoint", *["PassThrough"] * (sys.getrecursionlimit() + 100), "WebRtcEndpoint"]
        chain = [objects.create(type_, Arguments({"mediaPipeline": pipeline.id}, ""), session) for type_ in types]
        for source, sink in pairwise(chain):
            assert isinstance(source, MediaElement)
            source.connect(Arguments({"sink": sink.id, "mediaType": "VIDEO"}, ""))
        first, last = chain[1], chain[-2]
        assert isinstance(first, MediaElement)
        assert isinstance(last, MediaElement)
        assert last.origin(MediaType.VIDEO) is chain[0]
        assert first.receivers(MediaType.VIDEO) == [chain[-1]]
        objects.close()


# Connections


async def test_viewer_of_audio_alone_then_of_video_alone() -> None:
    async with (
        open_room() as (client, pipeline),
        join(client, pipeline, "sendonly") as publisher,
        join(client, pipeline, "recvonly") as viewer,
        sending(publisher.peer),
    ):
        await client.invoke(publisher.endpoint, "connect", sink=viewer.endpoint, mediaType="AUDIO")
        await viewer.watch(OPUS)
        assert {packet.payload for packet in viewer.peer.received_rtp()} <= {OPUS}
        await client.invoke(publisher.endpoint, "disconnect", sink=viewer.endpoint, mediaType="AUDIO")
        await client.invoke(publisher.endpoint, "connect", sink=viewer.endpoint, mediaType="VIDEO")
        await viewer.watch(VP8_KEYFRAME)
        viewer.peer.received_rtp()
        for _ in range(10):
            assert (await viewer.peer.receive_rtp()).payload == VP8_KEYFRAME


async def test_endpoint_connected_to_itself_sees_itself() -> None:
    async with (
        open_room() as (client, pipeline),
        join(client, pipeline, "sendrecv") as mirror,
        sending(mirror.peer),
    ):
        await client.invoke(mirror.endpoint, "connect", sink=mirror.endpoint)
        await mirror.watch(VP8_KEYFRAME)


# The server as the offerer


@pytest.mark.parametrize("setup", ["active", "passive"])
async def test_offer_of_the_server_is_answered_by_a_viewer(setup: str) -> None:
    async with (
        open_room() as (client, pipeline),
        join(client, pipeline, "sendonly") as publisher,
        sending(publisher.peer),
        open_test_peer("recvonly") as peer,
    ):
        endpoint = await create(client, "WebRtcEndpoint", pipeline, sendonly=True)
        for type_ in ("MediaSessionStarted", "IceGatheringDone", "MediaStateChanged"):
            await client.call("subscribe", object=endpoint, type=type_)
        await client.invoke(publisher.endpoint, "connect", sink=endpoint)
        offer = await client.invoke(endpoint, "generateOffer")
        assert await client.invoke(endpoint, "getLocalSessionDescriptor") == offer
        assert (await client.invoke_error(endpoint, "getRemoteSessionDescriptor"))[0] == 40203
        await client.invoke(endpoint, "gatherCandidates")
        assert [event["type"] for event in client.events()] == ["IceGatheringDone"]
        answer = answering.write_answer(peer, offer, direction="recvonly", setup=setup)
        assert await client.invoke(endpoint, "processAnswer", answer=answer) == offer
        assert [event["type"] for event in client.events()] == ["IceGatheringDone", "MediaSessionStarted"]
        assert await client.invoke(endpoint, "getRemoteSessionDescriptor") == answer
        assert (await client.invoke_error(endpoint, "processAnswer", answer=answer))[0] == 40210
        await answering.connect(peer, offer, setup=setup)
        await Participant(endpoint, peer).watch(VP8_KEYFRAME)
        await client.event("MediaStateChanged", newState="CONNECTED")


@pytest.mark.parametrize(
    ("options", "media"),
    [
        ({}, ["m=audio", "m=video"]),
        ({"offerToReceiveAudio": False, "offerToReceiveVideo": True}, ["m=video"]),
        ({"offerToReceiveVideo": False}, ["m=audio"]),
    ],
)
async def test_options_leave_kinds_out_of_the_offer(options: dict[str, bool], media: list[str]) -> None:
    async with open_room() as (client, pipeline):
        endpoint = await client.endpoint(pipeline)
        offer = await client.invoke(endpoint, "generateOffer", options=options)
        assert [line[:7] for line in offer.split("\r\n") if line.startswith("m=")] == media


async def test_option_of_a_wrong_type_is_refused() -> None:
    async with open_room() as (client, pipeline):
        endpoint = await client.endpoint(pipeline)
        options = {"offerToReceiveAudio": "yes"}
        assert await client.invoke_error(endpoint, "generateOffer", options=options) == (
            40001,
            "'offerToReceiveAudio' property should be a boolean",
        )


@pytest.mark.parametrize(
    ("flags", "direction"),
    [({"recvonly": True}, "recvonly"), ({"sendonly": True}, "sendonly"), ({}, "sendrecv")],
)
async def test_an_endpoint_does_only_what_it_was_created_for(flags: dict[str, bool], direction: str) -> None:
    async with open_room() as (client, pipeline), open_test_peer("sendrecv") as peer:
        for operation, arguments in (("processOffer", {"offer": peer.offer}), ("generateOffer", {})):
            endpoint = await create(client, "WebRtcEndpoint", pipeline, **flags)
            description = await client.invoke(endpoint, operation, **arguments)
            assert description.split("\r\n").count(f"a={direction}") == 2


# Bandwidths and statistics


@pytest.mark.parametrize(("kbits", "accepted"), [(-1, False), (0, True), (10_000_000, True), (10_000_001, False)])
async def test_bandwidth_has_limits(kbits: int, accepted: bool) -> None:
    async with open_room() as (client, pipeline):
        endpoint = await client.endpoint(pipeline)
        invoke = {"object": endpoint, "operation": "setMaxVideoSendBandwidth"}
        reply = await client.request("invoke", invoke | {"operationParams": {"maxVideoSendBandwidth": kbits}})
        assert ("result" in reply) is accepted
        expected = kbits if accepted else 500
        assert await client.invoke(endpoint, "getMaxVideoSendBandwidth") == expected


async def test_publisher_is_told_what_it_may_send() -> None:
    async with open_room() as (client, pipeline), open_test_peer("sendonly") as peer:
        endpoint = await client.endpoint(pipeline)
        await client.invoke(endpoint, "setMaxAudioRecvBandwidth", maxAudioRecvBandwidth=32)
        await client.invoke(endpoint, "setMaxVideoRecvBandwidth", maxVideoRecvBandwidth=800)
        answer = await client.invoke(endpoint, "processOffer", offer=peer.offer)
        lines = [line for line in answer.split("\r\n") if line.startswith(("m=", "b="))]
        assert [line if line[0] == "b" else line[:7] for line in lines] == [
            "m=audio",
            "b=AS:32",
            "m=video",
            "b=AS:800",
        ]


async def test_a_browser_may_send_layers_and_a_viewer_tells_the_size_of_the_picture() -> None:
    async with open_room() as (client, pipeline):
        source, viewer = await client.endpoint(pipeline), await client.endpoint(pipeline)
        async with open_test_peer("sendonly") as peer:
            layers = ("a=rid:l send", "a=rid:h send", "a=simulcast:send l;h", f"a=extmap:10 {RID}")
            answer = await client.invoke(source, "processOffer", offer=peer.offer + "\r\n".join((*layers, "")))
        assert "a=simulcast:recv l;h" in answer.splitlines()
        assert await client.invoke(source, "getLayersWanted") is None
        await client.invoke(source, "connect", sink=viewer)
        await client.invoke(viewer, "setPictureSize", size="SMALL")
        _, refused = await client.invoke_error(viewer, "setPictureSize", size="HUGE")
        assert refused == "Invalid value for 'PictureSize'"


async def test_endpoints_of_one_participant_share_a_path() -> None:
    limit = Limits().max_participant
    async with open_room() as (client, pipeline), open_test_peer("recvonly") as peer:
        one, another = await client.endpoint(pipeline), await client.endpoint(pipeline)
        for endpoint in (one, another):
            await client.invoke(endpoint, "setParticipant", participant="p" * limit)
        for wrong in ("", "p" * (limit + 1)):
            code, refused = await client.invoke_error(one, "setParticipant", participant=wrong)
            assert (code, refused) == (40001, f"'participant' has 1 to {limit} characters, not {len(wrong)}")
        await client.invoke(one, "processOffer", offer=peer.offer)
        code, _ = await client.invoke_error(one, "setParticipant", participant="p2")
        assert code == 40208


async def test_whether_a_browsers_user_speaks_is_reported() -> None:
    levels = {"audio": {AUDIO_LEVEL: 5}}
    async with open_room() as (client, pipeline), open_test_peer("sendonly", extensions=levels) as peer:
        source = await client.endpoint(pipeline)
        answer = await client.invoke(source, "processOffer", offer=peer.offer)
        assert f"a=extmap:5 {AUDIO_LEVEL}" in answer.splitlines()
        await client.call("subscribe", object=source, type="SpeakingStateChanged")
        await peer.accept(answer)
        assert await client.invoke(source, "isSpeaking") is False
        peer.send_rtp(OPUS, ssrc=AUDIO_SSRC, extension=b"\xbe\xde\0\1\x50\x14\0\0")
        await client.event("SpeakingStateChanged", source=source, state="SPEAKING")
        assert await client.invoke(source, "isSpeaking") is True
        # No packets come any more, so it is over after a while.
        await client.event("SpeakingStateChanged", source=source, state="NOT_SPEAKING")
        assert await client.invoke(source, "isSpeaking") is False


async def test_the_latency_is_reported_if_the_pipeline_asks_for_it() -> None:
    async with (
        open_room() as (client, pipeline),
        join(client, pipeline, "sendonly") as publisher,
        join(client, pipeline, "recvonly") as viewer,
        sending(publisher.peer),
    ):
        await client.invoke(publisher.endpoint, "connect", sink=viewer.endpoint)
        for _ in range(3):
            await viewer.watch(VP8_KEYFRAME)
        assert viewer.endpoint not in await client.invoke(viewer.endpoint, "getStats")
        await client.invoke(pipeline, "setLatencyStats", latencyStats=True)
        assert await client.invoke(pipeline, "getLatencyStats") is True
        stats = (await client.invoke(viewer.endpoint, "getStats", mediaType="VIDEO"))[viewer.endpoint]
        assert (stats["type"], stats["__type__"]) == ("endpoint", "EndpointStats")
        (latency,) = stats["E2ELatency"]
        assert (latency["name"], latency["type"]) == ("sink_video_default", "VIDEO")
        assert 1_000 < latency["avg"] < 100_000_000, "nanoseconds"


async def test_an_endpoint_names_tcp_candidates_unless_it_is_told_not_to() -> None:
    with trio.fail_after(PATIENCE), reserved_port() as port:
        async with open_server(media_tcp_port=port) as server, open_client(server.url) as client:
            pipeline = await client.pipeline()
            for wanted in (True, False):
                endpoint = await client.endpoint(pipeline)
                assert await client.invoke(endpoint, "getIceTcp")
                await client.invoke(endpoint, "setIceTcp", iceTcp=wanted)
                assert await client.invoke(endpoint, "getIceTcp") is wanted
                offer = await client.invoke(endpoint, "generateOffer")
                assert (f" {port} typ host tcptype passive" in offer) is wanted


# What it has not


UNAVAILABLE = [
    ("endpoint", "getGstreamerDot", {}),
    ("endpoint", "setVideoFormat", {"caps": {}}),
    ("endpoint", "createDataChannel", {}),
    ("endpoint", "setExternalIPv4", {"externalIPv4": "192.0.2.1"}),
    ("endpoint", "setIceTcp", {"iceTcp": True}),
    ("endpoint", "setMtu", {"mtu": 1000}),
    ("pipeline", "getGstreamerDot", {"details": "SHOW_ALL"}),
    ("pipeline", "dumpGstreamerDot", {}),
]


@pytest.mark.parametrize(("target", "operation", "arguments"), UNAVAILABLE)
async def test_an_operation_that_only_kurento_has_says_why(
    target: str, operation: str, arguments: dict[str, Any]
) -> None:
    async with open_room() as (client, pipeline):
        object_ = pipeline if target == "pipeline" else await client.endpoint(pipeline)
        code, message = await client.invoke_error(object_, operation, **arguments)
        assert code == 40006
        assert len(message) > 20
