"""What is known of the path to a viewer: round trip, losses, bandwidth, from the reports of its browser."""

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


def test_the_round_trip_is_the_time_since_the_sender_report_less_the_delay_at_the_browser() -> None:
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


def test_losses_and_estimates_count_for_five_seconds() -> None:
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


async def test_a_browsers_reports_tell_the_round_trip_and_the_loss() -> None:
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
