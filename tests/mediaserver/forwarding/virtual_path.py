"""A source, the media server's forwarding, and viewers, on virtual time, with poor paths between them.

Nothing here is a socket: peers of the real classes, without a transport, hand what they send to paths with a rate,
a drop-tail queue, a delay, losses and outages. A viewer behaves as Chromium does. It asks for a missing packet
after as many packets as others usually come late by, then every 100 ms, ten times at most. It shows a frame when
the frame before it was shown, or when it is a keyframe. It asks for a keyframe every 200 ms until its first frame,
then after 3 s without one. So the same run is the same to the byte, and takes a second or two.
"""

import heapq
import itertools
import random
import struct
from collections import Counter, deque
from collections.abc import Callable, Collection
from typing import Any

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.engine.peer import Peer
from roomfsm.mediaserver.forwarding.sink import Group, Sink
from roomfsm.mediaserver.forwarding.surroundings import Attended
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.mediaserver.sdp.codec import Codec
from tests.mediaserver.observer import RecordingObserver

OVERHEAD = 12 + 16 + 28
"""The bytes of RTP, SRTP and UDP over IPv4 that are added to a payload."""
PACKET = 950
"""The bytes of a video packet's payload."""
PACKET_SPACING = 0.005
"""The seconds between two packets of a frame, because browsers pace them."""
AUDIO_INTERVAL = 0.02
AUDIO_SIZE = 80
PLAYOUT = 0.6
"""The seconds that an audio packet may take before it is concealed. Browsers wait longer behind a queue."""
RETRY = 0.1
RETRIES = 10
FIRST_FRAME_PATIENCE = 0.2
FRAME_PATIENCE = 3.0
_VIDEO = Codec(96, "VP8", 90000, "", "", ("nack", "nack pli", "goog-remb"), 97)
_OPUS = Codec(111, "opus", 48000, "/2", "", ("nack",))
_ATTEND = 0.05
_FRAME = struct.Struct("!BBIHHB")
"""VP8 payload descriptor and first payload byte, then the frame's number, the packet's, their count, padding."""


class World:
    """Virtual time."""

    def __init__(self, seed: int = 1) -> None:
        self.time = 0.0
        self.random = random.Random(seed)
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()

    def at(self, time: float, action: Callable[[], object]) -> None:
        heapq.heappush(self._events, (time, next(self._numbers), action))

    def every(self, interval: float, action: Callable[[], object]) -> None:
        def again() -> None:
            action()
            self.at(self.time + interval, again)

        self.at(self.time + interval, again)

    def run(self, seconds: float) -> None:
        end = self.time + seconds
        while self._events and self._events[0][0] <= end:
            self.time, _, action = heapq.heappop(self._events)
            action()
        self.time = end


class Link:
    """One direction of a path. `rate` is in bit/s (0: no bound), `queue`, `delay` and `jitter` in seconds."""

    def __init__(
        self,
        world: World,
        *,
        rate: float = 0.0,
        queue: float = 0.3,
        delay: float = 0.01,
        jitter: float = 0.0,
        loss: float = 0.0,
    ) -> None:
        self._world = world
        self.rate, self.queue, self.delay, self.jitter, self.loss = rate, queue, delay, jitter, loss
        self.down = False
        """Begin or end an outage, in which everything is lost."""
        self.sent: list[tuple[float, int]] = []
        """The time and the bytes of each packet that was put in, lost or not."""
        self._free = 0.0

    def send(self, size: int, deliver: Callable[[], object]) -> None:
        now = self._world.time
        self.sent.append((now, size))
        if self.down or self._world.random.random() < self.loss:
            return
        leaves = max(self._free, now)
        if self.rate:
            if leaves - now > self.queue:
                return
            leaves = self._free = leaves + 8 * size / self.rate
        self._world.at(leaves + self.delay + self._world.random.random() * self.jitter, deliver)

    def outage(self, begin: float, seconds: float) -> None:
        def switch(down: bool) -> None:
            self.down = down

        self._world.at(begin, lambda: switch(True))
        self._world.at(begin + seconds, lambda: switch(False))

    def change_rate(self, rate: float) -> None:
        """From now on, what waits in the queue is sent at that rate, too."""
        waiting = max(0.0, self._free - self._world.time) * self.rate
        self.rate = rate
        self._free = self._world.time + waiting / rate

    def bytes_between(self, begin: float, end: float) -> int:
        return sum(size for time, size in self.sent if begin <= time < end)


