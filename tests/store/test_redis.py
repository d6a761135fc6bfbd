"""What can go wrong with Redis, and what a store in it says then."""

from __future__ import annotations

from pathlib import Path

import coredis
import pytest
import trio

from roomfsm.store.interface import Append, Past, Remember, Snapshot, StoreCode, StoreError, Write
from roomfsm.store.redis import RedisStore, open_redis, shown
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
            assert "ses" not in str(raised.value)


async def test_it_speaks_tls(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *subject]
    await trio.run_process([*make, "-keyout", key, "-out", certificate], capture_stderr=True)
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
