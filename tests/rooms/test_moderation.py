"""Given a room with a moderator, when people ask, then roles, bans, hands and the lock have their effect."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from roomfsm.access.credentials import Credentials
from roomfsm.access.policy import Policy
from roomfsm.protocol.client import (
    Ban,
    Chat,
    ClearChat,
    CloseRoom,
    DeleteLine,
    EndStream,
    Kick,
    Lock,
    LowerHand,
    RaiseHand,
    SetRole,
    Unban,
    Unlock,
    Unpublish,
)
from roomfsm.protocol.errors import ErrorCode, Refusal
from roomfsm.protocol.roles import Role
from roomfsm.rooms.directory import Directory
from roomfsm.testing import Person
from tests.rooms.house import SMALL, house, people, publish, settle


def roles(person: Person) -> dict[str, Role]:
    """The roles of everybody in the person's room, by name."""
    return {one.name: one.role for one in person.sits_in.people.values()}


async def refused_at_the_door(directory: Directory, code: ErrorCode, address: str = "192.0.2.9") -> None:
    newcomer = Person(directory, "Newcomer", address)
    with pytest.raises(Refusal) as refused:
        await newcomer.join("blue")
    assert refused.value.code is code


def error_of(person: Person) -> str:
    code: str = person.last("error")["code"]
    return code


