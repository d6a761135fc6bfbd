"""Given people in a room, when they enter, speak, go away and come back, then these people are told of it."""

from __future__ import annotations

import time

import pytest
from trio.testing import MockClock

from roomfsm.lifecycle.legality import allowed
from roomfsm.protocol.client import Chat, Rename, Unpublish, View
from roomfsm.protocol.codec import Outgoing
from roomfsm.protocol.errors import ErrorCode, Refusal
from roomfsm.protocol.fields import Ref, Source
from roomfsm.protocol.server import Pong, RoomState
from roomfsm.rooms.allowance import UNBOUNDED, Voice
from roomfsm.rooms.effects import Effects
from roomfsm.rooms.participant import Participant, Seat
from roomfsm.rooms.room import Room
from roomfsm.testing import FakeSession, Person
from tests.rooms.house import OFFER, SMALL, house, people, publish, settle


async def test_a_newcomer_gets_a_description_of_the_room_and_the_others_get_news(
    autojump_clock: MockClock,
) -> None:
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


async def test_the_reply_repeats_the_ref_but_the_news_do_not(autojump_clock: MockClock) -> None:
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


def _marked(person: Person) -> dict[str, bool]:
    """Each person whom this one knows, and whether the name is marked, according to the messages that it got."""
    marks: dict[str, bool] = {}
    for message in person.messages:
        match message["type"]:
            case "joined":
                marks = {one["id"]: one.get("lookalike", False) for one in message["participants"]}
            case "participantJoined" | "participantChanged":
                marks[message["participant"]["id"]] = message["participant"].get("lookalike", False)
            case "participantLeft":
                marks.pop(message["participant"], None)
    return marks


