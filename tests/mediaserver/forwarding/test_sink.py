"""What a sink counts, and when it gets nothing: without a source, while it is paused, and between two groups."""

from __future__ import annotations

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.forwarding.sink import Sink
from roomfsm.mediaserver.forwarding.track import Track
from tests.mediaserver.forwarding.test_track import VP8, Recorder, viewer_of, vp8
from tests.mediaserver.peer import VP8_DELTA, VP8_KEYFRAME


def flowing() -> tuple[Recorder, Track, Sink]:
    """A viewer that has got a keyframe."""
    recorder = Recorder()
    track = Track(MediaKind.VIDEO, recorder, recorder)
    track.negotiated(VP8, 0)
    sink = viewer_of(track, recorder)
    track.receive(vp8(1, VP8_KEYFRAME), 1.0)
    recorder.flush()
    assert sink.group is not None
    return recorder, track, sink


def test_a_sink_without_a_source_gets_nothing() -> None:
    _, track, sink = flowing()
    sink.follow(None)
    sink.refresh()
    assert (sink.group, sink.source) == (None, None)
    assert sink not in track.sinks


def test_a_paused_sink_is_admitted_only_when_it_goes_on() -> None:
    recorder, track, sink = flowing()
    sink.pause()
    sink.refresh()
    track.receive(vp8(2, VP8_KEYFRAME), 2.0)
    recorder.flush()
    assert len(recorder.sent[sink]) == 1
    sink.go_on(3.0)
    sink.refresh()
    track.receive(vp8(3, VP8_KEYFRAME), 4.0)
    recorder.flush()
    assert len(recorder.sent[sink]) > 1
    assert recorder.sent[sink][-1].endswith(VP8_KEYFRAME)


def test_what_was_sent_stays_counted_when_the_sink_has_left_its_group() -> None:
    recorder, track, sink = flowing()
    track.receive(vp8(2, VP8_DELTA), 1.1)
    recorder.flush()
    counted = (2, len(VP8_KEYFRAME) + len(VP8_DELTA))
    assert (sink.packets, sink.octets) == counted
    sink.pause()
    assert (sink.packets, sink.octets) == counted


def test_numbers_that_were_repaired_for_one_source_are_not_taken_for_those_of_the_next() -> None:
    recorder, track, sink = flowing()
    assert track.reception is not None
    repaired = track.reception.highest
    sink.repaired.sent(repaired, 1.0)
    assert repaired in sink.repaired
    other = Track(MediaKind.VIDEO, recorder, recorder)
    other.negotiated(VP8, 0)
    sink.follow(other)
    other.receive(vp8(1, VP8_KEYFRAME), 2.0)
    assert sink.group is not None
    assert repaired not in sink.repaired


def test_the_bitrate_of_a_path_of_which_nothing_was_said_is_not_known() -> None:
    _, _, sink = flowing()
    assert sink.bitrate(1.0) is None
