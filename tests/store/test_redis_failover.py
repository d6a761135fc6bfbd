"""Given Sentinels or a Cluster, the store is where the primary is, and what is wrong is said."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from roomfsm.check.store import check_store
from roomfsm.settings import load
from roomfsm.store.interface import Append, Past, StoreCode, StoreError
from roomfsm.store.redis import RedisStore, ask_redis, open_redis
from tests.ports import reserved_port
from tests.processes import LOADED, started, until_listening
from tests.redis_failover import SERVICE, Cluster, Watched, ask, watched_redis
from tests.redis_server import redis_server
from tests.store.test_redis import make_certificate

PASSWORD, SENTINEL_PASSWORD = "open-sesame", "open-barley"


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """One Sentinel, which decides by itself."""
    folder = tmp_path_factory.mktemp("watched")
    with watched_redis(folder, sentinels=1, password=PASSWORD, sentinel_password=SENTINEL_PASSWORD) as running:
        yield running


def secret(watched: Watched) -> str:
    """The address with all passwords."""
    return f"{watched.url}?sentinel_password={SENTINEL_PASSWORD}"


async def fault_of(url: str) -> StoreError:
    """What is said at the start."""
    with pytest.raises(StoreError) as raised:
        async with open_redis(url, "me"):
            pass
    assert "sesame" not in str(raised.value)
    assert "barley" not in str(raised.value)
    return raised.value


async def appends(store: RedisStore, position: int) -> None:
    """Append an event, as soon as the store can be reached."""
    with trio.fail_after(LOADED):
        while True:
            try:
                await store.commit([Append("blue", position, (b"%d" % position,))])
            except StoreError as error:
                if error.code is not StoreCode.UNREACHABLE:
                    raise
                await trio.sleep(0.01)
            else:
                return


async def test_what_is_wrong_with_sentinels_is_said_at_the_start(watched: Watched) -> None:
    url = secret(watched)
    unknown = await fault_of(url.replace(f"/{SERVICE}", "/halls"))
    assert (unknown.code, "no service that is called halls" in unknown.detail) == (StoreCode.UNREACHABLE, True)
    for wrong in (watched.url, url.replace("barley", "wheat")):
        refused = await fault_of(wrong)
        assert refused.code is StoreCode.UNREACHABLE
        assert f":{watched.sentinels[0]}: refuses the user or the password" in refused.detail
    wrong_password = await fault_of(url.replace("sesame", "oats"))
    assert f":{watched.primary} refuses the user or the password" in wrong_password.detail
    with reserved_port() as nobody:
        gone = await fault_of(f"redis+sentinel://127.0.0.1:{nobody}/{SERVICE}")
        assert (gone.code, str(nobody) in gone.detail) == (StoreCode.UNREACHABLE, True)


async def test_one_sentinel_that_answers_is_enough(watched: Watched) -> None:
    (deaf,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    with reserved_port() as nobody:
        silent = (f"127.0.0.1:{deaf.socket.getsockname()[1]}", f"127.0.0.1:{nobody}")
        url = secret(watched).replace("@", f"@{silent[0]},{silent[1]},")
        async with open_redis(url, "me") as store:
            assert await store.rooms() == []
        asked = await ask_redis(url)
        assert {fault.rpartition(": ")[0].partition(": ")[0] for fault in asked.silent} == set(silent)
        assert asked.replicas == 1
        findings = await check_store(load({"store": url}, {}))
        assert [finding.outcome for finding in findings if "does not answer" in finding.what] == ["warning"] * 2
    await deaf.aclose()


async def test_the_store_goes_on_where_sentinels_have_made_another_primary(watched: Watched) -> None:
    async with open_redis(secret(watched), "me") as store:
        await store.commit([Append("blue", 0, (b"0",))])
        ask(watched.sentinels[0], "SENTINEL", "FAILOVER", SERVICE, password=SENTINEL_PASSWORD)
        position = 1
        with trio.fail_after(LOADED):
            # In the middle of it, too.
            while await trio.to_thread.run_sync(role, watched.replica) != "master":
                await appends(store, position)
                position += 1
        await appends(store, position)
        events = (await store.read("blue")).events
        assert events == tuple(b"%d" % number for number in range(position + 1))


def role(port: int) -> str:
    return ask(port, "ROLE", password=PASSWORD).splitlines()[0]


async def test_the_store_goes_on_where_the_cluster_has_another_primary(cluster: Cluster) -> None:
    async with open_redis(cluster.url, "me") as store:
        await store.commit([Append("blue", 0, (b"0",))])
        await trio.to_thread.run_sync(cluster.fail_over)
        await appends(store, 1)
        assert await store.read("blue") == Past(None, 0, (b"0", b"1"))


async def test_any_server_of_a_cluster_knows_the_others(cluster: Cluster) -> None:
    with reserved_port() as nobody:
        url = f"redis+cluster://127.0.0.1:{nobody},127.0.0.1:{cluster.primaries[2]}"
        async with open_redis(url, "me") as store:
            await store.commit([Append("green", 0, (b"0",))])
        asked = await ask_redis(url)
        assert [fault.startswith(f"127.0.0.1:{nobody}: ") for fault in asked.silent] == [True]
        with trio.fail_after(LOADED):
            # The servers of a Cluster tell each other in their own time.
            while (await ask_redis(url)).replicas != 1:  # noqa: ASYNC110 - there is no event for it
                await trio.sleep(0.05)
        gone = await fault_of(f"redis+cluster://127.0.0.1:{nobody}")
        assert (gone.code, str(nobody) in gone.detail) == (StoreCode.UNREACHABLE, True)


async def test_a_cluster_without_the_slot_of_the_rooms_is_told(tmp_path: Path) -> None:
    with redis_server(tmp_path, "--cluster-enabled", "yes") as url:
        error = await fault_of(url.replace("redis://", "redis+cluster://"))
        assert "no server of the Cluster has the slot" in error.detail
    with redis_server(tmp_path) as url:
        assert "cluster support disabled" in (await fault_of(url.replace("redis://", "redis+cluster://"))).detail


async def test_sentinels_speak_tls(tmp_path: Path) -> None:
    certificate, key = await make_certificate(tmp_path)
    tls = {"cert-file": certificate, "key-file": key, "ca-cert-file": certificate, "auth-clients": "no"}
    with reserved_port() as primary, reserved_port() as sentinel:
        options = [word for name, value in tls.items() for word in (f"--tls-{name}", str(value))]
        lines = [
            "port 0",
            f"tls-port {sentinel}",
            "tls-replication yes",
            *(f"tls-{name} {value}" for name, value in tls.items()),
            f"sentinel monitor {SERVICE} 127.0.0.1 {primary} 1",
        ]
        settings, log = tmp_path / "sentinel.conf", tmp_path / "sentinel.log"
        settings.write_text("\n".join([*lines, ""]))
        with (
            redis_server(tmp_path, "--port", "0", "--tls-port", str(primary), *options, port=primary),
            log.open("w") as file,
            started(
                ["redis-server", str(settings), "--sentinel"], stdout=file, stderr=subprocess.STDOUT
            ) as process,
        ):
            until_listening(sentinel, process, log)
            url = f"rediss+sentinel://127.0.0.1:{sentinel}/{SERVICE}"
            async with open_redis(f"{url}?ssl_ca_certs={certificate}", "me") as store:
                await store.commit([Append("blue", 0, (b"one",))])
            findings = await check_store(load({"store": f"{url}?ssl_ca_certs={certificate}"}, {}))
            assert "nobody would take over" in findings[-1].what
            # Nobody vouches for this certificate.
            assert "certificate" in (await fault_of(url)).detail.lower()
