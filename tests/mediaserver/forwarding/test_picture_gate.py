"""Given a viewer's path and its reports, tests when it gets the picture, and what that costs the others."""

from collections.abc import Callable
from itertools import groupby
from typing import Any

import pytest
import trio

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.forwarding.loss_window import LossWindow
from roomfsm.mediaserver.forwarding.picture_gate import Picture, PictureGate, is_too_slow
from roomfsm.mediaserver.forwarding.remb import RembTarget
from roomfsm.mediaserver.forwarding.viewer_path import ViewerPath
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.mediaserver.workers.workers import open_workers
from roomfsm.peer import AUDIO_SSRC, RtpPacket
from tests.mediaserver.peer import OPUS, VP8_KEYFRAME, TestPeer
from tests.mediaserver.stage import Joined, join, open_stage

SETTINGS = EngineSettings()
RATE = 500_000
TICK = 0.5
SSRC = 7


class Viewer:
    """A path over which 500 kbit/s are sent with the picture, and its browser's reports, two a second."""

    def __init__(self) -> None:
        self.now = 0.0
        self.path = ViewerPath(SETTINGS)
        self.gate = PictureGate(SETTINGS)
        self.seen: list[tuple[Picture, float]] = []
        """Each change of the picture, with its time."""
        self._expected = dict.fromkeys(MediaKind, 0.0)
        self._lost = dict.fromkeys(MediaKind, 0.0)

    def live(
        self,
        seconds: float,
        loss: float,
        estimate: int | None = None,
        sound: float | None = None,
        fits: bool | None = None,
    ) -> None:
        """`loss` is the lost fraction with the picture, and `sound` that of the sound while it is paused.

        `fits` is whether the smallest layer fits by our own estimate.
        """
        for _ in range(round(seconds / TICK)):
            self.now += TICK
            sent = self.gate.picture is not Picture.PAUSED
            self.path.rate = RATE if sent else 40_000
            self._report(MediaKind.AUDIO, 25, loss if sent else sound or 0.0)
            if sent:
                self._report(MediaKind.VIDEO, 30, loss)
            if estimate is not None:
                self.path.estimated(estimate, self.now)
            picture = self.gate.judge(self.path, sent, self.now, fits)
            if picture is Picture.PAUSED and sent:
                self.path.paused()
            if not self.seen or self.seen[-1][0] is not picture:
                self.seen.append((picture, self.now))

    def _report(self, kind: MediaKind, packets: float, loss: float) -> None:
        self._expected[kind] += packets
        self._lost[kind] += packets * loss
        expected, lost = round(self._expected[kind]), round(self._lost[kind])
        self.path.reported(kind, rtcp.ReportBlock(SSRC, 0, lost, expected, 0, 0, 0), self.now)

    @property
    def pauses(self) -> list[float]:
        """The length of each pause that has ended."""
        times = [time for _, time in self.seen]
        return [times[i + 1] - times[i] for i, (one, _) in enumerate(self.seen[:-1]) if one is Picture.PAUSED]


@pytest.mark.parametrize(
    ("to_server", "loss", "paused"), [(False, 0.15, True), (True, 0.15, False), (True, 0.25, True)]
)
def test_another_media_servers_low_estimate_is_about_its_viewers(
    to_server: bool, loss: float, paused: bool
) -> None:
    viewer = Viewer()
    if to_server:
        viewer.path.leads_to_server()
    viewer.live(6.0, loss, 300_000)
    assert (viewer.gate.picture is Picture.PAUSED) is paused


@pytest.mark.parametrize(
    ("loss", "estimate"),
    [
        pytest.param(0.0, 300_000, id="an estimate that lags behind a stream that has grown"),
        pytest.param(0.08, 300_000, id="few losses"),
        pytest.param(0.15, 700_000, id="a radio link that loses, and has room"),
        pytest.param(0.15, None, id="losses, and no estimate"),
    ],
)
def test_a_path_that_can_carry_the_picture_keeps_it(loss: float, estimate: int | None) -> None:
    viewer = Viewer()
    viewer.live(60, loss, estimate)
    assert [picture for picture, _ in viewer.seen] == [Picture.SENT]


