"""Given a directory of rooms, when rooms are looked up or closed, one or all, then who gets in where."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock

from roomfsm.protocol.errors import ErrorCode, Refusal
from roomfsm.rooms.events import Enter
from roomfsm.rooms.room import Room, RoomOver
from roomfsm.testing import Person
from tests.rooms.house import house, people, settle


async def test_a_room_is_found_in_any_spelling_of_its_name(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        (ada,) = await people(directory, "Ada")
        assert directory.find("BLUE") is directory.find("blue") is ada.sits_in
        assert directory.find("red") is None
        assert directory.rooms() == [ada.sits_in]


async def test_a_room_is_closed_by_its_name_and_the_others_stay(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        (ada,) = await people(directory, "Ada")
        (bob,) = await people(directory, "Bob", room="red")
        assert not await directory.close_room("green", "tea")
        assert await directory.close_room("BLUE", "tea")
        await settle()
        assert ada.last("closing")["reason"] == "tea"
        assert bob.all("closing") == []
        assert bob.sits_in.state == "waiting"


async def test_a_directory_that_closes_ends_its_rooms_and_opens_no_more(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        (ada,) = await people(directory, "Ada")
        await directory.close()
        assert ada.last("closing")["reason"] == "shutdown"
        assert len(directory) == 0
        with pytest.raises(Refusal) as refused:
            await Person(directory, "Zoe").join("blue")
        assert refused.value.code is ErrorCode.SERVER_CLOSING


async def test_one_who_finds_only_rooms_that_end_is_refused(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Room.request

    async def too_late(room: Room, event: Any) -> None:
        if isinstance(event, Enter):
            raise RoomOver(room.name)
        await request(room, event)

    async with house() as (directory, _):
        zoe = Person(directory, "Zoe")
        with monkeypatch.context() as patched:
            patched.setattr(Room, "request", too_late)
            with pytest.raises(Refusal) as refused:
                await zoe.join("blue")
        assert refused.value.code is ErrorCode.ROOM_CLOSED
        assert zoe.state == "connected"
        await zoe.join("blue")
