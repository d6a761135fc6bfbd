"""With several workers, a publisher and its viewers do not notice on which workers they are."""

import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import trio

from roomfsm.mediaserver.base.errors import EngineFull, WorkerDied
from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.ice.state import IceState
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.mediaserver.rtp.extensions import AUDIO_LEVEL
from roomfsm.mediaserver.workers.workers import Workers, open_workers
from roomfsm.peer import AUDIO_SSRC, VIDEO_SSRC, VP8_TYPE, RtpPacket
from tests.mediaserver import answering
from tests.mediaserver.kurento_client import open_client, open_server
from tests.mediaserver.observer import RecordingObserver
from tests.mediaserver.peer import (
    H264_KEYFRAME,
    H264_TYPE,
    OPUS,
    VP8_DELTA,
    VP8_KEYFRAME,
    VP8_RTX_TYPE,
    TestPeer,
    open_test_peer,
)
from tests.mediaserver.stage import Joined, join

PATIENCE = 180.0
"""Seconds that a test waits before it fails: two processes have to start."""


@asynccontextmanager
async def open_two(**settings: Any) -> AsyncIterator[Workers]:
    with trio.fail_after(PATIENCE):
        async with open_workers(EngineSettings(host="127.0.0.1", **settings), 2) as workers:
            yield workers


@asynccontextmanager
async def open_room(workers: Workers) -> AsyncIterator[tuple[Joined, Joined, Joined]]:
    """A publisher, a viewer on the other worker, and one on the publisher's own."""
    async with (
        join(workers, "sendonly") as publisher,
        join(workers, "recvonly", publisher.peer) as far,
        join(workers, "recvonly", publisher.peer) as near,
    ):
        assert [len(worker.peers) for worker in workers.workers] == [2, 1]
        yield publisher, far, near


def is_rtp(datagram: bytes) -> bool:
    return datagram[0] >= 128 and not 192 <= datagram[1] <= 223


async def video(client: TestPeer) -> RtpPacket:
    while (packet := await client.receive_rtp()).payload_type != client.payload_types["vp8"]:
        pass
    return packet


async def test_viewers_on_every_worker_get_both_kinds_of_media() -> None:
    async with open_two() as workers, open_room(workers) as (publisher, far, near):
        publisher.client.send_rtp(VP8_KEYFRAME)
        publisher.client.send_rtp(OPUS, ssrc=AUDIO_SSRC)
        for viewer in (far, near):
            payloads = {(await viewer.client.receive_rtp()).payload for _ in range(2)}
            assert payloads == {VP8_KEYFRAME, OPUS}
            await viewer.observer.wait_for("sending", MediaKind.VIDEO, True)
            await viewer.observer.wait_for("sending", MediaKind.AUDIO, True)
        assert workers.mirrors == 2


async def test_a_burst_reaches_the_other_worker_complete_and_in_order() -> None:
    async with open_two() as workers, open_room(workers) as (publisher, far, near):
        sent = [VP8_KEYFRAME, *(VP8_DELTA + bytes(900 + index % 50) for index in range(80))]
        publisher.client.send_rtp(VP8_KEYFRAME)
        for viewer in (far, near):
            await viewer.client.receive_rtp()
        for payload in sent:
            publisher.client.send_rtp(payload)
        for viewer in (far, near):
            assert [(await video(viewer.client)).payload for _ in sent] == sent


async def test_a_viewer_on_another_worker_gets_a_keyframe_that_has_just_passed() -> None:
    """This happens at once, even if nothing else is received and no report is due."""
    async with open_two(report_interval=PATIENCE) as workers, join(workers, "sendonly") as publisher:
        publisher.client.send_rtp(VP8_KEYFRAME)
        publisher.client.send_rtp(VP8_DELTA)
        async with join(workers, "recvonly") as viewer:
            publisher.client.send_rtp(VP8_KEYFRAME, timestamp=3000)
            publisher.client.send_rtp(VP8_DELTA, timestamp=3000)
            await publisher.observer.wait_for("receiving", MediaKind.VIDEO, True)
            for joined in (publisher, viewer):
                joined.client.stop_checks()
            publisher.peer.connect(viewer.peer)
            assert (await viewer.client.receive_rtp()).payload == VP8_KEYFRAME
            assert (await viewer.client.receive_rtp()).payload == VP8_DELTA


