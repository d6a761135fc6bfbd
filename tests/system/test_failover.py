"""Given two nodes, when the primary of their Redis is killed, a replica takes over, and no line is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from tests.nodes.crowd import Crowd
from tests.processes import LOADED
from tests.redis_failover import redis_cluster, watched_redis
from tests.system.program import running

ARGUMENTS = (
    "--port=0",
    "--node-lease=2",
    "--kurento=ws://127.0.0.1:9/kurento",
    "--inspect=false",
    "--chat-history=100000",
    "--chat-history-bytes=10000000",
)


async def talk_through(urls: list[str], fail: Callable[[], None]) -> None:
    with trio.fail_after(4 * LOADED):
        async with trio.open_nursery() as nursery:
            crowd = Crowd(urls, [f"room{number}" for number in range(4)])
            crowd.gather(16, nursery)
            await crowd.until_all_talk()
            began = trio.current_time()
            await trio.to_thread.run_sync(fail)
            await crowd.until_all_talk()
            print(f"everybody was heard again after {trio.current_time() - began:.1f} s")
            await crowd.be_quiet()
            assert await crowd.faults() == []
            assert sum(member.anew for member in crowd.members) == 0
            refused = {code for member in crowd.members for code in member.refusals}
            assert refused <= {"store_unavailable"}
            nursery.cancel_scope.cancel()


def nodes_on(folder: Path, store: str, fail: Callable[[], None]) -> None:
    """Two nodes with this store, which then fails."""
    folders = [folder / name for name in ("one", "two")]
    for own in folders:
        own.mkdir()
    one, two = ((f"--node={own.name}", f"--store={store}", *ARGUMENTS) for own in folders)
    with running(folders[0], *one) as first, running(folders[1], *two) as second:
        trio.run(talk_through, [first.url, second.url], fail)


def test_sentinels_make_a_replica_the_primary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROOMFSM_DATA")
    with watched_redis(tmp_path, sentinels=3) as watched:
        nodes_on(tmp_path, watched.url, watched.kill_primary)


def test_a_cluster_makes_a_replica_the_primary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROOMFSM_DATA")
    with redis_cluster(tmp_path) as cluster:
        nodes_on(tmp_path, cluster.url, cluster.kill_primary)
