"""Finds the shortest paths through the specification's tables, and formats them for a report."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from itertools import product

from roomfsm.conformance.spec import Machine, Pair, Row, Spec


@dataclass(frozen=True, slots=True)
class Step:
    """One trigger on a client's path, with the rows of the session and of the room that it takes."""

    trigger: str
    rows: tuple[Row, ...]


def way_to(spec: Spec, pair: Pair, able: Collection[str]) -> list[Step] | None:
    """The path with the fewest triggers of `able` that brings a newcomer into these states of session and room;
    None if there is none.

    The room begins empty. If a machine knows a trigger, the trigger moves it, and it must have a row there.
    """
    session, room = spec.machines["session"], spec.machines["room"]
    goal = (pair.session, pair.room or room.initial)

    def steps(at: tuple[str, str]) -> Iterable[tuple[tuple[str, str], Step]]:
        for trigger in able:
            taken = [_moves(session, trigger, at[0]), _moves(room, trigger, at[1])]
            if not any(taken) or any(rows == [] for rows in taken):
                continue
            for rows in product(*(rows for rows in taken if rows is not None)):
                to = {row.machine: row.dest for row in rows}
                yield (to.get(session.name, at[0]), to.get(room.name, at[1])), Step(trigger, rows)

    return _search((session.initial, room.initial), goal, steps)


def rows_to(machine: Machine, state: str, able: Collection[str]) -> list[Row] | None:
    """The shortest path of rows from the initial state to another one, with triggers of `able`; None if there is
    none.
    """

    def steps(at: str) -> Iterable[tuple[str, Row]]:
        return ((row.dest, row) for row in machine.rows if row.source == at and row.trigger in able)

    return _search(machine.initial, state, steps)


def diagram(machine: Machine, rows: Iterable[Row]) -> str:
    """Rows as a path through the machine's diagram: `room: empty —join→ waiting —publish→ broadcasting`."""
    text = ""
    for row in rows:
        text += f" —{row.trigger}→ {row.dest}" if text else f"{row.source} —{row.trigger}→ {row.dest}"
    return f"{machine.name}: {text or machine.initial}"


def _moves(machine: Machine, trigger: str, state: str) -> list[Row] | None:
    """The machine's rows for the trigger in the state; None if the machine does not know the trigger."""
    if all(row.trigger != trigger for row in machine.rows):
        return None
    return [row for row in machine.rows if row.trigger == trigger and row.source == state]


def _search[Node, Edge](
    start: Node, goal: Node, steps: Callable[[Node], Iterable[tuple[Node, Edge]]]
) -> list[Edge] | None:
    """Search a path breadth first."""
    ways: dict[Node, list[Edge]] = {start: []}
    todo = deque([start])
    while todo and goal not in ways:
        node = todo.popleft()
        for to, edge in steps(node):
            if to not in ways:
                ways[to] = [*ways[node], edge]
                todo.append(to)
    return ways.get(goal)
