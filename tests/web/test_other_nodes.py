"""Given rooms at three servers, when any of them is asked by HTTP, then the one with the room, or all, answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from roomfsm.nodes.messages import BodyPart, Question
from roomfsm.protocol.errors import ErrorCode
from tests.nodes.three import NAMES, Nodes, three
from tests.processes import LOADED
from tests.protocol_client import Client, open_client
from tests.web.api.administrator import TOKEN, Administrator
from tests.web.http import Reply, get

INSPECTOR = "an-inspect-token-for-tests"
BIG = bytes(range(256)) * 40_000
"""Some 10 MB."""


@asynccontextmanager
async def house(media_server: str, folder: Path, **changes: Any) -> AsyncIterator[Nodes]:
    """Three servers with the same tokens, which wait for each other's lists as long as they take."""
    given: dict[str, Any] = {
        "admin_token": TOKEN,
        "inspect_token": INSPECTOR,
        "node_list_timeout": LOADED,
        "file_folder": str(folder),
        "free_disk_bytes": 0,
        **changes,
    }
    with trio.fail_after(240):
        async with three(media_server, **given) as nodes:
            yield nodes


async def offer(person: Client, size: int, name: str = "plan.bin") -> str:
    upload = await person.ask("sendFile", name=name, size=size)
    assert upload["type"] == "upload", upload
    return f"/{upload['path']}"


async def share(nodes: Nodes, by: str, person: Client, content: bytes) -> str:
    """Send a file whole over a node. Returns where it is fetched."""
    path = await offer(person, len(content))
    assert (await get(nodes.servers[by], path, "PUT", content, stranger=True)).status == 201
    file = (await person.expect("chat"))["line"]["file"]
    return f"/{file['path']}"


async def test_the_api_of_any_server_steers_a_room(media_server: str, tmp_path: Path) -> None:
    async with house(media_server, tmp_path) as nodes, open_client(nodes.url("two")) as ada:
        await ada.join("green", "Ada")
        for name in NAMES:
            admin = Administrator(nodes.servers[name])
            assert (await admin.get("/rooms/Green"))["room"]["people"] == 1
            people = await admin.get("/rooms/green/people")
            assert [person["name"] for person in people["people"]] == ["Ada"]
            assert (await admin.call("PUT", "/rooms/green/lock", {"locked": True}))[1] == {"locked": True}
            assert (await admin.call("POST", "/explain", {"room": "green"}))[1]["refusal"]["code"] == "locked"
            assert (await admin.call("PUT", "/rooms/green/lock", {"locked": False}))[0] == 200
            status, refused = await admin.call("PUT", "/rooms/green/lock", raw=b'{"locked": 3}')
            assert (status, refused["code"], refused["path"]) == (400, "malformed", "$.locked")
            assert (await admin.call("DELETE", "/rooms/green/lock"))[0] == 405
            assert (await admin.call("GET", "/rooms/green/nothing"))[0] == 404
        assert nodes.maps["two"].known.count("green") > len(NAMES)
        nodes.maps["two"].fault = ErrorCode.STORE_UNAVAILABLE
        for name in NAMES:
            status, refused = await Administrator(nodes.servers[name]).call("GET", "/rooms/green")
            assert (status, refused["code"]) == (503, "store_unavailable")
        nodes.maps["two"].fault = None
        admin = Administrator(nodes.servers["three"])
        assert (await admin.call("POST", f"/rooms/green/people/{ada.me}/kick"))[0] == 204
        assert (await ada.expect("participantLeft"))["reason"] == "kicked"


async def test_a_room_is_opened_where_it_belongs(media_server: str, tmp_path: Path) -> None:
    async with house(media_server, tmp_path) as nodes:
        admin = Administrator(nodes.servers["one"])
        nodes.maps["one"].prefers = "three"
        for name in ("Board", "green", "red"):
            status, room = await admin.call("POST", "/rooms", {"name": name, "policy": {"linger": 600}})
            assert (status, room["room"]["name"]) == (201, name)
            status, refused = await admin.call("POST", "/rooms", {"name": name})
            assert (status, refused["code"]) == (409, "room_exists")
        assert [[room.name for room in nodes.directory(name).rooms()] for name in NAMES] == [
            ["red"],
            ["green"],
            ["Board"],
        ]