class _Server:
    """The parts of the engine that peers need, and its turns."""

    def __init__(self, world: World, settings: dict[str, Any]) -> None:
        self.world = world
        self.settings = EngineSettings(**settings)
        self.ssrcs = {MediaKind.AUDIO: 1, MediaKind.VIDEO: 2}
        self.repair_ssrc = 3
        self.cname = "cname"
        self.pending: list[Group] = []
        self.attention: set[Attended] = set()
        self.peers: list[_Peer] = []
        world.every(_ATTEND, self.attend)
        world.every(self.settings.report_interval, self.tick)

    def now(self) -> float:
        return self.world.time

    def send_packets(self, packets: list[bytes], sinks: Collection[Sink]) -> None:
        for sink in sinks:
            viewer = sink.viewer
            assert isinstance(viewer, _Peer)
            for packet in packets:
                viewer.link.send(len(packet) + OVERHEAD - 12, lambda p=packet, v=viewer: v.deliver(p))  # type: ignore[misc]

    def flush(self) -> None:
        for group in self.pending:
            packets, group.pending = group.pending, []
            group.packets += len(packets)
            group.octets += group.pending_octets
            group.pending_octets = 0
            self.send_packets(packets, group.sinks.copy())
        self.pending.clear()

    def attend(self) -> None:
        self.flush()
        for attended in list(self.attention):
            if not attended.attend(self.world.time):
                self.attention.discard(attended)

    def tick(self) -> None:
        for peer in self.peers:
            peer.tick(self.world.time)
            for kind in (MediaKind.AUDIO, MediaKind.VIDEO):
                track = peer.track(kind)
                track.check_flow(self.world.time)
                track.renew(self.world.time)
                track.report(self.world.time)


class _Peer(Peer):
    """A real peer whose transport is a link."""

    deliver: Callable[[bytes], None]
    """The function that takes RTP at the browser."""
    deliver_rtcp: Callable[[bytes], None]

    def __init__(self, server: Any, link: Link) -> None:
        super().__init__(server, RecordingObserver())
        self.link = link
        server.peers.append(self)

    def send_rtcp(self, kind: MediaKind, compound: bytes) -> None:
        del kind
        self.link.send(len(compound) + OVERHEAD - 12, lambda: self.deliver_rtcp(compound))


