"""Given people in a room, when they publish and view, then these people are told and these endpoints exist."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from roomfsm.kurento.candidates import IceCandidate
from roomfsm.kurento.errors import KeyframeRefused, KurentoError, MediaServerError, RequestTimedOut
from roomfsm.kurento.events import (
    DtlsConnectionState,
    EndpointEvent,
    IceCandidateFound,
    MediaFlowInStateChanged,
    MediaFlowState,
    MediaPausedState,
    MediaPausedStateChanged,
    MediaType,
    SessionResumed,
)
from roomfsm.protocol.client import Candidate, Unpublish, Unview, View
from roomfsm.protocol.fields import Source
from roomfsm.testing import Person
from roomfsm.testing.media import FakeEndpoint
from tests.rooms.house import (
    OFFER,
    SMALL,
    dtls,
    flow_in,
    flow_out,
    house,
    people,
    presenter_and_viewer,
    publish,
    settle,
)


async def test_the_pipeline_lives_from_the_first_stream_to_the_last(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        ada, bob = await people(directory, "Ada", "Bob")
        assert media.pipelines == []
        await ada.say(publish(ref=11))
        await bob.say(publish(Source.SCREEN))
        await settle()
        (pipeline,) = media.pipelines
        assert pipeline.tags["room"] == "blue"
        assert ada.last("answer") == {
            "type": "answer",
            "stream": ada.stream(),
            "sdp": f"answer to {OFFER}",
            "ref": 11,
        }
        assert bob.all("streamStarted")[0]["stream"]["state"] == "negotiating"
        await ada.say(Unpublish(stream=ada.stream(), ref=12))
        await settle()
        assert ada.last("streamEnded") == {
            "type": "streamEnded",
            "stream": ada.stream(),
            "reason": "unpublished",
            "ref": 12,
        }
        assert (len(media.open), media.pipelines) == (1, [pipeline])
        await bob.leave()
        await settle()
        assert (media.open, media.pipelines) == ([], [])
        assert ada.last("streamEnded")["reason"] == "left"
        assert ada.sits_in.state == "waiting"
        await ada.say(publish())
        await settle()
        assert media.pipelines != [pipeline]
        assert ada.last("streamStarted")["stream"]["generation"] == 2


async def test_a_view_gets_its_answer_and_ends_with_unview(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        ada, bob = await people(directory, "Ada", "Bob")
        await ada.say(publish())
        await bob.say(View(stream=ada.stream(), sdp=OFFER, ref=2))
        await settle()
        source, sink = media.open
        assert "connect 1" in source.calls
        assert bob.last("answer")["ref"] == 2
        assert ada.last("streamChanged")["stream"]["viewers"] == 1
        sink.happens(dtls(DtlsConnectionState.CONNECTED))
        await settle()
        assert "keyframe" not in sink.calls
        sink.happens(flow_in(MediaFlowState.FLOWING))
        await settle()
        assert "keyframe" in sink.calls
        assert bob.views() == ["live"]
        await bob.say(Unview(stream=ada.stream(), ref=3))
        await settle()
        assert (bob.last("streamChanged")["view"], bob.last("streamChanged")["ref"]) == ("ended", 3)
        assert media.open == [source]


@pytest.mark.parametrize(
    "error",
    [
        KeyframeRefused(40111, "must be requested from a subscriber element", "…_OPERATION_NOT_SUPPORTED"),
        KurentoError(40101, "Object 'ws://inside' not found", "MEDIA_OBJECT_NOT_FOUND"),
        RequestTimedOut("ws://inside", "invoke", 10),
    ],
    ids=["refused", "gone", "late"],
)
async def test_a_keyframe_request_that_is_refused_does_not_end_the_view(
    autojump_clock: MockClock, error: MediaServerError
) -> None:
    async with house() as (directory, media):
        _, bob = await presenter_and_viewer(directory)
        sink = media.open[1]
        sink.keyframes.error = error
        sink.happens(dtls(DtlsConnectionState.CONNECTED))
        sink.happens(flow_in(MediaFlowState.FLOWING))
        await settle()
        assert sink.calls.count("keyframe") == 1
        assert bob.views() == ["live"]
        assert bob.all("error") == []


async def test_each_time_video_begins_to_flow_one_keyframe_is_asked_for(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        await presenter_and_viewer(directory)
        sink = media.open[1]

        async def keyframes(*events: EndpointEvent) -> int:
            for event in events:
                sink.happens(event)
            await settle()
            return sink.calls.count("keyframe")

        # Video flows before the browser is connected. The keyframe is asked for when the browser can receive it.
        assert await keyframes(flow_in(MediaFlowState.FLOWING)) == 0
        connected = dtls(DtlsConnectionState.CONNECTED)
        assert await keyframes(connected, connected, flow_in(MediaFlowState.FLOWING)) == 1
        assert await keyframes(flow_in(MediaFlowState.NOT_FLOWING)) == 1
        assert await keyframes(flow_in(MediaFlowState.FLOWING)) == 2
        sink.flowing.add(MediaType.VIDEO)
        assert await keyframes(SessionResumed()) == 2


async def test_audio_alone_needs_no_keyframe(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        _, bob = await presenter_and_viewer(directory)
        sink = media.open[1]
        sink.happens(dtls(DtlsConnectionState.CONNECTED))
        sink.happens(MediaFlowInStateChanged(media_type=MediaType.AUDIO, state=MediaFlowState.FLOWING))
        await settle()
        assert "keyframe" not in sink.calls
        assert bob.views() == ["live"]


async def test_everybody_is_told_the_number_of_viewers(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        ada, bob, eve = await people(directory, "Ada", "Bob", "Eve")
        await ada.say(publish())
        for viewer in (bob, eve):
            await viewer.say(View(stream=ada.stream(), sdp=OFFER))
        await settle()
        assert ada.last("streamChanged")["stream"]["viewers"] == 2
        await bob.say(Unview(stream=ada.stream(), ref=9))
        await settle()
        assert ada.last("streamChanged")["stream"]["viewers"] == 1
        assert [m["ref"] for m in bob.all("streamChanged") if "ref" in m] == [9]
        await eve.leave()
        assert ada.last("streamChanged")["stream"]["viewers"] == 0


async def test_a_view_may_be_asked_for_before_the_stream_has_its_endpoint(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        ada, bob = await people(directory, "Ada", "Bob")
        media.creating.shut()
        await ada.say(publish())
        await bob.say(View(stream=ada.stream(), sdp=OFFER, ref=2))
        await settle()
        assert media.open == []
        media.creating.open()
        await settle()
        assert bob.last("answer")["ref"] == 2


async def test_a_stream_is_live_when_media_flow_and_stalls_when_they_stop(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        ada, bob = await people(directory, "Ada", "Bob")
        await ada.say(publish())
        await settle()
        (endpoint,) = media.open
        endpoint.happens(dtls(DtlsConnectionState.CONNECTED))
        await settle()
        assert bob.all("streamChanged") == []
        for state in (MediaFlowState.FLOWING, MediaFlowState.NOT_FLOWING, MediaFlowState.FLOWING):
            endpoint.happens(flow_out(state))
        await settle()
        assert [news["stream"]["state"] for news in bob.all("streamChanged")] == ["live", "stalled", "live"]


async def test_the_flow_is_asked_for_again_if_events_may_be_missing(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        ada, bob = await presenter_and_viewer(directory)
        for endpoint in media.open:
            endpoint.flowing = {MediaType.AUDIO}
            endpoint.happens(SessionResumed())
        await settle()
        assert ada.last("streamChanged")["stream"]["state"] == "live"
        assert bob.views()[-1] == "live"
        media.open[1].flowing.clear()
        media.open[1].happens(SessionResumed())
        await settle()
        assert bob.views()[-1] == "stalled"


async def test_a_viewer_is_told_when_its_path_becomes_too_slow_and_good_again(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        ada, bob = await presenter_and_viewer(directory)
        told = len(ada.all("streamChanged"))
        endpoint = media.open[1]
        endpoint.happens(flow_in(MediaFlowState.FLOWING))
        for state in (MediaPausedState.PAUSED, MediaPausedState.NOT_PAUSED, MediaPausedState.PAUSED):
            endpoint.happens(MediaPausedStateChanged(media_type=MediaType.VIDEO, state=state))
        endpoint.happens(flow_in(MediaFlowState.NOT_FLOWING))
        await settle()
        views = [(news["view"], news.get("reason")) for news in bob.all("streamChanged") if "view" in news]
        assert views == [("live", None), ("limited", "slow_path"), ("live", None), ("limited", "slow_path")]
        assert len(ada.all("streamChanged")) == told
        # A person who was away is told again, and events that may be missing are asked for.
        await bob.vanish()
        await bob.come_back()
        await settle()
        assert bob.last("streamChanged")["reason"] == "slow_path"
        assert bob.views() == ["live", "limited", "live", "limited", "limited"]
        endpoint.flowing = {MediaType.VIDEO}
        endpoint.happens(SessionResumed())
        await settle()
        assert bob.views()[-1] == "live"
        endpoint.paused = {MediaType.VIDEO}
        endpoint.happens(SessionResumed())
        await settle()
        assert bob.views()[-1] == "limited"


@pytest.mark.parametrize("resumed", [False, True])
async def test_a_path_that_becomes_good_after_the_media_stopped_is_told_as_stalled(
    resumed: bool, autojump_clock: MockClock
) -> None:
    async with house() as (directory, media):
        _, bob = await presenter_and_viewer(directory)
        endpoint = media.open[1]
        endpoint.connects()
        endpoint.happens(flow_in(MediaFlowState.FLOWING))
        endpoint.pauses(True)
        endpoint.happens(flow_in(MediaFlowState.NOT_FLOWING))
        await settle()
        assert bob.views() == ["live", "limited"]
        endpoint.happens(SessionResumed()) if resumed else endpoint.pauses(False)
        await settle()
        assert bob.views() == ["live", "limited", "stalled"]
        endpoint.happens(flow_in(MediaFlowState.FLOWING))
        await settle()
        assert bob.views() == ["live", "limited", "stalled", "live"]


async def test_when_the_media_server_is_asked_the_viewer_hears_no_state_that_never_was(
    autojump_clock: MockClock,
) -> None:
    async with house() as (directory, media):
        _, bob = await presenter_and_viewer(directory)
        endpoint = media.open[1]
        endpoint.connects()
        endpoint.happens(flow_in(MediaFlowState.FLOWING))
        for paused, flowing in ((True, False), (False, True), (True, False), (False, False)):
            endpoint.paused = {MediaType.VIDEO} if paused else set()
            endpoint.flowing = {MediaType.VIDEO} if flowing else set()
            endpoint.happens(SessionResumed())
            await settle()
        assert bob.views() == ["live", "limited", "live", "limited", "stalled"]


@pytest.mark.parametrize("flowing", [False, True])
async def test_whether_a_browser_is_connected_is_asked_if_the_event_may_be_missing(
    flowing: bool, autojump_clock: MockClock
) -> None:
    async with house() as (directory, media):
        _, bob = await presenter_and_viewer(directory)
        for endpoint in media.open:
            endpoint.connected = True
            endpoint.flowing = {MediaType.AUDIO} if flowing else set()
            endpoint.happens(SessionResumed())
        await trio.sleep(SMALL.connect_timeout + 1)
        assert len(media.open) == 2
        assert bob.views() == (["live"] if flowing else [])


async def test_candidates_wait_for_their_endpoint_and_keep_their_order(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        (ada,) = await people(directory, "Ada")
        media.gathering.shut()
        await ada.say(publish())
        for number in range(SMALL.candidate_buffer + 1):
            await ada.say(
                Candidate(stream=ada.stream(), candidate=f"c{number}", username_fragment="u1", ref=number)
            )
        await ada.say(Candidate(stream=ada.stream(), candidate="stale", username_fragment="u0"))
        await ada.say(Candidate(stream=ada.stream(), candidate="1 1 udp 1 x.local 9 typ host"))
        await ada.say(Candidate(stream=ada.stream(), candidate=""))
        await settle()
        assert (ada.last("error")["code"], ada.last("error")["ref"]) == ("too_many_candidates", 3)
        assert len(ada.all("error")) == 1
        refused = [entry for entry in ada.sits_in.journal.since(0) if entry.refused is not None]
        assert [(entry.machine, entry.trigger, entry.who) for entry in refused] == [
            ("stream", "candidate", ada.participant_id)
        ]
        media.gathering.open()
        await settle()
        await ada.say(Candidate(stream=ada.stream(), candidate="late"))
        await settle()
        assert media.open[0].calls == [
            f"offer {OFFER}",
            "gather",
            "candidate c0",
            "candidate c1",
            "candidate c2",
            "candidate late",
        ]


async def test_a_candidate_that_names_no_m_line_is_of_the_first(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    got: list[IceCandidate] = []

    async def take(_: FakeEndpoint, candidate: IceCandidate) -> None:
        got.append(candidate)

    monkeypatch.setattr(FakeEndpoint, "add_ice_candidate", take)
    async with house() as (directory, _):
        (ada,) = await people(directory, "Ada")
        await ada.say(publish())
        which: tuple[dict[str, Any], ...] = ({}, {"sdp_m_line_index": 1}, {"sdp_mid": "video"})
        for names in which:
            await ada.say(Candidate(stream=ada.stream(), candidate="c", **names))
        await settle()
    assert [(candidate.sdp_mid, candidate.sdp_m_line_index) for candidate in got] == [
        ("0", 0),
        ("1", 1),
        ("video", 0),
    ]


async def test_the_media_servers_candidates_reach_the_right_browser(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        ada, bob = await people(directory, "Ada", "Bob")
        await ada.say(publish())
        await settle()
        found = IceCandidate(candidate="candidate:1", sdp_mid="0", sdp_m_line_index=0)
        media.open[0].happens(IceCandidateFound(candidate=found))
        await settle()
        media.open[0].happens(IceCandidateFound(candidate=found))
        await settle()
        assert [message["stream"] for message in ada.all("candidate")] == [ada.stream()]
        assert bob.all("candidate") == []


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (lambda ada: publish(ref=1), "already_publishing"),
        (lambda ada: View(stream=ada.stream(), sdp=OFFER, ref=1), "own_stream"),
        (lambda ada: View(stream="p0.camera", sdp=OFFER, ref=1), "no_such_stream"),
        (lambda ada: Unview(stream=ada.stream(), ref=1), "not_viewing"),
        (lambda ada: Unpublish(stream="p0.camera", ref=1), "no_such_stream"),
        (lambda ada: Candidate(stream="p0.camera", candidate="c", ref=1), "no_such_stream"),
    ],
)
async def test_a_request_that_makes_no_sense_is_refused_with_its_code(
    autojump_clock: MockClock, ask: Callable[[Person], Any], code: str
) -> None:
    async with house() as (directory, media):
        (ada,) = await people(directory, "Ada")
        await ada.say(publish(ref=0))
        await settle()
        await ada.say(ask(ada))
        await settle()
        assert (ada.last("error")["code"], ada.last("error")["ref"]) == (code, 1)
        assert len(media.open) == 1


async def test_only_its_presenter_can_end_a_stream(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        ada, bob = await people(directory, "Ada", "Bob")
        await ada.say(publish())
        await bob.say(Unpublish(stream=ada.stream(), ref=4))
        await settle()
        assert bob.last("error")["code"] == "not_your_stream"
        assert len(media.open) == 1
