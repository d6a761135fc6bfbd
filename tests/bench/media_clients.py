"""The clients of the media benchmarks: a source on schedule, and an audience of hundreds read in turns.

The audience's latencies are the kernel's own (when the packet reached the viewer's socket), so that the time that
one Python process takes to read hundreds of sockets is not in them. Only the clear RTP header is read.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import AsyncIterator, Iterable, MutableMapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from roomfsm.mediaserver.rtp import rtcp
from roomfsm.peer import AUDIO_SSRC, VIDEO_SSRC
from tests.mediaserver.peer import VP8_DELTA, VP8_KEYFRAME, TestPeer

VIDEO_PACKETS = 120
"""A second, evenly spread."""
AUDIO_PACKETS = 50
KEYFRAME_INTERVAL = 5.0
KEYFRAME_PACKETS = 30
"""Sent at once, in place of as many of the spread ones."""
VIDEO_SIZE = 1000
AUDIO_SIZE = 120

_TIMESTAMP_NS = 35
"""SO_TIMESTAMPNS and SCM_TIMESTAMPNS of Linux (asm-generic/socket.h)."""
_TIMESPEC = struct.Struct("@qq")
_READ_INTERVAL = 0.02
"""Seconds between two rounds of reading: far less than the sockets' buffers hold."""
_CHECK_INTERVAL = 2.5
_SOCKETS_A_TURN = 16
_WARM_UP = 0.5
"""Seconds before and after the keyframe that starts the viewers."""
_REPORT = rtcp.receiver_report(3333, ()) + rtcp.source_description(3333, "viewer")
"""With every check: browsers report more often still."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a source sends a second."""

    video: int = VIDEO_PACKETS
    audio: int = AUDIO_PACKETS
    keyframe_interval: float = KEYFRAME_INTERVAL

    def schedule(self, seconds: float) -> list[tuple[float, int, bytes]]:
        """Time, SSRC and payload of each packet, in order."""
        delta = VP8_DELTA + bytes(VIDEO_SIZE - len(VP8_DELTA))
        found: list[tuple[float, int, bytes]] = []
        if self.video:
            spread = self.video - KEYFRAME_PACKETS / self.keyframe_interval
            found += [(i / spread, VIDEO_SSRC, delta) for i in range(int(seconds * spread))]
            for index in range(int(seconds / self.keyframe_interval)):
                at = (index + 0.5) * self.keyframe_interval
                found += [(at, VIDEO_SSRC, payload) for payload in keyframe()]
        found += [(i / self.audio, AUDIO_SSRC, bytes(AUDIO_SIZE)) for i in range(int(seconds * self.audio))]
        return sorted(found, key=lambda item: item[0])


def keyframe() -> list[bytes]:
    """The payloads of a keyframe's packets."""
    first = VP8_KEYFRAME + bytes(VIDEO_SIZE - len(VP8_KEYFRAME))
    return [first, *[VP8_DELTA + bytes(VIDEO_SIZE - len(VP8_DELTA))] * (KEYFRAME_PACKETS - 1)]


type PacketId = tuple[int, int]
"""Payload type and sequence number, as the source counts."""


class Viewer:
    """One viewer's socket, and how its packets are numbered."""

    def __init__(self, peer: TestPeer) -> None:
        self.peer = peer
        self.last: dict[int, int] = {}
        """The newest sequence number by payload type."""
        self.shift: dict[int, int] = {}
        """What to add to a number of the viewer's for that of the source: some servers number for each viewer."""


