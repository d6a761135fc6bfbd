"""Whatever happens to nodes and to Redis, a room lives on one node, and only that one writes to it."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from roomfsm.nodes import membership
from roomfsm.store.interface import Append, Forget, Past, Snapshot, StoreCode, StoreError
from roomfsm.store.redis import Fence, open_redis
from roomfsm.store.redis_keys import HOME
from tests.nodes.company import SHORT, Company, Node, company, until
from tests.ports import reserved_port
from tests.processes import LOADED
from tests.redis_server import redis_server


async def until_homes(all_: Company, *nodes: Node, rooms: set[str]) -> None:
    """Returns when all these rooms, and no others, live on these nodes, which know that."""
    with trio.fail_after(LOADED):
        while True:
            homes = await all_.homes()
            there = {room: node.id for node in nodes for room in node.here}
            if homes == there and homes.keys() == rooms:
                return
            await trio.sleep(0.02)


async def test_nodes_know_each_other_and_what_is_there(redis: str) -> None:
    async with company(redis) as all_:
        ada, bob = await all_.join("ada"), await all_.join("bob", SHORT)
        assert (ada.state, ada.membership.holds) == ("member", True)
        assert ada.id.startswith("ada/")
        ada.people = 7
        ada.membership.hurry()
        await until(lambda: [(one.id, one.info.people) for one in bob.membership.nodes] == [(ada.id, 7)])


async def test_a_room_lives_where_it_was_asked_for_first(redis: str) -> None:
    async with company(redis) as all_:
        ada, bob = await all_.join("ada"), await all_.join("bob")
        await ada.open("blue")
        assert await bob.membership.home_of("blue") == ada.id
        assert await bob.membership.home_of_token(b"token of blue") == ada.id
        assert await bob.membership.home_of_token(b"another") is None
        assert await bob.store.commit([Append("blue", 1, (b"no",))]) == ("blue",)
        assert await ada.store.commit([Append("blue", 1, (b"yes",)), Forget("blue")]) == ()
        assert await bob.membership.home_of("blue") == bob.id


async def test_a_new_room_begins_where_clearly_fewer_people_are(redis: str) -> None:
    async with company(redis) as all_:
        ada = await all_.join("ada")
        ada.people = 100
        await all_.join("cyd")
        bob = await all_.join("bob")
        bob.people = 49
        for node in (bob, ada):
            # Each tells the others, and learns of them.
            await node.membership._take_turn()
        assert (await ada.membership.home_of("blue")).startswith("cyd/")
        assert await bob.membership.home_of("red") == bob.id
        ada.people = 49
        assert await ada.membership.home_of("green") == ada.id


async def test_a_draining_node_begins_no_rooms_and_hands_over_its_own(redis: str) -> None:
    async with company(redis) as all_:
        ada, bob = await all_.join("ada"), await all_.join("bob", 2.0)
        await ada.open("blue")
        ada.membership.drain()
        await until(lambda: any(one.info.draining for one in bob.membership.nodes))
        await ada.membership._take_turn()
        assert await ada.membership.home_of("red") == bob.id
        assert not await ada.membership.hand_over("red", bob.id), "it gave away what was not its own"
        assert not await ada.membership.hand_over("blue", "nobody/1")
        assert await ada.membership.hand_over("blue", bob.id)
        assert await ada.store.commit([Append("blue", 1, (b"late",))]) == ("blue",)
        await until(lambda: "blue" in bob.here)
        assert await bob.writes(Append("blue", 1, (b"mine",))) == ()


async def test_a_room_that_nobody_entered_lives_nowhere_again(redis: str) -> None:
    async with company(redis) as all_:
        ada, bob = await all_.join("ada"), await all_.join("bob")
        await ada.membership.home_of("blue")
        assert not await bob.membership.let_go("blue")
        assert await ada.membership.let_go("blue")
        await ada.open("red")
        assert not await ada.membership.let_go("red")
        assert await all_.homes() == {"red": ada.id}


async def test_who_leaves_gives_its_rooms_to_the_others_and_the_last_ones_wait_for_the_next(redis: str) -> None:
    async with company(redis) as all_:
        ada, bob = await all_.join("ada"), await all_.join("bob", 2.0)
        for room in ("blue", "red", "green"):
            await ada.open(room)
        await ada.membership.leave()
        assert ada.state == "gone"
        assert await all_.homes() == dict.fromkeys(("blue", "red", "green"), bob.id)
        await until(lambda: bob.here.keys() == {"blue", "red", "green"})
        await bob.membership.leave()
        assert await all_.client.hgetall(HOME) == {}
        cyd = await all_.join("cyd", SHORT)
        await until(lambda: cyd.here.keys() == {"blue", "red", "green"})
        await until_homes(all_, cyd, rooms={"blue", "red", "green"})


async def test_what_redis_answers_after_a_goodbye_changes_nothing(
    redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with company(redis) as all_:
        ada = await all_.join("ada", SHORT)
        under_way, go_on = trio.Event(), trio.Event()
        beat = ada.membership._ledger.beat

        async def slow(*arguments: object) -> object:
            under_way.set()
            await go_on.wait()
            return await beat(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(ada.membership._ledger, "beat", slow)
        await until(under_way.is_set)
        await ada.membership.leave()
        # Redis does not know the node any more.
        go_on.set()
        await wait_all_tasks_blocked(0.05)
        assert (ada.state, ada.given_up) == ("gone", [])


async def test_a_node_that_is_killed_loses_its_rooms_to_the_others(redis: str) -> None:
    async with company(redis) as all_:
        ada, bob, cyd = [await all_.join(name, SHORT) for name in ("ada", "bob", "cyd")]
        for number in range(6):
            await bob.open(f"room {number}")
        old = bob.id
        bob.relay.cut()
        await until(lambda: bob.state == "cut_off" and not bob.membership.holds)
        with pytest.raises(StoreError):
            await bob.membership.home_of("room 0")
        await until(lambda: old in ada.gone and old in cyd.gone)
        await until_homes(all_, ada, cyd, rooms={f"room {number}" for number in range(6)})
        if not (ada.given_up or cyd.given_up):
            assert len(ada.here) == len(cyd.here) == 3, "the rooms are not spread"


async def test_a_node_that_was_cut_off_comes_back_without_its_rooms_and_under_another_id(redis: str) -> None:
    async with company(redis) as all_:
        ada, bob = await all_.join("ada", SHORT), await all_.join("bob", SHORT)
        await bob.open("blue")
        old = bob.membership.fence
        bob.relay.cut()
        await until(lambda: old.node in ada.gone)
        bob.relay.mend()
        await until(lambda: bob.state == "member" and bob.id != old.node)
        assert {"blue"} in bob.given_up
        assert "cut_off outlived joining member" in " ".join(bob.moves)
        # A write that was on its way since then.
        async with open_redis(redis, "bob", lambda: old) as zombie:
            assert await zombie.commit([Append("blue", 1, (b"late",)), Snapshot("new", 0, b"late")]) == (
                "blue",
                "new",
            )
        await until_homes(all_, ada, bob, rooms={"blue"})


async def test_a_node_that_stands_still_past_its_lease_may_go_on_unless_it_was_reaped(
    redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with company(redis) as all_:
        bob = await all_.join("bob", SHORT)
        await bob.open("blue")
        still, may_beat = trio.Event(), trio.Event()
        beat = bob.membership._ledger.beat

        async def stand_still(*arguments: object) -> object:
            still.set()
            with trio.CancelScope(shield=True):
                await may_beat.wait()
            return await beat(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(bob.membership._ledger, "beat", stand_still)
        await still.wait()
        while await all_.client.exists([f"{{roomfsm}}:lease:{bob.id}"]):
            await wait_all_tasks_blocked(0.01)
        await until(lambda: not bob.membership.holds)
        # Nobody else is there who could have the room.
        assert await bob.store.commit([Append("blue", 1, (b"still mine",))]) == ()
        await all_.reap(bob.membership.fence)
        assert await bob.store.commit([Append("blue", 2, (b"late",))]) == ("blue",)
        may_beat.set()
        await until(lambda: bob.given_up == [{"blue"}] and bob.state == "member")
        assert await bob.store.read("blue") == Past(None, 0, (b"opened", b"still mine"))


async def test_a_name_is_taken_while_its_node_runs(redis: str) -> None:
    async with company(redis) as all_:
        ada = await all_.join("ada")
        await all_.refuses(ada, Node("ada", SHORT))
        await ada.membership.leave()
        bob = await all_.join("bob", SHORT)
        await bob.open("blue")
        old = bob.id
        bob.relay.cut()
        again = await all_.join("bob", SHORT)
        assert again.id != old
        await until_homes(all_, again, rooms={"blue"})


async def test_a_node_that_was_killed_on_this_machine_is_replaced_at_once(
    redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with company(redis) as all_:
        old = await all_.join("ada")
        await old.open("blue")
        old.relay.cut()
        monkeypatch.setattr(membership, "has_ended", lambda process: process == old.membership._process)
        ada = await all_.join("ada", SHORT)
        await until_homes(all_, ada, rooms={"blue"})


async def test_a_server_alone_and_nodes_exclude_each_other(redis: str) -> None:
    async with company(redis) as all_:
        alone = await all_.alone()
        await alone.commit([Append("blue", 0, (b"opened",))])
        bob = await all_.join("bob", 2.0)
        with pytest.raises(StoreError) as raised:
            await alone.commit([Append("blue", 1, (b"late",))])
        assert raised.value.code is StoreCode.TAKEN
        await until_homes(all_, bob, rooms={"blue"})
        with pytest.raises(StoreError) as raised:
            await all_.alone()
        assert raised.value.code is StoreCode.TAKEN
        assert bob.id in raised.value.detail
        await bob.membership.leave()
        await (await all_.alone()).commit([Append("blue", 1, (b"two",))])


# What happens to Redis


async def test_a_redis_that_has_lost_its_data_learns_from_the_nodes_where_rooms_live(redis: str) -> None:
    async with company(redis) as all_:
        ada, bob = await all_.join("ada", 2.0), await all_.join("bob", 2.0)
        await ada.open("blue")
        await bob.open("red")
        ids, age = (ada.id, bob.id), ada.membership.fence.age
        await all_.client.flushall()
        # Whoever asks meanwhile is not made the home of a room that has one.
        with trio.fail_after(LOADED):
            home = None
            while home is None:
                try:
                    home = await bob.membership.home_of("blue")
                except StoreError:
                    await trio.sleep(0.01)
            assert home == ada.id
        for node, room in ((ada, "blue"), (bob, "red")):
            assert await node.writes(Snapshot(room, 1, b"anew")) == ()
        await until_homes(all_, ada, bob, rooms={"blue", "red"})
        assert (ada.id, bob.id) == ids
        assert ada.membership.fence.age != age
        assert (ada.given_up, bob.given_up, ada.gone, bob.gone) == ([], [], [], [])
        async with open_redis(redis, "ada", lambda: Fence(ada.id, age)) as late:
            with pytest.raises(StoreError) as raised:
                await late.commit([Append("blue", 1, (b"late",))])
            assert raised.value.code is StoreCode.FORGOTTEN


@pytest.mark.parametrize("keeps", [True, False])
async def test_when_redis_was_away_for_longer_than_a_lease_nobody_loses_a_room(
    tmp_path: Path, keeps: bool
) -> None:
    disk = ("--appendonly", "yes", "--appendfsync", "always") if keeps else ()
    with reserved_port() as port:
        first = redis_server(tmp_path, *disk, port=port)
        url = first.__enter__()
        async with company(url) as all_:
            nodes = [await all_.join(name, 2.0) for name in ("ada", "bob", "cyd")]
            for node in nodes:
                await node.open(f"room of {node.name}")
            ids = [node.id for node in nodes]
            first.__exit__(None, None, None)
            await until(lambda: {node.state for node in nodes} == {"cut_off"})
            with redis_server(tmp_path, *disk, port=port):
                await until(lambda: {node.state for node in nodes} == {"member"})
                for node in nodes:
                    write = Append(f"room of {node.name}", 1, (b"two",))
                    assert await node.writes(write if keeps else Snapshot(write.room, 1, b"all")) == ()
                await until_homes(all_, *nodes, rooms={f"room of {node.name}" for node in nodes})
                assert [node.id for node in nodes] == ids
                assert [node.given_up for node in nodes] == [[]] * 3
