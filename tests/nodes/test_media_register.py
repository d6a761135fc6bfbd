"""Given media servers that nodes list and administrators add, then all nodes know the same ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import coredis
import pytest

from roomfsm.nodes import media_register
from roomfsm.nodes.media_register import MediaRegister, open_media_register
from roomfsm.rooms.media_servers import Registered
from roomfsm.store.interface import StoreCode, StoreError
from roomfsm.store.redis import Fence
from roomfsm.store.redis_keys import NODES, OWNER

ONE, TWO, HERE = "ws://one:8888/kurento", "ws://two:8888/kurento", "ws://127.0.0.1:8888/kurento"
DRAIN, USE, REMOVE = "drainMediaServer", "useMediaServer", "removeMediaServer"


class Registers:
    """The registers of nodes that are in Redis, and whose ids the test gives."""

    def __init__(self, url: str, client: coredis.Redis[bytes], stack: AsyncExitStack) -> None:
        self.url, self.client, self._stack = url, client, stack
        self.age = "first"

    async def of(self, node: str, own: Mapping[str, str | None] | None = None) -> MediaRegister:
        """A node joins that lists these media servers."""
        await self.join(node)
        opened = open_media_register(self.url, lambda: Fence(node, self.age), own or {})
        return await self._stack.enter_async_context(opened)

    async def join(self, node: str) -> None:
        await self.client.set(OWNER, f"nodes {self.age}")
        await self.client.hset(NODES, {node: "what others know of it"})

    async def leave(self, node: str) -> None:
        """A node is taken for dead, or has said goodbye."""
        await self.client.hdel(NODES, [node])


@asynccontextmanager
async def registers(redis: str) -> AsyncIterator[Registers]:
    async with coredis.Redis.from_url(redis) as client, AsyncExitStack() as stack:
        await client.flushdb()
        yield Registers(redis, client, stack)


async def test_what_a_node_lists_all_know_until_it_is_gone(redis: str) -> None:
    async with registers(redis) as nodes:
        one = await nodes.of("one/1", {ONE: "the secret of one", TWO: None})
        two = await nodes.of("two/2", {TWO: None})
        await one.look()
        both = {
            ONE: Registered("the secret of one", added=False, nodes=("one/1",)),
            TWO: Registered(None, added=False, nodes=("one/1", "two/2")),
        }
        assert await two.look() == both
        # Nothing is new at the next look.
        assert await two.look() is None
        assert await one.look() == both
        assert await one.look() is None
        await nodes.leave("one/1")
        assert await two.look() == {TWO: Registered(None, added=False, nodes=("two/2",))}


async def test_a_node_that_ends_soon_withdraws_what_ends_with_it(redis: str) -> None:
    async with registers(redis) as nodes:
        one, two = await nodes.of("one/1", {ONE: None, TWO: None}), await nodes.of("two/2", {TWO: None})
        await two.look()
        await one.look()
        one.withdraw(ONE)
        one.withdraw(TWO)
        assert set(await one.look() or ()) == {TWO}
        assert await two.look() == {TWO: Registered(None, added=False, nodes=("two/2",))}


async def test_what_is_added_at_one_node_all_know_whoever_is_gone(redis: str) -> None:
    async with registers(redis) as nodes:
        one, two = await nodes.of("one/1"), await nodes.of("two/2")
        assert await two.look() == {}
        await one.add(ONE, "its secret")
        added = {ONE: Registered("its secret", added=True)}
        assert (await one.look(), await two.look()) == (added, added)
        await nodes.leave("one/1")
        assert await two.look() is None
        await two.wish(ONE, REMOVE)
        assert await two.look() == {}
        assert await nodes.client.exists([media_register._ADDED]) == 0


async def test_what_an_administrator_wants_holds_at_all_nodes(redis: str) -> None:
    async with registers(redis) as nodes:
        one, two = await nodes.of("one/1", {ONE: None}), await nodes.of("two/2")
        await one.look()
        await two.wish(ONE, DRAIN)
        for node in (one, two):
            assert await node.look() == {ONE: Registered(None, added=False, nodes=("one/1",), wish=DRAIN)}
        await one.wish(ONE, USE)
        assert await two.look() == {ONE: Registered(None, added=False, nodes=("one/1",))}


async def test_what_was_taken_away_stays_away_while_somebody_lists_it(redis: str) -> None:
    async with registers(redis) as nodes:
        one, two = await nodes.of("one/1", {ONE: None}), await nodes.of("two/2", {ONE: None})
        await two.look()
        await one.wish(ONE, REMOVE)
        assert (await one.look(), await two.look()) == ({}, {})
        # The node that starts again lists it again, and another one still does.
        await nodes.leave("one/1")
        again = await nodes.of("one/3", {ONE: None})
        assert await again.look() == {}
        await two.add(ONE, None)
        assert await again.look() == {ONE: Registered(None, added=True, nodes=("one/3", "two/2"))}
        # With the last of them the wish is forgotten, too.
        await two.wish(ONE, REMOVE)
        await nodes.leave("two/2")
        await nodes.leave("one/3")
        alone = await nodes.of("three/4")
        assert await alone.look() == {}
        assert await nodes.client.exists([media_register._WISHES]) == 0


async def test_the_node_that_was_started_last_knows_the_secret(redis: str) -> None:
    async with registers(redis) as nodes:
        old, new = (
            await nodes.of("zoe/9", {ONE: "the old secret"}),
            await nodes.of("ada/10", {ONE: "the new secret"}),
        )
        await new.look()
        said = await old.look()
        assert said is not None
        assert said[ONE].secret == "the new secret"
        await old.add(ONE, "what an administrator says")
        said = await new.look()
        assert said is not None
        assert said[ONE].secret == "what an administrator says"


async def test_an_address_of_one_machine_is_known_only_there(redis: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with registers(redis) as nodes:
        one, near = await nodes.of("one/1", {HERE: None, ONE: None}), await nodes.of("near/2")
        await one.look()
        seen = await near.look()
        assert seen is not None
        assert set(seen) == {HERE, ONE}
        await near.wish(HERE, DRAIN)
        monkeypatch.setattr(media_register, "boot", lambda: "another machine")
        far = await nodes.of("far/3", {HERE: None})
        said = await far.look()
        assert said is not None
        assert said[HERE] == Registered(None, added=False, nodes=("far/3",))
        assert set(said) == {HERE, ONE}


async def test_a_redis_that_has_lost_everything_learns_it_anew(redis: str) -> None:
    async with registers(redis) as nodes:
        one, two = await nodes.of("one/1", {ONE: None}), await nodes.of("two/2")
        await one.add(TWO, "its secret")
        await one.wish(ONE, DRAIN)
        before = await one.look()
        assert await two.look() == before
        await nodes.client.flushdb()
        with pytest.raises(StoreError) as refused:
            await two.look()
        assert refused.value.code is StoreCode.FORGOTTEN
        nodes.age = "second"
        await nodes.join("two/2")
        said = await two.look()
        assert said == {TWO: Registered("its secret", added=True)}
        await nodes.join("one/1")
        assert await one.look() == before
        assert await two.look() == before


@pytest.mark.parametrize(
    "does", [MediaRegister.look, lambda one: one.add(ONE, None), lambda one: one.wish(ONE, USE)]
)
async def test_a_node_that_was_taken_for_dead_changes_nothing(
    redis: str, does: Callable[[MediaRegister], object]
) -> None:
    async with registers(redis) as nodes:
        one = await nodes.of("one/1", {ONE: None})
        await nodes.leave("one/1")
        with pytest.raises(StoreError):
            await does(one)  # type: ignore[misc]
        assert await nodes.client.keys("*media*") == set()
