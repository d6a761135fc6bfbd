"""What befalls several nodes, again and again.

`uv run python -m tests.bench.nodes [--people 300] [--rooms 20] [--runs 20]`. Three nodes, a Redis that writes to
the disk, and people who send numbered lines. In each run one fault happens to one node. Printed is how long people
were out of their rooms, as they see it, and whether any line was lost or doubled. Nothing waits for a time by
which something must have happened.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from tests.bench.processes import allow_sockets
from tests.nodes.crowd import Crowd
from tests.nodes.deployment import NAMES, Deployment, deployed

LEASE = 2.0


async def kill(nodes: Deployment, name: str) -> None:
    await nodes.kill(name)
    await nodes.start(name)


async def pause(nodes: Deployment, name: str) -> None:
    nodes.pause(name)
    await trio.sleep(2 * LEASE)
    nodes.go_on(name)


async def cut(nodes: Deployment, name: str) -> None:
    nodes.ways[name].hold()
    await trio.sleep(2 * LEASE)
    nodes.ways[name].mend()


async def redis(nodes: Deployment, _: str) -> None:
    await nodes.restart_redis()


async def drain(nodes: Deployment, name: str) -> None:
    await nodes.drain(name)
    await nodes.start(name)


FAULTS: tuple[Callable[[Deployment, str], Awaitable[None]], ...] = (kill, pause, cut, redis, drain)


def at(part: float, values: list[float]) -> float:
    """The value below which this part of them is."""
    return sorted(values)[max(0, math.ceil(part * len(values)) - 1)] if values else 0.0


async def main(people: int, rooms: int, runs: int) -> None:
    allow_sockets()
    os.environ.pop("ROOMFSM_DATA", None)
    kept = ("--chat-history=1000000", "--chat-history-bytes=100000000", "--chat-lines=1000000")
    with tempfile.TemporaryDirectory() as folder:
        async with (
            deployed(Path(folder), f"--node-lease={LEASE}", "--kurento=ws://127.0.0.1:9/kurento", *kept) as nodes,
            trio.open_nursery() as nursery,
        ):
            crowd = Crowd(
                nodes.urls, [f"room{number}" for number in range(rooms)], pause=people / 50, patience=5.0
            )
            crowd.gather(people, nursery)
            await crowd.until_all_talk()
            for fault in FAULTS:
                absences: list[float] = []
                back: list[float] = []
                for run in range(runs):
                    crowd.absences()
                    began = trio.current_time()
                    await fault(nodes, NAMES[run % len(NAMES)])
                    await crowd.until_all_talk()
                    back.append(trio.current_time() - began)
                    absences += crowd.absences()
                print(
                    f"{fault.__name__:6} {runs} runs: {len(absences)} absences, p50 {at(0.5, absences):.2f} s, "
                    f"p95 {at(0.95, absences):.2f} s, longest {at(1, absences):.2f} s; "
                    f"everybody was heard again after {at(0.5, back):.1f} s (p50)",
                    flush=True,
                )
            await crowd.be_quiet()
            faults = await crowd.faults()
            anew = sum(member.anew for member in crowd.members)
            lines = sum(len(member.promised) for member in crowd.members)
            print(
                f"{lines} lines promised, {len(faults)} lost or doubled, {anew} seats lost", *faults[:20], sep="\n"
            )
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=300)
    parser.add_argument("--rooms", type=int, default=20)
    parser.add_argument("--runs", type=int, default=20)
    arguments = parser.parse_args()
    trio.run(main, arguments.people, arguments.rooms, arguments.runs)
