"""Viewers that all come at once: time to the first keyframe, server CPU a join; ours, and Janus beside it.

`uv run python -m tests.bench.join_storm [--no-janus]`: 100 viewers within 2 s who stay, then 400 within 2 s who
leave when they have seen a keyframe's first packet. The time runs from the first request until that packet is
decrypted. The source sends 170 packets a second, and a keyframe when asked, at most one in 0.3 s, as Chromium
does. The reference is a DTLS handshake of two OpenSSL ends in this process.
"""

from __future__ import annotations

import argparse
import math
import time
from contextlib import suppress
from functools import partial

import trio
from OpenSSL import SSL

from roomfsm.mediaserver.dtls.session import DtlsIdentity
from roomfsm.mediaserver.dtls.srtp import PROFILES
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.peer.certificate import identity
from tests.bench.media_clients import Load, keyframe, percentile, publish
from tests.bench.media_servers import HOST, MediaServer, OpenServer, servers
from tests.bench.processes import allow_sockets, pin
from tests.mediaserver.peer import VP8_KEYFRAME, TestPeer, open_test_peer

KEYFRAME_SPACING = 0.3
PATIENCE = 10.0
"""Seconds after which a join counts as failed."""


class Result:
    """Of so many joins."""

    def __init__(self, joins: int) -> None:
        self.seconds: list[float] = []
        """To the first keyframe; infinite where none came."""
        self.cpu = 0.0
        """Of the server, in seconds, from the first join to the last keyframe."""
        self.complete = trio.Event()
        self._joins = joins

    def add(self, seconds: float) -> None:
        self.seconds.append(seconds)
        if len(self.seconds) == self._joins:
            self.complete.set()


async def _answer_keyframe_requests(publisher: TestPeer) -> None:
    while True:
        await publisher.receive_feedback(rtcp.KeyframeRequest)
        timestamp = int(trio.current_time() * 90000)
        for payload in keyframe():
            publisher.send_rtp(payload, timestamp=timestamp)
        await trio.sleep(KEYFRAME_SPACING)


async def _join(server: MediaServer, result: Result, leave: trio.Event | None) -> None:
    """Join, see a keyframe, and leave: at once, or at the event."""
    begin = trio.current_time()
    async with open_test_peer("recvonly", host=HOST) as viewer:
        seconds, name = math.inf, ""
        with trio.move_on_after(PATIENCE):
            name = await server.view(viewer)
            while not (await viewer.receive_rtp()).payload.startswith(VP8_KEYFRAME):
                pass
            seconds = trio.current_time() - begin
        viewer.tap = lambda _: None
        result.add(seconds)
        if leave is not None:
            await leave.wait()
        if name:
            await server.leave(name)


async def measure(open_server: OpenServer, joins: int, seconds: float, *, stay: bool, pinned: bool) -> Result:
    result = Result(joins)
    async with open_server() as server, open_test_peer("sendonly", host=HOST) as publisher:
        await server.publish(publisher)
        if pinned:
            server.pin()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_answer_keyframe_requests, publisher)
            nursery.start_soon(publish, publisher, Load(keyframe_interval=math.inf), 120.0, {})
            await trio.sleep(0.5)
            cpu, begin = server.cpu(), trio.current_time()
            leave = trio.Event() if stay else None
            async with trio.open_nursery() as viewers:
                for index in range(joins):
                    await trio.sleep_until(begin + index * seconds / joins)
                    viewers.start_soon(_join, server, result, leave)
                await result.complete.wait()  # Each join ends within PATIENCE.
                result.cpu = server.cpu() - cpu
                if leave is not None:
                    leave.set()
            nursery.cancel_scope.cancel()
    return result


def reference(count: int = 100) -> float:
    """ms CPU of one DTLS handshake in memory, both ends."""
    context, _ = identity(b":".join(PROFILES), True)
    ours = DtlsIdentity()
    begin = time.process_time()
    for _ in range(count):
        server, client = ours.connection(client=False), SSL.Connection(context, None)
        client.set_ciphertext_mtu(1200)
        client.set_connect_state()
        done = 0
        while done < 2:
            done = 0
            for one, other in ((client, server), (server, client)):
                try:
                    one.do_handshake()
                    done += 1
                except SSL.WantReadError:
                    pass
                with suppress(SSL.WantReadError):
                    other.bio_write(one.bio_read(65536))
    return (time.process_time() - begin) / count * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--no-janus", action="store_true")
    arguments = parser.parse_args()
    allow_sockets()
    pin(1)
    bare = reference()
    print(f"reference: a DTLS handshake, both ends, {bare:.2f} ms")
    measured = servers(arguments.workers, janus=not arguments.no_janus)
    print("server              joins in s  then    p50 ms  p95 ms  failed  CPU ms/join  x ref.")
    for joins, seconds, stay in ((100, 2.0, True), (400, 2.0, False)):
        for name, open_server in measured.items():
            pinned = "workers" not in name
            result = trio.run(partial(measure, open_server, joins, seconds, stay=stay, pinned=pinned))
            times, cpu = result.seconds, result.cpu / joins * 1e3
            print(
                f"{name:18}  {joins:5} {seconds:4.0f}  {'stay' if stay else 'leave':5}"
                f"  {percentile(times, 50) * 1e3:7.0f}  {percentile(times, 95) * 1e3:6.0f}"
                f"  {times.count(math.inf):6}  {cpu:11.2f}  {cpu / bare:6.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