async def test_a_loss_of_a_viewer_on_another_worker_is_repaired() -> None:
    async with open_two() as workers, open_room(workers) as (publisher, far, _):
        publisher.client.send_rtp(VP8_KEYFRAME)
        first = await video(far.client)
        losing = iter([True])
        far.client.lose = lambda datagram: is_rtp(datagram) and next(losing, False)
        publisher.client.send_rtp(VP8_DELTA + b"lost")
        publisher.client.send_rtp(VP8_DELTA + b"next")
        assert (await video(far.client)).payload == VP8_DELTA + b"next"
        number = (first.sequence_number + 1) & 0xFFFF
        far.client.send_rtcp(rtcp.nack(1, first.ssrc, [number]))
        again = await video(far.client)
        assert (again.sequence_number, again.payload) == (number, VP8_DELTA + b"lost")


async def test_a_viewer_on_another_worker_can_ask_for_a_keyframe() -> None:
    async with open_two() as workers, open_room(workers) as (publisher, far, _):
        publisher.client.send_rtp(VP8_KEYFRAME)
        packet = await video(far.client)
        far.client.send_rtcp(rtcp.pli(1, packet.ssrc))
        assert await publisher.client.receive_feedback(rtcp.KeyframeRequest) == rtcp.KeyframeRequest(VIDEO_SSRC)


async def test_the_bitrate_of_a_viewer_on_another_worker_limits_the_publisher() -> None:
    async with open_two() as workers, open_room(workers) as (publisher, far, _):
        far.peer.max_video_send_bandwidth = 700
        publisher.client.send_rtp(VP8_KEYFRAME)
        packet = await video(far.client)
        far.client.send_rtcp(rtcp.remb(1, 900_000, [packet.ssrc]))
        with trio.fail_after(60):
            while (await publisher.client.receive_feedback(rtcp.Remb)).bitrate > 701_000:
                publisher.client.send_rtp(VP8_DELTA)


async def test_the_publishers_clock_reaches_viewers_on_other_workers() -> None:
    async with open_two() as workers, open_room(workers) as (publisher, far, _):
        publisher.client.send_rtp(VP8_KEYFRAME)
        await video(far.client)
        report = rtcp.SenderReport(VIDEO_SSRC, 5 << 32, 1234, 1, 100)
        publisher.client.send_rtcp(rtcp.sender_report(VIDEO_SSRC, report))
        passed_on = await far.client.receive_feedback(rtcp.SenderReport)
        assert (passed_on.ntp, passed_on.rtp) == (5 << 32, 1234)


async def test_a_viewer_that_moves_to_another_workers_source_keeps_its_numbers() -> None:
    async with (
        open_two() as workers,
        join(workers, "sendonly") as first,
        join(workers, "sendonly") as second,
        join(workers, "recvonly", first.peer) as viewer,
    ):
        first.client.send_rtp(VP8_KEYFRAME)
        last = await video(viewer.client)
        second.peer.connect(viewer.peer)
        assert workers.mirrors == 2
        second.client.send_rtp(VP8_DELTA)  # Which starts nobody.
        await second.client.receive_feedback(rtcp.KeyframeRequest)
        second.client.send_rtp(VP8_KEYFRAME, timestamp=9000)
        packet = await video(viewer.client)
        assert (packet.payload, packet.ssrc) == (VP8_KEYFRAME, last.ssrc)
        assert packet.sequence_number == (last.sequence_number + 1) & 0xFFFF
        second.peer.disconnect(viewer.peer)
        assert workers.mirrors == 0


async def test_the_audio_level_reaches_viewers_on_other_workers() -> None:
    async with (
        open_two() as workers,
        join(workers, "sendonly", extensions={"audio": {AUDIO_LEVEL: 5}}) as publisher,
        join(workers, "recvonly", publisher.peer, extensions={"audio": {AUDIO_LEVEL: 9}}) as far,
    ):
        assert workers.mirrors == 2
        publisher.client.send_rtp(OPUS, ssrc=AUDIO_SSRC, extension=b"\xbe\xde\0\1\x50\x95\0\0")
        packet = await far.client.receive_rtp()
        assert (packet.payload, packet.extension) == (OPUS, b"\xbe\xde\0\1\x90\x95\0\0")
        # The worker of the publisher hears the publisher speak, and nobody else tells it.
        await publisher.observer.wait_for("speech", True)
        assert not any(news[0] == "speech" for news in far.observer.told)


