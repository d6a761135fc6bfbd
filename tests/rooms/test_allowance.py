"""Given how much people sent to everybody lately, each of them may send so much more."""

from __future__ import annotations

import itertools

from roomfsm.rooms.allowance import Cost, Meter, Rates, Share, Voice

ONE = Cost(1.0, 10.0)
OWN = Rates(10.0, 1000.0, 10.0)
ROOM = Rates(50.0, 5000.0, 10.0)


def says(voice: Voice, now: float, room: Share, cost: Cost = ONE) -> bool:
    may = voice.may(cost, now, room)
    if may:
        voice.use(cost, now, room)
    return may


def test_after_the_burst_one_more_message_fits_when_the_meter_has_run_down_by_one() -> None:
    room = Share(Rates(1e9, 1e9, 10.0))
    ada = Voice("ada", "192.0.2.1", OWN)
    assert [says(ada, 5.0, room) for _ in range(101)] == [True] * 100 + [False]
    assert not says(ada, 5.09, room)
    assert says(ada, 5.11, room)
    assert not says(ada, 5.12, room)


def test_bytes_have_a_bound_as_messages_have() -> None:
    room = Share(Rates(1e9, 1e9, 10.0))
    ada = Voice("ada", "192.0.2.1", OWN)
    line = Cost(1.0, 5000.0)
    assert [says(ada, 0.0, room, line) for _ in range(3)] == [True, True, False]
    assert says(ada, 5.01, room, line)


def test_a_cost_larger_than_the_budget_fits_if_nothing_was_used() -> None:
    room = Share(ROOM)
    ada = Voice("ada", "192.0.2.1", OWN)
    assert says(ada, 0.0, room, Cost(1.0, 20_000.0))
    assert not says(ada, 1.0, room)
    assert says(ada, 20.0, room)


def test_a_quiet_person_is_heard_while_twenty_of_another_address_send_all_they_can() -> None:
    room = Share(ROOM)
    loud = [Voice(f"loud {number}", "198.51.100.1", OWN) for number in range(20)]
    ada = Voice("ada", "192.0.2.1", OWN)
    said = heard = 0
    for tick in range(600):
        now = tick / 10
        said += sum(says(voice, now, room) for voice in loud for _ in range(10))
        if tick % 5 == 0:
            heard += says(ada, now, room)
    assert heard == 120
    # Together they stay within the room's rate and burst.
    assert said <= 50 * 60 + 500


def test_people_of_one_address_get_equal_parts_of_the_budget() -> None:
    room = Share(ROOM)
    voices = [Voice(f"p{number}", "192.0.2.1", OWN) for number in range(10)]
    said = [0] * 10
    for tick in range(600):
        for number, voice in enumerate(voices):
            # The first person tries ten times as often as the others.
            said[number] += sum(says(voice, tick / 10, room) for _ in range(20 if number == 0 else 2))
    assert max(said) < 1.5 * min(said)


def test_an_address_has_one_budget_for_all_its_rooms() -> None:
    address = Share(ROOM)
    rooms = [Share(Rates(1e9, 1e9, 10.0)) for _ in range(50)]
    voices = [Voice(f"p{number}", "192.0.2.1", OWN, address) for number in range(50)]
    said = sum(says(voice, 0.0, room) for voice, room in zip(voices, rooms, strict=True) for _ in range(100))
    assert said <= 500
    assert said > 300


def test_a_share_is_idle_when_nothing_of_it_is_used_any_more() -> None:
    room = Share(ROOM)
    ada = Voice("ada", "192.0.2.1", OWN)
    assert room.is_idle(0.0)
    says(ada, 0.0, room)
    assert not room.is_idle(9.0)
    assert room.is_idle(10.1)


def test_a_meter_says_in_how_many_seconds_one_more_message_fits() -> None:
    meter, rates = Meter(), Rates(2.0, 1e12, 5.0)
    for fits, _ in zip(itertools.repeat(0.0), range(10), strict=False):
        meter.run_down(rates, 0.0)
        assert meter.seconds_over(rates) == fits
        meter.use(Cost(1.0))
    assert meter.seconds_over(rates) == 0.5
    meter.run_down(rates, 0.5)
    assert meter.seconds_over(rates) == 0.0