class Source:
    """A browser that sends `bitrate` bit/s of video and audio, and answers NACKs and keyframe requests."""

    def __init__(
        self, world: World, server: Any, bitrate: float, fps: float, keyframe: int, up: Link, down: Link
    ) -> None:
        self._world, self._server, self._up = world, server, up
        self.peer = _Peer(server, down)
        self.peer.deliver_rtcp = self._feedback
        for kind, codec in ((MediaKind.AUDIO, _OPUS), (MediaKind.VIDEO, _VIDEO)):
            self.peer.track(kind).negotiated(codec, 0)
        self._frame_size = int((bitrate - 8 * (AUDIO_SIZE + OVERHEAD) / AUDIO_INTERVAL) / 8 / fps)
        self._keyframe_size = keyframe
        self.frames = 0
        self.keyframes = 0
        self._wanted = True
        self._number = 0
        self._heard = 0
        self._sent: dict[int, bytes] = {}
        world.every(1 / fps, self._frame)
        world.every(AUDIO_INTERVAL, self._audio)
        world.every(1.0, self._report)

    def _report(self) -> None:
        now = self._world.time
        for ssrc, rate in ((7, 90000), (8, 48000)):
            report = rtcp.SenderReport(ssrc, int((1000 + now) * 2**32), int(now * rate), 0, 0)
            compound = rtcp.sender_report(ssrc, report)
            self._up.send(len(compound) + OVERHEAD - 12, lambda c=compound: self._take_report(c))  # type: ignore[misc]

    def _take_report(self, compound: bytes) -> None:
        self.peer.rtcp_received(compound, self._world.time)

    def _frame(self) -> None:
        key, self._wanted = self._wanted, False
        self.keyframes += key
        size = self._keyframe_size if key else self._frame_size
        count = max(1, round(size / (PACKET + OVERHEAD)))
        timestamp = int(self._world.time * 90000)
        for index in range(count):
            head = _FRAME.pack(0x10 if index == 0 else 0, 0 if key else 1, self.frames, index, count, 0)
            payload = head + bytes(max(0, size // count - OVERHEAD - len(head)))
            packet = struct.pack("!BBHII", 0x80, 96, self._number & 0xFFFF, timestamp, 7) + payload
            self._sent[self._number & 0xFFFF] = packet
            self._number += 1
            self._world.at(self._world.time + index * PACKET_SPACING, lambda p=packet: self._send(p))  # type: ignore[misc]
        self.frames += 1

    def _audio(self) -> None:
        payload = struct.pack("!I", self._heard) + bytes(AUDIO_SIZE - 4)
        header = struct.pack("!BBHII", 0x80, 111, self._heard & 0xFFFF, self._heard * 960, 8)
        self._heard += 1
        self._send(header + payload)

    def _send(self, packet: bytes) -> None:
        self._up.send(len(packet) + OVERHEAD - 12, lambda: self._receive(packet))

    def _receive(self, packet: bytes) -> None:
        kind = MediaKind.VIDEO if packet[1] == 96 else MediaKind.AUDIO
        track = self.peer.track(kind)
        if track.reception is not None:  # SRTP accepts no packet twice.
            extended = track.reception.extend(int.from_bytes(packet[2:4]))
            if extended <= track.reception.highest and extended not in track.reception.missing:
                return
        track.receive(packet, self._world.time)
        self._server.attend()

    def _feedback(self, compound: bytes) -> None:
        for packet in rtcp.parse(compound):
            if isinstance(packet, rtcp.KeyframeRequest):
                self._wanted = True
            elif isinstance(packet, rtcp.Nack) and packet.media_ssrc == 7:
                for number in packet.sequence_numbers:
                    if number in self._sent:
                        self._send(self._sent[number])


class Viewer:
    """A browser that views. It records what it shows and plays."""

    def __init__(self, world: World, server: Any, source: Source, down: Link, up: Link) -> None:
        self._world, self._up = world, up
        self.down = down
        self.peer = _Peer(server, down)
        self.peer.deliver, self.peer.deliver_rtcp = self._receive, self._receive_rtcp
        self.shown: list[float] = []
        """The time when each frame was shown."""
        self.heard: dict[int, float] = {}
        """The time when each audio packet came first, by number."""
        self.counts: Counter[str] = Counter()
        self._frames: dict[int, tuple[bool, int, set[int]]] = {}
        self._last_frame = -1
        self._highest: dict[int, int] = {}
        self._missing: dict[int, dict[int, tuple[int, float]]] = {1: {}, 2: {}}
        """For each SSRC, the tries of each extended number and the time of the last one."""
        self._seen: set[tuple[int, int]] = set()
        self._late: deque[int] = deque(maxlen=128)
        """By how many packets each packet was late that was not lost."""
        self._clock: dict[int, tuple[int, float]] = {}
        self._counted: dict[int, tuple[int, int]] = {}
        self._first: dict[int, int] = {}
        self._asked = self._began = world.time
        for kind, codec in ((MediaKind.AUDIO, _OPUS), (MediaKind.VIDEO, _VIDEO)):
            sink = self.peer._sinks[kind]
            sink.codecs, sink.open = (codec,), True
        source.peer.connect(self.peer)
        world.every(0.02, self._tick)
        world.every(1.0, self._report)

    def _send(self, compound: bytes) -> None:
        self._up.send(len(compound) + OVERHEAD - 12, lambda: self.peer.rtcp_received(compound, self._world.time))

    def _receive_rtcp(self, compound: bytes) -> None:
        for packet in rtcp.parse(compound):
            if isinstance(packet, rtcp.SenderReport):
                self._clock[packet.ssrc] = (packet.ntp >> 16) & 0xFFFFFFFF, self._world.time

    def _receive(self, packet: bytes) -> None:
        number, _, ssrc = struct.unpack_from("!HII", packet, 2)
        payload, repair = packet[12:], ssrc == 3
        if repair:
            self.counts["repairs"] += 1
            number, payload, ssrc = int.from_bytes(payload[:2]), payload[2:], 2
        highest = self._highest.get(ssrc)
        if highest is None:
            extended = self._highest[ssrc] = self._first[ssrc] = 0x10000 + number
        else:
            distance = (number - highest) & 0xFFFF
            extended = highest + (distance if distance < 0x8000 else distance - 0x10000)
        if (ssrc, extended) in self._seen:
            self.counts["twice"] += 1
            return
        self._seen.add((ssrc, extended))
        self.counts[f"received {ssrc}"] += not repair
        missing = self._missing[ssrc]
        if missing.pop(extended, None) is not None and packet[1] != _VIDEO.rtx and highest is not None:
            self._late.append(highest - extended)
        if highest is not None and extended > highest:
            self._highest[ssrc] = extended
            missing.update(dict.fromkeys(range(highest + 1, extended), (0, -1.0)))
            self._ask(ssrc, extended - (sorted(self._late)[len(self._late) // 2] if self._late else 0))
        if ssrc == 1:
            self.heard.setdefault(int.from_bytes(payload[:4]), self._world.time)
        else:
            self._take(payload, extended)

    def _take(self, payload: bytes, extended: int) -> None:
        _, delta, frame, index, count, _ = _FRAME.unpack_from(payload)
        if frame <= self._last_frame:
            return
        _, _, got = self._frames.setdefault(frame, (not delta, count, set()))
        got.add(index)
        shown = True
        while shown:
            shown = False
            for number, (key, size, indices) in sorted(self._frames.items()):
                if len(indices) == size and (key or number == self._last_frame + 1) and number > self._last_frame:
                    self._last_frame = number
                    self.shown.append(self._world.time)
                    shown = True
            self._frames = {number: frame for number, frame in self._frames.items() if number > self._last_frame}
        if not self._frames:
            self._missing[2].clear()

    def _ask(self, ssrc: int, newest: int | None = None) -> None:
        """Request missing packets. With `newest`, request only new ones up to this number."""
        now, due, missing = self._world.time, [], self._missing[ssrc]
        for number, (tries, last) in list(missing.items()):
            if newest is not None and (tries or number >= newest):
                continue
            if tries >= RETRIES:
                del missing[number]
            elif now - last >= RETRY:
                missing[number] = tries + 1, now
                due.append(number & 0xFFFF)
        if due:
            self.counts["nacked"] += len(due)
            self._send(rtcp.receiver_report(9, ()) + rtcp.nack(9, ssrc, due))

    def _tick(self) -> None:
        for ssrc in (1, 2):
            self._ask(ssrc)
        now = self._world.time
        last = self.shown[-1] if self.shown else self._began
        patience = FRAME_PATIENCE if self.shown else FIRST_FRAME_PATIENCE
        if 2 in self._highest and now - last >= patience and now - self._asked >= FIRST_FRAME_PATIENCE:
            self._asked = now
            self.counts["plis"] += 1
            self._send(rtcp.receiver_report(9, ()) + rtcp.pli(9, 2))

    def _report(self) -> None:
        blocks = []
        for ssrc, highest in self._highest.items():
            expected, received = highest - self._first[ssrc] + 1, self.counts[f"received {ssrc}"]
            before = self._counted.get(ssrc, (0, 0))
            self._counted[ssrc] = expected, received
            new = expected - before[0]
            lost = max(0, new - (received - before[1]))
            all_lost = expected - received
            middle, time = self._clock.get(ssrc, (0, self._world.time))
            delay = round((self._world.time - time) * 65536)
            fraction = min(255, 256 * lost // new) if new > 0 else 0
            blocks.append(rtcp.ReportBlock(ssrc, fraction, all_lost, highest & 0xFFFFFFFF, 0, middle, delay))
        if blocks:
            self._send(rtcp.receiver_report(9, blocks))

    def frames_between(self, begin: float, end: float) -> int:
        return sum(begin <= time < end for time in self.shown)

    def longest_freeze(self, begin: float, end: float) -> float:
        times = [begin, *(time for time in self.shown if begin <= time < end), end]
        return max(later - earlier for earlier, later in itertools.pairwise(times))

    def concealed(self, begin: float, end: float) -> float:
        """The fraction of the audio of that time that came too late to be played."""
        numbers = range(int(begin / AUDIO_INTERVAL), int(end / AUDIO_INTERVAL))
        latest = {number: (number + 1) * AUDIO_INTERVAL + PLAYOUT for number in numbers}
        return sum(self.heard.get(number, float("inf")) > time for number, time in latest.items()) / len(numbers)


class Stage:
    """A source, of 490 kbit/s by default, and its viewers."""

    def __init__(
        self,
        *,
        seed: int = 1,
        bitrate: float = 490_000,
        fps: float = 15,
        keyframe: int = 12_000,
        up: dict[str, float] | None = None,
        **settings: Any,
    ) -> None:
        self.world = World(seed)
        self.server = _Server(self.world, settings)
        to_server = Link(self.world, **(up or {}))
        to_source = Link(self.world, **(up or {}))
        self.source = Source(self.world, self.server, bitrate, fps, keyframe, to_server, to_source)

    def view(self, down: dict[str, float] | None = None, up: dict[str, float] | None = None) -> Viewer:
        return Viewer(
            self.world, self.server, self.source, Link(self.world, **(down or {})), Link(self.world, **(up or {}))
        )
