"""Given people in rooms, when they act or the media server fails, then who is told what, and what is held."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from roomfsm.kurento.candidates import IceCandidate
from roomfsm.kurento.errors import KurentoError, MediaServerUnavailable, OfferRefused, SdpInvalid
from roomfsm.kurento.events import (
    DtlsConnectionState,
    DtlsConnectionStateChange,
    Error,
    IceCandidateFound,
    MediaFlowInStateChanged,
    MediaFlowOutStateChanged,
    MediaFlowState,
    MediaState,
    MediaStateChanged,
    MediaType,
    SessionResumed,
)
from roomfsm.protocol.client import Candidate, Chat, Publish, Rename, Unpublish, Unview, View
from roomfsm.protocol.errors import ErrorCode, IllegalInState, Refusal
from roomfsm.protocol.fields import Source
from roomfsm.rooms.directory import Directory, open_directory
from roomfsm.rooms.events import Expire
from roomfsm.rooms.room import Room
from roomfsm.rooms.settings import RoomSettings
from tests.rooms.media import Media
from tests.rooms.person import Person

settle = wait_all_tasks_blocked
SMALL = RoomSettings(
    max_rooms=3, max_people=3, max_presenters=2, max_views=2, chat_history=3, candidate_buffer=3, linger=30
)
OFFER = "v=0\r\na=ice-ufrag:u1\r\n"


@asynccontextmanager
async def house(settings: RoomSettings = SMALL) -> AsyncIterator[tuple[Directory, Media]]:
    media = Media()
    async with open_directory(media.pool, settings) as directory:
        yield directory, media
    assert media.open == []
    assert media.pipelines == []


async def people(directory: Directory, *names: str, room: str = "blue") -> list[Person]:
    persons = [Person(directory, name) for name in names]
    for person in persons:
        await person.join(room)
    return persons


def publish(source: Source = Source.CAMERA, ref: int = 1, sdp: str = OFFER) -> Publish:
    return Publish(source=source, sdp=sdp, ref=ref)


def flow_out(state: MediaFlowState) -> MediaFlowOutStateChanged:
    return MediaFlowOutStateChanged(media_type=MediaType.VIDEO, state=state)


def flow_in(state: MediaFlowState) -> MediaFlowInStateChanged:
    return MediaFlowInStateChanged(media_type=MediaType.VIDEO, state=state)


def dtls(state: DtlsConnectionState) -> DtlsConnectionStateChange:
    return DtlsConnectionStateChange(stream_id="0", component_id="1", state=state)


async def test_a_newcomer_gets_the_room_as_it_is_and_the_others_get_news(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        ada = Person(directory, "Ada")
        await ada.join("blue", ref=5)
        await ada.say(Chat(text="hello"))
        await settle()
        bob = Person(directory, "Bob")
        await bob.join("BLUE")
        joined = bob.last("joined")
        assert (joined["room"], joined["state"], joined["you"]) == ("blue", "waiting", bob.participant_id)
        assert [person["name"] for person in joined["participants"]] == ["Ada", "Bob"]
        assert [line["text"] for line in joined["chat"]] == ["hello"]
        assert ada.last("joined")["ref"] == 5
        assert ada.last("participantJoined")["participant"]["name"] == "Bob"
        assert bob.all("participantJoined") == []


async def test_a_reply_repeats_the_ref_and_the_news_does_not(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        ada, bob = await people(directory, "Ada", "Bob")
        await ada.say(Chat(text="hi", ref=3))
        await ada.say(Rename(name="Lady A", ref=4))
        await settle()
        assert ada.last("chat")["ref"] == 3
        assert "ref" not in bob.last("chat")
        assert ada.last("participantChanged")["ref"] == 4
        assert bob.last("participantChanged")["participant"]["name"] == "Lady A"
        await ada.leave(ref=5)
        assert ada.last("participantLeft") == {
            "type": "participantLeft",
            "participant": ada.participant_id,
            "reason": "left",
            "ref": 5,
        }
        assert ada.state == "connected"
        assert "ref" not in bob.last("participantLeft")


async def test_chat_history_is_bounded(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        (ada,) = await people(directory, "Ada")
        for number in range(SMALL.chat_history + 1):
            await ada.say(Chat(text=str(number)))
        await settle()
        (bob,) = await people(directory, "Bob")
        assert [(line["seq"], line["text"]) for line in bob.last("joined")["chat"]] == [
            (2, "1"),
            (3, "2"),
            (4, "3"),
        ]


async def test_bounds_of_people_rooms_presenters_and_views(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        ada, bob, eve = await people(directory, "Ada", "Bob", "Eve")
        with pytest.raises(Refusal) as refused:
            await people(directory, "Zoe")
        assert refused.value.code is ErrorCode.ROOM_FULL

        for person in (ada, bob):
            for source in Source:
                await person.say(publish(source))
        await eve.say(publish(ref=9))
        await settle()
        assert eve.last("error")["code"] == "too_many_presenters"
        for number, stream in enumerate((ada.stream(), ada.stream("screen"), bob.stream())):
            await eve.say(View(stream=stream, sdp=OFFER, ref=number))
        await settle()
        assert [answer["ref"] for answer in eve.all("answer")] == [0, 1]
        assert (eve.last("error")["code"], eve.last("error")["ref"]) == ("too_many_views", 2)

        await people(directory, "Guy", room="red")
        await people(directory, "Guy", room="green")
        with pytest.raises(Refusal) as refused:
            await people(directory, "Guy", room="one-too-many")
        assert refused.value.code is ErrorCode.SERVER_FULL


async def test_an_empty_room_lingers_and_then_ends(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        (ada,) = await people(directory, "Ada")
        room = ada.sits_in
        await ada.leave()
        assert room.state == "empty"
        await trio.sleep(SMALL.linger - 1)
        await ada.join("blue")
        assert ada.sits_in is room
        await trio.sleep(SMALL.linger + 1)
        assert room.state == "waiting"
        await ada.leave()
        await trio.sleep(SMALL.linger + 1)
        assert len(directory) == 0
        await ada.join("blue")
        assert ada.sits_in is not room


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


async def test_a_view_is_connected_answered_and_ended(autojump_clock: MockClock) -> None:
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
        sink.happens(flow_in(MediaFlowState.FLOWING))
        await settle()
        assert "keyframe" in sink.calls
        assert bob.views() == ["live"]
        await bob.say(Unview(stream=ada.stream(), ref=3))
        await settle()
        assert (bob.last("streamChanged")["view"], bob.last("streamChanged")["ref"]) == ("ended", 3)
        assert media.open == [source]


async def test_everybody_is_told_how_many_watch(autojump_clock: MockClock) -> None:
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


async def test_a_view_may_come_before_the_stream_has_its_endpoint(autojump_clock: MockClock) -> None:
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


async def test_flow_is_asked_again_when_events_may_be_missing(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        ada, bob = await people(directory, "Ada", "Bob")
        await ada.say(publish())
        await bob.say(View(stream=ada.stream(), sdp=OFFER))
        await settle()
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


async def test_candidates_wait_for_their_endpoint_and_go_in_order(autojump_clock: MockClock) -> None:
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


async def test_the_media_servers_candidates_reach_the_browser_they_are_for(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        ada, bob = await people(directory, "Ada", "Bob")
        await ada.say(publish())
        await settle()
        found = IceCandidate(candidate="candidate:1", sdp_mid="0", sdp_m_line_index=0)
        media.open[0].happens(IceCandidateFound(candidate=found))
        await settle()
        assert ada.last("candidate")["stream"] == ada.stream()
        assert bob.all("candidate") == []


async def test_who_leaves_during_an_answer_gets_none_and_holds_nothing(autojump_clock: MockClock) -> None:
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


async def test_a_bad_offer_is_answered_and_harms_nobody(autojump_clock: MockClock) -> None:
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


async def test_a_viewer_that_cannot_decode_the_stream_is_told_so_in_words(autojump_clock: MockClock) -> None:
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
async def test_a_presenter_whose_media_end_takes_the_views_along(autojump_clock: MockClock, event: Any) -> None:
    async with house() as (directory, media):
        ada, bob = await people(directory, "Ada", "Bob")
        await ada.say(publish())
        await bob.say(View(stream=ada.stream(), sdp=OFFER))
        await settle()
        media.open[0].happens(event)
        await settle()
        assert media.open == []
        assert bob.last("streamEnded")["reason"] == "failed"
        assert ada.sits_in.state == "waiting"


async def test_a_viewer_whose_media_end_is_told_and_the_stream_goes_on(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        ada, bob = await people(directory, "Ada", "Bob")
        await ada.say(publish())
        await bob.say(View(stream=ada.stream(), sdp=OFFER))
        await settle()
        media.open[1].happens(dtls(DtlsConnectionState.CLOSED))
        await settle()
        assert (len(media.open), bob.views()) == (1, ["ended"])
        await bob.say(View(stream=ada.stream(), sdp=OFFER, ref=5))
        await settle()
        assert bob.last("answer")["ref"] == 5


async def test_a_browser_that_never_connects_is_given_up(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        (ada,) = await people(directory, "Ada")
        await ada.say(publish())
        await trio.sleep(SMALL.connect_timeout - 1)
        assert len(media.open) == 1
        await trio.sleep(2)
        assert media.open == []
        assert ada.last("streamEnded")["reason"] == "failed"


async def test_a_lost_media_server_ends_the_broadcast_and_the_next_one_works(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        ada, bob = await people(directory, "Ada", "Bob")
        await ada.say(publish())
        await bob.say(View(stream=ada.stream(), sdp=OFFER))
        await settle()
        media.pipelines[0].lost.set()
        await settle()
        assert bob.last("streamEnded")["reason"] == "media_lost"
        assert ada.last("roomState")["state"] == "waiting"
        assert (media.open, media.pipelines) == ([], [])
        await ada.say(publish(ref=6))
        await settle()
        assert ada.last("answer")["ref"] == 6


async def test_without_a_media_server_who_publishes_is_told(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        (ada,) = await people(directory, "Ada")
        media.creating.error = MediaServerUnavailable("none is ready")
        await ada.say(publish(ref=6))
        await settle()
        assert (ada.last("error")["code"], ada.last("error")["ref"]) == ("media_unavailable", 6)
        assert ada.last("streamEnded")["reason"] == "media_unavailable"
        assert ada.sits_in.state == "waiting"


async def test_a_pipeline_that_cannot_be_made_is_told_too(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        (ada,) = await people(directory, "Ada")
        media.creating.error = KurentoError(40009, "too many threads", "NOT_ENOUGH_RESOURCES")
        await ada.say(publish(ref=6))
        await settle()
        assert ada.last("error")["ref"] == 6
        assert ada.sits_in.state == "waiting"


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
async def test_what_makes_no_sense_is_refused_with_its_code(
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


async def test_only_its_presenter_ends_a_stream(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        ada, bob = await people(directory, "Ada", "Bob")
        await ada.say(publish())
        await bob.say(Unpublish(stream=ada.stream(), ref=4))
        await settle()
        assert bob.last("error")["code"] == "not_your_stream"
        assert len(media.open) == 1


async def closing_room(directory: Directory, media: Media, ada: Person) -> Room:
    """Ada's room, closing, and kept so by a media server that does not let go."""
    await ada.say(publish())
    await settle()
    media.releasing.shut()
    room = ada.sits_in
    async with trio.open_nursery() as nursery:
        nursery.start_soon(directory.close_rooms, "drain")
        await settle()
        nursery.cancel_scope.cancel()
    return room


