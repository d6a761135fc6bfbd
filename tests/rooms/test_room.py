"""Given a room, when it becomes empty, is closed or fails, then it ends like this, and newcomers get a new one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from roomfsm.protocol.client import Chat, Unpublish
from roomfsm.protocol.errors import IllegalInState
from roomfsm.rooms.directory import Directory
from roomfsm.rooms.events import Ask, Away, Back, Close, Expire
from roomfsm.rooms.room import Room, RoomOver
from roomfsm.testing import FakeMedia, Person
from tests.rooms.house import SMALL, house, people, presenter_and_viewer, publish, settle


async def test_an_empty_room_stays_for_the_linger_time_and_then_ends(autojump_clock: MockClock) -> None:
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


async def test_a_room_that_is_empty_again_stays_for_the_whole_linger_time(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        (ada,) = await people(directory, "Ada")
        room = ada.sits_in
        for _ in range(2):
            await ada.leave()
            await trio.sleep(SMALL.linger - 1)
            await ada.join("blue")
            assert ada.sits_in is room


async def closing_room(directory: Directory, media: FakeMedia, ada: Person) -> Room:
    """Ada's room, which stays in closing because a media server does not release its pipeline."""
    await ada.say(publish())
    await settle()
    media.releasing.shut()
    room = ada.sits_in
    async with trio.open_nursery() as nursery:
        nursery.start_soon(directory.close_rooms, "drain")
        await settle()
        nursery.cancel_scope.cancel()
    return room


async def test_a_closing_room_refuses_everything_but_leave_and_says_so(autojump_clock: MockClock) -> None:
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


async def test_a_closing_room_keeps_its_people_while_the_notice_lasts(autojump_clock: MockClock) -> None:
    async with house(replace(SMALL, closing_notice=1.5)) as (directory, _):
        (ada,) = await people(directory, "Ada")
        began = trio.current_time()
        await directory.close_rooms("drain")
        assert trio.current_time() - began == pytest.approx(1.5)
        assert (ada.state, ada.room) == ("connected", None)
        # Nobody is told that it is closed now, because its people know already that it closes.
        assert [told["state"] for told in ada.all("roomState")] == ["waiting", "closing"]


async def test_a_closing_room_ends_when_its_deadline_is_over(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        (ada,) = await people(directory, "Ada")
        await closing_room(directory, media, ada)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(directory.close_rooms, "drain")
        assert trio.current_time() - began <= SMALL.closing_deadline
        assert ada.state == "connected"
        # The next person gets a new room, even while the release of the old one hangs.
        await ada.join("blue")
        assert (ada.sits_in.state, len(media.open)) == ("waiting", 1)
        media.releasing.open()


async def test_a_room_that_fails_ends_alone_and_a_new_one_can_be_opened(
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


async def test_nobody_waits_forever_for_a_room_that_has_ended(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        (ada,) = await people(directory, "Ada")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(directory.close_rooms, "drain")
            # The wait is no longer than the closing may take. The mock clock does not depend on the load.
            with trio.fail_after(SMALL.closing_deadline + 1):
                zoe = Person(directory, "Zoe")
                await zoe.join("blue")
        assert ada.state == "connected"
        assert zoe.state == "joined" or zoe.room is None


async def test_a_person_who_enters_as_an_empty_room_ends_gets_a_new_room(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        (ada,) = await people(directory, "Ada")
        before = ada.sits_in
        await ada.leave()
        zoe = Person(directory, "Zoe")
        # Both are in the inbox, and the room ends before it handles the second.
        before._to_inbox.send_nowait(Expire(before._linger))
        await zoe.join("blue")
        assert zoe.sits_in is not before
        assert zoe.last("joined")["state"] == "waiting"


async def test_a_linger_time_that_was_over_too_late_ends_nothing(autojump_clock: MockClock) -> None:
    """Somebody came in that moment, and has left again: the room lingers anew. Or the room is closing."""
    async with house() as (directory, _):
        (ada,) = await people(directory, "Ada")
        room = ada.sits_in
        await ada.leave()
        earlier = room._linger
        await ada.join("blue")
        await ada.leave()
        room._to_inbox.send_nowait(Expire(earlier))
        await settle()
        assert directory.rooms() == [room]
        room._to_inbox.send_nowait(Close("enough"))
        room._to_inbox.send_nowait(Expire(room._linger))
        await settle()
        assert room.over
        assert [entry for entry in room.journal.since(0) if entry.trigger == "expire"] == []


async def test_a_room_that_has_ended_takes_nothing_more(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        (ada,) = await people(directory, "Ada")
        seat, room = ada.own_seat, ada.sits_in
        await directory.close_rooms("drain")
        with pytest.raises(RoomOver):
            await room.post(Ask(seat, Chat(text="hello")))
        with pytest.raises(RoomOver):
            room.post_nowait(Away(seat))
        with pytest.raises(RoomOver):
            await room.request(Back(seat, None))


async def test_a_message_that_comes_after_its_sender_has_left_is_answered(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        ada, bob = await people(directory, "Ada", "Bob")
        seat, room = ada.own_seat, ada.sits_in
        await ada.leave()
        await room.post(Ask(seat, Chat(text="late", ref=7)))
        await settle()
        error = ada.last("error")
        assert (error["code"], error["ref"]) == ("room_closed", 7)
        assert bob.all("chat") == []


async def test_a_room_names_the_media_server_that_holds_its_broadcast(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        (ada,) = await people(directory, "Ada")
        room = ada.sits_in
        told = [room.media_server]
        for message in (publish(), Unpublish(stream=ada.stream())):
            await ada.say(message)
            await settle()
            told.append(room.media_server)
        assert told == [None, "ws://memory", None]


async def test_when_a_room_closes_its_streams_end_for_everybody(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        ada, bob = await presenter_and_viewer(directory)
        room = ada.sits_in
        await directory.close_room("blue", "tea")
        await settle()
        for person in (ada, bob):
            ended = person.last("streamEnded")
            assert (ended["stream"], ended["reason"]) == (ada.stream(), "tea")
        assert room.streams == {}
