"""What a viewer of a track gets for its losses, on virtual time: repairs or a keyframe."""

from typing import Any

import pytest

from roomfsm.mediaserver.forwarding.sink import Sink
from roomfsm.mediaserver.sdp.codec import Codec
from tests.mediaserver.forwarding.test_late_viewers import CLOCK, LONG, RTX_VP8, VP8, Source
from tests.mediaserver.peer import VP8_DELTA, VP8_KEYFRAME

PACKET = 12 + len(VP8_DELTA)


def viewed(codec: Any = RTX_VP8, **settings: Any) -> tuple[Source, Sink]:
    """A source that sent some frames a while ago, and a viewer that got all of them."""
    source = Source(codec, **settings)
    source.send(VP8_KEYFRAME)
    viewer = source.join()
    for _ in range(LONG):
        source.outlet.time += 1 / 30
        source.send(VP8_DELTA)
    source.track._admission.starting.clear()
    source.outlet.sent.clear()
    return source, viewer


def repeated(source: Source, viewer: Sink, *numbers: int) -> list[tuple[int, int]]:
    """Request packets. Returns the payload type and the original number of each repeated packet."""
    source.outlet.sent.clear()
    source.track.retransmit(viewer, numbers, source.outlet.time)
    return [
        (packet[1] & 0x7F, int.from_bytes(packet[12:14] if packet[1] & 0x7F == 97 else packet[2:4]))
        for packet in source.outlet.sent.get(viewer, [])
    ]


def test_repairs_in_their_own_stream_have_numbers_of_their_own() -> None:
    source, viewer = viewed()
    assert repeated(source, viewer, 50, 52) == [(97, 50), (97, 52)]
    numbers = [int.from_bytes(packet[2:4]) for packet in source.outlet.sent[viewer]]
    assert repeated(source, viewer, 54) == [(97, 54)]
    numbers += [int.from_bytes(packet[2:4]) for packet in source.outlet.sent[viewer]]
    assert numbers == [1, 2, 3]
    assert (viewer.retransmitted, viewer.repair_packets, viewer.nacks) == (3, 3, 3)
    assert viewer.repair_octets == 3 * (len(VP8_DELTA) + 2)


def test_repairs_in_the_stream_itself_count_as_sent_there() -> None:
    source, viewer = viewed(VP8)
    before = viewer.packets
    assert repeated(source, viewer, 50, 52) == [(96, 50), (96, 52)]
    assert (viewer.packets - before, viewer.retransmitted, viewer.repair_packets) == (2, 2, 0)


def test_no_packet_is_sent_again_within_a_round_trip() -> None:
    source, viewer = viewed(viewer_round_trip=0.1)
    interval = source.outlet.path.repeat_interval(source.outlet.time)
    assert repeated(source, viewer, 50) == [(97, 50)]
    source.outlet.time += interval - 0.01
    assert repeated(source, viewer, 50) == []
    source.outlet.time += 0.011
    assert repeated(source, viewer, 50) == [(97, 50)]


def test_a_packet_that_never_came_or_was_never_sent_is_not_repeated() -> None:
    source, viewer = viewed()
    assert repeated(source, viewer, LONG + 5, 60_000) == []
    viewer.follow(None)
    assert repeated(source, viewer, 50) == []
    assert viewer.retransmitted == 0


def test_the_time_at_which_a_loss_is_noticed_measures_the_path() -> None:
    source, viewer = viewed()
    path, now = source.outlet.path, source.outlet.time
    for number in (LONG - 10, LONG - 12):
        assert len(repeated(source, viewer, number)) == 1
    # The packets behind them came 10/30 s and 12/30 s ago.
    assert path.repeat_interval(now) == pytest.approx(10 / 30)


