"""The layout of a diagram: states are stacked as boxes, labels are in the gaps, and long arrows run in lanes
beside them.

The construction avoids overlaps for any table. Each text has a strip of its own, as wide as `typeset` says that it
can become. In the gap between two boxes the right half is for arrows that leave downward, the left half for those
that leave upward. An arrow to the neighbour runs straight; a longer one turns into a lane of its own, and its
label is in the elbow. So the drawing is narrow enough for a phone. All lengths are in the drawing's units (CSS
pixels).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Any

from roomfsm.documents.svg_style import MONO_SIZE, NAME_SIZE, SMALL_SIZE, WORDS_SIZE
from roomfsm.documents.transitions import Transition, moves, stays
from roomfsm.documents.typeset import MONO, Block, longest_word, sans_width, set_rows, wrap_sans
from roomfsm.lifecycle.describe import illegal
from roomfsm.lifecycle.table import State, Table

MARGIN = 20.0
PAD = 14.0
LINE = 16.0
BAR = 32.0
CHARACTER = MONO_SIZE * MONO
NOW_WIDTH = 56.0
COUNT_CHARACTERS = 12
DWELL_CHARACTERS = 16
CORNER = 6.0
HEAD = 9.0

_MIN_WIDTH = 420.0
_MIN_GAP = 46.0
_COUNT_LINE = 14.0
_STEM = 13.0
"""The distance from the middle of a gap to its straight arrows."""
_STEP = 16.0
"""The distance from one stem or lane to the next."""
_LABEL = 10.0
"""The distance from a stem to its label."""
_ENTRY = 16.0
"""The distance from a box's corner to the first lane that enters there, and from each lane to the next."""


@dataclass(frozen=True, slots=True)
class Box:
    """A state's rectangle and the text in it."""

    state: State
    x: float
    y: float
    width: float
    height: float
    meaning: tuple[str, ...]
    refused: tuple[str, ...]
    """The lines that name the messages which are illegal in this state."""
    stays: Block

    @property
    def bottom(self) -> float:
        """The y of the lower edge."""
        return self.y + self.height

    @property
    def right(self) -> float:
        """The x of the right edge."""
        return self.x + self.width

    @property
    def inset(self) -> float:
        """The distance from the outer border to the inner one, which a final state has."""
        return _inset(self.state)

    @property
    def bar_bottom(self) -> float:
        """The y of the lower edge of the bar with the name."""
        return self.y + BAR + self.inset

    @property
    def name_y(self) -> float:
        """The baseline of the text in the bar."""
        return self.bar_bottom - 10.5

    @property
    def words_y(self) -> float:
        """The first baseline of the meaning and of the owned resources."""
        return self.bar_bottom + 18

    @property
    def rule_y(self) -> float:
        """The y of the line above the transitions that stay in the state."""
        return self.y + _words_bottom(self.state, (*self.meaning, *self.refused))

    @property
    def stays_y(self) -> float:
        """The first baseline of the transitions that stay in the state."""
        return self.rule_y + 18


@dataclass(frozen=True, slots=True)
class Lane:
    """The part of a long arrow beside the boxes. The arrow enters it at the y `turn`, and leaves it at `entry`."""

    x: float
    turn: float
    entry: float


@dataclass(slots=True)
class Arrow:
    """An arrow from box `source` to box `dest` (indexes) with a stem at `x`. Its label's first baseline is `y`."""

    source: int
    dest: int
    rows: list[Transition]
    label: Block
    stem: float
    """The lane's distance from the middle."""
    x: float = 0
    y: float = 0
    turn: float = 0
    lane: Lane | None = None

    @property
    def down(self) -> bool:
        """Whether the arrow leaves its box downward."""
        return self.dest > self.source

    @property
    def long(self) -> bool:
        """Whether the arrow passes other boxes."""
        return abs(self.dest - self.source) > 1

    @property
    def gap(self) -> int:
        """The index of the gap into which the arrow leaves. Each gap has the index of the box above it."""
        return self.source if self.down else self.source - 1

    @property
    def label_x(self) -> float:
        """The left edge of the arrow's label, which is on the arrow's outer side."""
        return self.x + _LABEL if self.down else self.x - _LABEL - self.label.columns * CHARACTER

    @property
    def count_x(self) -> float:
        """The left edge of the place for a count, or its right edge if the arrow goes upward."""
        return self.x + _LABEL if self.down else self.x - _LABEL

    @property
    def count_y(self) -> float:
        """The baseline of the place for a count."""
        return self.y + self.label.rows * LINE - 1

    @property
    def height(self) -> float:
        """The height of the label and the count."""
        return self.label.rows * LINE + _COUNT_LINE

    @property
    def strip(self) -> float:
        """The width that the arrow needs in its half of the gap."""
        return self.height + (14 if self.long else 6)


