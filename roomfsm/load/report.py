"""The report of a load test: as JSON for programs, and as one HTML page with plots for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from typing import Any

from roomfsm.load.figures import MEDIA_TIMES, TIMES, Figures, Media, Times
from roomfsm.load.plan import Plan

_WIDTH, _HEIGHT = 640, 120
_STYLE = """
:root { color-scheme: light dark; }
h1 { overflow-wrap: anywhere; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 1rem 0; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .5rem; border-bottom: 1px solid #8886; text-align: end; }
th:first-child, td:first-child { text-align: start; }
@media (max-width: 40rem) { th, td { padding: .25rem; font-size: .8rem; } }
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
            "media": {"good": _media(figures.good), "poor": _media(figures.poor)},
            "errors": dict(figures.errors.most_common()),
            "times": {name: times.summary() for name, times in figures.times.items()},
        },
        "seconds": [asdict(second) for second in figures.seconds],
    }


def _media(media: Media) -> dict[str, Any]:
    return {
        "views": media.views,
        "videoPackets": media.packets,
        "videoPacketsLost": media.lost,
        "secondsWatched": round(media.watched, 1),
        "secondsWithoutPicture": round(media.without, 1),
        "limited": media.limited,
        "times": {name: times.summary() for name, times in media.times.items()},
    }


def rows(figures: Figures) -> list[tuple[str, str]]:
    """The counts, in words."""
    found = [
        ("people who entered", f"{figures.joined:,}"),
        ("lines of chat sent", f"{figures.sent:,}"),
        ("told to people", f"{figures.told:,}"),
        ("missed", f"{figures.missed:,}"),
        ("told twice", f"{figures.doubled:,}"),
    ]
    return found + [(f"error: {code}", f"{count:,}") for code, count in figures.errors.most_common()]


def time_rows(figures: Figures) -> list[tuple[str, ...]]:
    """What was timed: its meaning, the count, and the percentiles in milliseconds."""
    return _time_rows(TIMES, figures.times)


def media_rows(media: Media) -> list[tuple[str, str]]:
    """The counts of the media on paths of one kind, in words; empty if nobody was there."""
    if not media.views:
        return []
    sent = media.packets + media.lost
    lost = 100 * media.lost / sent if sent else 0.0
    without = 100 * media.without / media.watched if media.watched else 0.0
    return [
        ("views", f"{media.views:,}"),
        ("packets of video received", f"{media.packets:,}"),
        ("packets of video lost for good", f"{media.lost:,} ({lost:.2f} %)"),
        ("seconds without a picture", f"{media.without:,.1f} of {media.watched:,.0f} ({without:.2f} %)"),
        ("limited by the server", f"{media.limited:,}"),
    ]


def media_time_rows(media: Media) -> list[tuple[str, ...]]:
    """Like `time_rows`."""
    return _time_rows(MEDIA_TIMES, media.times)


def media_of(figures: Figures) -> list[tuple[str, Media]]:
    """The media on paths of each kind that somebody was on, and what to call them."""
    kinds = [("good paths", figures.good), ("the poor path", figures.poor)]
    return [(f"Media over {name}", media) for name, media in kinds if media.times["connected"].count]


def _time_rows(meanings: dict[str, str], timed: dict[str, Times]) -> list[tuple[str, ...]]:
    return [
        (meanings[name], *("–" if value is None else f"{value:,}" for value in times.summary().values()))
        for name, times in timed.items()
        if times.count
    ]


TIME_HEADS = ("milliseconds until", "count", "p50", "p90", "p95", "p99", "most")


def as_html(plan: Plan, url: str, figures: Figures) -> str:
    """The report as one page, which needs nothing else."""
    path = plan.poor_viewers > 0 or plan.poor_presenters > 0
    asked = ", ".join(
        f"{name.replace('_', ' ')} {value:g}" if isinstance(value, float) else f"{name.replace('_', ' ')} {value}"
        for name, value in asdict(plan).items()
        if path or not name.startswith(("poor", "path"))
    )
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
            *(
                f"<h2>{escape(name)}</h2>"
                + _table(("what", "count"), media_rows(media))
                + _table(TIME_HEADS, media_time_rows(media))
                for name, media in media_of(figures)
            ),
            "<h2>Second by second</h2>",
            *plots,
            "</html>",
        ]
    )


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>" for line in lines)
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


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
