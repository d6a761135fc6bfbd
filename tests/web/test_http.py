"""Tests the page, its files, the list of rooms and health over the front door's HTTP, and malformed requests."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from inspect import signature
from urllib.parse import urljoin

import pytest
import trio
from hypercorn.protocol.http_stream import HTTPStream

from roomfsm.documents.page_tables import client_folder
from roomfsm.door.settings import DoorSettings
from tests.door.talk import talking
from tests.protocol_client import open_client
from tests.serving import serving
from tests.web.http import get


@pytest.mark.parametrize("target", ["/", "/r/blue", "/r/Z%C3%BCrich", "/r/..."])
async def test_the_lobby_and_a_room_get_the_page(media_server: str, target: str) -> None:
    async with serving(media_server) as server:
        reply = await get(server, target)
        assert reply.status == 200
        assert b"<!doctype html>" in reply.body.lower()
        assert "default-src 'self'" in reply.headers["content-security-policy"]
        assert reply.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "target",
    [
        "/r/a%21b",
        "/r/" + "x" * 65,
        "/r/" + "%20" * 65,
        "/r//blue",
        "/r/%2F%2Felsewhere.example",
        "/nothing",
        "/client/package.json",
        "/client/tsconfig.json",
        "/client/node_modules/typescript/lib/typescript.js",
        "/client/../pyproject.toml",
        "/client/%2e%2e/roomfsm/cli.py",
        "/client/nothing.js",
        "/client/wire",
        "/client/wire/",
        "/client/wire/nothing.js",
        "/client/wire/messages.d.ts",
        "/client/wire/../wire/connection.js",
        "/client/wire/..%2f..%2fpyproject.toml",
        "/client/wire%2f..%2f..%2fapp.js",
    ],
)
async def test_an_address_that_does_not_exist_gets_404(media_server: str, target: str) -> None:
    async with serving(media_server) as server:
        reply = await get(server, target)
        assert reply.status == 404
        # People get the page, which says in words what is wrong with the address.
        assert (b"<!doctype html>" in reply.body.lower()) != target.startswith("/client/")


@pytest.mark.parametrize(
    ("target", "again"),
    [("/", 304), ("/r/blue", 304), ("/inspect/blue", 304), ("/r/a%21b", 404), ("/inspect/a%20b", 404)],
)
async def test_a_page_that_has_not_changed_is_answered_304(media_server: str, target: str, again: int) -> None:
    async with serving(media_server) as server:
        first = await get(server, target)
        reply = await get(server, target, headers={"If-None-Match": first.headers["etag"]})
        # Not found, it is sent anew: its words are all that says what is wrong.
        assert (reply.status, reply.body) == (again, b"" if again == 304 else first.body)


@pytest.mark.parametrize(
    ("target", "room"),
    [
        ("/r/a%20b", "/r/a-b"),
        ("/r/%20Weekly%20%20standup%0A", "/r/Weekly-standup"),
        ("/r/Zu%CC%88rich%20West", "/r/Z%C3%BCrich-West"),
        ("/r/a%E3%80%80b?x=1", "/r/a-b?x=1"),
    ],
)
async def test_an_address_with_spaces_leads_to_the_room_that_the_lobby_makes_of_it(
    media_server: str, target: str, room: str
) -> None:
    async with serving(media_server) as server:
        reply = await get(server, target)
        assert (reply.status, urljoin(target, reply.headers.get("location", ""))) == (308, room)
        assert (await get(server, room)).status == 200


@pytest.mark.parametrize("root", ["/r/", "/inspect/"])
async def test_an_address_that_ends_with_a_slash_leads_to_the_room(media_server: str, root: str) -> None:
    async with serving(media_server) as server:
        reply = await get(server, f"{root}Z%C3%BCrich/")
        assert (reply.status, urljoin(f"{root}Z%C3%BCrich/", reply.headers["location"])) == (
            308,
            f"{root}Z%C3%BCrich",
        )
        elsewhere = await get(server, f"{root}%2Fexample.org%2F..%2F/")
        assert not urljoin(root, elsewhere.headers.get("location", "")).startswith("//")


NO_NAME = {"fault": "A name needs at least one visible character.", "code": "empty", "values": {}}


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("room-name?name=Weekly%20standup", {"name": "Weekly-standup", "key": "weekly-standup"}),
        ("room-name?name=e%CC%81t%C3%A9", {"name": "\u00e9t\u00e9", "key": "\u00e9t\u00e9"}),
        ("display-name?name=%20Ada%20%20L.", {"name": "Ada L."}),
        ("display-name?name=", NO_NAME),
        ("display-name", NO_NAME),
        (
            "display-name?name=%E2%80%8B",
            {
                "fault": "A name cannot contain (U+200B, zero width space).",
                "code": "not_allowed",
                "values": {"character": "(U+200B, zero width space)"},
            },
        ),
    ],
)
async def test_the_server_says_which_names_are_possible(
    media_server: str, question: str, answer: dict[str, object]
) -> None:
    async with serving(media_server) as server:
        reply = await get(server, f"/api/{question}")
        assert (reply.status, json.loads(reply.body)) == (200, answer)
        assert reply.headers["cache-control"] == "no-store"


async def test_a_name_of_any_length_may_be_asked_about(media_server: str) -> None:
    async with serving(media_server) as server:
        for name in ("x" * 10_000, "%CC%81" * 2_000, "%FF%FE", "%00"):
            reply = await get(server, f"/api/room-name?name={name}")
            assert reply.status == 200
            assert json.loads(reply.body).keys() == {"fault", "code", "values"}


async def test_files_have_their_types_and_unchanged_ones_are_not_sent_again(media_server: str) -> None:
    async with serving(media_server) as server:
        script = await get(server, "/client/app.js")
        assert (script.status, script.headers["content-type"].split(";")[0]) == (200, "text/javascript")
        assert script.headers["x-content-type-options"] == "nosniff"
        again = await get(server, "/client/app.js", headers={"If-None-Match": script.headers["etag"]})
        assert (again.status, again.body) == (304, b"")


_PAGES = {page.name: page.read_text(encoding="utf-8") for page in client_folder().glob("*.html")}


@pytest.mark.parametrize("page", _PAGES)
async def test_every_file_that_a_page_uses_exists(media_server: str, page: str) -> None:
    """The page's scripts and styles, and every module that these import."""
    async with serving(media_server) as server:
        found: dict[str, str] = {}
        # The addresses of the page as it is written, and those of the release with which it is sent.
        sent = await get(server, f"/client/{page}")
        named = re.findall(r'(?:src|href)="(/client/[^"#]+)', _PAGES[page] + sent.body.decode())
        while named:
            address = named.pop()
            if address in found:
                continue
            reply = await get(server, address)
            assert reply.status == 200, address
            found[address] = reply.headers["content-type"].split(";")[0]
            if address.endswith(".js"):
                modules = re.findall(r"^(?:import .*|\} )from '(.*)';$", reply.body.decode(), re.MULTILINE)
                named += [urljoin(address, module) for module in modules]
        assert (
            {"text/css", "image/svg+xml"}
            <= set(found.values())
            <= {"text/javascript", "text/css", "image/svg+xml", "image/png", "application/manifest+json"}
        )
        if "text/javascript" in found.values():
            assert {"wire", "room", "page"} <= {address.split("/")[2] for address in found}


