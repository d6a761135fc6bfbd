"""Numbers, losses and reports of one received stream, and when keyframes are requested."""

import pytest

from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.forwarding.keyframes import KeyframeRequests
from roomfsm.mediaserver.forwarding.reception import Reception
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.mediaserver.rtp.rtcp import SenderReport
from roomfsm.mediaserver.sdp.codec import Codec

VP8 = Codec(96, "VP8", 90000, "", "", ("nack",))
OPUS = Codec(111, "opus", 48000, "/2", "", ())
FIRST = 0x10000


def reception(start: int = 1000, codec: Codec = VP8) -> Reception:
    return Reception(EngineSettings(nack_tries=2, nack_delay=0, nack_retry=0.1), 5, codec, start, FIRST + start)


def receive(stream: Reception, *numbers: int, now: float = 0.0) -> list[bool]:
    return [stream.received(stream.extend(number), 0, 100, now) for number in numbers]


def test_extended_numbers_continue_when_the_numbers_wrap() -> None:
    stream = reception(0xFFFE)
    assert receive(stream, 0xFFFE, 0xFFFF, 0, 1) == [True] * 4
    assert stream.highest == FIRST + 0x10001
    assert stream.extend(0xFFFF) == FIRST + 0xFFFF
    assert stream.lost == 0


def test_packets_that_came_in_another_order_are_not_requested() -> None:
    stream = Reception(EngineSettings(nack_delay=0.01), 5, VP8, 1000, FIRST + 1000)
    receive(stream, 1000, 1002, 1004)
    assert stream.nacks_due(0.009) == []
    receive(stream, 1001, now=0.009)
    assert stream.nacks_due(0.01) == [1003]


def test_one_nack_requests_no_more_than_fits_into_a_datagram() -> None:
    stream = reception()
    receive(stream, 1000, 1401)
    assert stream.nacks_due(0.0) == list(range(1001, 1257))
    assert stream.nacks_due(0.0) == list(range(1257, 1401))
    widest = rtcp.nack(1, 2, range(0, 256 * 17, 17))
    assert len(widest) < 1200


def test_a_packet_repaired_in_another_stream_still_counts_as_lost() -> None:
    stream = reception()
    receive(stream, 1000, 1002)
    stream.repaired += 1
    receive(stream, 1001)
    assert (stream.packets, stream.lost, stream.missing) == (3, 1, {})
    assert stream.report(0.0).lost == 1


def test_a_missing_packet_is_requested_until_it_comes() -> None:
    stream = reception()
    receive(stream, 1000, 1003)
    assert stream.nacks_due(0.0) == [1001, 1002]
    assert stream.nacks_due(0.05) == []
    assert receive(stream, 1001) == [False]
    assert stream.nacks_due(0.1) == [1002]
    assert stream.nacks == 3


def test_after_nack_tries_requests_a_keyframe_is_asked_for_instead() -> None:
    stream = reception()
    receive(stream, 1000, 1002)
    assert [stream.nacks_due(now) for now in (0.0, 0.1, 0.2, 0.3)] == [[1001], [1001], [], []]
    assert stream.keyframe_wanted
    assert not stream.missing


@pytest.mark.parametrize(("now", "asked"), [(0.99, [1001]), (1.0, [])])
def test_after_the_patience_no_further_request_is_made_and_a_keyframe_is_asked_for(
    now: float, asked: list[int]
) -> None:
    settings = EngineSettings(nack_delay=0, nack_retry=0.1, nack_tries=9, nack_patience=1.0)
    stream = Reception(settings, 5, VP8, 1000, FIRST + 1000)
    receive(stream, 1000, 1002)
    assert [stream.nacks_due(at) for at in (0.0, 0.1, now)] == [[1001], [1001], asked]
    assert stream.keyframe_wanted is not bool(asked)


def test_a_packet_is_requested_twice_however_long_an_answer_takes() -> None:
    stream = Reception(EngineSettings(nack_delay=0), 5, VP8, 1000, FIRST + 1000)
    receive(stream, 1000, 1002)
    stream.round_trip = 0.6
    assert [stream.nacks_due(now) for now in (0.0, 0.91)] == [[1001], [1001]]
    assert not stream.keyframe_wanted
    assert stream.nacks_due(1.82) == []
    assert stream.keyframe_wanted


def test_given_lost_requests_at_the_start_a_picture_waits_no_longer_for_a_packet_that_never_comes() -> None:
    """The publisher answers after 40 ms, but only the fourth request for the first lost packet reached it."""
    stream = Reception(EngineSettings(nack_delay=0), 5, VP8, 1000, FIRST + 1000)

    def lose(number: int, now: float, answered: float | None = None) -> float:
        """Lose a packet that comes `answered` seconds later. Returns how long it was missing for the viewers."""
        receive(stream, number - 1, number + 1, now=now)
        for tick in range(1000):
            stream.nacks_due(now + tick / 100)
            if stream.keyframe_wanted:
                return tick / 100
            if answered is not None and tick / 100 >= answered:
                receive(stream, number, now=now + tick / 100)
                return tick / 100
        raise AssertionError("nobody does anything about it")

    assert lose(1001, 0.0, 0.52) == pytest.approx(0.52)
    assert lose(1003, 10.0, 0.04) == pytest.approx(0.04)
    assert lose(1005, 20.0) <= 0.6


