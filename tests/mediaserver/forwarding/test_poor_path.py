"""Viewers behind poor paths, on virtual time: what they get, see and hear, and what that costs the others."""

import pytest

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.base.settings import EngineSettings
from tests.mediaserver.forwarding.virtual_path import Stage, Viewer

STREAM = 490_000
OUTAGE = 0.4
WINDOW = 3.0


def busiest(viewer: Viewer, begin: float, end: float, window: float = WINDOW) -> float:
    """The most bytes sent to a viewer in any window of that length, as a multiple of the stream's bytes in it."""
    starts = [begin + index / 4 for index in range(int((end - begin - window) * 4) + 1)]
    return max(viewer.down.bytes_between(start, start + window) for start in starts) / (STREAM / 8 * window)


@pytest.mark.parametrize("rate", [600_000, 300_000])
@pytest.mark.parametrize("seed", range(5))
def test_a_viewer_behind_a_poor_path_is_not_flooded_and_costs_the_others_nothing(rate: int, seed: int) -> None:
    stage = Stage(seed=seed, bitrate=STREAM)
    good = [stage.view() for _ in range(10)]
    stage.world.run(1.0)
    poor = stage.view({"rate": rate, "queue": 0.3})
    stage.world.run(9.0)
    begin = stage.world.time
    poor.down.outage(begin, OUTAGE)
    stage.world.run(20.0)
    end = stage.world.time
    assert busiest(poor, begin, end) < 1.5
    if rate > STREAM:
        assert poor.longest_freeze(begin, end) < 2.0
        assert poor.frames_between(end - 10, end) >= 0.95 * 10 * 15
        assert poor.concealed(begin + 3, end) < 0.05
    for viewer in good:
        assert viewer.longest_freeze(2.0, end) < 0.3
        assert viewer.concealed(2.0, end - 1) == 0.0
    assert stage.source.keyframes <= 3 + 30 / 5


@pytest.mark.parametrize("interval", [0.35, 0.8, 1.3])
def test_a_viewer_who_comes_and_goes_sees_the_picture_and_costs_no_keyframes(
    interval: float,
) -> None:
    seconds = 30.0
    stage = Stage(bitrate=1_500_000)
    good = [stage.view() for _ in range(3)]
    stage.world.run(2.0)
    restless, begin = stage.view(), stage.world.time

    def come_again() -> None:
        stage.source.peer.disconnect(restless.peer)
        stage.source.peer.connect(restless.peer)
        stage.world.at(stage.world.time + 0.1, restless.peer.request_keyframe)

    stage.world.every(interval, come_again)
    stage.world.run(seconds)
    settings = EngineSettings()
    most = settings.join_keyframe_burst + seconds / settings.join_keyframe_interval
    assert stage.source.keyframes <= most + seconds / settings.renewal_interval + 3
    assert restless.longest_freeze(begin, stage.world.time) < 1.0
    for viewer in good:
        assert viewer.longest_freeze(2.0, stage.world.time) < 0.3


@pytest.mark.parametrize(
    ("interval", "rate"), [(0.25, 2_000_000), (0.35, 3_000_000), (0.35, 6_000_000), (0.8, 2_000_000)]
)
def test_a_viewer_who_comes_and_goes_gets_no_burst_and_no_keyframes_for_losses(interval: float, rate: int) -> None:
    stage = Stage(bitrate=1_500_000)
    good = [stage.view() for _ in range(3)]
    stage.world.run(2.0)
    restless = stage.view({"rate": rate, "queue": 0.3})
    losses = stage.source.peer.track(MediaKind.VIDEO).keyframes.for_losses

    def come_again() -> None:
        stage.source.peer.disconnect(restless.peer)
        stage.source.peer.connect(restless.peer)
        stage.world.at(stage.world.time + 0.1, restless.peer.request_keyframe)

    stage.world.every(interval, come_again)
    stage.world.run(12.0)  # The burst of ten keyframes is used up.
    begin, keyframes = stage.world.time, stage.source.keyframes
    least = losses.left(begin)
    for _ in range(80):
        stage.world.run(0.25)
        least = min(least, losses.left(stage.world.time))
    end = stage.world.time
    assert stage.source.keyframes - keyframes <= 20 + 1
    sent = [time for time, _ in restless.down.sent if time >= begin]
    burst = max(restless.down.bytes_between(time, time + 0.01) for time in sent)
    assert least == EngineSettings().loss_keyframe_burst
    # This is a keyframe and the half second after it.
    assert burst <= 12_000 + 1_500_000 / 8 * 0.5
    # At worst the viewer came half a second after a keyframe, and waited for the next one.
    assert restless.longest_freeze(begin, end) < 0.7
    for viewer in good:
        assert viewer.longest_freeze(2.0, end) < 0.3


LOSSY = {"loss": 0.05, "delay": 0.01, "jitter": 0.02}


@pytest.mark.parametrize("seed", [10, 28, 52, 60, 61, 62, 63, 64, 72, 164])
def test_viewers_behind_a_lossy_path_begin_at_once_and_see_no_long_freeze(seed: int) -> None:
    """Packets are lost everywhere and come in another order. A viewer asks for none from before its first."""
    stage = Stage(seed=seed, bitrate=800_000, fps=20, up=LOSSY)
    stage.world.run(0.5 + stage.world.random.random())
    viewers = []
    for _ in range(2):
        viewers.append((stage.view(LOSSY, LOSSY), stage.world.time))
        stage.world.run(3.0)
    for viewer, joined in viewers:
        assert viewer.shown[0] - joined < 1.0
        assert viewer.longest_freeze(viewer.shown[0], stage.world.time) < 1.0