async def test_the_first_moderates_and_then_the_one_who_is_there_longest(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        ada, bob, cyd = await people(directory, "Ada", "Bob", "Cyd")
        assert roles(ada) == {"Ada": Role.MODERATOR, "Bob": Role.PRESENTER, "Cyd": Role.PRESENTER}
        await ada.leave()
        assert roles(bob) == {"Bob": Role.MODERATOR, "Cyd": Role.PRESENTER}
        assert cyd.last("participantChanged")["participant"]["role"] == "moderator"
        # Somebody who comes again is a newcomer.
        await ada.join("blue")
        assert roles(ada)["Ada"] is Role.PRESENTER


async def test_a_room_with_another_moderator_promotes_nobody(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        ada, bob, cyd = await people(directory, "Ada", "Bob", "Cyd")
        await ada.say(SetRole(participant=cyd.participant_id, role=Role.MODERATOR))
        await settle()
        await ada.leave()
        assert roles(bob) == {"Bob": Role.PRESENTER, "Cyd": Role.MODERATOR}


async def test_who_stands_in_for_a_moderator_does_so_until_one_comes(autojump_clock: MockClock) -> None:
    """What somebody who stands in has made others ends, too. What they were before counts again."""
    async with house(replace(SMALL, max_people=6), Policy(role=Role.VIEWER)) as (directory, media):
        ada, bob, cyd = await people(directory, "Ada", "Bob", "Cyd")
        await ada.say(SetRole(participant=bob.participant_id, role=Role.MODERATOR))
        await ada.say(SetRole(participant=cyd.participant_id, role=Role.PRESENTER))
        await settle()
        await ada.say(publish())
        await settle()
        teacher = Person(directory, "Teacher", "192.0.2.9")
        teacher.brings = Credentials(subject="zoe", role=Role.MODERATOR)
        await teacher.join("blue")
        await settle()
        assert roles(teacher) == {
            "Ada": Role.VIEWER,
            "Bob": Role.VIEWER,
            "Cyd": Role.PRESENTER,
            "Teacher": Role.MODERATOR,
        }
        assert (cyd.last("participantChanged")["participant"]["name"], media.open) == ("Bob", [])
        await ada.say(Kick(participant=teacher.participant_id))
        await settle()
        assert error_of(ada) == "not_permitted"
        # Whom the teacher makes a moderator stays one when another teacher comes.
        await teacher.say(SetRole(participant=cyd.participant_id, role=Role.MODERATOR))
        await settle()
        other = Person(directory, "Other", "192.0.2.10")
        other.brings = Credentials(subject="yan", role=Role.MODERATOR)
        await other.join("blue")
        await settle()
        assert roles(other)["Cyd"] is Role.MODERATOR
        for one in (teacher, other, cyd):
            await one.leave()
        assert roles(ada) == {"Ada": Role.MODERATOR, "Bob": Role.VIEWER}


async def test_one_who_is_kicked_is_out_and_may_come_again(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        ada, bob = await people(directory, "Ada", "Bob")
        await bob.say(publish())
        await settle()
        await ada.say(Kick(participant=bob.participant_id, ref=7))
        await settle()
        assert bob.room is None
        assert media.open == []
        left = {"type": "participantLeft", "participant": bob.participant_id, "reason": "kicked"}
        assert ada.last("participantLeft") == {**left, "ref": 7}
        assert bob.last("participantLeft") == left
        assert ada.last("streamEnded")["stream"] == bob.stream()
        assert ada.sits_in.state == "waiting"
        await bob.join("blue")
        assert roles(ada)["Bob"] is Role.PRESENTER


async def test_a_ban_holds_for_the_session_and_its_address_and_for_its_time(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        ada, bob = await people(directory, "Ada"), Person(directory, "Bob", "192.0.2.9")
        (ada_,) = ada
        await bob.join("blue")
        await ada_.say(Ban(participant=bob.participant_id, seconds=100.0, ref=1))
        await settle()
        assert bob.room is None
        assert ada_.last("bans")["bans"][0]["participant"] == bob.participant_id
        await refused_at_the_door(directory, ErrorCode.BANNED)
        bob.voice.address = "192.0.2.77"
        with pytest.raises(Refusal) as refused:
            await bob.join("blue")
        assert refused.value.code is ErrorCode.BANNED
        await Person(directory, "Cyd", "192.0.2.10").join("blue")
        await trio.sleep(99)
        await refused_at_the_door(directory, ErrorCode.BANNED)
        await trio.sleep(2)
        await Person(directory, "Dan", "192.0.2.9").join("blue")


async def test_a_ban_can_be_ended_and_does_not_put_out_others_of_the_address(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        ada, bob, cyd = await people(directory, "Ada", "Bob", "Cyd")
        await ada.say(Ban(participant=bob.participant_id))
        await settle()
        assert cyd.room is not None
        await refused_at_the_door(directory, ErrorCode.BANNED, "192.0.2.1")
        await ada.say(Unban(participant=bob.participant_id, ref=2))
        await settle()
        assert ada.last("bans") == {"type": "bans", "bans": [], "ref": 2}
        await bob.join("blue")
        assert cyd.all("bans") == []


async def test_there_are_only_so_many_bans_and_the_one_that_ends_first_makes_way(
    autojump_clock: MockClock,
) -> None:
    async with house(replace(SMALL, max_bans=2)) as (directory, _):
        (ada,) = await people(directory, "Ada")
        banned = []
        for number, seconds in enumerate((300.0, 100.0, 200.0)):
            person = Person(directory, "Eve", f"192.0.2.{100 + number}")
            await person.join("blue")
            await ada.say(Ban(participant=person.participant_id, seconds=seconds))
            await settle()
            banned.append(person.participant_id)
        assert [ban["participant"] for ban in ada.last("bans")["bans"]] == [banned[0], banned[2]]


async def test_a_locked_room_takes_nobody_in_until_it_is_unlocked_or_deserted(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        ada, bob = await people(directory, "Ada", "Bob")
        await ada.say(Lock(ref=1))
        await settle()
        assert ada.last("roomChanged") == {"type": "roomChanged", "locked": True, "ref": 1}
        assert bob.last("roomChanged") == {"type": "roomChanged", "locked": True}
        await refused_at_the_door(directory, ErrorCode.LOCKED)
        # Who is in it may come back.
        await bob.vanish()
        await bob.come_back()
        assert bob.last("joined")["locked"] is True
        await ada.say(Unlock())
        await settle()
        cyd = Person(directory, "Cyd")
        await cyd.join("blue")
        assert "locked" not in cyd.last("joined")
        await ada.say(Lock())
        await settle()
        for person in (ada, bob, cyd):
            await person.leave()
        await cyd.join("blue")


async def test_a_viewer_may_not_publish_and_loses_what_was_published(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        ada, bob = await people(directory, "Ada", "Bob")
        await bob.say(publish())
        await settle()
        await ada.say(SetRole(participant=bob.participant_id, role=Role.VIEWER))
        await settle()
        assert media.open == []
        assert bob.last("streamEnded") == {"type": "streamEnded", "stream": bob.stream(), "reason": "moderator"}
        await bob.say(publish(ref=9))
        await settle()
        assert (error_of(bob), bob.last("error")["role"], bob.last("error")["ref"]) == (
            "not_permitted",
            "presenter",
            9,
        )
        await bob.say(Chat(text="still here"))
        await settle()
        assert ada.last("chat")["line"]["text"] == "still here"


async def test_a_moderator_may_end_anybodys_stream(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        ada, bob, cyd = await people(directory, "Ada", "Bob", "Cyd")
        await bob.say(publish())
        await settle()
        await cyd.say(EndStream(stream=bob.stream()))
        await ada.say(Unpublish(stream=bob.stream()))
        await settle()
        assert (error_of(cyd), error_of(ada)) == ("not_permitted", "not_your_stream")
        await ada.say(EndStream(stream=bob.stream(), ref=3))
        await settle()
        ended = {"type": "streamEnded", "stream": bob.stream(), "reason": "moderator"}
        assert (ada.last("streamEnded"), bob.last("streamEnded")) == ({**ended, "ref": 3}, ended)
        assert media.open == []


async def test_hands_are_in_the_order_in_which_they_were_raised(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        ada, bob, cyd = await people(directory, "Ada", "Bob", "Cyd")
        for person in (cyd, bob, cyd):
            await person.say(RaiseHand())
            await settle()
        hands = {one.name: one.hand for one in ada.sits_in.people.values()}
        assert hands["Cyd"] is not None
        assert hands["Bob"] is not None
        assert hands["Cyd"] < hands["Bob"]
        await bob.say(LowerHand(participant=cyd.participant_id))
        await settle()
        assert error_of(bob) == "not_permitted"
        await ada.say(LowerHand(participant=cyd.participant_id))
        await bob.say(LowerHand())
        await settle()
        assert {one.hand for one in ada.sits_in.people.values()} == {None}


async def test_a_chat_that_was_cleared_is_not_told_to_newcomers(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        ada, bob = await people(directory, "Ada", "Bob")
        await bob.say(Chat(text="something"))
        await ada.say(ClearChat())
        await ada.say(Chat(text="something else"))
        await settle()
        (cyd,) = await people(directory, "Cyd")
        assert [(line["seq"], line["text"]) for line in cyd.last("joined")["chat"]] == [(2, "something else")]


def seen(person: Person) -> list[str]:
    """The texts of the lines of chat that the person was told, private ones in brackets."""
    lines = [message["line"] for message in person.all("chat")]
    return [f"({line['text']})" if "to" in line else line["text"] for line in lines]


async def test_a_private_line_reaches_two_people_and_is_kept_for_nobody(autojump_clock: MockClock) -> None:
    async with house(replace(SMALL, max_people=9, journal_bodies=True)) as (directory, _):
        ada, bob, cyd = await people(directory, "Ada", "Bob", "Cyd")
        await bob.say(Chat(text="hello"))
        await bob.say(Chat(text="the moderator is strict", to=cyd.participant_id, reply_to=1, ref=5))
        await cyd.say(Chat(text="she is", to=bob.participant_id))
        await cyd.say(Chat(text="good morning"))
        await settle()
        assert seen(ada) == ["hello", "good morning"]
        assert seen(bob) == seen(cyd) == ["hello", "(the moderator is strict)", "(she is)", "good morning"]
        private = next(message for message in bob.all("chat") if "to" in message["line"])
        line = private["line"]
        assert (private["ref"], line["to"], line["replyTo"]) == (5, cyd.participant_id, 1)
        # Nobody can tell from the numbers that there were other lines.
        assert [message["line"]["seq"] for message in ada.all("chat")] == [1, 2]
        (dan,) = await people(directory, "Dan")
        assert [line["text"] for line in dan.last("joined")["chat"]] == ["hello", "good morning"]
        journal = ada.sits_in.journal.lines()
        assert b"good morning" in journal
        assert b"strict" not in journal


async def test_a_private_line_that_cannot_be_told_is_refused(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        ada, bob, cyd = await people(directory, "Ada", "Bob", "Cyd")
        await bob.vanish()
        await cyd.leave()
        for to, code in (
            (bob.participant_id, "participant_away"),
            (cyd.participant_id, "no_such_participant"),
            ("nobody", "no_such_participant"),
            (ada.participant_id, "yourself"),
        ):
            await ada.say(Chat(text="psst", to=to))
            await settle()
            assert error_of(ada) == code
        assert seen(ada) == []
        await bob.come_back()
        await ada.say(Chat(text="psst", to=bob.participant_id))
        await settle()
        assert seen(bob) == ["(psst)"]


async def test_a_line_is_deleted_by_its_speaker_or_a_moderator(autojump_clock: MockClock) -> None:
    async with house(replace(SMALL, max_people=9, chat_history=3, chat_lines=5)) as (directory, _):
        ada, bob, cyd = await people(directory, "Ada", "Bob", "Cyd")
        for number in range(6):
            await bob.say(Chat(text=f"line {number + 1}"))
        await settle()

        async def refused(person: Person, line: int) -> str:
            await person.say(DeleteLine(line=line))
            await settle()
            return error_of(person)

        assert await refused(cyd, 5) == "not_permitted"
        # The first line is one too old, the seventh has not been said.
        assert [await refused(ada, line) for line in (1, 7)] == ["no_such_line"] * 2
        # The second line is not told to newcomers any more, but is still on people's pages.
        await ada.say(DeleteLine(line=2, ref=3))
        await bob.say(DeleteLine(line=5, ref=4))
        await settle()
        assert ada.all("lineDeleted") == [
            {"type": "lineDeleted", "line": 2, "ref": 3},
            {"type": "lineDeleted", "line": 5},
        ]
        assert bob.last("lineDeleted") == {"type": "lineDeleted", "line": 5, "ref": 4}
        assert [message["line"] for message in cyd.all("lineDeleted")] == [2, 5]
        assert await refused(ada, 5) == "no_such_line"
        await cyd.say(Chat(text="what?", reply_to=5))
        await settle()
        assert error_of(cyd) == "no_such_line"
        (dan,) = await people(directory, "Dan")
        assert [line["seq"] for line in dan.last("joined")["chat"]] == [4, 6]


async def test_a_room_that_a_moderator_closes_puts_everybody_out(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        ada, bob = await people(directory, "Ada", "Bob")
        await bob.say(publish())
        await settle()
        await bob.say(CloseRoom())
        await settle()
        assert (error_of(bob), ada.sits_in.state) == ("not_permitted", "broadcasting")
        await ada.say(CloseRoom(ref=8))
        await settle()
        closing = {"type": "closing", "scope": "room", "reason": "moderator"}
        assert (ada.last("closing"), bob.last("closing")) == ({**closing, "ref": 8}, closing)
        assert (ada.room, bob.room, media.open) == (None, None, [])
        assert directory.find("blue") is None


async def test_what_moderators_do_to_somebody_who_has_just_left_is_refused(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        ada, bob = await people(directory, "Ada", "Bob")
        await bob.leave()
        for message in (Kick, Ban):
            await ada.say(message(participant=bob.participant_id))
            await settle()
            assert error_of(ada) == "no_such_participant"
        await ada.say(Kick(participant=ada.participant_id))
        await settle()
        assert error_of(ada) == "yourself"
        assert ada.room is not None
