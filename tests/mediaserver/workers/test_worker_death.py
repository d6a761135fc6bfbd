"""When a worker dies, Error events say so. Tests what its endpoints and new ones can do then."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psutil
import pytest
import trio

from roomfsm.mediaserver.base.errors import WorkerDied
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.workers.workers import open_workers
from tests.mediaserver.kurento_client import Client, open_client, open_server, silence
from tests.mediaserver.observer import RecordingObserver
from tests.mediaserver.peer import VP8_KEYFRAME, TestPeer, open_test_peer

PATIENCE = 180.0
"""Seconds that a test waits before it fails: three processes have to start, on a busy machine."""
WATCHED = ("Error", "IceComponentStateChanged", "MediaFlowInStateChanged", "MediaStateChanged")


@dataclass(slots=True)
class Room:
    """A presenter and a viewer on two workers, the presenter's media flowing to the viewer; all of it watched."""

    client: Client
    pipeline: str
    source: str
    sink: str
    presenter: TestPeer
    viewer: TestPeer

    async def watched_endpoint(self) -> str:
        endpoint = await self.client.endpoint(self.pipeline)
        for type_ in WATCHED:
            await self.client.call("subscribe", object=endpoint, type=type_)
        return endpoint

    async def kill_viewers_worker(self) -> None:
        """Kill it, and read everything that the server says about it."""
        address = self.viewer.require_answer().address
        (process,) = (
            process
            for process in psutil.Process().children()
            if address[1] in {one.laddr.port for one in process.net_connections("udp")}
        )
        process.kill()
        await self.client.event("Error", source=self.sink)
        await silence(self.client)

    def told(self, source: str) -> list[tuple[str, Any]]:
        """Type and what is new of each event of the object."""
        return [
            (event["type"], event["data"].get("state") or event["data"].get("newState"))
            for event in self.client.events()
            if event["object"] == source
        ]


@asynccontextmanager
async def open_room() -> AsyncIterator[Room]:
    with trio.fail_after(PATIENCE):
        async with (
            open_server(workers=2) as server,
            open_client(server.url) as client,
            open_test_peer("sendonly") as presenter,
            open_test_peer("recvonly") as viewer,
        ):
            room = Room(client, await client.pipeline(), "", "", presenter, viewer)
            await client.call("subscribe", object=room.pipeline, type="Error")
            room.source, room.sink = await room.watched_endpoint(), await room.watched_endpoint()
            await client.invoke(room.source, "connect", sink=room.sink)
            for endpoint, peer in ((room.source, presenter), (room.sink, viewer)):
                await peer.accept(await client.invoke(endpoint, "processOffer", offer=peer.offer))
            presenter.send_rtp(VP8_KEYFRAME)
            await client.event("MediaFlowInStateChanged", source=room.sink, state="FLOWING")
            yield room


async def test_when_a_worker_dies_each_endpoint_and_the_pipeline_raise_an_error_event() -> None:
    async with open_room() as room:
        unused = await room.watched_endpoint()  # It takes turns: this one is the presenter's neighbour,
        doomed = await room.watched_endpoint()  # and this one the viewer's.
        await room.kill_viewers_worker()
        errors = {event["object"]: event for event in room.client.events("Error")}
        assert len(errors) == len(room.client.events("Error"))
        assert set(errors) == {room.sink, doomed, room.pipeline}
        assert int(errors[room.sink]["data"].pop("timestampMillis")) > 0
        assert errors[room.sink] == {
            "data": {
                "description": (
                    "media worker 1 died: the endpoint has no connection any more and can only be released"
                ),
                "errorCode": 40003,
                "source": room.sink,
                "tags": [],
                "type": "UNEXPECTED_ERROR",
            },
            "object": room.sink,
            "type": "Error",
        }
        pipeline = errors[room.pipeline]["data"]
        assert (pipeline["source"], pipeline["errorCode"]) == (room.pipeline, 40003)
        assert pipeline["description"].startswith("media worker 1 died: ")
        assert room.told(unused) == []