class Layout:
    """The position of everything in a table's diagram, below `top`."""

    def __init__(self, table: Table[Any], top: float) -> None:
        self._table = table
        self._index = {state.name: index for index, state in enumerate(table.states)}
        self._pairs = {(self._index[a], self._index[b]): rows for (a, b), rows in moves(table).items()}
        self.box_width = self._needed_width()
        self.arrows = [self._arrow(pair, rows) for pair, rows in self._pairs.items()]
        left, right = self._count_lanes(down=False), self._count_lanes(down=True)
        self.x = MARGIN + left * _STEP + (_ENTRY - CORNER if left else 0)
        self.width = self.x + self.box_width + right * _STEP + (_ENTRY - CORNER if right else 0) + MARGIN
        self.boxes = self._stack(top)
        self._place()
        self._enter()

    @property
    def middle(self) -> float:
        """The x of the boxes' middle."""
        return self.x + self.box_width / 2

    @property
    def bottom(self) -> float:
        """The y of the last box's lower edge."""
        return self.boxes[-1].bottom

    def _needed_width(self) -> float:
        bar = 2 * PAD + NOW_WIDTH + DWELL_CHARACTERS * SMALL_SIZE * MONO + 24
        names = max(sans_width(state.name, NAME_SIZE, bold=True) for state in self._table.states)
        stay = max(longest_word(stays(self._table, state.name)) for state in self._table.states)
        move = max((longest_word(rows) for rows in self._pairs.values()), default=0)
        stems = max((self._stem(pair) for pair in self._pairs), default=0)
        half = stems + _LABEL + max(move, COUNT_CHARACTERS) * CHARACTER
        words = max(sans_width(word, WORDS_SIZE) for state in self._table.states for word in state.meaning.split())
        return ceil(max(_MIN_WIDTH, bar + names, stay * CHARACTER + 2 * PAD, 2 * half, words + 2 * PAD))

    def _siblings(self, pair: tuple[int, int]) -> list[tuple[int, int]]:
        """The pairs of states whose arrows leave the same box on the same side, the nearest first."""
        source, dest = pair
        found = [(a, b) for a, b in self._pairs if a == source and (b > a) == (dest > source)]
        return sorted(found, key=lambda other: abs(other[1] - other[0]))

    def _stem(self, pair: tuple[int, int]) -> float:
        return _STEM + _STEP * self._siblings(pair).index(pair)

    def _arrow(self, pair: tuple[int, int], rows: list[Transition]) -> Arrow:
        stem = self._stem(pair)
        columns = int((self.box_width / 2 - stem - _LABEL) / CHARACTER)
        return Arrow(*pair, rows=rows, label=set_rows(rows, columns), stem=stem)

    def _leaving(self, gap: int, *, down: bool) -> list[Arrow]:
        """The arrows on one side of a gap. The arrow to the farthest box comes first."""
        found = [arrow for arrow in self.arrows if arrow.gap == gap and arrow.down == down]
        return sorted(found, key=lambda arrow: -abs(arrow.dest - arrow.source))

    def _gap_height(self, gap: int) -> float:
        sides = (self._leaving(gap, down=down) for down in (True, False))
        return max(_MIN_GAP, *(sum(arrow.strip for arrow in side) + 12 for side in sides))

    def _stack(self, y: float) -> list[Box]:
        boxes = []
        columns = int((self.box_width - 2 * PAD) / CHARACTER)
        for index, state in enumerate(self._table.states):
            meaning = tuple(wrap_sans(state.meaning, WORDS_SIZE, self.box_width - 2 * PAD))
            refused = self._refused(state)
            block = set_rows(stays(self._table, state.name), columns)
            height = _words_bottom(state, (*meaning, *refused)) + (
                block.rows * LINE + 14 + _inset(state) if block.rows else 0
            )
            entries = max(self._entering(index, down=down) for down in (True, False))
            height = max(height, (entries + 1) * _ENTRY)
            boxes.append(Box(state, self.x, y, self.box_width, height, meaning, refused, block))
            y += height + self._gap_height(index)
        return boxes

    def _refused(self, state: State) -> tuple[str, ...]:
        messages = illegal(self._table, state.name)
        text = f"refuses: {', '.join(messages)}" if messages else ""
        return tuple(wrap_sans(text, WORDS_SIZE, self.box_width - 2 * PAD)) if text else ()

    def _entering(self, index: int, *, down: bool) -> int:
        return sum(arrow.long and arrow.dest == index and arrow.down == down for arrow in self.arrows)

    def _place(self) -> None:
        for gap, (upper, lower) in enumerate(zip(self.boxes, self.boxes[1:], strict=False)):
            y = upper.bottom + 6
            for arrow in self._leaving(gap, down=True):
                arrow.x = self.middle + arrow.stem
                if arrow.long:
                    arrow.turn = y + arrow.height + 4
                else:
                    y += (lower.y - y - arrow.height) / 2
                arrow.y = y + 12
                y = arrow.turn + 10
            y = lower.y - 6
            for arrow in self._leaving(gap, down=False):
                arrow.x = self.middle - arrow.stem
                if arrow.long:
                    arrow.turn = y - arrow.height - 4
                else:
                    y -= (y - upper.bottom - arrow.height) / 2
                arrow.y = y - arrow.height + 12
                y = arrow.turn - 10

    @cached_property
    def _lanes(self) -> dict[tuple[int, int], int]:
        """The lane of each long arrow, counted outward from the boxes. Shorter arrows are inside longer ones."""
        lanes: dict[tuple[int, int], int] = {}
        for pair in sorted(filter(_is_long, self._pairs), key=lambda pair: abs(pair[1] - pair[0])):
            beside = [lane for other, lane in lanes.items() if _meet(pair, other)]
            lanes[pair] = max(beside, default=-1) + 1
        return lanes

    def _count_lanes(self, *, down: bool) -> int:
        return max((lane + 1 for (a, b), lane in self._lanes.items() if (b > a) == down), default=0)

    def _enter(self) -> None:
        long = [arrow for arrow in self.arrows if arrow.long]
        entered: dict[tuple[int, bool], int] = {}
        for arrow in sorted(long, key=lambda arrow: self._lanes[arrow.source, arrow.dest]):
            dest, key = self.boxes[arrow.dest], (arrow.dest, arrow.down)
            entered[key] = entered.get(key, 0) + 1
            away = self._lanes[arrow.source, arrow.dest] * _STEP + _ENTRY + CORNER
            inward = entered[key] * _ENTRY
            arrow.lane = (
                Lane(dest.right + away, arrow.turn, dest.y + inward)
                if arrow.down
                else Lane(dest.x - away, arrow.turn, dest.bottom - inward)
            )


def _words_bottom(state: State, lines: Sequence[str]) -> float:
    """The distance from a box's upper edge to the end of its text."""
    return _inset(state) + BAR + (len(lines) + bool(state.owns)) * LINE + 14


def _inset(state: State) -> float:
    return 4 if state.final else 0


def _is_long(pair: tuple[int, int]) -> bool:
    return abs(pair[1] - pair[0]) > 1


def _meet(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Whether two long arrows on the same side would overlap in one lane."""
    same_side = (a[1] > a[0]) == (b[1] > b[0])
    return same_side and max(min(a), min(b)) < min(max(a), max(b))