def test_beyond_the_budget_video_is_given_up_until_the_next_keyframe() -> None:
    source, viewer = viewed()
    path, now = source.outlet.path, source.outlet.time
    path.repairs.rate, path.repairs.burst = 0.0, 0.0
    path.repairs.left(now + 0.001)
    source.outlet.time += 0.01
    assert repeated(source, viewer, LONG) == []
    assert viewer.given_up == source.track.keyframes_seen == 1
    source.track.attend(source.outlet.time)
    assert source.keyframes_asked == 1
    path.repairs.rate, path.repairs.burst = 1e6, 1e6
    source.outlet.time += 1.0
    assert repeated(source, viewer, LONG) == [], "the keyframe serves all that was lost before it"
    source.send(VP8_KEYFRAME)
    source.send(VP8_DELTA)
    source.outlet.time += 1.0
    assert repeated(source, viewer, LONG, LONG + 2, LONG + 3) == [(97, LONG + 2), (97, LONG + 3)]
    assert viewer.given_up is None


def test_packets_are_repeated_in_order_as_far_as_the_budget_goes() -> None:
    # This publisher cannot be asked for a keyframe, so there is nothing to wait for.
    source, viewer = viewed(Codec(96, "VP8", CLOCK, "", "", ("nack",), 97))
    path, now = source.outlet.path, source.outlet.time
    assert path.repairs.spend(path.repairs.left(now) - path.kept_for_audio - 2.5 * PACKET, now)
    assert repeated(source, viewer, LONG - 3, LONG - 2, LONG - 1, LONG) == [(97, LONG - 3), (97, LONG - 2)]


# Keyframes for losses


def test_a_viewers_wish_for_a_keyframe_is_granted_when_the_allowance_permits() -> None:
    source, viewer = viewed(loss_keyframe_burst=1, loss_keyframe_interval=2.0)
    path, track = source.outlet.path, source.track
    track.request_keyframe_for(viewer, source.outlet.time)
    track.attend(source.outlet.time)
    assert (source.keyframes_asked, viewer.keyframe_wish) == (1, None)
    source.send(VP8_KEYFRAME)
    for _ in range(LONG):
        source.outlet.time += 0.01
        source.send(VP8_DELTA)
    track.request_keyframe_for(viewer, source.outlet.time)
    assert not track.keyframes.wanted
    assert viewer.keyframe_wish == track.keyframes_seen == 2
    for passed, wanted, wish in ((0.9, False, 2), (0.2, True, None)):
        source.outlet.time += passed
        source.send(VP8_DELTA)
        track.renew_keyframe_wish(viewer, source.outlet.time)
        assert (track.keyframes.wanted, viewer.keyframe_wish) == (wanted, wish)
    assert path.keyframes.left(source.outlet.time) < 2


def test_a_wish_is_forgotten_when_another_keyframe_has_come() -> None:
    source, viewer = viewed(loss_keyframe_burst=0, loss_keyframe_interval=2.0)
    source.track.request_keyframe_for(viewer, source.outlet.time)
    wishes = [viewer.keyframe_wish]
    source.send(VP8_KEYFRAME)
    source.track.renew_keyframe_wish(viewer, source.outlet.time)
    assert [*wishes, viewer.keyframe_wish] == [1, None]
    assert not source.track.keyframes.wanted


def test_a_viewer_that_cannot_have_the_last_keyframe_yet_gets_no_other() -> None:
    source, viewer = viewed()
    source.send(VP8_KEYFRAME)
    source.outlet.path.round_trip = 0.3
    for passed, wanted in ((0.29, False), (0.31, True)):
        source.track.request_keyframe_for(viewer, source.outlet.time + passed)
        assert source.track.keyframes.wanted is wanted


def test_a_keyframe_wished_by_a_viewers_owner_counts_as_one_for_joining() -> None:
    source, viewer = viewed(join_keyframe_burst=1, join_keyframe_interval=1000)
    waiting = source.join()
    source.track.keyframes.seen()
    source.track._admission.unasked.clear()
    source.track.keyframes.for_joins.rate = 0.0
    source.track.keyframes.for_joins._tokens = 1.0
    source.track.request_keyframe_at_start(waiting)
    assert not source.track.keyframes.wanted, "it gets one anyhow"
    for wanted in (True, False):
        source.track.request_keyframe_at_start(viewer)
        assert source.track.keyframes.wanted is wanted
        source.track.keyframes.seen()
