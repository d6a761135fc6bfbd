"""A viewer that comes while the source is silent, or later, gets the picture and continues to play."""

import struct
import tracemalloc
from collections.abc import Collection
from typing import Any

import pytest
import trio

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.base.refusal import Refusal
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.forwarding.admission import Admission
from roomfsm.mediaserver.forwarding.catch_up import catch_up
from roomfsm.mediaserver.forwarding.sink import Sink
from roomfsm.mediaserver.forwarding.track import Track
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.mediaserver.rtp.ring import KeptPacket
from roomfsm.mediaserver.sdp.codec import Codec
from roomfsm.mediaserver.workers.workers import open_workers
from roomfsm.peer import VP8_TYPE
from tests.mediaserver.forwarding.test_track import Recorder
from tests.mediaserver.peer import H264_KEYFRAME, VP8_DELTA, VP8_KEYFRAME, VP8_RTX_TYPE
from tests.mediaserver.stage import join, open_stage, packets, until_received

CLOCK = 90_000
VP8 = Codec(96, "VP8", CLOCK, "", "", ("nack", "nack pli"))
RTX_VP8 = Codec(96, "VP8", CLOCK, "", "", ("nack", "nack pli"), 97)
H264 = Codec(96, "H264", CLOCK, "", "", ("nack", "nack pli"))
H264_DELTA = bytes((0x41,)) + bytes(20)
PARAMETER_SETS = bytes((0x67,)) + bytes(20)
LONG = 100
"""More packets than a replay of a flowing source may have."""


class Source:
    """A track on virtual time. Its browser sends each frame in one packet."""

    def __init__(self, codec: Codec = VP8, **settings: Any) -> None:
        self.outlet = Recorder(**settings)
        self.codec = codec
        self.track = Track(MediaKind.VIDEO, self.outlet, self.outlet)
        self.track.negotiated(codec, 0)
        self._number = 0

    def wait(self, seconds: float) -> None:
        """Let time pass until then without packets. The engine looks after the track every half second."""
        end = self.outlet.time + seconds
        while True:
            self.outlet.time = min(end, self.outlet.time + 0.5)
            self.track.check_flow(self.outlet.time)
            self.track.renew(self.outlet.time)
            self.track.attend(self.outlet.time)
            if self.outlet.time >= end:
                return

    def draw(self, frames: int, rate: float) -> None:
        """Send so many frames a second, with a keyframe first and after each request, like a canvas."""
        asked = -1
        for number in range(frames):
            wanted, asked = self.keyframes_asked > asked, self.keyframes_asked
            self.send(VP8_KEYFRAME if wanted else VP8_DELTA)
            self.outlet.time += 1 / rate
            if number % round(rate / 2) == 0:
                self.wait(0.0)

    def send(self, payload: bytes, lose: bool = False) -> None:
        """Send a frame that was captured just now."""
        self._number += 1
        if not lose:
            header = struct.pack("!BBHII", 0x80, 96, self._number, round(CLOCK * (10 + self.outlet.time)), 7)
            assert self.track.receive(header + payload, self.outlet.time) is None
            self.outlet.flush()

    def join(self) -> Sink:
        sink = Sink(MediaKind.VIDEO, self.outlet)
        sink.codecs, sink.open = (self.codec,), True
        sink.follow(self.track)
        return sink

    def got(self, sink: Sink) -> list[tuple[int, float]]:
        """The number, and the timestamp in seconds of the source's clock, of each packet that a sink got."""
        found = self.outlet.sent.get(sink, [])
        return [(int.from_bytes(packet[2:4]), int.from_bytes(packet[4:8]) / CLOCK - 10) for packet in found]

    @property
    def keyframes_asked(self) -> int:
        found = (packet for compound in self.outlet.rtcp for packet in rtcp.parse(compound))
        return sum(isinstance(packet, rtcp.KeyframeRequest) for packet in found)


def test_a_replay_leaves_out_the_minutes_of_silence() -> None:
    source = Source()
    source.send(VP8_KEYFRAME)
    for _ in range(2):
        source.wait(60)
        source.send(VP8_DELTA)
    source.wait(60)
    viewer = source.join()
    assert [number for number, _ in source.got(viewer)] == [1, 2, 3]
    times = [time for _, time in source.got(viewer)]
    assert times == pytest.approx([179.748, 179.749, 179.75])
    source.wait(7)
    source.send(VP8_DELTA)
    number, time = source.got(viewer)[-1]
    assert number == 4
    assert time == pytest.approx(187)


