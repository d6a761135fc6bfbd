"""Redundant audio is passed on to viewers that negotiated it, and unwrapped for all others."""

import pytest
import trio

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.forwarding.red import RedError, RedundantGroup, primary
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.mediaserver.rtp.extensions import OutgoingExtensions
from roomfsm.mediaserver.rtp.vp8 import UNCHANGED
from roomfsm.mediaserver.sdp.codec import Codec
from roomfsm.mediaserver.sdp.description import parse_offer
from roomfsm.mediaserver.workers.workers import open_workers
from roomfsm.peer import AUDIO_SSRC, OPUS_TYPE, PayloadType
from tests.mediaserver.peer import OPUS, RED_TYPE, redundant
from tests.mediaserver.stage import join, open_stage, until_received

OLDER = b"\xfc" + bytes(range(30))
PAYLOAD = redundant(111, (960, OLDER), primary=OPUS)
OTHER_OPUS = PayloadType(98, "opus/48000/2")
OTHER_RED = PayloadType(97, "red/48000/2", "98/98")
HEADER = bytes(12)


def test_the_primary_block_is_found_behind_the_others() -> None:
    assert primary(HEADER + PAYLOAD, 12) == (111, 12 + 4 + 1 + len(OLDER))
    assert primary(HEADER + redundant(9, primary=OPUS), 12) == (9, 13)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x6f", id="no primary block"),
        pytest.param(PAYLOAD[:3], id="a cut header"),
        pytest.param(PAYLOAD[:4], id="no header of the primary block"),
        pytest.param(PAYLOAD[:20], id="a cut block"),
        pytest.param(PAYLOAD[: -len(OPUS)], id="redundant blocks alone"),
        pytest.param(b"\xff" * 1200, id="headers without end"),
    ],
)
def test_an_incomplete_redundant_payload_is_refused(payload: bytes) -> None:
    with pytest.raises(RedError):
        primary(HEADER + payload, 12)


def group(red: int | None, payload_type: int = 111) -> RedundantGroup:
    return RedundantGroup(payload_type, 0, 0, OutgoingExtensions(), UNCHANGED, red, 7, (111, 63))


def packet(payload_type: int, payload: bytes, *, marked: bool = False, sources: int = 0) -> bytes:
    first = bytes((0x80 | sources, 0x80 * marked | payload_type))
    return first + bytes.fromhex("0005 00000009 00000007") + b"CSRC" * sources + payload


@pytest.mark.parametrize("sources", [0, 2])
@pytest.mark.parametrize("marked", [False, True])
def test_a_viewer_without_red_gets_only_the_primary_block(sources: int, marked: bool) -> None:
    plain = group(None)
    got = plain.rewrite(5, 9, 0.0, packet(63, PAYLOAD, marked=marked, sources=sources))
    assert got == packet(111, OPUS, marked=marked, sources=sources)
    assert plain.removed == len(PAYLOAD) - len(OPUS)
    single = packet(111, OPUS, marked=marked, sources=sources)
    assert plain.rewrite(5, 9, 0.0, single) == single
    assert plain.removed == 0


@pytest.mark.parametrize("sources", [0, 2])
@pytest.mark.parametrize("marked", [False, True])
def test_a_viewer_with_other_payload_types_gets_all_blocks_with_them(sources: int, marked: bool) -> None:
    payload = redundant(111, (1920, OLDER), (960, OLDER), primary=OPUS)
    other = redundant(98, (1920, OLDER), (960, OLDER), primary=OPUS)
    for payload_type, expected in ((98, other), (111, payload)):
        red = group(97, payload_type)
        got = red.rewrite(5, 9, 0.0, packet(63, payload, marked=marked, sources=sources))
        assert got == packet(97, expected, marked=marked, sources=sources)
        assert red.removed == 0


OFFER = """v=0
m=audio 9 UDP/TLS/RTP/SAVPF {formats}
a=ice-ufrag:u
a=ice-pwd:p
a=fingerprint:sha-256 AA
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=rtpmap:063 red/48000/2
a=fmtp:063 {blocks}
"""


@pytest.mark.parametrize(
    ("formats", "blocks", "agreed"),
    [
        ("111 063", "111/111", (63, False)),
        ("063 111", "111/111", (63, True)),
        ("111 063", "111/111/111", (63, False)),
        ("111 063", "111/0", (None, False)),
        ("111", "111/111", (None, False)),
        ("111 063", "110/110", (None, False)),
    ],
)
def test_red_is_negotiated_only_for_blocks_of_opus(
    formats: str, blocks: str, agreed: tuple[int | None, bool]
) -> None:
    (section,) = parse_offer(OFFER.format(formats=formats, blocks=blocks)).sections
    assert section.codecs == [Codec(111, "opus", 48000, "/2", "", (), None, *agreed)]


