"""A store in Redis (or Valkey), by coredis, which runs on Trio natively.

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

The address is a URL as coredis reads it: `redis://` or `rediss://` (TLS), with user, password, host, port and
number of the database.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from enum import Enum, auto
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import coredis
import msgspec
import trio
from coredis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    RedisError,
    ResponseError,
)
from coredis.exceptions import ConnectionError as NotConnected

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
from roomfsm.store.redis_keys import HOME, NODES, NODES_OWN, OWNER, ROOMS, TAG, TOKENS

_ASIDE = TAG + "aside"
_REMEMBERED = TAG + "remembered"
"""What servers keep for themselves: each by its name, and the name of the server."""
_PINGS = 9
"""How often a Redis is asked how soon it answers."""
_REFUSES = "noeviction"
_OPENING = 5.0
"""Seconds in which Redis must answer at the start."""

_COMMIT = """
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

_OWN = """
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

_READ = """
local room = redis.call('HMGET', KEYS[1], 'base', 'snapshot')
return {room[1] or '0', room[2], redis.call('LRANGE', KEYS[2], 0, -1)}
"""


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
    """Open the store in the Redis at a URL, and become its owner under this name. Raises `StoreError`.

    With a `fence` this server is one of the nodes that own it together, and is registered already. Each commit
    asks for the fence anew, because it changes if the node has to register again.
    """
    try:
        store, fault = RedisStore(url, name, fence), None
    except ValueError as error:
        raise StoreError(StoreCode.UNREACHABLE, f"{shown(url)} is no address of a Redis: {error}") from error
    async with store.client:
        try:
            with as_store_errors(store.place), trio.fail_after(_OPENING):
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


async def ask_redis(url: str) -> Asked:
    """What the Redis at a URL says of itself. Raises `StoreError`.

    Nobody is disturbed by that: the owner of the store stays the owner.
    """
    place, fault = shown(url), None
    try:
        client = coredis.Redis.from_url(url, decode_responses=True, verify_version=False, decode_components=True)
    except ValueError as error:
        raise StoreError(StoreCode.UNREACHABLE, f"{place} is no address of a Redis: {error}") from error
    async with client:
        try:
            with as_store_errors(place), trio.fail_after(_OPENING):
                asked = await _ask(client, place)
        except StoreError as error:
            fault = error
    if fault is not None:
        raise fault
    return asked


async def _ask(client: coredis.Redis[str], place: str) -> Asked:
    info: Any = await client.info("server")
    version = tuple(int(part) for part in str(info.get("redis_version", "")).split(".") if part.isdecimal())
    took: list[float] = []
    for _ in range(_PINGS):
        began = trio.current_time()
        await client.ping()
        took.append(trio.current_time() - began)
    asked = Asked(place, version, answers=median(took))
    # Some services do not allow this question.
    with suppress(ResponseError):
        said = await client.config_get(["appendonly", "save", "maxmemory-policy"])
        if said.get("appendonly") == "no":
            asked = replace(asked, keeping=Keeping.SAVE_POINTS if said.get("save") else Keeping.NOTHING)
        if (policy := said.get("maxmemory-policy", _REFUSES)) != _REFUSES:
            asked = replace(asked, evicts=policy)
    return asked


class RedisStore:
    """A store in Redis. Implements `roomfsm.store.interface.Store`."""

    def __init__(self, url: str, name: str, fence: Callable[[], Fence] | None = None) -> None:
        self.client = coredis.Redis.from_url(
            url, decode_responses=False, verify_version=False, decode_components=True
        )
        self._place = shown(url)
        self._name = name
        self._fence = fence
        self._me = f"{name} {secrets.token_hex(8)}"
        self._commit = self.client.register_script(_COMMIT)
        self._own = self.client.register_script(_OWN)
        self._read = self.client.register_script(_READ)

    @property
    def place(self) -> str:
        """The address, without user and password."""
        return self._place

    async def own(self) -> None:
        """Become the owner, whoever was it before, unless nodes own it together. Raises `StoreError`."""
        if self._fence is not None:
            await self.client.ping()
            return
        node: Any = await self._own([OWNER, NODES], [self._me])
        if node:
            detail = f"{self._place} belongs to nodes, one of which is {node.decode()}"
            raise StoreError(StoreCode.TAKEN, f"{detail}; --node makes this server one of them")

    async def commit(self, writes: Sequence[Write]) -> Sequence[str]:
        """Do all of this, or nothing. Returns the keys of the rooms that are not this node's any more."""
        fence = None if self._fence is None else self._fence()
        me, node = (self._me, "") if fence is None else (fence.owner, fence.node)
        arguments = [argument for write in writes for argument in _arguments(write, self._name)]
        keys = [OWNER, ROOMS, TOKENS, _ASIDE, _REMEMBERED, NODES, HOME]
        with as_store_errors(self._place):
            answer: Any = await self._commit(keys, [me, node, *arguments])
        match answer:
            case [b"ok", *lost]:
                return tuple(room.decode() for room in lost)
            case [b"outlived"]:
                if any(isinstance(write, Remember) for write in writes):
                    raise StoreError(StoreCode.TAKEN, f"{self._place} does not know the node {node} any more")
                return tuple({write.room: None for write in writes if not isinstance(write, Remember)})
            case [b"taken", owner] if fence is None or not owner.startswith(NODES_OWN.encode()):
                raise StoreError(StoreCode.TAKEN, f"{self._place} belongs to {owner_shown(owner)} now")
            case [b"conflict", room, position, found]:
                detail = f"{self._place} has {found} events of the room {room.decode()!r}"
                code = StoreCode.CONFLICT if found < position else StoreCode.TAKEN
                raise StoreError(code, f"{detail}, and this server has written {position}")
        # Redis was restarted without its data. Whoever notices that first owns it again. A node registers again.
        if fence is None:
            with as_store_errors(self._place):
                await self.client.set(OWNER, me, condition=coredis.PureToken.NX)
        raise StoreError(StoreCode.FORGOTTEN, f"{self._place} has lost its data")

    async def rooms(self) -> list[str]:
        """The keys of all rooms."""
        with as_store_errors(self._place):
            return sorted(room.decode() for room in await self.client.smembers(ROOMS))

    async def read(self, room: str) -> Past:
        """What the store has of a room."""
        with as_store_errors(self._place):
            answer: Any = await self._read([f"{TAG}room:{room}", f"{TAG}events:{room}"], [])
        base, snapshot, events = answer
        return Past(snapshot, int(base), tuple(events))

    async def room_of(self, token: bytes) -> str | None:
        """The room to which the token with this hash brings somebody back."""
        with as_store_errors(self._place):
            room = await self.client.hget(TOKENS, token)
        return None if room is None else room.decode()

    async def aside(self) -> list[Aside]:
        """The rooms that were set aside, the oldest first."""
        with as_store_errors(self._place):
            listed = await self.client.lrange(_ASIDE, 0, -1)
        return [Aside(*msgspec.msgpack.decode(one, type=tuple[str, int, str])) for one in listed]

    async def remembered(self, what: str) -> bytes | None:
        """The value that a server of this name has kept."""
        with as_store_errors(self._place):
            value: bytes | None = await self.client.hget(_REMEMBERED, _own(what, self._name))
        return value


