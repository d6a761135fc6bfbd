"""Tests when a packet may be repeated to a viewer, and which packets of its start are repeated."""

import pytest

from roomfsm.mediaserver.forwarding.repair_history import RepairHistory
from roomfsm.mediaserver.forwarding.start import Start
from roomfsm.mediaserver.rtp.ring import KeptPacket


def kept(*numbers: int) -> list[KeptPacket]:
    return [KeptPacket(number, 0, 0.0, b"") for number in numbers]


def test_a_number_is_due_again_after_the_interval() -> None:
    history = RepairHistory()
    assert history.is_due(5, 1.0, 0.5)
    assert 5 not in history
    history.sent(5, 1.0)
    assert 5 in history
    assert [history.is_due(5, now, 0.5) for now in (1.0, 1.25, 1.5)] == [False, False, True]
    assert history.is_due(6, 1.0, 0.5)
    history.clear()
    assert 5 not in history


def test_the_number_sent_longest_ago_is_forgotten_beyond_1024() -> None:
    history = RepairHistory()
    for number in range(1024):
        history.sent(number, 1.0)
    history.sent(0, 2.0)
    assert {0, 1, 1023} <= {number for number in range(2000) if number in history}
    history.sent(5000, 3.0)
    assert [number in history for number in (0, 1, 2, 5000)] == [True, False, True, True]


def test_each_packet_of_a_start_is_repeated_twice() -> None:
    start = Start(10.0)
    assert start.due == pytest.approx(10.05)
    assert start.numbers([1, 2, 3], 10.06) == [1, 2, 3]
    assert start.due == pytest.approx(10.11)
    start.repeated(kept(1, 2))
    assert start.numbers([], 10.12) == [3, 1, 2], "the least repeated first"
    start.repeated(kept(3, 1, 99))
    assert start.numbers([], 10.18) == [2, 3]
    assert not start.is_over(10.18)
    start.repeated(kept(2, 3))
    assert start.is_over(10.18)


def test_a_start_is_over_after_a_second() -> None:
    start = Start(10.0)
    assert [start.is_over(now) for now in (10.0, 10.99, 11.0)] == [False, False, True]


def test_packets_that_a_viewer_can_ask_for_are_not_repeated() -> None:
    start = Start(10.0)
    start.asked(5)
    start.asked(7)
    assert start.numbers(range(3, 9), 10.1) == [3, 4]
    start.asked(4)
    assert start.numbers(range(3, 9), 10.2) == [3]
    start.asked(3)
    assert start.is_over(10.2)


def test_a_start_that_was_not_repeated_yet_is_not_over() -> None:
    start = Start(10.0)
    start.repeated(kept(1))
    start.asked(1)
    assert not start.is_over(10.0)
    assert start.numbers([1], 10.0) == []
    assert start.is_over(10.0)
