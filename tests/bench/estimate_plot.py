"""Draws a run of the simulation: what the path carries, what is estimated, what is sent, and how late sound is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from xml.sax.saxutils import escape

from tests.mediaserver.forwarding.layered_path import Course, LayeredSender, needed

WIDTH, HEIGHT, LEFT, TOP, GAP = 800, 200, 60, 40, 40
_LOW, _HIGH = math.log10(40_000), math.log10(6_000_000)
_LATEST = 400.0
"""ms."""


def plot(title: str, course: Course, sender: LayeredSender, seconds: float) -> str:
    def x(time: float) -> float:
        return LEFT + WIDTH * time / seconds

    def rate(value: float) -> float:
        logarithm = min(_HIGH, max(_LOW, math.log10(max(1.0, value))))
        return TOP + HEIGHT * (1 - (logarithm - _LOW) / (_HIGH - _LOW))

    def late(value: float) -> float:
        return TOP + HEIGHT + GAP + HEIGHT * (1 - min(1.0, 1000 * value / _LATEST))

    def line(points: Iterable[tuple[float, float]], y: Callable[[float], float], colour: str) -> str:
        drawn = " ".join(f"{x(time):.1f},{y(value):.1f}" for time, value in points)
        return f'<polyline points="{drawn}" fill="none" stroke="{colour}"/>'

    ends = [*(begin for begin, _ in course.rates[1:]), seconds]
    path = [
        point
        for (begin, value), end in zip(course.rates, ends, strict=True)
        for point in ((begin, value), (end, value))
    ]
    shortest = min(took for _, took in sender.sound)
    shapes = [f'<text x="{LEFT}" y="24" font-size="15">{escape(title)}</text>']
    for value, text in ((1e5, "100 k"), (3e5, "300 k"), (1e6, "1 M"), (3e6, "3 M")):
        shapes.append(_mark(rate(value), text))
    shapes += [_mark(late(value / 1000), f"{value} ms") for value in (0, 100, 200, 300, 400)]
    shapes += [
        line(path, rate, "#999"),
        line(((time, needed(layer, 1.0)) for time, layer in sender.layers), rate, "#2a2"),
        line(((time, known) for time, known in sender.estimates if known is not None), rate, "#06c"),
        line(((sent, took - shortest) for sent, took in sender.sound), late, "#c33"),
    ]
    for index, (text, colour) in enumerate(
        (
            ("the path", "#999"),
            ("the estimate", "#06c"),
            ("the layer and sound", "#2a2"),
            ("sound is late", "#c33"),
        )
    ):
        shapes.append(f'<text x="{LEFT + 330 + 120 * index}" y="24" fill="{colour}">{text}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 20} {TOP + 2 * HEIGHT + GAP + 20}" '
        'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="#fff"/>\n'
        + "\n".join(shapes)
        + "\n</svg>\n"
    )


def _mark(y: float, text: str) -> str:
    return (
        f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
    )
