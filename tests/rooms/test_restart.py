"""Given a stream and a view, when a browser restarts its connection, then the same endpoint answers its offer."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from roomfsm.kurento.errors import AlreadyNegotiated, ObjectGone, RequestTimedOut
from roomfsm.lifecycle.room import RoomEffect
from roomfsm.protocol.client import Candidate, Restart, Unpublish, Unview, View
from roomfsm.protocol.errors import ErrorCode
from roomfsm.rooms.events import MediaLost
from tests.rooms.house import OFFER, SMALL, house, people, presenter_and_viewer, publish, settle

AGAIN = "v=0\r\na=ice-ufrag:u2\r\n"
REFUSED = AlreadyNegotiated(
    AlreadyNegotiated.CODE, "Endpoint already negotiated", "SDP_END_POINT_ALREADY_NEGOTIATED"
)


async def test_a_restart_is_answered_by_the_same_endpoint_and_nobody_else_hears_of_it(
    autojump_clock: MockClock,
) -> None:
    async with house() as (directory, media):
        ada, bob = await presenter_and_viewer(directory)
        for endpoint in media.endpoints:
            endpoint.connects()
            endpoint.flows(True)
        await settle()
        heard = len(ada.messages), len(bob.messages)
        await ada.say(Restart(stream=ada.stream(), sdp=AGAIN, ref="a"))
        await bob.say(Restart(stream=ada.stream(), sdp=AGAIN, ref="b"))
        await settle()
        for person, before, ref in ((ada, heard[0], "a"), (bob, heard[1], "b")):
            (answer,) = person.messages[before:]
            assert (answer["type"], answer["ref"], answer["sdp"]) == ("answer", ref, f"answer to {AGAIN}")
        assert len(media.endpoints) == 2
        assert [person.last("streamChanged")["stream"]["state"] for person in (ada, bob)] == ["live", "live"]


async def test_the_candidates_of_the_new_offer_are_passed_on_and_those_of_the_old_one_dropped(
    autojump_clock: MockClock,
) -> None:
    async with house() as (directory, media):
        ada, _ = await presenter_and_viewer(directory)
        await ada.say(Restart(stream=ada.stream(), sdp=AGAIN))
        for ufrag in ("u1", "u2"):
            await ada.say(Candidate(stream=ada.stream(), candidate=f"c-{ufrag}", username_fragment=ufrag))
        await settle()
        assert [call for call in media.endpoints[0].calls if call.startswith("candidate")] == ["candidate c-u2"]


async def test_a_media_server_that_cannot_restart_leaves_the_stream_as_it_is(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        ada, _ = await presenter_and_viewer(directory)
        endpoint = media.endpoints[0]
        endpoint.connects()
        endpoint.flows(True)
        await settle()
        for fault in (REFUSED, RequestTimedOut("ws://memory", "invoke", 10.0)):
            endpoint.answering.error = fault
            await ada.say(Restart(stream=ada.stream(), sdp=AGAIN, ref=8))
            await settle()
            error = ada.last("error")
            assert (error["code"], error["message"], error["ref"]) == ("restart_refused", "restart", 8)
            assert error["stream"] == ada.stream()
            ada.messages.clear()
        endpoint.answering.error = None
        await ada.say(Restart(stream=ada.stream(), sdp=AGAIN, ref=9))
        await settle()
        assert ada.last("answer")["ref"] == 9
        assert not ada.all("streamEnded")


async def test_a_restart_at_an_endpoint_that_is_gone_ends_the_stream(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        ada, bob = await presenter_and_viewer(directory)
        media.endpoints[0].answering.error = ObjectGone(ObjectGone.CODE, "not found")
        await ada.say(Restart(stream=ada.stream(), sdp=AGAIN, ref=8))
        await settle()
        assert ada.last("error")["ref"] == 8
        assert bob.last("streamEnded")["reason"] == "failed"


async def test_before_the_first_answer_there_is_nothing_to_restart(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        media.answering.shut()
        (ada,) = await people(directory, "Ada")
        await ada.say(publish())
        await ada.say(Restart(stream=ada.stream(), sdp=AGAIN, ref=5))
        await settle()
        error = ada.last("error")
        assert (error["code"], error["machine"], error["state"]) == ("illegal_in_state", "stream", "negotiating")
        media.answering.open()
        await settle()
        assert ada.last("answer")["ref"] == 1


async def test_restarts_are_answered_in_turn_up_to_a_bound(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        ada, _ = await presenter_and_viewer(directory)
        media.answering.shut()
        ada.messages.clear()
        for ref in range(6):
            await ada.say(Restart(stream=ada.stream(), sdp=f"{AGAIN}{ref}", ref=ref))
        await settle()
        assert [(error["code"], error["ref"]) for error in ada.all("error")] == [
            ("rate_limited", 4),
            ("rate_limited", 5),
        ]
        media.answering.open()
        await settle()
        assert [answer["ref"] for answer in ada.all("answer")] == [0, 1, 2, 3]


async def test_each_stream_and_each_view_may_be_restarted_so_often_and_no_more(autojump_clock: MockClock) -> None:
    settings = replace(SMALL, restart_burst=2, restart_rate=0.5)
    async with house(settings) as (directory, media):
        ada, bob = await presenter_and_viewer(directory)
        for person in (ada, bob):
            person.messages.clear()
            for ref in range(4):
                await person.say(Restart(stream=ada.stream(), sdp=f"{AGAIN}{ref}", ref=ref))
                await settle()
            assert [answer["ref"] for answer in person.all("answer")] == [0, 1]
            assert [(error["code"], error["ref"]) for error in person.all("error")] == [
                ("rate_limited", 2),
                ("rate_limited", 3),
            ]
        # What is refused never comes to the media server, and one more is due after two seconds.
        asked = [
            call for endpoint in media.endpoints for call in endpoint.calls if "2" in call.partition(AGAIN)[2]
        ]
        assert not asked
        await trio.sleep(2)
        for ref in (4, 5):
            await bob.say(Restart(stream=ada.stream(), sdp=f"{AGAIN}{ref}", ref=ref))
            await settle()
        assert bob.last("answer")["ref"] == 4
        assert (bob.last("error")["code"], bob.last("error")["ref"]) == ("rate_limited", 5)


async def test_after_a_refused_restart_the_candidates_of_the_answered_offer_are_passed_on(
    autojump_clock: MockClock,
) -> None:
    async with house() as (directory, media):
        ada, _ = await presenter_and_viewer(directory)
        endpoint = media.endpoints[0]
        await ada.say(Restart(stream=ada.stream(), sdp=AGAIN))
        await settle()
        endpoint.answering.error = REFUSED
        await ada.say(Restart(stream=ada.stream(), sdp=AGAIN.replace("u2", "u3")))
        await settle()
        for ufrag in ("u2", "u3"):
            await ada.say(Candidate(stream=ada.stream(), candidate=f"c-{ufrag}", username_fragment=ufrag))
        await settle()
        assert [call for call in endpoint.calls if call.startswith("candidate")] == ["candidate c-u2"]


@pytest.mark.parametrize(
    ("reason", "code"),
    [("media_lost", ErrorCode.MEDIA_UNAVAILABLE), (ErrorCode.MEDIA_FULL, ErrorCode.MEDIA_FULL)],
)
async def test_a_restart_that_waits_when_media_are_lost_gets_a_code_of_the_table(
    autojump_clock: MockClock, reason: str, code: ErrorCode
) -> None:
    assert code in RoomEffect.RESTART_CONNECTION.may_fail
    async with house() as (directory, media):
        ada, bob = await presenter_and_viewer(directory)
        media.answering.shut()
        for person in (ada, bob):
            await person.say(Restart(stream=ada.stream(), sdp=AGAIN, ref=8))
        await settle()
        room = ada.sits_in
        assert room.broadcast is not None
        room.post_nowait(MediaLost(room.broadcast, reason))
        await settle()
        for person in (ada, bob):
            assert (person.last("error")["code"], person.last("error")["ref"]) == (code, 8)


async def test_who_waits_for_a_restart_hears_that_the_stream_or_view_has_ended(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        ada, bob = await presenter_and_viewer(directory)
        media.answering.shut()
        for person in (ada, bob):
            person.messages.clear()
            await person.say(Restart(stream=ada.stream(), sdp=AGAIN, ref="again"))
        await settle()
        await bob.say(Unview(stream=ada.stream(), ref=2))
        await settle()
        await bob.say(View(stream=ada.stream(), sdp=OFFER, ref=3))
        await ada.say(Unpublish(stream=ada.stream(), ref=2))
        await settle()
        for person in (ada, bob):
            error = person.all("error")[0]
            assert (error["code"], error["ref"]) == ("ended", "again")
        media.answering.open()
        await trio.sleep(1)
        assert not ada.all("answer")
        assert not bob.all("answer")
