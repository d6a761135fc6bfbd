"""Tests when a browser is asked for a keyframe, and by which message."""

import pytest

from roomfsm.mediaserver.forwarding.keyframes import KeyframeRequests
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.mediaserver.sdp.codec import Codec
from tests.mediaserver.forwarding.test_late_viewers import CLOCK, Source
from tests.mediaserver.peer import VP8_DELTA, VP8_KEYFRAME

PLI = rtcp.pli(2, 7)


def flowing(frames: int, **settings: int | float) -> Source:
    source = Source(**settings)  # type: ignore[arg-type]  # the codec is no setting
    source.send(VP8_KEYFRAME)
    for _ in range(frames - 1):
        source.send(VP8_DELTA)
    return source


def test_a_wish_waits_for_the_longer_of_the_two_intervals() -> None:
    requests = KeyframeRequests(0.3)
    requests.want()
    requests.sent(1.0)
    assert not requests.due(1.5, 0.6)
    assert requests.due(1.6, 0.6)
    assert not requests.due(1.85, 0.1)
    assert requests.due(1.95, 0.1)
    assert requests.count == 3


def test_a_source_that_sends_nothing_is_asked_every_two_seconds() -> None:
    source = flowing(1)
    keyframes = source.track.keyframes
    keyframes.request()
    assert keyframes.request_due(10.0) == PLI
    assert keyframes.request_due(10.3) == PLI
    source.track.check_flow(12.0)
    assert not source.track.stream.flowing
    assert [keyframes.request_due(now) for now in (12.2, 12.3)] == [b"", PLI]


@pytest.mark.parametrize(
    ("feedback", "asked"),
    [
        (("nack pli", "ccm fir"), [PLI, PLI]),
        (("ccm fir",), [rtcp.fir(2, 7, 1), rtcp.fir(2, 7, 2)]),
        (("nack",), [b"", b""]),
    ],
)
def test_a_keyframe_is_requested_in_the_negotiated_form(feedback: tuple[str, ...], asked: list[bytes]) -> None:
    source = Source(Codec(96, "VP8", CLOCK, "", "", feedback))
    source.send(VP8_KEYFRAME)
    keyframes = source.track.keyframes
    keyframes.request()
    assert [keyframes.request_due(now) for now in (1.0, 2.0)] == asked


@pytest.mark.parametrize(("frames", "asked"), [(64, b""), (65, PLI)])
def test_a_source_that_became_silent_is_asked_if_the_replay_would_be_long(frames: int, asked: bytes) -> None:
    keyframes = flowing(frames).track.keyframes
    assert keyframes.renewal_due(0.4) == b""
    assert keyframes.renewal_due(0.5) == asked


@pytest.mark.parametrize(("frames", "asked"), [(96, b""), (97, PLI)])
def test_a_flowing_source_is_asked_when_the_ring_is_nearly_full(frames: int, asked: bytes) -> None:
    assert flowing(frames, nack_ring=128, renewal_share=0.75).track.keyframes.renewal_due(0.4) == asked


def test_renewal_asks_once_in_six_seconds_and_not_while_a_wish_is_open() -> None:
    source = flowing(100)
    keyframes = source.track.keyframes
    assert [keyframes.renewal_due(now) for now in (1.0, 1.0, 6.9, 7.0)] == [PLI, b"", b"", PLI]
    assert keyframes.count == 2
    keyframes.request()
    assert keyframes.renewal_due(20.0) == b""
    assert keyframes.request_due(20.0) == PLI


def test_packets_of_an_earlier_stream_do_not_count() -> None:
    source = flowing(100)
    keyframes, stream = source.track.keyframes, source.track.stream
    stream.floor = 0x10000 + 100
    assert keyframes.renewal_due(5.0) == b""