@pytest.mark.parametrize(
    ("loss", "estimate"),
    [
        pytest.param(0.4, 255_000, id="a queue that drops"),
        pytest.param(0.4, None, id="a browser without estimates"),
        pytest.param(0.12, 400_000, id="just too narrow"),
    ],
)
def test_a_path_that_is_too_slow_loses_the_picture_within_seconds(loss: float, estimate: int | None) -> None:
    viewer = Viewer()
    viewer.live(8, loss, estimate)
    picture, time = viewer.seen[-1]
    assert picture is Picture.PAUSED
    assert SETTINGS.picture_patience <= time <= SETTINGS.picture_patience + 2


def test_a_picture_that_is_known_not_to_fit_is_not_tried_and_comes_back_soon_after_it_fits() -> None:
    viewer = Viewer()
    viewer.live(2, 0.0, fits=False)
    assert [picture for picture, _ in viewer.seen] == [Picture.SENT, Picture.PAUSED]
    viewer.live(2 * SETTINGS.picture_longest_pause, 0.0, fits=False)
    assert len(viewer.seen) == 2
    viewer.live(TICK, 0.0, fits=True)
    assert [picture for picture, _ in viewer.seen[2:]] == [Picture.TRIED]
    # It failed after all, and the next trial is a little later.
    viewer.live(2, 0.0, fits=False)
    failed = viewer.seen[-1][1]
    viewer.live(20, 0.0, fits=True)
    pictures = [picture for picture, _ in viewer.seen]
    assert pictures[-3:] == [Picture.PAUSED, Picture.TRIED, Picture.SENT]
    assert 2 <= viewer.seen[-2][1] - failed <= SETTINGS.picture_first_pause / 2


def test_if_nothing_is_known_any_more_a_paused_picture_is_tried() -> None:
    viewer = Viewer()
    viewer.live(2, 0.0, fits=False)
    viewer.live(SETTINGS.picture_first_pause, 0.0, fits=None)
    assert viewer.gate.picture is Picture.TRIED


def test_a_long_queue_that_loses_nothing_is_too_slow() -> None:
    viewer = Viewer()
    viewer.path.newest_round_trip = 2.5
    viewer.live(8, 0.0, 255_000)
    assert viewer.seen[-1][0] is Picture.PAUSED


def test_one_short_outage_does_not_pause_the_picture() -> None:
    viewer = Viewer()
    viewer.live(10, 0.0, 600_000)
    viewer.live(1, 0.6, 300_000)
    viewer.live(10, 0.02, 450_000)
    assert [picture for picture, _ in viewer.seen] == [Picture.SENT]


def test_on_a_path_that_stays_slow_the_picture_is_tried_less_and_less_often() -> None:
    viewer = Viewer()
    viewer.live(300, 0.4, 255_000)
    first, longest = SETTINGS.picture_first_pause, SETTINGS.picture_longest_pause
    assert viewer.pauses[:5] == [first, 2 * first, 4 * first, longest, longest]
    tried = sum(time for time in durations(viewer, Picture.TRIED)[1:])
    assert tried < 300 / 8
    assert Picture.SENT not in [picture for picture, _ in viewer.seen[1:]]


def durations(viewer: Viewer, wanted: Picture) -> list[float]:
    times = [time for _, time in viewer.seen]
    return [times[i + 1] - times[i] for i, (one, _) in enumerate(viewer.seen[:-1]) if one is wanted]


def test_the_picture_stays_once_the_path_has_carried_it_for_a_while() -> None:
    viewer = Viewer()
    viewer.live(6, 0.4, 255_000)
    viewer.live(20, 0.0, 900_000)
    assert [picture for picture, _ in viewer.seen] == [Picture.SENT, Picture.PAUSED, Picture.TRIED, Picture.SENT]
    assert durations(viewer, Picture.TRIED) == [SETTINGS.picture_trial]
    # A path that soon becomes slow again has to wait longer.
    viewer.live(30, 0.4, 255_000)
    assert viewer.pauses == [SETTINGS.picture_first_pause, 2 * SETTINGS.picture_first_pause]


def test_the_picture_is_tried_half_as_often_while_sound_is_lost() -> None:
    viewer = Viewer()
    viewer.live(300, 0.4, 60_000, sound=0.2)
    first, longest = SETTINGS.picture_first_pause, SETTINGS.picture_longest_pause
    assert viewer.pauses[:4] == [2 * first, 4 * first, 8 * first, 2 * longest]


def test_a_radio_link_that_always_loses_some_sound_gets_the_picture_back() -> None:
    viewer = Viewer()
    viewer.live(6, 0.4, 255_000)
    viewer.live(30, 0.08, 900_000, sound=0.08)
    assert viewer.seen[-1][0] is Picture.SENT


