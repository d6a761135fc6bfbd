"""Draws what the simulation of `tests.bench.scaling` has shown: how busy all are, and how long a line takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

_WIDTH, _HEIGHT, _LEFT, _TOP = 560, 170, 60, 40
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#333}.g{stroke:#ccc}.l{fill:none;stroke-width:2}"
    "@media(prefers-color-scheme:dark){svg{background:#1b1b1b}text{fill:#ddd}.g{stroke:#444}}"
)


class Seen(Protocol):
    """One point of the plot."""

    @property
    def people(self) -> int: ...
    @property
    def node_busy(self) -> float: ...
    @property
    def redis_busy(self) -> float: ...
    @property
    def median(self) -> float: ...
    @property
    def p99(self) -> float: ...


type Line = tuple[str, str, Callable[[Seen], float]]


def plot(points: Sequence[Seen]) -> str:
    """Two panels below each other, as SVG. The number of people grows to the right, logarithmically."""
    busy: list[Line] = [
        ("Redis", "#c0392b", lambda one: min(100 * one.redis_busy, 120)),
        ("room servers (more of them as people come)", "#2f6fde", lambda one: 100 * one.node_busy),
    ]
    told: list[Line] = [
        ("99 of 100 lines", "#c0392b", lambda one: math.log10(1e3 * one.p99)),
        ("half of the lines", "#2f6fde", lambda one: math.log10(1e3 * one.median)),
    ]
    height = 2 * (_HEIGHT + _TOP + 40)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH + _LEFT + 20} {height}" role="img" '
        'aria-label="How busy Redis and the room servers are, and how long a line of chat takes, by people">'
        f"<style>{_STYLE}</style>"
        + _panel("Busy (%)", points, busy, [(value, f"{value}") for value in (0, 50, 100)], 120, 0)
        + _panel(
            "A line reaches everybody after (ms)",
            points,
            told,
            [(float(power), f"{10**power:,}") for power in range(5)],
            4.3,
            _HEIGHT + _TOP + 40,
        )
        + "</svg>\n"
    )


def _panel(
    title: str,
    points: Sequence[Seen],
    lines: Sequence[Line],
    marks: Sequence[tuple[float, str]],
    most: float,
    top: int,
) -> str:
    low, high = math.log(points[0].people), math.log(points[-1].people)

    def x(people: int) -> float:
        return _LEFT + (math.log(people) - low) / (high - low) * _WIDTH

    def y(value: float) -> float:
        return top + _TOP + _HEIGHT * (1 - value / most)

    parts = [f'<text x="{_LEFT}" y="{top + 16}" font-weight="bold">{title}</text>']
    for value, text in marks:
        parts.append(
            f'<line class="g" x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
        )
        parts.append(f'<text x="{_LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{text}</text>')
    parts += [
        f'<text x="{x(one.people):.1f}" y="{top + _TOP + _HEIGHT + 18}" text-anchor="middle">'
        f"{one.people // 1000:,}k</text>"
        for one in points
    ]
    for number, (name, colour, value_of) in enumerate(lines):
        path = " ".join(f"{x(one.people):.1f},{y(value_of(one)):.1f}" for one in points)
        parts.append(f'<polyline class="l" stroke="{colour}" points="{path}"/>')
        at = _LEFT + 200 * number
        parts.append(f'<text x="{at}" y="{top + 33}" style="fill:{colour}">— {name}</text>')
    return "".join(parts)
