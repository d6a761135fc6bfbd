"""What a track sends to each sink if the order within one drain of the socket matters."""

import struct
from collections.abc import Collection, Sequence
from typing import Any

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.base.refusal import Refusal
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.forwarding.sink import Continuation, Group, Sink
from roomfsm.mediaserver.forwarding.surroundings import Attended
from roomfsm.mediaserver.forwarding.track import Track
from roomfsm.mediaserver.forwarding.viewer_path import ViewerPath
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.mediaserver.rtp.extensions import OutgoingExtensions
from roomfsm.mediaserver.sdp.codec import Codec
from tests.mediaserver.peer import VP8_DELTA, VP8_KEYFRAME

VP8 = Codec(96, "VP8", 90000, "", "", ())
REMB_VP8 = Codec(96, "VP8", 90000, "", "", ("goog-remb",))


class Recorder:
    """The engine and the peers of a track. It keeps what was sent."""

    receive_limits = send_limits = (0, 0)

    def __init__(self, **settings: Any) -> None:
        self.settings = EngineSettings(**settings)
        self.time = 0.0
        self.ssrcs = {MediaKind.AUDIO: 1, MediaKind.VIDEO: 2}
        self.repair_ssrc = 3
        self.cname = "cname"
        self.path = ViewerPath(EngineSettings())
        self.pending: list[Group] = []
        self.attention: set[Attended] = set()
        self.sent: dict[Sink, list[bytes]] = {}
        self.rtcp: list[bytes] = []
        self.speech: list[bool] = []

    def now(self) -> float:
        return self.time

    def send_packets(self, packets: list[bytes], sinks: Collection[Sink]) -> None:
        for sink in sinks:
            self.sent.setdefault(sink, []).extend(packets)

    def flush(self) -> None:
        for group in self.pending:
            packets, group.pending = group.pending, []
            group.packets += len(packets)
            octets, group.pending_octets = group.pending_octets, 0
            group.octets += octets
            self.send_packets(packets, group.sinks)
        self.pending.clear()

    def send_rtcp(self, _kind: MediaKind, compound: bytes) -> None:
        self.rtcp.append(compound)

    def receiving_changed(self, kind: MediaKind, flowing: bool) -> None: ...

    def speech_changed(self, speaks: bool) -> None:
        self.speech.append(speaks)

    def sending_changed(self, kind: MediaKind, flowing: bool) -> None: ...

    def codec_mismatched(self, reason: str) -> None: ...


def test_an_estimate_limited_only_by_the_rate_leaves_room_to_grow() -> None:
    recorder = Recorder()
    track = Track(MediaKind.VIDEO, recorder, recorder)
    track.negotiated(REMB_VP8, 0)
    sink = Sink(MediaKind.VIDEO, recorder)
    sink.codecs, sink.open = (REMB_VP8,), True
    sink.follow(track)
    payload = VP8_KEYFRAME + bytes(1000 - 12 - len(VP8_KEYFRAME))
    for number in range(500):  # 400 kbit/s for ten seconds
        now = 1 + number / 50
        header = struct.pack("!BBHII", 0x80, 96, number, 3000 * number, 7)
        assert track.receive(header + payload, now) is None
        if number % 25 == 0:
            track.report(now)
    for told, asked in ((300_000, 300_000), (450_000, 450_000), (600_000, 900_000), (900_000, 900_000)):
        recorder.path.estimated(told, 11.0)
        assert track.target_bitrate(11.0) == asked


def test_a_sink_that_joins_a_group_does_not_get_its_pending_packets() -> None:
    recorder = Recorder(small_replay=0)
    track = Track(MediaKind.VIDEO, recorder, recorder)
    track.negotiated(VP8, 0)
    first, second = Sink(MediaKind.VIDEO, recorder), Sink(MediaKind.VIDEO, recorder)
    # Both sinks had another source before, and the same offsets continue it. The second one got more of it.
    first.continuation = Continuation(10, 0, 0.0)
    second.continuation = Continuation(13, (3 * 3000 - 90000) & 0xFFFFFFFF, 0.0)
    for sink in (first, second):
        sink.codecs, sink.open = (VP8,), True

    def receive(number: int, payload: bytes, now: float) -> None:
        header = struct.pack("!BBHII", 0x80, 96, 100 + number, 3000 * number, 7)
        assert track.receive(header + payload, now) is None

    first.follow(track)
    receive(0, VP8_KEYFRAME, 1.0)
    receive(1, VP8_DELTA, 2.0)
    second.follow(track)
    receive(2, VP8_DELTA, 2.0)
    receive(3, VP8_KEYFRAME, 2.0)
    recorder.flush()
    assert first.group is second.group
    numbers = {sink: [int.from_bytes(packet[2:4]) for packet in sent] for sink, sent in recorder.sent.items()}
    assert numbers == {first: [11, 12, 13, 14], second: [14]}


