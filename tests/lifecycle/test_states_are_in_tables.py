"""Only the tables say what follows from a state: no code outside `lifecycle/` compares a state with a name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import roomfsm
from roomfsm.lifecycle.describe import MACHINES

PACKAGE = Path(roomfsm.__file__).parent
NAMES = {name for table in MACHINES.values() for state in table.states for name in (state.name, state.told)}
OUTSIDE = {
    # These are the tables themselves.
    "lifecycle",
    # The kit knows a server only by its specification, and compares its own model with the server.
    "conformance",
    # This is a program of its own, and its states are those of the RFCs.
    "mediaserver",
}


def is_state(node: ast.expr) -> bool:
    """Whether the expression has the name of a state: `state`, `room.state`, `self._state`, `told_state`."""
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name.rstrip("_").split("_")[-1] == "state"


def names_in(node: ast.AST) -> set[str]:
    """The states that are named in an expression or a pattern."""
    return {
        part.value
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value in NAMES
    }


def decisions(source: str) -> Iterator[int]:
    """The lines that compare a state with the names of states, or match it against them."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Compare(left=left, comparators=others):
                sides = [left, *others]
                if any(map(is_state, sides)) and any(map(names_in, sides)):
                    yield node.lineno
            case ast.Match(subject=subject, cases=cases):
                subjects = subject.elts if isinstance(subject, ast.Tuple) else [subject]
                if any(map(is_state, subjects)) and any(names_in(case.pattern) for case in cases):
                    yield node.lineno
            case ast.MatchClass(kwd_attrs=attributes, kwd_patterns=patterns):
                for name, pattern in zip(attributes, patterns, strict=True):
                    if name.endswith("state") and names_in(pattern):
                        yield node.pattern.lineno if hasattr(node, "pattern") else patterns[0].lineno


@pytest.mark.parametrize(
    "source",
    [
        "if room.state == 'closing': pass",
        "if 'away' != self.session.state: pass",
        "while state in ('live', 'stalled'): pass",
        "x = 1 if leg.told_state == 'negotiating' else 2",
        "match room.state:\n  case 'empty' | 'waiting': pass",
        "match room.state, 1:\n  case 'empty', 1: pass",
        "match room:\n  case Room(state='empty'): pass",
    ],
)
def test_a_comparison_with_a_states_name_is_found(source: str) -> None:
    assert list(decisions(source))


@pytest.mark.parametrize(
    "source",
    [
        "if event.state is DtlsConnectionState.CONNECTED: pass",
        "if room.state == before: pass",
        "if TABLE.state(room.state).final: pass",
        "if source == 'camera': pass",
    ],
)
def test_other_comparisons_are_not_reported(source: str) -> None:
    assert not list(decisions(source))


def test_no_code_outside_the_tables_compares_with_a_states_name() -> None:
    found = [
        f"{file.relative_to(PACKAGE)}:{line}"
        for file in sorted(PACKAGE.rglob("*.py"))
        if file.relative_to(PACKAGE).parts[0] not in OUTSIDE
        for line in decisions(file.read_text())
    ]
    assert found == []
