"""A Redis for all tests of nodes, and a Cluster for some. Each test empties it first."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.redis_failover import redis_cluster
from tests.redis_server import redis_server


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running.url


@pytest.fixture(scope="session", params=["redis", "cluster"])
def anywhere(request: pytest.FixtureRequest) -> str:
    """The address of either."""
    url: str = request.getfixturevalue(request.param)
    return url
