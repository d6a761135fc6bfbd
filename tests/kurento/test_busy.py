"""Given media servers that say how busy they are, then new pipelines go where less is going on."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from roomfsm.jsonrpc import ErrorObject
from roomfsm.kurento import KurentoSettings, open_media_pool
from roomfsm.kurento.busy import Measured
from tests.kurento.fake import FakeServer
from tests.kurento.test_session import LIMITS, two_servers

SETTINGS = KurentoSettings()


@pytest.mark.parametrize(
    ("percent", "before", "now", "expected"),
    [
        (40.0, 20, 20, 40.0),
        # An endpoint counts as much as those that were there.
        (40.0, 20, 25, 50.0),
        (40.0, 20, 10, 20.0),
        # A server that others use, or that has nothing to do: a new endpoint counts a little.
        (40.0, 0, 4, 41.0),
        (0.0, 100, 104, 1.0),
        # What has gone cannot have cost more than there was.
        (1.0, 100, 0, 0.0),
    ],
)
def test_what_came_since_the_measurement_counts(percent: float, before: int, now: int, expected: float) -> None:
    assert Measured(percent, before).now(now) == pytest.approx(expected)


def busy(server: FakeServer, percent: float, cores: int = 2) -> None:
    server.values["getUsedCpu"] = percent * cores
    server.values["getCpuCount"] = cores


async def test_a_pipeline_goes_to_the_less_busy_media_server_even_if_we_have_more_there(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    one, two, urls = await two_servers(nursery, monkeypatch)
    busy(one, 75.0)
    busy(two, 20.0, cores=8)
    with trio.fail_after(60):
        async with open_media_pool(urls) as pool:
            await wait_all_tasks_blocked()
            # Nothing is known yet.
            assert [server.busy for server in pool.servers] == [None, None]
            await trio.sleep(SETTINGS.measure_interval + 1)
            assert [server.busy for server in pool.servers] == [75.0, 20.0]
            assert pool.another(()) == two.url
            assert pool.another({two.url}) == one.url
            async with pool.pipeline({}) as here, here.endpoint(LIMITS), pool.pipeline({}) as there:
                assert (here.server_url, there.server_url) == (two.url, two.url)
            # A small difference says nothing: then what is ours counts.
            busy(one, 24.0)
            await trio.sleep(SETTINGS.measure_interval + 1)
            async with pool.pipeline({}) as here, here.endpoint(LIMITS), pool.pipeline({}) as there:
                assert (here.server_url, there.server_url) == (one.url, two.url)


@pytest.mark.parametrize("how", ["refuses", "says nothing", "is silent"])
async def test_if_one_does_not_say_how_busy_it_is_only_what_is_ours_counts(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, how: str
) -> None:
    one, two, urls = await two_servers(nursery, monkeypatch)
    busy(one, 75.0)
    busy(two, 20.0)
    with trio.fail_after(200):
        async with open_media_pool(urls) as pool:
            await trio.sleep(SETTINGS.measure_interval + 1)
            assert pool.another(()) == two.url
            match how:
                case "refuses":
                    two.fail["getUsedCpu"] = ErrorObject(40008, "no such operation", {})
                case "says nothing":
                    two.values["getUsedCpu"] = None
                case _:
                    two.hold("getUsedCpu")
            await trio.sleep(2 * (SETTINGS.measure_interval + SETTINGS.request_timeout))
            assert pool.servers[1].busy is None
            assert pool.another(()) == one.url
            two.fail.clear()
            if how == "is silent":
                await two.let_go("getUsedCpu")
            busy(two, 20.0)
            await trio.sleep(2 * SETTINGS.measure_interval)
            assert pool.another(()) == two.url


async def test_a_single_media_server_is_not_asked(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    one, _, urls = await two_servers(nursery, monkeypatch)
    async with open_media_pool(urls[:1]) as pool:
        await trio.sleep(10 * SETTINGS.measure_interval)
        assert "getUsedCpu" not in one.methods()
        assert pool.servers[0].busy is None
