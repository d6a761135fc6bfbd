"""Given report blocks, what share of the stream was lost within the last seconds?"""

import pytest

from roomfsm.mediaserver.forwarding.loss_window import LossWindow
from roomfsm.mediaserver.rtp.rtcp import ReportBlock


def window(*reports: tuple[float, int, int], fraction: int = 0) -> LossWindow:
    """Each of the `reports` has its time, the highest number that it names, and the packets lost until then."""
    losses = LossWindow()
    for now, highest, lost in reports:
        losses.reported(ReportBlock(7, fraction, lost, highest, 0, 0, 0), now)
    return losses


def test_nothing_is_known_without_a_report_or_five_seconds_after_the_last() -> None:
    assert LossWindow().fraction(0.0) is None
    losses = window((1.0, 100, 0))
    assert losses.fraction(6.0) == 0.0
    assert losses.fraction(6.01) is None
    losses.clear()
    assert losses.fraction(1.0) is None


def test_a_single_report_gives_its_own_fraction() -> None:
    assert window((1.0, 100, 9), fraction=64).fraction(1.0) == 0.25


def test_losses_of_more_than_two_seconds_ago_do_not_count() -> None:
    assert window((0.0, 0, 0), (1.0, 100, 50), (3.0, 200, 50)).fraction(3.0) == 0.0
    assert window((0.0, 0, 0), (1.0, 100, 50), (2.9, 200, 50)).fraction(2.9) == 0.25


def test_reports_that_come_close_together_do_not_shorten_the_window() -> None:
    """A report comes every 20 ms. A tenth of the stream is lost between the second and the third second."""
    reports = []
    lost = 0
    for number in range(200):
        now = number / 50
        lost += 2.0 <= now < 3.0
        reports.append((now, 10 * number, lost))
    fraction = window(*reports).fraction(reports[-1][0])
    assert fraction == pytest.approx(50 / 1000, rel=0.2)


@pytest.mark.parametrize(
    ("before", "after", "fraction"),
    [
        ((0, 0), (100, 200), 1.0),
        ((0, 10), (100, 5), 0.0),
        ((0, 0x7FFFFF), (100, -0x800000), 0.01),
        ((0, -0x800000), (100, 0x7FFFFF), 0.0),
        ((0xFFFFFFFF, 0), (99, 25), 0.25),
    ],
    ids=["more than all", "duplicates", "the count wraps", "it wraps back", "the number wraps"],
)
def test_the_lost_share_is_of_the_packets_expected_between_the_reports(
    before: tuple[int, int], after: tuple[int, int], fraction: float
) -> None:
    assert window((0.0, *before), (1.0, *after)).fraction(1.0) == fraction


def test_no_more_than_sixteen_reports_are_remembered() -> None:
    losses = window(*((float(number), number, 0) for number in range(1000)))
    assert len(losses._reports) == 16
