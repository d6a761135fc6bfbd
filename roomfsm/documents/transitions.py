"""A machine's transitions as diagrams show them: which stay, which move, and the words on each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from roomfsm.lifecycle.describe import describe
from roomfsm.lifecycle.legality import MESSAGE_TYPES
from roomfsm.lifecycle.table import Table


@dataclass(frozen=True, slots=True)
class Transition:
    """One row for one source and trigger; `guards` and `effects` are names."""

    trigger: str
    source: str
    dest: str
    guards: tuple[str, ...]
    effects: tuple[str, ...]

    @property
    def message(self) -> bool:
        """Whether a client's message fires it, and not something that the server notices."""
        return self.trigger in MESSAGE_TYPES

    @property
    def stays(self) -> bool:
        """Whether the state is the same afterwards."""
        return self.source == self.dest

    @property
    def condition(self) -> str:
        """`[guard, guard]`, or nothing (UML 2.5.1 section 14.2.4.9)."""
        return f"[{', '.join(self.guards)}]" if self.guards else ""

    @property
    def behaviour(self) -> str:
        """`/ effect, effect`, or nothing."""
        return f"/ {', '.join(self.effects)}" if self.effects else ""

    @property
    def label(self) -> str:
        """`trigger [guard, guard] / effect, effect`."""
        return " ".join(filter(None, (self.trigger, self.condition, self.behaviour)))


def transitions(table: Table[Any]) -> list[Transition]:
    """All of them, in the table's order."""
    return [
        Transition(
            trigger=row["trigger"],
            source=row["from"],
            dest=row["to"],
            guards=tuple(guard["name"] for guard in row["guards"]),
            effects=tuple(map(str, row["effects"])),
        )
        for row in describe(table)["transitions"]
    ]


def stays(table: Table[Any], state: str) -> list[Transition]:
    """Those that stay in `state` (UML's internal transitions)."""
    return [row for row in transitions(table) if row.stays and row.source == state]


def moves(table: Table[Any]) -> dict[tuple[str, str], list[Transition]]:
    """Those that move, by source and destination: one arrow each."""
    arrows: dict[tuple[str, str], list[Transition]] = {}
    for row in transitions(table):
        if not row.stays:
            arrows.setdefault((row.source, row.dest), []).append(row)
    return arrows
