"""What a track knows of its source before the codec is agreed on, and before the first packet."""

from __future__ import annotations

import struct

import pytest

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.base.refusal import Refusal
from roomfsm.mediaserver.forwarding.track import Track
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.mediaserver.sdp.codec import Codec
from tests.mediaserver.forwarding.test_track import VP8, Recorder, vp8
from tests.mediaserver.peer import OPUS, VP8_KEYFRAME, redundant

RED_OPUS = Codec(111, "opus", 48000, "2", "", (), red=63)
SSRC = 7


def track_of(kind: MediaKind) -> Track:
    recorder = Recorder()
    return Track(kind, recorder, recorder)


@pytest.mark.parametrize("kind", [MediaKind.AUDIO, MediaKind.VIDEO])
def test_a_track_without_a_codec_keeps_nothing_and_asks_for_nothing(kind: MediaKind) -> None:
    track = track_of(kind)
    assert track.audio_level == 0
    assert track.stream.red is None
    assert track.kept([1, 2]) == []
    assert not track.stream.can_be_asked


def test_a_track_that_got_no_packet_yet_keeps_nothing() -> None:
    track = track_of(MediaKind.VIDEO)
    track.negotiated(VP8, 0)
    assert track.kept([1, 2]) == []
    track.receive(vp8(1, VP8_KEYFRAME), 1.0)
    assert track.kept([0, 1, 2]) == [vp8(1, VP8_KEYFRAME)]


def test_the_clock_of_a_source_that_reported_before_its_first_packet_is_known() -> None:
    track = track_of(MediaKind.VIDEO)
    track.negotiated(VP8, 0)
    report = rtcp.SenderReport(SSRC, 5 << 32, 90000, 0, 0)
    assert not track.stream.sender_report(report, 1.0)
    track.receive(vp8(1, VP8_KEYFRAME), 2.0)
    reception = track.reception
    assert reception is not None
    assert reception.clock(1.0) == report
    # Only reports of the SSRC that is received move it.
    assert not track.stream.sender_report(rtcp.SenderReport(SSRC + 1, 9 << 32, 0, 0, 0), 2.0)
    assert reception.clock(1.0) == report
    newer = rtcp.SenderReport(SSRC, 6 << 32, 180000, 0, 0)
    assert track.stream.sender_report(newer, 2.0)
    assert reception.clock(2.0) == newer


@pytest.mark.parametrize(
    ("payload", "refusal"),
    [
        (redundant(111, primary=OPUS), None),
        (redundant(112, primary=OPUS), Refusal.RTP_UNKNOWN_PAYLOAD),
        (b"\xef", Refusal.RTP_MALFORMED),
    ],
    ids=["of the codec", "of another payload type", "cut"],
)
def test_redundant_audio_is_taken_if_it_wraps_the_codec(payload: bytes, refusal: Refusal | None) -> None:
    track = track_of(MediaKind.AUDIO)
    track.negotiated(RED_OPUS, 0)
    assert track.receive(struct.pack("!BBHII", 0x80, 63, 1, 960, SSRC) + payload, 1.0) is refusal
    # What is not wrapped is no redundant packet, whatever it begins with.
    assert track.receive(struct.pack("!BBHII", 0x80, 111, 2, 1920, SSRC) + payload, 1.1) is None
