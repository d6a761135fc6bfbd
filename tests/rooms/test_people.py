"""Given people in a room, when they come, speak, go away and come back, then who is told what."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from roomfsm.protocol.client import Chat, Rename, View
from roomfsm.protocol.errors import ErrorCode, Refusal
from roomfsm.protocol.fields import Source
from tests.rooms.house import OFFER, SMALL, house, people, publish, settle
from tests.rooms.person import Person


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