def test_a_silent_source_is_replayed_however_much_followed_its_keyframe() -> None:
    source = Source()
    source.send(VP8_KEYFRAME)
    for _ in range(LONG):
        source.outlet.time += 1 / 30
        source.send(VP8_DELTA)
    flowing = source.join()
    assert source.got(flowing) == []
    source.wait(1)
    # The viewer asked for a keyframe, but the source became silent.
    assert [number for number, _ in source.got(flowing)] == list(range(1, LONG + 2))
    silent = source.join()
    assert len(source.got(silent)) == LONG + 1
    source.send(VP8_DELTA)
    number, time = source.got(silent)[-1]
    assert number == LONG + 2
    assert time == pytest.approx(source.outlet.time)
    assert source.got(flowing)[-1] == (number, time)


def test_a_short_replay_is_preferred_to_a_keyframe_for_everybody() -> None:
    source = Source()
    source.send(VP8_KEYFRAME)
    for _ in range(20):
        source.outlet.time += 0.4
        source.send(VP8_DELTA)
    viewer = source.join()
    assert len(source.got(viewer)) == 21
    assert source.keyframes_asked == 0


@pytest.mark.parametrize(
    ("lost", "ring"), [pytest.param(True, 1024, id="a gap"), pytest.param(False, 64, id="out of the ring")]
)
def test_an_incomplete_replay_is_not_sent_and_a_keyframe_is_asked_for(lost: bool, ring: int) -> None:
    source = Source(nack_ring=ring)
    source.send(VP8_KEYFRAME)
    source.send(VP8_DELTA, lose=lost)
    for _ in range(LONG):
        source.send(VP8_DELTA)
    source.wait(10)
    viewer = source.join()
    source.wait(10)
    assert source.got(viewer) == []
    # A silent source is asked every two seconds, here for twenty.
    assert 3 <= source.keyframes_asked <= 11
    source.send(VP8_KEYFRAME)
    assert len(source.got(viewer)) == 1


@pytest.mark.parametrize("rate", [60, 150, 300])
@pytest.mark.parametrize("frames", [1100, 2500, 5000, 9000])
def test_a_late_viewer_sees_a_source_that_moved_for_long_and_then_stands_still(rate: int, frames: int) -> None:
    """The canvas makes no keyframe while it stands still, because nobody draws on it again."""
    source = Source()
    source.draw(frames, rate)
    seconds = frames / rate
    assert source.keyframes_asked <= 1 + seconds / source.outlet.settings.renewal_interval
    source.wait(60)
    viewer = source.join()
    got = source.got(viewer)
    assert got
    assert [number for number, _ in got] == list(range(got[0][0], frames + 1))


def test_a_source_that_becomes_silent_is_asked_for_a_keyframe_for_a_short_replay() -> None:
    source = Source()
    source.draw(400, 30)
    assert source.keyframes_asked == 0
    source.wait(1)
    assert source.keyframes_asked == 1
    source.send(VP8_KEYFRAME)
    source.wait(60)
    assert source.keyframes_asked == 1
    assert [number for number, _ in source.got(source.join())] == [401]


def test_a_source_that_never_stands_still_is_asked_when_the_ring_is_nearly_full() -> None:
    source, rate, seconds = Source(), 150, 60
    source.draw(rate * seconds, rate)
    settings = source.outlet.settings
    assert 1 <= source.keyframes_asked <= rate * seconds / (settings.nack_ring * 0.8)


def test_a_viewer_beyond_the_allowance_waits_for_the_next_permitted_keyframe() -> None:
    source = Source(join_keyframe_burst=1)
    source.send(VP8_KEYFRAME)
    for _ in range(LONG):
        source.outlet.time += 1 / 30
        source.send(VP8_DELTA)
    source.join()
    source.track.attend(source.outlet.time)
    source.send(VP8_KEYFRAME)
    for _ in range(LONG):
        source.outlet.time += 0.008
        source.send(VP8_DELTA)
    asked = source.keyframes_asked
    gone, waiting = source.join(), source.join()
    gone.follow(None)
    assert source.track.attend(source.outlet.time)
    assert source.got(waiting) == []
    assert source.keyframes_asked == asked
    source.outlet.time += 0.25
    source.track.attend(source.outlet.time)
    assert source.keyframes_asked == asked + 1
    source.send(VP8_KEYFRAME)
    assert len(source.got(waiting)) == 1
    assert source.got(gone) == []


