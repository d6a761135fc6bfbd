"""What can go wrong with Redis, and what a store in it says then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import coredis
import pytest
import trio

from roomfsm.store.interface import (
    Append,
    Forget,
    Past,
    Remember,
    SetAside,
    Snapshot,
    StoreCode,
    StoreError,
    Write,
)
from roomfsm.store.redis import Fence, RedisStore, open_redis
from roomfsm.store.redis_address import shown
from roomfsm.store.redis_keys import HOME, NODES, OWNER
from tests.ports import reserved_port
from tests.redis_server import redis_server


async def code_of(store: RedisStore, *writes: Write) -> StoreCode:
    with pytest.raises(StoreError) as raised:
        await store.commit(writes)
    return raised.value.code


async def test_whoever_opens_it_later_owns_it_and_the_earlier_one_can_write_nothing(redis: str) -> None:
    async with open_redis(redis, "old") as old, open_redis(redis, "new server") as new:
        await new.commit([Snapshot("owned", 0, b"of the new")])
        with pytest.raises(StoreError) as raised:
            await old.commit([Append("owned", 0, (b"of the old",))])
        assert raised.value.code is StoreCode.TAKEN
        assert "new server" in raised.value.detail
        assert await new.read("owned") == Past(b"of the new", 0, ())


async def test_what_a_server_remembers_is_that_of_its_name_and_not_changed_by_one_that_was_replaced(
    redis: str,
) -> None:
    async with open_redis(redis, "ada:1") as old:
        await old.commit([Remember("here", b"of ada")])
        async with open_redis(redis, "bob:1") as new:
            assert await new.remembered("here") is None
            await new.commit([Remember("here", b"of bob")])
            assert await code_of(old, Remember("here", None)) is StoreCode.TAKEN
        async with open_redis(redis, "ada:1") as again:
            assert await again.remembered("here") == b"of ada"


ADA, BOB = Fence("ada/1", "first"), Fence("bob/2", "first")


@asynccontextmanager
async def two_nodes(url: str, **homes: str) -> AsyncIterator[tuple[RedisStore, RedisStore, coredis.Redis[bytes]]]:
    """The stores of the nodes Ada and Bob, who are registered, and have these rooms."""
    async with coredis.Redis.from_url(url) as client:
        await client.flushdb()
        await client.set(OWNER, ADA.owner)
        await client.hset(NODES, {ADA.node: b"", BOB.node: b""})
        if homes:
            await client.hset(HOME, dict(homes))
        async with open_redis(url, "ada", lambda: ADA) as ada, open_redis(url, "bob", lambda: BOB) as bob:
            yield ada, bob, client


async def test_a_node_writes_to_its_own_rooms_and_learns_which_are_not(redis: str) -> None:
    async with two_nodes(redis, blue="ada/1", red="bob/2") as (ada, bob, client):
        mine, other = Append("blue", 0, (b"one",)), Append("red", 0, (b"no",))
        assert await ada.commit([other, mine, Remember("here", b"ada"), Snapshot("red", 1, b"no")]) == ("red",)
        assert await ada.rooms() == ["blue"]
        assert await ada.remembered("here") == b"ada"
        assert await bob.commit([Append("red", 0, (b"yes",), {b"t": True})]) == ()
        for write in (Forget("red"), SetAside("red", "no"), Append("red", 1, (b"no",), {b"t": False})):
            assert await ada.commit([write]) == ("red",)
        assert (await ada.read("red"), await ada.room_of(b"t")) == (Past(None, 0, (b"yes",)), "red")
        # From now on blue is Bob's.
        await client.hset(HOME, {"blue": "bob/2"})
        assert await ada.commit([Append("blue", 1, (b"late",))]) == ("blue",)
        assert await bob.commit([Append("blue", 1, (b"two",))]) == ()
        assert await bob.read("blue") == Past(None, 0, (b"one", b"two"))


async def test_a_room_without_a_home_belongs_to_whoever_writes_to_it_first_until_it_ends(redis: str) -> None:
    async with two_nodes(redis) as (ada, bob, client):
        assert await ada.commit([Append("blue", 0, (b"one",)), Snapshot("red", 3, b"all")]) == ()
        assert await bob.commit([Append("blue", 0, (b"no",)), Snapshot("red", 4, b"no")]) == ("blue", "red")
        assert await client.hgetall(HOME) == {b"blue": b"ada/1", b"red": b"ada/1"}
        assert await ada.commit([Forget("blue"), SetAside("red", "odd")]) == ()
        assert await client.hgetall(HOME) == {}
        # A room of the same name that begins in the same commit stays here.
        assert await bob.commit([Append("blue", 0, (b"one",)), Forget("blue"), Append("blue", 0, (b"two",))]) == ()
        assert await client.hgetall(HOME) == {b"blue": b"bob/2"}


async def test_a_room_to_which_another_node_has_written_meanwhile_is_lost_even_if_it_came_back(redis: str) -> None:
    async with two_nodes(redis, blue="ada/1") as (ada, bob, client):
        await ada.commit([Append("blue", 0, (b"one",))])
        await client.hset(HOME, {"blue": "bob/2"})
        await bob.commit([Append("blue", 1, (b"two",))])
        await client.hset(HOME, {"blue": "ada/1"})
        writes = [Append("red", 0, (b"mine",)), Append("blue", 1, (b"late",)), Append("blue", 2, (b"later",))]
        assert await ada.commit(writes) == ("blue",)
        assert await ada.read("blue") == Past(None, 0, (b"one", b"two"))
        assert await ada.rooms() == ["blue", "red"]


async def test_a_node_that_was_taken_for_dead_can_write_nothing(redis: str) -> None:
    async with two_nodes(redis, blue="ada/1") as (ada, _, client):
        await client.hdel(NODES, ["ada/1"])
        assert await ada.commit([Append("blue", 0, (b"one",)), Forget("red")]) == ("blue", "red")
        assert await code_of(ada, Remember("here", b"ada")) is StoreCode.TAKEN
        assert await ada.rooms() == []


async def test_a_node_sees_that_redis_has_lost_its_data_or_belongs_to_one_server(redis: str) -> None:
    async with two_nodes(redis, blue="ada/1") as (ada, _, client):
        for owner in (None, Fence("", "second").owner):
            await client.flushdb()
            if owner is not None:
                await client.set(OWNER, owner)
            assert await code_of(ada, Append("blue", 0, (b"one",))) is StoreCode.FORGOTTEN
        async with open_redis(redis, "a server alone") as alone:
            await alone.commit([Append("blue", 0, (b"one",))])
            with pytest.raises(StoreError) as raised:
                await ada.commit([Append("blue", 1, (b"two",))])
            assert raised.value.code is StoreCode.TAKEN
            assert "a server alone" in raised.value.detail
            await client.set(OWNER, ADA.owner)
            with pytest.raises(StoreError) as raised:
                await alone.commit([Append("blue", 1, (b"two",))])
            assert raised.value.code is StoreCode.TAKEN
            assert "--node" in raised.value.detail


async def test_a_redis_that_comes_back_without_its_data_is_written_anew(tmp_path: Path) -> None:
    with reserved_port() as port, redis_server(tmp_path, port=port) as url:
        async with open_redis(url, "me") as store:
            await store.commit([Append("blue", 0, (b"one",))])
            async with coredis.Redis.from_url(url) as client:
                await client.flushall()
            assert await code_of(store, Append("blue", 1, (b"two",))) is StoreCode.FORGOTTEN
            assert await code_of(store, Append("blue", 1, (b"two",))) is StoreCode.CONFLICT
            await store.commit([Snapshot("blue", 2, b"all")])
            assert await store.read("blue") == Past(b"all", 2, ())


async def test_a_redis_that_is_away_is_told_and_found_again(tmp_path: Path) -> None:
    with reserved_port() as port:
        disk = ("--appendonly", "yes", "--appendfsync", "always")
        with redis_server(tmp_path, *disk, port=port) as url:
            connection = open_redis(url, "me")
            store = await connection.__aenter__()
            await store.commit([Append("blue", 0, (b"one",))])
        try:
            assert await code_of(store, Append("blue", 1, (b"two",))) is StoreCode.UNREACHABLE
            with redis_server(tmp_path, *disk, port=port):
                await store.commit([Append("blue", 1, (b"two",))])
                assert await store.read("blue") == Past(None, 0, (b"one", b"two"))
        finally:
            await connection.__aexit__(None, None, None)


async def test_no_redis_at_the_address_is_told_at_the_start() -> None:
    with reserved_port() as port, pytest.raises(StoreError) as raised:
        async with open_redis(f"redis://me:hush@127.0.0.1:{port}/0", "me"):
            pass
    assert raised.value.code is StoreCode.UNREACHABLE
    assert "hush" not in str(raised.value)


async def test_a_full_redis_is_told(tmp_path: Path) -> None:
    with redis_server(tmp_path, "--maxmemory-policy", "noeviction") as url:
        async with open_redis(url, "me") as store, coredis.Redis.from_url(url) as client:
            await store.commit([Append("blue", 0, (b"one",))])
            await client.config_set({"maxmemory": "1mb"})
            assert await code_of(store, Append("blue", 1, (b"x" * 1_000_000,))) is StoreCode.FULL
            await client.config_set({"maxmemory": "0"})
            await store.commit([Append("blue", 1, (b"two",))])


async def test_a_password_in_the_address_opens_it_and_a_wrong_one_is_told_without_it(tmp_path: Path) -> None:
    with redis_server(tmp_path, "--requirepass", "open/ses@me") as url:
        async with open_redis(url.replace("//", "//:open%2Fses%40me@"), "me") as store:
            await store.commit([Append("blue", 0, (b"one",))])
            assert store.place == url
        for wrong in (url, url.replace("//", "//:close%2Fses%40me@")):
            with pytest.raises(StoreError) as raised:
                async with open_redis(wrong, "me"):
                    pass
            assert raised.value.code is StoreCode.UNREACHABLE
            assert not any(part in str(raised.value) for part in ("ses%40me", "ses@me"))


async def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate that vouches for itself, and its key."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *subject]
    await trio.run_process([*make, "-keyout", key, "-out", certificate], capture_stderr=True)
    return certificate, key


async def test_it_speaks_tls(tmp_path: Path) -> None:
    certificate, key = await make_certificate(tmp_path)
    with reserved_port() as port:
        tls = ["--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key)]
        with redis_server(tmp_path, *tls, "--tls-auth-clients", "no"):
            url = f"rediss://127.0.0.1:{port}/0"
            async with open_redis(f"{url}?ssl_ca_certs={certificate}", "me") as store:
                await store.commit([Append("blue", 0, (b"one",))])
            with pytest.raises(StoreError) as raised:
                # Nobody vouches for this certificate.
                async with open_redis(url, "me"):
                    pass
            assert raised.value.code is StoreCode.UNREACHABLE


def test_a_url_is_shown_without_its_secrets() -> None:
    assert shown("rediss://me:hush@rooms.example:6380/2?ssl_keyfile=x") == "rediss://rooms.example:6380/2"


@pytest.mark.parametrize("url", ["redis://[::1", "redis://127.0.0.1:99999"])
async def test_an_address_that_cannot_be_read_is_an_error_of_the_store(url: str) -> None:
    with pytest.raises(StoreError) as error:
        async with open_redis(url, "a test"):
            raise AssertionError("it was opened")
    assert error.value.code is StoreCode.UNREACHABLE


def test_the_address_is_shown_without_its_secrets_and_with_its_brackets() -> None:
    assert shown("rediss://ada:open-sesame@[2001:db8::1]:6380/2") == "rediss://[2001:db8::1]:6380/2"
    assert shown("redis://:open-sesame@redis") == "redis://redis"
    assert "open-sesame" not in shown("redis://ada:open-sesame@[::1")
