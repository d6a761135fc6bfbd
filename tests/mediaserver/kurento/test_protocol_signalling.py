"""Media sessions over the protocol: real peers connected, events shaped as recorded."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.engine.engine import open_engine
from roomfsm.mediaserver.ice.state import IceState
from roomfsm.mediaserver.kurento.arguments import Arguments
from roomfsm.mediaserver.kurento.limits import Limits
from roomfsm.mediaserver.kurento.registry import Objects
from roomfsm.mediaserver.kurento.webrtc_endpoint import WebRtcEndpoint
from roomfsm.peer import AUDIO_SSRC
from tests.mediaserver.kurento import replay
from tests.mediaserver.kurento.recorded import shape
from tests.mediaserver.kurento_client import PATIENCE, Client, open_client, open_server
from tests.mediaserver.peer import OPUS, VP8_KEYFRAME, TestPeer, open_test_peer

ENDPOINT_EVENTS = (
    "ConnectionStateChanged",
    "DtlsConnectionStateChange",
    "ElementConnected",
    "ElementDisconnected",
    "Error",
    "IceCandidateFound",
    "IceComponentStateChanged",
    "IceGatheringDone",
    "MediaFlowInStateChanged",
    "MediaFlowOutStateChanged",
    "MediaSessionStarted",
    "MediaSessionTerminated",
    "MediaStateChanged",
    "MediaTranscodingStateChanged",
    "NewCandidatePairSelected",
)

SESSION = "02_session_webrtc_media.jsonl"


def recorded_shapes() -> dict[str, list[Any]]:
    """The shapes of each type of event in the recordings."""
    shapes: dict[str, list[Any]] = {}
    for name in (SESSION, "06_peer_vanishes.jsonl"):
        for line in replay.read(name):
            if line.direction == "recv" and line.message.get("method") == "onEvent":
                value = line.message["params"]["value"]
                known = shapes.setdefault(value["type"], [])
                if shape(line.message) not in known:
                    known.append(shape(line.message))
    return shapes


async def test_events_of_a_request_come_before_its_reply() -> None:
    """As Kurento's MediaSessionStarted and first candidates do; IceGatheringDone ends the candidates."""
    offer = next(
        line.message["params"]["operationParams"]["offer"]
        for line in replay.read(SESSION)
        if line.direction == "send" and line.message["params"].get("operation") == "processOffer"
    )
    async with open_server() as server, open_client(server.url) as client:
        endpoint = await open_endpoint(client, await client.pipeline())
        client.received.clear()
        await client.invoke(endpoint, "processOffer", offer=offer)
        await client.invoke(endpoint, "gatherCandidates")
        order = [m["params"]["value"]["type"] if "params" in m else "reply" for m in client.received]
        candidates = order.count("IceCandidateFound")
        assert candidates == 2, "one for each of the offer's m-lines"
        assert order == [
            "MediaSessionStarted",
            "reply",
            *["IceComponentStateChanged"] * 2,
            *["IceCandidateFound"] * candidates,
            "IceGatheringDone",
            "reply",
        ]
        components = [
            (event["data"]["componentId"], event["data"]["state"])
            for event in client.events("IceComponentStateChanged")
        ]
        assert components == [(1, "GATHERING"), (2, "GATHERING")]
        # A second time there is nothing new.
        await client.invoke(endpoint, "gatherCandidates")
        assert len(client.events("IceGatheringDone")) == 1


async def test_candidates_asked_for_before_the_offer_come_with_the_answer() -> None:
    async with open_server() as server, open_client(server.url) as client, open_test_peer("sendonly") as peer:
        endpoint = await open_endpoint(client, await client.pipeline())
        await client.invoke(endpoint, "gatherCandidates")
        assert client.events() == []
        await client.invoke(endpoint, "processOffer", offer=peer.offer)
        assert len(client.events("IceGatheringDone")) == 1


