"""Lost packets and missing keyframes, over real UDP: some come from the ring, others from the publisher."""

from contextlib import AsyncExitStack

import trio
import trio.testing

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.mediaserver.rtp.extensions import AUDIO_LEVEL
from roomfsm.peer import AUDIO_SSRC, OPUS_TYPE, VIDEO_SSRC, VP8_TYPE
from tests.mediaserver.peer import OPUS, VP8_DELTA, VP8_KEYFRAME, VP8_RTX_TYPE
from tests.mediaserver.stage import Joined, join, join_many, open_stage, packets, until_received
from tests.processes import LOADED


def is_rtp(datagram: bytes) -> bool:
    return datagram[0] >= 128 and not 192 <= datagram[1] <= 223


async def test_a_viewers_loss_is_repaired_from_the_ring_and_not_by_the_publisher() -> None:
    async with (
        open_stage() as engine,
        join(engine, "sendonly") as publisher,
        join(engine, "recvonly", publisher.peer) as viewer,
    ):
        publisher.client.send_rtp(VP8_KEYFRAME)
        await viewer.client.receive_rtp()
        viewer.client.lose = is_rtp
        lost = publisher.client.send_rtp(VP8_DELTA + b"lost", timestamp=3000)
        while viewer.peer.stats().sending[MediaKind.VIDEO].packets < 2:
            await trio.lowlevel.checkpoint()
        await trio.testing.wait_all_tasks_blocked(0.01)
        viewer.client.lose = lambda _: False
        publisher.client.send_rtp(VP8_DELTA, timestamp=6000)
        assert (await viewer.client.receive_rtp()).sequence_number == lost + 1
        viewer.client.send_rtcp(rtcp.nack(1, engine.ssrcs[MediaKind.VIDEO], [lost, lost + 2, lost + 700]))
        again = await viewer.client.receive_rtp()
        assert (again.sequence_number, again.payload) == (lost, VP8_DELTA + b"lost")
        stats = viewer.peer.stats().sending[MediaKind.VIDEO]
        assert (stats.nacks, stats.retransmitted, stats.packets) == (3, 1, 4)
        assert publisher.peer.stats().receiving[MediaKind.VIDEO].nacks == 0


async def test_a_retransmission_has_its_own_stream_if_the_viewer_supports_that() -> None:
    async with (
        open_stage() as engine,
        join(engine, "sendonly") as publisher,
        join(engine, "recvonly", publisher.peer, video=[VP8_TYPE, VP8_RTX_TYPE]) as viewer,
    ):
        number = publisher.client.send_rtp(VP8_KEYFRAME, timestamp=9000, marker=True)
        packet = await viewer.client.receive_rtp()
        assert f"a=ssrc-group:FID {packet.ssrc} {engine.repair_ssrc}\r\n" in str(viewer.peer.local_description)
        start = await packets(viewer.client, 2)
        await trio.sleep(engine.settings.viewer_round_trip)
        viewer.client.send_rtcp(rtcp.nack(1, packet.ssrc, [number]))
        repairs = [*start, *await packets(viewer.client, 1)]
        original = number.to_bytes(2) + VP8_KEYFRAME
        assert [repair.payload for repair in repairs] == [original] * 3
        assert {(repair.payload_type, repair.ssrc, repair.timestamp, repair.marker) for repair in repairs} == {
            (97, engine.repair_ssrc, 9000, True)
        }
        assert [repair.sequence_number - start[0].sequence_number for repair in repairs] == [0, 1, 2]
        assert viewer.peer.stats().sending[MediaKind.VIDEO].retransmitted == 3


async def test_a_publisher_may_repair_in_a_stream_of_its_own() -> None:
    async with (
        open_stage() as engine,
        join(engine, "sendonly", video=[VP8_TYPE, VP8_RTX_TYPE]) as publisher,
        join(engine, "recvonly", publisher.peer) as viewer,
    ):
        client = publisher.client
        client.send_rtp(VP8_KEYFRAME)
        lost = client.send_rtp(VP8_DELTA + b"lost", timestamp=3000, lose=True)
        client.send_rtp(VP8_DELTA, timestamp=6000)
        assert await client.receive_feedback(rtcp.Nack) == rtcp.Nack(VIDEO_SSRC, (lost,))

        def repair(payload: bytes) -> None:
            client.send_rtp(payload, ssrc=3333, payload_type=97, timestamp=3000)

        repair(lost.to_bytes(2) + VP8_DELTA + b"lost")
        repair(
            lost.to_bytes(2) + VP8_DELTA + b"lost"
        )  # Nobody requested this packet. It only probes the bandwidth.
        repair((lost + 1).to_bytes(2) + VP8_DELTA)
        repair(b"")
        repair(b"\0")
        client.send_rtp(VP8_DELTA, timestamp=9000)
        received = await packets(viewer.client, 4)
        assert [packet.sequence_number for packet in received] == [lost - 1, lost + 1, lost, lost + 2]
        assert received[2].payload == VP8_DELTA + b"lost"
        stats = publisher.peer.stats().receiving[MediaKind.VIDEO]
        assert (stats.ssrc, stats.packets, stats.lost) == (VIDEO_SSRC, 4, 1)
        assert engine.stats().refused == {"rtp_malformed": 1}


