"""Whatever is written in whatever order, both stores have what a list in memory would have."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import coredis
import trio
from hypothesis import given
from hypothesis import strategies as st

from roomfsm.store.interface import Append, Forget, Past, SetAside, Snapshot, Store, StoreError, Write
from roomfsm.store.redis import open_redis
from roomfsm.store.sqlite import open_sqlite
from tests.examples import examples

ROOMS = ("blue", "red")
TOKENS = (b"t0", b"t1", b"t2")
room = st.sampled_from(ROOMS)
event = st.binary(max_size=5)
# The difference to the right number: usually none.
off = st.sampled_from([0, 0, 0, 0, 1, -1])
writes = st.one_of(
    st.tuples(
        st.just("append"),
        room,
        off,
        st.lists(event, min_size=1, max_size=3),
        st.dictionaries(st.sampled_from(TOKENS), st.booleans()),
    ),
    st.tuples(st.just("snapshot"), room, off, event, st.lists(st.sampled_from(TOKENS), unique=True)),
    st.tuples(st.just("forget"), room),
    st.tuples(st.just("aside"), room),
)
batches = st.lists(st.lists(writes, min_size=1, max_size=4), max_size=12)


class Memory:
    """What a store should have."""

    def __init__(self) -> None:
        self.rooms: dict[str, Past] = {}
        self.tokens: dict[bytes, str] = {}
        self.aside: list[str] = []

    def next(self, name: str) -> int:
        return self.rooms[name].next if name in self.rooms else 0

    def copy(self) -> Memory:
        new = Memory()
        new.rooms, new.tokens, new.aside = dict(self.rooms), dict(self.tokens), list(self.aside)
        return new

    def _forget(self, name: str) -> None:
        self.rooms.pop(name, None)
        self.tokens = {token: where for token, where in self.tokens.items() if where != name}

    def do(self, write: Write) -> bool:
        match write:
            case Append(name, position, events, tokens):
                past = self.rooms.get(name, Past(None, 0, ()))
                if position != past.next:
                    return False
                self.rooms[name] = Past(past.snapshot, past.position, past.events + events)
                for token, there in tokens.items():
                    if there:
                        self.tokens[token] = name
                    elif self.tokens.get(token) == name:
                        del self.tokens[token]
            case Snapshot(name, position, snapshot, tokens):
                if self.next(name) > position:
                    return False
                self._forget(name)
                self.rooms[name] = Past(snapshot, position, ())
                self.tokens |= dict.fromkeys(tokens, name)
            case Forget(name):
                self._forget(name)
            case SetAside(name):
                if name in self.rooms:
                    self.aside.append(name)
                self._forget(name)
        return True


def _made(drawn: tuple[object, ...], memory: Memory) -> Write:
    match drawn:
        case ("append", str(name), int(off), list(events), dict(tokens)):
            return Append(name, max(0, memory.next(name) + off), tuple(events), tokens)
        case ("snapshot", str(name), int(off), bytes(snapshot), list(tokens)):
            return Snapshot(name, max(0, memory.next(name) + off), snapshot, tokens)
        case ("forget", str(name)):
            return Forget(name)
        case (_, str(name), *_):
            return SetAside(name, "odd")
    raise AssertionError(drawn)


async def _run(store: Store, course: list[list[tuple[object, ...]]]) -> None:
    memory = Memory()
    for batch in course:
        after, taken, done = memory.copy(), True, []
        for drawn in batch:
            write = _made(drawn, after)
            taken = taken and after.do(write)
            done.append(write)
        refused = True
        with suppress(StoreError):
            await store.commit(done)
            refused = False
        assert refused is not taken
        memory = after if taken else memory
        assert await store.rooms() == sorted(memory.rooms)
        for name in ROOMS:
            assert await store.read(name) == memory.rooms.get(name, Past(None, 0, ()))
        for token in TOKENS:
            assert await store.room_of(token) == memory.tokens.get(token)
        assert [one.room for one in await store.aside()] == memory.aside


@given(batches)
@examples(30)
def test_sqlite_has_what_a_list_in_memory_would_have(course: list[list[tuple[object, ...]]]) -> None:
    async def main() -> None:
        with TemporaryDirectory() as folder:
            async with open_sqlite(Path(folder)) as store:
                await _run(store, course)

    trio.run(main)


@given(course=batches)
@examples(30)
def test_redis_has_what_a_list_in_memory_would_have(redis: str, course: list[list[tuple[object, ...]]]) -> None:
    async def main() -> None:
        async with coredis.Redis.from_url(redis) as client:
            await client.flushdb()
        async with open_redis(redis, "a test") as store:
            await _run(store, course)

    trio.run(main)
