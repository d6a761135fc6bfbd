"""Which layer of simulcast a viewer gets."""

import pytest

from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.forwarding.layer_choice import OURS, LayerChoice, Offered, lacking

SETTINGS = EngineSettings()
LOW, MIDDLE, HIGH = 0, 1, 2
ALL = [Offered(100_000, True), Offered(400_000, True), Offered(1_500_000, True)]
FIRST_ONLY = [Offered(100_000, True), Offered(400_000, False), Offered(1_500_000, False)]
NO_MIDDLE = [Offered(100_000, True), Offered(400_000, False), Offered(1_500_000, True)]
WAIT, LONGEST = SETTINGS.layer_wait, SETTINGS.layer_longest_wait


def test_a_viewer_begins_in_the_middle() -> None:
    assert LayerChoice(SETTINGS).begin(ALL, HIGH, None, 0.0) == (MIDDLE, MIDDLE)
    assert LayerChoice(SETTINGS).begin(ALL, HIGH, 5e6, 0.0) == (MIDDLE, MIDDLE)
    assert LayerChoice(SETTINGS).begin(ALL, LOW, None, 0.0) == (LOW, LOW)
    assert LayerChoice(SETTINGS).begin(ALL, HIGH, 200_000, 0.0) == (LOW, LOW)


def test_a_viewer_begins_with_what_comes_and_wishes_for_what_fits() -> None:
    assert LayerChoice(SETTINGS).begin(FIRST_ONLY, HIGH, None, 0.0) == (LOW, MIDDLE)
    assert LayerChoice(SETTINGS).begin(NO_MIDDLE[1:], HIGH - 1, None, 0.0) == (HIGH - 1, HIGH - 1)


def test_nothing_is_risked_while_nothing_is_known() -> None:
    choice = LayerChoice(SETTINGS)
    choice.begin(ALL, HIGH, None, 0.0)
    assert choice.choose(ALL, MIDDLE, HIGH, None, WAIT - 0.1) == (MIDDLE, MIDDLE)
    assert choice.choose(ALL, MIDDLE, HIGH, None, WAIT) == (HIGH, HIGH)


def test_a_step_up_needs_room_to_spare_and_a_step_down_none() -> None:
    choice = LayerChoice(SETTINGS)
    assert choice.choose(ALL, LOW, HIGH, 420_000, 0.0) == (LOW, LOW)
    assert choice.choose(ALL, LOW, HIGH, 450_000, 0.0) == (MIDDLE, MIDDLE)
    assert choice.choose(ALL, MIDDLE, HIGH, 345_000, 0.5) == (MIDDLE, MIDDLE)
    assert choice.choose(ALL, MIDDLE, HIGH, 300_000, 1.0) == (LOW, LOW)
    assert choice.choose(ALL, HIGH, HIGH, 50_000, 1.0) == (LOW, LOW)


def test_a_viewer_who_came_down_waits_and_waits_longer_each_time() -> None:
    choice, now, wait = LayerChoice(SETTINGS), 0.0, WAIT
    for _ in range(5):
        assert choice.choose(ALL, LOW, HIGH, 450_000, now) == (MIDDLE, MIDDLE)
        now += 0.5
        assert choice.choose(ALL, MIDDLE, HIGH, 200_000, now) == (LOW, LOW)
        wait = min(2 * wait, LONGEST)
        assert choice.choose(ALL, LOW, HIGH, 450_000, now + wait - 0.1) == (LOW, LOW)
        now += wait
    assert wait == LONGEST


def test_a_step_that_lasts_makes_the_wait_short_again() -> None:
    choice = LayerChoice(SETTINGS)
    choice.choose(ALL, LOW, HIGH, 450_000, 0.0)
    choice.choose(ALL, MIDDLE, HIGH, 200_000, 0.5)
    now = 0.5 + 2 * WAIT
    assert choice.choose(ALL, LOW, HIGH, 450_000, now).take == MIDDLE
    now += 3 * LONGEST
    choice.choose(ALL, MIDDLE, HIGH, 450_000, now)
    choice.choose(ALL, MIDDLE, HIGH, 200_000, now)
    assert choice.choose(ALL, LOW, HIGH, 450_000, now + WAIT).take == MIDDLE


def test_a_smaller_picture_gets_a_smaller_layer_and_no_wait_follows() -> None:
    choice = LayerChoice(SETTINGS)
    assert choice.choose(ALL, HIGH, LOW, 5e6, 0.0) == (LOW, LOW)
    assert choice.choose(ALL, LOW, HIGH, 5e6, 0.1) == (HIGH, HIGH)


def test_a_layer_that_comes_no_more_is_left_and_still_wished_for() -> None:
    choice = LayerChoice(SETTINGS)
    assert choice.choose(NO_MIDDLE, MIDDLE, HIGH, 500_000, 0.0) == (LOW, MIDDLE)
    assert choice.choose(FIRST_ONLY, HIGH, HIGH, 5e6, 0.0) == (LOW, HIGH)
    nothing = [Offered(one.bitrate, False) for one in ALL]
    assert choice.choose(nothing, MIDDLE, HIGH, 5e6, 0.0) == (MIDDLE, HIGH)


def test_the_best_that_comes_is_taken_until_the_wish_comes_true() -> None:
    first_two = [*ALL[:2], Offered(1_500_000, False)]
    assert LayerChoice(SETTINGS).choose(first_two, LOW, HIGH, 5e6, 0.0) == (MIDDLE, HIGH)
    assert LayerChoice(SETTINGS).choose(first_two, MIDDLE, HIGH, 5e6, 0.0) == (MIDDLE, HIGH)


def test_a_trial_goes_one_step_up_and_a_failed_one_costs_a_long_wait() -> None:
    choice, now = LayerChoice(SETTINGS), 0.0
    for _ in range(8):
        assert choice.choose(ALL, LOW, HIGH, 150_000, now, on_trial=True) == (MIDDLE, MIDDLE)
        assert choice.choose(ALL, MIDDLE, HIGH, 150_000, now + 1) == (LOW, LOW)
        now += 1 + SETTINGS.picture_longest_pause
    assert choice.choose(ALL, LOW, HIGH, 150_000, now - 1, on_trial=True) == (LOW, LOW)


@pytest.mark.parametrize(("present", "most", "bitrate"), [(LOW, HIGH, 400_000), (MIDDLE, HIGH, 1_500_000)])
def test_what_is_lacking_is_what_the_next_layer_needs(present: int, most: int, bitrate: int) -> None:
    choice, enough = LayerChoice(SETTINGS), lacking(ALL, present, most)
    assert choice.choose(ALL, present, most, enough - 1, 0.0, margins=OURS).take == present
    assert choice.choose(ALL, present, most, enough + 1, 0.0, margins=OURS).take == present + 1
    assert lacking(ALL, most, most) == 0


def test_our_own_estimate_is_taken_at_its_word() -> None:
    choice = LayerChoice(SETTINGS)
    assert choice.choose(ALL, MIDDLE, HIGH, 399_000, 0.0, margins=OURS) == (LOW, LOW)
    assert choice.choose(ALL, LOW, HIGH, 425_000, WAIT, margins=OURS) == (MIDDLE, MIDDLE)
