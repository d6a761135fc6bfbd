"""Given a link between two media servers, then viewers at the child get what viewers at the parent get.

They get the same codec in the same variant, repairs, keyframes, clocks and levels, and what they can receive
reaches the presenter. The link itself is no viewer.
"""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
import trio

from roomfsm.load.path import Path
from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.mediaserver.rtp.extensions import AUDIO_LEVEL
from roomfsm.peer import AUDIO_SSRC, OPUS_TYPE, VIDEO_SSRC, VP8_TYPE, PayloadType
from tests.mediaserver.links import Link, linked, open_link
from tests.mediaserver.peer import (
    H264_TYPE,
    OPUS,
    RED_TYPE,
    VP8_DELTA,
    VP8_KEYFRAME,
    VP8_RTX_TYPE,
    TestPeer,
    redundant,
)
from tests.mediaserver.stage import PATIENCE, join, open_stage, until_received
from tests.mediaserver.udp_relay import open_relay

VARIANTS = [
    VP8_TYPE,
    PayloadType(45, "AV1/90000", "level-idx=5;profile=0;tier=0"),
    PayloadType(98, "VP9/90000", "profile-id=2"),
    H264_TYPE,
    PayloadType(102, "H264/90000", "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42001f"),
    PayloadType(102, "H264/90000", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640c1f"),
]
UNHURRIED = {"keyframe_replay": 0.0, "small_replay": 0, "keyframe_interval": 0.01}
"""Each viewer that begins needs a new keyframe, and it is requested at once."""


async def send_a_picture(client: TestPeer, link: Link) -> None:
    """Send a keyframe and a later packet. A viewer that begins then needs a new keyframe."""
    track = link.child.track(MediaKind.VIDEO)
    for payload in (VP8_KEYFRAME, VP8_DELTA):
        known = 0 if track.reception is None else track.reception.packets
        client.send_rtp(payload, timestamp=3000 * known)
        await until_received(link.child, MediaKind.VIDEO, known + 1)


def from_viewer(link: Link, *packets: bytes) -> None:
    """The child sends these packets over a link."""
    link.child._transports[0].transport.send_rtcp(b"".join(packets))


# Codecs


@pytest.mark.parametrize("offered", VARIANTS, ids=str)
async def test_the_link_has_the_very_codec_of_the_publisher(offered: PayloadType) -> None:
    async with (
        open_stage() as parent,
        open_stage() as child,
        join(parent, "sendonly", video=[offered]) as publisher,
    ):
        link = open_link(parent, child, publisher.peer)
        ours, theirs = (peer.track(MediaKind.VIDEO).codec for peer in (publisher.peer, link.child))
        assert ours is not None
        assert theirs is not None
        assert (theirs.name, theirs.parameters) == (ours.name, ours.parameters)


async def test_a_publisher_that_changes_its_codec_needs_a_new_link() -> None:
    async with (
        open_stage() as parent,
        open_stage() as child,
        join(parent, "sendonly") as first,
        join(parent, "sendonly", video=[H264_TYPE]) as second,
    ):
        link = open_link(parent, child, first.peer)
        second.peer.connect(link.parent)
        assert ("mismatch",) in [news[:1] for news in link.parent_observer.told]


async def test_redundant_audio_stays_redundant_if_the_publisher_prefers_it() -> None:
    payload = redundant(111, (960, b"\xfc" + bytes(range(30))), primary=OPUS)
    async with (
        open_stage() as parent,
        open_stage() as child,
        join(parent, "sendonly", audio=[RED_TYPE, OPUS_TYPE]) as publisher,
        linked(parent, child, publisher.peer) as link,
        join(child, "recvonly", link.child, audio=[OPUS_TYPE, RED_TYPE]) as alike,
        join(child, "recvonly", link.child) as plain,
    ):
        publisher.client.send_rtp(payload, ssrc=AUDIO_SSRC, payload_type=63)
        assert (await alike.client.receive_rtp()).payload == payload
        assert (await plain.client.receive_rtp()).payload == OPUS


async def test_the_audio_level_goes_over_the_link() -> None:
    async with (
        open_stage() as parent,
        open_stage() as child,
        join(parent, "sendonly", extensions={"audio": {AUDIO_LEVEL: 5}}) as publisher,
        linked(parent, child, publisher.peer) as link,
        join(child, "recvonly", link.child, extensions={"audio": {AUDIO_LEVEL: 9}}) as viewer,
    ):
        publisher.client.send_rtp(OPUS, ssrc=AUDIO_SSRC, extension=b"\xbe\xde\0\1\x50\x9b\0\0")
        assert (await viewer.client.receive_rtp()).extension == b"\xbe\xde\0\1\x90\x9b\0\0"
        # Both ends hear that the publisher speaks.
        for observer in (publisher.observer, link.child_observer):
            await observer.wait_for("speech", True)


# Clocks


async def test_sound_and_picture_stay_in_step() -> None:
    """The two clocks of the publisher, and the timestamps that belong to them, arrive unchanged."""
    async with (
        open_stage() as parent,
        open_stage() as child,
        join(parent, "sendonly") as publisher,
        linked(parent, child, publisher.peer) as link,
        join(child, "recvonly", link.child) as viewer,
    ):
        for kind, ssrc, payload, rate in (
            (MediaKind.AUDIO, AUDIO_SSRC, OPUS, 48_000),
            (MediaKind.VIDEO, VIDEO_SSRC, VP8_KEYFRAME, 90_000),
        ):
            publisher.client.send_rtp(payload, ssrc=ssrc, timestamp=rate)
            assert (await viewer.client.receive_rtp()).timestamp == rate
            publisher.client.send_rtcp(rtcp.sender_report(ssrc, rtcp.SenderReport(ssrc, 7 << 32, rate, 77, 7777)))
            told = await viewer.client.receive_feedback(rtcp.SenderReport)
            assert told == rtcp.SenderReport(child.ssrcs[kind], 7 << 32, rate, 1, len(payload))


async def test_when_the_presenter_publishes_again_the_streams_go_on_over_the_same_link() -> None:
    async with (
        open_stage() as parent,
        open_stage() as child,
        join(parent, "sendonly") as before,
        join(parent, "sendonly") as after,
        linked(parent, child, before.peer) as link,
        join(child, "recvonly", link.child) as viewer,
    ):
        before.client.send_rtp(VP8_KEYFRAME, sequence_number=65_535, timestamp=4_000_000_000)
        first = await viewer.client.receive_rtp()
        after.peer.connect(link.parent)
        before.peer.close()
        after.client.send_rtp(VP8_KEYFRAME, sequence_number=7, timestamp=5)
        second = await viewer.client.receive_rtp()
        assert second.ssrc == first.ssrc
        assert second.sequence_number == (first.sequence_number + 1) & 0xFFFF
        assert 0 < (second.timestamp - first.timestamp) & 0xFFFFFFFF < 90_000 * 180


# Keyframes


@pytest.fixture
def never_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, the source does not seem to be silent, and nobody gets its last picture."""
    monkeypatch.setattr("roomfsm.mediaserver.forwarding.stream._SILENCE", PATIENCE)


@pytest.mark.usefixtures("never_silent")
async def test_many_viewers_may_begin_at_the_child_one_after_another() -> None:
    """The parent cannot tell them from losses, but it must not count them as those of one viewer."""
    slow = {"viewer_keyframe_interval": 1000.0, "loss_keyframe_interval": 1000.0}
    async with (
        open_stage(**UNHURRIED, **slow) as parent,
        open_stage(**UNHURRIED) as child,
        join(parent, "sendonly") as publisher,
        linked(parent, child, publisher.peer) as link,
    ):
        client = publisher.client
        await send_a_picture(client, link)
        for _ in range(8):
            async with join(child, "recvonly", link.child) as viewer:
                await client.receive_feedback(rtcp.KeyframeRequest)
                await send_a_picture(client, link)
                assert (await viewer.client.receive_rtp()).payload == VP8_KEYFRAME


@pytest.mark.usefixtures("never_silent")
async def test_several_children_that_ask_at_once_are_one_request_to_the_presenter() -> None:
    async with AsyncExitStack() as stack:
        parent, *children = [
            await stack.enter_async_context(open_stage(**{**UNHURRIED, "keyframe_interval": 0.3}))
            for _ in range(4)
        ]
        publisher = await stack.enter_async_context(join(parent, "sendonly"))
        links = [await stack.enter_async_context(linked(parent, child, publisher.peer)) for child in children]
        client = publisher.client
        await send_a_picture(client, links[0])
        for link in links:
            await until_received(link.child, MediaKind.VIDEO, 2)
        asked = publisher.peer.track(MediaKind.VIDEO).keyframes.count
        for link in links:
            from_viewer(link, rtcp.pli(1, parent.ssrcs[MediaKind.VIDEO]))
        await client.receive_feedback(rtcp.KeyframeRequest)
        while any(link.parent.stats().sending[MediaKind.VIDEO].keyframe_requests == 0 for link in links):
            await trio.lowlevel.checkpoint()
        client.send_rtp(VP8_KEYFRAME, timestamp=3000)
        await until_received(publisher.peer, MediaKind.VIDEO, 3)
        assert publisher.peer.track(MediaKind.VIDEO).keyframes.count == asked + 1


# Bandwidth


async def test_what_the_childs_viewers_can_receive_reaches_the_presenter() -> None:
    async with (
        open_stage(report_interval=0.05) as parent,
        open_stage(report_interval=0.05) as child,
        join(parent, "sendonly") as publisher,
        linked(parent, child, publisher.peer) as link,
        join(child, "recvonly", link.child) as viewer,
    ):
        publisher.client.send_rtp(VP8_KEYFRAME)
        await viewer.client.receive_rtp()
        first = await publisher.client.receive_feedback(rtcp.Remb)
        assert first.bitrate == pytest.approx(parent.settings.max_receive_bitrate, rel=0.01)
        viewer.client.send_rtcp(rtcp.remb(1, 640_000, (child.ssrcs[MediaKind.VIDEO],)))
        while (await publisher.client.receive_feedback(rtcp.Remb)).bitrate != pytest.approx(640_000, rel=0.01):
            publisher.client.send_rtp(VP8_DELTA)


# Losses


async def test_no_packet_is_lost_for_good_on_a_lossy_link() -> None:
    """2 % in each direction, with a round trip of 80 ms."""
    count = 300
    async with (
        open_stage() as parent,
        open_stage() as child,
        open_relay("127.0.0.1", parent.port, Path(loss=0.02, delay=0.04)) as path,
        join(parent, "sendonly", video=[VP8_TYPE, VP8_RTX_TYPE]) as publisher,
        linked(parent, child, publisher.peer, way=lambda offer: path.redirect(offer, parent.port)) as link,
        join(child, "recvonly", link.child) as viewer,
        trio.open_nursery() as nursery,
    ):
        client = publisher.client

        async def play() -> None:
            client.send_rtp(VP8_KEYFRAME, sequence_number=0)
            for number in range(1, 100_000):
                await trio.sleep(0.002)
                client.send_rtp(VP8_DELTA, sequence_number=number & 0xFFFF, timestamp=number * 180)
                client.send_rtp(OPUS, ssrc=AUDIO_SSRC, timestamp=number * 96)

        nursery.start_soon(play)
        missing = {ssrc: set(range(count)) for ssrc in (VIDEO_SSRC, AUDIO_SSRC)}
        begins: dict[int, int] = {}
        while any(missing.values()):
            packet = await viewer.client.receive_rtp()
            ssrc = VIDEO_SSRC if packet.ssrc == child.ssrcs[MediaKind.VIDEO] else AUDIO_SSRC
            begin = begins.setdefault(ssrc, packet.sequence_number)
            missing[ssrc].discard((packet.sequence_number - begin) & 0xFFFF)
        nursery.cancel_scope.cancel()
    assert path.lost > 0