async def test_a_room_that_is_refused_needs_no_server(media_server: str, tmp_path: Path) -> None:
    async with house(media_server, tmp_path, max_rooms=1) as nodes:
        admin, one = Administrator(nodes.servers["one"]), nodes.maps["one"]
        assert (await admin.call("POST", "/rooms", {"name": "first"}))[0] == 201
        one.given_back.clear()
        status, refused = await admin.call("POST", "/rooms", {"name": "second"})
        assert (status, refused["code"], one.given_back) == (503, "server_full", ["second"])


async def test_nobody_else_makes_a_room_by_asking(media_server: str, tmp_path: Path) -> None:
    async with house(media_server, tmp_path) as nodes:
        admin, before = Administrator(nodes.servers["one"]), dict(nodes.homes)
        assert (await admin.call("GET", "/rooms/nowhere"))[0] == 404
        assert (await admin.call("POST", "/explain", {"room": "nowhere"}))[1]["open"] is False
        assert (await admin.call("POST", "/rooms", {"name": "a b/c"}))[0] == 400
        assert (await admin.call("POST", "/rooms", {"name": "nowhere", "policy": {"maxPeople": 0}}))[0] == 400
        assert (await admin.call("POST", "/rooms", raw=b"["))[0] == 400
        stranger = Administrator(nodes.servers["one"], "a-wrong-token")
        for path, body in (("/rooms", {"name": "nowhere"}), ("/explain", {"room": "green"})):
            assert (await stranger.call("POST", path, body))[0] == 401
        assert (await stranger.call("GET", "/rooms/green"))[0] == 401
        assert (await get(nodes.servers["one"], "/inspect/api/rooms/nowhere")).status == 404
        assert (await get(nodes.servers["one"], "/inspect/api/rooms/%ff%2F")).status == 404
        assert nodes.homes == before


async def test_a_request_for_a_room_while_nobody_knows_where_it_is(media_server: str, tmp_path: Path) -> None:
    async with house(media_server, tmp_path) as nodes:
        admin = Administrator(nodes.servers["one"])
        nodes.maps["one"].fault = ErrorCode.STORE_UNAVAILABLE
        asked: tuple[tuple[str, str, Any], ...] = (
            ("GET", "/rooms/green", None),
            ("POST", "/rooms", {"name": "green"}),
            ("POST", "/explain", {"room": "green"}),
        )
        for method, path, body in asked:
            status, refused = await admin.call(method, path, body)
            assert (status, refused["code"]) == (503, "store_unavailable")


async def test_the_inspector_of_any_server_follows_a_room(media_server: str, tmp_path: Path) -> None:
    async with house(media_server, tmp_path, inspect_watchers=1) as nodes, open_client(nodes.url("two")) as ada:
        await ada.join("green", "Ada")
        one = nodes.servers["one"]
        reply = await get(one, "/inspect/api/rooms/green")
        assert (reply.status, json.loads(reply.body)["glance"]["name"]) == (200, "green")
        journal = await get(one, "/inspect/api/rooms/green/journal")
        assert (journal.status, journal.headers["content-type"]) == (200, "application/jsonl")
        assert b"green" in journal.body
        assert (await get(one, "/inspect/api/rooms/green", stranger=True)).status == 401
        path = "/inspect/api/rooms/green/feed"
        async with await trio.open_tcp_stream("127.0.0.1", one.port) as stream:
            lines = (f"GET {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {INSPECTOR}", "", "")
            await stream.send_all("\r\n".join(lines).encode())
            await _until_seen(stream, b'"name":"Ada"')
            await ada.ask("rename", name="Grace")
            await _until_seen(stream, b'"name":"Grace"')
            # Node two has one place for a page that watches.
            assert (await get(one, path)).status == 503
        async with open_feed_when_free(nodes, path):
            pass
        assert (await get(one, "/inspect/api/rooms/green/close", "POST", b"{}")).status == 202
        assert (await ada.expect("closing"))["reason"] == "administrator"


@asynccontextmanager
async def open_feed_when_free(nodes: Nodes, path: str) -> AsyncIterator[None]:
    """The feed, as soon as the server has noticed that its only watcher has gone."""
    while True:
        async with await trio.open_tcp_stream("127.0.0.1", nodes.servers["three"].port) as stream:
            lines = (f"GET {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {INSPECTOR}", "", "")
            await stream.send_all("\r\n".join(lines).encode())
            seen = bytes(await stream.receive_some())
            if seen.startswith(b"HTTP/1.1 200"):
                yield
                return


