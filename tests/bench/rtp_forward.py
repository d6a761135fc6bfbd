"""What forwarding an RTP packet costs: CPU, latency, memory and losses at 10 and 100 viewers.

`uv run python -m tests.bench.rtp_forward [--viewers 10 100] [--seconds 10]`. The engine runs in a process of its
own, the publisher and all viewers in this one; the reference is measured in this same run: protect and sendto, one
packet at a time, straight from Python.
"""

import argparse
import json
import multiprocessing
import os
import resource
import socket
import struct
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import trio
from pylibsrtp import Policy, Session

from roomfsm.conformance.peer import AUDIO_SSRC, VIDEO_SSRC
from roomfsm.mediaserver.engine import EngineSettings, Peer, open_engine
from tests.bench.processes import pin
from tests.mediaserver.observer import RecordingObserver
from tests.mediaserver.peer import VP8_DELTA, VP8_KEYFRAME, TestPeer, open_test_peer

VIDEO_PACKETS = 120
"""A second, evenly spread."""
AUDIO_PACKETS = 50
KEYFRAME_INTERVAL = 5.0
KEYFRAME_PACKETS = 30
"""Sent at once, in place of as many of the spread ones."""
VIDEO_SIZE = 1000
AUDIO_SIZE = 120


# The server's process


@dataclass(frozen=True, slots=True)
class ServerUsage:
    cpu: float
    """Seconds, user and system."""
    resident: int
    """kB."""
    packets_sent: int
    packets_dropped: int


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


async def _serve(pipe: Connection) -> None:
    """Answer the commands of the other process; each is a JSON list: offer role text, usage, or stop."""
    async with open_engine(EngineSettings(host="127.0.0.1")) as engine:
        publisher: Peer | None = None
        while True:
            await trio.lowlevel.wait_readable(pipe.fileno())
            command, *arguments = json.loads(pipe.recv())
            if command == "offer":
                peer = engine.open_peer(RecordingObserver())
                if arguments[0] == "sendonly":
                    publisher = peer
                elif publisher is not None:
                    publisher.connect(peer)
                pipe.send(peer.process_offer(arguments[1]))
            elif command == "usage":
                usage, stats = resource.getrusage(resource.RUSAGE_SELF), engine.stats()
                pipe.send(
                    ServerUsage(
                        usage.ru_utime + usage.ru_stime, _resident(), stats.packets_sent, stats.packets_dropped
                    )
                )
            else:
                return


def _server_process(pipe: Connection) -> None:
    trio.run(_serve, pipe)


class Server:
    """The engine in its own process, pinned to the first core."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_server_process, args=(theirs,))
        self._process.start()
        pin(0, self._process.pid or 0)

    def offer(self, role: str, offer: str) -> str:
        self._pipe.send(json.dumps(["offer", role, offer]))
        answer = self._pipe.recv()
        assert isinstance(answer, str)
        return answer

    def usage(self) -> ServerUsage:
        self._pipe.send(json.dumps(["usage"]))
        usage = self._pipe.recv()
        assert isinstance(usage, ServerUsage)
        return usage

    def stop(self) -> None:
        self._pipe.send(json.dumps(["stop"]))
        self._process.join()


# The clients


class Receipts:
    """Counts what viewers get and how long it took, from the clear RTP header alone: nothing is decrypted."""

    def __init__(self) -> None:
        self.sent_at: dict[bytes, float] = {}
        """By payload type and sequence number, as in the header."""
        self.latencies: list[float] = []
        self.count = 0
        self._expected: int | None = None
        self._complete = trio.Event()

    async def wait_for(self, count: int) -> None:
        self._expected = count
        if self.count < count:
            await self._complete.wait()

    def take(self, datagram: bytes) -> None:
        sent = self.sent_at.get(bytes((datagram[1] & 0x7F,)) + datagram[2:4])
        if sent is not None:
            self.count += 1
            self.latencies.append(time.perf_counter() - sent)
            if self.count == self._expected:
                self._complete.set()


async def _publish(publisher: TestPeer, receipts: Receipts, seconds: float) -> int:
    """Send the source's packets on schedule; returns how many."""
    video_body = VP8_DELTA + bytes(VIDEO_SIZE - len(VP8_DELTA))
    key_body = VP8_KEYFRAME + bytes(VIDEO_SIZE - len(VP8_KEYFRAME))
    audio_body = bytes(AUDIO_SIZE)
    schedule: list[tuple[float, int, bytes]] = []
    spread = VIDEO_PACKETS - KEYFRAME_PACKETS / KEYFRAME_INTERVAL
    schedule += [(i / spread, VIDEO_SSRC, video_body) for i in range(int(seconds * spread))]
    schedule += [(i / AUDIO_PACKETS, AUDIO_SSRC, audio_body) for i in range(int(seconds * AUDIO_PACKETS))]
    for index in range(int(seconds / KEYFRAME_INTERVAL)):
        at = (index + 0.5) * KEYFRAME_INTERVAL
        schedule += [(at, VIDEO_SSRC, key_body), *[(at, VIDEO_SSRC, video_body)] * (KEYFRAME_PACKETS - 1)]
    schedule.sort(key=lambda item: item[0])
    begin = trio.current_time()
    for at, ssrc, body in schedule:
        await trio.sleep_until(begin + at)
        number = publisher.next_sequence_number(ssrc)
        payload_type = publisher.payload_types["vp8" if ssrc == VIDEO_SSRC else "opus"]
        receipts.sent_at[struct.pack("!BH", payload_type, number)] = time.perf_counter()
        publisher.send_rtp(body, ssrc=ssrc, sequence_number=number, timestamp=int(at * 90000))
    return len(schedule)


