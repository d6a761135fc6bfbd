"""Given the inspector, tests who may look, who may close a room, and what the room's people are told then."""

from __future__ import annotations

import json
from typing import Any

import pytest

from roomfsm.settings import SettingsError, load
from tests.protocol_client import open_client
from tests.serving import serving
from tests.web.http import get

TOKEN = "correct-horse-battery"
CLOSE = "/inspect/api/rooms/blue/close"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "localhost"},
        {"Host": "[::1]:8080"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer null"},
        {"Cookie": "roomfsm-inspect="},
    ],
)
async def test_a_request_from_this_machine_needs_the_token_too(media_server: str, headers: dict[str, str]) -> None:
    """nginx with its default settings passes on requests like this."""
    async with serving(media_server) as server:
        for target, method in (("/inspect", "GET"), ("/inspect/api/rooms", "GET"), (CLOSE, "POST")):
            assert (await get(server, target, method, headers=headers, stranger=True)).status == 401


KNOWN = {"Authorization": f"Bearer {TOKEN}"}
COOKIE = {"Cookie": f"roomfsm-inspect={TOKEN}"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (KNOWN, 404),
        ({"Authorization": f"bearer  {TOKEN}"}, 404),
        ({"Authorization": TOKEN}, 401),
        ({"Authorization": f"Bearer {TOKEN}x"}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({}, 401),
        (COOKIE, 404),
        ({**COOKIE, "Host": "rooms.example.org:8080"}, 401),
        ({"Cookie": f"roomfsm-inspect-8080={TOKEN}", "Host": "rooms.example.org:8080"}, 404),
        ({**COOKIE, "Origin": "https://rooms.example.org"}, 404),
        ({**COOKIE, "Origin": "https://elsewhere.example"}, 403),
        ({**COOKIE, "Origin": "null"}, 403),
        ({**COOKIE, "Origin": "http://["}, 403),
        ({**COOKIE, "Sec-Fetch-Site": "cross-site"}, 403),
        ({**COOKIE, "Sec-Fetch-Site": "same-site"}, 403),
        # A form of another page.
        ({**COOKIE, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 403),
        # Behind a proxy that calls us by another name.
        ({**COOKIE, "Sec-Fetch-Site": "same-origin", "Origin": "https://elsewhere.example"}, 404),
    ],
)
async def test_whoever_knows_the_token_may_inspect(
    media_server: str, headers: dict[str, str], status: int
) -> None:
    async with serving(media_server, inspect_token=TOKEN, host_name=("rooms.example.org",)) as server:
        reply = await get(server, CLOSE, "POST", headers={"Host": "rooms.example.org", **headers}, stranger=True)
        assert reply.status == status


async def test_a_link_on_another_page_may_lead_to_the_inspector(media_server: str) -> None:
    async with serving(media_server, inspect_token=TOKEN) as server:
        link = {**KNOWN, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        picture = {**KNOWN, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
        assert (await get(server, "/inspect", headers=link, stranger=True)).status == 200
        assert (await get(server, "/inspect/api/rooms", headers=picture, stranger=True)).status == 403


@pytest.mark.parametrize("prefix", ["", "/rooms"])
async def test_the_token_in_the_address_becomes_a_cookie(media_server: str, prefix: str) -> None:
    async with serving(media_server, path_prefix=prefix) as server:
        token = server.running.inspect_token
        reply = await get(
            server, f"{prefix}/inspect/blue?token={token}", headers={"Host": "localhost:8080"}, stranger=True
        )
        assert reply.status == 303, reply.body
        assert reply.headers["location"] == f"{prefix}/inspect/blue"
        cookie = reply.headers["set-cookie"]
        assert cookie.startswith(f"roomfsm-inspect-8080={token};")
        assert all(word in cookie for word in ("HttpOnly", "SameSite=Strict", f"Path={prefix}/inspect"))
        known = {"Host": "localhost:8080", "Cookie": cookie.partition(";")[0]}
        assert (await get(server, f"{prefix}/inspect/blue", headers=known, stranger=True)).status == 200
        assert (
            await get(server, f"{prefix}/inspect/blue?token=wrong", headers={"X": "y"}, stranger=True)
        ).status == 401


async def test_each_start_makes_a_new_token(media_server: str) -> None:
    tokens = set()
    for _ in range(2):
        async with serving(media_server) as server:
            tokens.add(server.running.inspect_token)
    assert len(tokens) == 2
    assert all(len(token) >= 32 for token in tokens)


@pytest.mark.parametrize(
    ("settings", "headers", "may"),
    [
        ({}, {"Host": "localhost"}, False),
        ({"inspect": False, "inspect_token": TOKEN}, KNOWN, False),
        ({"inspect_token": TOKEN}, {"Host": "localhost"}, False),
        ({"inspect_token": TOKEN}, {"Host": "localhost", **COOKIE}, True),
        ({"inspect_token": TOKEN, "admin_token": "x" * 16}, {"Host": "localhost"}, False),
    ],
)
async def test_everybody_may_ask_whether_they_may_inspect(
    media_server: str, settings: dict[str, Any], headers: dict[str, str], may: bool
) -> None:
    async with serving(media_server, **settings) as server:
        reply = await get(server, "/inspect/api/access", headers=headers, stranger=True)
        assert (reply.status, json.loads(reply.body)) == (200, {"open": may})
        assert reply.headers["cache-control"] == "no-store"


async def test_whoever_may_inspect_is_told_that_there_is_an_api(media_server: str) -> None:
    async with serving(media_server, inspect_token=TOKEN, admin_token="x" * 16) as server:
        reply = await get(server, "/inspect/api/access")
        assert json.loads(reply.body) == {"open": True, "api": True}


async def test_an_administrator_closes_a_room(media_server: str) -> None:
    async with serving(media_server) as server, open_client(server.url) as ada:
        await ada.join("Blue")
        reply = await get(server, CLOSE, "POST", json.dumps({"reason": "tea"}).encode())
        assert (reply.status, json.loads(reply.body)) == (202, {"closing": True})
        assert (await ada.expect("closing")) == {"type": "closing", "scope": "room", "reason": "tea"}
        assert (await ada.join("blue"))["state"] == "waiting"


async def test_without_the_inspector_its_addresses_do_not_exist(media_server: str) -> None:
    async with serving(media_server, inspect=False) as server:
        for target in ("/inspect", "/inspect/blue", "/inspect/api/rooms"):
            assert (await get(server, target)).status == 404
        assert (await get(server, CLOSE, "POST")).status in (404, 405)


@pytest.mark.parametrize("reason", ["", "x" * 201, 7, "a\nb", "\ud800"])
async def test_a_request_to_close_with_a_bad_reason_closes_nothing(media_server: str, reason: object) -> None:
    async with serving(media_server) as server, open_client(server.url) as ada:
        await ada.join("blue")
        assert (await get(server, CLOSE, "POST", json.dumps({"reason": reason}).encode())).status == 400
        assert (await ada.ask("ping"))["type"] == "pong"
        assert (await ada.ask("leave"))["type"] == "participantLeft"


def test_a_token_that_can_be_guessed_is_refused() -> None:
    assert load({"inspect_token": "x" * 16}, {}).web.inspect_token == "x" * 16
    with pytest.raises(SettingsError, match="at least 16"):
        load({"inspect_token": "x" * 15}, {})


@pytest.mark.parametrize("target", ["/inspect", "/inspect/blue"])
async def test_a_browser_without_the_token_is_told_where_it_is(media_server: str, target: str) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    async with serving(media_server, inspect_token=TOKEN) as server:
        reply = await get(server, target, headers=browser, stranger=True)
        assert (reply.status, reply.headers["content-type"]) == (401, "text/html; charset=utf-8")
        assert b"prints" in reply.body
        assert b'name="token"' in reply.body
        # It says nothing that the inspector knows, and is no way in.
        assert TOKEN.encode() not in reply.body
        again = await get(
            server, target, headers={**browser, "If-None-Match": reply.headers["etag"]}, stranger=True
        )
        assert (again.status, again.body) == (401, reply.body)
        # A program is told in a line.
        reply = await get(server, target, stranger=True)
        assert (reply.status, reply.headers["content-type"]) == (401, "text/plain; charset=utf-8")
