"""Given nodes that send to each other, whatever happens to Redis, then all comes in order, and losses are told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import coredis
import msgspec
import pytest
import trio
import trio.testing

from roomfsm.nodes import bus as bus_module
from roomfsm.nodes.bus import Bus, open_bus
from roomfsm.nodes.exchange import Broken, Received
from roomfsm.nodes.link import Entry
from roomfsm.nodes.settings import BusSettings
from tests.mediaserver.tcp_relay import Relay, open_relay
from tests.nodes.company import client_of
from tests.ports import reserved_port
from tests.redis_server import redis_server

A, B, C = "ada/1", "bob/2", "cyd/3"


@pytest.fixture
async def redis(redis: str) -> str:
    async with coredis.Redis.from_url(redis) as client:
        await client.flushall()
    return redis


@pytest.fixture
def without_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """No link asks anything, so that nothing is under way but what the test sends, and nothing is trimmed."""
    monkeypatch.setattr(bus_module, "_TICK", 3600.0)


@asynccontextmanager
async def relay_to(url: str) -> AsyncIterator[tuple[Relay, str]]:
    async with open_relay(url) as relay:
        yield relay, relay.url.replace("ws://", "redis://")


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    while not await holds():  # noqa: ASYNC110 - Redis has no event for it
        await trio.sleep(0.01)


async def until_there(url: str, node: str, count: int) -> None:
    """So many messages are in the stream of the node."""

    async def are_there() -> bool:
        return sum(len(entry.messages) for entry in await entries(url, node)) >= count

    await until(are_there)


async def entries(url: str, node: str) -> list[Entry]:
    """What is in the stream of a node, without entries that only ask."""
    async with client_of(url) as client:
        found = await client.xrange("{roomfsm}:in:" + node)
    data = (one.field_values[b"e"] for one in found)
    decoded = [msgspec.msgpack.decode(one, type=Entry) for one in data if isinstance(one, bytes)]
    return [entry for entry in decoded if entry.messages]


async def until_come(bus: Bus) -> None:
    """Something has come that the user can take. While the user does not, the bus reads nothing more."""

    async def has_come() -> bool:
        return bool(bus._came)

    await until(has_come)


async def until_written(bus: Bus) -> None:
    """Redis has everything, and the bus knows that."""

    async def is_written() -> bool:
        return not bus._due

    await until(is_written)


async def until_idle(bus: Bus, node: str) -> None:
    """The bus knows that the other node has taken everything."""

    async def knows() -> bool:
        return not bus._links[node]._sizes

    await until(knows)


async def taken(bus: Bus, count: int) -> list[Received | Broken]:
    return [await anext(bus) for _ in range(count)]


async def until_broken(bus: Bus, node: str) -> list[bytes]:
    """Take what comes up to the break with this node, and return the messages."""
    messages: list[bytes] = []
    async for event in bus:
        if isinstance(event, Broken):
            assert event == Broken(node)
            return messages
        messages.append(event.message)
    raise AssertionError("it ended")


async def works(one: Bus, other: Bus) -> None:
    """What is sent now arrives, in both directions, and nothing else."""
    for sender, receiver in ((one, other), (other, one)):
        sender.send(receiver.me, b"works")
        assert await anext(receiver) == Received(sender.me, b"works")


async def test_messages_come_in_order_from_many_to_many(anywhere: str) -> None:
    nodes = [f"node{number}/{number}" for number in range(4)]
    async with AsyncExitStack() as stack:
        await (await stack.enter_async_context(client_of(anywhere))).flushall()
        buses = [await stack.enter_async_context(open_bus(anywhere, node)) for node in nodes]

        async def say(bus: Bus) -> None:
            for number in range(300):
                for to in nodes:
                    if to != bus.me:
                        bus.send(to, f"{bus.me} to {to}: {number}".encode())
                if number % 7 == 0:
                    await trio.lowlevel.checkpoint()

        async def hear(bus: Bus) -> None:
            heard: dict[str, list[bytes]] = {node: [] for node in nodes if node != bus.me}
            for _ in range(300 * len(heard)):
                event = await anext(bus)
                assert isinstance(event, Received)
                heard[event.sender].append(event.message)
            for node, messages in heard.items():
                assert messages == [f"{node} to {bus.me}: {number}".encode() for number in range(300)]

        async with trio.open_nursery() as nursery:
            for bus in buses:
                nursery.start_soon(say, bus)
                nursery.start_soon(hear, bus)


async def test_what_one_turn_brings_is_one_entry_for_each_node(redis: str) -> None:
    async with open_bus(redis, A) as ada:
        for number in range(50):
            ada.send(B, b"%d" % number)
            ada.send(C, b"%d" % number)
        for node in (B, C):
            await until_there(redis, node, 50)
            (entry,) = await entries(redis, node)
            assert entry.messages == [b"%d" % number for number in range(50)]


async def test_what_comes_while_a_write_is_under_way_is_one_entry(redis: str, without_ticks: None) -> None:
    async with relay_to(redis) as (relay, url), open_bus(url, A) as ada:
        ada.send(B, b"before")
        await until_there(redis, B, 1)
        await until_written(ada)
        relay.hold_answers()
        ada.send(B, b"under way")
        await until_there(redis, B, 2)
        for number in range(3):
            ada.send(B, b"%d" % number)
            await trio.testing.wait_all_tasks_blocked()
        assert len(await entries(redis, B)) == 2
        relay.release_answers()
        await until_there(redis, B, 5)
        assert [entry.messages for entry in await entries(redis, B)][2:] == [[b"0", b"1", b"2"]]


async def test_messages_may_be_large_and_empty(redis: str) -> None:
    async with open_bus(redis, A) as ada, open_bus(redis, B) as bob:
        messages = [bytes([number]) * 1_048_576 for number in range(8)] + [b""]
        for message in messages:
            ada.send(B, message)
        assert await taken(bob, 9) == [Received(A, message) for message in messages]


async def test_what_was_read_is_trimmed(redis: str) -> None:
    async with open_bus(redis, A) as ada, open_bus(redis, B) as bob, client_of(redis) as client:
        await client.config_resetstat()
        for number in range(250):
            ada.send(B, b"%d" % number)
            assert await anext(bob) == Received(A, b"%d" % number)

        async def are_empty() -> bool:
            return await client.xlen("{roomfsm}:in:" + A) == await client.xlen("{roomfsm}:in:" + B) == 0

        await until(are_empty)
        commands: Any = await client.info("commandstats")
        assert commands["cmdstat_xtrim"]["calls"] < 125
        await works(ada, bob)


async def test_a_redis_that_keeps_its_data_is_started_again_and_nothing_is_lost(tmp_path: Path) -> None:
    disk = ("--appendonly", "yes", "--appendfsync", "always")
    with reserved_port() as port:
        async with AsyncExitStack() as stack:
            with redis_server(tmp_path, *disk, port=port) as url:
                ada = await stack.enter_async_context(open_bus(url, A))
                bob = await stack.enter_async_context(open_bus(url, B))
                await works(ada, bob)
                ada.send(C, b"before")
                await until_there(url, C, 1)
            for number in range(20):
                ada.send(B, b"%d" % number)
                bob.send(A, b"%d" % number)
                await trio.testing.wait_all_tasks_blocked()
            ada.send(C, b"meanwhile")
            with redis_server(tmp_path, *disk, port=port):
                assert await taken(bob, 20) == [Received(A, b"%d" % number) for number in range(20)]
                assert await taken(ada, 20) == [Received(B, b"%d" % number) for number in range(20)]
                cyd = await stack.enter_async_context(open_bus(url, C))
                assert await taken(cyd, 2) == [Received(A, b"before"), Received(A, b"meanwhile")]
                await works(ada, bob)


async def test_a_redis_that_comes_back_without_its_data_breaks_the_links_that_have_lost_something(
    tmp_path: Path,
) -> None:
    with reserved_port() as port:
        async with AsyncExitStack() as stack:
            with redis_server(tmp_path, port=port) as url:
                ada = await stack.enter_async_context(open_bus(url, A))
                bob = await stack.enter_async_context(open_bus(url, B))
                await works(ada, bob)
                ada.send(C, b"lost")
                await until_there(url, C, 1)
            with redis_server(tmp_path, port=port):
                cyd = await stack.enter_async_context(open_bus(url, C))
                # Nobody sends anything: the loss of a last message is found, too.
                assert await until_broken(cyd, A) == []
                assert await until_broken(ada, C) == []
                await works(ada, cyd)
                await works(ada, bob)


async def test_a_redis_that_is_emptied_loses_what_was_not_read(redis: str) -> None:
    async with open_bus(redis, A) as ada, open_bus(redis, B) as bob, client_of(redis) as client:
        ada.send(B, b"read")
        await until_come(bob)
        ada.send(B, b"lost")
        await until_there(redis, B, 2)
        await client.flushall()
        assert await until_broken(bob, A) == [b"read"]
        assert await until_broken(ada, B) == []
        await works(ada, bob)


async def test_a_redis_that_gives_lower_ids_than_before_is_read(redis: str) -> None:
    async with open_bus(redis, A) as ada, open_bus(redis, B) as bob, client_of(redis) as client:
        unreadable = await client.xadd("{roomfsm}:in:" + B, {"e": b"?"}, identifier="99999999999999-0")
        assert unreadable == b"99999999999999-0"

        async def is_trimmed() -> bool:
            return await client.xlen("{roomfsm}:in:" + B) == 0

        await until(is_trimmed)
        await client.flushall()
        await works(ada, bob)


async def test_connections_that_are_cut_lose_nothing(redis: str) -> None:
    async with relay_to(redis) as (relay, url), open_bus(url, A) as ada, open_bus(url, B) as bob:
        for number in range(60):
            ada.send(B, b"%d" % number)
            bob.send(A, b"%d" % number)
            if number % 10 == 5:
                relay.cut()
            if number % 10 == 9:
                # Ten each, so that connections are cut while something is under way.
                for bus, other in ((ada, B), (bob, A)):
                    tens = range(number - 9, number + 1)
                    assert await taken(bus, 10) == [Received(other, b"%d" % one) for one in tens]
            await trio.lowlevel.checkpoint()


async def test_what_is_written_with_an_unknown_result_is_repeated_and_comes_once(
    redis: str, without_ticks: None
) -> None:
    async with relay_to(redis) as (relay, url), open_bus(url, A) as ada, open_bus(redis, B) as bob:
        await works(ada, bob)
        await until_written(ada)
        relay.hold_answers()
        ada.send(B, b"one")
        assert await anext(bob) == Received(A, b"one")
        ada.send(B, b"two")
        relay.cut()
        relay.release_answers()
        assert await anext(bob) == Received(A, b"two")
        await works(ada, bob)


async def test_a_connection_on_which_nothing_comes_is_given_up(
    redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_module, "_PATIENCE", 0.5)
    async with relay_to(redis) as (relay, url), open_bus(url, A) as ada, open_bus(redis, B) as bob:
        await works(ada, bob)
        await until_written(ada)
        relay.hold_answers()
        ada.send(B, b"one")
        bob.send(A, b"one")

        async def are_new() -> bool:
            return relay.accepted > 3

        await until(are_new)
        relay.release_answers()
        ada.send(B, b"two")
        assert await taken(bob, 2) == [Received(A, b"one"), Received(A, b"two")]
        assert await anext(ada) == Received(B, b"one")
        await works(ada, bob)


async def test_a_user_who_does_not_take_what_comes_breaks_the_link(redis: str) -> None:
    settings = BusSettings(bus_queue=20)
    async with open_bus(redis, A, settings) as ada, open_bus(redis, B) as bob, open_bus(redis, C) as cyd:
        ada.send(B, b"0")
        await until_come(bob)
        for number in range(1, 22):
            ada.send(B, b"%d" % number)
        assert await until_broken(ada, B) == []
        # What was written before the break is in the stream, or not.
        messages = await until_broken(bob, A)
        assert messages == [b"%d" % number for number in range(len(messages))]
        await works(ada, bob)
        await works(ada, cyd)


async def test_a_redis_that_is_away_for_too_long_breaks_the_links(tmp_path: Path) -> None:
    settings = BusSettings(bus_queue_bytes=1000)
    with reserved_port() as port:
        async with AsyncExitStack() as stack:
            with redis_server(tmp_path, "--appendonly", "yes", port=port) as url:
                ada = await stack.enter_async_context(open_bus(url, A, settings))
                bob = await stack.enter_async_context(open_bus(url, B))
                await works(ada, bob)
                await until_idle(ada, B)
            for _ in range(10):
                ada.send(B, bytes(100))
            with trio.move_on_after(0) as nothing:
                await anext(ada)
            assert nothing.cancelled_caught
            ada.send(B, b"one byte is too much")
            assert await anext(ada) == Broken(B)
            ada.send(B, b"from now on")
            with redis_server(tmp_path, "--appendonly", "yes", port=port):
                assert await taken(bob, 2) == [Broken(A), Received(A, b"from now on")]
                await works(ada, bob)


async def test_a_node_that_is_forgotten_gets_nothing_and_gives_nothing(redis: str, without_ticks: None) -> None:
    async with (
        relay_to(redis) as (relay, url),
        client_of(redis) as client,
        open_bus(url, A) as ada,
        open_bus(redis, B) as bob,
        open_bus(redis, C) as cyd,
    ):
        await works(ada, bob)
        await works(ada, cyd)
        bob.send(A, b"not taken")
        await until_come(ada)
        await until_written(ada)
        relay.hold_answers()
        ada.send(B, b"under way")
        assert await anext(bob) == Received(A, b"under way")
        ada.send(B, b"waits")
        ada.forget(B)
        ada.send(B, b"too late")
        relay.release_answers()

        async def is_deleted() -> bool:
            return not await client.exists(["{roomfsm}:in:" + B])

        await until(is_deleted)
        bob.send(A, b"from one who is gone")
        await until_there(redis, A, 4)
        await works(ada, cyd)
        bob.send(C, b"still there")
        assert await anext(cyd) == Received(B, b"still there")
        assert await is_deleted()


async def test_a_stream_that_takes_nothing_does_not_hold_up_the_others(redis: str) -> None:
    async with open_bus(redis, A) as ada, open_bus(redis, B) as bob, client_of(redis) as client:
        await client.set("{roomfsm}:in:" + C, b"no stream")
        for number in range(5):
            ada.send(C, b"%d" % number)
            ada.send(B, b"%d" % number)
            assert await anext(bob) == Received(A, b"%d" % number)
        await client.delete(["{roomfsm}:in:" + C])
        async with open_bus(redis, C) as cyd:
            assert await taken(cyd, 5) == [Received(A, b"%d" % number) for number in range(5)]


async def test_what_cannot_be_read_is_a_loss(redis: str) -> None:
    async with open_bus(redis, A) as ada, open_bus(redis, B) as bob, client_of(redis) as client:
        await client.xadd("{roomfsm}:in:" + B, {"e": b"?"})
        await works(ada, bob)
        unknown = msgspec.msgpack.encode(Entry(C, 1, 7, 0, False, [b"?"]))
        await client.xadd("{roomfsm}:in:" + B, {"e": unknown})
        assert await anext(bob) == Broken(C)


async def test_a_node_sends_nothing_to_itself(redis: str) -> None:
    async with open_bus(redis, A) as ada:
        with pytest.raises(AssertionError):
            ada.send(A, b"?")