def test_a_packet_is_not_requested_again_while_the_answer_may_be_under_way() -> None:
    stream = Reception(EngineSettings(nack_delay=0), 5, VP8, 1000, FIRST + 1000)
    asked = 0
    for index in range(20):
        lost, now = 1001 + 2 * index, 2.0 * index
        receive(stream, lost - 1, lost + 1, now=now)
        tries = [stream.nacks_due(now + tick / 100) for tick in range(60)].count([lost])
        receive(stream, lost, now=now + 0.6)
        asked += tries
        assert tries <= (4 if index == 0 else 1), f"round trip {stream.round_trip}"
    assert stream.round_trip == pytest.approx(0.6)
    assert asked <= 23


def test_packets_are_requested_by_the_senders_numbers() -> None:
    stream = Reception(EngineSettings(nack_delay=0), 5, VP8, 65535, FIRST + 500)
    receive(stream, 65535, 1)
    assert stream.highest == FIRST + 502
    assert stream.nacks_due(0.0) == [0]


def test_no_more_packets_are_requested_at_a_time_than_fit_into_a_datagram() -> None:
    stream = reception()
    lost = set(range(1017, 1017 + 18 * 300, 18))
    receive(stream, *(number for number in range(1000, 7000) if number not in lost))
    first, then = stream.nacks_due(0.0), stream.nacks_due(0.0)
    assert sorted(first + then) == sorted(lost)
    assert len(rtcp.nack(1, 2, first)) < 1200


@pytest.mark.parametrize(("gap", "keyframe"), [(512, False), (513, True)])
def test_after_too_great_a_gap_a_keyframe_is_asked_for(gap: int, keyframe: bool) -> None:
    stream = reception()
    receive(stream, 1000, 1001 + gap)
    assert stream.keyframe_wanted is keyframe
    assert len(stream.missing) == (0 if keyframe else gap)


def test_packets_of_a_codec_without_nack_are_not_requested() -> None:
    stream = reception(codec=OPUS)
    receive(stream, 1000, 1005)
    assert not stream.missing
    assert stream.lost == 4


@pytest.mark.parametrize(("jump", "restart"), [(2999, False), (3000, True), (-2999, False), (-3000, True)])
def test_a_great_jump_of_the_numbers_counts_as_a_restart(jump: int, restart: bool) -> None:
    stream = reception()
    receive(stream, 1000)
    assert stream.is_restart(stream.extend((1000 + jump) & 0xFFFF)) is restart


def test_a_report_counts_the_loss_since_the_last_one() -> None:
    stream = reception()
    receive(stream, 1000, 1001, 1003)
    first = stream.report(0.0)
    assert (first.fraction_lost, first.lost, first.highest) == (64, 1, 1003)
    receive(stream, 1004)
    second = stream.report(0.5)
    assert (second.fraction_lost, second.lost, second.highest) == (0, 1, 1004)


def test_a_report_names_the_last_sender_report_and_its_age() -> None:
    stream = reception()
    receive(stream, 1000)
    assert stream.report(0.0).last_report == 0
    stream.sender_report(SenderReport(5, 0x11112222_33334444, 0, 0, 0), now=10.0)
    block = stream.report(10.5)
    assert block.last_report == 0x22223333
    assert block.delay == 0x8000


def test_the_first_wish_is_due_at_once_and_the_second_after_the_interval() -> None:
    requests = KeyframeRequests(0.3)
    assert not requests.due(0.0)
    requests.want()
    assert requests.due(0.0)
    requests.seen()
    requests.want()
    assert [requests.due(now) for now in (0.1, 0.29, 0.3)] == [False, False, True]


def test_a_wish_is_repeated_until_a_keyframe_is_seen() -> None:
    requests = KeyframeRequests(0.3)
    requests.want()
    assert [requests.due(now) for now in (0.0, 0.1, 0.3, 0.6)] == [True, False, True, True]
    requests.seen()
    assert not requests.due(1.0)
    assert requests.count == 3


def test_jitter_is_smoothed_by_a_sixteenth_and_ignores_jumps_of_the_clock() -> None:
    """RFC 3550 section 6.4.1."""
    stream = reception()
    for number, (timestamp, now) in enumerate([(0, 0.0), (9000, 0.1), (18000, 0.3), (27000, 0.4)], 1000):
        stream.received(stream.extend(number), timestamp, 100, now)
    assert stream.jitter == pytest.approx(9000 / 16 * 15 / 16)
    stream.received(stream.extend(1004), 27000 + 90000, 100, 0.4)
    assert stream.jitter == pytest.approx(9000 / 16 * 15 / 16)
    stream.received(stream.extend(1005), 27000 + 90000 - 89999, 100, 0.4)
    assert stream.jitter > 5000
    assert stream.report(1.0).jitter == int(stream.jitter)


