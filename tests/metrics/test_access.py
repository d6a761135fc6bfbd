"""Who may read the metrics: nobody by default, those with the token, and those who reach the port for them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from roomfsm.settings import SettingsError, load
from tests.metrics.scrape import BEARER, OPEN_METRICS, TOKEN, parse
from tests.ports import reserved_port
from tests.protocol_client import open_client
from tests.serving import Served, serving, settings
from tests.web.http import get


async def test_by_default_there_is_no_page(media_server: str) -> None:
    async with serving(media_server) as server:
        for headers in ({}, BEARER):
            reply = await get(server, "/metrics", headers=headers, stranger=True)
            assert (reply.status, reply.body) == (404, b"There is nothing at this address.\n")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": TOKEN},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Cookie": f"roomfsm-inspect={TOKEN}"},
    ],
)
async def test_at_the_servers_port_only_the_token_opens_it(media_server: str, headers: dict[str, str]) -> None:
    async with serving(media_server, metrics_token=TOKEN) as server:
        reply = await get(server, "/metrics", headers=headers, stranger=True)
        assert reply.status == 401
        assert reply.headers["www-authenticate"] == "Bearer"
        assert b"roomfsm_" not in reply.body
        assert (await get(server, f"/metrics?token={TOKEN}", stranger=True)).status == 401
        # The inspector's token is another one.
        assert (await get(server, "/metrics")).status == 401


async def test_the_page_is_what_prometheus_reads_in_both_formats(media_server: str) -> None:
    async with serving(media_server, metrics_token=TOKEN) as server:
        plain = await get(server, "/metrics", headers=BEARER, stranger=True)
        assert plain.status == 200
        assert plain.headers["content-type"].startswith("text/plain; version=")
        assert plain.headers["cache-control"] == "no-store"
        assert b"\nroomfsm_connections 1.0\n" in plain.body
        fresh = await get(server, "/metrics", headers={**BEARER, "Accept": OPEN_METRICS}, stranger=True)
        assert fresh.headers["content-type"].startswith("application/openmetrics-text")
        assert parse(fresh.body.decode())("roomfsm_connections") == 1
        assert (await get(server, "/metrics", "HEAD", headers=BEARER, stranger=True)).body == b""


async def test_a_port_of_its_own_serves_the_metrics_and_nothing_else(media_server: str) -> None:
    with reserved_port() as port:
        async with serving(media_server, metrics_bind=f"127.0.0.1:{port}") as server:
            own = cast("Served", SimpleNamespace(port=port, running=server.running))
            reply = await get(own, "/metrics", stranger=True)
            assert (reply.status, b"roomfsm_build_info{" in reply.body) == (200, True)
            for target in ("/", "/inspect", "/api/rooms", "/health/ready", "/client/app.js"):
                assert (await get(own, target)).status == 404
            assert (await get(own, "/metrics", headers={"Host": "evil.example"}, stranger=True)).status == 421
            with pytest.raises(Exception, match="404"):
                async with open_client(f"ws://127.0.0.1:{port}/ws"):
                    pass
            # At the server's own port there is still none.
            assert (await get(server, "/metrics", stranger=True)).status == 404


async def test_the_port_asks_for_the_token_if_there_is_one(media_server: str) -> None:
    with reserved_port() as port:
        async with serving(media_server, metrics_bind=f"127.0.0.1:{port}", metrics_token=TOKEN) as server:
            own = cast("Served", SimpleNamespace(port=port, running=server.running))
            assert (await get(own, "/metrics", stranger=True)).status == 401
            assert (await get(own, "/metrics", headers=BEARER, stranger=True)).status == 200
            assert (await get(server, "/metrics", headers=BEARER, stranger=True)).status == 200


async def test_a_new_token_counts_at_once(media_server: str) -> None:
    async with serving(media_server, metrics_token=TOKEN) as server:
        now = settings(media_server, metrics_token=TOKEN)
        for token, status in (("another-token-of-prometheus", 401), (None, 404), (TOKEN, 200)):
            server.running.apply(replace(now, web=replace(now.web, metrics_token=token)))
            assert (await get(server, "/metrics", headers=BEARER, stranger=True)).status == status


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"metrics_token": "short"}, "--metrics-token: a secret has at least 16"),
        ({"metrics_bind": "127.0.0.1"}, "--metrics-bind: 127.0.0.1 has no port"),
        ({"metrics_bind": "127.0.0.1:0"}, "--metrics-bind: "),
        ({"metrics_bind": "127.0.0.1:99999"}, "--metrics-bind: "),
        ({"metrics_bind": ":9464"}, "--metrics-bind: "),
        ({"metrics_bind": "300.1.2.3:9464"}, "--metrics-bind: "),
    ],
)
def test_wrong_settings_are_named(given: dict[str, Any], why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        load(given, {})


@pytest.mark.parametrize("bind", ["127.0.0.1:9464", "[::1]:9464", "localhost:9464", "0.0.0.0:1"])
def test_addresses_of_every_kind_are_taken(bind: str) -> None:
    assert load({"metrics_bind": bind}, {}).web.metrics_bind == bind