def path_with(loss: float, estimate: int | None, *, kind: MediaKind = MediaKind.VIDEO) -> ViewerPath:
    """A path over which 500 kbit/s are sent, with the browser's reports at time 0."""
    path = ViewerPath(SETTINGS)
    path.rate = RATE
    path.reported(kind, rtcp.ReportBlock(SSRC, 0, 0, 0, 0, 0, 0), 0.0)
    path.reported(kind, rtcp.ReportBlock(SSRC, 0, round(1000 * loss), 1000, 0, 0, 0), 0.0)
    if estimate is not None:
        path.estimated(estimate, 0.0)
    return path


@pytest.mark.parametrize(
    ("loss", "estimate", "slow"),
    [
        (0.199, None, False),
        (0.2, None, True),
        (0.1, 449_999, True),
        (0.099, 449_999, False),
        (0.1, 450_000, False),
        (0.3, 450_000, False),
    ],
)
def test_given_these_figures_a_path_is_or_is_not_too_slow(loss: float, estimate: int | None, slow: bool) -> None:
    assert is_too_slow(path_with(loss, estimate), 0.0) is slow


@pytest.mark.parametrize(("round_trip", "slow"), [(None, False), (0.99, False), (1.0, True)])
def test_a_round_trip_of_a_second_counts_as_a_long_queue(round_trip: float | None, slow: bool) -> None:
    path = path_with(0.0, 300_000)
    path.newest_round_trip = round_trip
    assert is_too_slow(path, 0.0) is slow


def test_a_path_that_reported_no_loss_is_not_too_slow() -> None:
    path = ViewerPath(SETTINGS)
    path.newest_round_trip, path.rate = 3.0, RATE
    path.estimated(1, 0.0)
    assert not is_too_slow(path, 0.0)


class Clock:
    """A gate that judges paths with reports from a moment ago."""

    def __init__(self) -> None:
        self.gate = PictureGate(SETTINGS)

    def judge(self, now: float, *, slow: bool, sending: bool = True, sound: float = 0.0) -> Picture:
        path = ViewerPath(SETTINGS)
        path.rate = RATE
        for kind, loss in ((MediaKind.VIDEO, 0.5 * slow), (MediaKind.AUDIO, sound)):
            path.reported(kind, rtcp.ReportBlock(SSRC, 0, 0, 0, 0, 0, 0), now)
            path.reported(kind, rtcp.ReportBlock(SSRC, 0, round(1000 * loss), 1000, 0, 0, 0), now)
        return self.gate.judge(path, sending, now)

    def pause(self, now: float) -> None:
        """Make the gate pause the picture at that time."""
        self.judge(now - SETTINGS.picture_patience, slow=True)
        assert self.judge(now, slow=True) is Picture.PAUSED


def test_the_picture_is_paused_when_the_patience_is_over_and_not_before() -> None:
    clock = Clock()
    assert [clock.judge(now, slow=True) for now in (10.0, 12.9, 13.0)] == [
        Picture.SENT,
        Picture.SENT,
        Picture.PAUSED,
    ]


@pytest.mark.parametrize(("slow", "sending"), [(False, True), (True, False)], ids=["good", "nothing was sent"])
def test_the_patience_begins_again_after_a_moment_that_was_not_too_slow(slow: bool, sending: bool) -> None:
    clock = Clock()
    clock.judge(10.0, slow=True)
    clock.judge(12.0, slow=slow, sending=sending)
    assert clock.judge(13.0, slow=True) is Picture.SENT
    assert clock.judge(15.9, slow=True) is Picture.SENT
    assert clock.judge(16.0, slow=True) is Picture.PAUSED


@pytest.mark.parametrize(("sound", "pause"), [(0.0, 8.0), (0.05, 8.0), (0.051, 16.0)])
def test_the_picture_is_tried_later_if_sound_is_lost(sound: float, pause: float) -> None:
    clock = Clock()
    clock.pause(20.0)
    assert clock.judge(20.0 + pause - 0.1, slow=False, sending=False, sound=sound) is Picture.PAUSED
    assert clock.judge(20.0 + pause, slow=False, sending=False, sound=sound) is Picture.TRIED


def test_a_trial_lasts_three_seconds_in_which_the_picture_is_really_sent() -> None:
    clock = Clock()
    clock.pause(20.0)
    assert clock.judge(28.0, slow=False, sending=False) is Picture.TRIED
    # The picture waits for a keyframe.
    assert clock.judge(30.0, slow=False, sending=False) is Picture.TRIED
    assert clock.judge(32.9, slow=False) is Picture.TRIED
    assert clock.judge(33.0, slow=False) is Picture.SENT