async def test_a_publisher_sends_a_codec_for_waiting_viewers_on_every_worker() -> None:
    async with (
        open_two() as workers,
        open_test_peer("sendonly", video=[VP8_TYPE, H264_TYPE]) as client,
        open_test_peer("recvonly", video=[H264_TYPE]) as waiting,
    ):
        observer = RecordingObserver()
        publisher, viewer = workers.open_peer(observer), workers.open_peer(RecordingObserver())
        publisher.connect(viewer)
        await waiting.accept(viewer.process_offer(waiting.offer))
        await client.accept(publisher.process_offer(client.offer))
        await observer.wait_for("media", True)
        client.send_rtp(H264_KEYFRAME, payload_type=H264_TYPE.number)
        assert (await waiting.receive_rtp()).payload == H264_KEYFRAME
        assert VP8_KEYFRAME not in {packet.payload for packet in waiting.received_rtp()}


async def test_a_viewer_that_cannot_decode_is_told_once() -> None:
    async with (
        open_two() as workers,
        join(workers, "recvonly", video=[VP8_TYPE]) as viewer,
        open_test_peer("sendonly", video=[H264_TYPE]) as client,
    ):
        observer = RecordingObserver()
        publisher = workers.open_peer(observer)
        publisher.connect(viewer.peer)
        await client.accept(publisher.process_offer(client.offer))
        await observer.wait_for("media", True)
        client.send_rtp(OPUS, ssrc=AUDIO_SSRC)
        await viewer.client.receive_rtp()
        assert [news[0] for news in viewer.observer.told].count("mismatch") == 1


@pytest.mark.parametrize("setup", ["active", "passive"])
async def test_a_worker_serves_a_peer_that_answers_our_offer(setup: str) -> None:
    async with (
        open_two() as workers,
        join(workers, "sendonly") as publisher,
        open_test_peer("recvonly") as client,
    ):
        viewer = workers.open_peer(RecordingObserver())
        publisher.peer.connect(viewer)
        offer = viewer.generate_offer()
        viewer.process_answer(answering.write_answer(client, offer, direction="recvonly", setup=setup))
        await answering.connect(client, offer, setup=setup)
        publisher.client.send_rtp(VP8_KEYFRAME)
        assert (await video(client)).payload == VP8_KEYFRAME


async def test_a_retransmission_on_another_worker_has_its_own_stream() -> None:
    async with (
        open_two() as workers,
        join(workers, "sendonly") as publisher,
        join(workers, "recvonly", publisher.peer, video=[VP8_TYPE, VP8_RTX_TYPE]) as far,
    ):
        publisher.client.send_rtp(VP8_KEYFRAME)
        first = await video(far.client)
        far.client.send_rtcp(rtcp.nack(1, first.ssrc, [first.sequence_number]))
        again = await far.client.receive_rtp()
        assert (again.payload_type, again.ssrc) == (VP8_RTX_TYPE.number, first.ssrc + 1)
        assert again.payload == first.sequence_number.to_bytes(2) + VP8_KEYFRAME
        assert f"a=ssrc-group:FID {first.ssrc} {again.ssrc}" in (far.peer.local_description or "")


async def test_without_viewers_on_other_workers_no_packet_is_handed_over() -> None:
    async with open_two() as workers, open_room(workers) as (publisher, far, near):
        assert workers.mirrors == 2
        far.peer.close()
        assert workers.mirrors == 0
        publisher.client.send_rtp(VP8_KEYFRAME)
        assert (await video(near.client)).payload == VP8_KEYFRAME
        publisher.peer.close()
        near.peer.close()
        assert workers.peers == 0


async def test_a_publisher_that_leaves_ends_its_mirrors() -> None:
    async with open_two() as workers, open_room(workers) as (publisher, far, _):
        publisher.client.send_rtp(VP8_KEYFRAME)
        await video(far.client)
        publisher.peer.close()
        assert workers.mirrors == 0
        await far.observer.wait_for("sending", MediaKind.VIDEO, False)
        await publisher.client.closed.wait()