async def test_the_list_of_rooms_has_those_with_people(media_server: str) -> None:
    async with serving(media_server) as server, open_client(server.url) as ada, open_client(server.url) as bob:
        assert json.loads((await get(server, "/api/rooms")).body) == {"rooms": []}
        await ada.join("blue")
        await bob.join("Blue", "Bob")
        rooms = json.loads((await get(server, "/api/rooms")).body)["rooms"]
        assert rooms == [{"name": "blue", "participants": 2, "state": "waiting", "streams": 0}]
        await ada.ask("leave")
        await bob.ask("leave")
        assert json.loads((await get(server, "/api/rooms")).body) == {"rooms": []}


async def test_the_health_addresses_say_whether_the_server_is_live_and_ready(media_server: str) -> None:
    async with serving(media_server) as server:
        assert (await get(server, "/health/live")).status == 200
        with trio.fail_after(60):
            while (await get(server, "/health/ready")).status != 200:
                pass
        ready = json.loads((await get(server, "/health/ready")).body)
        (server_health,) = ready["mediaServers"]
        assert server_health == {
            "number": 1,
            "connected": True,
            "problem": None,
            "version": "7.3.0",
            "endpoints": 0,
            "pipelines": 0,
        }
    async with serving("ws://127.0.0.1:9/kurento") as server:
        assert (await get(server, "/health/live")).status == 200
        assert (await get(server, "/health/ready")).status == 503


async def test_a_closing_server_is_live_but_not_ready(media_server: str) -> None:
    """It takes no new connections then. A client that keeps one learns that it should go elsewhere."""
    async with serving(media_server) as server, talking(server) as talk:
        with trio.fail_after(60):
            while (await talk.get("/health/ready")).status != 200:
                pass
        assert server.running.directory.life.state == "open"
        server.running.registry.close("shutdown")
        assert server.running.directory.life.state == "closing"
        live, ready = await talk.get("/health/live"), await talk.get("/health/ready")
        assert (live.status, json.loads(live.body)) == (200, {"live": True})
        told = json.loads(ready.body)
        assert (ready.status, told["ready"]) == (503, False)
        # The media server is well: nothing else is the reason.
        assert [one["connected"] for one in told["mediaServers"]] == [True]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nBroken header\r\n\r\n", b"400"),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"4"),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", b"405"),
        (
            b"GET /other HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n\r\n",
            b"4",
        ),
    ],
)
async def test_a_malformed_request_gets_400(media_server: str, sent: bytes, status: bytes) -> None:
    async with serving(media_server) as server:
        async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
            await stream.send_all(sent)
            with trio.fail_after(60):
                assert (await stream.receive_some(4096)).startswith(b"HTTP/1.1 " + status)
        assert (await get(server, "/")).status == 200


async def test_a_client_that_sends_nothing_is_disconnected(media_server: str) -> None:
    async with serving(media_server, head_timeout=0.05) as server:
        for sent in (b"", b"GET / HTT"):
            async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
                await stream.send_all(sent)
                # Without the setting it would take as long as this.
                with trio.fail_after(DoorSettings().head_timeout):
                    assert await stream.receive_some(4096) == b""


async def test_a_connection_is_kept_for_the_next_request(media_server: str) -> None:
    async with serving(media_server) as server, await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
        for _ in range(3):
            await stream.send_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with trio.fail_after(60):
                reply = b""
                while not reply.endswith(b'{"live":true}\n'):
                    reply += await stream.receive_some(4096)
                assert reply.startswith(b"HTTP/1.1 200")


def test_hypercorns_private_interface_is_the_one_we_know() -> None:
    """hypercorn 0.18.0: `open_http_server` builds on its HTTPStream, TaskGroup, WorkerContext and Lifespan."""
    assert version("hypercorn") == "0.18.0"
    assert list(signature(HTTPStream).parameters) == [
        "app", "config", "context", "task_group", "ssl", "client", "server", "send", "stream_id",
    ]  # fmt: skip
