"""All stores, so that each test of `test_store.py` runs on each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from roomfsm.store.interface import Store
from roomfsm.store.redis import open_redis
from roomfsm.store.redis_client import open_client
from roomfsm.store.sqlite import open_sqlite
from tests.redis_failover import Cluster, redis_cluster
from tests.redis_server import redis_server

type Open = Callable[[], AbstractAsyncContextManager[Store]]


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture(params=["sqlite", "redis", "cluster"])
def opens(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the store, empty at first. What is written is there when it is opened again."""
    if request.param == "sqlite":
        return lambda: open_sqlite(tmp_path / "data")
    running = request.getfixturevalue(request.param)
    url = running.url if isinstance(running, Cluster) else running
    emptied = False

    @asynccontextmanager
    async def open_it() -> AsyncIterator[Any]:
        nonlocal emptied
        if not emptied:
            async with open_client(url) as client:
                await client.request(b"FLUSHDB")
            emptied = True
        async with open_redis(url, "a test") as store:
            yield store

    return open_it
