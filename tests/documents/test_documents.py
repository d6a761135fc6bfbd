"""Given the documents in the repository, they say what the tables and messages say today."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from roomfsm.documents.__main__ import DOCUMENTS, ROOT
from roomfsm.documents.lifecycle_md import lifecycle_md
from roomfsm.lifecycle.describe import MACHINES, illegal, messages_of


@pytest.mark.parametrize("path", DOCUMENTS)
def test_the_file_is_up_to_date(path: str) -> None:
    file = ROOT / path
    written = file.read_text(encoding="utf-8") if file.exists() else None
    assert written == DOCUMENTS[path](), f"{path} is not fresh: uv run python -m roomfsm.documents"


def table_below(section: str, heading: str) -> Iterator[list[str]]:
    """The cells of the first table below a heading, without the row of dashes."""
    text = lifecycle_md().split(f"\n## {section}\n")[1].split("\n## ")[0].split(f"\n### {heading}\n")[1]
    lines = [line for line in text.split("\n### ")[0].splitlines() if line.startswith("|")]
    for line in (lines[0], *lines[2:]):
        yield [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize("machine", [name for name, table in MACHINES.items() if messages_of(table)])
def test_the_legal_messages_are_those_of_the_table(machine: str) -> None:
    table = MACHINES[machine]
    (_, *states), *rows = table_below(machine, "Messages")
    assert states == [state.name for state in table.states]
    assert sorted(row[0].strip("`") for row in rows) == sorted(messages_of(table))
    for message, *cells in rows:
        for state, cell in zip(states, cells, strict=True):
            found = table.rows_of(state, message.strip("`"))
            refused = message.strip("`") in illegal(table, state)
            assert cell.startswith("✓") if found else cell == ("–" if refused else "")
            for guard in (guard for row in found for guard in row.guards):
                assert guard.code is None or f"`{guard.code}`" in cell


@pytest.mark.parametrize("machine", MACHINES)
def test_the_transitions_are_those_of_the_table(machine: str) -> None:
    table = MACHINES[machine]
    _, *rows = table_below(machine, "Transitions")
    written = {
        (trigger.strip("`*"), source, source if to == "stays" else to, effects)
        for trigger, sources, to, _, effects in rows
        for source in sources.split(", ")
    }
    assert written == {
        (trigger, source, row.dest_from(source), ", ".join(row.effects))
        for row in table.rows
        for trigger in row.triggers
        for source in row.sources
    }
