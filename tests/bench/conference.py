"""What a conference costs in which all present and all watch each other, by people; ours, and Janus beside it.

`uv run python -m tests.bench.conference [--people 4 8 16] [--seconds 10] [--no-janus]`. Each server is a program
of its own, pinned to the first core; all people are in this process, on the second. Each has one connection for
what it presents, and one for each other person. The reference is that of `tests.bench.rtp_forward`, in this run.
"""

from __future__ import annotations

import argparse
import random
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from itertools import permutations

import trio

from tests.bench.media_clients import (
    AUDIO_PACKETS,
    VIDEO_PACKETS,
    Audience,
    Load,
    open_audience,
    percentile,
    publish,
    warm_up,
)
from tests.bench.media_servers import HOST, OpenServer, servers
from tests.bench.processes import allow_sockets, pin
from tests.bench.rtp_forward import reference
from tests.mediaserver.peer import TestPeer, open_test_peer

_SPREAD = 0.1
"""Seconds within which the sources begin. Sources that began together would send all their packets together."""


@dataclass(frozen=True, slots=True)
class Result:
    cpu: float
    """Seconds a second."""
    cpu_per_packet: float
    """µs a packet delivered."""
    p50: float
    """ms."""
    p99: float
    lost: int
    packets: int


async def _present(publisher: TestPeer, audience: Audience, begin: float, seconds: float, sent: list[int]) -> None:
    """Publish for so many seconds, and note how many packets that were."""
    await trio.sleep(begin)
    sent.append(await publish(publisher, Load(), seconds, audience.sent_at))


async def measure(open_server: OpenServer, people: int, seconds: float) -> Result:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(open_server())
        sources = []
        for _ in range(people):
            audience = await stack.enter_async_context(open_audience())
            publisher = await stack.enter_async_context(open_test_peer("sendonly", host=HOST))
            publisher.tap = lambda _: None
            sources.append((publisher, audience, await server.publish(publisher)))
        for (_, audience, source), _ in permutations(sources, 2):
            viewer = await stack.enter_async_context(open_test_peer("recvonly", host=HOST))
            await server.view(viewer, source)
            audience.add(viewer)
        server.pin()
        async with trio.open_nursery() as nursery:
            for publisher, audience, _ in sources:
                nursery.start_soon(warm_up, publisher, Load(), audience)
        begins = [random.Random(index).uniform(0, _SPREAD) for index in range(people)]
        sent: list[int] = []
        cpu = server.cpu()
        async with trio.open_nursery() as nursery:
            for (publisher, audience, _), begin in zip(sources, begins, strict=True):
                nursery.start_soon(_present, publisher, audience, begin, seconds, sent)
        async with trio.open_nursery() as nursery:
            for (_, audience, _), packets in zip(sources, sent, strict=True):
                nursery.start_soon(audience.wait_for, packets * (people - 1))
        cpu = server.cpu() - cpu
        latencies: list[float] = []
        for _, audience, _ in sources:
            audience.stop()
            latencies += audience.latencies
        packets = sum(sent) * (people - 1)
        return Result(
            cpu / seconds,
            cpu / max(1, len(latencies)) * 1e6,
            percentile(latencies, 50),
            percentile(latencies, 99),
            packets - len(latencies),
            packets,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, nargs="+", default=[4, 8, 16])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--no-janus", action="store_true")
    arguments = parser.parse_args()
    allow_sockets()
    pin(1)
    bare = reference()
    print(
        f"reference: protect + sendto {bare:.2f} µs a packet; {VIDEO_PACKETS} + {AUDIO_PACKETS} packets/s a person"
    )
    measured = servers(janus=not arguments.no_janus)
    print("server              people  CPU s/s  µs/packet  x ref.  p50 ms  p99 ms  lost of")
    for people in arguments.people:
        for name, open_server in measured.items():
            result = trio.run(partial(measure, open_server, people, arguments.seconds))
            print(
                f"{name:18}  {people:6}  {result.cpu:7.3f}  {result.cpu_per_packet:9.2f}"
                f"  {result.cpu_per_packet / bare:6.2f}  {result.p50:6.2f}  {result.p99:6.2f}"
                f"  {result.lost} {result.packets}",
                flush=True,
            )


if __name__ == "__main__":
    main()
