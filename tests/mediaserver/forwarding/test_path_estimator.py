"""What a viewer's path carries: how the estimate follows it, and what that costs the sound."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.forwarding.bandwidth import constants
from roomfsm.mediaserver.forwarding.bandwidth.estimator import PathEstimator, PathTransport
from roomfsm.mediaserver.rtp.transport_feedback import TransportFeedback
from tests.examples import examples
from tests.mediaserver.forwarding.layered_path import (
    AUDIO,
    Course,
    Download,
    LayeredSender,
    needed,
    percentile,
    play,
)

MBIT = 1_000_000
seeds = pytest.mark.parametrize("seed", range(3))


def estimates(sender: LayeredSender, begin: float, end: float) -> list[int]:
    """Everything that was known in that time."""
    return [estimate for time, estimate in sender.estimates if begin <= time < end and estimate is not None]


def sound_is_undisturbed(sender: LayeredSender, begin: float, end: float, bearable: float = 0.1) -> bool:
    delays = sender.delays(begin, end)
    return sender.lost_sound(begin, end) == 0 and percentile(delays, 0.95) < bearable and max(delays) < 0.2


# A path that does not change


@seeds
@pytest.mark.parametrize("rate", [5 * MBIT, 2 * MBIT])
def test_the_best_layer_is_sent_within_five_seconds_and_stays(rate: int, seed: int) -> None:
    sender = play(Course([(0, rate)]), 30, seed)
    assert sender.reaches(2, 0) < 5
    assert sender.share(6, 30, 2) > 0.95
    assert sound_is_undisturbed(sender, 0, 29)


@seeds
@pytest.mark.parametrize(
    ("rate", "layer"), [(100_000, -1), (200_000, 0), (300_000, 0), (700_000, 1), (1_200_000, 1)]
)
def test_probes_of_a_path_that_carries_no_more_do_not_disturb_the_sound(rate: int, layer: int, seed: int) -> None:
    sender = play(Course([(0, rate)]), 40, seed)
    assert {sent for when, sent in sender.layers if when > 3} == {layer}
    assert sound_is_undisturbed(sender, 3, 39)
    assert max(estimates(sender, 3, 40)) < 1.25 * rate
    assert min(estimates(sender, 3, 40)) > 0.7 * rate
    # It goes on looking, at least every 4 s, which takes a small part of the path.
    begins = [when for when, _ in sender.padding if when > 3]
    assert max(later - earlier for earlier, later in itertools.pairwise([3, *begins, 40])) < 5.5
    assert 8 * sum(octets for when, octets in sender.padding if when > 3) / 37 < 0.1 * rate


# A path that changes


@seeds
def test_a_path_that_becomes_poor_is_noticed_at_once_and_its_queue_empties(seed: int) -> None:
    sender = play(Course([(0, 5 * MBIT), (15, 300_000)]), 25, seed)
    assert sender.falls_to(0, 15) < 1
    assert sender.queue_gone(15) < 2
    assert sender.lost_sound(17, 24) == 0
    assert max(estimates(sender, 17, 25)) < 1.25 * 300_000


@seeds
@pytest.mark.parametrize("before", [100_000, 300_000])
@pytest.mark.parametrize("after", [2 * MBIT, 5 * MBIT])
def test_a_path_that_becomes_better_is_used_within_seconds(before: int, after: int, seed: int) -> None:
    sender = play(Course([(0, before), (15, after)]), 25, seed)
    assert sender.reaches(2, 15) < 8
    assert sound_is_undisturbed(sender, 15.5, 24)


# Paths that are not full


@seeds
@pytest.mark.parametrize(
    "course",
    [
        Course([(0, 5 * MBIT)], loss=0.02),
        Course([(0, 5 * MBIT)], jitter=0.04),
        Course([(0, 5 * MBIT)], feedback_loss=0.3),
        Course([(0, 5 * MBIT)], delay=0.1),
        Course([(0, 5 * MBIT)], feedback=0.25),
    ],
    ids=["random loss", "wifi", "feedback lost", "far", "rare feedback"],
)
def test_what_is_not_a_full_path_does_not_lower_the_estimate(course: Course, seed: int) -> None:
    sender = play(course, 40, seed)
    assert sender.reaches(2, 0) < 10
    assert sender.share(10, 40, 2) > 0.9


@seeds
def test_without_padding_the_estimate_neither_falls_nor_rises_while_little_is_sent(seed: int) -> None:
    def send_little(sender: LayeredSender) -> None:
        sender.world.at(10, lambda: setattr(sender, "highest", 0))

    sender = play(Course([(0, 5 * MBIT)]), 40, seed, send_little)
    (before, *_), (*_, after) = estimates(sender, 10, 10.1), estimates(sender, 39, 40)
    assert sender.layers[-1][1] == 0
    assert before == after > needed(2)
    assert not [when for when, _ in sender.padding if when > 11]


@seeds
def test_a_longer_way_is_not_a_queue_for_long(seed: int) -> None:
    def go_far(sender: LayeredSender) -> None:
        sender.world.at(15, lambda: setattr(sender.down, "delay", 0.1))

    sender = play(Course([(0, 5 * MBIT)]), 30, seed, go_far)
    assert min(estimates(sender, 15, 30)) > needed(1)
    assert sender.share(20, 30, 2) == 1


# Feedback that does not come


@seeds
def test_feedback_that_comes_three_seconds_late_changes_nothing(seed: int) -> None:
    def delay_feedback(sender: LayeredSender) -> None:
        sender.world.at(10, lambda: setattr(sender.up, "delay", 3.0))
        sender.world.at(20, lambda: setattr(sender.up, "delay", 0.02))

    sender = play(Course([(0, 5 * MBIT)]), 25, seed, delay_feedback)
    assert sender.share(5, 25, 2) == 1


def test_the_estimate_is_unknown_without_feedback_and_known_again_after_it() -> None:
    sender = play(Course([(0, 5 * MBIT)]), 25, prepare=lambda sender: sender.up.outage(10, 8))
    life = EngineSettings().path_estimate_life
    unknown = [time for time, estimate in sender.estimates if time > 5 and estimate is None]
    assert min(unknown) == pytest.approx(10 + life, abs=0.2)
    assert max(unknown) == pytest.approx(18.2, abs=0.2)
    assert sender.estimates[-1][1] is not None


def test_an_outage_of_a_second_is_not_a_full_path() -> None:
    sender = play(Course([(0, 5 * MBIT)]), 20, prepare=lambda sender: sender.down.outage(10, 1))
    assert sender.share(5, 20, 2) == 1


# Others, and ourselves


@seeds
@pytest.mark.parametrize("rate", [2 * MBIT, 5 * MBIT])
def test_after_a_pause_of_ours_the_path_is_not_underrated(rate: int, seed: int) -> None:
    """What has waited is sent at once, and may fill the path."""

    def pause(sender: LayeredSender) -> None:
        sender.world.at(15, lambda: setattr(sender, "stalled_until", 16.0))

    sender = play(Course([(0, rate)]), 30, seed, pause)
    assert min(estimates(sender, 15, 30)) > 0.4 * min(rate, needed(2))
    assert sender.reaches(2, 20) < 5


@seeds
def test_beside_a_download_the_picture_stays(seed: int) -> None:
    def download(sender: LayeredSender) -> None:
        Download(sender.world, sender.down, 10, 30)

    sender = play(Course([(0, 4 * MBIT)]), 40, seed, download)
    assert sender.share(14, 30, 0) > 0.7
    assert sender.lost_sound(10, 30) < 0.03
    assert sender.reaches(2, 30) < 8


@seeds
def test_beside_a_stream_that_does_not_give_way_the_rest_is_used(seed: int) -> None:
    def fill(sender: LayeredSender) -> None:
        def send() -> None:
            if 10 <= sender.world.time < 30:
                sender.down.send(1200, lambda: None)

        sender.world.every(1200 * 8 / MBIT, send)

    sender = play(Course([(0, 2 * MBIT)]), 40, seed, fill)
    assert sender.falls_to(1, 10) < 1
    assert sender.share(12, 30, 1) > 0.95
    assert sound_is_undisturbed(sender, 13, 30)
    assert sender.reaches(2, 30) < 8


# Probes


def sending(estimator: PathTransport, begin: float, seconds: float, octets: int = 200) -> float:
    """Send a packet every 10 ms, which takes 20 ms, with feedback every 50 ms. Returns the time at its end."""
    now = begin
    for _ in range(round(seconds / 0.05)):
        times = [now + index * 0.01 for index in range(5)]
        numbers = [estimator.number(octets, time) for time in times]
        now += 0.05
        estimator.feedback(report(numbers[0], [time + 0.02 for time in times]), now)
    return now


def report(base: int, arrivals: list[float | None]) -> TransportFeedback:
    return TransportFeedback(base, 0, 0, [None if time is None else round(time * 4000) for time in arrivals])


def test_nothing_is_known_and_nothing_is_probed_before_there_is_feedback() -> None:
    estimator = PathEstimator(EngineSettings()).open_transport()
    assert [estimator.number(100, 1.0) for _ in range(3)] == [0, 1, 2]
    assert estimator.bitrate(1.0) is None
    assert estimator.probe(1.0, MBIT) == 0


def test_a_probe_sends_a_bounded_number_of_bytes_even_if_nothing_is_ever_heard_of_it() -> None:
    estimator = PathEstimator(EngineSettings()).open_transport()
    now = sending(estimator, 1.0, 2.0)
    arriving = 5 * 200 * 8 / 0.05
    asked = []
    for step in range(10):
        asked.append(estimator.probe(now + step * 0.05, MBIT))
        if asked[-1]:
            estimator.number(asked[-1], now + step * 0.05)
    # Nothing else is sent, so the probe replaces the media as well. Then small packets show the queue.
    most = arriving * constants.PROBE_RATE * (constants.PROBE_TIME + constants.PROBE_STEP) / 8
    assert 0 < sum(asked[:4]) <= most
    assert set(asked[4:]) == {constants.PROBE_MARK}


def test_nothing_is_probed_if_the_wanted_bitrate_fits() -> None:
    estimator = PathEstimator(EngineSettings()).open_transport()
    now = sending(estimator, 1.0, 2.0)
    known = estimator.bitrate(now)
    assert known is not None
    assert estimator.probe(now, known) == 0
    assert estimator.probe(now, known + 1) > 0


def test_the_estimate_has_a_floor() -> None:
    estimator = PathEstimator(EngineSettings(min_path_estimate=300_000)).open_transport()
    now = sending(estimator, 1.0, 2.0)
    assert estimator.bitrate(now) == 300_000


def test_while_nothing_is_sent_the_estimate_stays_and_without_answers_it_ends() -> None:
    settings = EngineSettings()
    estimator = PathEstimator(settings).open_transport()
    now = sending(estimator, 1.0, 2.0)
    assert estimator.bitrate(now + 1000) == estimator.bitrate(now)
    estimator.number(100, now + 1000)
    assert estimator.bitrate(now + 1000 + settings.path_estimate_life) is not None
    assert estimator.bitrate(now + 1000.01 + settings.path_estimate_life) is None


# Viewers who lie


def test_whoever_says_that_everything_comes_at_once_gets_no_higher_estimate_than_was_sent() -> None:
    estimator = PathEstimator(EngineSettings()).open_transport()
    sent, now = 0, 1.0
    for step in range(1200):
        base = estimator.number(1000, now)
        padding = estimator.probe(now, 10 * MBIT)
        if padding:
            estimator.number(padding, now)
        sent += 1000 + padding
        now += 0.05
        estimator.feedback(TransportFeedback(base, 0, step & 0xFF, [0, 0]), now)
    known = estimator.bitrate(now)
    assert known is not None
    assert known <= 10 * MBIT * 1.2


@examples(60)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 30),
            st.integers(0, 0xFFFF),
            st.integers(0, 0xFFFFFF),
            st.lists(st.none() | st.integers(-(1 << 28), 1 << 28), max_size=60),
            st.floats(0, 10),
            st.integers(0, 1 << 40),
        ),
        max_size=40,
    )
)
def test_no_feedback_breaks_the_estimate(
    steps: list[tuple[int, int, int, list[int | None], float, int]],
) -> None:
    settings = EngineSettings()
    estimator = PathEstimator(settings).open_transport()
    now = 100.0
    for count, base, reference, times, pause, wanted in steps:
        for _ in range(count):
            estimator.number(1200, now)
        # Half of the feedback is about packets that were sent.
        near = estimator.number(1200, now) - base % 64 & 0xFFFF if base & 1 else base
        estimator.feedback(TransportFeedback(near, reference, 0, times), now + 0.02)
        now += pause
        known = estimator.bitrate(now)
        assert known is None or settings.min_path_estimate <= known <= constants.MAX_BITRATE
        assert 0 <= estimator.probe(now, wanted) <= constants.MAX_BITRATE


def test_numbers_that_were_never_sent_are_passed_over() -> None:
    estimator = PathEstimator(EngineSettings()).open_transport()
    now = sending(estimator, 1.0, 2.0)
    known = estimator.bitrate(now)
    for base in (0, 300, 30_000, 65_000):
        estimator.feedback(report(base, [now + index / 1000 for index in range(60)]), now)
    assert estimator.bitrate(now) == known


def test_sound_alone_is_enough_to_begin_with() -> None:
    """Without a picture, a probe begins at what sound takes."""
    sender = play(Course([(0, 5 * MBIT)]), 5)
    first = estimates(sender, 0, 5)[0]
    assert AUDIO < first < needed(1)


# Rules, one at a time


class Steady:
    """A sender of evenly spaced packets of 500 bytes, with feedback every 50 ms."""

    def __init__(self, reference: int = 0) -> None:
        self.estimator = PathEstimator(EngineSettings()).open_transport()
        self.now = 1.0
        self._reference = reference

    def send(
        self, seconds: float, bitrate: float, *, took: float = 0.02, lost_each: int = 0, heard: bool = True
    ) -> None:
        """`lost_each`: one of so many packets is lost."""
        spacing = 500 * 8 / bitrate
        for _ in range(round(seconds / 0.05)):
            times = [self.now + index * spacing for index in range(round(0.05 / spacing))]
            numbers = [self.estimator.number(500, time) for time in times]
            self.now += 0.05
            if not heard:
                continue
            arrivals = [
                None if lost_each and number % lost_each == 0 else round((time + took) * 4000)
                for number, time in zip(numbers, times, strict=True)
            ]
            ticks = int(self.now * 4000) // 256  # Units of the reference time.
            told = [None if time is None else time - ticks * 256 for time in arrivals]
            reference = self._reference + ticks & 0xFFFFFF
            self.estimator.feedback(TransportFeedback(numbers[0], reference, 0, told), self.now)

    @property
    def known(self) -> int:
        known = self.estimator.bitrate(self.now)
        assert known is not None
        return known


def test_the_estimate_is_what_arrives_at_first_and_whenever_more_arrives() -> None:
    steady = Steady()
    steady.send(1, 400_000)
    assert steady.known == pytest.approx(400_000, rel=0.12)
    steady.send(1, MBIT)
    assert steady.known == pytest.approx(MBIT, rel=0.12)


def test_the_estimate_grows_slowly_while_nearly_as_much_is_sent_and_not_otherwise() -> None:
    steady = Steady()
    steady.send(1, MBIT)
    steady.send(1, 0.8 * MBIT)
    high = steady.known
    steady.send(5, 0.8 * MBIT)
    assert steady.known == high
    steady.send(5, MBIT)
    assert MBIT < steady.known <= MBIT * constants.BEYOND * 1.001


@pytest.mark.parametrize(("lost_each", "falls"), [(50, False), (11, False), (5, True)])
def test_more_than_a_tenth_of_lost_packets_lowers_the_estimate_but_not_below_what_arrives(
    lost_each: int, falls: bool
) -> None:
    steady = Steady()
    steady.send(1, 2 * MBIT)
    high = steady.known
    steady.send(20, 400_000, lost_each=lost_each)
    if falls:
        assert 0.8 * 320_000 < steady.known < 500_000
    else:
        assert steady.known == high


def test_little_that_is_sent_lowers_the_estimate_by_half_at_most() -> None:
    """A delay that grows once is no reason to believe that the path carries no more than that little."""
    steady = Steady()
    steady.send(1, 2 * MBIT)
    steady.send(1, 200_000)
    high = steady.known
    for step in range(5):
        steady.send(0.05, 200_000, took=0.02 + 0.02 * step)
    assert 0.5 * high <= steady.known < high


def test_a_queue_that_stands_is_emptied_once_and_then_counts_as_the_path() -> None:
    steady = Steady()
    steady.send(2, MBIT)
    high = steady.known
    steady.send(1.3, MBIT, took=0.08)
    assert steady.known == high
    steady.send(0.5, MBIT, took=0.08)
    assert steady.known == pytest.approx(constants.LOWER * MBIT, rel=0.05)
    steady.send(3, MBIT, took=0.08)
    assert steady.known > 0.95 * MBIT


def test_the_receivers_time_may_go_on_from_zero() -> None:
    wrapping, steady = Steady(reference=0xFFFFFF - 40), Steady()
    for one in (wrapping, steady):
        one.send(5, MBIT)
        for step in range(8):
            one.send(0.05, MBIT, took=0.02 + 0.02 * step)
    assert wrapping.known == steady.known < 0.8 * MBIT


def test_after_a_time_without_feedback_what_was_known_before_does_not_count() -> None:
    steady = Steady()
    steady.send(1, 2 * MBIT)
    steady.send(EngineSettings().path_estimate_life + 0.5, 200_000, heard=False)
    assert steady.estimator.bitrate(steady.now) is None
    steady.send(1, 200_000)
    assert steady.known == pytest.approx(200_000, rel=0.25)


@seeds
@pytest.mark.parametrize(("rate", "bearable"), [(500_000, 8), (1_650_000, 4)])
def test_a_layer_that_nearly_fits_does_not_come_and_go(rate: int, bearable: int, seed: int) -> None:
    sender = play(Course([(0, rate)]), 40, seed)
    assert sender.changes(5, 40) <= bearable
    assert sender.lost_sound(3, 39) == 0
    assert percentile(sender.delays(3, 39), 0.95) < 0.1
