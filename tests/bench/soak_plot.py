"""A line of memory over joins as a small SVG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 800, 320, 70, 40, 40
_LINES = 5


def write_plot(path: Path, samples: Sequence[tuple[int, int]], title: str) -> None:
    """`samples`: joins so far and resident kB. The memory's axis begins at 0, so that flat looks flat."""
    most_joins = max(joins for joins, _ in samples)
    most_memory = max(kilobytes for _, kilobytes in samples) * 1.1

    def x(joins: float) -> float:
        return LEFT + (WIDTH - LEFT - 20) * joins / most_joins

    def y(kilobytes: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * kilobytes / most_memory

    shapes = [f'<text x="{LEFT}" y="24" font-size="15">{escape(title)}</text>']
    for index in range(_LINES + 1):
        memory, joins = most_memory * index / _LINES, most_joins * index / _LINES
        shapes += [
            f'<line x1="{LEFT}" x2="{WIDTH - 20}" y1="{y(memory):.1f}" y2="{y(memory):.1f}" stroke="#ddd"/>',
            f'<text x="{LEFT - 8}" y="{y(memory) + 4:.1f}" text-anchor="end">{memory / 1024:.0f} MB</text>',
            f'<text x="{x(joins):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{joins:.0f}</text>',
        ]
    points = " ".join(f"{x(joins):.1f},{y(kilobytes):.1f}" for joins, kilobytes in samples)
    shapes.append(f'<polyline points="{points}" fill="none" stroke="#06c" stroke-width="2"/>')
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
        f' font-size="12">\n<rect width="100%" height="100%" fill="#fff"/>\n' + "\n".join(shapes) + "\n</svg>\n"
    )
