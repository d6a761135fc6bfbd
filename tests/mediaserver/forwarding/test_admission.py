"""How viewers of a track begin and leave, on virtual time: their packets and the requested keyframes."""

import struct
from collections.abc import Sequence
from typing import Any

import pytest

from roomfsm.mediaserver.forwarding.catch_up import catch_up
from roomfsm.mediaserver.forwarding.sink import Sink
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.mediaserver.rtp.ring import KeptPacket
from tests.mediaserver.forwarding.test_late_viewers import CLOCK, LONG, Source
from tests.mediaserver.peer import VP8_DELTA, VP8_KEYFRAME


class Relay:
    """Another worker's mirror of a track, which keeps the packets that it gets."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []
        self.replayed: list[float] = []
        self.clocks: list[rtcp.SenderReport] = []

    def replay(self, packets: Sequence[bytes], now: float) -> None:
        self.packets += packets
        self.replayed.append(now)

    def packet(self, packet: bytes) -> None:
        self.packets.append(packet)

    def sender_report(self, report: rtcp.SenderReport) -> None:
        self.clocks.append(report)

    def bitrate(self, now: float) -> int | None:
        return None


def flowing(frames: int = LONG, **settings: Any) -> Source:
    """A source that has sent a keyframe and so many frames after it, thirty a second."""
    source = Source(**settings)
    source.send(VP8_KEYFRAME)
    for _ in range(frames):
        source.outlet.time += 1 / 30
        source.send(VP8_DELTA)
    return source


def is_sent(viewer: Sink) -> bool:
    return viewer.group is not None


def attend(source: Source) -> bool:
    return source.track.attend(source.outlet.time)


# With a replay


@pytest.mark.parametrize(("frames", "replayed"), [(63, 64), (64, 0)])
def test_a_replay_of_a_source_that_flows_has_up_to_64_packets(frames: int, replayed: int) -> None:
    source = flowing(frames)
    assert len(source.got(source.join())) == replayed


@pytest.mark.parametrize(("age", "replayed"), [(0.5, LONG + 1), (0.51, 0)])
def test_a_keyframe_of_the_last_half_second_is_replayed_however_much_followed(age: float, replayed: int) -> None:
    source = Source()
    source.send(VP8_KEYFRAME)
    for _ in range(LONG - 1):
        source.send(VP8_DELTA)
    source.outlet.time += age
    source.send(VP8_DELTA)
    assert len(source.got(source.join())) == replayed


def test_a_replay_counts_as_sent() -> None:
    source = flowing(3)
    viewer = source.join()
    assert viewer.packets == len(source.got(viewer)) == 4
    assert viewer.octets == len(VP8_KEYFRAME) + 3 * len(VP8_DELTA)


def test_viewers_who_come_within_half_a_second_get_the_same_replay() -> None:
    source = flowing(3)
    source.wait(5)
    first, second = source.join(), source.join()
    source.outlet.time += 0.5
    third = source.join()
    source.outlet.time += 0.01
    later = source.join()
    replays = source.track._admission.replays
    assert replays[first] is replays[second] is replays[third]
    assert replays[later] is not replays[first]
    source.send(VP8_DELTA)
    assert len(source.got(source.join())) == 5


def test_a_new_stream_that_begins_with_a_keyframe_can_be_replayed() -> None:
    source = flowing(3)
    source.wait(5)
    header = struct.pack("!BBHII", 0x80, 96, 30_000, 5, 8)
    assert source.track.receive(header + VP8_KEYFRAME, source.outlet.time) is None
    assert [number for number, _ in source.got(source.join())] == [5]


def test_a_new_stream_that_begins_without_a_keyframe_cannot_be_replayed() -> None:
    source = flowing(3)
    source.wait(5)
    header = struct.pack("!BBHII", 0x80, 96, 30_000, 5, 8)
    assert source.track.receive(header + VP8_DELTA, source.outlet.time) is None
    source.outlet.time += 5
    assert source.got(source.join()) == []


def test_the_flow_of_a_replay_ends_after_the_flow_timeout() -> None:
    source = flowing(3)
    source.wait(10)
    viewer = source.join()
    began = source.outlet.time
    for age, flows in ((0.0, True), (1.9, True), (2.0, False)):
        source.track.check_flow(began + age)
        assert viewer.flowing is flows


def test_a_replay_is_remembered_for_five_seconds() -> None:
    source = flowing(3)
    viewer = source.join()
    began, admission = source.outlet.time, source.track._admission
    admission.forget_replays(began + 4.9)
    assert viewer in admission.replays
    before = viewer.start
    admission.forget_replays(began + 5.0)
    assert viewer not in admission.replays
    assert viewer.start == before + 4, "what it was replayed is not repeated any more"


def test_frames_less_than_a_millisecond_apart_keep_their_distance_in_a_replay() -> None:
    times = (1000, 1010, 1010, 5000)
    kept = [KeptPacket(100 + index, time, 0.0, b"%d" % index) for index, time in enumerate(times)]
    replay = catch_up(kept, 0.25, 7.0, CLOCK)
    assert [packet.timestamp for packet in replay.packets] == [4900, 4910, 4910, 5000]
    assert replay.span == (100, 103)
    assert [replay.as_sent(packet).timestamp for packet in kept] == [4900, 4910, 4910, 5000]
    for number in (99, 104):
        outside = KeptPacket(number, 1, 0.0, b"")
        assert replay.as_sent(outside) is outside


# With the next keyframe


def test_each_viewer_that_begins_takes_one_keyframe_of_the_allowance() -> None:
    source = flowing(join_keyframe_burst=2, join_keyframe_interval=1000)
    for asked in (1, 2, 2):
        source.join()
        attend(source)
        assert source.keyframes_asked == asked
        source.send(VP8_KEYFRAME)
        for _ in range(LONG):
            source.outlet.time += 1 / 30
            source.send(VP8_DELTA)


def test_if_a_source_begins_without_a_keyframe_the_waiting_viewer_has_one_asked_for() -> None:
    source = Source()
    viewer = source.join()
    assert not attend(source), "there is nobody to ask yet"
    source.outlet.attention.clear()
    source.send(VP8_DELTA)
    assert source.track in source.outlet.attention
    assert attend(source)
    assert source.keyframes_asked == 1
    source.send(VP8_KEYFRAME)
    assert [number for number, _ in source.got(viewer)] == [2]


def test_a_waiting_viewer_begins_with_a_keyframe_that_nobody_asked_for() -> None:
    source = flowing(join_keyframe_burst=0, join_keyframe_interval=10)
    viewer = source.join()
    assert attend(source)
    source.send(VP8_KEYFRAME)
    assert len(source.got(viewer)) == 1
    source.outlet.time += 100
    assert not attend(source)
    assert source.keyframes_asked == 0


def test_packets_that_overtook_the_keyframe_are_not_lost() -> None:
    source = flowing()
    viewer = source.join()
    number = LONG + 2
    for index in (number + 1, number):
        header = struct.pack("!BBHII", 0x80, 96, index, round(CLOCK * 20) + index * 3000, 7)
        payload = VP8_KEYFRAME if index == number else VP8_DELTA
        assert source.track.receive(header + payload, source.outlet.time) is None
    source.outlet.flush()
    assert sorted(number for number, _ in source.got(viewer)) == [number, number + 1]


def test_a_paused_viewer_goes_on_with_a_replay_or_a_keyframe_for_losses() -> None:
    source = flowing(3)
    viewer = source.join()
    viewer.pause()
    viewer.go_on(source.outlet.time)
    assert is_sent(viewer)
    assert source.keyframes_asked == 0

    source = flowing()
    viewer = source.join()
    source.send(VP8_KEYFRAME)
    attend(source)
    asked, now = source.keyframes_asked, source.outlet.time
    for _ in range(LONG):
        source.outlet.time += 1 / 30
        source.send(VP8_DELTA)
    viewer.pause()
    assert not is_sent(viewer)
    for _ in range(3):
        viewer.go_on(source.outlet.time)
        attend(source)
        assert source.keyframes_asked == asked + 1, "the one that was asked for serves"
    source.send(VP8_KEYFRAME)
    assert is_sent(viewer)
    assert source.outlet.time > now


def test_a_viewer_without_an_allowance_waits_for_a_keyframe_of_the_others() -> None:
    source = flowing(loss_keyframe_burst=0, loss_keyframe_interval=1000)
    viewer = source.join()
    source.send(VP8_KEYFRAME)
    for _ in range(LONG):
        source.outlet.time += 1 / 30
        source.send(VP8_DELTA)
    viewer.pause()
    asked = source.keyframes_asked
    viewer.go_on(source.outlet.time)
    attend(source)
    assert source.keyframes_asked == asked
    assert not is_sent(viewer)
    source.send(VP8_KEYFRAME)
    assert is_sent(viewer)


# Groups


def test_a_viewer_who_leaves_gets_nothing_more_and_the_others_get_everything() -> None:
    source = flowing(3)
    goes, stays = source.join(), source.join()
    assert goes.group is stays.group is not None
    goes.follow(None)
    source.send(VP8_DELTA)
    assert [number for number, _ in source.got(goes)] == [1, 2, 3, 4]
    assert [number for number, _ in source.got(stays)] == [1, 2, 3, 4, 5]
    stays.follow(None)
    source.send(VP8_DELTA)
    assert not source.outlet.pending
    assert not source.track._groups.by_key, "nothing is rewritten for nobody"


def test_a_viewer_who_comes_back_continues_its_numbers_however_often() -> None:
    """The numbers rise by one and the timestamps with the time."""
    source = flowing(3)
    viewer = source.join()
    for _ in range(3):
        source.outlet.time += 1.0
        source.send(VP8_DELTA)
        viewer.follow(None)
        source.outlet.time += 1.0
        source.send(VP8_KEYFRAME)
        viewer.follow(source.track)
    got = source.got(viewer)
    assert [number for number, _ in got] == list(range(1, len(got) + 1))
    times = [time for _, time in got]
    assert times == sorted(times)
    assert times[-1] == pytest.approx(source.outlet.time, abs=0.01)


# Relays


def test_a_relay_gets_packets_in_the_form_in_which_they_came() -> None:
    source = flowing(3)
    source.wait(5)
    sent: list[bytes] = []
    for number, payload in ((30_000, VP8_KEYFRAME), (30_001, VP8_DELTA)):
        packet = struct.pack("!BBHII", 0x80, 96, number, 0xFFFFFFFF, 8) + payload
        assert source.track.receive(packet, source.outlet.time) is None
        sent.append(packet)
    relay = Relay()
    source.track.admit_relay(relay)
    assert relay.replayed == [source.outlet.time]
    assert [packet[4:8] for packet in relay.packets] == [packet[4:8] for packet in sent]
    assert [packet[8:] for packet in relay.packets] == [packet[8:] for packet in sent]
    source.track.dismiss_relay(relay)
    source.outlet.time += 1.0
    source.send(VP8_DELTA)
    assert len(relay.packets) == 2


def test_a_relay_of_a_flowing_source_begins_with_a_keyframe() -> None:
    source = flowing()
    relay = Relay()
    source.track.admit_relay(relay)
    attend(source)
    assert source.keyframes_asked == 1
    source.send(VP8_DELTA)
    assert relay.packets == []
    source.send(VP8_KEYFRAME)
    source.send(VP8_DELTA)
    assert [packet[12:] for packet in relay.packets] == [VP8_KEYFRAME, VP8_DELTA]
    assert relay.replayed == []