async def _until_seen(stream: trio.SocketStream, wanted: bytes) -> None:
    seen = b""
    while wanted not in seen:
        data = await stream.receive_some()
        assert data, seen
        seen += data


async def test_a_large_file_goes_over_other_servers_both_ways(media_server: str, tmp_path: Path) -> None:
    async with house(media_server, tmp_path) as nodes, open_client(nodes.url("one")) as ada:
        await ada.join("green", "Ada")
        path = await share(nodes, "three", ada, BIG)
        assert path.startswith("/files/two.")
        for name in NAMES:
            assert (await get(nodes.servers[name], path, stranger=True)).body == BIG
        await nodes.until_nothing_is_under_way()


async def test_the_addresses_of_files_are_the_same_at_each_server(media_server: str, tmp_path: Path) -> None:
    async with house(media_server, tmp_path) as nodes, open_client(nodes.url("two")) as ada:
        await ada.join("green", "Ada")
        path = await share(nodes, "two", ada, bytes(range(100)))
        answers = []
        for name in NAMES:
            replies = [
                await get(nodes.servers[name], path, "HEAD", stranger=True),
                await get(nodes.servers[name], path, "OPTIONS", stranger=True),
                await get(nodes.servers[name], path, headers={"Range": "bytes=10-19"}, stranger=True),
                await get(nodes.servers[name], path, headers={"Range": "bytes=100-"}, stranger=True),
                await get(nodes.servers[name], path, "DELETE", stranger=True),
                await get(nodes.servers[name], "/files/two.abcdefgh", stranger=True),
                await get(nodes.servers[name], "/files/two.abcdefgh", "PUT", b"x", stranger=True),
                # A node that is not there any more, and addresses of no file.
                await get(nodes.servers[name], "/files/four.abcdefgh", stranger=True),
                await get(nodes.servers[name], "/files/two.", stranger=True),
                await get(nodes.servers[name], "/files/two.a.b", stranger=True),
                await get(nodes.servers[name], "/files/two.a/b", stranger=True),
            ]
            answers.append([_told(reply) for reply in replies])
        assert [told[0] for told in answers[0]] == [200, 204, 206, 416, 405, 404, 404, 404, 404, 404, 404]
        assert answers[0][2][1] == bytes(range(10, 20))
        assert answers[0] == answers[1] == answers[2]


def _told(reply: Reply) -> tuple[int, bytes, dict[str, str]]:
    headers = {name: value for name, value in reply.headers.items() if name.lower() != "date"}
    return reply.status, reply.body, headers


async def test_a_file_that_is_longer_than_announced_is_refused_over_another_server(
    media_server: str, tmp_path: Path
) -> None:
    async with house(media_server, tmp_path) as nodes, open_client(nodes.url("two")) as ada:
        await ada.join("green", "Ada")
        path = await offer(ada, 1_000_000)
        reply = await get(nodes.servers["one"], path, "PUT", bytes(500_000), stranger=True)
        assert (reply.status, json.loads(reply.body)["code"]) == (400, "file_incomplete")
        await nodes.until_nothing_is_under_way()


async def test_an_upload_ends_where_the_link_breaks(media_server: str, tmp_path: Path) -> None:
    async with house(media_server, tmp_path) as nodes, open_client(nodes.url("two")) as ada:
        await ada.join("green", "Ada")
        path = await offer(ada, 1_000_000)
        head = (f"PUT {path} HTTP/1.1", "Host: localhost", "Content-Length: 1000000", "", "")
        async with await trio.open_tcp_stream("127.0.0.1", nodes.servers["one"].port) as stream:
            await stream.send_all("\r\n".join(head).encode() + bytes(100_000))
            await nodes.buses["one"].until_sent(BodyPart)
            nodes.buses["one"].break_off("two")
            seen = b""
            while b"node_silent" not in seen:
                seen += await stream.receive_some()
            assert seen.startswith(b"HTTP/1.1 503")
        await nodes.until_nothing_is_under_way()


