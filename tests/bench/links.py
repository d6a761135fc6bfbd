"""What a hop from one media server to another adds: latency and CPU, beside viewers of the presenter's own server.

`uv run python -m tests.bench.links [--hops 0 1 2] [--viewers 10] [--seconds 10]`. All servers are pinned to the
first core; the publisher, at the first server, and the viewers, at the last, are in this process, on the second.
The servers wait for each other's core, which counts as latency.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import trio

from tests.bench.media_clients import Load, PacketId, keyframe, open_audience, percentile, publish
from tests.bench.media_servers import HOST, Roomfsm, open_roomfsm
from tests.bench.processes import allow_sockets, pin
from tests.mediaserver.peer import open_test_peer

WARM_UP = 1.0
"""Seconds before and after the keyframe that starts the viewers."""


@dataclass(frozen=True, slots=True)
class Result:
    cpu: float
    """µs of all servers for each packet of the source."""
    latencies: Sequence[float]
    """ms."""
    lost: int


async def measure(hops: int, viewers: int, seconds: float) -> Result:
    load = Load()
    async with AsyncExitStack() as stack:
        servers: list[Roomfsm] = [await stack.enter_async_context(open_roomfsm()) for _ in range(hops + 1)]
        audience = await stack.enter_async_context(open_audience())
        publisher = await stack.enter_async_context(open_test_peer("sendonly", host=HOST))
        publisher.tap = lambda _: None
        await servers[0].publish(publisher)
        for parent, child in pairwise(servers):
            await parent.link_to(child)
        for _ in range(viewers):
            viewer = await stack.enter_async_context(open_test_peer("recvonly", host=HOST))
            await servers[-1].view(viewer)
            audience.add(viewer)
        for server in servers:
            server.pin()
        await publish(publisher, load, WARM_UP, {})
        for payload in keyframe():
            publisher.send_rtp(payload, timestamp=1)
        warm: dict[PacketId, int] = {}
        await publish(publisher, load, WARM_UP, warm)
        await audience.align(warm)
        before = sum(server.cpu() for server in servers)
        packets = await publish(publisher, load, seconds, audience.sent_at)
        await audience.wait_for(packets * viewers)
        cpu = sum(server.cpu() for server in servers) - before
        audience.stop()
        return Result(cpu / packets * 1e6, audience.latencies, packets * viewers - len(audience.latencies))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hops", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--viewers", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    allow_sockets()
    pin(1)
    print("hops  viewers  µs/source packet  p50 ms  p95 ms  x direct  lost", flush=True)
    direct = None
    for hops in arguments.hops:
        result = trio.run(partial(measure, hops, arguments.viewers, arguments.seconds))
        p50, p95 = (percentile(result.latencies, percent) for percent in (50, 95))
        direct = p50 if direct is None else direct
        print(
            f"{hops:4}  {arguments.viewers:7}  {result.cpu:16.1f}  {p50:6.2f}  {p95:6.2f}  {p50 / direct:8.2f}"
            f"  {result.lost:4}",
            flush=True,
        )


if __name__ == "__main__":
    main()
