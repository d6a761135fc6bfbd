"""RTP packets of any numbers through a track to its sinks: no number is given to two packets.

With the same number for two different packets, SRTP would no longer be safe.
"""

from __future__ import annotations

from collections.abc import Collection

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.forwarding.sink import Group, Sink
from roomfsm.mediaserver.forwarding.surroundings import Attended
from roomfsm.mediaserver.forwarding.track import Track
from roomfsm.mediaserver.forwarding.viewer_path import ViewerPath
from roomfsm.mediaserver.sdp.codec import Codec

VP8 = Codec(96, "VP8", 90000, "", "", ("nack", "nack pli", "goog-remb"))
MAX_PACKETS = 20
"""So few that their numbers cannot come round: 20 jumps of less than 3000."""


class Outlet:
    """Keeps what each sink is sent by its sequence number."""

    def __init__(self) -> None:
        self.settings = EngineSettings()
        self.ssrcs = {MediaKind.AUDIO: 1, MediaKind.VIDEO: 2}
        self.repair_ssrc = 3
        self.cname = "cname"
        self.pending: list[Group] = []
        self.attention: set[Attended] = set()
        self.sent: dict[tuple[Sink, bytes], bytes] = {}
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def send_packets(self, packets: list[bytes], sinks: Collection[Sink]) -> None:
        for sink in sinks:
            for packet in packets:
                assert self.sent.setdefault((sink, packet[2:4]), packet) == packet

    def flush(self) -> None:
        for group in self.pending:
            packets, group.pending = group.pending, []
            self.send_packets(packets, group.sinks)
        self.pending.clear()


class Browser:
    """Publisher and viewer: counts the RTCP that it is sent."""

    receive_limits = send_limits = (0, 0)

    def __init__(self) -> None:
        self.rtcp = 0
        self.path = ViewerPath(EngineSettings())

    def send_rtcp(self, kind: MediaKind, compound: bytes) -> None:
        assert len(compound) % 4 == 0
        self.rtcp += 1

    def receiving_changed(self, kind: MediaKind, flowing: bool) -> None: ...

    def speech_changed(self, speaks: bool) -> None: ...

    def sending_changed(self, kind: MediaKind, flowing: bool) -> None: ...

    def codec_mismatched(self, reason: str) -> None: ...


def open_sink(browser: Browser) -> Sink:
    sink = Sink(MediaKind.VIDEO, browser)
    sink.codecs, sink.open = (VP8,), True
    return sink


def forward(data: bytes) -> None:
    """`data`: steps of 12 bytes. The first says what is done (a packet of one of two tracks comes, the sink moves
    between the tracks, a NACK or a keyframe request comes), the others are the numbers in the packet's header and
    its payload."""
    outlet, browser = Outlet(), Browser()
    tracks = [Track(MediaKind.VIDEO, outlet, browser) for _ in range(2)]
    for track in tracks:
        track.negotiated(VP8, 0)
    moving, staying = open_sink(browser), open_sink(browser)
    moving.follow(tracks[0])
    staying.follow(tracks[0])
    seen: set[tuple[Track, int, bytes]] = set()
    now = 0.0
    for start in range(0, min(len(data), 12 * MAX_PACKETS), 12):
        step = data[start : start + 12].ljust(12, b"\0")
        action, now = step[0], now + step[1] / 64
        outlet.time = now
        track = tracks[action & 1]
        if action < 200:
            # SRTP has let a number of an SSRC through once.
            numbers = (track, step[8] & 1, step[2:4])
            if numbers in seen:
                continue
            seen.add(numbers)
            header = bytes((0x80, 96)) + step[2:8] + (step[8] & 1).to_bytes(4)
            track.receive(header + bytes((0x10, step[9])) + start.to_bytes(2), now)
        elif action < 220:
            moving.follow(track)
        elif action < 230:
            moving.follow(None)
        elif action < 245 and moving.source is not None:
            moving.source.retransmit(moving, (int.from_bytes(step[2:4]), int.from_bytes(step[4:6])), now)
        elif action < 250 and moving.source is not None:
            moving.source.request_keyframe_for(moving, now)
        else:
            track.check_flow(now)
            track.report(now)
        outlet.flush()
        track.attend(now)
    for track in tracks:
        track.close()
    assert not tracks[0].sinks
