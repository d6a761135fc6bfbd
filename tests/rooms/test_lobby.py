"""Given a room with a lobby, when people knock, then a moderator decides, and nobody else learns of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from roomfsm.access.credentials import Credentials
from roomfsm.access.policy import Enter, Policies, Policy
from roomfsm.protocol.client import Admit, Ban, Chat, Configure, Deny, Kick, Lock, SetRole
from roomfsm.protocol.errors import ErrorCode, Refusal
from roomfsm.protocol.roles import Role
from roomfsm.rooms.directory import Directory, open_directory
from roomfsm.rooms.events import Administer
from roomfsm.rooms.settings import RoomSettings
from roomfsm.testing import FakeMedia, Person
from tests.rooms.house import SMALL, people, publish, settle

WIDE = replace(SMALL, max_people=9)


@asynccontextmanager
async def lobby(settings: RoomSettings = WIDE, *, first_moderates: bool = True) -> AsyncIterator[Directory]:
    policies = Policies(default=Policy(lobby=True, first_moderates=first_moderates))
    async with open_directory(FakeMedia().pool, settings, policies=policies) as directory:
        yield directory


async def knock(directory: Directory, *names: str) -> list[Person]:
    waiting = [Person(directory, name) for name in names]
    for number, person in enumerate(waiting, 1):
        await person.join("blue", ref=number)
        assert person.state == "knocking"
    return waiting


def in_lobby(moderator: Person) -> list[str]:
    """The names of those who wait, as the moderator was told last."""
    return [one["name"] for one in moderator.last("lobby")["waiting"]]


async def test_the_first_enters_and_others_wait_until_they_are_admitted(autojump_clock: MockClock) -> None:
    async with lobby() as directory:
        (ada,) = await people(directory, "Ada")
        assert ada.last("joined")["lobby"] is True
        bob, cyd = await knock(directory, "Bob", "Cyd")
        assert bob.messages == [{"type": "knocking", "room": "blue", "key": "blue"}]
        assert in_lobby(ada) == ["Bob", "Cyd"]
        assert list(ada.sits_in.people) == [ada.participant_id]
        await ada.say(Admit(participant=bob.participant_id, ref=7))
        await settle()
        assert (bob.state, cyd.state) == ("joined", "knocking")
        assert bob.last("joined")["ref"] == 1
        assert ada.last("participantJoined")["participant"]["name"] == "Bob"
        assert (in_lobby(ada), ada.last("lobby")["ref"]) == (["Cyd"], 7)
        # Only moderators learn who waits.
        assert bob.all("lobby") == []
        await bob.say(publish())
        await settle()
        assert bob.sits_in.state == "broadcasting"
        assert [message["type"] for message in cyd.messages] == ["knocking"]


async def test_everybody_is_admitted_at_once_as_far_as_there_are_places(autojump_clock: MockClock) -> None:
    async with lobby(replace(WIDE, max_people=3)) as directory:
        (ada,) = await people(directory, "Ada")
        bob, cyd, dan = await knock(directory, "Bob", "Cyd", "Dan")
        await ada.say(Admit(ref=1))
        await settle()
        assert [person.state for person in (bob, cyd, dan)] == ["joined", "joined", "knocking"]
        await ada.say(Admit(participant=dan.participant_id, ref=2))
        await settle()
        assert (ada.last("error")["code"], ada.last("error")["ref"]) == ("room_full", 2)
        await bob.leave()
        await ada.say(Admit(participant=dan.participant_id, ref=3))
        await settle()
        assert dan.state == "joined"


async def test_one_who_is_denied_is_told_and_may_knock_again(autojump_clock: MockClock) -> None:
    async with lobby() as directory:
        (ada,) = await people(directory, "Ada")
        bob, cyd = await knock(directory, "Bob", "Cyd")
        await ada.say(Deny(participant=bob.participant_id, ref=5))
        await settle()
        assert bob.state == "connected"
        assert (bob.last("error")["code"], bob.last("error")["ref"]) == ("denied", 1)
        assert (in_lobby(ada), ada.last("lobby")["ref"]) == (["Cyd"], 5)
        await bob.join("blue", ref=9)
        assert bob.state == "knocking"
        await ada.say(Deny())
        await settle()
        assert (bob.state, cyd.state, in_lobby(ada)) == ("connected", "connected", [])


async def test_one_who_waits_can_leave_or_vanish(autojump_clock: MockClock) -> None:
    async with lobby() as directory:
        (ada,) = await people(directory, "Ada")
        bob, cyd = await knock(directory, "Bob", "Cyd")
        await bob.leave(ref=4)
        await settle()
        error, left = bob.messages[-2:]
        assert (error["code"], error["ref"]) == ("ended", 1)
        assert left == {"type": "participantLeft", "participant": bob.participant_id, "reason": "left", "ref": 4}
        assert in_lobby(ada) == ["Cyd"]
        await cyd.vanish()
        await settle()
        assert (in_lobby(ada), cyd.state) == ([], "gone")


@pytest.mark.parametrize("role", [Role.VIEWER, Role.PRESENTER])
async def test_only_moderators_decide(autojump_clock: MockClock, role: Role) -> None:
    async with lobby() as directory:
        (ada,) = await people(directory, "Ada")
        (bob,) = await knock(directory, "Bob")
        await ada.say(Admit())
        await settle()
        await ada.say(SetRole(participant=bob.participant_id, role=role))
        (cyd,) = await knock(directory, "Cyd")
        for message in (Admit(), Deny(), Configure(lobby=False), Admit(participant=cyd.participant_id)):
            await bob.say(message)
            await settle()
            assert (bob.last("error")["code"], bob.last("error")["role"]) == ("not_permitted", "moderator")
        assert cyd.state == "knocking"
        # A new moderator learns who waits.
        await ada.say(SetRole(participant=bob.participant_id, role=Role.MODERATOR))
        await settle()
        assert in_lobby(bob) == ["Cyd"]


async def test_nobody_who_does_not_wait_can_be_admitted_or_denied(autojump_clock: MockClock) -> None:
    async with lobby() as directory:
        (ada,) = await people(directory, "Ada")
        for message in (Admit(), Deny(), Admit(participant="p0"), Deny(participant=ada.participant_id)):
            await ada.say(message)
            await settle()
            assert ada.last("error")["code"] == "no_such_participant"


async def test_the_lobby_is_configured_by_a_moderator_and_its_end_lets_everybody_in(
    autojump_clock: MockClock,
) -> None:
    async with open_directory(FakeMedia().pool, replace(WIDE, max_people=3)) as directory:
        (ada,) = await people(directory, "Ada")
        await ada.say(Configure(lobby=True, role=Role.VIEWER, listed=False, ref=3))
        await settle()
        assert ada.last("roomChanged") == {
            "type": "roomChanged",
            "locked": False,
            "lobby": True,
            "newcomers": "viewer",
            "listed": False,
            "ref": 3,
        }
        assert directory.summaries() == []
        bob, cyd, dan = await knock(directory, "Bob", "Cyd", "Dan")
        await ada.say(Configure(lobby=False))
        await settle()
        assert [person.state for person in (bob, cyd, dan)] == ["joined", "joined", "connected"]
        assert dan.last("error")["code"] == "room_full"
        assert in_lobby(ada) == []
        # What was left out has stayed.
        assert ada.last("roomChanged")["newcomers"] == "viewer"
        assert ada.sits_in.people[bob.participant_id].role is Role.VIEWER


async def test_the_lobby_has_a_bound_and_one_address_may_fill_half_of_it(autojump_clock: MockClock) -> None:
    async with lobby(replace(WIDE, max_in_lobby=4)) as directory:
        await people(directory, "Ada")
        bob, _ = await knock(directory, "Bob", "Cyd")
        dan = Person(directory, "Dan")
        with pytest.raises(Refusal) as refused:
            await dan.join("blue")
        assert refused.value.code is ErrorCode.LOBBY_FULL
        others = [Person(directory, name, f"192.0.2.{number}") for number, name in enumerate(("Eve", "Fay"), 20)]
        for other in others:
            await other.join("blue")
        with pytest.raises(Refusal) as refused:
            await Person(directory, "Gus", "192.0.2.30").join("blue")
        assert refused.value.code is ErrorCode.LOBBY_FULL
        await bob.leave()
        await dan.join("blue")
        assert dan.state == "knocking"


async def test_one_who_is_denied_for_a_time_may_not_knock_meanwhile(autojump_clock: MockClock) -> None:
    async with lobby() as directory:
        (ada,) = await people(directory, "Ada")
        (bob,) = await knock(directory, "Bob")
        await ada.say(Deny(participant=bob.participant_id, seconds=60.0, ref=3))
        await settle()
        assert ada.last("lobby")["ref"] == 3
        assert [ban["name"] for ban in ada.last("bans")["bans"]] == ["Bob"]
        with pytest.raises(Refusal) as refused:
            await bob.join("blue")
        assert refused.value.code is ErrorCode.BANNED
        await trio.sleep(61)
        await bob.join("blue")
        assert bob.state == "knocking"


async def test_a_lock_lets_nobody_knock_but_those_who_wait_may_be_admitted(autojump_clock: MockClock) -> None:
    async with lobby() as directory:
        (ada,) = await people(directory, "Ada")
        (bob,) = await knock(directory, "Bob")
        await ada.say(Lock())
        await settle()
        with pytest.raises(Refusal) as refused:
            await Person(directory, "Cyd").join("blue")
        assert refused.value.code is ErrorCode.LOCKED
        await ada.say(Admit())
        await settle()
        assert bob.state == "joined"


async def test_one_who_is_kicked_has_to_knock_again(autojump_clock: MockClock) -> None:
    async with lobby() as directory:
        (ada,) = await people(directory, "Ada")
        (bob,) = await knock(directory, "Bob")
        await ada.say(Admit())
        await settle()
        await ada.say(Kick(participant=bob.participant_id))
        await settle()
        await bob.join("blue")
        assert bob.state == "knocking"


async def test_when_everybody_has_left_the_one_who_waited_longest_moderates(autojump_clock: MockClock) -> None:
    async with lobby() as directory:
        (ada,) = await people(directory, "Ada")
        bob, cyd = await knock(directory, "Bob", "Cyd")
        await ada.say(publish())
        await settle()
        await ada.leave()
        await settle()
        assert (bob.state, cyd.state) == ("joined", "knocking")
        assert bob.sits_in.people[bob.participant_id].role is Role.MODERATOR
        assert bob.sits_in.state == "waiting"
        assert in_lobby(bob) == ["Cyd"]


async def test_a_room_whose_moderators_come_by_token_waits_for_them(autojump_clock: MockClock) -> None:
    async with lobby(first_moderates=False) as directory:
        bob, cyd = await knock(directory, "Bob", "Cyd")
        room = bob.sits_in
        assert room.state == "empty"
        # Neither the linger time nor somebody who needs the place ends a room in whose lobby somebody waits.
        await trio.sleep(WIDE.linger * 3)
        for name in ("two", "three"):
            await people(directory, "Eve", room=name)
        with pytest.raises(Refusal) as refused:
            await people(directory, "Eve", room="four")
        assert refused.value.code is ErrorCode.SERVER_FULL
        assert room.state == "empty"
        ada = Person(directory, "Ada")
        ada.brings = Credentials(role=Role.MODERATOR)
        await ada.join("blue")
        assert ada.state == "joined"
        assert in_lobby(ada) == ["Bob", "Cyd"]
        await ada.say(Admit())
        await settle()
        assert (bob.state, cyd.state) == ("joined", "joined")
        # If nobody waits any more, the room ends as any other does.
        for person in (ada, bob, cyd):
            await person.leave()
        await trio.sleep(WIDE.linger + 1)
        assert directory.find("blue") is None


async def test_a_room_that_closes_refuses_those_who_wait(autojump_clock: MockClock) -> None:
    async with lobby() as directory:
        await people(directory, "Ada")
        (bob,) = await knock(directory, "Bob")
        await directory.close_room("blue", "drain")
        await settle()
        assert (bob.state, bob.last("error")["code"], bob.last("error")["ref"]) == ("connected", "room_closed", 1)


async def test_a_switch_to_a_room_with_a_lobby_leaves_the_old_room(autojump_clock: MockClock) -> None:
    policies = Policies([("blue", Policy(lobby=True))])
    async with open_directory(FakeMedia().pool, WIDE, policies=policies) as directory:
        (ada,) = await people(directory, "Ada")
        bob, cyd = await people(directory, "Bob", "Cyd", room="red")
        await bob.switch("blue")
        await settle()
        assert (bob.state, in_lobby(ada)) == ("knocking", ["Bob"])
        assert cyd.last("participantLeft")["reason"] == "switched"
        heard = len(bob.messages)
        await cyd.say(publish())
        await settle()
        assert len(bob.messages) == heard
        await ada.say(Admit())
        await settle()
        assert bob.last("joined")["room"] == "blue"


async def test_a_room_that_does_not_linger_is_not_busy_while_somebody_waits(autojump_clock: MockClock) -> None:
    async with lobby(replace(WIDE, linger=0.0), first_moderates=False) as directory:
        (bob,) = await knock(directory, "Bob")
        journal = bob.sits_in.journal
        before = journal.seq
        await trio.sleep(10)
        assert journal.seq - before <= 11


async def test_what_was_said_is_not_for_somebody_whom_nobody_has_admitted(autojump_clock: MockClock) -> None:
    async with lobby() as directory:
        (ada,) = await people(directory, "Ada")
        await ada.say(Chat(text="a secret"))
        (bob,) = await knock(directory, "Bob")
        await ada.leave()
        await settle()
        assert bob.last("joined")["chat"] == []


async def test_a_ban_holds_for_those_of_the_address_who_wait(autojump_clock: MockClock) -> None:
    async with lobby() as directory:
        (ada,) = await people(directory, "Ada")
        bob, cyd = Person(directory, "Bob", "192.0.2.9"), Person(directory, "Cyd", "192.0.2.9")
        dan = Person(directory, "Dan", "192.0.2.10")
        for number, person in enumerate((bob, cyd, dan), 1):
            await person.join("blue", ref=number)
        await ada.say(Admit(participant=bob.participant_id))
        await settle()
        await ada.say(Ban(participant=bob.participant_id))
        await settle()
        assert (cyd.state, cyd.last("error")["code"], cyd.last("error")["ref"]) == ("connected", "banned", 2)
        assert in_lobby(ada) == ["Dan"]


async def test_a_person_who_is_known_by_a_token_is_banned_by_it_and_not_by_the_address(
    autojump_clock: MockClock,
) -> None:
    async with open_directory(FakeMedia().pool, WIDE) as directory:
        (ada,) = await people(directory, "Ada")
        eve = Person(directory, "Eve", "192.0.2.9")
        eve.brings = Credentials(subject="eve", role=Role.PRESENTER)
        await eve.join("blue")
        await ada.say(Ban(participant=eve.participant_id))
        await settle()
        # Nobody sheds the ban by leaving the token away.
        for brings in (Credentials(), Credentials(subject="eve")):
            again = Person(directory, "Eve", "192.0.2.9")
            again.brings = brings
            with pytest.raises(Refusal) as refused:
                await again.join("blue")
            assert refused.value.code is ErrorCode.BANNED
        teacher = Person(directory, "Zoe", "192.0.2.9")
        teacher.brings = Credentials(subject="zoe", role=Role.MODERATOR)
        await teacher.join("blue")
        assert teacher.state == "joined"


async def test_a_room_with_people_gets_a_moderator_if_the_only_one_loses_the_role(
    autojump_clock: MockClock,
) -> None:
    async with lobby() as directory:
        (ada,) = await people(directory, "Ada")
        (bob,) = await knock(directory, "Bob")
        await ada.say(Admit())
        await settle()
        room = ada.sits_in
        demote = SetRole(participant=ada.participant_id, role=Role.PRESENTER)
        await room.request(Administer(demote))
        assert room.people[bob.participant_id].role is Role.MODERATOR
        # Whoever comes next has to knock.
        await knock(directory, "Cyd")
        assert in_lobby(bob) == ["Cyd"]


async def test_somebody_who_may_not_enter_opens_no_room(autojump_clock: MockClock) -> None:
    policies = Policies(default=Policy(enter=Enter.TOKEN))
    async with open_directory(FakeMedia().pool, WIDE, policies=policies) as directory:
        stranger = Person(directory, "Eve")
        stranger.brings = Credentials(has_token=False)
        with pytest.raises(Refusal) as refused:
            await stranger.join("blue")
        assert refused.value.code is ErrorCode.TOKEN_INVALID
        assert len(directory) == 0
