"""A machine as an SVG diagram that a page can show live.

We draw it ourselves, without Graphviz: labels with guards and effects need a layout that never overlaps, that is
narrow enough for a phone, and that needs no other program.

A page can find the elements `g.state[data-state]` and `g.move[data-from][data-to][data-triggers]`, and in them
`text.stay[data-state][data-trigger]` and `text.label[data-trigger]`. The class `current` on a state's group
marks the present state. `text.dwell` in a state and `text.count` in a move are empty places for 16 and 12
characters.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from roomfsm.documents.layout import CHARACTER, CORNER, HEAD, LINE, MARGIN, PAD, Arrow, Box, Layout
from roomfsm.documents.svg_style import HEADING_SIZE, NAME_SIZE, SCOPE, WORDS_SIZE, css
from roomfsm.documents.transitions import transitions
from roomfsm.documents.typeset import Block, Line, sans_width, wrap_sans
from roomfsm.lifecycle.describe import illegal
from roomfsm.lifecycle.table import Table

_SAMPLE_COLUMN = 84.0
_LEGEND_LINE = LINE + 1


def svg(table: Table[Any], *, current: Collection[str] = (), standalone: bool = True) -> str:
    """The diagram of `table` with the states `current` marked.

    `standalone` says whether it is a document of its own, with an XML declaration and the stylesheet; otherwise it
    is for a page that has `css()` among its stylesheets. Raises `ValueError` if the table lacks a current state.
    """
    names = [state.name for state in table.states]
    if unknown := [state for state in current if state not in names]:
        raise ValueError(f"the machine {table.name} has no state {unknown[0]!r}; there are {', '.join(names)}")
    meaning = wrap_sans(table.meaning, WORDS_SIZE, 420)
    heading_y = MARGIN + HEADING_SIZE
    initial_y = heading_y + len(meaning) * LINE + 22
    layout = Layout(table, top=initial_y + 34)
    legend = list(_legend(table, layout.x, layout.bottom + 34))
    height = layout.bottom + 24 + len(legend) * _LEGEND_LINE + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{SCOPE}" data-machine={quoteattr(table.name)} role="img"'
        f' width="{_n(layout.width)}" height="{_n(height)}" viewBox="0 0 {_n(layout.width)} {_n(height)}">',
        f"<title>Lifecycle of a {escape(table.name)}</title>",
        f"<desc>{escape(_description(table, current))}</desc>",
        *([f"<style>\n{css()}</style>"] if standalone else []),
        f'<rect class="paper" width="{_n(layout.width)}" height="{_n(height)}"/>',
        _text("heading", layout.x, heading_y, escape(table.name)),
        *_lines(meaning, layout.x, heading_y + 22),
        f'<circle class="initial" cx="{_n(layout.middle)}" cy="{_n(initial_y + 6)}" r="6"/>',
        _line(f"M{_n(layout.middle)} {_n(initial_y + 12)}V{_n(layout.boxes[0].y - HEAD)}"),
        _head(layout.middle, layout.boxes[0].y - 1, "down"),
        *(_move(layout, arrow) for arrow in layout.arrows),
        *(_state(table, box, current=box.state.name in current) for box in layout.boxes),
        *legend,
        "</svg>",
    ]
    declaration = '<?xml version="1.0" encoding="UTF-8"?>\n' if standalone else ""
    return declaration + "\n".join(parts) + "\n"


def _description(table: Table[Any], current: Collection[str]) -> str:
    words = [state.name + (" (final)" if state.final else "") for state in table.states]
    now = f" Now: {', '.join(current)}." if current else ""
    return f"State machine: {table.meaning} It begins in {table.initial}; its states are {', '.join(words)}.{now}"


def _state(table: Table[Any], box: Box, *, current: bool) -> str:
    state = box.state
    classes = " ".join(["state", *(["final"] if state.final else []), *(["current"] if current else [])])
    owns_y = box.words_y + len(box.meaning) * LINE
    now_x = box.x + PAD + sans_width(state.name, NAME_SIZE, bold=True) + 12
    name, identifier = quoteattr(state.name), quoteattr(f"diagram-{table.name}-{state.name}")
    parts = [
        f'<g class="{classes}" data-state={name} id={identifier}>',
        _rect("box", box.x, box.y, box.width, box.height, CORNER),
        _bar(box),
        *([_inner(box)] if state.final else []),
        _text("name", box.x + PAD, box.name_y, escape(state.name)),
        _now(now_x, box.name_y),
        _text("dwell", box.right - PAD, box.name_y, "", ' text-anchor="end"'),
        *_lines(box.meaning, box.x + PAD, box.words_y),
        *([_text("owns", box.x + PAD, owns_y, escape(f"owns: {state.owned}"))] if state.owns else []),
        *_lines(box.refused, box.x + PAD, owns_y + LINE * bool(state.owns), "refused"),
    ]
    if box.stays.rows:
        left, right = box.x + box.inset + 2, box.right - box.inset - 2
        parts.append(f'<path class="rule" d="M{_n(left)} {_n(box.rule_y)}H{_n(right)}"/>')
        parts += _rows("stay", box.stays, box.x + PAD, box.stays_y, f" data-state={name}")
    return "\n".join([*parts, "</g>"])


def _inner(box: Box) -> str:
    inset = box.inset
    return _rect("inner", box.x + inset, box.y + inset, box.width - 2 * inset, box.height - 2 * inset, 3)


def _bar(box: Box) -> str:
    edge = box.inset + 1
    radius = max(CORNER - edge, 2)
    left, right, top, r = box.x + edge, box.right - edge, box.y + edge + radius, _n(radius)
    return (
        f'<path class="bar" d="M{_n(left)} {_n(box.bar_bottom)}V{_n(top)}q0 -{r} {r} -{r}'
        f'H{_n(right - radius)}q{r} 0 {r} {r}V{_n(box.bar_bottom)}z"/>'
    )


def _now(x: float, y: float) -> str:
    pointer = f'<path d="M{_n(x)} {_n(y - 11)}v11l10 -5.5z"/>'
    return f'<g class="now">{pointer}<text x="{_n(x + 15)}" y="{_n(y)}">now</text></g>'


def _move(layout: Layout, arrow: Arrow) -> str:
    source, dest = layout.boxes[arrow.source], layout.boxes[arrow.dest]
    triggers = " ".join(dict.fromkeys(row.trigger for row in arrow.rows))
    anchor = "" if arrow.down else ' text-anchor="end"'
    return "\n".join(
        [
            f'<g class="move" data-from={quoteattr(source.state.name)} data-to={quoteattr(dest.state.name)}'
            f" data-triggers={quoteattr(triggers)}>",
            *_arrow(arrow, source, dest),
            *_rows("label", arrow.label, arrow.label_x, arrow.y),
            _text("count", arrow.count_x, arrow.count_y, "", anchor),
            "</g>",
        ]
    )


def _arrow(arrow: Arrow, source: Box, dest: Box) -> tuple[str, str]:
    # An upward arrow is a downward arrow that is turned by 180 degrees.
    sign = 1 if arrow.down else -1
    start = f"M{_n(arrow.x)} {_n(source.bottom if arrow.down else source.y)}"
    if arrow.lane is None:
        tip = dest.y - 1 if arrow.down else dest.bottom + 1
        return _line(f"{start}V{_n(tip - sign * HEAD)}"), _head(arrow.x, tip, "down" if arrow.down else "up")
    lane, corner = arrow.lane, sign * CORNER
    there, back = _n(corner), _n(-corner)
    tip = dest.right + 1 if arrow.down else dest.x - 1
    line = (
        f"{start}V{_n(lane.turn - corner)}q0 {there} {there} {there}"
        f"H{_n(lane.x - corner)}q{there} 0 {there} {there}"
        f"V{_n(lane.entry - corner)}q0 {there} {back} {there}H{_n(tip + sign * HEAD)}"
    )
    return _line(line), _head(tip, lane.entry, "left" if arrow.down else "right")


def _lines(lines: Sequence[str], x: float, y: float, name: str = "meaning") -> Iterator[str]:
    for index, line in enumerate(lines):
        yield _text(name, x, y + index * LINE, escape(line))


def _rows(name: str, block: Block, x: float, y: float, attributes: str = "") -> Iterator[str]:
    for transition, lines in block.texts:
        spans = "".join(_spans(line, x, y, first=line is lines[0]) for line in lines)
        trigger = f" data-trigger={quoteattr(transition.trigger)}"
        first = lines[0]
        yield _text(name, x + first.column * CHARACTER, y + first.row * LINE, spans, attributes + trigger)


def _spans(line: Line, x: float, y: float, *, first: bool) -> str:
    place = "" if first else f' x="{_n(x + line.column * CHARACTER)}" y="{_n(y + line.row * LINE)}"'
    spans = []
    for kind, text in line.runs:
        spans.append(f'<tspan class="{kind}"{place}>{escape(text)}</tspan>')
        place = ""
    return "".join(spans)


def _legend(table: Table[Any], x: float, y: float) -> Iterator[str]:
    rows = transitions(table)
    entries = [
        ("code", "trigger message", "trigger", "a client's message", any(row.message for row in rows)),
        ("code", "trigger", "trigger", f"what {table.run_by} notices", any(not row.message for row in rows)),
        ("code", "guard", "[guard]", "a condition that must hold", any(row.guards for row in rows)),
        ("code", "effect", "/ effect", f"what {table.run_by} then does", any(row.effects for row in rows)),
        (
            "owns",
            "",
            "owns",
            "a resource that lives as long as the state",
            any(state.owns for state in table.states),
        ),
        (
            "owns",
            "",
            "refuses",
            "messages that get illegal_in_state",
            any(illegal(table, s.name) for s in table.states),
        ),
    ]
    for name, kind, sample, meaning, there in entries:
        if there:
            text = f'<tspan class="{kind}">{sample}</tspan>' if kind else sample
            yield _text(name, x, y, text) + _text("legend", x + _SAMPLE_COLUMN, y, meaning)
            y += _LEGEND_LINE
    if any(state.final for state in table.states):
        icon = _rect("box", x + 1, y - 10, 22, 12, 2) + _rect("inner", x + 4, y - 7, 16, 6, 1)
        yield icon + _text("legend", x + _SAMPLE_COLUMN, y, "a final state")


def _head(x: float, y: float, direction: str) -> str:
    half = HEAD / 2
    offsets = {
        "down": f"l{_n(-half)} {_n(-HEAD)}h{_n(HEAD)}z",
        "up": f"l{_n(-half)} {_n(HEAD)}h{_n(HEAD)}z",
        "left": f"l{_n(HEAD)} {_n(-half)}v{_n(HEAD)}z",
        "right": f"l{_n(-HEAD)} {_n(-half)}v{_n(HEAD)}z",
    }
    return f'<path class="head" d="M{_n(x)} {_n(y)}{offsets[direction]}"/>'


def _line(path: str) -> str:
    return f'<path class="line" d="{path}"/>'


def _rect(name: str, x: float, y: float, width: float, height: float, radius: float) -> str:
    size = f'width="{_n(width)}" height="{_n(height)}" rx="{_n(radius)}"'
    return f'<rect class="{name}" x="{_n(x)}" y="{_n(y)}" {size}/>'


def _text(name: str, x: float, y: float, content: str, attributes: str = "") -> str:
    return f'<text class="{name}" x="{_n(x)}" y="{_n(y)}"{attributes}>{content}</text>'


def _n(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