async def test_a_packet_lost_by_the_publisher_is_requested_and_forwarded_when_it_comes() -> None:
    async with (
        open_stage() as engine,
        join(engine, "sendonly") as publisher,
        join(engine, "recvonly", publisher.peer) as viewer,
    ):
        publisher.client.send_rtp(VP8_KEYFRAME)
        lost = publisher.client.send_rtp(VP8_DELTA + b"lost", timestamp=3000, lose=True)
        publisher.client.send_rtp(VP8_DELTA, timestamp=6000)
        nack = await publisher.client.receive_feedback(rtcp.Nack)
        assert nack == rtcp.Nack(VIDEO_SSRC, (lost,))
        publisher.client.resend(lost)
        numbers = [packet.sequence_number for packet in await packets(viewer.client, 3)]
        assert numbers == [lost - 1, lost + 1, lost]


async def test_a_packet_that_never_comes_is_requested_five_times_and_then_a_keyframe() -> None:
    async with open_stage(nack_retry=0.01) as engine, join(engine, "sendonly") as publisher:
        publisher.client.send_rtp(VP8_KEYFRAME)
        publisher.client.send_rtp(VP8_DELTA, lose=True)
        publisher.client.send_rtp(VP8_DELTA, timestamp=6000)
        await publisher.client.receive_feedback(rtcp.KeyframeRequest)
        assert publisher.peer.stats().receiving[MediaKind.VIDEO].nacks == 5


async def test_the_wishes_of_many_viewers_become_one_request_that_is_repeated() -> None:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(open_stage(keyframe_interval=0.2, keyframe_replay=0.0))
        publisher = await stack.enter_async_context(join(engine, "sendonly"))
        publisher.client.send_rtp(VP8_DELTA)
        await until_received(publisher.peer, MediaKind.VIDEO, 1)
        begun = trio.current_time()
        viewers = await join_many(stack, 5, engine, "recvonly", publisher.peer)
        for _ in range(3):
            assert await publisher.client.receive_feedback(rtcp.KeyframeRequest) == rtcp.KeyframeRequest(
                VIDEO_SSRC
            )
        sent = publisher.peer.stats().receiving[MediaKind.VIDEO].keyframe_requests
        assert (sent - 1) * 0.2 <= trio.current_time() - begun
        publisher.client.send_rtp(VP8_KEYFRAME)
        for viewer in viewers:
            assert (await viewer.client.receive_rtp()).payload == VP8_KEYFRAME
        requests = publisher.peer.stats().receiving[MediaKind.VIDEO].keyframe_requests
        await trio.sleep(0.3)
        assert publisher.peer.stats().receiving[MediaKind.VIDEO].keyframe_requests == requests


async def test_a_viewers_keyframe_request_is_passed_on() -> None:
    async with (
        open_stage(keyframe_interval=0.05) as engine,
        join(engine, "sendonly") as publisher,
        join(engine, "recvonly", publisher.peer) as viewer,
    ):
        publisher.client.send_rtp(VP8_KEYFRAME)
        await viewer.client.receive_rtp()
        before = publisher.peer.stats().receiving[MediaKind.VIDEO].keyframe_requests
        viewer.client.send_rtcp(rtcp.pli(1, engine.ssrcs[MediaKind.VIDEO]))
        while publisher.peer.stats().receiving[MediaKind.VIDEO].keyframe_requests == before:
            await publisher.client.receive_feedback(rtcp.KeyframeRequest)
        publisher.client.send_rtp(VP8_KEYFRAME, timestamp=3000)
        await viewer.client.receive_rtp()
        viewer.peer.request_keyframe()
        await publisher.client.receive_feedback(rtcp.KeyframeRequest)


