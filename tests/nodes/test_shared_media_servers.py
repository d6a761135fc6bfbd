"""Given nodes that share their media servers, then what one of them learns of these, all do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import coredis
import pytest

from roomfsm.rooms.media_servers import id_of
from tests.nodes.company import LONG, open_relay
from tests.processes import media_server_program
from tests.protocol_client import open_client
from tests.serving import Served, serving
from tests.web.api.administrator import TOKEN, Administrator
from tests.web.api.test_media_servers import path_of, presents, until


@pytest.fixture
def another() -> Iterator[str]:
    with media_server_program() as (url, _):
        yield url


@pytest.fixture
async def empty(redis: str) -> str:
    async with coredis.Redis.from_url(redis) as client:
        await client.flushdb()
    return redis


@asynccontextmanager
async def node(name: str, redis: str, *kurento: str) -> AsyncIterator[tuple[Served, Administrator]]:
    async with serving(
        *kurento, store=redis, node=name, node_lease=LONG, admin_token=TOKEN, inspect=False
    ) as server:
        yield server, Administrator(server)


def states(told: Any) -> dict[str, str]:
    """The states of media servers, by their addresses."""
    return {one["url"]: one["state"] for one in told["mediaServers"]}


async def until_there(admin: Administrator, url: str, holds: Callable[[Any], bool]) -> Any:
    """What the node says of a media server, once that is as it must be."""

    def ones(told: Any) -> list[Any]:
        return [one for one in told["mediaServers"] if one["url"] == url and holds(one)]

    (one,) = ones(await until(admin, "/media-servers", ones))
    return one


async def test_what_is_said_of_a_media_server_at_one_node_holds_at_all(
    empty: str, media_server: str, another: str
) -> None:
    old = path_of(media_server)
    async with (
        open_relay(empty) as way,
        node("one", empty, media_server) as (one, at_one),
        node("two", way.url, media_server) as (two, at_two),
        open_client(one.url) as ada,
        open_client(two.url) as bob,
        open_client(two.url) as eve,
    ):
        assert await presents(two, bob, "first") == media_server
        both = await until_there(at_one, media_server, lambda told: len(told["nodes"]) == 2)
        assert (both["id"], both["origin"]) == (id_of(media_server), "settings")
        # One that is added at one node is used at the other.
        assert (await at_one.call("POST", "/media-servers", {"url": another}))[0] == 201
        added = await until_there(at_two, another, lambda told: told["connected"])
        assert (added["origin"], added["nodes"]) == ("added", [])
        # One that is drained at the other node gets no new room at this one. What is there stays.
        status, told = await at_two.call("POST", f"{old}/drain")
        assert (status, told["state"]) == (200, "draining")
        await until_there(at_one, media_server, lambda told: told["state"] == "drained")
        assert await presents(one, ada, "second") == another
        # A node that comes later knows it, and uses what others have.
        async with node("three", empty, media_server) as (three, at_three), open_client(three.url) as cyd:
            await until_there(at_three, another, lambda told: told["connected"])
            assert states(await at_three.get("/media-servers"))[media_server] == "drained"
            assert await presents(three, cyd, "third") == another
            await cyd.ask("leave")
        # Without Redis, everything goes on as it was, and nobody is promised anything.
        way.cut()
        status, problem = await at_two.call("POST", f"{old}/use")
        assert (status, problem["code"]) == (503, "store_unavailable")
        assert states(await at_two.get("/media-servers")) == {media_server: "draining", another: "in use"}
        way.mend()
        # One that is taken away goes when nothing is there any more, at each node by itself.
        assert (await at_one.call("DELETE", old))[0] == 204
        assert states(await at_one.get("/media-servers")) == {another: "in use"}
        await until_there(at_two, media_server, lambda told: told["state"] == "leaving")
        assert (await at_two.get("/rooms/first"))["room"]["streams"] == 1
        assert await presents(two, eve, "fourth") == another
        assert (await at_two.call("POST", "/media-servers", {"url": media_server}))[0] == 201
        assert (await at_two.get(old))["state"] == "in use"
        await until_there(at_one, media_server, lambda told: told["connected"])
        for client in (ada, bob, eve):
            await client.ask("leave")