def test_a_trial_on_a_slow_path_ends_after_a_third_of_the_patience() -> None:
    clock = Clock()
    clock.pause(20.0)
    clock.judge(28.0, slow=False, sending=False)
    assert [clock.judge(now, slow=True) for now in (28.5, 29.4, 29.5)] == [
        Picture.TRIED,
        Picture.TRIED,
        Picture.PAUSED,
    ]
    assert clock.judge(45.4, slow=False, sending=False) is Picture.PAUSED
    assert clock.judge(45.5, slow=False, sending=False) is Picture.TRIED


@pytest.mark.parametrize(("good", "pause"), [(39.9, 16.0), (40.0, 8.0)])
def test_a_path_that_was_good_for_the_longest_pause_begins_with_short_pauses_again(
    good: float, pause: float
) -> None:
    clock = Clock()
    clock.pause(20.0)
    clock.judge(28.0, slow=False, sending=False)
    assert clock.judge(31.0, slow=False) is Picture.SENT
    clock.pause(31.0 + good)
    assert clock.judge(31.0 + good + pause - 0.1, slow=False, sending=False) is Picture.PAUSED
    assert clock.judge(31.0 + good + pause, slow=False, sending=False) is Picture.TRIED


def test_losses_are_counted_over_seconds_and_not_between_two_reports() -> None:
    window = LossWindow()
    assert window.fraction(0.0) is None
    for index in range(40):
        # The fractions of this browser say nothing or half by turns, but its counters say two fifths.
        block = rtcp.ReportBlock(SSRC, 128 * (index % 2), 4 * index - 2**23, 10 * index + 2**32 - 200, 0, 0, 0)
        window.reported(block, index / 10)
    assert window.fraction(4.0) == pytest.approx(0.4)
    assert window.fraction(9.1) is None


@pytest.mark.parametrize(
    ("estimates", "asked"),
    [
        pytest.param([300_000], 300_000, id="one viewer alone"),
        pytest.param([300_000, 2_000_000], 2_000_000, id="two, and one is far behind"),
        pytest.param([1_500_000, 2_000_000], 1_500_000, id="two, and one is not far behind"),
        pytest.param([200_000, 250_000, *[2_000_000] * 8], 2_000_000, id="two of ten have a bad moment"),
        pytest.param([300_000] * 6 + [2_000_000] * 4, 300_000, id="most are poor"),
        pytest.param([300_000, None], 10_000_000, id="one that has told nothing yet is not held back"),
        pytest.param([None, None], 10_000_000, id="nothing is known"),
    ],
)
def test_a_viewer_far_behind_the_others_does_not_hold_them_back(estimates: list[int | None], asked: int) -> None:
    assert RembTarget().bitrate(estimates, SETTINGS, (0, 0)) == asked


