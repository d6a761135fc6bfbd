"""What a keyframe to 200 viewers does to the other streams of the same server: their latency, with and without it.

`uv run python -m tests.bench.keyframe_burst [--viewers 200] [--no-janus]`. One stream is a 30-packet keyframe
every half second and nothing else; the other, 100 packets a second to 5 viewers, is measured: first alone, then
beside it.
"""

from __future__ import annotations

import argparse
from contextlib import AsyncExitStack
from functools import partial

import trio

from tests.bench.media_clients import Audience, Load, PacketId, keyframe, open_audience, percentile, publish
from tests.bench.media_servers import HOST, MediaServer, OpenServer, servers
from tests.bench.processes import allow_sockets, pin
from tests.mediaserver.peer import TestPeer, open_test_peer

OTHER_VIEWERS = 5
OTHER = Load(video=50, audio=50, keyframe_interval=float("inf"))
BURST_INTERVAL = 0.5


async def _open_stream(stack: AsyncExitStack, server: MediaServer, viewers: int) -> tuple[TestPeer, Audience]:
    """A source that its viewers have begun to get."""
    audience = await stack.enter_async_context(open_audience())
    publisher = await stack.enter_async_context(open_test_peer("sendonly", host=HOST))
    publisher.tap = lambda _: None
    await server.publish(publisher)
    for _ in range(viewers):
        viewer = await stack.enter_async_context(open_test_peer("recvonly", host=HOST))
        await server.view(viewer)
        audience.add(viewer)
    for payload in keyframe():
        publisher.send_rtp(payload)
    return publisher, audience


async def _burst(publisher: TestPeer) -> None:
    while True:
        timestamp = int(trio.current_time() * 90000)
        for payload in keyframe():
            publisher.send_rtp(payload, timestamp=timestamp)
        await trio.sleep(BURST_INTERVAL)


async def _latencies(publisher: TestPeer, audience: Audience, seconds: float) -> list[float]:
    audience.sent_at.clear()
    audience.latencies.clear()
    await publish(publisher, OTHER, seconds, audience.sent_at)
    await trio.sleep(0.5)
    return list(audience.latencies)


async def measure(open_server: OpenServer, viewers: int, seconds: float) -> tuple[list[float], list[float]]:
    """Latencies of the other stream in ms: alone, and beside the keyframes."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(open_server())
        bursts, crowd = await _open_stream(stack, server, viewers)
        publisher, audience = await _open_stream(stack, server, OTHER_VIEWERS)
        server.pin()
        warm: dict[PacketId, int] = {}
        await publish(publisher, OTHER, 0.5, warm)
        await audience.align(warm)
        alone = await _latencies(publisher, audience, seconds)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_burst, bursts)
            beside = await _latencies(publisher, audience, seconds)
            nursery.cancel_scope.cancel()
        audience.stop()
        crowd.stop()
    return alone, beside


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--no-janus", action="store_true")
    arguments = parser.parse_args()
    allow_sockets()
    pin(1)
    measured = servers(janus=not arguments.no_janus)
    print("server              alone: p50 ms    p99    max   beside keyframes: p50    p99    max   x alone (p99)")
    for name, open_server in measured.items():
        alone, beside = trio.run(partial(measure, open_server, arguments.viewers, arguments.seconds))
        columns = [
            " ".join(f"{percentile(values, percent):6.2f}" for percent in (50, 99, 100))
            for values in (alone, beside)
        ]
        times = percentile(beside, 99) / percentile(alone, 99)
        print(f"{name:18}  {columns[0]:>27}  {columns[1]:>33}  {times:13.1f}", flush=True)


if __name__ == "__main__":
    main()
