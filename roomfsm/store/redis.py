"""A store in Redis (or Valkey).

Single commands are dear: half a millisecond of our processor each. So a commit is one script, however many rooms
and events it has, and Redis does all of it or nothing. What Redis has confirmed survives the end of this process.
Whether it survives the end of Redis is for the settings of Redis to say (`appendonly yes`, and `appendfsync
everysec` or `always`). If a Redis comes back that has lost something, this is found by the numbers of the events,
or by the missing owner, and the rooms are written anew.

Whoever opens the store becomes its owner, and each script checks the owner first. So a server that was taken for
dead (it hung, or was cut off) can write nothing any more once another one has opened the store: it gets
`store_taken`.

Nodes own the store together, and each room belongs to one of them, its *home*. A node's commit carries a `Fence`.
By this the script refuses each room that has another home, and everything if the node is not registered any more,
because the others took it for dead. The rest of the commit is done. Who is registered, and where rooms have their
homes, is for `roomfsm.nodes` to say; the store only makes a node the home of a room that had none.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from enum import Enum, auto
from statistics import median

import msgspec
import trio

from roomfsm.store.interface import (
    Append,
    Aside,
    Forget,
    Past,
    Remember,
    SetAside,
    Snapshot,
    StoreCode,
    StoreError,
    Write,
)
from roomfsm.store.redis_client import Argument, RedisClient, Script, as_store_errors, open_client
from roomfsm.store.redis_keys import HOME, NODES, NODES_OWN, OWNER, ROOMS, TAG, TOKENS

_ASIDE = TAG + "aside"
_REMEMBERED = TAG + "remembered"
"""What servers keep for themselves: each by its name, and the name of the server."""
_PINGS = 9
"""How often a Redis is asked how soon it answers."""
_REFUSES = "noeviction"
_OPENING = 5.0
"""Seconds in which Redis must answer at the start."""

_COMMIT = Script(
    """
-- KEYS: owner, rooms, tokens, aside, remembered, nodes, home. ARGV: the owner as whom we write, our node (empty if
-- we are the only server), and the writes, one after another. Everything is checked before anything is written.
local owner, node = redis.call('GET', KEYS[1]), ARGV[2]
if not owner then return {'forgotten'} end
if owner ~= ARGV[1] then return {'taken', owner} end
if node ~= '' and redis.call('HEXISTS', KEYS[6], node) == 0 then return {'outlived'} end
local writes, at = {}, 3
local function take()
  at = at + 1
  return ARGV[at - 1]
end
local function take_list()
  local list = {}
  for number = 1, tonumber(take()) do list[number] = take() end
  return list
