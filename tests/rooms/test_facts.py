"""What a room takes for granted when it asks its table: what a message costs, and who would be in the room."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock

from roomfsm.kurento.events import DtlsConnectionState
from roomfsm.protocol.client import Chat, Publish, Rename, Unview, View
from roomfsm.protocol.fields import Source
from roomfsm.rooms.allowance import UNBOUNDED, Cost, Entries, Rates, Share, Voice
from roomfsm.rooms.events import Ask, RoomMessage
from roomfsm.rooms.facts import Budgets
from roomfsm.rooms.participant import Seat
from roomfsm.testing import FakeSession, Person
from tests.rooms.house import OFFER, SMALL, dtls, house, people, publish, settle


@pytest.mark.parametrize(
    ("message", "cost"),
    [
        # A string in JSON has two quotes, and each message an envelope of about 200 bytes.
        (Chat(text="x" * 1000), Cost(1.0, 1202.0)),
        (Rename(name="Ada"), Cost(3.0, 205.0)),
        (Publish(source=Source.CAMERA, sdp=OFFER), Cost(4.0, 800.0)),
        (View(stream="p1.camera", sdp=OFFER), Cost(2.0, 400.0)),
        (Unview(stream="p1.camera"), None),
    ],
)
def test_a_message_costs_what_it_makes_the_room_tell(message: RoomMessage, cost: Cost | None) -> None:
    seat: Seat[Any] = Seat(FakeSession("p1", Voice("p1", "192.0.2.1", UNBOUNDED)))
    budgets = Budgets(Share(Rates(1.0, 1.0, 1.0)), Entries(1.0, 1.0))
    said = budgets.said_by(Ask(seat, message), 0.0)
    assert (None if said is None else said.cost) == cost


async def test_nobody_makes_way_for_one_who_takes_the_last_free_place(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        ada, bob = await people(directory, "Ada", "Bob")
        assert SMALL.max_people == 3
        await ada.say(publish())
        await settle()
        await ada.vanish()
        await Person(directory, "Eve").join("blue")
        room = bob.sits_in
        assert (room.state, len(room.people), len(room.streams)) == ("broadcasting", 3, 1)
        # The next one gets Ada's place, and with it her stream ends.
        await Person(directory, "Zoe").join("blue")
        assert (room.state, len(room.people), len(room.streams)) == ("waiting", 3, 0)


async def test_the_journal_says_what_is_known_of_a_cause(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        ada, bob = await people(directory, "Ada", "Bob")
        journal = ada.sits_in.journal
        await ada.say(publish())
        await settle()
        media.open[0].happens(dtls(DtlsConnectionState.CLOSED))
        await bob.vanish()
        await settle()
        known = {entry.trigger: entry.message for entry in journal.since(0) if entry.machine == "room"}
        assert known["away"] == {"address": journal.pseudonym("192.0.2.1")}
        failed = known["stream_failed"]
        assert failed is not None
        assert (failed["stream"], failed["code"]) == (ada.stream(), "media_failed")
        assert "closed its media connection" in failed["detail"]