async def test_dtls_begins_once_however_often_ice_connects() -> None:
    """A peer that was silent for a while connects again, with the keys that it has."""
    sent: list[dict[str, Any]] = []

    class Socket:
        session_id: str | None = None

        def push(self, text: str) -> None:
            sent.append(json.loads(text)["params"]["value"]["data"])

    async with open_engine(EngineSettings(host="127.0.0.1")) as engine:
        objects = Objects(engine, Limits())
        session = objects.sessions.get_or_new(None)
        pipeline = objects.create("MediaPipeline", Arguments({}, ""), session)
        endpoint = objects.create("WebRtcEndpoint", Arguments({"mediaPipeline": pipeline.id}, ""), session)
        assert isinstance(endpoint, WebRtcEndpoint)
        objects.sessions.bind(session, Socket())
        endpoint.subscribe("DtlsConnectionStateChange", session.id)
        for state in (IceState.CONNECTED, IceState.DISCONNECTED, IceState.CONNECTED):
            endpoint.ice_state_changed(state)
        assert [data["state"] for data in sent] == ["NEW"]


async def open_endpoint(client: Client, pipeline: str) -> str:
    endpoint = await client.endpoint(pipeline)
    for type_ in ENDPOINT_EVENTS:
        await client.call("subscribe", object=endpoint, type=type_)
    return endpoint


class Stage:
    """A publisher and a viewer of it, both connected."""

    def __init__(self, client: Client, publisher: str, viewer: str, peers: tuple[TestPeer, TestPeer]) -> None:
        self.client = client
        self.publisher = publisher
        self.viewer = viewer
        self.sending, self.receiving = peers

    async def send_media(self) -> None:
        while True:
            self.sending.send_rtp(VP8_KEYFRAME, marker=True)
            self.sending.send_rtp(OPUS, ssrc=AUDIO_SSRC)
            await trio.sleep(0.02)

    def data(self, type_: str, endpoint: str) -> list[dict[str, Any]]:
        return [event["data"] for event in self.client.events(type_) if event["object"] == endpoint]


@asynccontextmanager
async def open_stage() -> AsyncIterator[Stage]:
    async with (
        open_server() as server,
        open_client(server.url) as client,
        open_test_peer("sendonly") as sending,
        open_test_peer("recvonly") as receiving,
        trio.open_nursery() as nursery,
    ):
        pipeline = await client.pipeline()
        publisher, viewer = await open_endpoint(client, pipeline), await open_endpoint(client, pipeline)
        await client.invoke(publisher, "connect", sink=viewer)
        with trio.fail_after(PATIENCE):
            for endpoint, peer in ((publisher, sending), (viewer, receiving)):
                await peer.accept(await client.invoke(endpoint, "processOffer", offer=peer.offer))
                await client.invoke(endpoint, "gatherCandidates")
        stage = Stage(client, publisher, viewer, (sending, receiving))
        nursery.start_soon(stage.send_media)
        for kind in ("AUDIO", "VIDEO"):
            await client.event("MediaFlowOutStateChanged", source=publisher, mediaType=kind, state="FLOWING")
            await client.event("MediaFlowInStateChanged", source=viewer, mediaType=kind, state="FLOWING")
        yield stage
        nursery.cancel_scope.cancel()


async def test_media_from_publisher_to_viewer_is_told_as_recorded() -> None:
    async with open_stage() as stage:
        client, publisher, viewer = stage.client, stage.publisher, stage.viewer
        for endpoint in (publisher, viewer):
            await client.event("MediaStateChanged", source=endpoint, newState="CONNECTED", oldState="DISCONNECTED")
            assert [d["newState"] for d in stage.data("ConnectionStateChanged", endpoint)] == ["CONNECTED"]
            halves = [(d["state"], d["componentId"]) for d in stage.data("DtlsConnectionStateChange", endpoint)]
            decoder, encoder = "[bundle/dtlssrtpdec]", "[bundle/dtlssrtpenc]"
            assert halves == [
                ("NEW", encoder),
                ("CONNECTING", decoder),
                ("CONNECTING", encoder),
                ("CONNECTED", decoder),
                ("CONNECTED", encoder),
            ]
            states = [
                d["state"]
                for d in stage.data("IceComponentStateChanged", endpoint)
                if d["componentId"] == 1 and d["state"] != "GATHERING"
            ]
            assert states == ["CONNECTING", "CONNECTED", "READY"]
            pairs = await client.invoke(endpoint, "getICECandidatePairs")
            assert pairs == [d["candidatePair"] for d in stage.data("NewCandidatePairSelected", endpoint)]
            assert await client.invoke(endpoint, "getConnectionState") == "CONNECTED"
            assert await client.invoke(endpoint, "getMediaState") == "CONNECTED"
            ice = await client.invoke(endpoint, "getIceConnectionState")
            assert [(one["componentId"], one["state"]) for one in ice] == [(1, "READY"), (2, "GATHERING")]
        shapes = recorded_shapes()
        for event in client.events():
            message = {"jsonrpc": "2.0", "method": "onEvent", "params": {"value": event}}
            assert shape(message) in shapes[event["type"]], event
        # What comes from a browser goes out to the sinks; what goes to one comes in from its source.
        for endpoint, flowing_in, flowing_out in ((publisher, False, True), (viewer, True, False)):
            assert await client.invoke(endpoint, "isMediaFlowingIn", mediaType="VIDEO") is flowing_in
            assert await client.invoke(endpoint, "isMediaFlowingOut", mediaType="VIDEO") is flowing_out
        assert stage.data("MediaFlowInStateChanged", publisher) == []
        assert stage.data("MediaFlowOutStateChanged", viewer) == []
        assert await client.invoke(viewer, "isMediaTranscoding", mediaType="VIDEO") is False
        transcoding = stage.data("MediaTranscodingStateChanged", publisher)
        assert {(d["mediaType"], d["state"]) for d in transcoding} == {
            ("AUDIO", "NOT_TRANSCODING"),
            ("VIDEO", "NOT_TRANSCODING"),
        }


