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
import multiprocessing
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import trio
from trio_websocket import ConnectionClosed

from roomfsm.kurento.settings import KurentoSettings
from roomfsm.kurento.visit import open_visit
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.peer import VIDEO_SSRC
from tests.bench.media_clients import Load, PacketId, keyframe, percentile, publish
from tests.bench.processes import allow_sockets
from tests.bench.relay_viewers import NUMBERS, PATIENCE, ROOM, Found, Plan, Sent, Times, watch
from tests.mediaserver.peer import VP8_KEYFRAME, TestPeer, open_test_peer
from tests.processes import media_server_program
from tests.protocol_client import Client, open_client
from tests.system.program import Program, running

SPAWN = multiprocessing.get_context("spawn")
BEFORE_THE_FIRST = 3.0
"""Seconds that the processes of viewers have to start."""
KEYFRAME_SPACING = 0.3
"""As Chromium: the least time between two keyframes that were asked for."""


async def _answer_keyframe_requests(peer: TestPeer, scope: trio.CancelScope) -> None:
    with scope:
        while True:
            await peer.receive_feedback(rtcp.KeyframeRequest)
            *packets, last = keyframe()
            now = int(trio.current_time() * 90_000)
            for payload in packets:
                peer.send_rtp(payload, ssrc=VIDEO_SSRC, timestamp=now)
            peer.send_rtp(last, ssrc=VIDEO_SSRC, timestamp=now, marker=True)
            await trio.sleep(KEYFRAME_SPACING)


async def _ignore(client: Client) -> None:
    """Read what comes, and look at nothing."""
    with suppress(ConnectionClosed):
        while True:
            await client.websocket.get_message()


async def _measure(
    audiences: Sequence[Connection], presenter: TestPeer, times: Times, options: argparse.Namespace
) -> dict[int, Found]:
    """What the viewers have seen, by the UDP ports of their media servers."""
    load = Load(video=options.video, audio=0, keyframe_interval=math.inf)
    warming: dict[PacketId, int] = {}
    await publish(presenter, load, 2.0, warming)
    await _tell(audiences, list(warming)[-1])
    await publish(presenter, load, options.seconds, Sent(times, presenter.payload_types["vp8"]))
    await trio.sleep(1.0)
    found: dict[int, Found] = defaultdict(Found)
    for part in await _tell(audiences, None):
        for port, there in part.items():
            found[port].waited += there.waited
            found[port].answered += there.answered
            found[port].latencies += there.latencies
    return found


async def _tell(audiences: Sequence[Connection], what: object) -> list[Any]:
    """Tell all processes of viewers something, and return what they reply."""
    for audience in audiences:
        audience.send(what)
    return [await trio.to_thread.run_sync(audience.recv) for audience in audiences]


@contextmanager
def _audiences(
    program: Program, stream: str, times: Times, options: argparse.Namespace
) -> Iterator[list[Connection]]:
    """The processes of viewers."""
    begin = time.monotonic() + BEFORE_THE_FIRST
    processes, ends = [], []
    for number in range(options.processes):
        numbers = range(number, options.viewers, options.processes)
        plan = Plan(program.port, stream, numbers, begin, options.join_rate, options.servers)
        ours, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=watch, args=(plan, times, theirs), daemon=True)
        process.start()
        theirs.close()
        processes.append(process)
        ends.append(ours)
    yield ends
    for process in processes:
        process.join(PATIENCE)


class Processors:
    """What share of a core the programs use."""

    def __init__(self, programs: Mapping[str, Iterable[int | None]]) -> None:
        """The process ids of the programs, by their names."""
        self._programs = {name: [psutil.Process(pid) for pid in pids] for name, pids in programs.items()}
        self._since, self._used = 0.0, dict[str, float]()
        self.used()

    def used(self) -> str:
        """In words, since the last time."""
        now, used = time.perf_counter(), {name: _seconds(family) for name, family in self._programs.items()}
        seconds, before = now - self._since, self._used
        self._since, self._used = now, used
        return ", ".join(f"{name} {(used[name] - before.get(name, 0.0)) / seconds:.0%}" for name in used)


def _seconds(family: Iterable[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in family)


async def _held(urls: Iterable[str]) -> list[int]:
    """How many endpoints each media server still holds."""
    held = []
    for url in urls:
        async with open_visit(url, KurentoSettings()) as visit:
            held.append(sum([len(await visit.children(pipeline)) for pipeline in await visit.pipelines()]))
    return held


async def _run(program: Program, servers: Mapping[str, int], options: argparse.Namespace) -> None:
    """`servers` are the process ids of the media servers by their addresses."""
    times = SPAWN.Array("q", NUMBERS, lock=False)
    async with open_client(program.url) as client, open_test_peer("sendonly") as presenter:
        await client.join(ROOM, "Presenter")
        answer = await client.ask("publish", source="camera", sdp=presenter.offer)
        await presenter.accept(answer["sdp"])
        presenter.send_rtp(VP8_KEYFRAME)
        stream = (await client.expect("streamStarted"))["stream"]["id"]
        async with trio.open_nursery() as background:
            answering = trio.CancelScope()
            background.start_soon(_ignore, client)
            background.start_soon(_answer_keyframe_requests, presenter, answering)
            with _audiences(program, stream, times, options) as audiences:
                processors = Processors(
                    {
                        "room server": [program.process.pid],
                        **{f"media server {number}": [pid] for number, pid in enumerate(servers.values())},
                        "viewers": [child.pid for child in multiprocessing.active_children()],
                    }
                )
                for audience in audiences:
                    await trio.to_thread.run_sync(audience.recv)
                print(f"while they come: {processors.used()}")
                # A keyframe among the measured packets would shift their numbers.
                answering.cancel()
                found = await _measure(audiences, presenter, times, options)
                print(f"while they watch: {processors.used()}")
                _print(found, servers, packets=sum(at != 0 for at in times))
                for audience in audiences:
                    audience.send(None)
                began = time.perf_counter()
            background.cancel_scope.cancel()
    while any(held := await _held(servers)) and time.perf_counter() - began < PATIENCE:  # noqa: ASYNC110 (media servers must be asked)
        await trio.sleep(0.05)
    print(f"endpoints that are left {time.perf_counter() - began:.1f} s after all have gone: {held}")


def _print(found: Mapping[int, Found], servers: Mapping[str, int], packets: int) -> None:
    ports = {port: index for index, pid in enumerate(servers.values()) for port in _udp_ports(pid)}
    print("media server  viewers  no picture  answer p50    p95  keyframe p50    p95  latency p50    p95   lost")
    for port, there in sorted(found.items(), key=lambda item: ports.get(item[0], 99)):
        waited, latencies = there.waited, there.latencies
        print(
            f"{ports.get(port, '?'):12}  {len(waited):7}  {waited.count(math.inf):10}"
            f"  {percentile(there.answered, 50) * 1e3:7.0f} ms  {percentile(there.answered, 95) * 1e3:5.0f}"
            f"  {percentile(waited, 50) * 1e3:9.0f} ms  {percentile(waited, 95) * 1e3:5.0f}"
            f"  {percentile(latencies, 50):8.2f} ms  {percentile(latencies, 95):5.2f}"
            f"  {1 - len(latencies) / (packets * len(waited)):5.2%}"
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
    parser.add_argument("--processes", type=int, default=3, help="of viewers")
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
                *("--data=none", "--heartbeat=600"),
            )
        )
        trio.run(_run, program, servers, options)


if __name__ == "__main__":
    main()
