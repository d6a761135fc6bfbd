"""A machine as a Mermaid `stateDiagram-v2` (https://mermaid.js.org/syntax/stateDiagram.html)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from roomfsm.documents.transitions import moves, stays
from roomfsm.lifecycle.table import Table

# In Mermaid, these characters end a statement, begin a comment, break a line, or are markup.
_ENTITIES = str.maketrans({character: f"#{ord(character)};" for character in ';#<>":&\\'})


def mermaid(table: Table[Any], *, current: Collection[str] = ()) -> str:
    """The diagram of `table` with the states `current` marked.

    The descriptions of a state are its meaning and what it owns. Transitions that stay in the state are in a note,
    because they would hide the others as loops.
    """
    return "\n".join(_lines(table, current)) + "\n"


def _lines(table: Table[Any], current: Collection[str]) -> Iterator[str]:
    yield "---"
    yield f"title: {table.name}"
    yield "---"
    yield "stateDiagram-v2"
    for state in table.states:
        yield f"  {_id(state.name)} : {state.name}"
        yield f"  {_id(state.name)} : {_escaped(state.meaning)}"
        if state.owns:
            yield f"  {_id(state.name)} : owns {_escaped(state.owned)}"
    yield f"  [*] --> {_id(table.initial)}"
    for (source, dest), rows in moves(table).items():
        for row in rows:
            yield f"  {_id(source)} --> {_id(dest)} : {_escaped(row.label)}"
    for state in table.states:
        if state.final:
            yield f"  {_id(state.name)} --> [*]"
        if rows := stays(table, state.name):
            yield f"  note right of {_id(state.name)}"
            yield from (f"    {_escaped(row.label)}" for row in rows)
            yield "  end note"
    if current:
        yield "  classDef current stroke-width:4px,font-weight:bold"
        yield f"  class {','.join(map(_id, current))} current"


def _id(state: str) -> str:
    """A state's name, changed because Mermaid reads `-` as the beginning of an arrow."""
    return state.replace("-", "_")


def _escaped(text: str) -> str:
    return text.translate(_ENTITIES)