@pytest.mark.parametrize(
    ("estimates", "asked"),
    [
        pytest.param(
            [300_000, None], 2_250_000, id="one loses much in its first seconds, one has told nothing yet"
        ),
        pytest.param([1_100_000, None], 1_100_000, id="a viewer that joins lifts nothing that another needs"),
        pytest.param([300_000, 300_000, None], 300_000, id="most are poor"),
        pytest.param([None, None], 10_000_000, id="nothing is known"),
    ],
)
def test_a_viewer_that_has_reported_nothing_counts_with_the_rate_it_gets(
    estimates: list[int | None], asked: int
) -> None:
    target = RembTarget()
    for second in range(1, 4):
        target.measure(second * 1_000_000 // 8, float(second))
    assert target.bitrate(estimates, SETTINGS, (0, 0)) == asked


FAST: dict[str, Any] = {
    "report_interval": 0.05,
    "picture_patience": 0.3,
    "picture_first_pause": 0.5,
    "picture_trial": 0.3,
}


class Poor:
    """A viewer that reports what a slow path would lose."""

    def __init__(self, viewer: Joined, publisher: TestPeer, ssrc: int) -> None:
        self._viewer = viewer
        self._publisher = publisher
        self._ssrc = ssrc
        self._expected = self._lost = 0
        self.slow = True

    async def go_on(self, until: Callable[[], bool]) -> None:
        """Send a picture and sound, and reports, until a condition holds."""
        timestamp = 0
        while not until():
            timestamp += 3000
            self._publisher.send_rtp(VP8_KEYFRAME, timestamp=timestamp)
            self._publisher.send_rtp(OPUS, ssrc=AUDIO_SSRC, timestamp=timestamp)
            self._expected += 10
            self._lost += 4 * self.slow
            block = rtcp.ReportBlock(self._ssrc, 100 * self.slow, self._lost, self._expected, 0, 0, 0)
            client = self._viewer.client
            client.send_rtcp(rtcp.receiver_report(1, [block]))
            client.send_rtcp(rtcp.remb(1, 1_000 if self.slow else 5_000_000, (self._ssrc,)))
            await trio.sleep(0.02)

    def told(self, *news: object) -> Callable[[], bool]:
        return lambda: news in self._viewer.observer.told


async def test_a_paused_viewer_gets_only_the_sound_and_the_picture_continues_later() -> None:
    async with (
        open_stage(**FAST) as engine,
        join(engine, "sendonly") as publisher,
        join(engine, "recvonly", publisher.peer) as good,
        join(engine, "recvonly", publisher.peer) as poor,
    ):
        viewer = Poor(poor, publisher.client, engine.ssrcs[MediaKind.VIDEO])
        await viewer.go_on(viewer.told("pause", MediaKind.VIDEO, True))
        assert poor.observer.told[-2:] == [("pause", MediaKind.VIDEO, True), ("sending", MediaKind.VIDEO, False)]
        asked = publisher.peer.stats().receiving[MediaKind.VIDEO].keyframe_requests
        viewer.slow = False
        await viewer.go_on(viewer.told("pause", MediaKind.VIDEO, False))
        received = poor.client.received_rtp()
        numbers = [one.sequence_number for one in received if one.payload == VP8_KEYFRAME]
        assert numbers == [(numbers[0] + index) & 0xFFFF for index in range(len(numbers))]
        assert longest_run(received, OPUS) >= 5
        assert longest_run(good.client.received_rtp(), OPUS) < 5
        assert publisher.peer.stats().receiving[MediaKind.VIDEO].keyframe_requests <= asked + 1


def longest_run(packets: list[RtpPacket], payload: bytes) -> int:
    """The numbers of the packets with that payload, in order."""
    return max(len(list(run)) for same, run in groupby(packets, lambda one: one.payload == payload) if same)


async def test_a_paused_viewers_estimate_counts_only_if_nobody_else_gets_the_picture() -> None:
    async with (
        open_stage(**FAST) as engine,
        join(engine, "sendonly") as publisher,
        join(engine, "recvonly", publisher.peer) as poor,
    ):
        track = publisher.peer.track(MediaKind.VIDEO)
        viewer = Poor(poor, publisher.client, engine.ssrcs[MediaKind.VIDEO])
        await viewer.go_on(viewer.told("pause", MediaKind.VIDEO, True))
        assert track.estimates(engine.now()) == [1_000]
        async with join(engine, "recvonly", publisher.peer):
            publisher.client.send_rtp(VP8_KEYFRAME)
            while not any(sink.group for sink in track.sinks):
                await trio.lowlevel.checkpoint()
            assert track.estimates(engine.now()) == [None]


async def test_a_viewer_on_another_worker_is_paused_too() -> None:
    with trio.fail_after(180):
        async with (
            open_workers(EngineSettings(host="127.0.0.1", **FAST), 2) as workers,
            join(workers, "sendonly") as publisher,
            join(workers, "recvonly", publisher.peer) as far,
        ):
            publisher.client.send_rtp(VP8_KEYFRAME)
            ssrc = (await far.client.receive_rtp()).ssrc
            viewer = Poor(far, publisher.client, ssrc)
            await viewer.go_on(viewer.told("pause", MediaKind.VIDEO, True))
            viewer.slow = False
            await viewer.go_on(viewer.told("pause", MediaKind.VIDEO, False))


def test_a_smallest_layer_that_does_not_fit_is_paused_sooner() -> None:
    path, gate = ViewerPath(SETTINGS), PictureGate(SETTINGS)
    patience = SETTINGS.picture_patience / 3
    assert gate.judge(path, True, 0.0, fits=False) is Picture.SENT
    assert gate.judge(path, True, patience - 0.1, fits=True) is Picture.SENT
    assert gate.judge(path, True, patience, fits=False) is Picture.SENT
    assert gate.judge(path, True, 2 * patience, fits=False) is Picture.PAUSED
