"""Given three nodes with one Redis, whatever befalls one of them, no line is lost or doubled."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.nodes.crowd import Crowd
from tests.nodes.deployment import Deployment, deployed
from tests.processes import LOADED

LEASE = 2.0


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
    assert await nodes.drain("two") == 0
    await nodes.start("two")


async def _kill(nodes: Deployment) -> None:
    await nodes.kill("two")


FAULTS = (_none, _cut, _pause, Deployment.restart_redis, _drain, _kill)
"""One after another. None of the times is one by which something must have happened."""


def test_no_line_is_lost_or_doubled_whatever_befalls_a_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROOMFSM_DATA")
    arguments = (
        f"--node-lease={LEASE}",
        "--kurento=ws://127.0.0.1:9/kurento",
        "--chat-history=100000",
        "--chat-history-bytes=10000000",
    )

    async def main() -> None:
        with trio.fail_after(8 * LOADED):
            async with deployed(tmp_path, *arguments) as nodes, trio.open_nursery() as nursery:
                crowd = Crowd(nodes.urls, [f"room{number}" for number in range(6)])
                crowd.gather(24, nursery)
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
