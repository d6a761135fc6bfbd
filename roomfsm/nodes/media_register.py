"""The register of media servers in Redis, which all nodes share.

Each node lists the media servers of its own settings, and an administrator may add others at any node. So there
are three hashes: what nodes list (by node and address), what was added, and what an administrator wants of a media
server (by address). What a node lists counts as long as that node is registered; each look removes the rest.
So nothing dangles, and no clock is needed but the leases of the nodes. What an administrator wants is forgotten
with the last one who names the media server.

Whatever changes raises the register's version, so a look that finds nothing new costs Redis and us very little. If
Redis has lost its data, each node writes what it knows anew.

An address such as 127.0.0.1 means another media server at each machine. So such an address is registered together
with its machine, and only nodes at that machine see it.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import trio

from roomfsm.interfaces import is_open_to_others
from roomfsm.pids import boot, read_link
from roomfsm.rooms.media_servers import USE, Registered
from roomfsm.store.interface import StoreCode, StoreError
from roomfsm.store.redis import Fence
from roomfsm.store.redis_client import RedisClient, Script, as_store_errors, open_client
from roomfsm.store.redis_keys import NODES, OWNER, TAG

_LISTED, _ADDED, _WISHES, _VERSION = (TAG + f"media:{name}" for name in ("listed", "added", "wishes", "version"))
_KEYS = (OWNER, NODES, _LISTED, _ADDED, _WISHES, _VERSION)

_PATIENCE = 3.0
"""Seconds in which Redis must answer."""

REMOVE = "removeMediaServer"
"""The trigger by which an administrator takes a media server away."""

_PRELUDE = """
-- KEYS: owner, nodes, listed, added, wishes, version. ARGV: the owner as whom we act, and our id.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {'unknown'} end
if redis.call('HEXISTS', KEYS[2], ARGV[2]) == 0 then return {'unknown'} end
local at = 3
local function take()
  at = at + 1
  return ARGV[at - 1]
end
local function is_registered(field) return redis.call('HEXISTS', KEYS[2], string.match(field, '^%S+')) == 1 end
local function address(field) return string.match(field, '^%S+ (.*)$') end
"""

_LOOK = Script(
    _PRELUDE
    + """
-- Then: the version that we know; how many media servers we list, and each with its secret; and if Redis has lost
-- its data, how many were added, and how many wishes there were, each with what is known of it.
local version, changed, ours = take(), false, {}
for _ = 1, tonumber(take()) do
  local field, secret = ARGV[2] .. ' ' .. take(), take()
  ours[field] = true
  if redis.call('HGET', KEYS[3], field) ~= secret then
    redis.call('HSET', KEYS[3], field, secret)
    changed = true
  end
end
for _, key in ipairs({KEYS[4], KEYS[5]}) do
  for _ = 1, tonumber(take()) do
    local url, known = take(), take()
    if redis.call('HSETNX', key, url, known) == 1 then changed = true end
  end
end
local named = {}
for _, field in ipairs(redis.call('HKEYS', KEYS[3])) do
  local is_withdrawn = not ours[field] and string.match(field, '^%S+') == ARGV[2]
  if is_registered(field) and not is_withdrawn then
    named[address(field)] = true
  else
    redis.call('HDEL', KEYS[3], field)
    changed = true
  end
end
for _, url in ipairs(redis.call('HKEYS', KEYS[5])) do
  if not named[url] and redis.call('HEXISTS', KEYS[4], url) == 0 then
    redis.call('HDEL', KEYS[5], url)
    changed = true
  end
end
if changed then redis.call('INCR', KEYS[6]) end
local now = redis.call('GET', KEYS[6]) or '0'
if now == version then return {'same'} end
return {'ok', now, redis.call('HGETALL', KEYS[3]), redis.call('HGETALL', KEYS[4]), redis.call('HGETALL', KEYS[5])}
"""
)

_ADD = Script(
    _PRELUDE
    + """
-- Then: the address, and the secret.
local url = take()
redis.call('HSET', KEYS[4], url, take())
redis.call('HDEL', KEYS[5], url)
redis.call('INCR', KEYS[6])
return {'ok'}
"""
)

_WISH = Script(
    _PRELUDE
    + """