async def test_a_closing_room_refuses_all_but_leave_and_says_so(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        ada, bob = await people(directory, "Ada", "Bob")
        room = await closing_room(directory, media, ada)
        assert bob.last("closing") == {"type": "closing", "scope": "room", "reason": "drain"}
        await bob.say(Chat(text="anyone?", ref=8))
        await settle()
        error = bob.last("error")
        assert (error["code"], error["machine"], error["state"]) == ("illegal_in_state", "room", "closing")
        assert error["allowed"] == ["leave", "ping"]
        zoe = Person(directory, "Zoe")
        with pytest.raises(IllegalInState) as refused:
            await zoe.join("blue")
        assert (refused.value.state, refused.value.allowed) == ("closing", ("join", "ping", "resume"))
        await bob.leave()
        assert bob.state == "connected"
        media.releasing.open()
        await settle()
        assert (ada.state, room.people, len(directory)) == ("connected", {}, 0)
        await zoe.join("blue")


async def test_a_closing_room_stays_for_its_notice(autojump_clock: MockClock) -> None:
    async with house(replace(SMALL, closing_notice=1.5)) as (directory, _):
        (ada,) = await people(directory, "Ada")
        began = trio.current_time()
        await directory.close_rooms("drain")
        assert trio.current_time() - began == pytest.approx(1.5)
        assert (ada.state, ada.room) == ("connected", None)


async def test_a_closing_room_ends_by_its_deadline(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        (ada,) = await people(directory, "Ada")
        await closing_room(directory, media, ada)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(directory.close_rooms, "drain")
        assert trio.current_time() - began <= SMALL.closing_deadline
        assert ada.state == "connected"
        # Whoever comes next gets a new room, even while the old one's release hangs.
        await ada.join("blue")
        assert (ada.sits_in.state, len(media.open)) == ("waiting", 1)
        media.releasing.open()


async def test_a_room_that_fails_ends_alone_and_can_be_opened_again(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house() as (directory, media):
        ada, bob = await people(directory, "Ada", "Bob")
        (zoe,) = await people(directory, "Zoe", room="red")
        await ada.say(publish())
        await settle()

        def fault(*args: object) -> None:
            raise RuntimeError("a fault of ours")

        monkeypatch.setattr("roomfsm.rooms.chat.ChatHistory.add", fault)
        await ada.say(Chat(text="boom"))
        await settle()
        monkeypatch.undo()
        assert bob.last("closing")["reason"] == "room_failed"
        assert (ada.state, bob.state, media.open) == ("connected", "connected", [])
        await zoe.say(Chat(text="still here"))
        await settle()
        assert zoe.last("chat")["line"]["text"] == "still here"
        await bob.join("blue")
        assert bob.last("joined")["chat"] == []


async def test_who_is_away_stays_and_who_is_back_gets_the_room_anew(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        ada, bob = await people(directory, "Ada", "Bob")
        await ada.say(publish())
        await settle()
        await ada.vanish()
        await settle()
        assert bob.last("participantChanged")["participant"] == {
            "id": ada.participant_id,
            "name": "Ada",
            "away": True,
        }
        assert len(media.open) == 1
        await ada.come_back()
        await settle()
        assert ada.last("joined")["resumed"] is True
        assert [stream["id"] for stream in ada.last("joined")["streams"]] == [ada.stream()]
        assert "away" not in bob.last("participantChanged")["participant"]


async def test_nobody_waits_for_ever_on_a_room_that_ended(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        (ada,) = await people(directory, "Ada")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(directory.close_rooms, "drain")
            with trio.fail_after(5):
                zoe = Person(directory, "Zoe")
                await zoe.join("blue")
        assert ada.state == "connected"
        assert zoe.state == "joined" or zoe.room is None


async def test_one_who_comes_as_an_empty_room_ends_gets_it_anew(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        (ada,) = await people(directory, "Ada")
        before = ada.sits_in
        await ada.leave()
        zoe = Person(directory, "Zoe")
        # Side by side in the inbox: the room ends before it comes to the second.
        before._to_inbox.send_nowait(Expire())
        await zoe.join("blue")
        assert zoe.sits_in is not before
        assert zoe.last("joined")["state"] == "waiting"
