"""Given two real media servers, tests that an administrator adds, drains and removes them while people present."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import trio

from roomfsm.rooms.media_servers import id_of
from tests.processes import media_server_program
from tests.protocol_client import Client, open_client
from tests.serving import Served, serving
from tests.web.api.administrator import TOKEN, Administrator

ADMIN = {"admin_token": TOKEN}
OFFER = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendonly\r\na=rtcp-mux\r\n"
    "a=rtpmap:111 opus/48000/2\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n"
    "a=setup:actpass\r\na=ssrc:1 cname:x\r\n"
    "a=fingerprint:sha-256 " + ":".join(["AB"] * 32) + "\r\n"
)


@pytest.fixture
def another() -> Iterator[str]:
    with media_server_program() as (url, _):
        yield url


async def until(admin: Administrator, path: str, holds: Any) -> Any:
    with trio.fail_after(60):
        while True:
            told = await admin.get(path)
            if holds(told):
                return told
            await trio.sleep(0.05)


def path_of(url: str) -> str:
    """Where the API has the media server at this address."""
    return f"/media-servers/{id_of(url)}"


async def presents(server: Served, client: Client, room: str) -> str:
    """Where the stream of somebody is who presents in a new room."""
    await client.join(room)
    answer = await client.ask("publish", source="camera", sdp=OFFER)
    assert answer["type"] == "answer", answer
    found = server.running.directory.find(room)
    assert found is not None
    assert found.media_server is not None
    return found.media_server


async def test_a_media_server_is_drained_and_taken_away_while_another_does_its_work(
    media_server: str, another: str
) -> None:
    async with (
        serving(media_server, **ADMIN) as server,
        open_client(server.url) as ada,
        open_client(server.url) as bob,
        open_client(server.url) as eve,
    ):
        admin = Administrator(server)
        first, second = path_of(media_server), path_of(another)
        await until(admin, first, lambda one: one["connected"])
        assert await presents(server, ada, "one") == media_server
        status, added = await admin.call("POST", "/media-servers", {"url": another})
        assert (status, added["number"], added["state"]) == (201, 2, "in use")
        assert ((await admin.get(first))["origin"], added["origin"]) == ("settings", "added")
        await until(admin, second, lambda one: one["connected"])
        # The first is drained: what is there stays, and what begins does so elsewhere.
        status, told = await admin.call("POST", f"{first}/drain")
        assert (status, told["state"], told["pipelines"]) == (200, "draining", 1)
        assert await presents(server, bob, "two") == another
        status, problem = await admin.call("DELETE", first)
        assert (status, problem["code"], problem["state"]) == (409, "illegal_in_state", "draining")
        assert (await ada.ask("ping"))["type"] == "pong"
        assert (await admin.get("/rooms/one"))["room"]["streams"] == 1
        await ada.ask("leave")
        await until(admin, first, lambda one: one["state"] == "drained")
        assert (await admin.call("DELETE", first))[0] == 204
        assert [one["number"] for one in (await admin.get("/media-servers"))["mediaServers"]] == [2]
        assert await presents(server, eve, "three") == another
        # The numbers of those that are left stay the same.
        assert (await admin.call("GET", first))[1]["code"] == "no_such_media_server"
        for client in (bob, eve):
            await client.ask("leave")


async def test_without_one_in_use_nobody_presents_until_there_is_one(media_server: str) -> None:
    async with serving(media_server, **ADMIN) as server, open_client(server.url) as ada:
        admin = Administrator(server)
        await until(admin, "/server", lambda told: told["ready"])
        await admin.call("POST", f"{path_of(media_server)}/drain")
        assert not (await admin.get("/server"))["ready"]
        async with trio.open_nursery() as nursery:
            places: list[str] = []

            async def present() -> None:
                places.append(await presents(server, ada, "one"))

            nursery.start_soon(present)
            assert (await admin.call("POST", f"{path_of(media_server)}/use"))[1]["state"] == "in use"
        assert places == [media_server]
        await ada.ask("leave")


WRONG: list[tuple[str, str, Any, int, str, str | None]] = [
    ("POST", "/media-servers", {"url": "http://h/kurento"}, 400, "malformed", "$.url"),
    ("POST", "/media-servers", {"url": "ws://u:p@h/kurento"}, 400, "malformed", "$.url"),
    ("POST", "/media-servers", {"url": "ws://h/", "secret": "short"}, 400, "malformed", "$.secret"),
    ("POST", "/media-servers", {}, 400, "malformed", "$.url"),
    ("GET", "/media-servers/7", None, 404, "no_such_media_server", None),
    ("POST", "/media-servers/7/drain", None, 404, "no_such_media_server", None),
    ("POST", "/media-servers/7/use", None, 404, "no_such_media_server", None),
    ("DELETE", "/media-servers/7", None, 404, "no_such_media_server", None),
    ("DELETE", "/media-servers/THE-FIRST", None, 409, "illegal_in_state", None),
]


async def test_what_cannot_be_done_is_refused_by_name(media_server: str) -> None:
    async with serving(media_server, **ADMIN, max_media_servers=2) as server:
        admin = Administrator(server)
        for method, path, body, status, code, where in WRONG:
            at = path.replace("/media-servers/THE-FIRST", path_of(media_server))
            answered, problem = await admin.call(method, at, body)
            assert (answered, problem["code"], problem.get("path")) == (status, code, where), (path, problem)
        same = {"url": media_server}
        assert (await admin.call("POST", "/media-servers", same))[1]["code"] == "media_server_exists"
        # One that is not there is tried until it is, or until it is taken away.
        status, told = await admin.call("POST", "/media-servers", {"url": "ws://127.0.0.1:9/kurento"})
        assert (status, told["connected"]) == (201, False)
        status, problem = await admin.call("POST", "/media-servers", {"url": "ws://127.0.0.1:10/kurento"})
        assert (status, problem["code"]) == (409, "too_many_media_servers")
        gone = path_of("ws://127.0.0.1:9/kurento")
        await admin.call("POST", f"{gone}/drain")
        assert (await admin.call("DELETE", gone))[0] == 204
        assert (await admin.call("POST", "/media-servers", {"url": "ws://127.0.0.1:10/kurento"}))[1]["number"] == 3
