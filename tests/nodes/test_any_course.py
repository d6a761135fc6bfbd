"""Whatever nodes do in whatever order, and whoever is taken for dead, each room has one writer and loses nothing.

Nodes here are what Redis sees of them: they ask, and act on the answers, as late as they like. A node that takes a
room up reads it and goes on from there, as a server does. Each goes on until Redis says that the room is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import trio
from hypothesis import given
from hypothesis import strategies as st

from roomfsm.nodes.ledger import Home, Info, Ledger, Reaped, open_ledger
from roomfsm.store.interface import Append, Forget, Snapshot
from roomfsm.store.redis import Fence, RedisStore, open_redis
from roomfsm.store.redis_keys import HOME, NODES
from tests.examples import examples
from tests.nodes.company import LONG, Client, client_of

NAMES = ("ada", "bob", "cyd")
ROOMS = ("blue", "red")
name, room = st.sampled_from(NAMES), st.sampled_from(ROOMS)
actions = st.one_of(
    st.tuples(st.sampled_from(["join", "beat", "beat", "reap", "leave"]), name),
    st.tuples(st.just("ask"), name, room),
    st.tuples(st.just("hand over"), name, room, name),
    st.tuples(st.sampled_from(["write", "write", "write", "snapshot", "forget"]), st.integers(0, 7)),
)

BEGINNING: list[Action] = [
    *(("join", who) for who in NAMES),
    *(("ask", "ada", where) for where in ROOMS),
    *(("write", number) for number in range(2)),
]
"""Otherwise most courses would be about nobody."""

type Action = tuple[str | int, ...]


@dataclass
class Task:
    """A room as a node has it. It writes from this position on."""

    fence: Fence
    room: str
    position: int
    late: bool = False
    """Whether the node has handed the room over. It should not write any more."""


@dataclass
class World:
    ledger: Ledger
    store: RedisStore
    client: Client
    fences: dict[str, Fence] = field(default_factory=dict)
    """The nodes that believe to be registered."""
    tasks: list[Task] = field(default_factory=list)
    told: dict[str, list[bytes]] = field(default_factory=dict)
    """What each room must contain."""
    writer: Fence = field(default_factory=lambda: Fence("", ""))
    written: int = 0

    async def act(self, action: Action) -> None:
        match action:
            case ("join", str(who)):
                await self._join(who)
            case ("write" | "snapshot" | "forget" as what, int(number)) if self.tasks:
                await self._write(str(what), self.tasks[number % len(self.tasks)])
            case (str(what), str(who), *about) if who in self.fences:
                await self._as(what, self.fences[who], [str(one) for one in about])

    async def _join(self, who: str) -> None:
        fence = await self.ledger.register(Info(who), None)
        if isinstance(fence, Fence):
            assert fence not in (task.fence for task in self.tasks), "an id was used again"
            self.fences[who] = fence

    async def _as(self, what: str, me: Fence, about: list[str]) -> None:
        who = me.node.partition("/")[0]
        match what, about:
            case "beat", []:
                try:
                    due, _ = await self.ledger.beat(me, Info(who), 1, ())
                except Reaped:
                    del self.fences[who]
                else:
                    for one in due:
                        await self._take_up(me, one)
                    # The next beat says that we have learned that.
                    await self.ledger.beat(me, Info(who), 2, due)
            case (("reap" | "leave"), []):
                await self.ledger.reap(me.age, me.node, for_sure=True)
                if what == "leave":
                    del self.fences[who]
            case "ask", [one]:
                home = await self.ledger.home_of(me.age, one, me.node)
                assert isinstance(home, Home)
                if home == Home(me.node, alive=True):
                    await self._take_up(me, one)
            case "hand over", [one, to] if to in self.fences:
                handed = await self.ledger.hand_over(me, one, self.fences[to].node)
                for task in self.tasks:
                    task.late = task.late or (handed and to != who and (task.fence, task.room) == (me, one))

    async def _take_up(self, me: Fence, name_of_room: str) -> None:
        if not any((task.fence, task.room, task.late) == (me, name_of_room, False) for task in self.tasks):
            past = await self.store.read(name_of_room)
            # A node ends what it had of the room before.
            self.tasks = [task for task in self.tasks if (task.fence, task.room) != (me, name_of_room)]
            self.tasks.append(Task(me, name_of_room, past.next))

    async def _write(self, what: str, task: Task) -> None:
        self.written += 1
        event = f"{self.written} by {task.fence.node}".encode()
        before = self.told.get(task.room, [])
        right = task.position == len(before) if what != "forget" else True
        home = (await self.client.hget(HOME, task.room) or b"").decode()
        if task.late and not home:
            # Whoever writes to a room after it was handed over and has ended would begin it anew.
            self.tasks.remove(task)
            return
        registered = bool(await self.client.hexists(NODES, task.fence.node))
        self.writer = task.fence
        if what == "write":
            lost = await self.store.commit([Append(task.room, task.position, (event,))])
        elif what == "snapshot":
            lost = await self.store.commit([Snapshot(task.room, task.position, b" ".join(before))])
        else:
            lost = await self.store.commit([Forget(task.room)])
        may = registered and home in (task.fence.node, "") and right
        assert bool(lost) is not may, f"{what} by {task}, and the room lives on {home!r}"
        if lost:
            self.tasks.remove(task)
        elif what == "write":
            self.told[task.room] = [*before, event]
            task.position += 1
        elif what == "snapshot":
            self.told[task.room] = before
        else:
            self.told.pop(task.room, None)
            self.tasks.remove(task)

    async def check(self) -> None:
        nodes = set(await self.client.hkeys(NODES))
        homes = await self.client.hgetall(HOME)
        assert set(homes.values()) <= nodes, "a room lives on a node that nobody knows"
        stored = await self.store.rooms()
        assert stored == sorted(self.told)
        for one in stored:
            home = homes.get(one.encode(), b"").decode()
            known = any((task.fence.node, task.room, task.late) == (home, one, False) for task in self.tasks)
            due = await self.client.sismember(f"{{roomfsm}}:due:{home}", one)
            assert known or due or not home, "a room lives on a node that never learns that"
        if nodes:
            assert {one.encode() for one in stored} <= homes.keys(), "a room lives nowhere"
        for one in stored:
            past = await self.store.read(one)
            whole = [*(past.snapshot.split(b" ") if past.snapshot else []), *past.events]
            assert b" ".join(whole) == b" ".join(self.told[one])

    async def end(self) -> None:
        """All nodes die, and another one takes up all rooms."""
        for node in await self.client.hkeys(NODES):
            (age,) = {fence.age for fence in self.fences.values()} or {self.writer.age}
            await self.ledger.reap(age, node.decode(), for_sure=True)
        eve = await self.ledger.register(Info("eve"), None)
        assert isinstance(eve, Fence)
        due, _ = await self.ledger.beat(eve, Info("eve"), 1, ())
        assert sorted(due) == sorted(self.told)
        self.tasks.clear()
        for one in due:
            await self._take_up(eve, one)
        for task in self.tasks:
            await self._write("write", task)
        await self.check()


@given(course=st.lists(actions, min_size=20, max_size=60))
@examples(15)
def test_each_room_has_one_writer_and_loses_nothing(anywhere: str, course: list[Action]) -> None:
    async def main() -> None:
        async with client_of(anywhere) as client:
            await client.flushdb()
            async with open_ledger(anywhere, LONG) as ledger:
                worlds: list[World] = []
                async with open_redis(anywhere, "a test", lambda: worlds[0].writer) as store:
                    world = World(ledger, store, client)
                    worlds.append(world)
                    for action in BEGINNING + course:
                        await world.act(action)
                        await world.check()
                    await world.end()

    trio.run(main)
