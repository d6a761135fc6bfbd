"""Given a file in some state, when something happens to it, then it moves as its table says, or is refused."""

from __future__ import annotations

import pytest

from roomfsm.lifecycle.file import FILE, PLACE, FileFacts
from roomfsm.lifecycle.table import STAYS
from roomfsm.protocol.errors import ErrorCode, IllegalInState, Refusal

MOVES = [
    ("offered", "put", "arriving"),
    ("offered", "unused", "gone"),
    ("offered", "dropped", "gone"),
    ("arriving", "arrived", "here"),
    ("arriving", "late", "gone"),
    ("arriving", "broken_off", "gone"),
    ("arriving", "dropped", "gone"),
    ("here", "fetched", "here"),
    ("here", "dropped", "gone"),
    ("here", "expired", "gone"),
    ("here", "recipient_left", "gone"),
]


@pytest.mark.parametrize(("state", "trigger", "dest"), MOVES)
def test_a_file_moves_as_the_table_says(state: str, trigger: str, dest: str) -> None:
    file = FILE.new()
    file.state = state
    step = FILE.fire(file, trigger, FileFacts())
    assert (step.source, file.state) == (state, dest)
    assert (PLACE in step.left) == (dest == "gone")


@pytest.mark.parametrize("state", [state.name for state in FILE.states])
@pytest.mark.parametrize("trigger", FILE.triggers)
def test_anything_else_is_illegal_and_moves_nothing(state: str, trigger: str) -> None:
    if any((state, trigger) == (source, asked) for source, asked, _ in MOVES):
        return
    file = FILE.new()
    file.state = state
    with pytest.raises(IllegalInState):
        FILE.fire(file, trigger, FileFacts())
    assert file.state == state


def test_bytes_that_are_not_as_many_as_were_announced_leave_the_file_offered() -> None:
    file = FILE.new()
    with pytest.raises(Refusal) as refused:
        FILE.fire(file, "put", FileFacts(as_announced=False))
    assert (refused.value.code, file.state) == (ErrorCode.FILE_INCOMPLETE, "offered")


def test_every_row_has_a_case_in_this_file() -> None:
    rows = {
        (source, trigger, source if row.dest == STAYS else row.dest)
        for row in FILE.rows
        for source in row.sources
        for trigger in row.triggers
    }
    assert set(MOVES) == rows
