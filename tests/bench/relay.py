"""One stream over several media servers to a large audience: how long people wait for it, and what each hop costs.

`uv run python -m tests.bench.relay [--viewers 900] [--servers 3] [--chain]` starts the media servers and a room
server, each as a program of its own, and lets the viewers come at `--join-rate` a second. For each media server it
prints the time from a viewer's `view` to the first packet of a keyframe, and then the latency of packets from the
presenter's socket to the viewer's (by the kernel's clock, as in `rtp_forward`). The reference is media server 0,
to whose viewers the stream is not relayed. When all have left, it asks each media server what it still holds.

The source sends `--video` packets a second, so few because all programs and 900 viewers share this machine.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, suppress
from functools import partial
from pathlib import Path

import psutil
import trio
from trio_websocket import ConnectionClosed

from roomfsm.kurento.settings import KurentoSettings
from roomfsm.kurento.visit import open_visit
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.peer import VIDEO_SSRC
from tests.bench.media_clients import Audience, Load, keyframe, open_audience, percentile, publish
from tests.bench.processes import allow_sockets
from tests.mediaserver.peer import VP8_KEYFRAME, TestPeer, open_test_peer
from tests.processes import media_server_program
from tests.protocol_client import Client, open_client
from tests.system.program import Program, running

ROOM = "stadium"
PATIENCE = 30.0
KEYFRAME_SPACING = 0.3
"""As Chromium: the least time between two keyframes that were asked for."""


class Run:
    """One audience, by the UDP ports of their media servers."""

    def __init__(self, audiences: Sequence[Audience]) -> None:
        self._unused = list(audiences)
        self.waited: dict[int, list[float]] = defaultdict(list)
        """Seconds from `view` to the first packet of a keyframe."""
        self.audiences: dict[int, Audience] = {}
        self.without = 0
        """Viewers to whom no keyframe came in time."""
        self.leave = trio.Event()

    def add(self, peer: TestPeer, seconds: float | None) -> None:
        """Count a viewer who has waited so long for a keyframe; None: for ever."""
        port = peer.require_answer().address[1]
        if port not in self.audiences:
            self.audiences[port] = self._unused.pop()
        self.audiences[port].add(peer)
        if seconds is None:
            self.without += 1
        else:
            self.waited[port].append(seconds)


async def _answer_keyframe_requests(peer: TestPeer) -> None:
    while True:
        await peer.receive_feedback(rtcp.KeyframeRequest)
        *packets, last = keyframe()
        now = int(trio.current_time() * 90_000)
        for payload in packets:
            peer.send_rtp(payload, ssrc=VIDEO_SSRC, timestamp=now)
        peer.send_rtp(last, ssrc=VIDEO_SSRC, timestamp=now, marker=True)
        await trio.sleep(KEYFRAME_SPACING)


async def _view(url: str, number: int, stream: str, run: Run, *, task_status: trio.TaskStatus[None]) -> None:
    """Enter the room and view the stream, until all leave."""
    async with open_client(url) as client, open_test_peer("recvonly") as peer:
        await client.join(ROOM, f"Viewer {number}")
        began = trio.current_time()
        answer = await client.ask("view", stream=stream, sdp=peer.offer)
        assert answer["type"] == "answer", answer
        await peer.accept(answer["sdp"])
        with trio.move_on_after(PATIENCE) as late:
            while not (await peer.receive_rtp()).payload.startswith(VP8_KEYFRAME):
                pass
        run.add(peer, None if late.cancelled_caught else trio.current_time() - began)
        task_status.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_ignore, client)
            await run.leave.wait()
            nursery.cancel_scope.cancel()


async def _ignore(client: Client) -> None:
    """Read what comes, and look at nothing."""
    with suppress(ConnectionClosed):
        while True:
            await client.websocket.get_message()


async def _come(nursery: trio.Nursery, url: str, stream: str, run: Run, options: argparse.Namespace) -> None:
    """Returns when all viewers are there."""
    begin = trio.current_time()

    async def one(number: int) -> None:
        await trio.sleep_until(begin + number / options.join_rate)
        await nursery.start(partial(_view, url, number, stream, run))

    async with trio.open_nursery() as coming:
        for number in range(options.viewers):
            coming.start_soon(one, number)


async def _measure(run: Run, presenter: TestPeer, load: Load, seconds: float) -> None:
    """Fill the latencies of each audience."""
    warming: dict[tuple[int, int], int] = {}
    await publish(presenter, load, 2.0, warming)
    for audience in run.audiences.values():
        await audience.align(warming)
        audience.sent_at = {}
    sent: dict[tuple[int, int], int] = {}
    for audience in run.audiences.values():
        audience.sent_at = sent
    await publish(presenter, load, seconds, sent)
    await trio.sleep(1.0)
    for audience in run.audiences.values():
        audience.stop()


async def _held(urls: Iterable[str]) -> list[int]:
    """How many endpoints each media server still holds."""
    held = []
    for url in urls:
        async with open_visit(url, KurentoSettings()) as visit:
            held.append(sum([len(await visit.children(pipeline)) for pipeline in await visit.pipelines()]))
    return held


async def _run(program: Program, servers: Mapping[str, int], options: argparse.Namespace) -> None:
    """`servers` are the process ids of the media servers by their addresses."""
    load = Load(video=options.video, audio=0, keyframe_interval=math.inf)
    async with AsyncExitStack() as stack:
        run = Run([await stack.enter_async_context(open_audience()) for _ in range(options.servers)])
        client = await stack.enter_async_context(open_client(program.url))
        presenter = await stack.enter_async_context(open_test_peer("sendonly"))
        await client.join(ROOM, "Presenter")
        answer = await client.ask("publish", source="camera", sdp=presenter.offer)
        await presenter.accept(answer["sdp"])
        presenter.send_rtp(VP8_KEYFRAME)
        stream = (await client.expect("streamStarted"))["stream"]["id"]
        async with trio.open_nursery() as background:
            background.start_soon(_ignore, client)
            background.start_soon(_answer_keyframe_requests, presenter)
            async with trio.open_nursery() as viewers:
                began = time.perf_counter()
                await _come(viewers, program.url, stream, run, options)
                print(f"all are there after {time.perf_counter() - began:.1f} s; {run.without} have no picture")
                await _measure(run, presenter, load, options.seconds)
                _print(run, servers)
                run.leave.set()
            background.cancel_scope.cancel()
    began = time.perf_counter()
    while any(held := await _held(servers)) and time.perf_counter() - began < PATIENCE:  # noqa: ASYNC110 (media servers must be asked)
        await trio.sleep(0.05)
    print(f"endpoints that are left {time.perf_counter() - began:.1f} s after the last one has gone: {held}")


def _print(run: Run, servers: Mapping[str, int]) -> None:
    ports = {port: index for index, pid in enumerate(servers.values()) for port in _udp_ports(pid)}
    print("media server  viewers  first keyframe p50    p95  latency p50    p95   lost")
    for port, waited in sorted(run.waited.items(), key=lambda item: ports.get(item[0], 99)):
        audience = run.audiences[port]
        wanted = len(audience.sent_at) * len(waited)
        print(
            f"{ports.get(port, '?'):12}  {len(waited):7}"
            f"  {percentile(waited, 50) * 1e3:15.0f} ms  {percentile(waited, 95) * 1e3:5.0f}"
            f"  {percentile(audience.latencies, 50):8.2f} ms  {percentile(audience.latencies, 95):5.2f}"
            f"  {1 - len(audience.latencies) / wanted:5.2%}"
        )


def _udp_ports(pid: int) -> set[int]:
    """The UDP ports of a program and its children."""
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    return {one.laddr.port for member in family for one in member.net_connections("udp") if one.laddr}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=900)
    parser.add_argument("--servers", type=int, default=3)
    parser.add_argument("--chain", action="store_true", help="one after another, and not two from the first")
    parser.add_argument("--join-rate", type=float, default=20.0)
    parser.add_argument("--video", type=int, default=8, help="packets a second")
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    allow_sockets()
    each = math.ceil(options.viewers / options.servers)
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        started = [stack.enter_context(media_server_program()) for _ in range(options.servers)]
        servers = {url: process.pid for url, process in started}
        program = stack.enter_context(
            running(
                Path(folder),
                *(f"--kurento={url}" for url in servers),
                f"--views-per-media-server={each}",
                f"--relays-per-media-server={1 if options.chain else 8}",
                *("--max-people=2000", "--max-sessions=5000", "--max-sessions-per-address=5000"),
                *("--data=none", "--room-told-rate=10000", "--heartbeat=600"),
            )
        )
        trio.run(_run, program, servers, options)


if __name__ == "__main__":
    main()