async def test_a_viewer_who_comes_just_after_a_keyframe_gets_it_from_the_ring() -> None:
    async with open_stage(keyframe_replay=60.0) as engine, join(engine, "sendonly") as publisher:
        publisher.client.send_rtp(VP8_DELTA)
        publisher.client.send_rtp(VP8_KEYFRAME, timestamp=3000)
        publisher.client.send_rtp(VP8_DELTA, timestamp=6000)
        await until_received(publisher.peer, MediaKind.VIDEO, 3)
        async with join(engine, "recvonly", publisher.peer) as viewer:
            first, second = await packets(viewer.client, 2)
            assert (first.payload, second.payload) == (VP8_KEYFRAME, VP8_DELTA)
            publisher.client.send_rtp(VP8_DELTA, timestamp=9000)
            assert (await viewer.client.receive_rtp()).sequence_number == second.sequence_number + 1
        assert publisher.peer.stats().receiving[MediaKind.VIDEO].keyframe_requests == 0


async def test_a_viewer_who_comes_after_an_incomplete_keyframe_waits_for_the_next() -> None:
    async with open_stage(keyframe_replay=60.0) as engine, join(engine, "sendonly") as publisher:
        publisher.client.send_rtp(VP8_KEYFRAME)
        publisher.client.send_rtp(VP8_DELTA, lose=True)
        publisher.client.send_rtp(VP8_DELTA, timestamp=6000)
        await until_received(publisher.peer, MediaKind.VIDEO, 2)
        async with join(engine, "recvonly", publisher.peer) as viewer:
            await publisher.client.receive_feedback(rtcp.KeyframeRequest)
            publisher.client.send_rtp(VP8_KEYFRAME, timestamp=9000)
            assert (await viewer.client.receive_rtp()).timestamp == 9000


async def test_a_start_is_sent_three_times_because_a_viewer_cannot_ask_for_it() -> None:
    async with open_stage(keyframe_replay=60.0) as engine, join(engine, "sendonly") as publisher:
        first = publisher.client.send_rtp(VP8_KEYFRAME)
        publisher.client.send_rtp(VP8_DELTA, timestamp=3000)
        await until_received(publisher.peer, MediaKind.VIDEO, 2)
        async with join(engine, "recvonly", publisher.peer, video=[VP8_TYPE, VP8_RTX_TYPE]) as viewer:
            keyframe, delta, *again = await packets(viewer.client, 6)
            assert [packet.payload for packet in (keyframe, delta)] == [VP8_KEYFRAME, VP8_DELTA]
            assert {packet.payload_type for packet in again} == {VP8_RTX_TYPE.number}
            originals = [first.to_bytes(2) + VP8_KEYFRAME, (first + 1).to_bytes(2) + VP8_DELTA]
            assert [packet.payload for packet in again] == 2 * originals
            publisher.client.send_rtp(VP8_DELTA, timestamp=6000)
            assert (await viewer.client.receive_rtp()).sequence_number == first + 2
            sent = viewer.peer.stats().sending[MediaKind.VIDEO]
            assert (sent.nacks, sent.retransmitted) == (0, 4)


async def test_a_packet_requested_again_and_again_is_repeated_once_each_round_trip() -> None:
    """A viewer that asks for one packet every 10 ms for a second, over a round trip of 300 ms."""
    async with (
        open_stage(viewer_round_trip=0.3) as engine,
        join(engine, "sendonly") as publisher,
        join(engine, "recvonly", publisher.peer) as viewer,
    ):
        number = publisher.client.send_rtp(VP8_KEYFRAME)
        await viewer.client.receive_rtp()
        began = trio.current_time()
        while trio.current_time() - began < 1.0:
            viewer.client.send_rtcp(rtcp.nack(1, engine.ssrcs[MediaKind.VIDEO], [number]))
            await trio.sleep(0.01)
        most = 1 + int((trio.current_time() - began) / 0.3)
        assert 2 <= viewer.peer.stats().sending[MediaKind.VIDEO].retransmitted <= most
        viewer.client.refused = 0  # The viewer had the packet already, and SRTP accepts none twice.


async def test_beyond_its_share_of_repairs_a_viewer_gets_the_next_keyframe() -> None:
    payload = VP8_DELTA + bytes(1000)
    async with (
        open_stage(start_repair_burst=6000, report_interval=60.0, keyframe_replay=0.0) as engine,
        join(engine, "sendonly") as publisher,
        join(engine, "recvonly", publisher.peer) as viewer,
    ):
        publisher.client.send_rtp(VP8_KEYFRAME)
        await viewer.client.receive_rtp()
        viewer.peer.path.repairs.rate = 0.0
        numbers = [publisher.client.send_rtp(payload, timestamp=3000 + index) for index in range(20)]
        await packets(viewer.client, 20)
        before = publisher.peer.stats().receiving[MediaKind.VIDEO].keyframe_requests
        viewer.client.send_rtcp(rtcp.nack(1, engine.ssrcs[MediaKind.VIDEO], numbers))
        await publisher.client.receive_feedback(rtcp.KeyframeRequest)
        assert viewer.peer.stats().sending[MediaKind.VIDEO].retransmitted == 0
        assert publisher.peer.stats().receiving[MediaKind.VIDEO].keyframe_requests == before + 1


