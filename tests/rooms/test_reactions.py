"""Given people in a room, when they show reactions, then everybody is told, in few messages and with a bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from roomfsm.protocol.client import React
from roomfsm.protocol.reactions import Reaction
from roomfsm.rooms.allowance import Rates
from roomfsm.rooms.reactions import Reactions
from roomfsm.testing import Person
from tests.rooms.house import SMALL, house, people, settle

SETTINGS = replace(SMALL, speaking_interval=0.5)

MOST = 3


def shown(person: Person) -> list[list[tuple[str, str]]]:
    """All that the person was told, message by message: who has shown what."""
    return [
        [(one["participant"], one["reaction"]) for one in message["reactions"]]
        for message in person.all("reacted")
    ]


async def test_reactions_are_told_to_all_at_once_and_then_together(autojump_clock: MockClock) -> None:
    async with house(SETTINGS) as (directory, _):
        ada, bob = await people(directory, "Ada", "Bob")
        await bob.say(React(reaction=Reaction.HEART))
        await settle()
        first = [(bob.participant_id, "heart")]
        assert shown(ada) == shown(bob) == [first]
        await bob.say(React(reaction=Reaction.LAUGH))
        await ada.say(React(reaction=Reaction.APPLAUSE))
        await settle()
        assert shown(ada) == [first]
        await trio.sleep(0.5)
        await settle()
        assert shown(ada) == [first, [(bob.participant_id, "laugh"), (ada.participant_id, "applause")]]


async def test_whoever_comes_later_is_not_told(autojump_clock: MockClock) -> None:
    async with house(SETTINGS) as (directory, _):
        ada, _ = await people(directory, "Ada", "Bob")
        await ada.say(React(reaction=Reaction.PARTY))
        await trio.sleep(1)
        (cyd,) = await people(directory, "Cyd")
        assert shown(cyd) == []


async def test_somebody_who_shows_too_many_is_refused(autojump_clock: MockClock) -> None:
    async with house(SETTINGS) as (directory, _):
        ada = Person(directory, "Ada", rates=Rates(1.0, 10_000.0, 5.0))
        await ada.join("blue")
        for number in range(1, 8):
            await ada.say(React(reaction=Reaction.PARTY, ref=number))
        await trio.sleep(0.5)
        await settle()
        assert [(m["ref"], m["code"]) for m in ada.all("error")] == [(n, "rate_limited") for n in (6, 7)]
        assert sum(map(len, shown(ada))) == 5


def test_one_message_tells_no_more_than_the_bound() -> None:
    class Somebody:
        id = "p1"
        told: list[Any]

        def __init__(self) -> None:
            self.told = []

    person: Any = Somebody()
    later: list[tuple[float, Callable[[], None]]] = []
    reactions = Reactions({}, 0.5, MOST, lambda seconds, tell: later.append((seconds, tell)))

    async def main() -> None:
        for _ in range(MOST + 5):
            reactions.note(person, Reaction.HEART)
        assert len(reactions._shown) == MOST
        ((seconds, tell),) = later
        assert seconds == 0.0
        tell()
        assert reactions._shown == []
        reactions.note(person, Reaction.HEART)
        assert [seconds for seconds, _ in later] == [0.0, pytest.approx(0.5, abs=0.1)]

    trio.run(main)