@dataclass(frozen=True, slots=True)
class Result:
    viewers: int
    cpu_per_packet: float
    """µs."""
    cpu: float
    """Seconds a second."""
    p50: float
    """ms."""
    p99: float
    kilobytes_per_viewer: float
    lost: int
    packets: int


async def _join(peer: TestPeer, server: Server, role: str) -> None:
    with trio.fail_after(10):
        await peer.accept(server.offer(role, peer.offer))


async def _measure(viewers: int, seconds: float) -> Result:
    server, receipts = Server(), Receipts()
    try:
        async with AsyncExitStack() as stack:
            publisher = await stack.enter_async_context(open_test_peer("sendonly"))
            await _join(publisher, server, "sendonly")
            publisher.tap = lambda _: None
            # The first viewer brings what all share; the others show what a viewer costs.
            for index in range(viewers):
                if index == 1:
                    before = server.usage()
                viewer = await stack.enter_async_context(open_test_peer("recvonly"))
                await _join(viewer, server, "recvonly")
                viewer.tap = receipts.take
            await _publish(publisher, Receipts(), 0.5)
            publisher.send_rtp(VP8_KEYFRAME)
            await _publish(publisher, Receipts(), 0.5)
            start = server.usage()
            packets = await _publish(publisher, receipts, seconds)
            with trio.move_on_after(2):
                await receipts.wait_for(packets * viewers)
            end = server.usage()
    finally:
        server.stop()
    latencies = sorted(receipts.latencies)
    cpu, sent = end.cpu - start.cpu, end.packets_sent - start.packets_sent
    return Result(
        viewers,
        cpu / sent * 1e6,
        cpu / seconds,
        latencies[len(latencies) // 2] * 1e3,
        latencies[len(latencies) * 99 // 100] * 1e3,
        (end.resident - before.resident) / (viewers - 1),
        packets * viewers - receipts.count,
        packets,
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
    arguments = parser.parse_args()
    pin(1)
    bare = reference()
    print(f"reference: protect + sendto {bare:.2f} µs a packet")
    print("viewers  µs/packet  x reference  CPU s/s  p50 ms  p99 ms  kB/viewer  lost of")
    for viewers in arguments.viewers:
        result = trio.run(_measure, viewers, arguments.seconds)
        print(
            f"{result.viewers:7}  {result.cpu_per_packet:9.2f}  {result.cpu_per_packet / bare:11.2f}"
            f"  {result.cpu:7.3f}  {result.p50:6.2f}  {result.p99:6.2f}  {result.kilobytes_per_viewer:9.1f}"
            f"  {result.lost} {result.packets * result.viewers}"
        )


if __name__ == "__main__":
    main()