def test_a_source_that_does_not_take_requests_for_keyframes_is_not_asked() -> None:
    source = Source(Codec(96, "VP8", CLOCK, "", "", ("nack",)))
    source.draw(5000, 100)
    source.join()
    source.wait(60)
    assert source.keyframes_asked == 0
    assert not source.track.keyframes.wanted


def test_hundreds_who_join_a_silent_source_at_once_share_its_packets() -> None:
    joins, packet = 200, bytes(1000)
    source = Source()
    source.send(VP8_KEYFRAME)
    for _ in range(1000):
        source.send(VP8_DELTA + packet)
    source.wait(5)

    def forget(packets: list[bytes], sinks: Collection[Sink]) -> None: ...

    source.outlet.send_packets = forget  # type: ignore[method-assign]  # of this one
    tracemalloc.start()
    try:
        sinks = [source.join() for _ in range(joins)]
        used, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert all(sink.group for sink in sinks)
    assert used < 1_000_000
    assert most < 4_000_000


def test_packets_before_the_last_keyframe_are_kept_only_while_they_may_be_repeated() -> None:
    source = Source()
    window, ring = source.outlet.settings.repair_window, source.outlet.settings.nack_ring
    source.send(VP8_KEYFRAME)
    for _ in range(ring - 1):
        source.send(VP8_DELTA)
    everything = range(1, 2 * ring)
    assert len(source.track.kept(everything)) == ring
    source.outlet.time += 1
    source.send(VP8_KEYFRAME)
    source.send(VP8_DELTA)
    assert len(source.track.kept(everything)) == window
    for _ in range(window):
        source.send(VP8_DELTA)
    assert len(source.track.kept(everything)) == window + 2
    # If the keyframe cannot be replayed any more, and no other comes, only packets for repairs are kept.
    for _ in range(ring):
        source.send(VP8_DELTA)
    assert len(source.track.kept(range(1, 3 * ring))) == window


def test_a_number_that_is_no_longer_kept_is_not_repeated_with_another_packet() -> None:
    """Nobody can tell whether its packet came, in one stream or the other. SRTP is not safe for a second one."""
    source = Source(RTX_VP8)
    source.send(VP8_KEYFRAME)
    for _ in range(1100):
        source.send(VP8_DELTA)
    source.outlet.time += 1
    source.send(VP8_KEYFRAME)
    viewer = source.join()
    source.send(VP8_DELTA)
    before = source.got(viewer)
    again = struct.pack("!BBHII", 0x80, 96, 5, 10 * CLOCK, 7) + VP8_DELTA
    assert source.track.receive(again, source.outlet.time) is Refusal.RTP_TOO_OLD
    repair = struct.pack("!BBHII", 0x80, 97, 1, 10 * CLOCK, 8) + (5).to_bytes(2) + VP8_DELTA
    assert source.track.receive_repair(repair, source.outlet.time) is None
    source.outlet.flush()
    assert source.got(viewer) == before


def test_a_packet_that_comes_late_makes_a_replay_whole() -> None:
    source = Source()
    source.send(VP8_KEYFRAME)
    for _ in range(LONG):
        source.send(VP8_DELTA)
    header = struct.pack("!BBHII", 0x80, 96, LONG + 2, 10 * CLOCK, 7)
    source.send(VP8_DELTA, lose=True)
    source.send(VP8_DELTA)
    viewer = source.join()
    source.wait(1)
    assert source.got(viewer) == []
    assert source.track.receive(header + VP8_DELTA, source.outlet.time) is None
    source.wait(1)
    assert len(source.got(viewer)) == LONG + 3


def test_a_viewer_of_a_silent_source_that_asks_for_a_keyframe_gets_another_replay() -> None:
    source = Source()
    for payload in (VP8_KEYFRAME, VP8_DELTA):
        source.send(payload)
        source.wait(5)
    viewer = source.join()
    source.wait(3)
    for _ in range(5):
        source.track.request_keyframe_for(viewer, source.outlet.time)
    got = source.got(viewer)
    assert [number for number, _ in got] == [1, 2, 3, 4]
    times = [time for _, time in got]
    assert times == sorted(set(times))
    source.wait(3)
    source.send(VP8_DELTA)
    assert source.got(viewer)[-1][0] == 5
    assert source.got(viewer)[-1][1] > times[-1]


