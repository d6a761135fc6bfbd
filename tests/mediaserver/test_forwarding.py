"""RTP from a publisher to viewers, over real UDP: rewriting, repair, keyframes, changing sources, reports."""

from contextlib import AsyncExitStack

import pytest
import trio
import trio.testing

from roomfsm.conformance.peer import AUDIO_SSRC, VIDEO_SSRC, RtpPacket
from roomfsm.conformance.sdp import VP8_TYPE, PayloadType
from roomfsm.mediaserver import rtcp
from roomfsm.mediaserver.engine import MediaKind, NoCommonCodec
from roomfsm.mediaserver.extensions import ABS_SEND_TIME, AUDIO_LEVEL, MID, TRANSPORT_CC
from roomfsm.mediaserver.peer import Peer
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
from tests.mediaserver.stage import Joined, join, open_stage
from tests.mediaserver.transport_cc_reader import read_feedback

OTHER_VP8 = PayloadType(120, "VP8/90000")
EXTENSION = b"\xbe\xde\0\1\x22\1\2\3"


async def packets(client: TestPeer, count: int) -> list[RtpPacket]:
    return [await client.receive_rtp() for _ in range(count)]


def is_rtp(datagram: bytes) -> bool:
    return datagram[0] >= 128 and not 192 <= datagram[1] <= 223


async def until_received(peer: Peer, kind: MediaKind, count: int) -> None:
    """Until the engine has so many packets of a kind."""
    while (stats := peer.stats().receiving.get(kind)) is None or stats.packets < count:
        await trio.lowlevel.checkpoint()


# Rewriting


async def test_a_viewer_gets_its_own_payload_type_our_ssrc_and_the_publishers_numbering() -> None:
    async with (
        open_stage() as engine,
        join(engine, "sendonly") as publisher,
        join(engine, "recvonly", publisher.peer, video=[OTHER_VP8]) as viewer,
    ):
        number = publisher.client.send_rtp(VP8_KEYFRAME, timestamp=9000, marker=True, extension=EXTENSION)
        packet = await viewer.client.receive_rtp()
        assert packet == RtpPacket(120, True, number, 9000, engine.ssrcs[MediaKind.VIDEO], VP8_KEYFRAME)
        assert f"a=ssrc:{packet.ssrc} cname:{engine.cname}" in str(viewer.peer.local_description)


async def test_audio_starts_with_any_packet_and_video_with_a_keyframe() -> None:
    async with (
        open_stage() as engine,
        join(engine, "sendonly") as publisher,
        join(engine, "recvonly", publisher.peer) as viewer,
    ):
        publisher.client.send_rtp(VP8_DELTA)
        publisher.client.send_rtp(OPUS, ssrc=AUDIO_SSRC)
        publisher.client.send_rtp(VP8_KEYFRAME, timestamp=3000)
        publisher.client.send_rtp(VP8_DELTA, timestamp=6000)
        assert [packet.payload for packet in await packets(viewer.client, 3)] == [OPUS, VP8_KEYFRAME, VP8_DELTA]
        assert [news for news in viewer.observer.told if news[0] == "sending"] == [
            ("sending", MediaKind.AUDIO, True),
            ("sending", MediaKind.VIDEO, True),
        ]


async def test_h264_goes_to_the_payload_type_that_fits() -> None:
    viewer_types = [
        PayloadType(97, "H264/90000", "packetization-mode=0;profile-level-id=42e01f"),
        PayloadType(126, "H264/90000", "packetization-mode=1;profile-level-id=42e01f"),
    ]
    async with (
        open_stage() as engine,
        join(engine, "sendonly", video=[H264_TYPE]) as publisher,
        join(engine, "recvonly", video=viewer_types) as viewer,
    ):
        publisher.peer.connect(viewer.peer)
        publisher.client.send_rtp(H264_KEYFRAME, payload_type=102)
        assert (await viewer.client.receive_rtp()).payload_type == 126


async def test_a_viewer_that_cannot_decode_its_source_is_refused() -> None:
    async with (
        open_stage() as engine,
        join(engine, "sendonly", video=[H264_TYPE]) as publisher,
        open_test_peer("recvonly", video=[VP8_TYPE]) as client,
    ):
        viewer = engine.open_peer(RecordingObserver())
        publisher.peer.connect(viewer)
        with pytest.raises(NoCommonCodec, match=r"the source sends H264 .*, the viewer takes VP8"):
            viewer.process_offer(client.offer)