def test_octets_and_the_time_of_the_newest_packet_are_recorded() -> None:
    stream = reception()
    assert stream.received(stream.extend(1001), 18000, 70, 5.0)
    assert not stream.received(stream.extend(1000), 9000, 30, 6.0)
    assert (stream.packets, stream.octets) == (2, 100)
    assert (stream.last_time, stream.last_timestamp, stream.highest) == (5.0, 18000, FIRST + 1001)


def test_a_longer_time_until_an_answer_counts_for_an_eighth_and_a_shorter_one_at_once() -> None:
    stream = reception()
    for index, (answer, round_trip) in enumerate([(0.08, 0.08), (0.16, 0.09), (0.01, 0.01)]):
        number, now = 1000 + 2 * index, 10.0 * index
        receive(stream, number, number + 2, now=now)
        assert stream.nacks_due(now) == [number + 1]
        receive(stream, number + 1, now=now + answer)
        assert stream.round_trip == pytest.approx(round_trip)


def test_an_answer_to_one_of_several_requests_is_measured_from_the_first() -> None:
    stream = reception()
    receive(stream, 1000, 1002)
    stream.nacks_due(0.0)
    receive(stream, 1001, now=0.08)
    for now, answer, round_trip in ((10.0, 0.16, 0.09), (20.0, 0.05, 0.05)):
        start = 1000 + int(now)
        receive(stream, start, start + 2, now=now)
        stream.nacks_due(now)
        # The second request is made at the same time.
        stream.missing[FIRST + start + 1] = stream.missing[FIRST + start + 1]._replace(due=now + 0.01)
        assert stream.nacks_due(now + 0.01) == [start + 1]
        receive(stream, start + 1, now=now + answer)
        assert stream.round_trip == pytest.approx(round_trip)


def test_a_packet_that_came_before_its_request_measures_no_round_trip() -> None:
    stream = Reception(EngineSettings(nack_delay=1), 5, VP8, 1000, FIRST + 1000)
    receive(stream, 1000, 1002)
    receive(stream, 1001, now=0.5)
    assert stream.round_trip is None


@pytest.mark.parametrize(
    ("round_trip", "requests"),
    [
        (None, [0.0, 0.1, 0.25, 0.475]),
        (0.04, [0.0, 0.1, 0.2, 0.3]),
        (0.2, [0.0, 0.3, 0.6]),
        (0.8, [0.0, 1.0, 2.0]),
    ],
)
def test_a_packet_is_requested_again_when_the_answer_should_have_come(
    round_trip: float | None, requests: list[float]
) -> None:
    settings = EngineSettings(nack_delay=0, nack_retry=0.1, nack_tries=9, nack_patience=9)
    stream = Reception(settings, 5, VP8, 1000, FIRST + 1000)
    receive(stream, 1000, 1002)
    stream.round_trip = round_trip
    for now in requests:
        assert stream.nacks_due(now - 0.005) == []
        assert stream.nacks_due(now + 0.0005) == [1001]
        # The next times are counted from the real request.
        stream.missing[FIRST + 1001] = stream.missing[FIRST + 1001]._replace(
            due=stream.missing[FIRST + 1001].due - 0.0005
        )


def test_no_more_than_512_packets_count_as_missing_at_a_time() -> None:
    stream = reception()
    receive(stream, 1000, 1401)
    receive(stream, 1514)
    assert (len(stream.missing), stream.keyframe_wanted) == (512, False)
    receive(stream, 1516)
    assert (len(stream.missing), stream.keyframe_wanted) == (0, True)


def test_the_fields_of_a_report_stay_within_their_bounds() -> None:
    """RFC 3550 section 6.4.1: 8 bits, 24 bits with a sign, and 32 bits."""
    stream = Reception(EngineSettings(), 5, OPUS, 65535, FIRST + 65535)
    receive(stream, 65535)
    stream.sender_report(SenderReport(5, 0x11112222_33334444, 0, 0, 0), now=10.0)
    assert stream.report(20.0).delay == 10 * 65536
    assert stream.report(10.0 + 65535).delay == 65535 * 65536
    assert stream.report(10.0 + 66000).delay == 0xFFFFFFFF
    stream.highest += 0x900000
    block = stream.report(0.0)
    assert (block.ssrc, block.fraction_lost, block.lost) == (5, 255, 0x7FFFFF)
    assert block.highest == 65535 + 0x900000
    stream.packets += 0x1200001
    block = stream.report(0.0)
    assert (block.fraction_lost, block.lost) == (0, -0x800000)


def test_the_clock_continues_from_the_last_report() -> None:
    stream = reception()
    assert stream.clock(1.0) is None
    stream.sender_report(SenderReport(5, 0xFFFFFFFF_80000000, 0xFFFFFF00, 3, 4), now=10.0)
    clock = stream.clock(11.0)
    assert clock is not None
    assert (clock.ntp, clock.rtp) == (0x00000000_80000000, 90000 - 0x100)
    assert (clock.ssrc, clock.packets, clock.octets) == (5, 3, 4)
