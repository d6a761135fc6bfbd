"""A machine in Graphviz's language (https://graphviz.org/doc/info/lang.html)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from roomfsm.documents.transitions import moves, stays
from roomfsm.lifecycle.table import State, Table


def dot(table: Table[Any], *, current: Collection[str] = ()) -> str:
    """The diagram of `table` with the states `current` marked. A final state has a double border."""
    return "\n".join(_lines(table, current)) + "\n"


def _lines(table: Table[Any], current: Collection[str]) -> Iterator[str]:
    yield f"digraph {_quoted(table.name)} {{"
    yield f"  label={_quoted(table.meaning)};"
    yield '  graph [labelloc=t, fontname="sans-serif", nodesep=0.6, ranksep=0.7];'
    yield '  node [shape=box, style=rounded, margin="0.15,0.1", fontname="sans-serif", fontsize=11];'
    yield '  edge [fontname="monospace", fontsize=9];'
    yield '  "" [shape=point, width=0.15];'
    yield f'  "" -> {_quoted(table.initial)};'
    for state in table.states:
        marks = ["peripheries=2"] if state.final else []
        marks += ["penwidth=4"] if state.name in current else []
        yield f"  {_quoted(state.name)} [{', '.join([f'label={_label(table, state, current)}', *marks])}];"
    for (source, dest), rows in moves(table).items():
        label = _left([row.label for row in rows])
        yield f"  {_quoted(source)} -> {_quoted(dest)} [label={label}];"
    yield "}"


def _label(table: Table[Any], state: State, current: Collection[str]) -> str:
    name = f"▶ {state.name} (now)" if state.name in current else state.name
    owns = [f"owns: {state.owned}"] if state.owns else []
    rows = [row.label for row in stays(table, state.name)]
    return _left([name, state.meaning, *owns, *([" ", *rows] if rows else [])])


def _left(lines: list[str]) -> str:
    """A quoted string of lines, each set flush left by its `\\l`."""
    return '"' + "".join(f"{_escaped(line)}\\l" for line in lines) + '"'


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
