"""The model of docs/scaling.md: its arithmetic, and that its simulation queues as theory says."""

from __future__ import annotations

import random

import pytest
import trio
from trio.testing import MockClock

from tests.bench.scaling import RELAYS, VIEWS, People, Station, death, need, other_nodes, spent, tree


@pytest.mark.parametrize(
    ("viewers", "servers", "depth"),
    [(1, 1, 0), (VIEWS, 1, 0), (VIEWS + 1, 2, 1), (9 * (VIEWS - 1) + 1, 9, 1), (9 * (VIEWS - 1) + 2, 10, 2)],
)
def test_a_relay_takes_the_place_of_a_view_and_levels_are_filled_one_after_the_other(
    viewers: int, servers: int, depth: int
) -> None:
    found = tree(viewers)
    assert (found.servers, found.depth) == (servers, depth)
    # All places of all servers, without those of the relays.
    assert servers * VIEWS - (servers - 1) >= viewers
    assert (servers - 1) * VIEWS - max(servers - 2, 0) < viewers
    assert RELAYS == 8


def test_of_one_node_nobody_is_elsewhere_and_of_many_nodes_everybody_is() -> None:
    assert other_nodes(10, 1) == 0
    assert other_nodes(1, 2) == 0.5
    assert other_nodes(10, 1_000_000) == pytest.approx(10, rel=0.001)


def test_one_node_sends_nothing_to_others() -> None:
    assert spent(10, 1, lines=5, told=50, visits=1).bus == 0
    assert spent(10, 3, lines=5, told=50, visits=1).bus > 10


def test_twice_the_people_need_twice_the_media_servers_and_no_node_is_more_than_half_busy() -> None:
    few, many = need(People(1_000, 10)), need(People(2_000, 10))
    assert many.media_bits == 2 * few.media_bits
    assert many.media_servers == pytest.approx(2 * few.media_servers, abs=1)
    people = People(10_000, 10)
    found = need(people)
    lines = people.rooms * people.lines
    does = spent(10, found.nodes, lines, 10 * lines, people.people / people.stay)
    assert does.cores / found.nodes <= 0.5


async def test_a_core_that_is_half_busy_makes_work_wait_as_long_as_it_takes(autojump_clock: MockClock) -> None:
    random.seed(1)
    core = Station()
    took: list[float] = []

    async def ask() -> None:
        began = trio.current_time()
        await core.work(0.01)
        took.append(trio.current_time() - began)

    async with trio.open_nursery() as nursery:
        for _ in range(4000):
            await trio.sleep(random.expovariate(50))
            nursery.start_soon(ask)
    # The mean time in an M/M/1 queue is 1 / (100 - 50) s.
    assert sum(took) / len(took) == pytest.approx(0.02, rel=0.15)


async def test_more_nodes_take_up_the_rooms_of_a_dead_one_sooner(autojump_clock: MockClock) -> None:
    random.seed(1)
    few, many = await death(People(200, 2), 1), await death(People(200, 2), 4)
    assert 1.3 * 4.0 < many.rooms < few.rooms
    assert many.people < 1.3 * 4.0 + 5 + 1
