"""Flow and reports, over real UDP: media that stop and flow again, forwarded clocks, and the requested bitrate."""

from contextlib import AsyncExitStack

import pytest
import trio

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.mediaserver.rtp.extensions import TRANSPORT_CC
from roomfsm.peer import AUDIO_SSRC, VIDEO_SSRC, VP8_TYPE
from tests.mediaserver.peer import OPUS, VP8_DELTA, VP8_KEYFRAME, VP8_RTX_TYPE
from tests.mediaserver.rtp.transport_cc_reader import read_feedback
from tests.mediaserver.stage import join, join_many, open_stage, packets


async def test_both_sides_learn_when_media_stop_and_when_they_flow_again() -> None:
    async with (
        open_stage(flow_timeout=0.2, report_interval=0.05) as engine,
        join(engine, "sendonly") as publisher,
        join(engine, "recvonly", publisher.peer) as viewer,
    ):
        publisher.client.send_rtp(VP8_KEYFRAME)
        await publisher.observer.wait_for("receiving", MediaKind.VIDEO, False)
        assert viewer.observer.told[-2:] == [
            ("sending", MediaKind.VIDEO, True),
            ("sending", MediaKind.VIDEO, False),
        ]
        publisher.client.send_rtp(VP8_DELTA)
        await viewer.client.receive_rtp()
        await viewer.client.receive_rtp()
        assert viewer.observer.told[-1] == ("sending", MediaKind.VIDEO, True)
        assert publisher.observer.told[-1] == ("receiving", MediaKind.VIDEO, True)


async def test_a_sender_report_is_passed_on_with_our_ssrc_and_counts() -> None:
    async with (
        open_stage() as engine,
        join(engine, "sendonly") as publisher,
        join(engine, "recvonly", publisher.peer) as viewer,
    ):
        publisher.client.send_rtp(VP8_KEYFRAME, timestamp=9000)
        await viewer.client.receive_rtp()
        report = rtcp.SenderReport(VIDEO_SSRC, 0x0102030405060708, 9000, 77, 7777)
        publisher.client.send_rtcp(rtcp.sender_report(VIDEO_SSRC, report))
        passed_on = await viewer.client.receive_feedback(rtcp.SenderReport)
        ssrc = engine.ssrcs[MediaKind.VIDEO]
        assert passed_on == rtcp.SenderReport(ssrc, 0x0102030405060708, 9000, 1, len(VP8_KEYFRAME))


async def test_a_viewer_that_joins_is_told_the_publishers_clock_at_once() -> None:
    async with open_stage(keyframe_replay=60.0) as engine, join(engine, "sendonly") as publisher:
        publisher.client.send_rtp(VP8_KEYFRAME, timestamp=9000)
        report = rtcp.SenderReport(VIDEO_SSRC, 7 << 32, 9000, 77, 7777)
        sent = trio.current_time()
        publisher.client.send_rtcp(rtcp.sender_report(VIDEO_SSRC, report))
        reception = publisher.peer.track(MediaKind.VIDEO).reception
        while reception is None or reception.clock(0.0) is None:
            await trio.lowlevel.checkpoint()
            reception = publisher.peer.track(MediaKind.VIDEO).reception
        await trio.sleep(0.2)
        async with join(engine, "recvonly", publisher.peer) as viewer:
            told = await viewer.client.receive_feedback(rtcp.SenderReport)
            elapsed = told.ntp / 2**32 - 7
            assert 0.2 <= elapsed <= trio.current_time() - sent + 0.001
            assert told.rtp == pytest.approx(9000 + 90_000 * elapsed, abs=2)