async def test_lists_are_the_same_at_each_server(media_server: str, tmp_path: Path) -> None:
    async with (
        house(media_server, tmp_path) as nodes,
        open_client(nodes.url("one")) as ada,
        open_client(nodes.url("one")) as bob,
        open_client(nodes.url("three")) as eve,
    ):
        await ada.join("green", "Ada")
        await bob.join("green", "Bob")
        await eve.join("red", "Eve")
        for name in NAMES:
            server, admin = nodes.servers[name], Administrator(nodes.servers[name])
            lobby = json.loads((await get(server, "/api/rooms", stranger=True)).body)
            assert [(room["name"], room["participants"]) for room in lobby["rooms"]] == [("green", 2), ("red", 1)]
            assert "missing" not in lobby
            listed = await admin.get("/rooms")
            assert [room["name"] for room in listed["rooms"]] == ["green", "red"]
            assert (listed["total"], listed["next"], listed["missing"]) == (2, None, [])
            page = await admin.get("/rooms?limit=1")
            assert ([room["name"] for room in page["rooms"]], page["next"]) == (["green"], "green")
            page = await admin.get("/rooms?limit=1&after=green")
            assert ([room["name"] for room in page["rooms"]], page["next"]) == (["red"], None)
            told = await admin.get("/server")
            assert (told["rooms"], told["people"], told["sessions"]) == (2, 3, 3)
            assert (told["nodes"], told["missing"]) == (3, [])
            glances = json.loads((await get(server, "/inspect/api/rooms")).body)
            assert {(glance["name"], glance["people"]) for glance in glances} == {("green", 2), ("red", 1)}


async def test_the_inspectors_list_follows_the_rooms_of_all_servers(media_server: str, tmp_path: Path) -> None:
    async with (
        house(media_server, tmp_path) as nodes,
        open_client(nodes.url("two")) as ada,
        await trio.open_tcp_stream("127.0.0.1", nodes.servers["one"].port) as stream,
    ):
        lines = ("GET /inspect/api/feed HTTP/1.1", "Host: localhost", f"Authorization: Bearer {INSPECTOR}")
        await stream.send_all("\r\n".join((*lines, "", "")).encode())
        await _until_seen(stream, b"data: []")
        await ada.join("green", "Ada")
        await _until_seen(stream, b'"name":"green"')


async def test_a_page_follows_a_room_that_opens_at_another_server(media_server: str, tmp_path: Path) -> None:
    path = "/inspect/api/rooms/nowhere/feed"
    lines = (f"GET {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {INSPECTOR}", "Connection: close")
    request = "\r\n".join((*lines, "", "")).encode()
    async with house(media_server, tmp_path) as nodes, open_client(nodes.url("two")) as ada:
        async with await trio.open_tcp_stream("127.0.0.1", nodes.servers["one"].port) as stream:
            await stream.send_all(request)
            await _until_seen(stream, b'"room":null')
            nodes.maps["one"].fault = ErrorCode.STORE_UNAVAILABLE
            await ada.join("nowhere", "Ada")
            nodes.maps["one"].fault = None
            while await stream.receive_some():
                pass
        async with await trio.open_tcp_stream("127.0.0.1", nodes.servers["one"].port) as stream:
            await stream.send_all(request)
            await _until_seen(stream, b'"name":"Ada"')


async def test_a_list_without_a_server_that_does_not_answer(media_server: str, tmp_path: Path) -> None:
    async with (
        house(media_server, tmp_path, node_list_timeout=0.1) as nodes,
        open_client(nodes.url("two")) as ada,
        open_client(nodes.url("one")) as bob,
    ):
        await ada.join("green", "Ada")
        await bob.join("red", "Bob")
        # What server two is asked does not come.
        nodes.buses["two"].flows = trio.Event()
        admin = Administrator(nodes.servers["one"])
        listed = await admin.get("/rooms")
        assert "two" in listed["missing"]
        assert "red" in [room["name"] for room in listed["rooms"]]
        assert "two" in (await admin.get("/server"))["missing"]
        lobby = json.loads((await get(nodes.servers["one"], "/api/rooms", stranger=True)).body)
        assert lobby["missing"] >= 1
        nodes.buses["two"].flows.set()


async def test_many_ask_for_a_list_and_the_others_are_asked_once(media_server: str, tmp_path: Path) -> None:
    async with house(media_server, tmp_path) as nodes:
        nodes.buses["two"].flows = trio.Event()
        replies = []

        async def ask() -> None:
            replies.append(await get(nodes.servers["one"], "/api/rooms", stranger=True))

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(ask)
            await nodes.buses["one"].until_sent(Question)
            nodes.buses["two"].flows.set()
        assert [reply.status for reply in replies] == [200] * 20
        asked = [one for one in nodes.buses["one"].messages_to("two") if isinstance(one, Question)]
        # All twenty may take longer than the second for which an answer holds.
        assert len(asked) < 20
