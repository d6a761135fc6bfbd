"""Sweeping ends nothing of this run, and nothing that belongs to somebody else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from roomfsm.jsonrpc import ErrorObject, Request
from roomfsm.kurento import KurentoSettings, open_media_pool
from roomfsm.kurento.owner import INSTANCE_TAG, NAME_TAG, Owner
from roomfsm.kurento.sweep import sweep
from tests.kurento.fake import URL, FakeServer, fake_server

OWNER = Owner("blue:8080")


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeServer]:
    async with fake_server(monkeypatch) as server:
        yield server


def tags(name: str, instance: str) -> list[dict[str, str]]:
    return [{"key": NAME_TAG, "value": name}, {"key": INSTANCE_TAG, "value": instance}]


def of(server: FakeServer, method: str) -> list[Request]:
    return [request for request in server.requests if request.method == method]


async def test_what_an_earlier_run_left_is_released_in_a_session_that_releases_nothing_else(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.values = {"getPipelines": ["p1", "p2"], "getTags": tags(OWNER.name, "an earlier run")}
    with trio.fail_after(60):
        async with open_media_pool([URL], owner=OWNER) as pool:
            await pool.wait_ready()
            await wait_all_tasks_blocked()
            released = [request.params["object"] for request in of(server, "release") if request.params]
            assert released == ["p1", "p2"]
            (closed,) = of(server, "closeSession")
            assert closed.params is not None
            # Another session than the pool's own, and without `release`: it has looked at what is others'.
            assert closed.params == {"sessionId": closed.params["sessionId"]}
            assert closed.params["sessionId"] != pool.servers[0].session_id
            assert pool.ready()


@pytest.mark.parametrize(
    "found", [tags("red:8080", "an earlier run"), tags(OWNER.name, OWNER.instance), [], None, 7, [7, {"key": 1}]]
)
async def test_what_is_anothers_or_nobodys_stays(
    server: FakeServer, autojump_clock: MockClock, found: Any
) -> None:
    server.values = {"getPipelines": ["p1"], "getTags": found}
    with trio.fail_after(60):
        async with open_media_pool([URL], owner=OWNER):
            await server.arrived("closeSession")
            assert of(server, "release") == []


async def test_a_media_server_that_refuses_to_be_looked_at_is_asked_again_and_used_all_the_same(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.fail["getPipelines"] = ErrorObject(40003, "no", {"type": "UNEXPECTED_ERROR"})
    with trio.fail_after(60):
        async with open_media_pool([URL], owner=OWNER) as pool:
            await server.arrived("getPipelines")
            async with pool.pipeline({"room": "r"}) as pipeline:
                assert pipeline.id in server.objects
            await trio.sleep(KurentoSettings().reconnect_max + 1)
            server.fail.clear()
            server.values = {"getPipelines": ["p1"], "getTags": tags(OWNER.name, "an earlier run")}
            while True:
                released = await server.arrived("release")
                if released.params and released.params["object"] == "p1":
                    break
            assert pool.ready()


@pytest.mark.parametrize("value", [None, 7, "p1", {}])
async def test_a_list_that_is_none_ends_nothing(server: FakeServer, autojump_clock: MockClock, value: Any) -> None:
    server.values = {"getPipelines": value}
    with trio.fail_after(60):
        async with open_media_pool([URL], owner=OWNER) as pool:
            await server.arrived("closeSession")
            assert pool.ready()


async def test_a_sweep_that_is_cancelled_closes_its_session_and_waits_for_nothing(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    """In a scope that is cancelled nobody reads the answer that it would wait for."""
    server.values = {"getPipelines": ["p1"]}
    server.hold("getPipelines")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sweep, URL, KurentoSettings(), OWNER)
        await server.arrived("getPipelines")
        began = trio.current_time()
        nursery.cancel_scope.cancel()
    assert trio.current_time() == began
    with trio.fail_after(60):
        await server.arrived("closeSession")
