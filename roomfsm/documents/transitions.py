"""A machine's transitions in the form that diagrams show: those that stay, those that move, and their labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from roomfsm.lifecycle.describe import describe
from roomfsm.lifecycle.legality import MESSAGE_TYPES
from roomfsm.lifecycle.table import Table


@dataclass(frozen=True, slots=True)
class Transition:
    """One row, for one source and one trigger. `guards` and `effects` are names."""

    trigger: str
    source: str
    dest: str
    guards: tuple[str, ...]
    effects: tuple[str, ...]

    @property
    def message(self) -> bool:
        """Whether a client's message fires it. Otherwise the server notices the cause."""
        return self.trigger in MESSAGE_TYPES

    @property
    def stays(self) -> bool:
        """Whether the transition leaves the state as it is."""
        return self.source == self.dest

    @property
    def condition(self) -> str:
        """The guards as `[guard, guard]`, or nothing (UML 2.5.1 section 14.2.4.9)."""
        return f"[{', '.join(self.guards)}]" if self.guards else ""

    @property
    def behaviour(self) -> str:
        """The effects as `/ effect, effect`, or nothing."""
        return f"/ {', '.join(self.effects)}" if self.effects else ""

    @property
    def label(self) -> str:
        """The whole label, as `trigger [guard, guard] / effect, effect`."""
        return " ".join(filter(None, (self.trigger, self.condition, self.behaviour)))


def transitions(table: Table[Any]) -> list[Transition]:
    """All transitions of a table, in its order."""
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
    """The transitions that stay in `state`. UML calls them internal transitions."""
    return [row for row in transitions(table) if row.stays and row.source == state]


def moves(table: Table[Any]) -> dict[tuple[str, str], list[Transition]]:
    """The transitions that move, by source and destination. Each pair is one arrow."""
    arrows: dict[tuple[str, str], list[Transition]] = {}
    for row in transitions(table):
        if not row.stays:
            arrows.setdefault((row.source, row.dest), []).append(row)
    return arrows
