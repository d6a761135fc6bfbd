"""Given three nodes with one Redis, whatever befalls one of them, no line is lost or doubled."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest
import trio

from tests.metrics.scrape import OPEN_METRICS, parse
from tests.metrics.scrape import TOKEN as SCRAPER
from tests.nodes.crowd import Crowd
from tests.nodes.deployment import TOKEN, Deployment, deployed
from tests.processes import LOADED

LEASE = 2.0
MEDIA = "ws://127.0.0.1:9/kurento"
"""A media server that is not there."""


async def _none(_: Deployment) -> None:
    """Nothing happens."""


async def _cut(nodes: Deployment) -> None:
    nodes.ways["two"].hold()
    await trio.sleep(2 * LEASE)
    nodes.ways["two"].mend()


async def _pause(nodes: Deployment) -> None:
    nodes.pause("two")
    await trio.sleep(2 * LEASE)
    nodes.go_on("two")


async def _drain(nodes: Deployment) -> None:
    log = nodes.program("two").log
    assert await nodes.drain("two") == 0
    # It has given its rooms to the others itself.
    assert "without a goodbye" not in log.read_text()
    await nodes.start("two")


async def _kill(nodes: Deployment) -> None:
    await nodes.kill("two")


FAULTS = (_none, _cut, _pause, Deployment.restart_redis, _drain, _kill)
"""One after another. None of the times is one by which something must have happened."""


def asked(nodes: Deployment, path: str, token: str) -> bytes:
    """What the node `one` answers."""
    address = f"{nodes.program('one').address}{path}"
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}", "Accept": OPEN_METRICS})
    with urllib.request.urlopen(request, timeout=LOADED) as reply:
        body: bytes = reply.read()
    return body


async def look(nodes: Deployment) -> None:
    """While people are at all nodes, the inspector and the metrics of one tell of the others."""

    async def page(path: str, token: str) -> bytes:
        return await trio.to_thread.run_sync(asked, nodes, path, token)

    assert json.loads(await page("inspect/api/rooms", TOKEN))
    node = json.loads(await page("inspect/api/server", TOKEN))["node"]
    assert (node["state"], node["journal"][0]["trigger"]) == ("member", "joined")
    assert {other["id"].partition("/")[0] for other in node["others"]} == {"two", "three"}
    assert node["edge"] + node["visitors"] > 0
    for other in node["others"]:
        assert (other["differ"], other["draining"]) == ([], False)
        assert other["link"]["sent"] > 0 < other["link"]["received"]
        assert (other["link"]["broken"], other["link"]["lost"]) == (0, 0)
    (media_server,) = node["mediaServers"]
    assert (media_server["url"], media_server["origin"]) == (MEDIA, "settings")
    # Each node says so as soon as it has looked at it once.
    with trio.fail_after(LOADED):
        while len(media_server["nodes"]) < 3:
            (media_server,) = json.loads(await page("inspect/api/server", TOKEN))["node"]["mediaServers"]
    metrics = parse((await page("metrics", SCRAPER)).decode())
    assert metrics("roomfsm_node_state", state="member") == metrics("roomfsm_node_state") == 1
    assert metrics("roomfsm_node_others", state="alive") == 2
    assert metrics("roomfsm_node_others_differing") == 0
    assert metrics("roomfsm_node_media_servers") == metrics("roomfsm_node_media_servers", origin="settings") == 1
    assert metrics("roomfsm_node_beats_total", result="renewed") > 0
    assert metrics("roomfsm_node_remote_browsers") > 0
    # Chance decides on which nodes the rooms are: it may have none, or all.
    assert metrics("roomfsm_node_sessions_moved_total") > 0
    for direction in ("sent", "received"):
        messages = metrics("roomfsm_node_messages_total", direction=direction)
        assert metrics("roomfsm_node_bytes_total", direction=direction) > messages > 0
        assert metrics("roomfsm_node_entries_total", direction=direction) > 0
    assert metrics("roomfsm_node_links_broken_total") == metrics("roomfsm_node_messages_lost_total") == 0
    answered = metrics("roomfsm_node_asks_total", result="answered")
    assert answered == metrics("roomfsm_node_answer_seconds_count") > 0
    assert metrics("roomfsm_transitions_total", machine="node", trigger="joined") == 1


def test_no_line_is_lost_or_doubled_whatever_befalls_a_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROOMFSM_DATA")
    arguments = (
        f"--node-lease={LEASE}",
        f"--kurento={MEDIA}",
        "--chat-history=100000",
        "--chat-history-bytes=10000000",
        f"--metrics-token={SCRAPER}",
    )

    async def main() -> None:
        with trio.fail_after(8 * LOADED):
            async with deployed(tmp_path, *arguments) as nodes, trio.open_nursery() as nursery:
                crowd = Crowd(nodes.urls, [f"room{number}" for number in range(6)])
                crowd.gather(24, nursery)
                await crowd.until_all_talk()
                await look(nodes)
                for fault in FAULTS:
                    await crowd.until_all_talk()
                    await fault(nodes)
                await crowd.until_all_talk()
                await crowd.be_quiet()
                assert await crowd.faults() == []
                # Nobody has lost the seat, and nothing was refused but what could not be kept.
                assert sum(member.anew for member in crowd.members) == 0
                refused = {code for member in crowd.members for code in member.refusals}
                assert refused <= {"store_unavailable"}
                nursery.cancel_scope.cancel()

    trio.run(main)