def test_a_replayed_packet_is_repeated_unchanged_until_it_is_forgotten() -> None:
    """SRTP must never protect another packet with the same number."""
    source = Source()
    for payload in (VP8_KEYFRAME, VP8_DELTA, VP8_DELTA):
        source.send(payload)
        source.wait(2)
    viewer = source.join()
    first = source.outlet.sent[viewer].copy()
    source.track.retransmit(viewer, (2, 3), source.outlet.time)
    assert source.outlet.sent[viewer] == [*first, *first[1:]]
    source.wait(10)
    source.track.retransmit(viewer, (2, 3), source.outlet.time)
    assert source.outlet.sent[viewer] == [*first, *first[1:]]


def test_losses_that_a_new_replay_answers_are_not_repeated_as_well() -> None:
    source = Source(viewer_round_trip=0.0)
    source.send(VP8_KEYFRAME)
    viewer = source.join()
    for _ in range(4):
        source.send(VP8_DELTA + bytes(1000))
    source.wait(2)
    path, now = source.outlet.path, source.outlet.time
    path.repairs.rate = 0.0
    # The first of the requested packets fits into the budget, but not all of them.
    assert path.repairs.spend(path.repairs.left(now) - path.kept_for_audio - 1500, now)
    source.track.retransmit(viewer, (2, 3), source.outlet.time)
    contents: dict[int, set[bytes]] = {}
    for packet in source.outlet.sent[viewer]:
        contents.setdefault(int.from_bytes(packet[2:4]), set()).add(packet)
    assert sorted(contents) == list(range(1, 11))
    assert all(len(packets) == 1 for packets in contents.values())


def test_no_replay_is_searched_for_a_viewer_that_asks_too_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = Source()
    for _ in range(3):
        source.send(VP8_KEYFRAME)
        source.wait(2)
    viewer = source.join()
    searches: list[float] = []
    replay = Admission.replay

    def counted(admission: Admission, now: float) -> Any:
        searches.append(now)
        return replay(admission, now)

    monkeypatch.setattr(Admission, "replay", counted)
    for _ in range(80):
        source.outlet.time += 0.1
        source.track.request_keyframe_for(viewer, source.outlet.time)
    settings = EngineSettings()
    assert len(searches) <= settings.viewer_keyframe_burst + 8 / settings.viewer_keyframe_interval


def test_a_replay_of_a_silent_source_counts_as_flow_for_a_moment() -> None:
    source = Source()
    source.send(VP8_KEYFRAME)
    source.wait(5)
    viewer = source.join()
    assert viewer.flowing
    source.wait(3)
    assert not viewer.flowing


@pytest.mark.parametrize("clock_rate", [90_000, 1_000])
def test_packets_of_one_frame_keep_one_timestamp_when_it_wraps(clock_rate: int) -> None:
    stamps = [2**32 - 5000, 2**32 - 5000, 2**32 - 2000, 1000, 1000]
    kept = [KeptPacket(index, stamp, 0.0, b"") for index, stamp in enumerate(stamps)]
    replayed = [packet.timestamp for packet in catch_up(kept, 0.1, 1.0, clock_rate).packets]
    step = clock_rate // 1000
    assert [(1000 - stamp) & 0xFFFFFFFF for stamp in replayed] == [2 * step, 2 * step, step, 0, 0]


async def test_a_late_viewer_of_a_silent_source_gets_everything_over_the_network() -> None:
    async with open_stage(keyframe_replay=0.0) as engine, join(engine, "sendonly") as publisher:
        publisher.client.send_rtp(VP8_KEYFRAME)
        for index in range(LONG):
            publisher.client.send_rtp(VP8_DELTA, timestamp=3000 * index)
        await until_received(publisher.peer, MediaKind.VIDEO, LONG + 1)
        async with join(engine, "recvonly", publisher.peer, video=[VP8_TYPE, VP8_RTX_TYPE]) as viewer:
            got = await packets(viewer.client, LONG + 1)
            assert [packet.payload for packet in got] == [VP8_KEYFRAME, *[VP8_DELTA] * LONG]
            # The last packets are sent again, because no later packet would show that they were lost.
            while (again := await viewer.client.receive_rtp()).payload[:2] != got[-1].sequence_number.to_bytes(2):
                assert again.payload_type == VP8_RTX_TYPE.number


