"""The report of a load test: as JSON for programs, and as one HTML page with plots for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from typing import Any

from roomfsm.load.figures import TIMES, Figures
from roomfsm.load.plan import Plan

_WIDTH, _HEIGHT = 640, 120
_STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .5rem; border-bottom: 1px solid #8886; text-align: end; }
th:first-child, td:first-child { text-align: start; }
figure { margin: 1.5rem 0; } figcaption { font-weight: 600; }
svg { width: 100%; height: auto; } line { stroke: #8886; }
polyline { fill: none; stroke: #2f6fde; stroke-width: 1.5; }
text { font-size: 11px; fill: currentColor; }
"""


def as_json(plan: Plan, server: dict[str, Any], figures: Figures) -> dict[str, Any]:
    """The whole report as plain data. Times are in milliseconds."""
    return {
        "plan": asdict(plan),
        "server": server,
        "figures": {
            "joined": figures.joined,
            "linesSent": figures.sent,
            "linesTold": figures.told,
            "linesMissed": figures.missed,
            "linesDoubled": figures.doubled,
            "videoPackets": figures.packets,
            "videoPacketsLost": figures.lost,
            "errors": dict(figures.errors.most_common()),
            "times": {name: times.summary() for name, times in figures.times.items()},
        },
        "seconds": [asdict(second) for second in figures.seconds],
    }


def rows(figures: Figures) -> list[tuple[str, str]]:
    """The counts, in words."""
    received = figures.packets + figures.lost
    share = f" ({100 * figures.lost / received:.2f} %)" if received else ""
    found = [
        ("people who entered", f"{figures.joined:,}"),
        ("lines of chat sent", f"{figures.sent:,}"),
        ("told to people", f"{figures.told:,}"),
        ("missed", f"{figures.missed:,}"),
        ("told twice", f"{figures.doubled:,}"),
        ("packets of video received", f"{figures.packets:,}"),
        ("packets of video lost", f"{figures.lost:,}{share}"),
    ]
    return found + [(f"error: {code}", f"{count:,}") for code, count in figures.errors.most_common()]


def time_rows(figures: Figures) -> list[tuple[str, ...]]:
    """What was timed: its meaning, the count, and the percentiles in milliseconds."""
    return [
        (TIMES[name], *("–" if value is None else f"{value:,}" for value in times.summary().values()))
        for name, times in figures.times.items()
        if times.count
    ]


TIME_HEADS = ("milliseconds until", "count", "p50", "p90", "p95", "p99", "most")


def as_html(plan: Plan, url: str, figures: Figures) -> str:
    """The report as one page, which needs nothing else."""
    asked = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in asdict(plan).items())
    seconds = figures.seconds
    plots = [
        _plot("People in the rooms", [second.people for second in seconds]),
        _plot("People who came, each second", [second.joined for second in seconds]),
        _plot("Lines told, each second", [second.told for second in seconds]),
        _plot("A line is told after (p95, milliseconds)", [second.message_p95 or 0 for second in seconds]),
        _plot("Errors, each second", [second.errors for second in seconds]),
    ]
    if plan.media:
        plots.insert(3, _plot("Packets of video, each second", [second.packets for second in seconds]))
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
            f"<title>Load test of {escape(url)}</title><style>{_STYLE}</style>",
            f"<h1>Load test of {escape(url)}</h1>",
            f"<p>{escape(asked)}</p>",
            _table(("what", "count"), rows(figures)),
            _table(TIME_HEADS, time_rows(figures)),
            *plots,
            "</html>",
        ]
    )


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>" for line in lines)
    return f"<table><tr>{head}</tr>{body}</table>"


def _plot(title: str, values: Sequence[float]) -> str:
    most = max(values, default=0) or 1
    step = _WIDTH / max(len(values) - 1, 1)
    points = " ".join(f"{at * step:.1f},{_HEIGHT - value / most * _HEIGHT:.1f}" for at, value in enumerate(values))
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<svg viewBox="-4 -16 {_WIDTH + 8} {_HEIGHT + 36}" role="img" aria-label="{escape(title)}">'
        f'<line x1="0" y1="{_HEIGHT}" x2="{_WIDTH}" y2="{_HEIGHT}"/><text y="-4">{most:,.6g}</text>'
        f'<text y="{_HEIGHT + 14}">0 s</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT + 14}" text-anchor="end">{len(values)} s</text>'
        f'<polyline points="{points}"/></svg></figure>'
    )
