"""The path to a viewer: round trip, losses and bandwidth, as its browser's reports show them."""

import pytest
import trio

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.forwarding.viewer_path import ViewerPath
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.peer import VIDEO_SSRC
from tests.mediaserver.peer import VP8_KEYFRAME
from tests.mediaserver.stage import join, open_stage

SSRC = 7
NTP = 0x0102030405060708
MIDDLE = 0x03040506


def block(
    *, last_report: int = MIDDLE, delay: float = 0.0, fraction: int = 0, ssrc: int = SSRC
) -> rtcp.ReportBlock:
    return rtcp.ReportBlock(ssrc, fraction, 0, 0, 0, last_report, round(delay * 65536))


def test_the_round_trip_is_the_time_since_the_report_minus_the_browsers_delay() -> None:
    path = ViewerPath(EngineSettings())
    assert path.round_trip is None
    path.report_sent(SSRC, NTP, 10.0)
    path.reported(MediaKind.VIDEO, block(delay=0.5), 10.75)
    assert path.round_trip == path.newest_round_trip == pytest.approx(0.25)


def test_a_longer_round_trip_is_the_newest_at_once_and_moves_the_smoothed_one_by_an_eighth() -> None:
    path = ViewerPath(EngineSettings())
    for sent, came in ((10.0, 10.1), (11.0, 11.9)):
        path.report_sent(SSRC, NTP, sent)
        path.reported(MediaKind.VIDEO, block(), came)
    assert path.newest_round_trip == pytest.approx(0.9)
    assert path.round_trip == pytest.approx(0.2)


@pytest.mark.parametrize(
    "told",
    [
        block(last_report=0),
        block(last_report=MIDDLE + 1),
        block(ssrc=SSRC + 1),
        block(delay=1.5),
        block(delay=65535.0),
    ],
    ids=["no sender report yet", "one that was never sent", "of another stream", "held longer than it is", "most"],
)
def test_a_report_that_cannot_be_about_our_sender_report_measures_nothing(told: rtcp.ReportBlock) -> None:
    path = ViewerPath(EngineSettings())
    path.report_sent(SSRC, NTP, 10.0)
    path.reported(MediaKind.VIDEO, told, 11.0)
    assert path.round_trip is None


def test_old_sender_reports_are_forgotten() -> None:
    path = ViewerPath(EngineSettings())
    for second in range(100):
        path.report_sent(SSRC, second << 32, float(second))
    path.reported(MediaKind.VIDEO, block(last_report=1 << 16), 100.0)
    assert path.round_trip is None
    path.reported(MediaKind.VIDEO, block(last_report=99 << 16), 100.0)
    assert path.round_trip == pytest.approx(1.0)


def test_losses_and_estimates_count_for_five_seconds_only() -> None:
    path = ViewerPath(EngineSettings())
    assert (path.loss(MediaKind.AUDIO, 0.0), path.estimate(0.0)) == (None, None)
    path.reported(MediaKind.AUDIO, block(fraction=64), 1.0)
    path.estimated(300_000, 1.0)
    assert (path.loss(MediaKind.AUDIO, 6.0), path.estimate(6.0)) == (0.25, 300_000)
    assert path.loss(MediaKind.VIDEO, 6.0) is None
    assert (path.loss(MediaKind.AUDIO, 6.1), path.estimate(6.1)) == (None, None)


def test_the_rate_follows_what_was_sent() -> None:
    path = ViewerPath(EngineSettings())
    for tick in range(20):
        path.measure(10_000 * tick, tick / 2)
    assert path.rate == pytest.approx(160_000, rel=0.01)