def vp8(number: int, payload: bytes = VP8_DELTA) -> bytes:
    return struct.pack("!BBHII", 0x80, 96, number & 0xFFFF, 3000 * number, 7) + payload


def numbers(packets: Sequence[bytes]) -> list[int]:
    return [int.from_bytes(packet[2:4]) for packet in packets]


def viewer_of(track: Track, recorder: Recorder, codec: Codec = VP8) -> Sink:
    sink = Sink(MediaKind.VIDEO, recorder)
    sink.codecs, sink.open = (codec,), True
    sink.follow(track)
    return sink


def test_a_sink_that_begins_with_a_replay_gets_no_pending_packet_twice() -> None:
    recorder = Recorder()
    track = Track(MediaKind.VIDEO, recorder, recorder)
    track.negotiated(VP8, 0)
    first = viewer_of(track, recorder)
    for number in range(3):
        assert track.receive(vp8(number, VP8_DELTA if number else VP8_KEYFRAME), 0.0) is None
    second = viewer_of(track, recorder)
    assert track.receive(vp8(3), 0.0) is None
    recorder.flush()
    assert first.group is second.group
    assert {sink: numbers(sent) for sink, sent in recorder.sent.items()} == {
        first: [0, 1, 2, 3],
        second: [0, 1, 2, 3],
    }


def test_a_late_packet_is_taken_until_another_has_its_place_in_the_ring() -> None:
    recorder = Recorder(nack_ring=64)
    track = Track(MediaKind.VIDEO, recorder, recorder)
    track.negotiated(VP8, 0)
    for number in (0, *range(3, 67)):
        assert track.receive(vp8(number), 0.0) is None
    # Number 3 is the oldest of the 64 newest. Number 2 would have the place of 66.
    assert track.receive(vp8(2), 0.0) is Refusal.RTP_TOO_OLD
    assert track.kept([2, 66]) == [vp8(66)]
    late = Track(MediaKind.VIDEO, recorder, recorder)
    late.negotiated(VP8, 0)
    for number in (0, *range(2, 65)):
        assert late.receive(vp8(number), 0.0) is None
    assert late.receive(vp8(1), 0.0) is None
    assert late.kept([0, 1, 2, 64]) == [vp8(1), vp8(2), vp8(64)]


def test_a_repair_of_a_packet_too_old_for_the_ring_counts_for_nothing() -> None:
    recorder = Recorder(nack_ring=64)
    codec = Codec(96, "VP8", 90000, "", "", ("nack",), 97)
    track = Track(MediaKind.VIDEO, recorder, recorder)
    track.negotiated(codec, 0)
    for number in (0, *range(3, 67)):
        assert track.receive(vp8(number), 0.0) is None
    assert track.reception is not None

    def repair(number: int) -> int:
        header = struct.pack("!BBHII", 0x80, 97, number, 0, 8)
        assert track.receive_repair(header + number.to_bytes(2) + VP8_DELTA, 0.1) is None
        assert track.reception is not None
        return track.reception.repaired

    assert repair(2) == 0
    assert track.receive(vp8(68), 0.1) is None
    assert repair(67) == 1


def test_no_more_of_a_start_is_repeated_than_64_packets() -> None:
    recorder = Recorder()
    codec = Codec(96, "VP8", 90000, "", "", ("nack", "nack pli"), 97)
    track = Track(MediaKind.VIDEO, recorder, recorder)
    track.negotiated(codec, 0)
    viewer = viewer_of(track, recorder, codec)
    for number in range(100):
        assert track.receive(vp8(number, VP8_DELTA if number else VP8_KEYFRAME), 0.0) is None
    recorder.flush()
    sent = len(recorder.sent[viewer])
    for turn in range(1, 11):
        track.attend(turn / 10)
    repeated = [int.from_bytes(packet[12:14]) for packet in recorder.sent[viewer][sent:]]
    assert sorted(repeated) == sorted([*range(64)] * 2)


class Listener:
    """A relay that keeps the sender reports that it gets."""

    def __init__(self) -> None:
        self.reports: list[rtcp.SenderReport] = []

    def replay(self, packets: Sequence[bytes], now: float) -> None: ...

    def packet(self, packet: bytes) -> None: ...

    def sender_report(self, report: rtcp.SenderReport) -> None:
        self.reports.append(report)

    def bitrate(self, now: float) -> int | None: ...