async def test_a_viewer_connected_to_what_it_cannot_decode_is_told_once_and_gets_the_rest() -> None:
    async with (
        open_stage() as engine,
        join(engine, "sendonly", video=[H264_TYPE]) as publisher,
        join(engine, "recvonly", video=[VP8_TYPE]) as viewer,
    ):
        publisher.peer.connect(viewer.peer)
        publisher.client.send_rtp(H264_KEYFRAME, payload_type=102)
        publisher.client.send_rtp(OPUS, ssrc=AUDIO_SSRC)
        assert (await viewer.client.receive_rtp()).payload == OPUS
        viewer.peer.path_changed()
        await until_received(publisher.peer, MediaKind.VIDEO, 1)
        assert [news[1] for news in viewer.observer.told if news[0] == "mismatch"] == [
            "no common video codec: the source sends H264 (constrained baseline, packetization mode 1), "
            "the viewer takes VP8"
        ]


async def test_a_publisher_is_asked_for_what_its_waiting_viewer_can_decode() -> None:
    async with (
        open_stage() as engine,
        join(engine, "recvonly", video=[H264_TYPE]) as viewer,
        open_test_peer("sendonly", video=[VP8_TYPE, H264_TYPE]) as client,
    ):
        publisher = engine.open_peer(RecordingObserver())
        publisher.connect(viewer.peer)
        await client.accept(publisher.process_offer(client.offer))
        client.send_rtp(H264_KEYFRAME, payload_type=102)
        assert (await viewer.client.receive_rtp()).payload == H264_KEYFRAME


@pytest.mark.parametrize(
    ("codec", "keyframe", "delta"),
    [
        ("VP9", b"\x08\x83" + bytes(20), b"\x48\x83" + bytes(20)),
        ("AV1", b"\x18\x0a" + bytes(20), b"\x10\x32" + bytes(20)),
    ],
)
async def test_newer_codecs_start_with_a_keyframe_too(codec: str, keyframe: bytes, delta: bytes) -> None:
    types = [VP8_TYPE, PayloadType(45, f"{codec}/90000")]
    async with (
        open_stage() as engine,
        join(engine, "sendonly", video=types[1:]) as publisher,
        join(engine, "recvonly", publisher.peer, video=types) as viewer,
    ):
        publisher.client.send_rtp(delta, payload_type=45)
        publisher.client.send_rtp(keyframe, payload_type=45, timestamp=3000)
        publisher.client.send_rtp(delta, payload_type=45, timestamp=6000)
        assert [packet.payload for packet in await packets(viewer.client, 2)] == [keyframe, delta]


async def test_header_extensions_are_renumbered_for_each_viewer() -> None:
    sent = {"audio": {AUDIO_LEVEL: 1, MID: 4}, "video": {ABS_SEND_TIME: 2, MID: 4}}
    taken = {"audio": {AUDIO_LEVEL: 9, MID: 8}, "video": {ABS_SEND_TIME: 7, MID: 8}}
    async with (
        open_stage() as engine,
        join(engine, "sendonly", extensions=sent) as publisher,
        join(engine, "recvonly", publisher.peer, extensions=taken) as viewer,
        join(engine, "recvonly", publisher.peer) as plain,
    ):
        level = b"\xbe\xde\0\1\x10\x95\x400"
        publisher.client.send_rtp(OPUS, ssrc=AUDIO_SSRC, extension=level)
        packet = await viewer.client.receive_rtp()
        assert (packet.payload, packet.extension) == (OPUS, b"\xbe\xde\0\1\x90\x95\x800")
        publisher.client.send_rtp(VP8_KEYFRAME, extension=EXTENSION)
        packet = await viewer.client.receive_rtp()
        assert packet.payload == VP8_KEYFRAME
        assert (packet.extension[:5], packet.extension[8:]) == (b"\xbe\xde\0\2\x72", b"\x801\0\0")
        assert [(packet.payload, packet.extension) for packet in await packets(plain.client, 2)] == [
            (OPUS, b""),
            (VP8_KEYFRAME, b""),
        ]


