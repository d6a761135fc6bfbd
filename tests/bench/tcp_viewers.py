"""What viewers over TCP cost, beside as many over UDP: CPU, memory, losses.

`uv run python -m tests.bench.tcp_viewers [--viewers 100] [--seconds 10]`. The server is a program of its own,
pinned to the first core; the publisher, which comes by UDP, and all viewers are in this process, on the second.
When a packet came is known for UDP from the kernel, and for TCP from this process, which looks every 20 ms.
"""

from __future__ import annotations

import argparse
import select
import time
from contextlib import AsyncExitStack
from functools import partial

import trio

from roomfsm.peer import run_peer
from tests.bench.media_clients import Audience, Load, Viewer, open_audience, percentile, publish, warm_up
from tests.bench.media_servers import HOST, open_roomfsm
from tests.bench.processes import allow_sockets, pin
from tests.mediaserver.peer import TestPeer, open_test_peer
from tests.mediaserver.tcp_peer import TcpPeer
from tests.ports import reserved_port

_READ = 262_144


class TcpAudience(Audience):
    """Viewers that come by TCP."""

    def add(self, peer: TestPeer) -> None:
        assert isinstance(peer, TcpPeer)
        peer.stop_reading()
        peer.stop_checks()
        self._viewers[peer.stream.fileno()] = Viewer(peer)
        self._poll.register(peer.stream, select.EPOLLIN)

    def _drain(self, viewer: Viewer) -> None:
        peer = viewer.peer
        assert isinstance(peer, TcpPeer)
        try:
            data = peer.stream.recv(_READ)
        except OSError:
            return
        now = time.time_ns()
        for packet in peer.unframed(data):
            if packet[0] < 128 or 192 <= packet[1] <= 223:
                continue
            kind, number = packet[1] & 0x7F, packet[2] << 8 | packet[3]
            viewer.last[kind] = number
            sent = self.sent_at.get((kind, (number + viewer.shift.get(kind, 0)) & 0xFFFF))
            if sent is not None:
                self.latencies.append((now - sent) / 1e6)


async def measure(viewers: int, seconds: float, *, over_tcp: bool) -> str:
    load = Load()
    async with AsyncExitStack() as stack:
        port = stack.enter_context(reserved_port())
        server = await stack.enter_async_context(open_roomfsm(f"--media-tcp-port={port}"))
        audience = await stack.enter_async_context(open_audience(TcpAudience if over_tcp else Audience))
        publisher = await stack.enter_async_context(open_test_peer("sendonly", host=HOST))
        publisher.tap = lambda _: None
        await server.publish(publisher)
        before = server.resident()
        for _ in range(viewers):
            if over_tcp:
                viewer: TestPeer = await stack.enter_async_context(run_peer(TcpPeer("recvonly"), HOST))
            else:
                viewer = await stack.enter_async_context(open_test_peer("recvonly", host=HOST))
            await server.view(viewer)
            audience.add(viewer)
        server.pin()
        await warm_up(publisher, load, audience)
        cpu = server.cpu()
        packets = await publish(publisher, load, seconds, audience.sent_at)
        await audience.wait_for(packets * viewers)
        cpu = server.cpu() - cpu
        audience.stop()
        delivered = len(audience.latencies)
        by = "TCP" if over_tcp else "UDP"
        return (
            f"{by}  {viewers:7}  {cpu / max(1, delivered) * 1e6:9.2f}  {cpu / seconds:7.3f}"
            f"  {percentile(audience.latencies, 50):6.1f}  {percentile(audience.latencies, 99):6.1f}"
            f"  {(server.resident() - before) / viewers:9.1f}  {packets * viewers - delivered} {packets * viewers}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, nargs="+", default=[100])
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    allow_sockets()
    pin(1)
    print("by   viewers  µs/packet  CPU s/s  p50 ms  p99 ms  kB/viewer  lost of")
    for viewers in arguments.viewers:
        for over_tcp in (False, True, False, True):
            print(trio.run(partial(measure, viewers, arguments.seconds, over_tcp=over_tcp)), flush=True)


if __name__ == "__main__":
    main()
