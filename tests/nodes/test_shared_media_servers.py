"""Given nodes that share their media servers, then what one of them learns of these, all do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import coredis
import pytest
import trio

from roomfsm.rooms.media_servers import id_of
from roomfsm.server import End
from tests.nodes.company import LONG, open_relay
from tests.ports import reserved_port
from tests.processes import LOADED, media_server_program
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
async def node(name: str, redis: str, *kurento: str, **more: Any) -> AsyncIterator[tuple[Served, Administrator]]:
    shared: dict[str, Any] = {"store": redis, "admin_token": TOKEN, "inspect": False, "media_host": "127.0.0.1"}
    async with serving(*kurento, node=name, node_lease=LONG, resume_window=600.0, **shared, **more) as server:
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


async def until_moved(admin: Administrator, room: str, holds: Callable[[Any], bool]) -> Any:
    """What the node says of a room that has come to it, once that is as it must be."""
    with trio.fail_after(LOADED):
        while True:
            _, told = await admin.call("GET", f"/rooms/{room}")
            if "room" in told and holds(told["room"]):
                return told["room"]
            await trio.sleep(0.05)


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
        # Each has done each thing once, however often it has looked since.
        for server in (one, two):
            assert server.running.directory.counts.moves["mediaServer", "drainMediaServer"] == 1
        for client in (ada, bob, eve):
            await client.ask("leave")


async def test_a_room_that_moves_keeps_what_it_has_at_an_embedded_media_server_of_another_node(empty: str) -> None:
    with reserved_port() as first, reserved_port() as second:
        # The media server of each node. That of the node which ends, ends with it.
        mine, others = (f"ws://127.0.0.1:{port}/kurento" for port in (first, second))
        async with (
            node("two", empty, share_media_server=f"127.0.0.1:{second}") as (two, at_two),
            open_client(two.url) as ada,
            open_client(two.url) as bob,
        ):
            async with node("one", empty, share_media_server=f"127.0.0.1:{first}") as (one, at_one):
                seen = await until_there(at_one, others, lambda told: told["connected"])
                assert (seen["origin"], len(seen["nodes"])) == ("nodes", 1)
                own = await until_there(at_one, mine, lambda told: told["connected"] and told["nodes"])
                assert own["origin"] == "embedded"
                await until_there(at_two, mine, lambda told: told["connected"])
                for room in ("goes", "stays"):
                    assert (await at_one.call("POST", "/rooms", {"name": room}))[0] == 201
                await at_one.call("POST", f"{path_of(others)}/drain")
                assert await presents(one, bob, "goes") == mine
                await at_one.call("POST", f"{path_of(others)}/use")
                await at_one.call("POST", f"{path_of(mine)}/drain")
                assert await presents(one, ada, "stays") == others
            stays = await until_moved(at_two, "stays", lambda room: room["mediaServer"] is not None)
            assert (stays["mediaServer"], stays["streams"]) == (others, 1)
            await until_moved(at_two, "goes", lambda room: room["streams"] == 0)
            for room in ("goes", "stays"):
                assert (await at_two.call("POST", f"/rooms/{room}/close", {"reason": "it is over"}))[0] == 202
            # It is not used any more, and forgotten when no room can come that has something there.
            await until_there(at_two, mine, lambda told: told["state"] == "leaving")


async def test_the_media_server_of_a_node_that_is_restarted_goes_on_for_the_others(empty: str) -> None:
    with reserved_port() as port, reserved_port() as shared:
        mine, end = f"ws://127.0.0.1:{shared}/kurento", End()
        of_one: dict[str, Any] = {
            "port": port,
            "share_media_server": f"127.0.0.1:{shared}",
            # So long it goes on if nobody comes. The test ends it.
            "media_linger": LOADED,
        }
        async with node("two", empty, "ws://127.0.0.1:9/kurento") as (two, at_two), open_client(two.url) as ada:
            async with node("one", empty, end=end, **of_one) as (one, at_one):
                before = await until_there(at_two, mine, lambda told: told["connected"])
                assert (await at_one.call("POST", "/rooms", {"name": "goes"}))[0] == 201
                assert await presents(one, ada, "goes") == mine
                # Nobody begins anything there from now on.
                await one.running.drain(0)
                await until_there(at_two, mine, lambda told: told["state"] == "leaving")
                end.ask(is_restart=True)
            goes = await until_moved(at_two, "goes", lambda room: room["mediaServer"] is not None)
            assert (goes["mediaServer"], goes["streams"]) == (mine, 1)
            async with node("one", empty, **of_one) as (_, at_one):
                after = await until_there(at_two, mine, lambda told: told["state"] == "in use")
                assert (after["connected"], after["id"], after["pipelines"]) == (True, before["id"], 1)
                # It is the same process, and nobody has released anything there.
                assert (await at_two.get("/rooms/goes"))["room"]["streams"] == 1
                await until_there(at_one, mine, lambda told: told["connected"])
                await at_two.call("POST", "/rooms/goes/close", {"reason": "it is over"})
