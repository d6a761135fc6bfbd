"""Several pictures over one path: one estimate, and the large ones first."""

from collections.abc import Sequence

import pytest

from roomfsm.mediaserver.base.kinds import PictureSize
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.forwarding.bandwidth import constants
from roomfsm.mediaserver.forwarding.shared_path import SharedPath
from tests.mediaserver.forwarding.layered_path import AUDIO, LAYERS, Course, LayeredSender, play_shared
from tests.mediaserver.forwarding.test_path_estimator import sending

SMALL, MEDIUM, LARGE = PictureSize.SMALL, PictureSize.MEDIUM, PictureSize.LARGE
MBIT = 1_000_000
seeds = pytest.mark.parametrize("seed", range(3))


def layers(views: tuple[LayeredSender, ...], begin: float, end: float) -> list[set[int]]:
    """The layers that each view had in that time."""
    return [{layer for when, layer in view.layers if begin <= when < end} for view in views]


# Who gets how much


def test_the_smallest_layers_come_first_then_the_large_pictures_in_the_order_in_which_they_came() -> None:
    path = SharedPath(EngineSettings())
    small, first, second = (path.open_claim() for _ in range(3))
    small.size = SMALL
    for claim in (small, first, second):
        claim.least = 100_000
    first.taken, second.taken, small.taken = 1_500_000, 400_000, 100_000
    # The first large picture leaves the others their smallest layers only.
    assert (first.reserved_for_least(MBIT), first.reserved(MBIT)) == (0, 200_000)
    assert (second.reserved_for_least(MBIT), second.reserved(MBIT)) == (100_000, 1_600_000)
    assert (small.reserved_for_least(MBIT), small.reserved(MBIT)) == (200_000, 1_900_000)
    # The one that the user enlarges is the first now, because it came first.
    small.size = LARGE
    assert small.reserved(MBIT) == 200_000
    assert first.reserved_for_least(MBIT) == 100_000
    second.clear()
    assert small.reserved(MBIT) == 100_000


def test_a_picture_that_does_not_fit_leaves_its_place_to_those_after_it() -> None:
    path = SharedPath(EngineSettings())
    first, second, third = (path.open_claim() for _ in range(3))
    first.least, second.least, third.least = 300_000, 100_000, 80_000
    assert second.reserved_for_least(250_000) == 0
    assert third.reserved_for_least(250_000) == 100_000
    assert second.reserved(250_000) == 80_000
    # One that is shown stays with a little less than it would need to begin.
    first.taken = 300_000
    assert second.reserved_for_least(280_000) == 300_000
    first.taken = 0
    assert second.reserved_for_least(280_000) == 0


def test_a_picture_knows_whether_another_one_fills_the_path() -> None:
    path = SharedPath(EngineSettings())
    one, two = path.open_claim(), path.open_claim()
    one.least = one.taken = 1.0
    assert one.is_first
    assert not two.is_first
    path.forget(one)
    assert two.is_first


# On a path


@seeds
def test_the_large_picture_is_sharp_while_the_small_ones_stay(seed: int) -> None:
    views = play_shared(Course([(0, 3 * MBIT)]), [LARGE, SMALL, SMALL, SMALL], 20, seed)
    assert layers(views, 8, 20) == [{2}, {0}, {0}, {0}]
    assert views[0].lost_sound(0, 19) == 0


@seeds
def test_a_path_that_becomes_poor_costs_the_large_picture_its_size_and_then_the_last_ones_their_picture(
    seed: int,
) -> None:
    views = play_shared(
        Course([(0, 4 * MBIT), (14, 300_000), (26, 4 * MBIT)]), [LARGE, SMALL, SMALL, SMALL, SMALL], 40, seed
    )
    assert layers(views, 10, 14) == [{2}, {0}, {0}, {0}, {0}]
    # Two or three smallest layers fit beside the sound.
    large, *small = layers(views, 20, 26)
    assert large == {0}
    assert small[-1] == {-1}
    assert views[0].lost_sound(16, 39) == 0
    assert max(views[0].delays(18, 26)) < 0.2
    assert layers(views, 36, 40) == [{2}, {0}, {0}, {0}, {0}]


