"""The parts of the estimate: which packets feedback is about, what a queue is, what a probe shows, and pauses."""

import pytest

from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.forwarding.bandwidth import constants
from roomfsm.mediaserver.forwarding.bandwidth.delay import Delay
from roomfsm.mediaserver.forwarding.bandwidth.pauses import Pauses
from roomfsm.mediaserver.forwarding.bandwidth.probe import Probe, Verdict
from roomfsm.mediaserver.forwarding.bandwidth.sent_packets import RING, Answered, SentPackets
from roomfsm.mediaserver.rtp.transport_feedback import TransportFeedback


def take(sent: SentPackets, base: int, *ticks: int | None) -> Answered | None:
    """Feedback with a reference time of 100 s."""
    return sent.take(TransportFeedback(base, 0, 0, ticks), 100.0, None)


def send(sent: SentPackets, count: int, size: int = 1000) -> None:
    for _ in range(count):
        sent.number(size, 90.0)


# The packets that were sent


def test_feedback_says_how_long_packets_took_and_which_are_lost() -> None:
    sent = SentPackets()
    for index in range(4):
        assert sent.number(100 + index, 90 + index / 10) == index
    assert sent.octets() == 406
    answered = take(sent, 0, 0, None, 1200, 1200)
    assert answered is not None
    assert answered == pytest.approx(Answered(90.3, 100.3, 10.0, 0.1 / 3, 305, 3, 1, 0))


def test_each_packet_counts_once_and_may_come_after_it_was_reported_as_lost() -> None:
    sent = SentPackets()
    send(sent, 3)
    assert take(sent, 0, 0, None, None) is not None
    again = take(sent, 0, 4, 8, None)
    assert again is not None
    assert (again.packets, again.lost, again.late) == (1, 0, 1)
    assert take(sent, 0, 0, 0, None) is None


def test_numbers_go_on_after_65535() -> None:
    sent = SentPackets()
    send(sent, 0x10000 + 2)
    assert sent.number(1000, 90.0) == 2
    answered = take(sent, 0xFFFF, 0, 0, 0, 0)
    assert answered is not None
    assert answered.packets == 4
    assert sent.waiting_since() is None


def test_only_the_newest_packets_are_remembered() -> None:
    sent = SentPackets()
    send(sent, RING + 1)
    assert take(sent, 0, 0) is None
    oldest = take(sent, 0, 0, 0)
    assert oldest is not None
    assert oldest.packets == 1


def test_all_bytes_are_counted_once_whenever_they_are_counted() -> None:
    sent = SentPackets()
    for count in (1, 0, RING - 2, 5, RING, 3, 1):
        before = sent.octets()
        send(sent, count, size=7)
        if count == 3:
            take(sent, 3 + 2 * RING, 0, None, 0)
        assert sent.octets() == before + 7 * count


def test_what_was_not_sent_yet_is_passed_over() -> None:
    sent = SentPackets()
    send(sent, 2)
    assert take(sent, 2, 0) is None
    assert take(sent, 0xFFFF, 0) is None
    answered = take(sent, 0xFFFF, 0, 0, 0, 0)
    assert answered is not None
    assert answered.packets == 2


def test_the_first_packet_without_an_answer_is_known() -> None:
    sent = SentPackets()
    assert sent.waiting_since() is None
    for index in range(3):
        sent.number(100, 90.0 + index)
    take(sent, 0, 0, None)
    assert sent.waiting_since() == 92.0


# The queue


def sampled(*delays: float, step: float = 0.05) -> Delay:
    delay = Delay()
    for index, value in enumerate(delays):
        delay.sample(index * step, value, 0.0)
    return delay


def test_a_queue_that_grows_is_noticed_in_its_third_sample() -> None:
    assert not sampled(0, 0, 0.03, 0.06).grows
    assert sampled(0, 0, 0.03, 0.06, 0.09).grows


def test_a_large_frame_and_a_longer_way_do_not_grow() -> None:
    assert not sampled(0, 0, 0.09, 0.09, 0.08).grows
    assert not sampled(0, 0, 0.09, 0.09, 0.09).grows


def test_a_queue_that_is_forgotten_is_none() -> None:
    delay = sampled(*[0.0] * 10, *[0.09] * 10)
    assert delay.queue == pytest.approx(0.09)
    assert delay.stands(1.0) == pytest.approx(0.5)
    delay.forget(1.0)
    delay.sample(1.05, 0.09, 0.0)
    assert (delay.queue, delay.over, delay.stands(1.05)) == (0, 0, 0)


