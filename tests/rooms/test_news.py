"""What a room tells its people, when, and how often; and what the changes that wait in an outbox are about."""

from __future__ import annotations

from typing import cast

import pytest
import trio
from trio.testing import MockClock

from roomfsm.protocol.codec import Outgoing
from roomfsm.protocol.server import ServerMessage, StreamEnded
from roomfsm.rooms.allowance import Rates
from roomfsm.rooms.news import News
from roomfsm.rooms.participant import Participant


def ended(what: str) -> StreamEnded:
    return StreamEnded(stream=what, reason="left")


class Listener:
    """Somebody in the room, who keeps what was told, what it was about, and the replies."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.about: list[str | None] = []
        self.replies: list[tuple[str, object]] = []

    def deliver(self, outgoing: Outgoing) -> None:
        self.told.append(cast(StreamEnded, outgoing.message).stream)
        self.about.append(outgoing.merge_key)

    def send(self, message: ServerMessage) -> None:
        ended = cast(StreamEnded, message)
        self.replies.append((ended.stream, ended.ref))


class House:
    """News for two people, at most one change a second and two at once; and when more are to be told."""

    def __init__(self) -> None:
        self.ada, self.ben = Listener(), Listener()
        self.later: list[float] = []
        people = cast(dict[str, Participant], {"ada": self.ada, "ben": self.ben})
        self.news = News(people, Rates(1.0, 1e9, 2.0))

    def turn(self, *changes: str, replied: Listener | None = None, ref: str | None = None) -> None:
        """A turn in which the room's state is these, one after the other."""
        self.news.begin_turn()
        for change in changes:
            self.change(change, replied, ref)
        self.news.end_turn(self.later.append)

    def change(self, state: str, replied: Listener | None = None, ref: str | None = None) -> None:
        self.news.changed("room", lambda: ended(state), cast(Participant, replied), ref=ref)


async def test_of_many_changes_in_a_turn_the_newest_is_told_at_its_end(autojump_clock: MockClock) -> None:
    house = House()
    house.news.begin_turn()
    house.change("one")
    house.change("two")
    assert house.ada.told == []
    house.news.end_turn(house.later.append)
    assert house.ada.told == house.ben.told == ["two"]
    house.turn()
    assert house.ada.told == ["two"]
    house.change("three")
    assert house.ada.told == ["two", "three"], "outside of a turn it is told at once"


async def test_who_is_answered_is_told_at_once_and_not_again(autojump_clock: MockClock) -> None:
    house = House()
    house.turn("one", replied=house.ada, ref="r")
    assert (house.ada.replies, house.ada.told) == ([("one", "r")], [])
    assert (house.ben.replies, house.ben.told) == ([], ["one"])
    house.turn("two", replied=house.ada)
    assert (house.ada.told, house.ben.told) == (["two"], ["one", "two"]), "without a ref he is one of all"


async def test_what_is_over_is_not_told(autojump_clock: MockClock) -> None:
    house = House()
    house.news.begin_turn()
    house.change("one")
    house.news.forget("room")
    house.news.forget("room")
    house.news.end_turn(house.later.append)
    assert house.ada.told == []


async def test_beyond_the_rate_changes_are_told_later_and_once(autojump_clock: MockClock) -> None:
    house = House()
    house.turn("one")
    house.turn("two")
    house.turn("three")
    house.turn("four")
    assert house.ada.told == ["one", "two"]
    assert house.later == [pytest.approx(1.0)], "it is asked for once"
    await trio.sleep(1.0)
    house.news.tell_changes()
    assert house.ada.told == ["one", "two", "four"]
    house.turn("five")
    assert house.later == [pytest.approx(1.0)] * 2
    await trio.sleep(10.0)
    house.turn("six")
    house.turn("seven")
    assert house.ada.told[3:] == ["six", "seven"]


async def test_what_happens_is_told_behind_the_changes_before_it_if_they_are_few(
    autojump_clock: MockClock,
) -> None:
    house = House()
    house.news.begin_turn()
    assert house.news.deliveries == 0
    house.change("one")
    house.news.happened(ended("event"))
    assert house.news.deliveries == 2
    house.news.happened(ended("reply"), cast(Participant, house.ben), ref="r")
    assert house.news.deliveries == 4
    house.news.end_turn(house.later.append)
    assert house.ada.told == ["one", "event", "reply"]
    # A newer change makes an older one worthless, and nothing that happened.
    assert house.ada.about == ["streamEnded room", None, None]
    assert (house.ben.told, house.ben.replies) == (["one", "event"], [("reply", "r")])
    house.news.begin_turn()
    assert house.news.deliveries == 0


async def test_a_change_before_the_first_turn_is_told_at_once(autojump_clock: MockClock) -> None:
    house = House()
    house.change("one")
    assert (house.ada.told, house.news.deliveries) == (["one"], 0)
