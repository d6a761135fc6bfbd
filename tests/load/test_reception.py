"""What a viewer counts and reports, given the packets that come."""

from __future__ import annotations

import pytest

from roomfsm.load.presenting import packets_of
from roomfsm.load.reception import RTX_NUMBER, Pictures, Reception
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.peer import VP8_PAYLOAD, RtpPacket

VIDEO, AUDIO = 96, 111


def packet(number: int, *, last: bool = True, kind: int = VIDEO, payload: bytes = b"picture") -> RtpPacket:
    return RtpPacket(kind, last, number & 0xFFFF, 0, kind, payload)


def test_a_picture_is_whole_when_all_its_packets_have_come() -> None:
    pictures = Pictures()
    assert pictures.take(1, last=False, now=0.0) == ([], False)
    assert pictures.take(2, last=True, now=0.0) == ([], True)
    assert pictures.take(5, last=True, now=0.1) == ([3, 4], False)
    assert pictures.take(4, last=False, now=0.2) == ([], False)
    assert pictures.take(3, last=False, now=0.3) == ([], True)
    # A packet that comes twice changes nothing.
    assert pictures.take(5, last=True, now=0.3) == ([], False)
    assert pictures.lost == 0


def test_a_packet_that_has_not_come_after_a_second_is_lost_and_its_picture_with_it() -> None:
    pictures = Pictures()
    pictures.take(1, last=True, now=0.0)
    assert pictures.take(3, last=True, now=0.1) == ([2], False)
    assert pictures.take(4, last=True, now=0.2) == ([], False)
    # The picture of packet 3 lacks packet 2 for ever. That of packet 4 is whole.
    assert pictures.take(5, last=False, now=1.2) == ([], True)
    assert pictures.take(2, last=False, now=1.3) == ([], False)
    assert pictures.lost == 1


def test_after_a_great_gap_the_stream_is_counted_anew() -> None:
    pictures = Pictures()
    pictures.take(1, last=True, now=0.0)
    assert pictures.take(5000, last=True, now=0.1) == ([], True)


def test_gaps_are_asked_for_and_what_comes_by_rtx_fills_them_also_where_the_numbers_begin_anew() -> None:
    reception = Reception(VIDEO, 0.0)
    assert reception.empty
    assert reception.take(packet(0xFFFE), 0.0) == b""
    asked = rtcp.parse(reception.take(packet(1), 0.1))
    assert asked == [rtcp.Nack(VIDEO, (0xFFFF, 0))]
    assert reception.count == 1
    for number in (0xFFFF, 0):
        reception.take(packet(7, kind=RTX_NUMBER, payload=number.to_bytes(2) + b"picture"), 0.2)
    assert reception.count == 3
    assert not reception.empty


def test_seconds_without_a_picture_are_those_of_gaps_longer_than_a_second() -> None:
    reception = Reception(VIDEO, 10.0)
    assert reception.time_without(10.9) == 0
    assert reception.time_without(12.5) == pytest.approx(2.5)
    reception.take(packet(1), 13.0)
    reception.take(packet(2), 13.9)
    assert reception.without == pytest.approx(3.0)
    assert reception.time_without(16.0) == pytest.approx(5.1)


def test_reports_say_what_was_lost_and_when_the_last_sender_report_came() -> None:
    reception = Reception(VIDEO, 0.0)
    for number in (1, 2, 3, 5):
        reception.take(packet(number), 0.5)
    reception.take(packet(9, kind=AUDIO), 0.5)
    reception.hear(rtcp.sender_report(VIDEO, rtcp.SenderReport(VIDEO, 0x1234_5678_9ABC_DEF0, 0, 0, 0)), 0.5)
    report, _ = rtcp.parse(reception.report(1.0))
    assert isinstance(report, rtcp.ReceiverReport)
    picture, sound = report.blocks
    assert (picture.ssrc, picture.lost, picture.fraction_lost, picture.highest) == (VIDEO, 1, round(256 / 5), 5)
    assert (picture.last_report, picture.delay) == (0x5678_9ABC, 32768)
    assert (sound.ssrc, sound.lost, sound.last_report) == (AUDIO, 0, 0)


def estimate(reception: Reception, now: float) -> int:
    remb = rtcp.parse(reception.report(now))[1]
    assert isinstance(remb, rtcp.Remb)
    return remb.bitrate


def test_the_estimate_falls_below_what_comes_if_a_tenth_is_lost_and_rises_slowly_again() -> None:
    reception = Reception(VIDEO, 0.0)
    numbers = iter(range(1, 1000))
    for _ in range(100):
        reception.take(packet(next(numbers), payload=bytes(988)), 0.5)
    assert estimate(reception, 1.0) == pytest.approx(1_200_000, rel=0.01)
    for _ in range(50):
        next(numbers)
        reception.take(packet(next(numbers), payload=bytes(988)), 1.5)
    low = estimate(reception, 2.0)
    assert low == pytest.approx(0.85 * 400_000, rel=0.01)
    for _ in range(50):
        reception.take(packet(next(numbers), payload=bytes(988)), 2.5)
    assert low < estimate(reception, 3.0) < 1.1 * low


def test_a_picture_of_any_size_begins_with_the_whole_small_one() -> None:
    assert packets_of(10) == [VP8_PAYLOAD]
    large = packets_of(3000)
    assert sum(len(part) - 1 for part in large) == 3000
    assert large[0].startswith(VP8_PAYLOAD)
    assert [part[0] for part in large] == [0x10, 0, 0]
