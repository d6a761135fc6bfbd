"""Given a stranger who takes as much as possible, everybody else is served, and everything kept stays bounded."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import msgspec
import pytest
import trio
from trio.testing import MockClock

from roomfsm.protocol.client import Chat, Rename, Unview, View
from roomfsm.protocol.errors import ErrorCode, Refusal
from roomfsm.rooms.allowance import Cost, Entries, Rates
from roomfsm.rooms.directory import Directory
from roomfsm.rooms.events import Ask, Depart
from roomfsm.rooms.settings import RoomSettings
from roomfsm.testing import Person
from tests.rooms.house import OFFER, SMALL, house, people, publish, settle

OWN = Rates(2.0, 1000.0, 5.0)
WIDE = RoomSettings(linger=30.0)


# Messages to everybody


async def test_of_many_renames_in_one_turn_the_others_hear_only_the_last(autojump_clock: MockClock) -> None:
    async with house(WIDE) as (directory, _):
        ada, bob, eve = await people(directory, "Ada", "Bob", "Eve")
        for number in range(50):
            ada.sits_in.post_nowait(Ask(ada.own_seat, Rename(name=f"Ada {number}", ref=number)))
        await settle()
        # She gets an answer to each, and none of them twice.
        assert [message["ref"] for message in ada.all("participantChanged")] == list(range(50))
        for other in (bob, eve):
            assert [message["participant"]["name"] for message in other.all("participantChanged")] == ["Ada 49"]


async def test_an_event_is_told_after_the_changes_that_came_before_it(autojump_clock: MockClock) -> None:
    async with house(WIDE) as (directory, _):
        ada, bob = await people(directory, "Ada", "Bob")
        ada.sits_in.post_nowait(Ask(ada.own_seat, Rename(name="Countess")))
        ada.sits_in.post_nowait(Ask(ada.own_seat, Chat(text="it is me")))
        await settle()
        assert [message["type"] for message in bob.messages[1:]] == ["participantChanged", "chat"]
        assert [message["type"] for message in ada.messages[3:]] == ["participantChanged", "chat"]


async def test_changes_beyond_the_rate_are_told_later_and_only_once(autojump_clock: MockClock) -> None:
    settings = replace(WIDE, room_changes_rate=2.0, told_seconds=5.0, room_told_rate=1000.0)
    async with house(settings) as (directory, _):
        ada, bob = await people(directory, "Ada", "Bob")
        for number in range(100):
            await ada.say(Rename(name=f"Ada {number}"))
            await settle()
        told = [message["participant"]["name"] for message in bob.all("participantChanged")]
        # The room's state was sent once before.
        assert told == [f"Ada {number}" for number in range(9)]
        await trio.sleep(0.6)
        assert bob.last("participantChanged")["participant"]["name"] == "Ada 99"
        assert len(bob.all("participantChanged")) == 10
        # A newcomer gets the present state.
        (eve,) = await people(directory, "Eve")
        assert eve.last("joined")["participants"][0]["name"] == "Ada 99"


async def test_no_change_of_a_person_is_told_after_that_person_left(autojump_clock: MockClock) -> None:
    async with house(replace(WIDE, room_changes_rate=0.1, told_seconds=20.0)) as (directory, _):
        ada, bob = await people(directory, "Ada", "Bob")
        for _ in range(5):
            await ada.say(Rename(name="Countess"))
            await settle()
        changes = len(bob.all("participantChanged"))
        await ada.leave()
        await trio.sleep(60)
        types = [message["type"] for message in bob.messages]
        left = types.index("participantLeft")
        # Bob is the moderator now.
        assert types[left:] == ["participantLeft", "participantChanged"]
        assert bob.last("participantChanged")["participant"]["role"] == "moderator"
        assert len(bob.all("participantChanged")) == changes + 1


async def test_too_many_messages_are_refused_unless_they_end_something(autojump_clock: MockClock) -> None:
    async with house(WIDE) as (directory, _):
        bob = Person(directory, "Bob")
        ada = Person(directory, "Ada", rates=OWN)
        await bob.join("blue")
        await ada.join("blue")
        await bob.say(publish())
        await settle()
        await ada.say(View(stream=bob.stream(), sdp=OFFER, ref=0))
        for number in range(1, 12):
            await ada.say(Chat(text=str(number), ref=number))
        await settle()
        # A view costs two messages, so eight of ten are left.
        assert [line["line"]["text"] for line in bob.all("chat")] == [str(number) for number in range(1, 9)]
        assert [(m["ref"], m["code"]) for m in ada.all("error")] == [(n, "rate_limited") for n in (9, 10, 11)]
        for message in (Rename(name="Countess", ref=20), publish(ref=21)):
            await ada.say(message)
        await ada.say(Unview(stream=bob.stream(), ref=22))
        await settle()
        assert [error["ref"] for error in ada.all("error")][3:] == [20, 21]
        assert ada.last("streamChanged")["ref"] == 22
        # Bob has an allowance of his own, and hers grows again.
        await bob.say(Chat(text="hello", ref=1))
        await trio.sleep(0.51)
        await ada.say(Chat(text="again", ref=30))
        await settle()
        assert [line["line"]["text"] for line in bob.all("chat")][-2:] == ["hello", "again"]


async def test_the_chat_history_has_a_bound_in_bytes(autojump_clock: MockClock) -> None:
    settings = replace(WIDE, chat_history=100, chat_history_bytes=1000)
    async with house(settings) as (directory, _):
        (ada,) = await people(directory, "Ada")
        for number in range(30):
            await ada.say(Chat(text=f"{number} " + '"' * 50))
        await settle()
        (bob,) = await people(directory, "Bob")
        lines = bob.last("joined")["chat"]
        assert len(msgspec.json.encode(lines)) <= 1000
        assert [line["seq"] for line in lines] == list(range(31 - len(lines), 31))
        assert len(lines) == 1000 // (len(msgspec.json.encode(lines[0])) + 1)
        # A line that is longer than the bound is not kept, and pushes out all others.
        await ada.say(Chat(text="x" * 4000))
        await settle()
        (eve,) = await people(directory, "Eve")
        assert eve.last("joined")["chat"] == []


# Entering and leaving


async def comes_and_goes(directory: Directory, times: int, address: str = "198.51.100.1") -> int:
    """Enter and leave, each time as another stranger. Returns how often the room admitted one."""
    entered = 0
    for _ in range(times):
        ghost = Person(directory, "Ghost", address=address)
        with suppress(Refusal):
            await ghost.join("blue")
            await ghost.leave()
            entered += 1
    return entered


async def test_a_person_who_enters_and_leaves_too_often_is_refused_and_others_get_in(
    autojump_clock: MockClock,
) -> None:
    settings = replace(WIDE, room_entries_rate=1.0, room_entries_burst=40)
    async with house(settings) as (directory, _):
        (ada,) = await people(directory, "Ada")
        assert await comes_and_goes(directory, 100) == 20
        assert len(ada.all("participantJoined")) == len(ada.all("participantLeft")) == 20
        ghost = Person(directory, "Ghost", address="198.51.100.1")
        with pytest.raises(Refusal) as refused:
            await ghost.join("blue")
        assert (refused.value.code, ghost.state) == (ErrorCode.RATE_LIMITED, "connected")
        # Another stranger and eight honest people try as well.
        assert await comes_and_goes(directory, 100, "198.51.100.2") == 10
        for number in range(8):
            await Person(directory, "Guest", address=f"192.0.2.{number + 2}").join("blue")
        # None of this counts against what people say.
        await ada.say(Chat(text="hello", ref=1))
        await settle()
        assert ada.last("chat")["ref"] == 1
        await trio.sleep(60)
        assert 0 < await comes_and_goes(directory, 100) <= 20


async def test_everybody_of_a_full_room_may_come_back_at_once_twice_from_one_address(
    autojump_clock: MockClock,
) -> None:
    settings = RoomSettings()
    async with house(settings) as (directory, _):
        for _ in range(2):
            crowd = [Person(directory, "Guest") for _ in range(settings.max_people)]
            async with trio.open_nursery() as nursery:
                for person in crowd:
                    nursery.start_soon(person.join, "blue")
            assert all(person.state == "joined" for person in crowd)
            await crowd[0].say(Chat(text="hello", ref=1))
            await settle()
            assert crowd[0].last("chat")["ref"] == 1
            for person in crowd:
                await person.leave()


async def test_people_of_many_addresses_may_go_on_entering_for_long(autojump_clock: MockClock) -> None:
    async with house(replace(WIDE, room_entries_rate=100.0, room_entries_burst=1000)) as (directory, _):
        for number in range(500):
            assert await comes_and_goes(directory, 1, f"192.0.{number // 250}.{number % 250}") == 1
            await trio.sleep(1)
        room = directory.find("blue")
        assert room is not None
        assert len(room._budgets.entries._addresses) <= 100


def test_an_address_that_entered_often_is_not_forgotten_until_its_meter_is_down() -> None:
    entries, cost = Entries(rate=10, burst=2500), Cost(messages=2)
    often = entries.voice_of("192.0.2.1", 0.0)
    while often.may(cost, 0.0, entries.share):
        often.use(cost, 0.0, entries.share)
    # Others come meanwhile, so that its meter runs down at only a part of the rate. Then so many come that idle
    # addresses are forgotten.
    for now in range(1, 261):
        for other in ("192.0.2.2", "192.0.2.3", "192.0.2.4"):
            voice = entries.voice_of(other, now)
            assert voice.may(cost, now, entries.share)
            voice.use(cost, now, entries.share)
    for number in range(200):
        entries.voice_of(f"198.51.100.{number}", 260.0)
    assert entries.voice_of("192.0.2.1", 260.0) is often
    assert entries.voice_of("192.0.2.1", 10_000.0) is often
    for number in range(1000):
        entries.voice_of(f"203.0.{number // 250}.{number % 250}", 10_000.0)
    assert entries.voice_of("192.0.2.1", 10_000.0) is not often


# Seats


async def test_in_a_full_room_the_person_who_is_away_longest_makes_way(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        ada, bob, eve = await people(directory, "Ada", "Bob", "Eve")
        for person in (bob, ada):
            await person.vanish()
            await settle()
            await trio.sleep(1)
        (zoe,) = await people(directory, "Zoe")
        assert (bob.state, bob.room, ada.state) == ("gone", None, "away")
        assert [person["name"] for person in zoe.last("joined")["participants"]] == ["Ada", "Eve", "Zoe"]
        assert [message["type"] for message in eve.messages[-2:]] == ["participantLeft", "participantJoined"]
        assert eve.last("participantLeft") == {
            "type": "participantLeft",
            "participant": bob.participant_id,
            "reason": "disconnected",
        }
        await people(directory, "Guy")
        with pytest.raises(Refusal) as refused:
            await people(directory, "One too many")
        assert refused.value.code is ErrorCode.ROOM_FULL


async def test_nobody_makes_way_while_the_room_has_a_free_place(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        ada, _ = await people(directory, "Ada", "Bob")
        await ada.vanish()
        await settle()
        await people(directory, "Eve")
        assert ada.state == "away"
        await ada.come_back()
        await settle()
        assert ada.last("joined")["resumed"] is True


async def test_the_many_seats_of_one_stranger_make_way_before_somebody_elses(
    autojump_clock: MockClock,
) -> None:
    async with house(replace(SMALL, max_people=5)) as (directory, _):
        honest = Person(directory, "Honest", address="192.0.2.1")
        stranger = [Person(directory, f"Ghost {number}", address="198.51.100.1") for number in range(3)]
        await people(directory, "Ada")
        for person in (honest, *stranger):
            await person.join("blue")
            await person.vanish()
            await settle()
        await people(directory, "Bob", "Eve")
        assert honest.state == "away"
        assert [ghost.state for ghost in stranger] == ["gone", "gone", "away"]


async def test_if_the_only_presenter_makes_way_the_broadcast_ends(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        ada, bob, _ = await people(directory, "Ada", "Bob", "Eve")
        await ada.say(publish())
        await settle()
        await bob.say(View(stream=ada.stream(), sdp=OFFER, ref=1))
        await settle()
        await ada.vanish()
        await settle()
        (zoe,) = await people(directory, "Zoe")
        await settle()
        assert zoe.last("joined")["state"] == zoe.last("roomState")["state"] == "waiting"
        assert (zoe.last("joined")["streams"], media.open) == ([], [])
        types = [message["type"] for message in bob.messages]
        # Bob is the moderator now.
        told = ["streamEnded", "participantLeft", "participantChanged", "participantJoined", "roomState"]
        assert types[-5:] == told


async def test_if_one_of_two_presenters_makes_way_the_broadcast_goes_on(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        ada, bob, _ = await people(directory, "Ada", "Bob", "Eve")
        await ada.say(publish())
        await bob.say(publish())
        await settle()
        await ada.vanish()
        await settle()
        (zoe,) = await people(directory, "Zoe")
        assert zoe.last("joined")["state"] == "broadcasting"
        assert [stream["id"] for stream in zoe.last("joined")["streams"]] == [bob.stream()]


# Rooms


async def test_the_room_that_has_been_empty_longest_makes_way(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        (ada,) = await people(directory, "Ada", room="first")
        for room in ("second", "third"):
            await trio.sleep(1)
            await ada.switch(room)
            await settle()
        assert sorted(room.name for room in directory.rooms()) == ["first", "second", "third"]
        await people(directory, "Bob", room="fourth")
        assert sorted(room.name for room in directory.rooms()) == ["fourth", "second", "third"]
        await people(directory, "Eve", room="fifth")
        with pytest.raises(Refusal) as refused:
            await people(directory, "Guy", room="sixth")
        assert refused.value.code is ErrorCode.SERVER_FULL


async def test_many_who_open_rooms_at_once_fill_the_server_exactly(autojump_clock: MockClock) -> None:
    async with house(replace(SMALL, max_rooms=5)) as (directory, _):
        (ada,) = await people(directory, "Ada", room="room 0")
        for number in range(1, 5):
            await ada.switch(f"room {number}")
            await settle()
        outcomes: list[str] = []

        async def come(number: int) -> None:
            try:
                await people(directory, "Guest", room=f"new {number}")
                outcomes.append("in")
            except Refusal as refusal:
                outcomes.append(refusal.code)

        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(come, number)
        assert sorted(outcomes) == ["in"] * 4 + ["server_full"] * 4
        assert len(directory) == 5


async def test_a_session_at_its_bound_of_rooms_loses_its_own_empty_ones_first(autojump_clock: MockClock) -> None:
    settings = replace(SMALL, max_rooms=1000, max_rooms_per_session=4)
    async with house(settings) as (directory, _):
        (honest,) = await people(directory, "Honest", room="lingers")
        await honest.leave()
        (stranger,) = await people(directory, "Stranger", room="room 0")
        for number in range(1, 100):
            await stranger.switch(f"room {number}")
            await settle()
        names = [room.name for room in directory.rooms()]
        assert names == ["lingers", "room 96", "room 97", "room 98", "room 99"]
        # With somebody else in each of them, none of them can end to make way.
        for room in names[1:4]:
            await people(directory, "Guest", room=room)
        with pytest.raises(Refusal) as refused:
            await stranger.switch("one too many")
        assert refused.value.code is ErrorCode.TOO_MANY_ROOMS
        assert stranger.sits_in.name == "room 99"


async def test_an_address_has_a_bound_of_open_rooms(autojump_clock: MockClock) -> None:
    settings = replace(SMALL, max_rooms=1000, max_rooms_per_address=3)
    async with house(settings) as (directory, _):
        for number in range(3):
            await Person(directory, address="198.51.100.1").join(f"room {number}")
        one_more = Person(directory, address="198.51.100.1")
        with pytest.raises(Refusal) as refused:
            await one_more.join("one too many")
        assert refused.value.code is ErrorCode.TOO_MANY_ROOMS
        # They may still enter an existing room, and another address has its own bound.
        await one_more.join("room 1")
        await Person(directory, address="192.0.2.1").join("elsewhere")


async def test_a_room_that_somebody_is_entering_does_not_make_way(autojump_clock: MockClock) -> None:
    async with house(replace(SMALL, max_rooms=1)) as (directory, _):
        (ada,) = await people(directory, "Ada", room="first")
        room = ada.sits_in
        # At the same moment the last person leaves, another enters, and a third one wants a new room.
        bob = Person(directory, "Bob")
        results: list[str] = []

        async def come(person: Person, name: str) -> None:
            try:
                await person.join(name)
                results.append(f"{person.name} in {person.sits_in.name}")
            except Refusal as refusal:
                results.append(f"{person.name}: {refusal.code}")

        async with trio.open_nursery() as nursery:
            room.post_nowait(Depart(ada.own_seat, "left"))
            nursery.start_soon(come, bob, "first")
            nursery.start_soon(come, Person(directory, "Eve"), "second")
        assert len(results) == 2
        assert len(directory) == 1
        assert sum(" in " in result for result in results) >= 1