async def test_the_round_trip_and_the_loss_come_from_the_browsers_reports() -> None:
    async with (
        open_stage() as engine,
        join(engine, "sendonly") as publisher,
        join(engine, "recvonly", publisher.peer) as viewer,
    ):
        publisher.client.send_rtp(VP8_KEYFRAME, timestamp=9000)
        await viewer.client.receive_rtp()
        report = rtcp.SenderReport(VIDEO_SSRC, NTP, 9000, 77, 7777)
        publisher.client.send_rtcp(rtcp.sender_report(VIDEO_SSRC, report))
        came = await viewer.client.receive_feedback(rtcp.SenderReport)
        await trio.sleep(0.2)
        told = block(ssrc=came.ssrc, last_report=(came.ntp >> 16) & 0xFFFFFFFF, delay=0.1, fraction=128)
        viewer.client.send_rtcp(rtcp.receiver_report(1, [told]))
        path = viewer.peer.path
        while path.round_trip is None:
            await trio.lowlevel.checkpoint()
        assert 0.1 <= path.round_trip < 2.0
        assert path.loss(MediaKind.VIDEO, engine.now()) == 0.5


# The edges of each rule


def video_lost(lost: int, expected: int) -> rtcp.ReportBlock:
    return rtcp.ReportBlock(SSRC, 0, lost, expected, 0, 0, 0)


@pytest.mark.parametrize(("came", "measured"), [(10.0, 0.0), (15.0, 5.0), (15.01, None), (9.99, None)])
def test_a_round_trip_is_between_nothing_and_five_seconds(came: float, measured: float | None) -> None:
    path = ViewerPath(EngineSettings())
    path.report_sent(SSRC, NTP, 10.0)
    path.reported(MediaKind.VIDEO, block(), came)
    assert path.round_trip == path.newest_round_trip == measured


def test_sixteen_sender_reports_are_remembered_and_the_newest_of_a_kind_counts() -> None:
    path = ViewerPath(EngineSettings())
    for second in range(17):
        path.report_sent(SSRC, second << 32, float(second))
    found = []
    for middle, delay in ((0, 16.5), (1, 15.5)):
        path.reported(MediaKind.AUDIO, block(last_report=middle << 16, delay=delay), 17.0)
        found.append(path.round_trip)
    assert found == [None, 0.5]
    path.report_sent(SSRC, 16 << 32, 17.0)
    path.reported(MediaKind.AUDIO, block(last_report=16 << 16), 17.5)
    assert path.newest_round_trip == 0.5


def test_no_packet_is_repeated_within_the_longer_round_trip() -> None:
    path = ViewerPath(EngineSettings(viewer_round_trip=0.1))
    assert path.repeat_interval(0.0) == 0.1
    for sent, came, interval in ((10.0, 10.4, 0.4), (11.0, 11.08, 0.36), (12.0, 12.8, 0.8)):
        path.report_sent(SSRC, NTP, sent)
        path.reported(MediaKind.VIDEO, block(), came)
        assert path.repeat_interval(came) == pytest.approx(interval)


def test_of_two_late_nacks_the_shorter_delay_shows_the_queue() -> None:
    path = ViewerPath(EngineSettings(viewer_round_trip=0.1))
    path.loss_noticed(0.5, 10.0)
    assert path.repeat_interval(10.0) == 0.1, "one alone may have had an earlier NACK that was lost"
    path.loss_noticed(0.7, 11.0)
    assert path.repeat_interval(12.0) == 0.5
    assert path.repeat_interval(12.01) == 0.1, "the first is too long ago"
    path.loss_noticed(9.0, 12.0)
    path.loss_noticed(8.0, 12.0)
    assert path.repeat_interval(12.0) == 1.0, "no path has a longer queue"
    path.loss_noticed(0.05, 12.0)
    assert path.repeat_interval(12.0) == 0.1


def test_the_smoothed_rate_moves_by_half_of_a_change() -> None:
    path = ViewerPath(EngineSettings())
    rates = []
    for octets, now in ((500, 1.0), (100_500, 2.0), (200_500, 3.0), (200_500, 3.0), (200_500, 4.0)):
        path.measure(octets, now)
        rates.append(path.rate)
    assert rates == [0, 400_000, 600_000, 600_000, 300_000]