async def test_a_publisher_is_asked_for_red_if_it_prefers_that() -> None:
    """It takes twice the bandwidth, also to every viewer. Browsers send the codec that comes first."""
    async with (
        open_stage() as engine,
        join(engine, "sendonly", audio=[RED_TYPE, OPUS_TYPE]) as eager,
        join(engine, "sendonly", audio=[OPUS_TYPE, RED_TYPE]) as usual,
        join(engine, "recvonly", eager.peer, audio=[OPUS_TYPE, RED_TYPE]) as viewer,
    ):
        answer = str(eager.peer.local_description)
        assert "m=audio 9 UDP/TLS/RTP/SAVPF 63 111\r\n" in answer
        assert "a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n" in answer
        assert "red/48000" not in str(usual.peer.local_description)
        assert "m=audio 9 UDP/TLS/RTP/SAVPF 111 63\r\n" in str(viewer.peer.local_description)


async def test_viewers_with_red_get_all_blocks_and_the_others_the_primary_block() -> None:
    async with (
        open_stage() as engine,
        join(engine, "sendonly", audio=[RED_TYPE, OPUS_TYPE]) as publisher,
        join(engine, "recvonly", publisher.peer, audio=[OPUS_TYPE, RED_TYPE]) as alike,
        join(engine, "recvonly", publisher.peer, audio=[OTHER_OPUS, OTHER_RED]) as renumbered,
        join(engine, "recvonly", publisher.peer) as plain,
    ):
        viewers = (alike, renumbered, plain)
        expected = (
            (63, PAYLOAD),
            (97, redundant(98, (960, OLDER), primary=OPUS)),
            (111, OPUS),
        )
        number = publisher.client.send_rtp(PAYLOAD, ssrc=AUDIO_SSRC, payload_type=63, timestamp=960)
        for viewer, (payload_type, payload) in zip(viewers, expected, strict=True):
            packet = await viewer.client.receive_rtp()
            assert (packet.payload_type, packet.payload) == (payload_type, payload)
            assert (packet.sequence_number, packet.timestamp) == (number, 960)
        # A publisher may leave redundancy out of some packets.
        publisher.client.send_rtp(OPUS, ssrc=AUDIO_SSRC, timestamp=1920)
        for viewer, payload_type in zip(viewers, (111, 98, 111), strict=True):
            packet = await viewer.client.receive_rtp()
            assert (packet.payload_type, packet.payload) == (payload_type, OPUS)
        report = rtcp.SenderReport(AUDIO_SSRC, 1 << 32, 1920, 2, 2)
        publisher.client.send_rtcp(rtcp.sender_report(AUDIO_SSRC, report))
        for viewer, (_, payload) in zip(viewers, expected, strict=True):
            told = await viewer.client.receive_feedback(rtcp.SenderReport)
            assert (told.packets, told.octets) == (2, len(payload) + len(OPUS))
        assert publisher.peer.stats().receiving[MediaKind.AUDIO].packets == 2


@pytest.mark.parametrize(
    ("payload", "refusal"),
    [(PAYLOAD[:20], "rtp_malformed"), (redundant(13, primary=OPUS), "rtp_unknown_payload")],
)
async def test_a_broken_redundant_packet_reaches_nobody(payload: bytes, refusal: str) -> None:
    async with (
        open_stage() as engine,
        join(engine, "sendonly", audio=[RED_TYPE, OPUS_TYPE]) as publisher,
        join(engine, "recvonly", publisher.peer, audio=[OPUS_TYPE, RED_TYPE]) as viewer,
    ):
        publisher.client.send_rtp(payload, ssrc=AUDIO_SSRC, payload_type=63)
        publisher.client.send_rtp(PAYLOAD, ssrc=AUDIO_SSRC, payload_type=63)
        assert (await viewer.client.receive_rtp()).payload == PAYLOAD
        assert engine.stats().refused[refusal] == 1


async def test_red_reaches_viewers_on_another_worker() -> None:
    with trio.fail_after(180):
        async with (
            open_workers(EngineSettings(host="127.0.0.1"), 2) as workers,
            join(workers, "sendonly", audio=[RED_TYPE, OPUS_TYPE]) as publisher,
            join(workers, "recvonly", publisher.peer, audio=[OPUS_TYPE, RED_TYPE]) as far,
            join(workers, "recvonly", publisher.peer) as near,
        ):
            publisher.client.send_rtp(PAYLOAD, ssrc=AUDIO_SSRC, payload_type=63)
            await until_received(publisher.peer, MediaKind.AUDIO, 1)
            for viewer, payload in ((far, PAYLOAD), (near, OPUS)):
                publisher.client.send_rtp(PAYLOAD, ssrc=AUDIO_SSRC, payload_type=63)
                assert (await viewer.client.receive_rtp()).payload == payload