-- Then: the address, what is wanted of the media server, and what that does: 'use', 'keep', or 'remove'.
local url, wish, how = take(), take(), take()
if how == 'remove' then redis.call('HDEL', KEYS[4], url) end
if how == 'use' then redis.call('HDEL', KEYS[5], url) else redis.call('HSET', KEYS[5], url, wish) end
redis.call('INCR', KEYS[6])
return {'ok'}
"""
)


_READ = Script("""
return {redis.call('HGETALL', KEYS[3]), redis.call('HGETALL', KEYS[4]), redis.call('HGETALL', KEYS[5])}
""")


class MediaRegister:
    """Made by :func:`open_media_register`. Implements `roomfsm.rooms.media_servers.Register`."""

    def __init__(self, client: RedisClient, fence: Callable[[], Fence], own: Mapping[str, str | None]) -> None:
        self._client = client
        self._fence = fence
        self._own = {_key(url): secret or "" for url, secret in own.items()}
        self._version = ""
        """The version of the register that we know."""
        self._age: str | None = None
        """The age of the Redis from which we know it."""
        self._added: dict[str, str] = {}
        self._wishes: dict[str, str] = {}

    async def look(self) -> Mapping[str, Registered] | None:
        """What all nodes say of media servers, without those that were taken away; None if nothing has changed.

        Raises `StoreError`.
        """
        fence = self._fence()
        anew = self._age is not None and self._age != fence.age
        version = "" if anew else self._version
        kept = (self._added, self._wishes) if anew else ({}, {})
        match await self._do(_LOOK, fence, version, *_flat(self._own), *_flat(kept[0]), *_flat(kept[1])):
            case [b"same"]:
                return None
            case [b"ok", bytes(now), list(listed), list(added), list(wishes)]:
                self._version, self._age = now.decode(), fence.age
                self._added, self._wishes = _pairs(added), _pairs(wishes)
                return _said(_pairs(listed), self._added, self._wishes)
            case answer:
                raise StoreError(StoreCode.FAILED, f"{self._client.place} has answered {answer!r}")

    def withdraw(self, url: str) -> None:
        """This node lists a media server no more, from the next look on."""
        self._own.pop(_key(url), None)

    async def add(self, url: str, secret: str | None) -> None:
        """An administrator adds a media server. Raises `StoreError`."""
        await self._do(_ADD, self._fence(), _key(url), secret or "")

    async def wish(self, url: str, trigger: str) -> None:
        """An administrator wants this of a media server. Raises `StoreError`."""
        how = {USE: "use", REMOVE: "remove"}.get(trigger, "keep")
        await self._do(_WISH, self._fence(), _key(url), trigger, how)

    async def _do(self, script: Script, fence: Fence, *arguments: str | int) -> Any:
        with as_store_errors(self._client.place), trio.fail_after(_PATIENCE):
            answer = await self._client.run(script, _KEYS, [fence.owner, fence.node, *arguments])
        if answer == [b"unknown"]:
            # The node will learn that at its next beat.
            raise StoreError(StoreCode.FORGOTTEN, f"{self._client.place} does not know this node any more")
        return answer


def _said(
    listed: Mapping[str, str], added: Mapping[str, str], wishes: Mapping[str, str]
) -> Mapping[str, Registered]:
    """What the three hashes say, by the addresses that mean something here."""
    nodes: dict[str, dict[str, str]] = {key: {} for key in added}
    for field, secret in listed.items():
        node, _, key = field.partition(" ")
        nodes.setdefault(key, {})[node] = secret
    found: dict[str, Registered] = {}
    for key, by in sorted(nodes.items()):
        wish, url = wishes.get(key, USE), key.partition(" ")[0]
        if wish == REMOVE or key != _key(url):
            continue
        # The node that was started last knows best.
        newest = max(by, key=lambda node: int(node.rpartition("/")[2]), default="")
        secret = added.get(key, "") or by.get(newest, "")
        found[url] = Registered(secret or None, key in added, tuple(sorted(by)), wish)
    return found


def _flat(pairs: Mapping[str, str]) -> Sequence[str | int]:
    return [len(pairs), *(text for pair in pairs.items() for text in pair)]


def _pairs(flat: Sequence[bytes]) -> dict[str, str]:
    texts = [text.decode() for text in flat]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def _key(url: str) -> str:
    """The address as all nodes understand it."""
    if is_open_to_others((urlsplit(url).hostname or "",)):
        return url
    here = hashlib.sha256(f"{boot()} {read_link('/proc/self/ns/net')}".encode())
    return f"{url} {here.hexdigest()[:12]}"


async def read_media_register(url: str) -> Mapping[str, Registered]:
    """What nodes say of media servers. This changes nothing, and needs no place among the nodes.

    Raises `StoreError`.
    """
    async with open_client(url) as client:
        hashes = await client.run(_READ, _KEYS, ())
    return _said(*map(_pairs, hashes))


@asynccontextmanager
async def open_media_register(
    url: str, fence: Callable[[], Fence], own: Mapping[str, str | None]
) -> AsyncIterator[MediaRegister]:
    """The register in the Redis at a URL. This node lists its `own` media servers there, with their secrets.

    Raises `StoreError`.
    """
    async with open_client(url) as client:
        yield MediaRegister(client, fence, own)