async def test_a_late_viewer_on_another_worker_gets_the_silent_source_too() -> None:
    """The second viewer there gets what the first one caused to be mirrored, and both continue to play."""
    with trio.fail_after(180):
        settings = EngineSettings(host="127.0.0.1", keyframe_replay=0.0)
        async with open_workers(settings, 2) as workers, join(workers, "sendonly") as publisher:
            publisher.client.send_rtp(VP8_KEYFRAME)
            for index in range(LONG):
                publisher.client.send_rtp(VP8_DELTA, timestamp=3000 * index)
            await until_received(publisher.peer, MediaKind.VIDEO, LONG + 1)
            async with (
                join(workers, "recvonly", publisher.peer) as far,
                join(workers, "recvonly", publisher.peer),
                join(workers, "recvonly", publisher.peer) as late,
            ):
                assert [len(worker.peers) for worker in workers.workers] == [2, 2]
                for viewer in (far, late):
                    got = await packets(viewer.client, LONG + 1)
                    assert [packet.payload for packet in got] == [VP8_KEYFRAME, *[VP8_DELTA] * LONG]
                number = publisher.client.send_rtp(VP8_DELTA, timestamp=3000 * 1000)
                for viewer in (far, late):
                    assert (await viewer.client.receive_rtp()).sequence_number == number


def test_a_keyframe_begins_with_its_parameter_sets_even_if_they_come_late() -> None:
    source = Source(H264)
    source.send(H264_DELTA)
    viewer = source.join()
    source.outlet.time += 0.1
    source.send(PARAMETER_SETS, lose=True)
    source.send(H264_KEYFRAME)
    header = struct.pack("!BBHII", 0x80, 96, 2, round(10.1 * CLOCK), 7)
    assert source.track.receive(header + PARAMETER_SETS, source.outlet.time) is None
    source.outlet.flush()
    assert [number for number, _ in source.got(viewer)] == [3, 2]
    assert source.track.keyframes_seen == 1
    source.outlet.time += 1
    source.track.retransmit(viewer, (2,), source.outlet.time)
    assert [number for number, _ in source.got(viewer)] == [3, 2, 2]
    late = source.join()
    assert [number for number, _ in source.got(late)] == [2, 3]


def test_a_viewer_who_waits_for_a_late_keyframe_gets_the_packets_that_overtook_it() -> None:
    source = Source()
    source.send(VP8_DELTA)
    viewer = source.join()
    source.send(VP8_KEYFRAME, lose=True)
    source.send(VP8_DELTA)
    source.send(VP8_DELTA)
    header = struct.pack("!BBHII", 0x80, 96, 2, 10 * CLOCK, 7)
    assert source.track.receive(header + VP8_KEYFRAME, source.outlet.time) is None
    source.outlet.flush()
    assert sorted(number for number, _ in source.got(viewer)) == [2, 3, 4]


def test_a_packet_of_the_start_that_comes_late_is_repeated_without_being_asked_for() -> None:
    """A browser asks for no packet from before the first one that it got."""
    source = Source(RTX_VP8)
    source.send(VP8_KEYFRAME)
    source.send(VP8_DELTA, lose=True)
    viewer = source.join()
    source.send(VP8_KEYFRAME)
    late = struct.pack("!BBHII", 0x80, 96, 4, 10 * CLOCK, 7)
    source.send(VP8_DELTA, lose=True)
    source.send(VP8_DELTA)
    for _ in range(6):
        source.outlet.time += 0.05
        source.track.attend(source.outlet.time)
    before = len(source.got(viewer))
    assert source.track.receive(late + VP8_DELTA, source.outlet.time) is None
    source.outlet.flush()
    for _ in range(6):
        source.outlet.time += 0.05
        source.track.attend(source.outlet.time)
    again = source.outlet.sent[viewer][before + 1 :]
    assert [packet[12:14] for packet in again if packet[1] & 0x7F == RTX_VP8.rtx] == [b"\0\4"] * 2