async def test_the_error_comes_after_the_states_and_nothing_counts_as_flowing() -> None:
    async with open_room() as room:
        before = len(room.told(room.sink))
        await room.kill_viewers_worker()
        assert room.told(room.sink)[before:] == [
            ("IceComponentStateChanged", "FAILED"),
            ("MediaStateChanged", "DISCONNECTED"),
            ("MediaFlowInStateChanged", "NOT_FLOWING"),
            ("Error", None),
        ]
        assert not await room.client.invoke(room.sink, "isMediaFlowingIn", mediaType="VIDEO")
        assert await room.client.invoke(room.sink, "getMediaState") == "DISCONNECTED"


@pytest.mark.parametrize("operation", ["processOffer", "generateOffer", "processAnswer"])
async def test_its_endpoints_can_not_be_negotiated_any_more(operation: str) -> None:
    async with open_room() as room:
        await room.watched_endpoint()
        doomed = await room.watched_endpoint()
        await room.kill_viewers_worker()
        offer = room.viewer.offer
        arguments = {"processOffer": {"offer": offer}, "generateOffer": {}, "processAnswer": {"answer": offer}}
        refused = await room.client.invoke_error(doomed, operation, **arguments[operation])
        assert refused == (40003, "media worker 1 died")


async def test_its_endpoints_can_be_released_and_late_requests_do_no_harm() -> None:
    async with open_room() as room:
        await room.kill_viewers_worker()
        candidate = {"candidate": "candidate:1 1 UDP 1 127.0.0.1 9 typ host", "sdpMid": "0", "sdpMLineIndex": 0}
        await room.client.invoke(room.sink, "addIceCandidate", candidate=candidate)
        await room.client.invoke(room.sink, "requestKeyframe")
        await room.client.invoke(room.source, "disconnect", sink=room.sink)
        await room.client.invoke(room.source, "connect", sink=room.sink)
        await room.client.call("release", object=room.sink)
        assert (await room.client.error("describe", object=room.sink))[0] == 40101
        assert await room.client.invoke(room.pipeline, "getChildren") == [room.source]


async def test_new_endpoints_are_served_by_the_remaining_workers() -> None:
    async with open_room() as room, open_test_peer("recvonly") as viewer:
        await room.kill_viewers_worker()
        await room.client.call("release", object=room.sink)
        endpoint = await room.watched_endpoint()
        await room.client.invoke(room.source, "connect", sink=endpoint)
        await viewer.accept(await room.client.invoke(endpoint, "processOffer", offer=viewer.offer))
        await room.client.event("MediaStateChanged", source=endpoint, newState="CONNECTED")
        room.presenter.send_rtp(VP8_KEYFRAME, timestamp=9000)
        assert (await viewer.receive_rtp()).payload == VP8_KEYFRAME


async def test_a_new_worker_takes_the_port_and_serves_new_endpoints() -> None:
    async with open_room() as room:
        await room.kill_viewers_worker()
        await room.client.call("release", object=room.sink)
        before = room.viewer.require_answer().address
        while True:
            async with open_test_peer("recvonly") as viewer:
                endpoint = await room.watched_endpoint()
                await room.client.invoke(room.source, "connect", sink=endpoint)
                await viewer.accept(await room.client.invoke(endpoint, "processOffer", offer=viewer.offer))
                await room.client.event("MediaStateChanged", source=endpoint, newState="CONNECTED")
                if viewer.require_answer().address == before:
                    room.presenter.send_rtp(VP8_KEYFRAME, timestamp=9000)
                    assert (await viewer.receive_rtp()).payload == VP8_KEYFRAME
                    return
            await room.client.call("release", object=endpoint)


async def test_a_worker_that_hangs_counts_as_dead() -> None:
    with trio.fail_after(2 * PATIENCE):
        async with open_workers(EngineSettings(host="127.0.0.1"), 2) as two:
            observer = RecordingObserver()
            peer = two.open_peer(observer)
            hung = peer.worker
            assert hung is not None
            pid = hung.pid
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)
            await observer.wait_for("died", f"media worker {hung.index} died")
            with pytest.raises(WorkerDied):
                peer.gather_candidates()
            while hung.context is None:
                await trio.lowlevel.checkpoint()
            assert hung.pid != pid
