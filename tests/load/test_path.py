"""What a poor path does with datagrams. There is neither a socket nor a clock."""

from __future__ import annotations

import random

import pytest
import trio
from trio.testing import MockClock

from roomfsm.load.path import HEADERS, Path, Way
from roomfsm.load.poor_peer import Deliveries

SIZE = 1000 - HEADERS
"""A datagram that is 1000 bytes on the path."""


def way(path: Path) -> Way:
    return Way(path, random.Random(1))


def test_a_path_without_anything_delays_nothing() -> None:
    assert way(Path()).arrival(SIZE, 5.0) == 5.0


def test_datagrams_wait_for_their_turn_at_the_rate_and_beyond_the_queue_they_are_dropped() -> None:
    slow = way(Path(rate=80_000, queue=0.25, delay=1.0))
    assert [slow.arrival(SIZE, 5.0) for _ in range(4)] == pytest.approx([6.1, 6.2, 6.3, None])
    # The queue is empty after a while.
    assert slow.arrival(SIZE, 9.0) == pytest.approx(10.1)


def test_each_direction_has_its_own_queue() -> None:
    chance = random.Random(1)
    there, back = (Way(Path(rate=80_000), chance) for _ in range(2))
    there.arrival(SIZE, 0.0)
    assert back.arrival(SIZE, 0.0) == pytest.approx(0.1)


def test_the_share_that_is_lost_is_lost() -> None:
    lossy = way(Path(loss=0.25))
    assert sum(lossy.arrival(SIZE, 0.0) is None for _ in range(4000)) == pytest.approx(1000, rel=0.1)


def test_in_an_outage_nothing_arrives_and_outages_come_again() -> None:
    path = way(Path(outage=2.0, every=10.0))
    lost = [second for second in range(10, 50) if path.arrival(SIZE, second) is None]
    assert len(lost) == 8
    assert [number % 10 for number in lost[:2]] == [number % 10 for number in lost[-2:]]


def test_jitter_is_added_up_to_its_bound() -> None:
    shaky = way(Path(delay=0.1, jitter=0.2))
    arrivals = [shaky.arrival(SIZE, 0.0) or 0 for _ in range(1000)]
    assert 0.1 <= min(arrivals) < 0.11
    assert 0.29 < max(arrivals) <= 0.3


async def test_deliveries_are_made_at_their_times_in_their_order(autojump_clock: MockClock) -> None:
    made: list[tuple[str, float]] = []
    deliveries = Deliveries()
    begin = trio.current_time()

    def put(at: float, what: str) -> None:
        deliveries.put(begin + at, lambda: made.append((what, trio.current_time() - begin)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(deliveries.run)
        put(3.0, "third")
        put(2.0, "second")
        await trio.sleep(1)
        put(1.0, "first")
        put(3.0, "fourth")
        await trio.sleep(3)
        nursery.cancel_scope.cancel()
    assert [what for what, _ in made] == ["first", "second", "third", "fourth"]
    assert [at for _, at in made] == pytest.approx([1, 2, 3, 3])