async def test_several_publishers_and_viewers_do_not_mix() -> None:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(open_stage())
        publishers = await join_many(stack, 3, engine, "sendonly")
        viewers = [await join_many(stack, 2, engine, "recvonly", publisher.peer) for publisher in publishers]
        for index, publisher in enumerate(publishers):
            publisher.client.send_rtp(VP8_KEYFRAME + bytes((index,)))
            publisher.client.send_rtp(VP8_DELTA + bytes((index,)), timestamp=3000)
        for index, group in enumerate(viewers):
            for viewer in group:
                seen = [packet.payload[-1] for packet in await packets(viewer.client, 2)]
                assert seen == [index, index]
        assert all(viewer.client.received_rtp() == [] for group in viewers for viewer in group)


async def test_peers_may_be_connected_before_either_is_negotiated() -> None:
    async with open_stage() as engine, open_test_peer("sendonly") as source, open_test_peer("recvonly") as sink:
        publisher, viewer = engine.open_peer(RecordingObserver()), engine.open_peer(RecordingObserver())
        publisher.connect(viewer)
        await sink.accept(viewer.process_offer(sink.offer))
        await source.accept(publisher.process_offer(source.offer))
        source.send_rtp(VP8_KEYFRAME)
        assert (await sink.receive_rtp()).payload == VP8_KEYFRAME


async def test_a_peer_connected_to_itself_sees_itself() -> None:
    async with open_stage() as engine, join(engine, "sendrecv") as both:
        both.peer.connect(both.peer)
        both.client.send_rtp(VP8_KEYFRAME)
        assert (await both.client.receive_rtp()).payload == VP8_KEYFRAME


async def test_one_kind_can_be_connected_and_disconnected_alone() -> None:
    async with (
        open_stage() as engine,
        join(engine, "sendonly") as publisher,
        join(engine, "recvonly") as viewer,
    ):
        publisher.peer.connect(viewer.peer, [MediaKind.AUDIO])
        publisher.client.send_rtp(VP8_KEYFRAME)
        publisher.client.send_rtp(OPUS, ssrc=AUDIO_SSRC)
        assert (await viewer.client.receive_rtp()).payload == OPUS
        publisher.peer.disconnect(viewer.peer, [MediaKind.AUDIO, MediaKind.VIDEO])
        assert viewer.observer.told[-1] == ("sending", MediaKind.AUDIO, False)


@pytest.mark.parametrize("segmentation", [True, False])
async def test_a_burst_of_packets_of_many_lengths_arrives_whole_and_in_order(segmentation: bool) -> None:
    lengths = [1000, 1000, 1000, 900, 1100, 1100, 40, *[1000] * 70, 1, 2]
    async with (
        open_stage() as engine,
        join(engine, "sendonly") as publisher,
        join(engine, "recvonly", publisher.peer) as viewer,
    ):
        engine._sender._segmentation &= segmentation
        publisher.client.send_rtp(VP8_KEYFRAME)
        await viewer.client.receive_rtp()
        sent = [VP8_DELTA + bytes(length) for length in lengths]
        for payload in sent:
            publisher.client.send_rtp(payload)
        assert [packet.payload for packet in await packets(viewer.client, len(sent))] == sent
        assert engine.stats().packets_dropped == 0


# Repair


async def test_what_a_viewer_lost_comes_from_the_ring_and_is_not_asked_of_the_publisher() -> None:
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


async def test_a_retransmission_goes_in_a_stream_of_its_own_where_the_viewer_can_take_that() -> None:
    async with (
        open_stage() as engine,
        join(engine, "sendonly") as publisher,
        join(engine, "recvonly", publisher.peer, video=[VP8_TYPE, VP8_RTX_TYPE]) as viewer,
    ):
        number = publisher.client.send_rtp(VP8_KEYFRAME, timestamp=9000, marker=True)
        packet = await viewer.client.receive_rtp()
        assert f"a=ssrc-group:FID {packet.ssrc} {engine.repair_ssrc}\r\n" in str(viewer.peer.local_description)
        for _ in range(2):
            viewer.client.send_rtcp(rtcp.nack(1, packet.ssrc, [number]))
        repairs = await packets(viewer.client, 2)
        original = number.to_bytes(2) + VP8_KEYFRAME
        assert [repair.payload for repair in repairs] == [original, original]
        assert {(repair.payload_type, repair.ssrc, repair.timestamp, repair.marker) for repair in repairs} == {
            (97, engine.repair_ssrc, 9000, True)
        }
        assert repairs[1].sequence_number == repairs[0].sequence_number + 1
        assert viewer.peer.stats().sending[MediaKind.VIDEO].retransmitted == 2


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
        repair(lost.to_bytes(2) + VP8_DELTA + b"lost")  # Nobody asked: only to probe the bandwidth.
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


