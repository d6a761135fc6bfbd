"""Whose name is marked because it looks like another's, and who loses the mark."""

from __future__ import annotations

from typing import Any

from roomfsm.rooms.allowance import UNBOUNDED, Voice
from roomfsm.rooms.lookalikes import Lookalikes
from roomfsm.rooms.participant import Participant, Seat
from roomfsm.testing import FakeSession


def person(name: str) -> Participant:
    seat: Seat[Any] = Seat(FakeSession(name, Voice(name, "192.0.2.1", UNBOUNDED)))
    return Participant(seat, name)


def test_the_mark_goes_from_one_to_the_next_and_to_nobody_else() -> None:
    lookalikes = Lookalikes()
    first, second, third = people = [person("Ada"), person("Аda"), person("ADA")]
    for each in people:
        lookalikes.add(each)
    assert [each.lookalike for each in people] == [False, True, True]
    assert lookalikes.remove(third) is None, "the first had no mark to lose"
    assert lookalikes.remove(first) is second
    assert [first.lookalike, second.lookalike] == [False, False]
    assert lookalikes.remove(second) is None


def test_names_that_nobody_has_any_more_are_forgotten() -> None:
    lookalikes = Lookalikes()
    for number in range(3):
        bearer = person(f"Ada {number}")
        lookalikes.add(bearer)
        lookalikes.remove(bearer)
    assert lookalikes._bearers == {}
