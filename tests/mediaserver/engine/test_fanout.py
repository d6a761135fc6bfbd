"""Tests whose packets are sent first, and that each sink gets those of its group in order."""

from collections.abc import Collection
from typing import Any

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.engine.fanout import PORTION, Fanout
from roomfsm.mediaserver.engine.udp import Burst
from roomfsm.mediaserver.forwarding.sink import Group, Sink
from roomfsm.mediaserver.forwarding.viewer_path import ViewerPath
from roomfsm.mediaserver.rtp.extensions import OutgoingExtensions
from roomfsm.mediaserver.rtp.vp8 import UNCHANGED


class Viewer:
    path = ViewerPath(EngineSettings())
    send_limits = (0, 0)

    def send_rtcp(self, kind: MediaKind, compound: bytes) -> None: ...

    def sending_changed(self, kind: MediaKind, flowing: bool) -> None: ...

    def codec_mismatched(self, reason: str) -> None: ...


class Recorder:
    """Replaces the socket, and records in order what was sent to whom."""

    def __init__(self) -> None:
        self.sent: list[tuple[Sink, bytes]] = []

    def send(self, burst: Burst, sinks: Collection[Sink]) -> None:
        self.sent += [(sink, packet) for sink in sinks for packet in burst.packets]

    def flush(self) -> None: ...

    def to(self, sink: Sink) -> list[bytes]:
        return [packet for destination, packet in self.sent if destination is sink]


def make() -> tuple[Fanout, Recorder]:
    recorder: Any = Recorder()
    return Fanout(recorder), recorder


def make_group(viewers: int) -> Group:
    group = Group(96, 0, 0, OutgoingExtensions(), UNCHANGED, 1)
    for _ in range(viewers):
        join(group)
    return group


def join(group: Group) -> Sink:
    sink = Sink(MediaKind.VIDEO, Viewer())
    group.sinks.append(sink)
    sink.joined(group, 0, 0.0)
    return sink


KEYFRAME = [b"key %d" % index for index in range(30)]


def test_a_small_burst_is_sent_at_once() -> None:
    fanout, recorder = make()
    group = make_group(100)
    fanout.add(group, [b"packet"])
    assert not fanout.work()
    assert recorder.sent == [(sink, b"packet") for sink in group.sinks]


def test_a_keyframe_to_many_viewers_is_sent_in_portions() -> None:
    fanout, recorder = make()
    group = make_group(200)
    fanout.add(group, KEYFRAME)
    portions = 0
    before = 0
    while fanout.work():
        portions += 1
        assert 0 < len(recorder.sent) - before <= PORTION + len(KEYFRAME)
        before = len(recorder.sent)
    assert portions >= 30 * 200 // (PORTION + len(KEYFRAME))
    assert all(recorder.to(sink) == KEYFRAME for sink in group.sinks)


def test_another_stream_does_not_wait_for_the_keyframe() -> None:
    fanout, recorder = make()
    video, audio = make_group(200), make_group(50)
    fanout.add(video, KEYFRAME)
    fanout.work()
    fanout.add(audio, [b"audio"])
    assert fanout.work()
    assert all(recorder.to(sink) == [b"audio"] for sink in audio.sinks)


def test_packets_after_the_keyframe_reach_every_sink_after_it() -> None:
    fanout, recorder = make()
    group, other = make_group(200), make_group(50)
    fanout.add(group, KEYFRAME)
    fanout.add(other, [b"1"])
    fanout.work()
    fanout.add(group, [b"delta"])
    fanout.add(other, [b"2"])
    while fanout.work():
        pass
    assert all(recorder.to(sink) == [*KEYFRAME, b"delta"] for sink in group.sinks)
    assert all(recorder.to(sink) == [b"1", b"2"] for sink in other.sinks)


def test_a_new_sink_gets_nothing_queued_earlier_and_a_leaving_one_nothing_more() -> None:
    fanout, recorder = make()
    group = make_group(200)
    leaving = group.sinks[-1]
    fanout.add(group, KEYFRAME)
    fanout.work()
    group.sinks.remove(leaving)
    leaving.left(group)
    late = join(group)
    while fanout.work():
        pass
    assert recorder.to(leaving) == recorder.to(late) == []


def test_a_backlog_beyond_its_bound_says_so_until_it_has_been_sent() -> None:
    fanout, _ = make()
    group = make_group(500)
    while not fanout.overfull:
        fanout.add(group, KEYFRAME)
    while fanout.work():
        pass
    assert not fanout.overfull


def test_no_more_than_a_portion_is_sent_before_others_get_their_turn() -> None:
    fanout, recorder = make()
    groups = [make_group(100) for _ in range(5)]
    for index, group in enumerate(groups):
        fanout.add(group, [b"%d" % index])
    assert len(recorder.sent) <= PORTION
    fanout.add(groups[0], [b"later"])
    while fanout.work():
        pass
    for index, group in enumerate(groups):
        expected = [b"%d" % index, *([b"later"] if index == 0 else [])]
        assert all(recorder.to(sink) == expected for sink in group.sinks)


def test_what_was_sent_at_once_is_flushed_also_if_nothing_waits() -> None:
    fanout, _ = make()
    fanout.add(make_group(1), [b"x"])
    assert not fanout.empty
    assert not fanout.work()
    assert fanout.empty