async def test_what_the_publisher_lost_is_asked_for_and_passed_on_when_it_comes() -> None:
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


async def test_what_never_comes_is_asked_for_five_times_and_then_a_keyframe() -> None:
    async with open_stage(nack_retry=0.01) as engine, join(engine, "sendonly") as publisher:
        publisher.client.send_rtp(VP8_KEYFRAME)
        publisher.client.send_rtp(VP8_DELTA, lose=True)
        publisher.client.send_rtp(VP8_DELTA, timestamp=6000)
        await publisher.client.receive_feedback(rtcp.KeyframeRequest)
        assert publisher.peer.stats().receiving[MediaKind.VIDEO].nacks == 5


# Keyframes


async def join_many(stack: AsyncExitStack, count: int, *arguments: object) -> list[Joined]:
    return [await stack.enter_async_context(join(*arguments)) for _ in range(count)]  # type: ignore[arg-type]  # as join


async def test_the_wishes_of_many_viewers_are_one_request_repeated_until_it_is_met() -> None:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(open_stage(keyframe_interval=0.2, keyframe_replay=0.0))
        publisher = await stack.enter_async_context(join(engine, "sendonly"))
        publisher.client.send_rtp(VP8_DELTA)
        await until_received(publisher.peer, MediaKind.VIDEO, 1)
        viewers = await join_many(stack, 5, engine, "recvonly", publisher.peer)
        times = []
        for _ in range(3):
            assert await publisher.client.receive_feedback(rtcp.KeyframeRequest) == rtcp.KeyframeRequest(
                VIDEO_SSRC
            )
            times.append(trio.current_time())
        assert times[2] - times[0] >= 0.35
        publisher.client.send_rtp(VP8_KEYFRAME)
        for viewer in viewers:
            assert (await viewer.client.receive_rtp()).payload == VP8_KEYFRAME
        requests = publisher.peer.stats().receiving[MediaKind.VIDEO].keyframe_requests
        await trio.sleep(0.3)
        assert publisher.peer.stats().receiving[MediaKind.VIDEO].keyframe_requests == requests


async def test_a_viewers_request_is_passed_on() -> None:
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


async def test_a_viewer_just_after_a_keyframe_is_given_it_from_the_ring() -> None:
    async with open_stage(keyframe_replay=5.0) as engine, join(engine, "sendonly") as publisher:
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


async def test_a_viewer_after_a_keyframe_with_a_gap_waits_for_the_next() -> None:
    async with open_stage(keyframe_replay=5.0) as engine, join(engine, "sendonly") as publisher:
        publisher.client.send_rtp(VP8_KEYFRAME)
        publisher.client.send_rtp(VP8_DELTA, lose=True)
        publisher.client.send_rtp(VP8_DELTA, timestamp=6000)
        await until_received(publisher.peer, MediaKind.VIDEO, 2)
        async with join(engine, "recvonly", publisher.peer) as viewer:
            await publisher.client.receive_feedback(rtcp.KeyframeRequest)
            publisher.client.send_rtp(VP8_KEYFRAME, timestamp=9000)
            assert (await viewer.client.receive_rtp()).timestamp == 9000


# Changing sources


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
        # What the viewers had from the old source is not to be had under the new numbers.
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
async def test_a_browser_that_starts_its_stream_anew_continues_it(ssrc: int) -> None:
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


async def test_a_late_packet_from_before_a_new_stream_does_not_get_an_old_ones_number() -> None:
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


# Flow and reports


async def test_media_that_stops_flowing_is_noted_on_both_sides_and_again_when_it_flows() -> None:
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
        size = 12 + len(VP8_KEYFRAME)
        ssrc = engine.ssrcs[MediaKind.VIDEO]
        assert passed_on == rtcp.SenderReport(ssrc, 0x0102030405060708, 9000, 1, size)


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
async def test_one_poor_viewer_of_several_does_not_bring_all_down(viewers: int, poor: int) -> None:
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


async def test_a_poor_viewer_brings_the_publisher_down_no_lower_than_the_floor() -> None:
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
