"""Sets text for drawings without knowing the font: it has widths that no usual font exceeds, and wraps lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from roomfsm.documents.transitions import Transition

MONO = 0.61
"""The width of a monospaced character in em. DejaVu Sans Mono and Menlo have 0.602, Courier 0.6, Consolas 0.55."""
_BOLD = 1.15
_INDENT = 2
_BETWEEN = 3

type Run = tuple[str, str]
"""A class (trigger, guard, effect) and the text in it."""


def sans_width(text: str, size: float, *, bold: bool = False) -> float:
    """A width that `text` has at most in any usual sans-serif font. The widest are Verdana and DejaVu Sans."""
    return size * sum(map(_advance, text)) * (_BOLD if bold else 1)


def _advance(character: str) -> float:
    if character in "ijl":
        return 0.36
    if character in "ftr .,:;'!()[]/|-":
        return 0.46
    if character in "mwMW" or not character.isascii():
        return 1.0
    return 0.65 if character.islower() else 0.8


def wrap_sans(text: str, size: float, width: float) -> list[str]:
    """The words of `text` in lines of at most `width`. A word that is longer has a line of its own."""
    lines: list[str] = []
    for word in text.split():
        if lines and sans_width(f"{lines[-1]} {word}", size) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


@dataclass(frozen=True, slots=True)
class Line:
    """A run of text that begins in a `column` of a `row`, both counted from 0."""

    column: int
    row: int
    runs: tuple[Run, ...]

    @property
    def end(self) -> int:
        """The column after the last character."""
        return self.column + sum(len(text) for _, text in self.runs)


@dataclass(frozen=True, slots=True)
class Block:
    """The lines of rows that are set in a monospaced font."""

    texts: tuple[tuple[Transition, tuple[Line, ...]], ...]

    @property
    def columns(self) -> int:
        """The number of characters of the longest line."""
        return max((line.end for _, lines in self.texts for line in lines), default=0)

    @property
    def rows(self) -> int:
        """The number of lines."""
        return max((line.row + 1 for _, lines in self.texts for line in lines), default=0)


def set_rows(rows: Sequence[Transition], columns: int) -> Block:
    """Set rows. Each begins a new line and is wrapped, but rows that have only a trigger share lines."""
    texts: list[tuple[Transition, tuple[Line, ...]]] = []
    row = column = 0
    for transition in rows:
        bare = transition.label == transition.trigger
        if column and (not bare or column + len(transition.trigger) > columns):
            row, column = row + 1, 0
        lines = [Line(column, row, runs) for runs in _wrapped(transition, columns)]
        for further, line in enumerate(lines[1:], 1):
            lines[further] = Line(_INDENT, row + further, line.runs)
        texts.append((transition, tuple(lines)))
        row, column = (row, lines[0].end + _BETWEEN) if bare else (row + len(lines), 0)
    return Block(tuple(texts))


def longest_word(rows: Sequence[Transition]) -> int:
    """The number of characters of the longest word with its indent. No column may be narrower."""
    return max((len(word) for row in rows for _, word in _words(row)), default=0) + _INDENT


def _wrapped(transition: Transition, columns: int) -> Iterator[tuple[Run, ...]]:
    runs: list[Run] = []
    room = columns
    for kind, word in _words(transition):
        if runs and len(word) + 1 > room:
            yield tuple(runs)
            runs, room = [], columns - _INDENT
        if runs and runs[-1][0] == kind:
            runs[-1] = kind, f"{runs[-1][1]} {word}"
            room -= len(word) + 1
        elif runs:
            runs.append((kind, f" {word}"))
            room -= len(word) + 1
        else:
            runs.append((kind, word))
            room -= len(word)
    yield tuple(runs)


def _words(transition: Transition) -> Iterator[Run]:
    trigger = "trigger message" if transition.message else "trigger"
    parts = ((trigger, transition.trigger), ("guard", transition.condition), ("effect", transition.behaviour))
    for kind, text in parts:
        for word in text.replace("/ ", "/\N{NO-BREAK SPACE}").split(" "):
            if word:
                yield kind, word
