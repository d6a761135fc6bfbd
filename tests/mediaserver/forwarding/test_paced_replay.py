"""A long replay is sent in portions, and the packets that come meanwhile are sent behind it."""

import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.forwarding.sink import Sink
from roomfsm.mediaserver.forwarding.track import Track
from roomfsm.mediaserver.rtp import rtcp
from tests.mediaserver.forwarding.test_late_viewers import Source
from tests.mediaserver.peer import VP8_DELTA, VP8_KEYFRAME

BURST, RATE = 10_000, 100_000
"""The burst in bytes, and the rate in bytes per second."""
FRAME = VP8_DELTA + bytes(1000 - 12 - len(VP8_DELTA))
"""The packets of a long replay. Each of them has 1000 bytes."""
LONG = 100
TURN = 0.05
"""The seconds between two turns of the engine."""


class Relayed:
    """Another worker, which keeps the number, the timestamp and the time of each packet that it gets."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.got: list[tuple[int, int]] = []

    def replay(self, packets: Sequence[bytes], now: float) -> None:
        assert now == self._source.outlet.time
        for packet in packets:
            self.packet(packet)

    def packet(self, packet: bytes) -> None:
        self.got.append((int.from_bytes(packet[2:4]), int.from_bytes(packet[4:8])))

    def sender_report(self, report: rtcp.SenderReport) -> None: ...

    def bitrate(self, now: float) -> int | None: ...


def silent_source(**settings: Any) -> Source:
    """A source that has sent a keyframe and LONG frames, and now stands still."""
    source = Source(**{"replay_burst": BURST, "replay_rate": RATE, "keyframe_replay": 0.0} | settings)
    source.send(VP8_KEYFRAME)
    for _ in range(LONG):
        source.outlet.time += 1 / 30
        source.send(FRAME)
    source.wait(5)
    return source


def turn(source: Source) -> bool:
    """Let the engine have its next turn. Returns whether the track has more to do."""
    source.outlet.time += TURN
    return source.track.attend(source.outlet.time)


def numbers(source: Source, sink: Sink) -> list[int]:
    return [number for number, _ in source.got(sink)]


def test_no_more_packets_are_sent_at_once_than_the_limits_permit() -> None:
    source = silent_source()
    viewer = source.join()
    sent = [len(numbers(source, viewer))]
    while turn(source):
        sent.append(len(numbers(source, viewer)))
    assert 1 < sent[0] <= BURST / 1000 + 1
    portions = [after - before for before, after in itertools.pairwise(sent)]
    assert max(portions) <= TURN * RATE / 1000 + 1
    assert len(portions) <= (LONG * 1000 - BURST) / (TURN * RATE) + 2
    assert numbers(source, viewer) == list(range(1, LONG + 2))


def test_a_short_replay_is_sent_at_once() -> None:
    source = silent_source(replay_burst=2 * LONG * 1000)
    viewer = source.join()
    assert numbers(source, viewer) == list(range(1, LONG + 2))
    source.send(FRAME)
    assert numbers(source, viewer)[-1] == LONG + 2


def test_live_packets_follow_the_replay_and_each_is_sent_once() -> None:
    source = silent_source(small_replay=2 * LONG)
    early = source.join()
    for _ in range(5):
        turn(source)
        source.send(FRAME)
    late = source.join()
    while numbers(source, late)[-1] <= LONG + 10:
        source.send(FRAME)
        for _ in range(4):
            turn(source)
    for _ in range(3):
        source.send(FRAME)
    assert numbers(source, early) == numbers(source, late) == list(range(1, numbers(source, late)[-1] + 1))
    assert source.got(early)[-3:] == source.got(late)[-3:]
    times = [time for _, time in source.got(late)]
    assert times == sorted(times)
    # From then on both viewers get the same bytes, which are made once.
    assert early.group is late.group
    assert early.packets == late.packets == len(numbers(source, early))


def test_a_new_keyframe_ends_a_replay_of_earlier_packets() -> None:
    source = silent_source()
    viewer = source.join()
    before = numbers(source, viewer)
    source.send(VP8_KEYFRAME)
    source.send(FRAME)
    turn(source)
    assert numbers(source, viewer) == [*before, LONG + 2, LONG + 3]
    source.send(FRAME)
    assert numbers(source, viewer)[-1] == LONG + 4
    # The viewer does not need the skipped packets.
    turn(source)
    source.track.retransmit(viewer, (50, LONG + 3), source.outlet.time)
    assert numbers(source, viewer)[-2:] == [LONG + 4, LONG + 3]


def test_a_viewer_who_leaves_in_the_middle_continues_its_numbers_later() -> None:
    source, other = silent_source(), silent_source()
    other.outlet = source.outlet
    viewer = source.join()
    turn(source)
    last = source.got(viewer)[-1]
    other.track = Track(other.track.kind, source.outlet, source.outlet)
    other.track.negotiated(other.codec, 0)
    viewer.follow(other.track)
    source.outlet.time += 1
    assert not source.track.attend(source.outlet.time)
    source.outlet.time += 1
    other.send(VP8_KEYFRAME)
    number, time = source.got(viewer)[-1]
    assert number == last[0] + 1
    assert time > last[1]


def test_a_lost_packet_of_a_replay_is_sent_again_during_the_replay() -> None:
    source = silent_source(viewer_round_trip=0.0)
    viewer = source.join()
    turn(source)
    before = source.outlet.sent[viewer].copy()
    source.track.retransmit(viewer, (2, 3), source.outlet.time)
    assert source.outlet.sent[viewer] == [*before, before[1], before[2]]


def test_a_viewer_that_asks_for_a_keyframe_during_its_replay_does_not_begin_again() -> None:
    source = silent_source(replay_rate=2000)
    viewer = source.join()
    for _ in range(40):
        turn(source)
    source.track.request_keyframe_for(viewer, source.outlet.time)
    sent = numbers(source, viewer)
    assert sent == list(range(1, len(sent) + 1))


def test_many_replays_take_turns_and_leave_time_for_other_work() -> None:
    source = silent_source(replay_rate=10_000_000)
    viewers = [source.join() for _ in range(100)]
    began = sum(len(numbers(source, viewer)) for viewer in viewers)
    turn(source)
    most = sum(len(numbers(source, viewer)) for viewer in viewers) - began
    assert 0 < most <= 512
    while source.track.attend(source.outlet.time) and source.outlet.time < 100:
        source.outlet.time += TURN
    assert all(numbers(source, viewer) == list(range(1, LONG + 2)) for viewer in viewers)


def test_another_worker_gets_a_replay_no_faster_and_live_packets_behind_it() -> None:
    source = silent_source()
    relay = Relayed(source)
    source.track.admit_relay(relay)
    assert len(relay.got) <= BURST / 1000 + 1
    turn(source)
    assert len(relay.got) <= (BURST + TURN * RATE) / 1000 + 1
    source.send(FRAME)
    assert relay not in source.track.relays
    while turn(source):
        pass
    source.send(FRAME)
    assert [number for number, _ in relay.got] == list(range(1, LONG + 4))
    assert [stamp for _, stamp in relay.got] == sorted(stamp for _, stamp in relay.got)


def test_another_worker_that_leaves_during_a_replay_gets_nothing_more() -> None:
    source = silent_source()
    relay = Relayed(source)
    source.track.admit_relay(relay)
    before = len(relay.got)
    source.track.dismiss_relay(relay)
    assert not turn(source)
    source.send(FRAME)
    assert len(relay.got) == before


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"replay_burst": 2047}, "replay_burst is at least 2048, not 2047"),
        ({"replay_rate": 0}, "replay_rate is at least 1, not 0"),
    ],
)
def test_limits_that_would_permit_nothing_are_refused(settings: dict[str, Any], said: str) -> None:
    EngineSettings(replay_burst=2048, replay_rate=1)
    with pytest.raises(ValueError, match=said):
        EngineSettings(**settings)
