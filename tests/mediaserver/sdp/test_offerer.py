"""The server as the offerer: what it offers, which answers it takes, media either way (recordings 03, 15)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomfsm.mediaserver.base.errors import (
    AlreadyNegotiated,
    AnswerAlreadyProcessed,
    NoCommonCodec,
    OfferNotGenerated,
    SdpError,
)
from roomfsm.mediaserver.base.kinds import ALL_KINDS, MediaKind
from roomfsm.mediaserver.engine.engine import Engine, Peer
from roomfsm.mediaserver.rtp.extensions import TRANSPORT_CC
from roomfsm.mediaserver.sdp.description import Direction, parse_offer
from roomfsm.mediaserver.sdp.offer import propose, read_answer
from roomfsm.peer import AUDIO_SSRC, VIDEO_SSRC
from tests.examples import examples
from tests.mediaserver import answering
from tests.mediaserver.kurento import replay
from tests.mediaserver.observer import RecordingObserver
from tests.mediaserver.peer import H264_KEYFRAME, H264_TYPE, OPUS, VP8_KEYFRAME, open_test_peer
from tests.mediaserver.rtp.transport_cc_reader import read_feedback
from tests.mediaserver.stage import Joined, join, open_stage


@asynccontextmanager
async def answering_peer(
    engine: Engine, direction: str, *, source: Peer | None = None, setup: str = "active", **options: Any
) -> AsyncIterator[Joined]:
    """A test peer that has answered our offer, connected; `direction` is its own."""
    observer = RecordingObserver()
    peer = engine.open_peer(observer)
    if source is not None:
        source.connect(peer)
    async with open_test_peer(direction) as client:
        offer = peer.generate_offer()
        peer.process_answer(answering.write_answer(client, offer, direction=direction, setup=setup, **options))
        await answering.connect(client, offer, setup=setup)
        await observer.wait_for("media", True)
        yield Joined(client, peer, observer)
        assert client.refused == 0, "the server sent what SRTP refuses"


async def test_offer_is_of_both_kinds_with_all_codecs_in_one_bundle() -> None:
    async with open_stage() as engine:
        offer = engine.open_peer(RecordingObserver()).generate_offer()
        parsed = parse_offer(offer)
        assert [(section.media, section.mid) for section in parsed.sections] == [
            ("audio", "audio0"),
            ("video", "video0"),
        ]
        assert parsed.bundles == (("audio0", "video0"),)
        assert {"VP8", "H264"} <= {codec.name for codec in parsed.sections[1].codecs}
        lines = offer.split("\r\n")
        assert lines.count("a=setup:actpass") == lines.count("a=sendrecv") == lines.count("a=rtcp-mux") == 2
        assert lines.count("a=ice-lite") == 1
        # Each could stand alone, if the other side does not bundle.
        assert len({section.ufrag for section in parsed.sections}) == 2
        assert all(section.candidates and section.fingerprints for section in parsed.sections)


@pytest.mark.parametrize("direction", [Direction.SENDONLY, Direction.RECVONLY])
async def test_offer_has_the_peers_direction(direction: Direction) -> None:
    async with open_stage() as engine:
        peer = engine.open_peer(RecordingObserver())
        peer.direction = direction
        assert {section.direction for section in parse_offer(peer.generate_offer()).sections} == {direction}


@pytest.mark.parametrize("direction", [Direction.SENDRECV, Direction.RECVONLY, Direction.SENDONLY])
async def test_an_offer_has_transport_cc_for_media_that_it_asks_for_and_for_video(direction: Direction) -> None:
    async with open_stage() as engine:
        peer = engine.open_peer(RecordingObserver())
        peer.direction = direction
        for section in parse_offer(peer.generate_offer()).sections:
            offered = direction.receives or section.kind is MediaKind.VIDEO
            assert (TRANSPORT_CC in section.extensions) is offered
            for codec in section.codecs:
                assert ("transport-cc" in codec.feedback) is offered


async def test_publisher_that_takes_transport_cc_is_told_when_each_packet_came() -> None:
    async with open_stage() as engine, answering_peer(engine, "sendonly", extensions=[TRANSPORT_CC]) as publisher:
        client = publisher.client
        offered = parse_offer(str(publisher.peer.local_description))
        for number, (ssrc, payload) in enumerate(((VIDEO_SSRC, VP8_KEYFRAME), (AUDIO_SSRC, OPUS)), 7):
            section = offered.sections[0 if payload is OPUS else 1]
            element = bytes((section.extensions[TRANSPORT_CC] << 4 | 1,)) + number.to_bytes(2)
            client.send_rtp(payload, ssrc=ssrc, extension=b"\xbe\xde\0\1" + element + b"\0")
        told: set[int] = set()
        while told < {7, 8}:
            compound = await client.receive_rtcp()
            if compound[:2] in (b"\x8f\xcd", b"\xaf\xcd"):
                _, base, times = read_feedback(compound)
                told |= {base + index for index, time in enumerate(times) if time is not None}
        assert told == {7, 8}


async def test_offer_can_leave_a_kind_out() -> None:
    async with open_stage() as engine:
        peer = engine.open_peer(RecordingObserver())
        parsed = parse_offer(peer.generate_offer([MediaKind.VIDEO]))
        assert [section.media for section in parsed.sections] == ["video"]
        assert [candidate.sdp_mid for candidate in peer.gather_candidates()] == ["video0"]


@pytest.mark.parametrize("setup", ["active", "passive"])
async def test_viewer_that_answers_gets_media_in_either_dtls_role(setup: str) -> None:
    async with (
        open_stage() as engine,
        join(engine, "sendonly") as publisher,
        answering_peer(engine, "recvonly", source=publisher.peer, setup=setup) as viewer,
    ):
        publisher.client.send_rtp(VP8_KEYFRAME)
        packet = await viewer.client.receive_rtp()
        assert packet.payload == VP8_KEYFRAME
        assert packet.payload_type == viewer.client.payload_types["vp8"]


@pytest.mark.parametrize("setup", ["active", "passive"])
async def test_publisher_that_answers_is_passed_on_in_either_dtls_role(setup: str) -> None:
    async with (
        open_stage() as engine,
        answering_peer(engine, "sendonly", setup=setup) as publisher,
        join(engine, "recvonly", publisher.peer) as viewer,
    ):
        publisher.client.send_rtp(VP8_KEYFRAME)
        assert (await viewer.client.receive_rtp()).payload == VP8_KEYFRAME


async def test_a_publisher_answers_with_the_codec_that_it_prefers() -> None:
    async with (
        open_stage() as engine,
        answering_peer(engine, "sendonly", codec="H264") as publisher,
        join(engine, "recvonly", publisher.peer, video=(H264_TYPE,)) as viewer,
    ):
        number = publisher.client.payload_types["h264"]
        publisher.client.send_rtp(H264_KEYFRAME, payload_type=number)
        assert (await viewer.client.receive_rtp()).payload == H264_KEYFRAME


async def test_a_viewer_of_a_known_source_is_offered_only_its_codec() -> None:
    async with open_stage() as engine, join(engine, "sendonly", video=(H264_TYPE,)) as publisher:
        peer = engine.open_peer(RecordingObserver())
        publisher.peer.connect(peer)
        peer.direction = Direction.SENDONLY
        video = parse_offer(peer.generate_offer()).sections[1]
        assert [codec.name for codec in video.codecs] == ["H264"]


async def test_a_peer_that_is_offered_nothing_to_receive_gets_nothing() -> None:
    """RFC 3264 section 6.1: an answer takes no more than was offered."""
    async with open_stage() as engine, join(engine, "sendonly") as publisher, open_test_peer("sendrecv") as client:
        peer = engine.open_peer(RecordingObserver())
        peer.direction = Direction.RECVONLY
        publisher.peer.connect(peer)
        offer = peer.generate_offer()
        peer.process_answer(answering.write_answer(client, offer, direction="sendrecv", setup="active"))
        assert peer.stats().sending == {}


async def test_answer_without_an_offer_and_a_second_offer_and_answer_are_refused() -> None:
    async with open_stage() as engine, open_test_peer("recvonly") as client:
        peer = engine.open_peer(RecordingObserver())
        with pytest.raises(OfferNotGenerated):
            peer.process_answer(client.offer)
        offer = peer.generate_offer()
        with pytest.raises(AlreadyNegotiated):
            peer.generate_offer()
        with pytest.raises(AlreadyNegotiated):
            peer.process_offer(client.offer)
        answer = answering.write_answer(client, offer, direction="recvonly", setup="active")
        peer.process_answer(answer)
        assert (peer.local_description, peer.remote_description) == (offer, answer)
        with pytest.raises(AnswerAlreadyProcessed):
            peer.process_answer(answer)


async def test_an_offer_begins_with_a_codec_that_waiting_viewers_can_decode() -> None:
    async with open_stage() as engine, open_test_peer("recvonly", video=[H264_TYPE]) as waiting:
        source, viewer = engine.open_peer(RecordingObserver()), engine.open_peer(RecordingObserver())
        source.connect(viewer)
        viewer.process_offer(waiting.offer)
        _, video = parse_offer(source.generate_offer()).sections
        assert [codec.name for codec in video.codecs] == ["H264", "VP8", "VP9", "AV1"]


def without_video(answer: str) -> str:
    return answer.partition("m=video")[0]


def with_video_first(answer: str) -> str:
    session, audio, video = answer.replace("m=", "\0m=").split("\0")
    return session + video + audio


def with_two_roles(answer: str) -> str:
    return answer.replace("a=setup:active", "a=setup:passive", 1)


@pytest.mark.parametrize("spoil", [lambda _: "garbage", without_video, with_video_first, with_two_roles])
async def test_answer_that_does_not_fit_is_refused_and_the_next_may_fit(spoil: Any) -> None:
    async with open_stage() as engine, open_test_peer("recvonly") as client:
        peer = engine.open_peer(RecordingObserver())
        offer = peer.generate_offer()
        answer = answering.write_answer(client, offer, direction="recvonly", setup="active")
        with pytest.raises(SdpError):
            peer.process_answer(spoil(answer))
        peer.process_answer(answer)


ANSWER: str = next(
    line.message["params"]["operationParams"]["answer"]
    for line in replay.read("15_no_session.jsonl")
    if line.direction == "send" and line.message.get("params", {}).get("operation") == "processAnswer"
)


@examples(200)
@given(st.data())
def test_no_damage_to_an_answer_breaks_the_reader(data: st.DataObject) -> None:
    offered, _ = propose(ALL_KINDS, Direction.SENDRECV, {}, {})
    lines = ANSWER.split("\n")
    for _ in range(data.draw(st.integers(1, 5))):
        index = data.draw(st.integers(0, len(lines) - 1))
        line = lines[index]
        cut = data.draw(st.integers(0, len(line)))
        lines[index] = line[:cut] + data.draw(st.text(max_size=8)) + line[cut + data.draw(st.integers(0, 4)) :]
    try:
        answered = read_answer("\n".join(lines), offered, {})
    except (SdpError, NoCommonCodec):
        return
    assert len(answered.transports) <= 2