async def test_repairs_in_their_own_stream_have_sender_reports_of_their_own() -> None:
    async with (
        open_stage() as engine,
        join(engine, "sendonly") as publisher,
        join(engine, "recvonly", publisher.peer, video=[VP8_TYPE, VP8_RTX_TYPE]) as viewer,
    ):
        publisher.client.send_rtp(VP8_KEYFRAME, timestamp=9000, extension=b"\xbe\xde\0\1\x31\0\1\0")
        await packets(viewer.client, 3)  # The start is sent three times.
        report = rtcp.SenderReport(VIDEO_SSRC, 7 << 32, 9000, 77, 7777)
        publisher.client.send_rtcp(rtcp.sender_report(VIDEO_SSRC, report))
        told = {
            (packet.ssrc, packet.packets, packet.octets)
            for packet in rtcp.parse(await viewer.client.receive_rtcp())
            if isinstance(packet, rtcp.SenderReport)
        }
        size = len(VP8_KEYFRAME)
        assert told == {(engine.ssrcs[MediaKind.VIDEO], 1, size), (engine.repair_ssrc, 2, 2 * (size + 2))}


async def test_the_publisher_is_told_when_each_packet_came() -> None:
    numbered = {"audio": {TRANSPORT_CC: 3}, "video": {TRANSPORT_CC: 3}}
    async with open_stage() as engine, join(engine, "sendonly", extensions=numbered) as publisher:
        client = publisher.client
        assert str(publisher.peer.local_description).count("transport-cc\r\n") == 2
        for number, ssrc, payload in (
            (7, VIDEO_SSRC, VP8_KEYFRAME),
            (8, AUDIO_SSRC, OPUS),
            (10, AUDIO_SSRC, OPUS),
        ):
            client.send_rtp(payload, ssrc=ssrc, extension=b"\xbe\xde\0\1\x31" + number.to_bytes(2) + b"\0")
        told: set[int] = set()
        while told < {7, 8, 10}:
            compound = await client.receive_rtcp()
            if compound[:2] == b"\x8f\xcd" or compound[:2] == b"\xaf\xcd":
                base, times = read_feedback(compound)[1:]
                told |= {base + index for index, time in enumerate(times) if time is not None}
        assert told == {7, 8, 10}


@pytest.mark.parametrize(("viewers", "poor"), [(1, 1), (3, 1), (4, 1)])
async def test_one_poor_viewer_of_several_does_not_lower_the_bitrate_for_all(viewers: int, poor: int) -> None:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(open_stage(report_interval=0.05))
        publisher = await stack.enter_async_context(join(engine, "sendonly"))
        joined = await join_many(stack, viewers, engine, "recvonly", publisher.peer)
        publisher.client.send_rtp(VP8_KEYFRAME)
        for index, viewer in enumerate(joined):
            await viewer.client.receive_rtp()
            told = 200_000 if index < poor else 2_000_000
            viewer.client.send_rtcp(rtcp.remb(1, told, (engine.ssrcs[MediaKind.VIDEO],)))
        asked = 2_000_000 if viewers > 2 else 200_000
        while (await publisher.client.receive_feedback(rtcp.Remb)).bitrate != pytest.approx(asked, rel=1e-4):
            pass


async def test_a_poor_viewer_lowers_the_bitrate_only_to_the_floor() -> None:
    async with (
        open_stage(report_interval=0.05, min_receive_bitrate=150_000) as engine,
        join(engine, "sendonly") as publisher,
        join(engine, "recvonly", publisher.peer) as viewer,
    ):
        client, ssrc = publisher.client, engine.ssrcs[MediaKind.VIDEO]
        client.send_rtp(VP8_KEYFRAME)
        await viewer.client.receive_rtp()
        assert (await client.receive_feedback(rtcp.Remb)).bitrate == pytest.approx(10_000_000, rel=1e-4)
        for told, limits, asked in (
            (700_000, (0, 0), 700_000),
            (700_000, (0, 500), 500_000),
            (300_000, (400, 0), 400_000),
            (1_000, (0, 0), 150_000),
        ):
            viewer.peer.min_video_send_bandwidth, viewer.peer.max_video_send_bandwidth = limits
            viewer.client.send_rtcp(rtcp.remb(1, told, (ssrc,)))
            while (remb := await client.receive_feedback(rtcp.Remb)).bitrate != pytest.approx(asked, rel=1e-4):
                assert remb.bitrate > 140_000