async def test_statistics_come_from_the_worker() -> None:
    async with open_two() as workers, open_room(workers) as (publisher, far, _):
        publisher.client.send_rtp(VP8_KEYFRAME)
        await video(far.client)
        while (sent := far.peer.stats().sending[MediaKind.VIDEO].packets) == 0:
            await trio.lowlevel.checkpoint()
        assert sent == 1
        assert far.peer.stats().remote_address == far.client.socket.getsockname()


async def test_a_dead_worker_ends_only_its_own_peers_and_is_started_again() -> None:
    async with open_two() as workers, AsyncExitStack() as stack:
        publisher = await stack.enter_async_context(join(workers, "sendonly"))
        far = await stack.enter_async_context(join(workers, "recvonly", publisher.peer))
        near = await stack.enter_async_context(join(workers, "recvonly", publisher.peer))
        dead = workers.workers[1]
        port = dead.context and dead.port
        assert dead.pid is not None
        os.kill(dead.pid, signal.SIGKILL)
        await far.observer.wait_for("ice", IceState.FAILED)
        await far.observer.wait_for("died", "media worker 1 died")
        assert ("media", False) in far.observer.told
        with pytest.raises(WorkerDied):
            far.peer.process_answer("")
        assert workers.mirrors == 0
        publisher.client.send_rtp(VP8_KEYFRAME)
        assert (await video(near.client)).payload == VP8_KEYFRAME
        far.peer.close()
        while dead.context is None:
            await trio.lowlevel.checkpoint()
        assert dead.port == port
        again = await stack.enter_async_context(join(workers, "recvonly", publisher.peer))
        assert len(dead.peers) == 1
        publisher.client.send_rtp(VP8_KEYFRAME, timestamp=6000)
        assert (await video(again.client)).payload == VP8_KEYFRAME


async def test_when_a_publishers_worker_dies_viewers_on_others_see_the_media_stop() -> None:
    async with open_two() as workers, AsyncExitStack() as stack:
        publisher = await stack.enter_async_context(join(workers, "sendonly"))
        far = await stack.enter_async_context(join(workers, "recvonly", publisher.peer))
        publisher.client.send_rtp(VP8_KEYFRAME)
        await far.observer.wait_for("sending", MediaKind.VIDEO, True)
        dead = workers.workers[0]
        assert dead.pid is not None
        os.kill(dead.pid, signal.SIGKILL)
        await publisher.observer.wait_for("media", False)
        await far.observer.wait_for("sending", MediaKind.VIDEO, False)
        publisher.peer.connect(far.peer)  # Too late, and no harm.
        assert workers.mirrors == 0


async def test_the_bound_on_peers_holds_for_all_workers_together() -> None:
    async with open_two(max_peers=2) as workers, join(workers, "sendonly"), join(workers, "sendonly"):
        with pytest.raises(EngineFull):
            await join(workers, "sendonly").__aenter__()


async def test_a_port_in_use_is_reported() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.RaisesGroup(OSError, flatten_subgroups=True):
            async with open_workers(EngineSettings(host="127.0.0.1", port=taken.getsockname()[1]), 2):
                pass


async def test_kurentos_protocol_tells_of_media_on_every_worker() -> None:
    with trio.fail_after(PATIENCE):
        async with (
            open_server(workers=2) as server,
            open_client(server.url) as client,
            open_test_peer("sendonly") as publisher,
            open_test_peer("recvonly") as viewer,
        ):
            pipeline = await client.pipeline()
            source, sink = await client.endpoint(pipeline), await client.endpoint(pipeline)
            for endpoint in (source, sink):
                for type_ in ("MediaFlowInStateChanged", "MediaFlowOutStateChanged", "MediaStateChanged"):
                    await client.call("subscribe", object=endpoint, type=type_)
            await client.invoke(source, "connect", sink=sink)
            for endpoint, peer in ((source, publisher), (sink, viewer)):
                await peer.accept(await client.invoke(endpoint, "processOffer", offer=peer.offer))
                await client.event("MediaStateChanged", source=endpoint, newState="CONNECTED")
            publisher.send_rtp(VP8_KEYFRAME)
            assert (await video(viewer)).payload == VP8_KEYFRAME
            await client.event("MediaFlowOutStateChanged", source=source, mediaType="VIDEO", state="FLOWING")
            await client.event("MediaFlowInStateChanged", source=sink, mediaType="VIDEO", state="FLOWING")
            await client.call("release", object=pipeline)
