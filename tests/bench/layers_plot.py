"""Draws what each viewer of `tests.bench.layers` got over time: bitrate, size, frames, and sound made up."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from tests.bench.layers import Moment

WIDTH, ROW, LEFT, TOP, GAP = 800, 96, 130, 46, 34
_LOW, _HIGH = math.log10(30_000), math.log10(6_000_000)
_FRAMES = 35.0
_COLOURS = {"the path": "#999", "what came": "#06c", "frames": "#2a2", "sound made up": "#c33"}
_SHADES = {320: "#f2dede", 640: "#fcf3d7", 1280: "#e2f2e2"}
"""The colour behind a picture of each width."""


def plot(title: str, viewers: Sequence[tuple[str, Sequence[Moment]]], seconds: float) -> str:
    shapes = [f'<text x="10" y="22" font-size="15">{escape(title)}</text>']
    for index, (text, colour) in enumerate(_COLOURS.items()):
        shapes.append(f'<text x="{LEFT + 110 * index}" y="22" fill="{colour}">{text}</text>')
    for index, (width, colour) in enumerate(_SHADES.items()):
        x = LEFT + 460 + 115 * index
        shapes.append(f'<rect x="{x}" y="10" width="14" height="14" fill="{colour}"/>')
        shapes.append(f'<text x="{x + 18}" y="22">{width} pixels</text>')
    for number, (name, moments) in enumerate(viewers):
        shapes += _row(TOP + number * (ROW + GAP), name, moments, seconds)
    height = TOP + len(viewers) * (ROW + GAP)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 20} {height}" '
        'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="#fff"/>\n'
        + "\n".join(shapes)
        + "\n</svg>\n"
    )


def _shade(moment: Moment) -> str:
    return "#ddd" if moment.paused else _SHADES.get(moment.width, "#fff")


def _row(top: float, name: str, moments: Sequence[Moment], seconds: float) -> list[str]:
    def x(time: float) -> float:
        return LEFT + WIDTH * time / seconds

    def rate(value: float) -> float:
        logarithm = min(_HIGH, max(_LOW, math.log10(max(1.0, value))))
        return top + ROW * (1 - (logarithm - _LOW) / (_HIGH - _LOW))

    def line(value: Callable[[Moment], float], colour: str) -> str:
        drawn = " ".join(f"{x(one.time):.1f},{value(one):.1f}" for one in moments)
        return f'<polyline points="{drawn}" fill="none" stroke="{colour}"/>'

    step = moments[0].time
    shapes = []
    for shade, alike in groupby(moments, _shade):
        times = [one.time for one in alike]
        begin, width = x(times[0] - step), x(times[-1]) - x(times[0] - step)
        shapes.append(f'<rect x="{begin:.1f}" y="{top}" width="{width:.1f}" height="{ROW}" fill="{shade}"/>')
    for value, text in ((1e5, "100 k"), (1e6, "1 M")):
        shapes.append(f'<text x="{LEFT - 8}" y="{rate(value) + 4:.1f}" text-anchor="end">{text}</text>')
    shapes += [
        line(lambda one: rate(one.rate), _COLOURS["the path"]),
        line(lambda one: rate(one.came), _COLOURS["what came"]),
        line(lambda one: top + ROW * (1 - min(1.0, one.frames / _FRAMES)), _COLOURS["frames"]),
        line(lambda one: top + ROW * (1 - min(1.0, one.concealed)), _COLOURS["sound made up"]),
        f'<text x="10" y="{top + 14}">{escape(name)}</text>',
    ]
    ticks = range(0, int(seconds) + 1, 10)
    shapes += [
        f'<text x="{x(time):.1f}" y="{top + ROW + 14}" text-anchor="middle" fill="#666">{time} s</text>'
        for time in ticks
    ]
    return shapes
