"""Given streams and views, when a browser or the media server fails, then people are told and nothing leaks."""

from __future__ import annotations

import time
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from roomfsm.kurento.errors import (
    EventOverflow,
    KurentoError,
    MediaServerError,
    MediaServersFull,
    MediaServerUnavailable,
    OfferRefused,
    RequestTimedOut,
    ResourcesExhausted,
    SdpInvalid,
)
from roomfsm.kurento.events import (
    DtlsConnectionState,
    Error,
    MediaFlowState,
    MediaState,
    MediaStateChanged,
)
from roomfsm.protocol.client import Unpublish, View
from roomfsm.protocol.errors import ErrorCode, Refusal
from roomfsm.rooms.events import MediaLost, StreamFailed, ViewFailed
from roomfsm.rooms.offer_words import about_offer
from tests.rooms.house import OFFER, SMALL, dtls, flow_in, house, people, presenter_and_viewer, publish, settle


async def test_a_person_who_leaves_before_the_answer_gets_none_and_holds_no_endpoint(
    autojump_clock: MockClock,
) -> None:
    async with house() as (directory, media):
        ada, bob = await people(directory, "Ada", "Bob")
        media.answering.shut()
        await ada.say(publish())
        await settle()
        assert len(media.open) == 1
        await ada.leave()
        media.answering.open()
        await settle()
        assert ada.all("answer") == []
        assert media.open == []
        assert bob.last("streamEnded")["reason"] == "left"


