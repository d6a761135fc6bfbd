"""Given a media server that we know by several addresses, then it is one media server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from roomfsm.kurento import KurentoSettings, MediaPool, MediaServerLost, PipelinePlace, open_media_pool
from tests.kurento.fake import FakeServer
from tests.kurento.test_session import LIMITS, two_servers
from tests.mediaserver.kurento.test_clients import serving
from tests.processes import LOADED

NEW = "what-it-asks-for-now"
REFUSED = "unreachable: the connection was lost or refused"


class Twins:
    """A pool that knows one media server by the first two of its addresses, and another one by the third."""

    def __init__(self, pool: MediaPool, server: FakeServer, names: list[str], other: FakeServer) -> None:
        self.pool, self.server, self.names, self.other = pool, server, names, other

    async def place(self) -> str:
        """Where a new pipeline begins."""
        async with self.pool.pipeline({}) as pipeline:
            return pipeline.server_url


@pytest.fixture
async def twins(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> AsyncIterator[Twins]:
    one, two, (url, other) = await two_servers(nursery, monkeypatch)
    alias = "ws://alias.test/kurento"

    async def open_stream(at: str) -> trio.abc.Stream:
        return await (two if at == other else one).open_stream(other if at == other else url)

    monkeypatch.setattr("roomfsm.kurento.connection.open_stream", open_stream)
    with trio.fail_after(1000):
        async with open_media_pool([url, alias, other]) as pool:
            await wait_all_tasks_blocked()
            yield Twins(pool, one, [url, alias], two)


async def test_it_is_used_by_the_first_address_that_works(twins: Twins) -> None:
    pool, (url, alias) = twins.pool, twins.names
    assert [server.problem for server in pool.servers] == [None, "known twice: it is used as media server 1", None]
    assert pool.names_of(alias) == pool.names_of(url) == {url, alias}
    # A relay never leads from a media server to itself.
    assert pool.another({url}) == twins.other.url
    assert pool.another({url, twins.other.url}) is None
    async with pool.pipeline({}) as pipeline, pipeline.endpoint(LIMITS):
        assert pipeline.server_url == url
    await pool.remove(url)
    await wait_all_tasks_blocked()
    assert [server.problem for server in pool.servers] == [None, None]
    assert pool.another({twins.other.url}) == alias


async def test_it_is_chosen_only_if_all_its_addresses_let_it(twins: Twins) -> None:
    pool, names = twins.pool, twins.names

    def refuse(aliases: Iterable[str]) -> bool:
        return not set(aliases) & {names[1]}

    pool.may_choose = lambda _, aliases: refuse(aliases)
    assert await twins.place() == twins.other.url


async def test_its_stock_is_taken_once(twins: Twins) -> None:
    assert set(await twins.pool.take_stock(1)) == {1, 3}


async def test_a_pipeline_that_others_made_under_another_address_is_adopted(twins: Twins) -> None:
    pool, server = twins.pool, twins.server
    server.objects.add("p")
    place = PipelinePlace("ws://far.test/kurento", "theirs", server.server_id, "p")
    async with pool.adopt(place) as pipeline:
        assert pipeline.server_url == twins.names[0]


async def test_a_media_server_that_only_others_know_is_looked_for_once_more(twins: Twins) -> None:
    pool, server = twins.pool, twins.server
    await pool.remove(twins.names[1])
    server.objects.add("p")
    place = PipelinePlace(twins.names[1], "theirs", "the first process", "p")
    looks = []

    async def look() -> None:
        await trio.lowlevel.checkpoint()
        looks.append(1)
        server.server_id = "the first process"
        pool.add(twins.names[1], None)

    pool.look_again = look
    async with pool.adopt(place) as pipeline:
        assert (pipeline.server_url, len(looks)) == (twins.names[1], 1)
    pool.look_again = trio.lowlevel.checkpoint
    with pytest.raises(MediaServerLost):
        async with pool.adopt(PipelinePlace("ws://nowhere.test/kurento", "theirs", "nobody", "p")):
            pass


async def test_a_media_server_that_asks_for_another_secret_gets_it_at_once() -> None:
    late = KurentoSettings(secret="what it asked for once", reconnect_first=LOADED, reconnect_max=LOADED)
    async with serving(secret=NEW) as url, open_media_pool([url], late) as pool:
        with trio.fail_after(LOADED / 2):
            while pool.servers[0].problem != REFUSED:  # noqa: ASYNC110 (the link tells nobody)
                await trio.sleep(0.01)
            pool.use_secret(url, NEW)
            await pool.wait_ready()
