"""Given the inspector, who may look and who may close a room; and what the closed room's people are told."""

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
    ("headers", "status"),
    [
        ({}, 404),
        ({"Host": "localhost"}, 404),
        ({"Host": "[::1]:8080"}, 404),
        ({"Host": "rooms.example.org"}, 403),
        ({"X-Forwarded-For": "192.0.2.1"}, 403),
        ({"X-Forwarded-Proto": "https"}, 403),
        ({"Via": "1.1 proxy"}, 403),
        ({"Forwarded": "for=192.0.2.1"}, 403),
        ({"Origin": "https://elsewhere.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 404),
        ({"Sec-Fetch-Site": "same-origin"}, 404),
        ({"Authorization": f"Bearer {TOKEN}", "Host": "rooms.example.org"}, 403),
    ],
)
async def test_without_a_token_only_this_machine_may(
    media_server: str, headers: dict[str, str], status: int
) -> None:
    async with serving(media_server) as server:
        assert (await get(server, CLOSE, "POST", headers=headers)).status == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": f"Bearer {TOKEN}"}, 404),
        ({"Authorization": f"bearer  {TOKEN}"}, 404),
        ({"Authorization": TOKEN}, 401),
        ({"Cookie": f"roomfsm-inspect={TOKEN}"}, 404),
        ({"Cookie": f"roomfsm-inspect={TOKEN}", "Origin": "https://elsewhere.example"}, 403),
        ({"Authorization": f"Bearer {TOKEN}x"}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({}, 401),
    ],
)
async def test_with_a_token_others_may_who_know_it(
    media_server: str, headers: dict[str, str], status: int
) -> None:
    async with serving(media_server, inspect_token=TOKEN) as server:
        reply = await get(server, CLOSE, "POST", headers={"Host": "rooms.example.org", **headers})
        assert reply.status == status
        # Of everybody: what a proxy on this machine passes on may look as if it were this machine's.
        assert (await get(server, CLOSE, "POST")).status == 401


async def test_the_token_in_the_address_becomes_a_cookie(media_server: str) -> None:
    async with serving(media_server, inspect_token=TOKEN) as server:
        reply = await get(server, f"/inspect/blue?token={TOKEN}", headers={"Host": "rooms.example.org"})
        assert reply.status == 303, reply.body
        assert reply.headers["location"] == "/inspect/blue"
        cookie = reply.headers["set-cookie"]
        assert cookie.startswith(f"roomfsm-inspect={TOKEN};")
        assert all(word in cookie for word in ("HttpOnly", "SameSite=Strict", "Path=/inspect"))
        # A wrong one is not taken for a right one because the one who gives it is near.
        assert (await get(server, "/inspect/blue?token=wrong")).status == 401


@pytest.mark.parametrize(
    ("settings", "headers", "may"),
    [
        ({}, {}, True),
        ({}, {"Host": "rooms.example.org"}, False),
        ({}, {"Sec-Fetch-Site": "cross-site"}, False),
        ({"inspect": False}, {}, False),
        ({"inspect_token": TOKEN}, {}, False),
        ({"inspect_token": TOKEN}, {"Cookie": f"roomfsm-inspect={TOKEN}"}, True),
    ],
)
async def test_everybody_is_told_who_may(
    media_server: str, settings: dict[str, Any], headers: dict[str, str], may: bool
) -> None:
    async with serving(media_server, **settings) as server:
        reply = await get(server, "/inspect/api/access", headers=headers)
        assert (reply.status, json.loads(reply.body)) == (200, {"open": may})
        assert reply.headers["cache-control"] == "no-store"


async def test_an_administrator_closes_a_room(media_server: str) -> None:
    async with serving(media_server) as server, open_client(server.url) as ada:
        await ada.join("Blue")
        reply = await get(server, CLOSE, "POST", json.dumps({"reason": "tea"}).encode())
        assert (reply.status, json.loads(reply.body)) == (202, {"closing": True})
        assert (await ada.expect("closing")) == {"type": "closing", "scope": "room", "reason": "tea"}
        assert (await ada.join("blue"))["state"] == "waiting"


async def test_without_an_inspector_nothing_is_there(media_server: str) -> None:
    async with serving(media_server, inspect=False) as server:
        for target in ("/inspect", "/inspect/blue", "/inspect/api/rooms"):
            assert (await get(server, target)).status == 404
        assert (await get(server, CLOSE, "POST")).status in (404, 405)


@pytest.mark.parametrize("reason", ["", "x" * 201, 7, "a\nb", "\ud800"])
async def test_a_bad_reason_closes_nothing(media_server: str, reason: object) -> None:
    async with serving(media_server) as server, open_client(server.url) as ada:
        await ada.join("blue")
        assert (await get(server, CLOSE, "POST", json.dumps({"reason": reason}).encode())).status == 400
        assert (await ada.ask("ping"))["type"] == "pong"
        assert (await ada.ask("leave"))["type"] == "participantLeft"


def test_a_token_that_could_be_guessed_is_refused() -> None:
    assert load({"inspect_token": "x" * 16}, {}).web.inspect_token == "x" * 16
    with pytest.raises(SettingsError, match="at least 16"):
        load({"inspect_token": "x" * 15}, {})
