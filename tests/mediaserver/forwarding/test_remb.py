"""Given what viewers can receive and a browser sends, tests the requested bitrate at each rule's edge."""

import pytest

from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.forwarding.remb import RembTarget

SETTINGS = EngineSettings(min_receive_bitrate=150_000, max_receive_bitrate=10_000_000)
FREE = (0, 0)


def sending(*rates: int) -> RembTarget:
    """A target after so many bit/s came, second by second."""
    target = RembTarget()
    octets = 0
    target.measure(octets, 1.0)
    for second, rate in enumerate(rates, 2):
        octets += rate // 8
        target.measure(octets, float(second))
    return target


def asked(target: RembTarget, *estimates: int | None, limits: tuple[int, int] = FREE) -> int:
    return target.bitrate(estimates, SETTINGS, limits)


@pytest.mark.parametrize(
    ("rates", "rate"),
    [
        ((800_000,), 800_000),
        ((800_000, 400_000), 600_000),
        ((800_000, 400_000, 0), 300_000),
        ((0, 800_000), 800_000),
    ],
)
def test_the_rate_is_smoothed_by_half_after_the_first_measurement(rates: tuple[int, ...], rate: int) -> None:
    assert sending(*rates)._rate == pytest.approx(rate)


def test_octets_before_the_first_report_or_of_a_new_stream_give_no_rate() -> None:
    target = RembTarget()
    target.measure(1_000_000, 5.0)
    assert target._rate == 0.0
    target.measure(1_100_000, 5.0)
    assert target._rate == 0.0, "no time has passed"
    target.measure(0, 6.0)
    assert target._rate == 0.0
    target.measure(100_000, 7.0)
    assert target._rate == 800_000


@pytest.mark.parametrize(
    ("estimates", "rate"),
    [
        ((700_000, 1_000_000), 700_000),
        ((699_999, 1_000_000), 1_000_000),
        ((800_000, 900_000), 800_000),
        ((800_000, 900_000, 1_000_000), 900_000),
        ((*range(800_000, 820_000, 1000),), 802_000),
        ((*range(800_000, 819_000, 1000),), 801_000),
        ((100_000,), 150_000),
        ((150_001,), 150_001),
        ((20_000_000,), 10_000_000),
        ((), 10_000_000),
    ],
)
def test_nearly_all_viewers_can_receive_the_requested_bitrate(estimates: tuple[int, ...], rate: int) -> None:
    assert asked(RembTarget(), *estimates) == rate


@pytest.mark.parametrize(
    ("estimate", "rate"),
    [
        (1_200_000, 1_200_000),
        (1_200_002, 1_800_003),
        (1_999_998, 2_999_997),
        (2_000_000, 2_000_000),
        (900_000, 900_000),
    ],
)
def test_an_estimate_limited_only_by_the_rate_counts_one_and_a_half_times(estimate: int, rate: int) -> None:
    assert asked(sending(1_000_000), estimate) == rate


@pytest.mark.parametrize(
    ("limits", "rate"),
    [((0, 0), 500_000), ((600_000, 0), 600_000), ((0, 400_000), 400_000), ((600_000, 400_000), 400_000)],
)
def test_the_publishers_limits_hold_whatever_viewers_report(limits: tuple[int, int], rate: int) -> None:
    assert asked(RembTarget(), 500_000, limits=limits) == rate


def test_a_viewer_that_reports_nothing_counts_one_and_a_half_times_the_rate() -> None:
    # The median of two viewers decides. A viewer that can take less than 0.7 of it does not count.
    assert asked(sending(1_000_000), 1_050_000, None) == 1_050_000
    assert asked(sending(1_000_000), 1_049_999, None) == 2_250_000