async def test_a_viewer_that_always_asks_for_keyframes_gets_few_and_only_of_its_stream() -> None:
    async with (
        open_stage(keyframe_interval=0.01, viewer_keyframe_burst=2, viewer_keyframe_interval=60.0) as engine,
        join(engine, "sendonly") as publisher,
        join(engine, "recvonly", publisher.peer) as viewer,
        join(engine, "recvonly", publisher.peer) as other,
    ):
        timestamp = 0

        def requests() -> int:
            return publisher.peer.stats().receiving[MediaKind.VIDEO].keyframe_requests

        async def ask(joined: Joined, wish: bytes, patience: float = 0.2) -> bool:
            """Whether the publisher is asked for a keyframe within so many seconds. If so, it sends one."""
            nonlocal timestamp
            before, known = requests(), joined.peer.stats().sending[MediaKind.VIDEO].keyframe_requests
            joined.client.send_rtcp(wish + rtcp.remb(1, before + 1, ()))
            while joined.peer.path.remb != before + 1:
                await trio.lowlevel.checkpoint()
            joined.peer.path.estimated(0, engine.now())
            counted = joined.peer.stats().sending[MediaKind.VIDEO].keyframe_requests - known
            if not counted:
                return False
            with trio.move_on_after(patience):
                while requests() == before:
                    await trio.lowlevel.checkpoint()
            if requests() == before:
                return False
            timestamp += 3000
            publisher.client.send_rtp(VP8_KEYFRAME, timestamp=timestamp)
            for each in (viewer, other):
                while (await each.client.receive_rtp()).timestamp != timestamp:
                    pass
            return True

        publisher.client.send_rtp(VP8_KEYFRAME)
        for each in (viewer, other):
            await each.client.receive_rtp()
        ours = engine.ssrcs[MediaKind.VIDEO]
        for foreign in (ours + 7, engine.ssrcs[MediaKind.AUDIO], engine.repair_ssrc, 0):
            assert not await ask(viewer, rtcp.pli(1, foreign))
            assert not await ask(viewer, rtcp.fir(1, foreign, 200))
        assert await ask(viewer, rtcp.fir(1, ours, 7), LOADED)
        assert not await ask(viewer, rtcp.fir(1, ours, 7)), "the same command again"
        assert await ask(viewer, rtcp.fir(1, ours, 8), LOADED)
        assert not await ask(viewer, rtcp.pli(1, ours)), "its allowance is used up"
        assert await ask(other, rtcp.pli(1, ours), LOADED), "which is no other viewer's affair"


async def test_audio_is_repeated_unchanged_and_requested_from_the_publisher() -> None:
    """The repetition has the same audio level, because SRTP has encrypted that under this number."""
    leveled = {"audio": {AUDIO_LEVEL: 5}}
    async with (
        open_stage() as engine,
        join(engine, "sendonly", extensions=leveled, audio=[OPUS_TYPE]) as publisher,
        join(engine, "recvonly", publisher.peer, extensions=leveled) as viewer,
    ):
        client = publisher.client

        def send(lose: bool = False) -> int:
            return client.send_rtp(OPUS, ssrc=AUDIO_SSRC, extension=b"\xbe\xde\0\1\x50\x9b\0\0", lose=lose)

        send()
        await viewer.client.receive_rtp()
        datagrams: list[bytes] = []

        def lose(datagram: bytes) -> bool:
            datagrams.extend([datagram] * is_rtp(datagram))
            return is_rtp(datagram)

        viewer.client.lose = lose
        lost = send()
        while not datagrams:
            await trio.lowlevel.checkpoint()
        viewer.client.lose = lambda _: False
        viewer.client.send_rtcp(rtcp.nack(1, engine.ssrcs[MediaKind.AUDIO], [lost]))
        again: list[bytes] = []
        viewer.client.tap = again.append
        while not (found := [datagram for datagram in again if is_rtp(datagram)]):
            await trio.lowlevel.checkpoint()
        assert found == datagrams
        sent = viewer.peer.stats().sending[MediaKind.AUDIO]
        assert (sent.nacks, sent.retransmitted, sent.packets) == (1, 1, 3)
        assert "a=rtcp-fb:111 nack\r\n" not in str(publisher.peer.local_description), "it was not offered"