async def test_a_bad_offer_gets_an_error_and_affects_nobody_else(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        ada, bob = await people(directory, "Ada", "Bob")
        await ada.say(publish())
        await settle()
        media.answering.error = SdpInvalid(40201, "not SDP", "SDP_PARSE_ERROR")
        await bob.say(publish(ref=7))
        await settle()
        error = bob.last("error")
        assert (error["code"], error["ref"], error["message"]) == ("sdp_invalid", 7, "publish")
        assert ada.last("streamEnded") == {"type": "streamEnded", "stream": bob.stream(), "reason": "failed"}
        await bob.say(View(stream=ada.stream(), sdp="bad", ref=8))
        await settle()
        assert bob.last("error")["ref"] == 8
        assert len(media.open) == 1
        assert ada.sits_in.state == "broadcasting"


async def test_a_viewer_that_cannot_decode_the_stream_is_told_the_codecs(autojump_clock: MockClock) -> None:
    words = "no common video codec: the source sends H264, the viewer takes VP8"
    async with house() as (directory, media):
        ada, bob = await people(directory, "Ada", "Bob")
        await ada.say(publish())
        await settle()
        media.answering.error = OfferRefused(40205, words, "SDP_END_POINT_PROCESS_OFFER_ERROR")
        await bob.say(View(stream=ada.stream(), sdp=OFFER, ref=8))
        await settle()
        error = bob.last("error")
        assert (error["code"], error["ref"], error["detail"]) == ("media_failed", 8, words)
        media.answering.error = None
        await bob.say(View(stream=ada.stream(), sdp=OFFER, ref=9))
        await settle()
        assert bob.last("answer")["ref"] == 9
        media.endpoints[-1].happens(
            Error(error_code=1, description="of no interest here", type="STREAM_ERROR_FAILED")
        )
        await settle()
        assert len(media.open) == 2
        media.endpoints[-1].happens(Error(error_code=6, description=words, type="STREAM_ERROR_CODEC_NOT_FOUND"))
        await settle()
        error = bob.last("error")
        assert (error["code"], error["stream"], error["detail"]) == ("media_failed", ada.stream(), words)
        assert len(media.open) == 1


@pytest.mark.parametrize(
    "event",
    [
        dtls(DtlsConnectionState.CLOSED),
        dtls(DtlsConnectionState.FAILED),
        MediaStateChanged(old_state=MediaState.CONNECTED, new_state=MediaState.DISCONNECTED),
    ],
)
async def test_when_a_presenters_media_connection_ends_its_views_end(
    autojump_clock: MockClock, event: Any
) -> None:
    async with house() as (directory, media):
        ada, bob = await presenter_and_viewer(directory)
        media.open[0].happens(event)
        await settle()
        assert media.open == []
        assert bob.last("streamEnded")["reason"] == "failed"
        assert ada.sits_in.state == "waiting"


async def test_when_a_viewers_media_connection_ends_the_stream_goes_on(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        ada, bob = await presenter_and_viewer(directory)
        media.open[1].happens(dtls(DtlsConnectionState.CLOSED))
        await settle()
        assert (len(media.open), bob.views()) == (1, ["ended"])
        assert ada.last("streamChanged")["stream"]["viewers"] == 0
        await bob.say(View(stream=ada.stream(), sdp=OFFER, ref=5))
        await settle()
        assert bob.last("answer")["ref"] == 5


async def test_a_stream_whose_browser_never_connects_fails(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        (ada,) = await people(directory, "Ada")
        await ada.say(publish())
        await trio.sleep(SMALL.connect_timeout - 1)
        assert len(media.open) == 1
        await trio.sleep(2)
        assert media.open == []
        assert ada.last("streamEnded")["reason"] == "failed"


async def test_a_view_whose_browser_never_connects_fails_whatever_its_path_is(
    autojump_clock: MockClock,
) -> None:
    async with house() as (directory, media):
        _, bob = await presenter_and_viewer(directory)
        presenter, viewer = media.open
        presenter.connects()
        viewer.happens(flow_in(MediaFlowState.FLOWING))
        viewer.pauses(True)
        await settle()
        assert bob.views() == ["live", "limited"]
        await trio.sleep(SMALL.connect_timeout + 1)
        assert media.open == [presenter]
        assert bob.views() == ["live", "limited", "ended"]


async def test_a_lost_media_server_ends_the_broadcast_and_the_next_one_works(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        ada, bob = await presenter_and_viewer(directory)
        media.pipelines[0].lost.set()
        await settle()
        assert bob.last("streamEnded")["reason"] == "media_lost"
        assert ada.last("roomState")["state"] == "waiting"
        assert (media.open, media.pipelines) == ([], [])
        await ada.say(publish(ref=6))
        await settle()
        assert ada.last("answer")["ref"] == 6


async def test_without_a_media_server_a_presenter_gets_an_error(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        (ada,) = await people(directory, "Ada")
        media.creating.error = MediaServerUnavailable("none is ready")
        await ada.say(publish(ref=6))
        await settle()
        assert (ada.last("error")["code"], ada.last("error")["ref"]) == ("media_unavailable", 6)
        assert ada.last("streamEnded")["reason"] == "media_unavailable"
        assert ada.sits_in.state == "waiting"


async def test_if_no_pipeline_can_be_created_the_presenter_gets_an_error(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        (ada,) = await people(directory, "Ada")
        media.creating.error = KurentoError(40003, "ws://inside is at a loss", "UNEXPECTED_ERROR")
        await ada.say(publish(ref=6))
        await settle()
        assert ada.last("error")["ref"] == 6
        assert ada.sits_in.state == "waiting"


async def test_full_media_servers_have_an_error_code_of_their_own(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        ada, bob = await people(directory, "Ada", "Bob")
        media.creating.error = MediaServersFull("all")
        await ada.say(publish(ref=6))
        await settle()
        assert (ada.last("error")["code"], ada.last("error")["ref"]) == ("media_full", 6)
        assert bob.last("streamEnded")["reason"] == "media_full"
        media.creating.error = None
        await ada.say(publish(ref=7))
        await settle()
        # The pipeline exists, but its media server has no place for another endpoint.
        media.creating.error = ResourcesExhausted(40009, "Too many threads", "NOT_ENOUGH_RESOURCES")
        await bob.say(View(stream=ada.stream(), sdp=OFFER, ref=8))
        await settle()
        assert (bob.last("error")["code"], bob.last("error")["ref"]) == ("media_full", 8)


async def test_if_the_first_endpoint_is_refused_the_broadcast_moves_to_another_media_server(
    autojump_clock: MockClock,
) -> None:
    async with house() as (directory, media):
        media.urls, media.full = ["ws://one", "ws://two"], {"ws://one"}
        ada, bob, eve = await people(directory, "Ada", "Bob", "Eve")
        await ada.say(publish(ref=1))
        await bob.say(publish(ref=2))
        await eve.say(View(stream=ada.stream(), sdp=OFFER, ref=3))
        await settle()
        assert [person.last("answer")["ref"] for person in (ada, bob, eve)] == [1, 2, 3]
        assert [pipeline.server_url for pipeline in media.pipelines] == ["ws://two"]
        # A stream that joins a running broadcast stays with its media server, even if that is full.
        media.full.add("ws://two")
        await bob.say(View(stream=ada.stream(), sdp=OFFER, ref=4))
        await settle()
        assert (bob.last("error")["code"], bob.last("error")["ref"]) == ("media_full", 4)
        assert [pipeline.server_url for pipeline in media.pipelines] == ["ws://two"]
        assert len(media.open) == 3


async def test_if_no_media_server_has_a_place_all_are_asked_and_the_presenter_is_told(
    autojump_clock: MockClock,
) -> None:
    async with house() as (directory, media):
        media.urls = ["ws://one", "ws://two"]
        media.full = set(media.urls)
        (ada,) = await people(directory, "Ada")
        await ada.say(publish(ref=1))
        await settle()
        assert (ada.last("error")["code"], ada.last("error")["ref"]) == ("media_full", 1)
        assert media.made == 3, "each once, and the first again, which is one too many"
        assert media.pipelines == []
        assert ada.sits_in.state == "waiting"


@pytest.mark.parametrize(
    "error",
    [
        RequestTimedOut("ws://10.0.0.7:8888/kurento", "invoke", 10),
        KurentoError(40101, "Object 'at ws://10.0.0.7' not found", "MEDIA_OBJECT_NOT_FOUND"),
        EventOverflow("of ws://10.0.0.7"),
    ],
    ids=["late", "gone", "overflow"],
)
@pytest.mark.parametrize("gate", ["creating", "answering", "gathering"])
async def test_an_internal_failure_is_told_to_the_log_but_not_to_a_browser(
    autojump_clock: MockClock, error: MediaServerError, gate: str
) -> None:
    async with house() as (directory, media):
        ada, bob = await people(directory, "Ada", "Bob")
        await ada.say(publish())
        await settle()
        getattr(media, gate).error = error
        with capture_logs() as logs:
            await bob.say(View(stream=ada.stream(), sdp=OFFER, ref=8))
            await settle()
            await bob.say(publish(ref=9))
            await settle()
        for message in (*bob.messages, *ada.messages):
            assert "10.0.0.7" not in str(message)
        told = {entry["event"]: entry["cause"] for entry in logs if "cause" in entry}
        assert told == {"view failed": str(error), "stream failed": str(error)}
        assert {entry["log_level"] for entry in logs if "cause" in entry} == {"warning"}


async def test_what_a_browser_made_fail_is_logged_once_and_is_no_warning(
    autojump_clock: MockClock,
) -> None:
    async with house() as (directory, _):
        (ada,) = await people(directory, "Ada")
        with capture_logs() as logs:
            await ada.say(publish())
            await trio.sleep(SMALL.connect_timeout + 1)
    (entry,) = [entry for entry in logs if entry["event"] == "stream failed"]
    assert entry["log_level"] == "info"
    assert "no media connection came up" in entry["why"]
    assert "cause" not in entry


INSIDE = [
    "cannot bind ws://10.0.0.7:8888/kurento",
    "Object '5e1c_kurento.MediaPipeline/77_kurento.WebRtcEndpoint' has no codec",
    "in session 0a1b2c3d-0000-4000-8000-0123456789ab",
    "no route to 10.0.0.7",
    "no route to fd00:10::7 from ::1",
    "/etc/kurento/modules/WebRtcEndpoint.conf.ini: no codec",
    "no answer from kms-7.internal:8888 for endpoint",
]


@pytest.mark.parametrize("words", INSIDE)
@pytest.mark.parametrize("how", ["invalid", "refused", "later"])
async def test_words_that_name_something_internal_do_not_reach_browsers(
    autojump_clock: MockClock, words: str, how: str
) -> None:
    async with house() as (directory, media):
        ada, bob = await people(directory, "Ada", "Bob")
        await ada.say(publish())
        await settle()
        if how == "later":
            media.open[0].happens(Error(error_code=6, description=words, type="STREAM_ERROR_CODEC_NOT_FOUND"))
        else:
            media.answering.error = (
                SdpInvalid(40201, words, "SDP_PARSE_ERROR")
                if how == "invalid"
                else OfferRefused(40205, words, "X")
            )
            await bob.say(publish(ref=7))
        await settle()
        assert "streamEnded" in str(bob.messages)
        for person in (ada, bob):
            assert words not in str(person.messages)


@pytest.mark.parametrize(
    "words",
    [
        "line 4 of the offer: 'c=IN IP4 192.0.2.9' is no address of ours",
        "no common video codec: the source sends video/H264, the viewer takes VP8",
        "a=fingerprint:sha-256 AB:CD:EF:01 is too short at 12:30:05",
        "rtpmap:96 VP8/90000 and rtpmap:111 opus/48000/2",
    ],
)
def test_words_about_the_offer_reach_the_browser(words: str) -> None:
    assert about_offer(words, "v=0\r\nc=IN IP4 192.0.2.9\r\na=fingerprint:sha-256 AB:CD:EF:01\r\n") == words


async def test_the_failure_of_an_earlier_leg_does_not_end_the_new_one(autojump_clock: MockClock) -> None:
    """The failure may wait in the room's inbox while its stream ends and another of the same name begins."""
    async with house() as (directory, media):
        ada, bob = await people(directory, "Ada", "Bob")
        room, name = ada.sits_in, ada.stream()

        async def present() -> None:
            await ada.say(publish())
            await bob.say(View(stream=name, sdp=OFFER))
            await settle()

        await present()
        stream, broadcast = room.streams[name], room.broadcast
        view = stream.views[bob.participant_id]
        assert broadcast is not None
        await ada.say(Unpublish(stream=name))
        await present()
        refusal = Refusal(ErrorCode.MEDIA_FAILED)
        for late in (StreamFailed(stream, refusal), ViewFailed(view, refusal), MediaLost(broadcast, "media_lost")):
            room.post_nowait(late)
        await settle()
        assert room.streams[name].generation == 2
        assert [*room.streams[name].views] == [bob.participant_id]
        assert [told["reason"] for told in bob.all("streamEnded")] == ["unpublished"]
        assert ada.all("error") == bob.all("error") == []
        assert len(media.open) == 2


@pytest.mark.parametrize("fails", ["stream", "view"])
async def test_a_leg_that_fails_after_its_answer_is_not_a_refused_offer(
    autojump_clock: MockClock, fails: str
) -> None:
    async with house() as (directory, media):
        ada, bob = await people(directory, "Ada", "Bob")
        await ada.say(publish(ref=1))
        await bob.say(View(stream=ada.stream(), sdp=OFFER, ref=2))
        await settle()
        media.open[fails == "view"].happens(dtls(DtlsConnectionState.FAILED))
        await settle()
        assert (ada.last("answer")["ref"], bob.last("answer")["ref"]) == (1, 2)
        assert ada.all("error") == bob.all("error") == []
        assert (ada.stream() in ada.sits_in.streams) == (fails == "view")
        assert len(media.open) == (fails == "view")


INNER_OFFER = (
    "v=0\r\nc=IN IP4 110.1.2.30\r\na=candidate:1 1 udp 1 ::1 9 typ host\r\na=mid:fd00:aa\r\n"
    "a=candidate:2 1 udp 1 10.9.8.70 5000 typ host\r\na=x:line 2 (c=IN IP4 110.1.2.30)\r\n"
)


@pytest.mark.parametrize(
    "words",
    [
        "no route to fd00:aa:bb::1",
        "no route to [fd00:aa::1]:8888",
        "no route to fe80::1%eth0, nor to ::2",
        "no route to fd00::",
        "no route to 10.1.2.3",
        "no route to 10.1.2.3:8888",
        "no route to 10.9.8.7…",
        "no route to 0x0a010203 or 167838211",
        "no answer from kms-7.internal:8888 for endpoint",
        "no answer from kms-7.internal.",
        "no answer from kms-7",
        "no answer from kms:8888",
        "line 2 (c=IN IP4 10.1.2.3): bad",
        "line 2 (c=IN IP4 110.1.2.30) is not 10.1.2.3",
        "line 2 (c=IN IP4 110.1.2.3.internal): bad",
        "line 2 (c=IN IP4 110.1.2.305): bad",
        "line 99 (c=IN IP4 10.1.2.3): bad",
        "mid:10.1.2.3 and a=mid:kms-7.internal",
        "user=kms-7.internal",
        "etc/kurento/modules and ./run/kms.sock",
        "C:\\kurento\\kms.exe",
        "0A1B2C3D-0000-4000-8000-0123456789AB",
        "0a1b2c3d000040008000c123456789ab",
    ],
)
def test_an_internal_name_is_told_only_if_it_is_a_whole_word_of_the_offer(words: str) -> None:
    assert about_offer(words, INNER_OFFER) is None


@pytest.mark.parametrize(
    "words",
    [
        "Invalid SDP: line 2 (c=IN IP4 110.1.2.30): the port is not a number",
        "line 3 (a=candidate:1 1 udp…) has no ICE credentials: a=ice-ufrag is missing",
        "line 5 (a=candidate:2 1 udp 1 10.9.8.7…): it is cut, as long lines are",
        "line 3 is not of the form x=value: 'a=candidate:1 1 udp 1 ::1 9'",
        "line 6 (a=x:line 2 (c=IN IP4 110.1.2.30)): nested",
        "candidate ::1 and 10.9.8.70, port 5000",
        "no m-line can be served: none of its codecs (H265) can be forwarded; this server forwards VP8 and AV1",
        "no common video codec: the source sends H264 (42e0, packetization mode 1), the viewer takes H265",
        "the source sends H264 (high 4:4:4, packetization mode 0)",
        "no common video codec: the source sends VP9 (profile 2), the viewer takes nothing",
        f"the peer's certificate (sha-256 {':'.join(['0A'] * 32)}) has none of the fingerprints",
        "the protocol must be one of RTP/AVP, UDP/TLS/RTP/SAVPF",
        "its hash function is not one of sha-224, sha-256, sha-384, sha-512",
        "more than 64 m-lines",
        "Endpoint isn't ready: SDP_PARSE_ERROR (40201)",
    ],
)
def test_words_that_name_nothing_internal_reach_the_browser(words: str) -> None:
    assert about_offer(words, INNER_OFFER) == words


def test_no_more_than_300_characters_are_passed_on() -> None:
    assert about_offer("x" * 300, "v=0") == "x" * 300
    assert about_offer("x" * 301, "v=0") == "x" * 299 + "…"
    assert about_offer("x" * 100_000, "v=0") == "x" * 299 + "…"


@pytest.mark.parametrize("inside", ["ws://kms:8888", "192.0.2.9", "f0e1_kurento.MediaPipeline", "/etc/kurento/x"])
@pytest.mark.parametrize("told", [1, 5, 8])
def test_no_part_of_an_internal_name_remains_where_the_words_are_cut(inside: str, told: int) -> None:
    assert about_offer("x" * (299 - told) + " " + inside + " and so on" * 100, "v=0") is None


@pytest.mark.parametrize("unit", ["x", "a-", "1.", ":", "fd00:", "A/", "a:mid:", "line 1 (a=", "a=x;"])
def test_the_time_to_check_words_is_linear_in_their_length(unit: str) -> None:
    def seconds(length: int) -> float:
        long = unit * length

        def one() -> float:
            began = time.process_time()
            about_offer(long, f"a={long}\r\n" + f"{long}\r\n")
            about_offer("10.1.2.3", long)
            return time.process_time() - began

        return min(one() for _ in range(5))

    assert seconds(10_000) < 20 * seconds(1_000)