def test_the_budget_of_repairs_follows_the_rate_after_the_first_second() -> None:
    settings = EngineSettings(repair_share=0.5, min_repair_burst=16_000)
    path = ViewerPath(settings)
    budgets = []
    for octets, now in ((0, 0.0), (0, 5.0), (50_000, 6.0), (100_000, 6.9), (150_000, 7.0), (150_000, 8.0)):
        path.measure(octets, now)
        budgets.append((path.repairs.rate, path.repairs.burst))
    start = (settings.start_repair_rate, settings.start_repair_burst)
    assert budgets[:4] == [start] * 4
    rate, burst = budgets[4]
    assert start != (rate, burst)
    assert burst == rate > 16_000
    assert budgets[5] == budgets[4], "in a silence it stays as it was"
    path.measure(150_100, 9.0)
    for now in range(10, 30):
        path.measure(150_100 + now, float(now))
    assert path.repairs.rate < 1000
    assert path.repairs.burst == 16_000


def test_the_reserve_for_audio_and_later_losses_is_a_share_of_the_budget() -> None:
    path = ViewerPath(EngineSettings(min_repair_burst=10_000, start_repair_burst=50_000))
    assert path.kept_for_audio == 2000
    assert path.kept_at_start == 5000


def test_without_an_estimate_great_losses_limit_a_path_and_small_ones_free_it() -> None:
    """draft-ietf-rmcat-gcc-02 section 6."""
    path = ViewerPath(EngineSettings())
    path.rate = 1_000_000
    path.reported(MediaKind.VIDEO, video_lost(0, 0), 0.0)
    limits = []
    lost = expected = 0
    for second, share in enumerate((20, 20, 10, 2, 1, 0, 0), 10):
        # The reports are three seconds apart, so that each shows only its own share.
        lost, expected = lost + share, expected + 100
        now = 3.0 * second
        path.reported(MediaKind.VIDEO, video_lost(lost, expected), now)
        limits.append(path.limit(now))
    first = 900_000
    assert limits[:5] == [first, first * 0.9, first * 0.9, first * 0.9, round(first * 0.9 * 1.08)]
    assert limits[5:] == [round(first * 0.9 * 1.08**2), round(first * 0.9 * 1.08**3)]
    path.rate = 400_000
    path.reported(MediaKind.VIDEO, video_lost(lost, expected + 100), 60.0)
    assert path.limit(60.0) is None, "it is more than twice what is sent"


def test_the_limit_changes_once_a_second_and_only_with_losses_of_video() -> None:
    path = ViewerPath(EngineSettings())
    path.rate = 1_000_000
    path.reported(MediaKind.AUDIO, block(fraction=128), 9.0)
    assert path.limit(9.0) is None
    path.reported(MediaKind.VIDEO, block(fraction=128), 10.0)
    assert path.limit(10.0) == 750_000
    path.reported(MediaKind.VIDEO, block(fraction=128), 10.99)
    assert path.limit(10.99) == 750_000
    path.reported(MediaKind.VIDEO, block(fraction=128), 11.0)
    assert path.limit(11.0) == 562_500
    path.estimated(300_000, 11.0)
    assert [path.limit(now) for now in (16.0, 16.1)] == [300_000, 562_500]
    path.rate = 100_000
    path.reported(MediaKind.VIDEO, block(fraction=128), 17.0)
    assert path.limit(17.0) == 75_000, "never more than is sent"
    path.paused()
    assert path.limit(17.0) is None
    assert path.loss(MediaKind.VIDEO, 17.0) is None


def test_a_path_over_which_nothing_is_sent_has_no_limit() -> None:
    path = ViewerPath(EngineSettings())
    path.reported(MediaKind.VIDEO, block(fraction=128), 10.0)
    assert path.limit(10.0) is None
