"""The ledger names what only one side has, and nothing else, however objects come and go meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from roomfsm.kurento.objects import BandwidthLimits
from roomfsm.kurento.owner import Owner
from roomfsm.kurento.pool import MediaPool, open_media_pool
from roomfsm.kurento.session import Session
from roomfsm.kurento.stock import _SAMPLED, ENDPOINT, PIPELINE, Stock, Traffic
from tests.processes import media_server_program

PATIENCE = 60.0


@asynccontextmanager
async def pool_of(url: str, owner: Owner | None) -> AsyncIterator[tuple[MediaPool, Session]]:
    async with open_media_pool([url], owner=owner) as pool:
        await pool.wait_ready()
        session = pool._links[0].session
        assert session is not None
        yield pool, session


async def stock_of(pool: MediaPool) -> Stock:
    (stock,) = (await pool.take_stock(PATIENCE)).values()
    assert stock is not None
    return stock


async def test_what_is_held_is_reported_and_the_ledger_is_empty() -> None:
    with media_server_program() as (url, _):
        async with pool_of(url, None) as (pool, _), pool.pipeline({}) as pipeline:
            async with pipeline.endpoint(BandwidthLimits()), pipeline.endpoint(BandwidthLimits()):
                stock = await stock_of(pool)
                assert stock.held == stock.reported == {PIPELINE: 1, ENDPOINT: 2}
                assert (stock.only_here, stock.only_there) == ({}, {})
            assert (await stock_of(pool)).reported == {PIPELINE: 1}


async def test_a_leak_is_only_there_and_a_loss_is_only_here() -> None:
    with media_server_program() as (url, _):
        async with (
            pool_of(url, Owner("blue")) as (pool, session),
            pool.pipeline({}) as pipeline,
            pipeline.endpoint(BandwidthLimits()) as endpoint,
        ):
            params = {"type": ENDPOINT, "constructorParams": {"mediaPipeline": pipeline.id}}
            leaked = await session.request("create", params)
            stock = await stock_of(pool)
            assert (stock.only_here, stock.only_there) == ({}, {ENDPOINT: 1})
            await session.request("release", {"object": leaked["value"]})
            await session.request("release", {"object": endpoint.id})
            stock = await stock_of(pool)
            assert (stock.only_here, stock.only_there) == ({ENDPOINT: 1}, {})


async def test_a_leaked_pipeline_is_known_by_its_owners_tags() -> None:
    with media_server_program() as (url, _):
        owner = Owner("blue")
        async with pool_of(url, owner) as (pool, session):
            leaked = (await session.request("create", {"type": PIPELINE}))["value"]
            assert (await stock_of(pool)).only_there == {}  # It may be anybody's.
            for key, value in owner.tags.items():
                await session.invoke(leaked, "addTag", {"key": key, "value": value})
            assert (await stock_of(pool)).only_there == {PIPELINE: 1}


async def test_pipelines_of_other_room_servers_do_not_count_and_are_not_ended() -> None:
    with media_server_program() as (url, _):
        async with (
            pool_of(url, Owner("blue")) as (blue, _),
            pool_of(url, Owner("green")) as (green, _),
            green.pipeline({}) as theirs,
            theirs.endpoint(BandwidthLimits()) as endpoint,
            blue.pipeline({}),
        ):
            for _ in range(3):
                stock = await stock_of(blue)
                assert (stock.held, stock.reported) == ({PIPELINE: 1}, {PIPELINE: 1})
                assert (stock.only_here, stock.only_there) == ({}, {})
            assert await endpoint.is_connected() is False  # It still answers.


async def test_what_comes_and_goes_meanwhile_is_never_taken_for_a_leak_or_a_loss() -> None:
    with media_server_program() as (url, _), trio.fail_after(240):
        async with pool_of(url, Owner("blue")) as (pool, session):
            made = 0

            async def come_and_go() -> None:
                nonlocal made
                while True:
                    async with pool.pipeline({}) as pipeline, pipeline.endpoint(BandwidthLimits()):
                        made += 1

            async def give_up() -> None:
                """Begin what is cancelled at once, so that its objects arrive as orphans."""
                while True:
                    with trio.move_on_after(0.001):
                        async with pool.pipeline({}) as pipeline, pipeline.endpoint(BandwidthLimits()):
                            pass
                    await trio.lowlevel.checkpoint()

            async with trio.open_nursery() as nursery:
                for _ in range(8):
                    nursery.start_soon(come_and_go)
                nursery.start_soon(give_up)
                for _ in range(15):
                    stock = await stock_of(pool)
                    assert (stock.only_here, stock.only_there) == ({}, {}), made
                nursery.cancel_scope.cancel()
            assert made > 15
            while session.releasing or session.objects.total():  # noqa: ASYNC110
                await trio.sleep(0.01)
            stock = await stock_of(pool)
            assert (stock.held, stock.reported) == ({}, {})


def inbound(packets: int, lost: int, **more: object) -> dict[str, object]:
    entry = {"bytesReceived": 100 * packets, "packetsReceived": packets, "packetsLost": lost, "nackCount": 1}
    return {"a": {"type": "inboundrtp", **entry, **more}}


def test_traffic_adds_up_what_each_endpoint_has_counted_since_the_visit_before() -> None:
    traffic = Traffic()
    assert traffic.next_to_ask(["e1", "e2"]) == ["e1", "e2"]
    traffic.add("e1", inbound(10, 1))
    traffic.add("e2", inbound(5, 0))
    traffic.add("e1", inbound(30, 4))
    traffic.next_to_ask(["e2"])  # e1 has ended, and what it carried stays counted.
    traffic.add("e2", inbound(6, 0))
    assert traffic.totals["from_browsers", "packets"] == 36
    assert traffic.totals["from_browsers", "bytes"] == 3600
    assert traffic.totals["from_browsers", "lost"] == 4
    assert traffic.totals["to_browsers", "packets"] == 0
    traffic.add("e3", inbound(7, 2), relays=True)
    assert (traffic.totals["from_browsers", "packets"], traffic.totals["from_media_servers", "packets"]) == (36, 7)


def test_traffic_never_goes_back_and_bears_what_it_does_not_know() -> None:
    traffic = Traffic()
    traffic.add("e1", inbound(10, 5))
    traffic.add("e1", inbound(10, 3))  # packets that came late after all
    traffic.add("e1", {"x": 7, "y": {"type": "endpoint"}, "z": {"type": "inboundrtp", "bytesReceived": "many"}})
    traffic.add("e1", None)
    assert traffic.totals["from_browsers", "lost"] == 5
    assert traffic.totals["from_browsers", "packets"] == 10


def test_of_many_endpoints_each_has_its_turn() -> None:
    traffic, endpoints, asked = Traffic(), [f"e{number}" for number in range(3 * _SAMPLED)], set()
    for _ in range(3):
        turn = traffic.next_to_ask(endpoints)
        assert len(turn) == _SAMPLED
        for endpoint in turn:
            traffic.add(endpoint, inbound(1, 0))
        asked.update(turn)
    assert asked == set(endpoints)