async def test_a_name_that_looks_like_the_name_of_somebody_present_is_marked(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        ada, other = await people(directory, "Ada", "\u0410d\u0430")
        assert _marked(ada) == _marked(other) == {ada.participant_id: False, other.participant_id: True}
        await other.say(Rename(name="Bob"))
        await settle()
        assert not any(_marked(ada).values())
        await other.say(Rename(name="ADA"))
        await settle()
        assert _marked(ada)[other.participant_id]


async def test_when_the_first_of_a_name_leaves_the_next_one_loses_the_mark(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        first, second, third = await people(directory, "Guest", "Guest", "Guest")
        assert [_marked(third)[one.participant_id] for one in (first, second, third)] == [False, True, True]
        await first.say(Rename(name="Ada"))
        await settle()
        assert [_marked(third)[one.participant_id] for one in (first, second, third)] == [False, False, True]
        await second.leave()
        assert _marked(first) == {first.participant_id: False, third.participant_id: False}


async def test_a_person_who_respells_the_own_name_is_not_marked(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        (ada,) = await people(directory, "Ada")
        await ada.say(Rename(name="ada"))
        await settle()
        assert _marked(ada) == {ada.participant_id: False}


async def test_only_a_person_who_leaves_is_told_of_leaving(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        ada, bob, zoe = await people(directory, "Ada", "Bob", "Zoe")
        await bob.switch("red")
        await settle()
        await zoe.vanish()
        await zoe.leave("disconnected")
        left = [(told["participant"], told["reason"]) for told in ada.all("participantLeft")]
        assert left == [(bob.participant_id, "switched"), (zoe.participant_id, "disconnected")]
        assert bob.all("participantLeft") == []
        assert zoe.participant_id not in [told["participant"] for told in zoe.all("participantLeft")]


async def test_the_chat_history_has_a_bound(autojump_clock: MockClock) -> None:
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


async def test_people_rooms_presenters_and_views_have_bounds(autojump_clock: MockClock) -> None:
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


async def test_a_person_who_is_away_keeps_the_seat_and_gets_the_room_again_when_back(
    autojump_clock: MockClock,
) -> None:
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
            "role": "moderator",
        }
        assert len(media.open) == 1
        await ada.come_back()
        await settle()
        assert ada.last("joined")["resumed"] is True
        assert [stream["id"] for stream in ada.last("joined")["streams"]] == [ada.stream()]
        assert "away" not in bob.last("participantChanged")["participant"]


async def test_a_person_who_switches_hears_nothing_of_the_old_room_after_the_new_one(
    autojump_clock: MockClock,
) -> None:
    class Listener(Person):
        def hear(self, outgoing: Outgoing) -> None:
            super().hear(outgoing)
            if self.last("joined")["room"] == "blue" and self.sits_in.name == "red":
                # The new room has described itself, but this person's task has not run since.
                self.sits_in.people[self.participant_id].send(
                    RoomState(state="waiting", participants=9, streams=0)
                )

    async with house() as (directory, _):
        bob = Listener(directory, "Bob")
        await bob.join("red")
        await bob.switch("blue")
        await settle()
        assert [told["participants"] for told in bob.all("roomState")] == [1, 1]
        # A person who is refused hears the old room as before.
        with pytest.raises(Refusal):
            await bob.switch("blue")
        await bob.say(Chat(text="still heard"))
        await settle()
        assert bob.last("chat")["line"]["text"] == "still heard"


async def test_a_room_that_fails_as_somebody_enters_does_not_cost_the_old_seat(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe = Effects._describe_room_to
    failed: list[str] = []

    def fails_once(effects: Effects, participant: Participant, ref: Ref | None, resumed: bool = False) -> None:
        if not failed:
            failed.append(participant.id)
            raise RuntimeError("a fault of ours")
        describe(effects, participant, ref, resumed)

    monkeypatch.setattr(Effects, "_describe_room_to", fails_once)
    async with house() as (directory, _):
        bob = Person(directory, "Bob")
        await bob.join("blue")
        await settle()
        assert failed == [bob.participant_id]
        assert (bob.state, bob.own_seat.taken_away) == ("joined", False)
        room = bob.sits_in
        await bob.leave()
        assert room.people == {}


async def test_one_who_is_coming_back_is_told_what_is_legal_then(autojump_clock: MockClock) -> None:
    """A message that was sent before the loss is refused while the session is resuming."""
    async with house() as (directory, _):
        (ada,) = await people(directory, "Ada")
        ada.fire("lost")
        ada.fire("reattach")
        await ada.say(Unpublish(stream=ada.stream(), ref=9))
        await settle()
        refused = ada.last("error")
        assert (refused["ref"], refused["machine"], refused["state"]) == (9, "room", "waiting")
        assert tuple(refused["allowed"]) == allowed("joined", "waiting")
        assert "publish" in refused["allowed"]
        assert "unpublish" not in refused["allowed"]


async def test_chat_has_the_time_in_milliseconds_since_1970(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        (ada,) = await people(directory, "Ada")
        before = time.time_ns() // 1_000_000
        await ada.say(Chat(text="now"))
        await settle()
        assert before <= ada.last("chat")["line"]["at"] <= time.time_ns() // 1_000_000


async def test_sessions_are_counted_in_the_journal_as_long_as_they_are_in_the_room(
    autojump_clock: MockClock,
) -> None:
    async with house() as (directory, _):
        ada, bob = await people(directory, "Ada", "Bob")
        sessions = ada.sits_in.journal.tallies["session"]
        for person in (ada, bob):
            await person.vanish()
            await person.come_back()
        assert sessions.present() == {"joined": 2}
        await bob.leave()
        assert sessions.present() == {"joined": 1}


def test_a_seat_hears_replies_from_the_first_and_news_from_when_its_room_describes_itself() -> None:
    heard: list[Outgoing] = []

    class Listener(FakeSession):
        def hear(self, outgoing: Outgoing) -> None:
            heard.append(outgoing)

    sitter = Listener("p1", Voice("p1", "192.0.2.1", UNBOUNDED))
    news, reply = Outgoing(RoomState(state="waiting", participants=1, streams=0)), Outgoing(Pong(), is_reply=True)
    before: Seat[Room] = Seat(sitter)
    before.begin_to_hear()
    seat: Seat[Room] = Seat(sitter, before)
    for told in (news, reply):
        seat.tell(told)
    assert heard == [reply]
    before.tell(news)
    seat.begin_to_hear()
    before.tell(news)
    seat.tell(news)
    assert heard == [reply, news, news]
    seat.take_away()
    seat.tell(news)
    assert heard == [reply, news, news]