def shown(url: str) -> str:
    """The URL without what is secret in it."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "what --store names"
    if ":" in host:
        host = f"[{host}]"
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}"


def owner_shown(owner: bytes) -> str:
    """What others are told of an owner."""
    if owner.startswith(NODES_OWN.encode()):
        return "nodes (--node)"
    return owner.rpartition(b" ")[0].decode("utf-8", "replace")


def _own(what: str, name: str) -> str:
    """The field with what the server of this name remembers."""
    return f"{what} of {name}"


def _arguments(write: Write, name: str) -> list[str | bytes | int]:
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
def as_store_errors(place: str) -> Iterator[None]:
    """Raise `StoreError` for what coredis raises."""
    try:
        yield
    except (AuthenticationError, AuthorizationError) as error:
        raise StoreError(StoreCode.UNREACHABLE, f"{place}: {error}") from error
    except (TimeoutError, trio.TooSlowError) as error:
        raise StoreError(StoreCode.SLOW, f"{place}: no answer in time") from error
    except (NotConnected, BusyLoadingError, OSError, trio.BrokenResourceError) as error:
        raise StoreError(StoreCode.UNREACHABLE, f"{place}: {error or type(error).__name__}") from error
    except ResponseError as error:
        code = StoreCode.FULL if "OOM" in str(error) else StoreCode.FAILED
        raise StoreError(code, f"{place}: {error}") from error
    except RedisError as error:
        raise StoreError(StoreCode.FAILED, f"{place}: {error}") from error
