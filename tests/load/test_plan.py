"""What a load test may ask for, and what its figures say."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomfsm.load.figures import Figures, Lines, Times
from roomfsm.load.path import Path
from roomfsm.load.plan import (
    LEAST_VIDEO,
    MOST_LINES,
    MOST_OUTAGE,
    MOST_PATH_LOSS,
    MOST_PATH_RATE,
    MOST_PATH_TIME,
    MOST_PEOPLE,
    MOST_RATE,
    MOST_SECONDS,
    MOST_VIDEO,
    Plan,
    PlanError,
    Target,
)

POOR = {"media": True, "poor_viewers": 0.5, "path_delay": 0.1}


@pytest.mark.parametrize(
    ("edge", "beyond"),
    [
        ({"viewers": MOST_PEOPLE - 1}, {"viewers": MOST_PEOPLE}),
        ({"rooms": MOST_PEOPLE // 11}, {"rooms": MOST_PEOPLE // 11 + 1}),
        ({"viewers": 0}, {"viewers": 0, "presenters": 0}),
        ({"rooms": 10, "chat_rate": MOST_LINES / 10}, {"rooms": 11, "chat_rate": MOST_LINES / 10}),
        ({"join_rate": MOST_RATE}, {"join_rate": MOST_RATE + 1}),
        ({"join_rate": 0.1}, {"join_rate": 0.05}),
        ({"chat_rate": 0}, {"chat_rate": -1}),
        ({"churn": 60 * MOST_RATE}, {"churn": math.nan}),
        ({"seconds": MOST_SECONDS}, {"seconds": MOST_SECONDS + 1}),
        ({"video_rate": LEAST_VIDEO}, {"video_rate": LEAST_VIDEO - 1}),
        ({"video_rate": MOST_VIDEO}, {"video_rate": MOST_VIDEO + 1}),
        (POOR | {"poor_viewers": 1}, POOR | {"poor_viewers": 1.1}),
        (POOR | {"poor_presenters": 1}, POOR | {"poor_presenters": -0.1}),
        (POOR, POOR | {"media": False}),
        (POOR, POOR | {"path_delay": 0}),
        (POOR, POOR | {"poor_viewers": 0}),
        (POOR | {"path_rate": MOST_PATH_RATE}, POOR | {"path_rate": MOST_PATH_RATE + 1}),
        (POOR | {"path_queue": 0.01}, POOR | {"path_queue": 0}),
        (POOR | {"path_delay": MOST_PATH_TIME}, POOR | {"path_delay": MOST_PATH_TIME + 1}),
        (POOR | {"path_loss": MOST_PATH_LOSS}, POOR | {"path_loss": 1}),
        (POOR | {"path_outage": 29}, POOR | {"path_outage": 30}),
        (POOR | {"path_outage": MOST_OUTAGE, "path_outage_every": 61}, POOR | {"path_outage": MOST_OUTAGE + 1}),
        (POOR | {"path_outage_every": 1}, POOR | {"path_outage_every": 0.5}),
    ],
)
def test_a_test_has_bounds(edge: dict[str, Any], beyond: dict[str, Any]) -> None:
    Plan(**edge)
    with pytest.raises(PlanError):
        Plan(**beyond)


def test_the_poor_ones_are_spread_evenly() -> None:
    plan = Plan(media=True, poor_viewers=0.2, poor_presenters=1, path_rate=600)
    assert [number for number in range(20) if plan.is_poor(number, presents=False)] == [4, 9, 14, 19]
    assert all(plan.is_poor(number, presents=True) for number in range(20))
    assert plan.path == Path(rate=600_000)


@pytest.mark.parametrize(
    ("url", "websocket", "api"),
    [
        ("http://localhost:8080", "ws://localhost:8080/ws", "http://localhost:8080/api/v1/server"),
        ("https://example.org/meet/", "wss://example.org/meet/ws", "https://example.org/meet/api/v1/server"),
    ],
)
def test_the_addresses_of_a_server_are_below_that_of_its_start_page(url: str, websocket: str, api: str) -> None:
    target = Target.of(url)
    assert (target.websocket, target.api.geturl()) == (websocket, api)


@pytest.mark.parametrize("url", ["localhost:8080", "ws://localhost/ws", "http://", "http://a/?b", "file:///etc"])
def test_what_is_no_address_of_a_server_is_refused(url: str) -> None:
    with pytest.raises(PlanError, match="https://meet"):
        Target.of(url)


@given(st.lists(st.floats(1e-5, 100), min_size=1), st.floats(1, 100))
def test_percentiles_are_right_within_two_percent(seconds: list[float], percent: float) -> None:
    times = Times()
    for one in seconds:
        times.add(one)
    exact = sorted(seconds)[math.ceil(len(seconds) * percent / 100) - 1]
    assert times.percentile(percent) == pytest.approx(exact, rel=0.02)


def test_no_times_have_no_percentile() -> None:
    assert Times().summary() == {"count": 0, "p50": None, "p90": None, "p95": None, "p99": None, "max": None}


def test_a_line_is_missed_by_those_who_stay_and_told_twice_if_it_comes_again() -> None:
    figures = Figures()
    lines = Lines[str](figures)
    number = lines.say("Ada", ["Ada", "Bob", "Eve"], 1.0)
    lines.hear("Ada", number, 1.5)
    lines.hear("Ada", number, 1.6)
    lines.hear("Newcomer", number, 1.6)
    lines.leave("Eve")
    lines.settle(before=1.0)
    assert (figures.missed, lines.outstanding) == (0, 1), "Bob is still waited for"
    lines.settle()
    assert lines.outstanding == 0
    assert (figures.sent, figures.told, figures.doubled, figures.missed) == (1, 1, 1, 1)
    lines.hear("Bob", number, 99.0)
    assert figures.told == 1


def test_a_line_is_not_missed_if_its_speaker_went_before_hearing_it() -> None:
    figures = Figures()
    lines = Lines[str](figures)
    one, two = (lines.say("Ada", ["Ada", "Bob", "Eve"], 1.0) for _ in range(2))
    lines.hear("Ada", one, 1.5)
    lines.hear("Bob", two, 1.5)
    lines.leave("Ada")
    assert lines.outstanding == 2, "Bob and Eve are to be told the line that Ada has heard"
    lines.settle()
    assert (figures.told, figures.missed, lines.outstanding) == (2, 2, 0)
