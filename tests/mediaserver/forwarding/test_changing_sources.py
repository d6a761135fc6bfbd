"""A viewer's next source, or a publisher's restarted stream, continues like one stream, over real UDP."""

from contextlib import AsyncExitStack

import pytest
import trio
import trio.testing

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.peer import VIDEO_SSRC
from tests.mediaserver.peer import VP8_DELTA, VP8_KEYFRAME
from tests.mediaserver.stage import join, join_many, open_stage, packets, until_received


async def test_a_republished_stream_continues_for_all_viewers_alike() -> None:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(open_stage())
        old = await stack.enter_async_context(join(engine, "sendonly"))
        viewers = await join_many(stack, 3, engine, "recvonly", old.peer)
        old.client.send_rtp(VP8_KEYFRAME, timestamp=90000)
        last = [await viewer.client.receive_rtp() for viewer in viewers]
        old.peer.close()
        new = await stack.enter_async_context(join(engine, "sendonly"))
        for viewer in viewers:
            new.peer.connect(viewer.peer)
        new.client.send_rtp(VP8_DELTA, sequence_number=40, timestamp=5)
        new.client.send_rtp(VP8_KEYFRAME, sequence_number=41, timestamp=3005)
        new.client.send_rtp(VP8_DELTA, sequence_number=42, timestamp=6005)
        seen = [await packets(viewer.client, 2) for viewer in viewers]
        assert seen[0] == seen[1] == seen[2]
        first, second = seen[0]
        assert [packet.ssrc for packet in (first, second)] == [last[0].ssrc] * 2
        assert first.sequence_number == last[0].sequence_number + 1
        assert second.sequence_number == first.sequence_number + 1
        assert 0 < first.timestamp - last[0].timestamp < 10 * 90000
        assert second.timestamp - first.timestamp == 3000
        # Packets of the old source cannot be requested by the new numbers.
        client = viewers[0].client
        client.send_rtcp(rtcp.nack(1, first.ssrc, [last[0].sequence_number, first.sequence_number]))
        while viewers[0].peer.stats().sending[MediaKind.VIDEO].nacks < 2:
            await trio.lowlevel.checkpoint()
        new.client.send_rtp(VP8_DELTA, sequence_number=43, timestamp=9005)
        await client.receive_rtp()
        assert client.refused == 1, "the one that it has already"
        client.refused = 0


async def test_a_viewer_switches_between_two_running_sources_and_back() -> None:
    async with (
        open_stage() as engine,
        join(engine, "sendonly") as one,
        join(engine, "sendonly") as two,
        join(engine, "recvonly", one.peer) as viewer,
    ):
        numbers = []
        for round_, source in enumerate((one, two, one, two)):
            source.peer.connect(viewer.peer)
            source.client.send_rtp(VP8_KEYFRAME, timestamp=round_ * 3000)
            numbers.append((await viewer.client.receive_rtp()).sequence_number)
        assert [number - numbers[0] for number in numbers] == [0, 1, 2, 3]


@pytest.mark.parametrize("ssrc", [VIDEO_SSRC, 3333])
async def test_if_a_browser_restarts_its_stream_the_numbers_continue(ssrc: int) -> None:
    async with (
        open_stage() as engine,
        join(engine, "sendonly") as publisher,
        join(engine, "recvonly", publisher.peer) as viewer,
    ):
        publisher.client.send_rtp(VP8_KEYFRAME, sequence_number=100, timestamp=90000)
        last = await viewer.client.receive_rtp()
        await trio.sleep(0.35)
        publisher.client.send_rtp(VP8_KEYFRAME, ssrc=ssrc, sequence_number=20000, timestamp=7)
        first = await viewer.client.receive_rtp()
        assert first.ssrc == last.ssrc
        assert first.sequence_number == last.sequence_number + 1
        if ssrc != VIDEO_SSRC:
            assert 0 < first.timestamp - last.timestamp < 10 * 90000


async def test_a_late_packet_of_an_earlier_stream_gets_no_number_of_another_packet() -> None:
    async with (
        open_stage() as engine,
        join(engine, "sendonly") as publisher,
        join(engine, "recvonly", publisher.peer) as viewer,
    ):
        publisher.client.send_rtp(VP8_KEYFRAME, sequence_number=100)
        await viewer.client.receive_rtp()
        await trio.sleep(0.35)
        publisher.client.send_rtp(VP8_KEYFRAME, ssrc=3333, sequence_number=41, timestamp=3000)
        publisher.client.send_rtp(VP8_DELTA + b"late", ssrc=3333, sequence_number=40)
        publisher.client.send_rtp(VP8_DELTA, ssrc=3333, sequence_number=42, timestamp=6000)
        numbers = [packet.sequence_number for packet in await packets(viewer.client, 2)]
        assert numbers == [101, 102]
        assert engine.stats().refused == {"rtp_too_old": 1}


async def test_a_second_stream_beside_the_first_is_refused() -> None:
    async with open_stage() as engine, join(engine, "sendonly") as publisher:
        publisher.client.send_rtp(VP8_KEYFRAME)
        publisher.client.send_rtp(VP8_KEYFRAME, ssrc=3333)
        publisher.client.send_rtp(VP8_DELTA)
        await until_received(publisher.peer, MediaKind.VIDEO, 2)
        assert engine.stats().refused == {"rtp_second_stream": 1}