@seeds
def test_a_room_on_a_poor_path_has_as_many_pictures_as_fit(seed: int) -> None:
    views = play_shared(Course([(0, 300_000), (20, 3 * MBIT)]), [SMALL] * 12, 32, seed)
    shown = sum(layer == {0} for layer in layers(views, 12, 20))
    assert 1 <= shown <= (300_000 - AUDIO) // LAYERS[0]
    assert views[0].lost_sound(4, 31) == 0
    # All are back within ten seconds, although most transports sent nothing but probes.
    assert layers(views, 30, 32) == [{0}] * 12


@seeds
def test_two_large_pictures_share_what_there_is(seed: int) -> None:
    views = play_shared(Course([(0, 2.4 * MBIT)]), [LARGE, LARGE], 30, seed)
    first, second = layers(views, 15, 30)
    assert first == {2}
    assert second <= {0, 1}
    assert max(estimate for when, estimate in views[1].estimates if when > 10 and estimate) < 2.9 * MBIT


# What goes wrong


@seeds
@pytest.mark.parametrize("jitter", [0.0, 0.02])
@pytest.mark.parametrize("pictures", [1, 3])
def test_pictures_that_are_all_paused_come_back(pictures: int, jitter: float, seed: int) -> None:
    """Only probes are sent meanwhile, and nothing else has numbers."""
    course = Course([(0, 2 * MBIT), (10, 80_000), (25, 3 * MBIT)], jitter=jitter)
    views = play_shared(course, [SMALL] * pictures, 40, seed)
    assert layers(views, 20, 25) == [{-1}] * pictures
    assert layers(views, 38, 40) == [{0}] * pictures
    assert views[0].lost_sound(15, 39) == 0


@pytest.mark.parametrize("jitter", [0.0, 0.02])
@pytest.mark.parametrize("feedback", [0.05, 0.25])
@pytest.mark.parametrize("pictures", [4, 8])
def test_what_one_picture_had_does_not_count_for_the_others(pictures: int, feedback: float, jitter: float) -> None:
    low = 300_000
    course = Course([(0, 4 * MBIT), (10, low)], jitter=jitter, feedback=feedback)
    views = play_shared(course, [LARGE] * pictures, 50)
    known = [estimate for when, estimate in views[0].estimates if when > 20 and estimate is not None]
    assert max(known) < 1.4 * low
    assert sum(estimate > 1.15 * low for estimate in known) < 0.1 * len(known)
    assert views[0].lost_sound(14, 49) < 0.01
    assert sum(view.changes(20, 50) for view in views) <= 3 * pictures


@seeds
@pytest.mark.parametrize("deaf", [0, -1])
def test_others_probe_if_the_feedback_of_one_picture_is_lost(deaf: int, seed: int) -> None:
    def lose(senders: Sequence[LayeredSender]) -> None:
        def begin() -> None:
            senders[deaf].deaf = True

        senders[0].world.at(10, begin)

    views = play_shared(Course([(0, 600_000), (20, 3 * MBIT)]), [LARGE, LARGE, SMALL], 50, seed, lose)
    assert max(view.layers[-1][1] for view in views) >= 1
    assert any(view.padding[-1][0] > 40 for view in views if not view.deaf)


def test_a_probe_whose_answer_never_comes_is_given_up() -> None:
    transport = SharedPath(EngineSettings()).estimator.open_transport()
    now = sending(transport, 100.0, 1.0)
    assert transport.bitrate(now)
    begun = 0
    while now < 110:
        now += 0.05
        if octets := transport.probe(now, 10 * MBIT):
            transport.number(octets, now)
            begun += octets > constants.PROBE_MARK
    assert begun <= 3 * constants.PROBE_TIME / constants.PROBE_STEP + 1
    # Its feedback comes again.
    now = sending(transport, now, 1.0)
    for _ in range(100):
        now += 0.05
        begun += transport.probe(now, 10 * MBIT) > constants.PROBE_MARK
    assert begun