def test_viewers_on_another_worker_learn_the_publishers_clock_at_once() -> None:
    recorder = Recorder()
    track = Track(MediaKind.VIDEO, recorder, recorder)
    track.negotiated(VP8, 0)
    # A sender report may come before the first packet.
    for ssrc in (6, 7):
        track.sender_report(rtcp.SenderReport(ssrc, 100 << 32, 9000, 0, 0), 0.0)
    header = struct.pack("!BBHII", 0x80, 96, 1, 9000, 7)
    assert track.receive(header + VP8_KEYFRAME, 0.0) is None
    recorder.time = 2.0
    listener = Listener()
    track.admit_relay(listener)
    assert listener.reports == [rtcp.SenderReport(7, 102 << 32, 9000 + 2 * 90_000, 0, 0)]


def test_a_packet_that_comes_after_its_repair_is_not_sent_with_a_second_send_time() -> None:
    codec = Codec(96, "VP8", 90000, "", "", ("nack",), 97)
    recorder = Recorder()
    track = Track(MediaKind.VIDEO, recorder, recorder)
    track.negotiated(codec, 0)
    viewer = Sink(MediaKind.VIDEO, recorder)
    viewer.codecs, viewer.open, viewer.extensions = (codec,), True, OutgoingExtensions(abs_send_time=3)
    viewer.follow(track)

    def header(number: int, payload_type: int = 96, ssrc: int = 7) -> bytes:
        return struct.pack("!BBHII", 0x80, payload_type, number, 3000, ssrc)

    assert track.receive(header(1) + VP8_KEYFRAME, 1.0) is None
    assert track.receive(header(3) + VP8_DELTA, 1.0) is None
    assert track.receive_repair(header(1, 97, 8) + (2).to_bytes(2) + VP8_DELTA, 1.1) is None
    assert track.receive(header(2) + VP8_DELTA, 1.2) is Refusal.RTP_DUPLICATE
    recorder.flush()
    assert [int.from_bytes(packet[2:4]) for packet in recorder.sent[viewer]] == [1, 3, 2]
    assert track.reception is not None
    assert track.reception.lost == 0


def test_a_repair_of_a_very_old_packet_does_not_restart_the_stream() -> None:
    codec = Codec(96, "VP8", 90000, "", "", ("nack",), 97)
    recorder = Recorder()
    track = Track(MediaKind.VIDEO, recorder, recorder)
    track.negotiated(codec, 0)
    for number in range(4000):
        packet = struct.pack("!BBHII", 0x80, 96, number, 3000 * number, 7) + VP8_DELTA
        assert track.receive(packet, number / 100) is None
    before = track.reception
    probe = struct.pack("!BBHII", 0x80, 97, 1, 0, 8) + (5).to_bytes(2) + VP8_DELTA
    assert track.receive_repair(probe, 40.0) is None
    assert track.reception is before


def test_too_many_sender_reports_of_a_publisher_do_not_flood_its_viewers() -> None:
    recorder = Recorder()
    track = Track(MediaKind.VIDEO, recorder, recorder)
    track.negotiated(VP8, 0)
    viewer = Sink(MediaKind.VIDEO, recorder)
    viewer.codecs, viewer.open = (VP8,), True
    viewer.follow(track)
    assert track.receive(struct.pack("!BBHII", 0x80, 96, 1, 3000, 7) + VP8_KEYFRAME, 0.0) is None
    for number in range(1000):
        track.sender_report(rtcp.SenderReport(7, number << 32, 3000, 0, 0), number / 500)
    told = [packet for one in recorder.rtcp for packet in rtcp.parse(one) if isinstance(packet, rtcp.SenderReport)]
    assert 8 <= len(told) <= 16


def test_without_keyframe_requests_losses_are_repaired_within_the_budget() -> None:
    codec = Codec(96, "VP8", 90000, "", "", ("nack",))
    recorder = Recorder()
    track = Track(MediaKind.VIDEO, recorder, recorder)
    track.negotiated(codec, 0)
    viewer = Sink(MediaKind.VIDEO, recorder)
    viewer.codecs, viewer.open = (codec,), True
    viewer.follow(track)
    for number in range(100):
        payload = VP8_DELTA + bytes(1000) if number else VP8_KEYFRAME
        header = struct.pack("!BBHII", 0x80, 96, number, 3000 * number, 7)
        assert track.receive(header + payload, number / 100) is None
    recorder.flush()
    sent, recorder.time = len(recorder.sent[viewer]), 1.0
    for attempt in range(10):
        track.retransmit(viewer, tuple(range(1, 100)), 1.0 + attempt / 100)
    assert sum(map(len, recorder.sent[viewer][sent:])) > recorder.settings.start_repair_burst / 2
