"""Given several servers with one Redis, `roomfsm check` says who is there, and what they have otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import coredis
import msgspec
import pytest

from roomfsm.alike import fingerprint
from roomfsm.check import store
from roomfsm.check.kurento import check_kurento
from roomfsm.check.nodes import check_nodes
from roomfsm.check.store import check_store
from roomfsm.door.listeners import open_listeners
from roomfsm.kurento.owner import this_instance
from roomfsm.nodes.ledger import Info, Ledger, open_ledger
from roomfsm.nodes.media_register import open_media_register
from roomfsm.settings import Settings, load
from roomfsm.store.redis import Fence
from tests.ports import reserved_port
from tests.redis_server import redis_server


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    """An empty Redis that drops what is old when it is full."""
    with redis_server(tmp_path, "--maxmemory-policy", "allkeys-lru") as url:
        async with open_ledger(url, 60.0) as ledger:
            yield ledger


def settings_of(ledger: Ledger, name: str = "one", **more: Any) -> Settings:
    return load({"store": ledger.place, "node": name, "inspect_token": "the-right-token-of-all", **more}, {})


async def register(ledger: Ledger, settings: Settings, **more: Any) -> Fence:
    """Have a node with these settings in the Redis."""
    assert settings.nodes.node is not None
    info = Info(settings.nodes.node, people=3, rooms=1, version="1.2", alike=fingerprint(settings))
    answer = await ledger.register(msgspec.structs.replace(info, **more), None)
    assert isinstance(answer, Fence)
    return answer


async def found(settings: Settings) -> list[str]:
    findings = await check_nodes(settings)
    for finding in findings:
        assert bool(finding.mend) is (finding.outcome != "ok"), finding
    return [f"{finding.outcome} {finding.what}" for finding in findings]


async def test_the_first_node_is_alone_and_the_check_does_not_make_it_one(ledger: Ledger) -> None:
    alone = ["ok no node but one is there now"]
    assert await found(settings_of(ledger)) == await found(settings_of(ledger)) == alone
    assert await ledger.look() == ("", [])
    assert await found(load({"store": ledger.place}, {})) == ["ok none: this server has its rooms for itself"]


async def test_other_nodes_are_listed_with_what_differs(ledger: Ledger) -> None:
    two = await register(ledger, settings_of(ledger, "two"))
    others = {"max_people": 7, "port": 99, "token_leeway": 1}
    three = await register(ledger, settings_of(ledger, "three", **others))
    four = await register(ledger, settings_of(ledger, "four"), draining=True, people=1, rooms=2)
    lines = await found(settings_of(ledger))
    (of_four,) = (line for line in lines if four.node in line)
    assert of_four.startswith(f"ok {four.node} has 1 person in 2 rooms, and drains; its lease is good for ")
    assert of_four.endswith("; version 1.2")
    assert f"warning {three.node} has other settings: --max-people, --token-leeway" in lines
    (of_two,) = (line for line in lines if two.node in line)
    assert of_two.startswith(f"ok {two.node} has 3 people in 1 room; ")


async def test_a_dead_node_and_its_rooms_are_named(ledger: Ledger) -> None:
    two = await register(ledger, settings_of(ledger, "two"))
    async with coredis.Redis.from_url(ledger.place) as client:
        await client.delete([f"{{roomfsm}}:lease:{two.node}"])
    assert await found(settings_of(ledger)) == [
        f"warning {two.node} is dead, and nobody has taken its 3 people in 1 room yet",
        "ok no node but one is there now",
    ]


async def test_a_node_of_this_name_is_this_server_or_another_one(ledger: Ledger) -> None:
    one = await register(ledger, settings_of(ledger), process="another machine")
    assert (await found(settings_of(ledger)))[0] == (
        f"warning a node that is called one runs elsewhere ({one.node})"
    )
    await ledger.reap(one.age, one.node, for_sure=True)
    await register(ledger, settings_of(ledger), process=this_instance())
    assert (await found(settings_of(ledger)))[0] == "ok one runs on this machine already, with 3 people in 1 room"


async def test_a_server_without_others_loses_its_redis(ledger: Ledger) -> None:
    async with coredis.Redis.from_url(ledger.place) as client:
        await client.set("{roomfsm}:owner", "laptop:8080 0123")
    assert (await found(settings_of(ledger)))[0].startswith("warning the Redis belongs to a server without --node")


async def test_a_redis_that_drops_rooms_or_is_slow_or_old_is_told(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_SLOW", 0.0)
    monkeypatch.setattr(store, "_OLDEST", (99,))
    outcomes = [finding.outcome for finding in await check_store(settings_of(ledger))]
    told = " ".join(finding.what for finding in await check_store(settings_of(ledger)))
    assert outcomes == ["fault", "warning", "warning", "warning"]
    for words in ("is version ", "forgets everything", "maxmemory-policy allkeys-lru", "answers in "):
        assert words in told


async def test_the_media_servers_of_other_nodes_are_tried_too(ledger: Ledger, media_server: str) -> None:
    two, gone = await register(ledger, settings_of(ledger, "two")), "ws://127.0.0.1:9/kurento"
    async with open_media_register(ledger.place, lambda: two, {media_server: None}) as media_servers:
        await media_servers.look()
        await media_servers.add(gone, None)
    one = settings_of(ledger, kurento=(media_server,))
    reached, unreachable = await check_kurento(one)
    assert reached.what.endswith(f"; known from {two.node}")
    assert (reached.outcome, unreachable.outcome) == ("ok", "fault")
    assert unreachable.what.startswith(f"{gone}: ")
    assert unreachable.what.endswith("; known from an administrator")
    assert unreachable.mend.endswith("or take it away by the admin API")
    embedded, *others = await check_kurento(settings_of(ledger))
    assert embedded.what == "none: the server starts the embedded media server"
    assert [finding.what for finding in others] == [reached.what, unreachable.what]


async def test_a_media_server_that_is_to_be_shared_needs_its_address_for_itself(ledger: Ledger) -> None:
    with reserved_port() as port:
        one = settings_of(ledger, share_media_server=f"127.0.0.1:{port}")
        (free,) = await check_kurento(one)
        assert (free.outcome, "which is free" in free.what) == ("ok", True)
        async with open_listeners(("127.0.0.1",), port):
            (used,) = await check_kurento(one)
            assert (used.outcome, "--share-media-server" in used.mend) == ("fault", True)
        # Unless it is this server's own, which runs.
        me, url = await register(ledger, one), f"ws://127.0.0.1:{port}/kurento"
        async with open_media_register(ledger.place, lambda: me, {url: None}) as media_servers:
            await media_servers.look()
        own, _ = await check_kurento(one)
        assert (own.outcome, "runs already" in own.what) == ("ok", True)