end
while ARGV[at] do
  local kind, room, position = take(), take(), tonumber(take())
  writes[#writes + 1] = {kind, room, position, take_list(), take_list(), take_list()}
end
local next_of = {}
local function next(room)
  if not next_of[room] then
    next_of[room] = tonumber(redis.call('HGET', '{roomfsm}:room:' .. room, 'next') or '0')
  end
  return next_of[room]
end
local home_of, foreign, lost = {}, {}, {'ok'}
local function is_foreign(room)
  if node ~= '' and home_of[room] == nil then
    home_of[room] = redis.call('HGET', KEYS[7], room)
    foreign[room] = home_of[room] and home_of[room] ~= node
    if foreign[room] then lost[#lost + 1] = room end
  end
  return foreign[room]
end
for _, w in ipairs(writes) do
  local kind, room, position = w[1], w[2], w[3]
  if kind ~= 'remember' and not is_foreign(room) then
    if kind ~= 'append' and kind ~= 'snapshot' then
      next_of[room] = 0
    elseif next(room) > position and node ~= '' then
      -- Somebody else has written to the room, so it was not ours meanwhile, even if it is again.
      foreign[room] = true
      lost[#lost + 1] = room
    elseif next(room) > position or (kind == 'append' and next(room) < position) then
      return {'conflict', room, position, next(room)}
    else
      next_of[room] = kind == 'append' and position + #w[4] or position
    end
  end
end
local function belongs_to(room, to)
  if node ~= '' and home_of[room] ~= to then
    home_of[room] = to
    if to then redis.call('HSET', KEYS[7], room, to) else redis.call('HDEL', KEYS[7], room) end
  end
end
local function delete(room)
  local own = '{roomfsm}:tokens:' .. room
  for _, token in ipairs(redis.call('SMEMBERS', own)) do
    if redis.call('HGET', KEYS[3], token) == room then redis.call('HDEL', KEYS[3], token) end
  end
  redis.call('DEL', own, '{roomfsm}:room:' .. room, '{roomfsm}:events:' .. room)
  redis.call('SREM', KEYS[2], room)
end
local function token(room, hash, there)
  if there then
    redis.call('HSET', KEYS[3], hash, room)
    redis.call('SADD', '{roomfsm}:tokens:' .. room, hash)
  else
    if redis.call('HGET', KEYS[3], hash) == room then redis.call('HDEL', KEYS[3], hash) end
    redis.call('SREM', '{roomfsm}:tokens:' .. room, hash)
  end
end
for _, w in ipairs(writes) do
  local kind, room, position = w[1], w[2], w[3]
  if kind == 'remember' then
    if w[4][1] then redis.call('HSET', KEYS[5], room, w[4][1]) else redis.call('HDEL', KEYS[5], room) end
  elseif foreign[room] then
    -- It is left as it is.
  elseif kind == 'append' then
    belongs_to(room, node)
    if position == 0 then redis.call('SADD', KEYS[2], room) end
    for _, event in ipairs(w[4]) do redis.call('RPUSH', '{roomfsm}:events:' .. room, event) end
    redis.call('HSET', '{roomfsm}:room:' .. room, 'next', position + #w[4])
    for _, t in ipairs(w[5]) do token(room, t, true) end
    for _, t in ipairs(w[6]) do token(room, t, false) end
  elseif kind == 'snapshot' then
    belongs_to(room, node)
    delete(room)
    redis.call('SADD', KEYS[2], room)
    redis.call('HSET', '{roomfsm}:room:' .. room, 'base', position, 'next', position, 'snapshot', w[4][1])
    for _, t in ipairs(w[5]) do token(room, t, true) end
  elseif kind == 'forget' then
    belongs_to(room, false)
    delete(room)
  elseif redis.call('EXISTS', '{roomfsm}:room:' .. room) == 1 then
    local number = redis.call('RPUSH', KEYS[4], cmsgpack.pack({room, w[3], w[4][1]}))
    redis.call('RENAME', '{roomfsm}:room:' .. room, '{roomfsm}:aside:' .. number .. ':room')
    if redis.call('EXISTS', '{roomfsm}:events:' .. room) == 1 then
      redis.call('RENAME', '{roomfsm}:events:' .. room, '{roomfsm}:aside:' .. number .. ':events')
    end
    belongs_to(room, false)
    delete(room)
  end
end
return lost
"""
)

_OWN = Script(
    """
-- KEYS: owner, nodes. ARGV: the server that wants to own the store. If nodes own it, this returns one that runs.
local owner = redis.call('GET', KEYS[1])
if owner and string.sub(owner, 1, 6) == 'nodes ' then
  for _, node in ipairs(redis.call('HKEYS', KEYS[2])) do
    if redis.call('EXISTS', '{roomfsm}:lease:' .. node) == 1 then return node end
  end
end
redis.call('SET', KEYS[1], ARGV[1])
return ''
"""
)

_READ = Script(
    """
local room = redis.call('HMGET', KEYS[1], 'base', 'snapshot')
return {room[1] or '0', room[2], redis.call('LRANGE', KEYS[2], 0, -1)}
"""
)


@dataclass(frozen=True, slots=True)
class Fence:
    """What the commits of a node carry: its id, and the age of the Redis in which it is registered."""

    node: str
    age: str

    @property
    def owner(self) -> str:
        """The owner of a Redis of this age."""
        return NODES_OWN + self.age


@asynccontextmanager
async def open_redis(url: str, name: str, fence: Callable[[], Fence] | None = None) -> AsyncIterator[RedisStore]:
    """Open the store in the Redis at this address, and become its owner under this name. Raises `StoreError`.

    With a `fence` this server is one of the nodes that own it together, and is registered already. Each commit
    asks for the fence anew, because it changes if the node has to register again.
    """
    fault = None
    async with open_client(url) as client:
        store = RedisStore(client, name, fence)
        try:
            await store.own()
        except StoreError as error:
            fault = error
        else:
            yield store
    if fault is not None:
        raise fault


class Keeping(Enum):
    """What a Redis still has when it was started again."""

    ALL = auto()
    """It has `appendonly`, or does not say."""
    SAVE_POINTS = auto()
    """It has what there was at its last save point, which may have been an hour ago."""
    NOTHING = auto()


@dataclass(frozen=True, slots=True)
class Asked:
    """What a Redis says of itself. What it does not say is taken for good."""

    place: str
    version: tuple[int, ...]
    """That of the Redis with which it is compatible."""
    keeping: Keeping = Keeping.ALL
    evicts: str | None = None
    """The rule by which it drops something when its memory is full; None if it refuses to write then."""
    answers: float = 0.0
    """Seconds in which it answers, in the middle."""
    silent: Sequence[str] = ()
    """The Sentinels, or servers of a Cluster, that do not answer as they should, and why."""
    replicas: int | None = None
    """How many servers would take over if this one failed; None if there is nobody to decide that."""


async def ask_redis(url: str) -> Asked:
    """What the Redis at this address says of itself. Raises `StoreError`.

    Nobody is disturbed by that: the owner of the store stays the owner.
    """
    fault = None
    async with open_client(url) as client:
        try:
            with _at_the_start(client.place):
                asked = await _ask(client)
        except StoreError as error:
            fault = error
    if fault is not None:
        raise fault
    return asked


async def _ask(client: RedisClient) -> Asked:
    await client.request(b"PING")  # This opens the connection, which is not what is measured.
    took: list[float] = []
    for _ in range(_PINGS):
        began = trio.current_time()
        await client.request(b"PING")
        took.append(trio.current_time() - began)
    info = (await client.request(b"INFO", "server")).decode()
    told = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    version = tuple(int(part) for part in told.get("redis_version", "").split(".") if part.isdecimal())
    found = await client.find()
    asked = Asked(client.place, version, answers=median(took), silent=found.faults, replicas=found.replicas)
    if await _configured(client, "appendonly") == "no":
        save = await _configured(client, "save")
        asked = replace(asked, keeping=Keeping.SAVE_POINTS if save else Keeping.NOTHING)
    if (policy := await _configured(client, "maxmemory-policy") or _REFUSES) != _REFUSES:
        asked = replace(asked, evicts=policy)
    return asked


async def _configured(client: RedisClient, name: str) -> str | None:
    """A setting of Redis; None if it does not say. Some services do not allow the question."""
    try:
        said = await client.request(b"CONFIG", b"GET", name)
    except StoreError as error:
        if error.code is not StoreCode.FAILED:
            raise
        return None
    value: bytes | None = said.get(name.encode())
    return None if value is None else value.decode()


class RedisStore:
    """A store in Redis. Implements `roomfsm.store.interface.Store`."""

    def __init__(self, client: RedisClient, name: str, fence: Callable[[], Fence] | None = None) -> None:
        self._client = client
        self._name = name
        self._fence = fence
        self._me = f"{name} {secrets.token_hex(8)}"

    @property
    def place(self) -> str:
        """The address, without user and password."""
        return self._client.place

    async def own(self) -> None:
        """Become the owner, whoever was it before, unless nodes own it together. Raises `StoreError`."""
        with _at_the_start(self.place):
            if self._fence is not None:
                await self._client.request(b"PING")
                return
            node = await self._client.run(_OWN, [OWNER, NODES], [self._me])
        if node:
            detail = f"{self.place} belongs to nodes, one of which is {node.decode()}"
            raise StoreError(StoreCode.TAKEN, f"{detail}; --node makes this server one of them")

    async def commit(self, writes: Sequence[Write]) -> Sequence[str]:
        """Do all of this, or nothing. Returns the keys of the rooms that are not this node's any more."""
        fence = None if self._fence is None else self._fence()
        me, node = (self._me, "") if fence is None else (fence.owner, fence.node)
        arguments = [argument for write in writes for argument in _arguments(write, self._name)]
        keys = [OWNER, ROOMS, TOKENS, _ASIDE, _REMEMBERED, NODES, HOME]
        answer = await self._client.run(_COMMIT, keys, [me, node, *arguments])
        match answer:
            case [b"ok", *lost]:
                return tuple(room.decode() for room in lost)
            case [b"outlived"]:
                if any(isinstance(write, Remember) for write in writes):
                    raise StoreError(StoreCode.TAKEN, f"{self.place} does not know the node {node} any more")
                return tuple({write.room: None for write in writes if not isinstance(write, Remember)})
            case [b"taken", owner] if fence is None or not owner.startswith(NODES_OWN.encode()):
                raise StoreError(StoreCode.TAKEN, f"{self.place} belongs to {owner_shown(owner)} now")
            case [b"conflict", room, position, found]:
                detail = f"{self.place} has {found} events of the room {room.decode()!r}"
                code = StoreCode.CONFLICT if found < position else StoreCode.TAKEN
                raise StoreError(code, f"{detail}, and this server has written {position}")
        # Redis was restarted without its data. Whoever notices that first owns it again. A node registers again.
        if fence is None:
            await self._client.request(b"SET", OWNER, me, b"NX")
        raise StoreError(StoreCode.FORGOTTEN, f"{self.place} has lost its data")

    async def rooms(self) -> list[str]:
        """The keys of all rooms."""
        return sorted(room.decode() for room in await self._client.request(b"SMEMBERS", ROOMS))

    async def read(self, room: str) -> Past:
        """What the store has of a room."""
        keys = [f"{TAG}room:{room}", f"{TAG}events:{room}"]
        base, snapshot, events = await self._client.run(_READ, keys, [])
        return Past(snapshot, int(base), tuple(events))

    async def room_of(self, token: bytes) -> str | None:
        """The room to which the token with this hash brings somebody back."""
        room = await self._client.request(b"HGET", TOKENS, token)
        return None if room is None else room.decode()

    async def aside(self) -> list[Aside]:
        """The rooms that were set aside, the oldest first."""
        listed = await self._client.request(b"LRANGE", _ASIDE, 0, -1)
        return [Aside(*msgspec.msgpack.decode(one, type=tuple[str, int, str])) for one in listed]

    async def remembered(self, what: str) -> bytes | None:
        """The value that a server of this name has kept."""
        value: bytes | None = await self._client.request(b"HGET", _REMEMBERED, _own(what, self._name))
        return value


def owner_shown(owner: bytes) -> str:
    """What others are told of an owner."""
    if owner.startswith(NODES_OWN.encode()):
        return "nodes (--node)"
    return owner.rpartition(b" ")[0].decode("utf-8", "replace")


def _own(what: str, name: str) -> str:
    """The field with what the server of this name remembers."""
    return f"{what} of {name}"


def _arguments(write: Write, name: str) -> list[Argument]:
    """The write as the script reads it: its kind, the room, a number, and three lists with their lengths.

    `name` is this server.
    """
    match write:
        case Append(room, position, events, tokens):
            given = [token for token, there in tokens.items() if there]
            taken = [token for token, there in tokens.items() if not there]
            return ["append", room, position, len(events), *events, len(given), *given, len(taken), *taken]
        case Snapshot(room, position, snapshot, held):
            return ["snapshot", room, position, 1, snapshot, len(held), *held, 0]
        case Forget(room):
            return ["forget", room, 0, 0, 0, 0]
        case SetAside(room, why):
            return ["aside", room, time.time_ns() // 1_000_000, 1, why, 0, 0]
        case Remember(what, value):
            values = [] if value is None else [value]
            return ["remember", _own(what, name), 0, len(values), *values, 0, 0]


@contextmanager
def _at_the_start(place: str) -> Iterator[None]:
    """Redis must answer soon. Raises `StoreError`."""
    with as_store_errors(place), trio.fail_after(_OPENING):
        yield