class Audience:
    """The viewers of one source."""

    def __init__(self) -> None:
        self.sent_at: MutableMapping[PacketId, int] = {}
        """When each measured packet was sent, in ns."""
        self.latencies: list[float] = []
        """Of each measured packet at each viewer, in ms."""
        self._viewers: dict[int, Viewer] = {}
        self._poll = select.epoll()
        self._scope = trio.CancelScope()
        self._wanted: int | None = None
        self._complete = trio.Event()

    def add(self, peer: TestPeer) -> None:
        """Read a connected viewer's socket from now on, in place of its own tasks."""
        peer.stop_reading()
        peer.stop_checks()
        peer.socket.setsockopt(socket.SOL_SOCKET, _TIMESTAMP_NS, 1)
        self._viewers[peer.socket.fileno()] = Viewer(peer)
        self._poll.register(peer.socket, select.EPOLLIN)

    async def align(self, sent: Iterable[PacketId]) -> None:
        """Learn every viewer's numbering from its newest packets and the newest of those `sent`."""
        await trio.sleep(0.5)
        last = dict(iter(sent))
        for viewer in self._viewers.values():
            viewer.shift = {kind: last[kind] - number for kind, number in viewer.last.items() if kind in last}

    async def read(self) -> None:
        """Read until `stop`, and keep the viewers alive."""
        checked = trio.current_time()
        with self._scope:
            while True:
                await trio.sleep(_READ_INTERVAL)
                for index, (descriptor, _) in enumerate(self._poll.poll(0)):
                    if self._scope.cancel_called:
                        return  # The sockets may be closed already.
                    self._drain(self._viewers[descriptor])
                    if index % _SOCKETS_A_TURN == 0:
                        await trio.lowlevel.checkpoint()
                if self._wanted is not None and len(self.latencies) >= self._wanted:
                    self._complete.set()
                if trio.current_time() - checked > _CHECK_INTERVAL:
                    checked = trio.current_time()
                    for viewer in list(self._viewers.values()):
                        viewer.peer.check()
                        viewer.peer.send_rtcp(_REPORT)
                        await trio.lowlevel.checkpoint()

    def _drain(self, viewer: Viewer) -> None:
        sent_at, latencies, last, shift = self.sent_at, self.latencies, viewer.last, viewer.shift
        receive = viewer.peer.socket.recvmsg
        while True:
            try:
                header, ancillary, _, _ = receive(4, 64)
            except OSError:  # Nothing more; or it is closed, because something else has failed.
                return
            if header[0] < 128 or 192 <= header[1] <= 223:
                continue
            kind, number = header[1] & 0x7F, header[2] << 8 | header[3]
            last[kind] = number
            sent = sent_at.get((kind, (number + shift.get(kind, 0)) & 0xFFFF))
            if sent is not None:
                seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
                latencies.append((seconds * 1_000_000_000 + nanoseconds - sent) / 1e6)

    async def wait_for(self, packets: int, patience: float = 3.0) -> None:
        """Until so many measured packets have come, or no longer than `patience` seconds."""
        self._wanted = packets
        with trio.move_on_after(patience):
            await self._complete.wait()

    def stop(self) -> None:
        """Read no more: before the viewers' sockets close."""
        self._scope.cancel()

    def close(self) -> None:
        self._poll.close()


@asynccontextmanager
async def open_audience(kind: type[Audience] = Audience) -> AsyncIterator[Audience]:
    """An audience that is read in the background; `stop` it before its viewers are closed."""
    audience = kind()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(audience.read)
            yield audience
            nursery.cancel_scope.cancel()
    finally:
        audience.close()


async def publish(publisher: TestPeer, load: Load, seconds: float, sent_at: MutableMapping[PacketId, int]) -> int:
    """Send the load's packets on schedule and note when each was sent; returns how many."""
    schedule = load.schedule(seconds)
    begin = trio.current_time()
    for at, ssrc, payload in schedule:
        await trio.sleep_until(begin + at)
        number = publisher.next_sequence_number(ssrc)
        payload_type = publisher.payload_types["vp8" if ssrc == VIDEO_SSRC else "opus"]
        sent_at[payload_type, number] = time.time_ns()
        publisher.send_rtp(payload, ssrc=ssrc, sequence_number=number, timestamp=int(at * 90000))
    return len(schedule)


async def warm_up(publisher: TestPeer, load: Load, audience: Audience) -> None:
    """Send the load for a second, with a keyframe in the middle that starts the audience. Then the audience learns
    how its packets are numbered."""
    await publish(publisher, load, _WARM_UP, {})
    for payload in keyframe():
        publisher.send_rtp(payload)
    warm: dict[PacketId, int] = {}
    await publish(publisher, load, _WARM_UP, warm)
    await audience.align(warm)


def percentile(values: Sequence[float], percent: float) -> float:
    """Of values in any order; NaN of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else float("nan")