async def test_statistics_have_kurentos_members() -> None:
    recorded = next(
        line.message["result"]["value"]
        for line in replay.read(SESSION)
        if line.direction == "recv" and line.message.get("id") == 50
    )
    by_type = {stats["type"]: stats for stats in recorded.values()}
    async with open_stage() as stage:
        received = await stage.client.invoke(stage.publisher, "getStats", mediaType="VIDEO")
        sent = await stage.client.invoke(stage.viewer, "getStats", mediaType="VIDEO")
        both = await stage.client.invoke(stage.viewer, "getStats")
    inbound = [stats for stats in received.values() if stats["type"] == "inboundrtp"]
    outbound = [stats for stats in sent.values() if stats["type"] == "outboundrtp"]
    assert [shape(stats) for stats in inbound] == [shape(by_type["inboundrtp"])]
    assert [shape(stats) for stats in outbound] == [shape(by_type["outboundrtp"])]
    assert inbound[0]["packetsReceived"] > 0
    assert outbound[0]["packetsSent"] > 0
    assert set(sent) < set(both), "the same ids each time"


async def test_closed_peer_is_told_at_once() -> None:
    async with open_stage() as stage:
        stage.receiving.close_notify()
        await stage.client.event("DtlsConnectionStateChange", source=stage.viewer, state="CLOSED")
        assert await stage.client.invoke(stage.viewer, "getConnectionState") == "CONNECTED", "as recorded"


async def test_flow_ends_with_the_packets() -> None:
    async with open_stage() as stage:
        await stage.client.call("release", object=stage.publisher)
        for kind in ("AUDIO", "VIDEO"):
            await stage.client.event(
                "MediaFlowInStateChanged", source=stage.viewer, mediaType=kind, state="NOT_FLOWING"
            )


async def test_keyframe_is_asked_of_the_publisher() -> None:
    async with open_stage() as stage:
        assert await stage.client.invoke(stage.viewer, "requestKeyframe") is None
        with trio.fail_after(PATIENCE):
            while True:
                stats = await stage.client.invoke(stage.publisher, "getStats", mediaType="VIDEO")
                if any(one["type"] == "inboundrtp" and one["pliCount"] > 0 for one in stats.values()):
                    return


async def test_keyframe_cannot_be_asked_of_a_publisher_nor_where_no_video_comes() -> None:
    async with open_stage() as stage:
        assert (await stage.client.invoke_error(stage.publisher, "requestKeyframe"))[0] == 40111
        await stage.client.invoke(stage.publisher, "disconnect", sink=stage.viewer, mediaType="VIDEO")
        assert (await stage.client.invoke_error(stage.viewer, "requestKeyframe"))[0] == 40111


@pytest.mark.parametrize("released", ["publisher", "viewer"])
async def test_released_endpoint_is_gone_and_the_other_stays(released: str) -> None:
    async with open_stage() as stage:
        gone, left = stage.publisher, stage.viewer
        if released == "viewer":
            gone, left = left, gone
        await stage.client.call("release", object=gone)
        assert (await stage.client.error("describe", object=gone))[0] == 40101
        assert await stage.client.invoke(left, "getMediaState") == "CONNECTED"
