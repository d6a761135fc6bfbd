"""RTP from a publisher to viewers, over real UDP: how packets are rewritten, and how viewers begin."""

from contextlib import AsyncExitStack

import pytest

from roomfsm.mediaserver.base.errors import NoCommonCodec
from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.rtp.extensions import ABS_SEND_TIME, AUDIO_LEVEL, MID
from roomfsm.peer import AUDIO_SSRC, VP8_TYPE, PayloadType, RtpPacket
from tests.mediaserver.observer import RecordingObserver
from tests.mediaserver.peer import H264_KEYFRAME, H264_TYPE, OPUS, VP8_DELTA, VP8_KEYFRAME, open_test_peer
from tests.mediaserver.stage import join, join_many, open_stage, packets, until_received

OTHER_VP8 = PayloadType(120, "VP8/90000")
EXTENSION = b"\xbe\xde\0\1\x22\1\2\3"


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


async def test_h264_is_sent_with_the_payload_type_that_fits() -> None:
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


async def test_a_viewer_that_cannot_decode_one_kind_is_told_once_and_gets_the_other() -> None:
    async with (
        open_stage() as engine,
        join(engine, "sendonly", video=[H264_TYPE]) as publisher,
        join(engine, "recvonly", video=[VP8_TYPE]) as viewer,
    ):
        publisher.peer.connect(viewer.peer)
        publisher.client.send_rtp(H264_KEYFRAME, payload_type=102)
        publisher.client.send_rtp(OPUS, ssrc=AUDIO_SSRC)
        assert (await viewer.client.receive_rtp()).payload == OPUS
        viewer.peer.path_changed(viewer.peer._transports[0])
        await until_received(publisher.peer, MediaKind.VIDEO, 1)
        assert [news[1] for news in viewer.observer.told if news[0] == "mismatch"] == [
            "no common video codec: the source sends H264 (constrained baseline, packetization mode 1), "
            "the viewer takes VP8"
        ]


async def test_a_publisher_is_asked_for_a_codec_that_its_waiting_viewer_can_decode() -> None:
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
