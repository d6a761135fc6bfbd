"""Given a room, tests what an administrator does to it from outside, and what its people are told."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from roomfsm.access.policy import Enter, Policies, Policy
from roomfsm.protocol.client import Ban, ClearChat, Kick, Lock, SetRole, Unban, Unlock
from roomfsm.protocol.errors import ErrorCode, IllegalInState, Refusal
from roomfsm.protocol.roles import Role
from roomfsm.rooms.directory import RoomExists
from roomfsm.rooms.events import Administer, Administering, SetPolicy
from roomfsm.rooms.room import Room, RoomOver
from roomfsm.testing import Person
from tests.rooms.house import SMALL, house, people, publish, settle


async def administers(room: Room, message: Administering) -> None:
    await room.request(Administer(message))


async def refusal_of(room: Room, message: Administering) -> ErrorCode:
    with pytest.raises(Refusal) as refused:
        await administers(room, message)
    return refused.value.code


def told(person: Person, type_: str) -> list[dict[str, Any]]:
    return [message for message in person.messages if message["type"] == type_]


async def test_a_person_is_put_out_and_told_so_and_may_come_back(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        ada, bob = await people(directory, "Ada", "Bob")
        await administers(ada.sits_in, Kick(participant=bob.participant_id))
        left = {"type": "participantLeft", "participant": bob.participant_id, "reason": "kicked"}
        assert told(ada, "participantLeft") == told(bob, "participantLeft") == [left]
        await bob.join("blue")


async def test_a_ban_holds_until_an_administrator_ends_it(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        ada, bob = await people(directory, "Ada", "Bob")
        room = ada.sits_in
        await administers(room, Ban(participant=bob.participant_id, seconds=60))
        with pytest.raises(Refusal) as refused:
            await bob.join("blue")
        assert refused.value.code is ErrorCode.BANNED
        await administers(room, Unban(participant=bob.participant_id))
        await bob.join("blue")
        assert await refusal_of(room, Unban(participant=bob.participant_id)) is ErrorCode.NOT_BANNED


async def test_a_presenter_who_becomes_a_viewer_loses_the_stream(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        ada, bob = await people(directory, "Ada", "Bob")
        await bob.say(publish())
        await settle()
        await administers(ada.sits_in, SetRole(participant=bob.participant_id, role=Role.VIEWER))
        assert [message["reason"] for message in told(ada, "streamEnded")] == ["moderator"]
        assert ada.sits_in.people[bob.participant_id].role is Role.VIEWER


async def test_nobody_is_found_who_is_not_there(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        (ada,) = await people(directory, "Ada")
        for message in (Kick(participant="x"), Ban(participant="x"), SetRole(participant="x", role=Role.VIEWER)):
            assert await refusal_of(ada.sits_in, message) is ErrorCode.NO_SUCH_PARTICIPANT


async def test_the_lock_and_the_chat_are_told_to_all(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        (ada,) = await people(directory, "Ada")
        for message in (Lock(), Unlock(), ClearChat()):
            await administers(ada.sits_in, message)
        assert [message["locked"] for message in told(ada, "roomChanged")] == [True, False]
        assert len(told(ada, "chatCleared")) == 1


async def test_a_closing_room_takes_no_orders(autojump_clock: MockClock) -> None:
    async with house(dataclasses.replace(SMALL, closing_notice=5.0)) as (directory, _):
        (ada,) = await people(directory, "Ada")
        room = ada.sits_in
        await directory.close_room("blue", "tea")
        with pytest.raises(IllegalInState) as refused:
            await administers(room, Lock())
        assert (refused.value.machine, refused.value.state) == ("room", "closing")
        await trio.sleep(6)
        with pytest.raises((RoomOver, Refusal)):
            await administers(room, Lock())


async def test_a_created_room_has_its_own_policy_until_it_ends(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        directory.policies = Policies([("*", Policy(role=Role.VIEWER))])
        room = await directory.create("Board", Policy(linger=100.0, max_people=1, locked=True))
        assert (directory.policy_of("board"), room.settings.max_people) == (room.policy, 1)
        ada = Person(directory, "Ada")
        with pytest.raises(Refusal) as refused:
            await ada.join("board")
        assert refused.value.code is ErrorCode.LOCKED
        with pytest.raises(RoomExists, match="Board"):
            await directory.create("BOARD")
        # Policies that are read again do not replace it.
        directory.policies = Policies()
        assert directory.policy_of("board").locked
        await trio.sleep(99)
        assert directory.find("board") is room
        await trio.sleep(2)
        assert directory.find("board") is None
        assert not directory.policy_of("board").locked


async def test_another_policy_holds_for_whoever_comes_next(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        ada, _bob = await people(directory, "Ada", "Bob")
        room = ada.sits_in
        await administers(room, SetPolicy(Policy(max_people=2, locked=True)))
        assert told(ada, "roomChanged")[-1]["locked"] is True
        eve = Person(directory, "Eve")
        for code in (ErrorCode.LOCKED, ErrorCode.ROOM_FULL):
            with pytest.raises(Refusal) as refused:
                await eve.join("blue")
            assert refused.value.code is code
            await administers(room, SetPolicy(Policy(max_people=2)))
        await administers(room, SetPolicy(Policy()))
        await eve.join("blue")
        # Nobody was put out by a policy that would not have let them in.
        assert len(room.people) == 3


async def test_an_empty_room_waits_anew_after_another_policy(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        room = await directory.create("board")
        await trio.sleep(SMALL.linger - 1)
        await administers(room, SetPolicy(Policy(linger=100.0)))
        await trio.sleep(99)
        assert directory.find("board") is room
        await trio.sleep(2)
        assert directory.find("board") is None


async def test_the_place_of_a_created_room_is_not_given_away(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        for name in ("one", "two", "three"):
            await directory.create(name)
        with pytest.raises(Refusal) as refused:
            await directory.create("four")
        assert refused.value.code is ErrorCode.SERVER_FULL
        with pytest.raises(Refusal) as refused:
            await Person(directory, "Ada").join("four")
        assert refused.value.code is ErrorCode.SERVER_FULL
        assert len(directory) == 3


async def test_the_journal_says_what_an_administrator_did_but_no_secret(autojump_clock: MockClock) -> None:
    secret = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2g"
    async with house() as (directory, _):
        room = await directory.create("board", Policy(enter=Enter.PASSWORD, password_hash=secret))
        await administers(room, SetPolicy(room.policy))
        lines = room.journal.lines()
        assert secret.encode() not in lines
        steps = [json.loads(line) for line in lines.splitlines()[1:]]
        (step,) = [step for step in steps if step["machine"] == "administrator"]
        assert (step["trigger"], step["message"]["policy"]["maxPeople"]) == ("configureRoom", SMALL.max_people)


async def test_the_first_person_does_not_moderate_if_the_policy_says_so(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        room = await directory.create("board", Policy(first_moderates=False))
        ada = Person(directory, "Ada")
        await ada.join("board")
        assert room.people[ada.participant_id].role is Role.PRESENTER
