"""What befalls several nodes, again and again.

`uv run python -m tests.bench.nodes FAULT [--people 300] [--rooms 20] [--runs 20] [--seconds 200]`. Three nodes, a
Redis that writes to the disk, and people who send numbered lines. In each run the fault happens to one node.
Printed is how long it takes, from the fault on, until a new line of each person has come to everybody in the room;
with the fault `none` that is the time until everybody has said something. Then, whether any line was lost or
doubled, and which node had which room when, by the journals of all nodes. Nothing waits for a time by which
something must have happened. No run begins after so many seconds.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from tests.bench.owners import overlaps, tenures
from tests.bench.processes import allow_sockets
from tests.nodes.crowd import Crowd
from tests.nodes.deployment import NAMES, Deployment, deployed

LEASE = 2.0


async def none(_: Deployment, __: str) -> None:
    """Nothing happens."""


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


FAULTS: dict[str, Callable[[Deployment, str], Awaitable[None]]] = {
    fault.__name__: fault for fault in (none, kill, pause, cut, redis, drain)
}


def at(part: float, values: list[float]) -> float:
    """The value below which this part of them is."""
    return sorted(values)[max(0, math.ceil(part * len(values)) - 1)] if values else 0.0


async def run(nodes: Deployment, crowd: Crowd, fault: str, name: str) -> list[float]:
    """Let the fault happen, and return after how many seconds each person was heard again."""
    heard: list[float] = []

    async def listen() -> None:
        heard.extend(await crowd.until_all_are_heard())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        await FAULTS[fault](nodes, name)
    return heard


async def main(fault: str, people: int, rooms: int, runs: int, seconds: float) -> None:
    allow_sockets()
    os.environ.pop("ROOMFSM_DATA", None)
    # The tests' own is longer.
    kept = (
        "--store-deadline=2",
        "--chat-history=1000000",
        "--chat-history-bytes=100000000",
        "--chat-lines=1000000",
    )
    with tempfile.TemporaryDirectory() as folder:
        async with (
            deployed(Path(folder), f"--node-lease={LEASE}", "--kurento=ws://127.0.0.1:9/kurento", *kept) as nodes,
            trio.open_nursery() as nursery,
        ):
            names = [f"room{number}" for number in range(rooms)]
            crowd = Crowd(nodes.urls, names, pause=people / 150, patience=5.0)
            crowd.gather(people, nursery)
            await crowd.until_all_are_heard()
            heard: list[float] = []
            done, began = 0, trio.current_time()
            while done < runs and trio.current_time() < began + seconds:
                heard += (latest := await run(nodes, crowd, fault, NAMES[done % len(NAMES)]))
                done += 1
                print(f"{fault} {done}: p50 {at(0.5, latest):.1f} s, at most {at(1, latest):.1f} s", flush=True)
            print(
                f"{fault}: {done} runs with {people} people in {rooms} rooms; a person was heard by all again "
                f"after p50 {at(0.5, heard):.1f} s, p95 {at(0.95, heard):.1f} s, at most {at(1, heard):.1f} s",
                flush=True,
            )
            await crowd.be_quiet()
            wrong = await crowd.faults()
            lines = sum(len(member.promised) for member in crowd.members)
            anew = sum(member.anew for member in crowd.members)
            print(
                f"{lines} lines promised, {len(wrong)} lost or doubled, {anew} seats lost", *wrong[:20], sep="\n"
            )
            nursery.cancel_scope.cancel()
            journals = {name: nodes.journal(name) for name in NAMES}
        had = tenures(journals)
        both = overlaps(had)
        print(
            f"{len(had)} times a node had a room; {len(both)} times longer than it knew, at most "
            f"{max((one.seconds for one in both), default=0.0):.2f} s, and it accepted "
            f"{sum(one.lines for one in both)} lines meanwhile, of which nobody was told"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("fault", choices=FAULTS)
    parser.add_argument("--people", type=int, default=300)
    parser.add_argument("--rooms", type=int, default=20)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=200.0)
    given = parser.parse_args()
    trio.run(main, given.fault, given.people, given.rooms, given.runs, given.seconds)