def test_the_threshold_follows_what_is_usual_within_its_range() -> None:
    least, most = constants.THRESHOLDS
    assert sampled(*[0.0] * 400).threshold == least
    slow = [index * 0.000_25 for index in range(390)]
    assert sampled(*slow).threshold > 0.05
    assert sampled(*slow).threshold <= most


# A probe


def probe(rate: float = 400_000, media: float = 200_000) -> Probe:
    return Probe(
        10.0,
        0,
        delay=sampled(0.0),
        rate=rate,
        media=media,
        others=0,
        shown=media,
        wanted=MBIT,
        rise=constants.PROBE_RISE,
    )


MBIT = 1_000_000


def test_a_probe_asks_for_what_the_media_leave() -> None:
    one = probe()
    assert one.due(10.0, 0) == 200_000 * 0.05 / 8
    assert one.due(10.05, 1250) == 400_000 * 0.05 / 8
    assert one.due(10.05, 5000) == 0


def through(capacity: float, lost: int = 0) -> Verdict | None:
    """What a probe finds that sends 400 kbit/s over a path that carries so much."""
    one = probe()
    free = 0.0
    for index in range(20):
        now = 10 + index * 0.01
        if index == 15:
            one.stop(now, 15 * 500)
        free = max(free, now) + 500 * 8 / capacity
        if 5 <= index < 5 + lost:
            one.lost(now, 1)
        else:
            one.arrived(now, free - now - 500 * 8 / capacity, 500)
        assert one.answered(10.2) == (now >= 10.15 + constants.PROBE_TAIL - 1e-9)
    return one.verdict(0.0)


def test_a_probe_shows_what_the_path_carries() -> None:
    for capacity, carried, full in ((MBIT, 400_000, False), (300_000, 300_000, True)):
        found = through(capacity)
        assert found is not None
        assert found.carried == pytest.approx(carried, rel=0.05)
        assert found.full is full


def test_a_probe_that_loses_much_has_filled_the_path() -> None:
    few = through(MBIT, constants.FEW_LOST)
    much = through(MBIT, 4)
    assert few is not None
    assert much is not None
    assert (few.full, much.full) == (False, True)
    assert much.carried < few.carried


def test_nothing_is_known_of_a_probe_without_feedback() -> None:
    one = probe()
    assert not one.answered(20.0)
    one.stop(10.15, 7500)
    assert not one.answered(10.15 + constants.PROBE_PATIENCE)
    assert one.answered(10.16 + constants.PROBE_PATIENCE)
    assert one.verdict(0.0) is None


def test_a_probe_ends_after_its_time_or_when_it_has_made_a_queue() -> None:
    one = probe()
    assert not one.must_end(10.1)
    assert one.must_end(10.15)
    one.arrived(10.01, constants.PROBE_QUEUE + 0.001, 500)
    assert one.must_end(10.05)


# Pauses


def waits(settings: EngineSettings, *happened: str) -> list[float]:
    """The pauses, if these things happen whenever a pause is over."""
    pauses, now, found = Pauses(settings, 0.0), 0.0, []
    for one in happened:
        getattr(pauses, one)(now)
        found.append(pauses.next - now)
        now = pauses.next
    return found


def test_pauses_double_up_to_the_longest() -> None:
    settings = EngineSettings(probe_pause=1.0, probe_longest_pause=4.0)
    assert waits(settings, *["failed"] * 5) == [1, 2, 4, 4, 4]
    assert waits(EngineSettings(probe_pause=2.0, probe_longest_pause=1.0), *["failed"] * 2) == [1, 1]
    assert waits(settings, "unknown", "unknown", "full", "full") == [1, 1, 1, 1]


def test_after_a_quiet_time_and_after_a_probe_that_helped_pauses_are_short_again() -> None:
    pauses = Pauses(EngineSettings(), 0.0)
    for now in (0.0, 1.0, 3.0):
        pauses.failed(now)
    pauses.succeeded(7.0, higher=True, fits=False)
    pauses.failed(7.5)
    assert pauses.next == 8.5
    pauses.failed(8.5)
    pauses.failed(8.6 + constants.QUIET)
    assert pauses.next == 9.6 + constants.QUIET


def test_a_path_that_is_full_soon_after_a_probe_was_probed_wrongly() -> None:
    pauses = Pauses(EngineSettings(), 0.0)
    pauses.succeeded(0.0, higher=True, fits=True)
    assert pauses.next == constants.NEW_LAYER
    pauses.full(1.0)
    pauses.full(2.0)
    assert pauses.next == 4.0
    pauses.full(3.9 + constants.REGRET)
    assert pauses.next == 4.9 + constants.REGRET
