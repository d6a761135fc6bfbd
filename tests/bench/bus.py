"""What a message from one room server to another costs: the time until it is there, and the CPU time of both.

`uv run python -m tests.bench.bus [--rounds 5]`. Both nodes are in this process, and Redis is in one of its own.
The reference is measured in turns with it: `publish` and `subscribe` of coredis, with the same messages. A message
alone is there before the next one is sent. The medians of the rounds are printed.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import coredis
import trio

from roomfsm.nodes.bus import Bus, open_bus
from roomfsm.nodes.exchange import Received
from tests.bench.processes import pin
from tests.redis_server import redis_server

_ALONE = 1000
_TOGETHER = 50
_TURNS = 100
_SIZE = 200
"""Bytes of a message, about those of a line of chat."""

type Send = Callable[[bytes], Awaitable[None]]
type Next = Callable[[], Awaitable[bytes]]
type Way = tuple[Send, Next]


@asynccontextmanager
async def by_bus(url: str) -> AsyncIterator[tuple[Way, Way]]:
    def way(sender: Bus, receiver: Bus) -> Way:
        async def send(message: bytes) -> None:
            sender.send(receiver.me, message)

        async def receive() -> bytes:
            event = await anext(receiver)
            assert isinstance(event, Received)
            return event.message

        return send, receive

    async with open_bus(url, "ada/1") as ada, open_bus(url, "bob/2") as bob:
        yield way(ada, bob), way(bob, ada)


@asynccontextmanager
async def by_publishing(url: str) -> AsyncIterator[tuple[Way, Way]]:
    def way(channel: str, messages: AsyncIterator[Any]) -> Way:
        async def send(message: bytes) -> None:
            await client.publish(channel, message)

        async def receive() -> bytes:
            async for message in messages:
                if message["type"] == "message" and isinstance(data := message["data"], bytes):
                    return data
            raise AssertionError("it ended")

        return send, receive

    async with (
        coredis.Redis.from_url(url) as client,
        client.pubsub(channels=["ada"]) as ada,
        client.pubsub(channels=["bob"]) as bob,
    ):
        yield way("bob", bob), way("ada", ada)


async def alone(ways: tuple[Way, Way]) -> tuple[float, float]:
    """The median of the ms until a message is there, and µs of CPU time for each."""
    took: list[float] = []
    padding = bytes(_SIZE - 8)
    cpu = time.process_time()
    for number in range(_ALONE):
        send, receive = ways[number % 2]
        began = time.perf_counter()
        await send(padding)
        await receive()
        took.append((time.perf_counter() - began) * 1e3)
    return statistics.median(took), (time.process_time() - cpu) / _ALONE * 1e6


async def together(ways: tuple[Way, Way]) -> float:
    """µs of CPU time for each of fifty messages that one turn brings."""
    send, receive = ways[0]
    cpu = time.process_time()
    for _ in range(_TURNS):
        for _ in range(_TOGETHER):
            await send(bytes(_SIZE))
        for _ in range(_TOGETHER):
            await receive()
    return (time.process_time() - cpu) / (_TURNS * _TOGETHER) * 1e6


async def _measure(url: str, rounds: int) -> None:
    found: dict[str, list[tuple[float, float, float]]] = {"bus": [], "publish": []}
    async with by_bus(url) as bus, by_publishing(url) as published:
        for ways in (bus, published):
            await alone(ways)
        for _ in range(rounds):
            for name, ways in (("bus", bus), ("publish", published)):
                found[name].append((*await alone(ways), await together(ways)))
    print("                  alone, ms   alone, µs   one of fifty, µs")
    for name, figures in found.items():
        there, cpu, of_many = (statistics.median(column) for column in zip(*figures, strict=True))
        print(f"{name:15} {there:11.2f} {cpu:11.0f} {of_many:18.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds: int = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as url:
        pin(1)
        trio.run(_measure, url, rounds)


if __name__ == "__main__":
    main()
