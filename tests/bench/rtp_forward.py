"""What forwarding an RTP packet costs: CPU, latency, memory and losses, by viewers; ours, and Janus beside it.

`uv run python -m tests.bench.rtp_forward [--viewers 10 100] [--seconds 10] [--workers 1 2] [--no-janus]`. Each
server is a program of its own, pinned to the first core unless it has several workers; the publisher and all
viewers are in this process, on the second. The reference is measured in this same run: protect and sendto, one
packet at a time, straight from Python.
"""

from __future__ import annotations

import argparse
import os
import socket
import struct
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

import trio
from pylibsrtp import Policy, Session

from roomfsm.peer import VIDEO_SSRC
from tests.bench.media_clients import VIDEO_SIZE, Load, open_audience, percentile, publish, warm_up
from tests.bench.media_servers import HOST, OpenServer, servers
from tests.bench.processes import allow_sockets, pin
from tests.mediaserver.peer import open_test_peer

SETTLED = 6.0
"""Seconds after which our server has freed what the first viewer's handshake needed, so that all count alike."""


@dataclass(frozen=True, slots=True)
class Result:
    cpu: float
    """Seconds a second."""
    cpu_per_packet: float
    """µs a packet delivered."""
    p50: float
    """ms."""
    p99: float
    kilobytes_per_viewer: float
    threads: int
    lost: int
    packets: int


async def measure(
    open_server: OpenServer,
    viewers: int,
    seconds: float,
    *,
    pinned: bool,
) -> Result:
    load = Load()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(open_server())
        audience = await stack.enter_async_context(open_audience())
        publisher = await stack.enter_async_context(open_test_peer("sendonly", host=HOST))
        publisher.tap = lambda _: None
        await server.publish(publisher)
        # The first viewer brings what all share; the others show what a viewer costs.
        for index in range(viewers):
            if index == 1:
                await publish(publisher, load, SETTLED, {})
                before = server.resident()
            viewer = await stack.enter_async_context(open_test_peer("recvonly", host=HOST))
            await server.view(viewer)
            audience.add(viewer)
        if pinned:
            server.pin()
        await warm_up(publisher, load, audience)
        cpu = server.cpu()
        packets = await publish(publisher, load, seconds, audience.sent_at)
        await audience.wait_for(packets * viewers)
        cpu = server.cpu() - cpu
        audience.stop()
        delivered = len(audience.latencies)
        return Result(
            cpu / seconds,
            cpu / max(1, delivered) * 1e6,
            percentile(audience.latencies, 50),
            percentile(audience.latencies, 99),
            (server.resident() - before) / (viewers - 1),
            server.threads(),
            packets * viewers - delivered,
            packets * viewers,
        )


def reference(count: int = 20000) -> float:
    """µs CPU to protect and send one video packet to one address from Python, with nothing around it."""
    key = os.urandom(28)
    policy = Policy(key=key, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=Policy.SRTP_PROFILE_AEAD_AES_128_GCM)
    session, body = Session(policy), bytes(VIDEO_SIZE)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink,
    ):
        sink.bind(("127.0.0.1", 0))
        address = sink.getsockname()
        begin = time.process_time()
        for number in range(count):
            packet = struct.pack("!BBHII", 0x80, 96, number, number, VIDEO_SSRC) + body
            sender.sendto(session.protect(packet), address)
        return (time.process_time() - begin) / count * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--no-janus", action="store_true")
    arguments = parser.parse_args()
    allow_sockets()
    pin(1)
    bare = reference()
    print(f"reference: protect + sendto {bare:.2f} µs a packet")
    measured = servers(arguments.workers, janus=not arguments.no_janus)
    print("server              viewers  µs/packet  x ref.  CPU s/s  p50 ms  p99 ms  kB/viewer  threads  lost of")
    for viewers in arguments.viewers:
        for name, open_server in measured.items():
            pinned = "workers" not in name
            result = trio.run(partial(measure, open_server, viewers, arguments.seconds, pinned=pinned))
            print(
                f"{name:18}  {viewers:7}  {result.cpu_per_packet:9.2f}  {result.cpu_per_packet / bare:6.2f}"
                f"  {result.cpu:7.3f}  {result.p50:6.2f}  {result.p99:6.2f}  {result.kilobytes_per_viewer:9.1f}"
                f"  {result.threads:7}  {result.lost} {result.packets}",
                flush=True,
            )


if __name__ == "__main__":
    main()
