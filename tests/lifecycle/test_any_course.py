"""Whatever triggers and facts come, in any order, a machine goes where its table says, or stays where it is."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from roomfsm.lifecycle.door import DOOR
from roomfsm.lifecycle.room import ROOM, RoomFacts
from roomfsm.lifecycle.seat import SEAT, SeatFacts
from roomfsm.lifecycle.server import SERVER, ServerFacts
from roomfsm.lifecycle.session import SESSION, SessionFacts
from roomfsm.lifecycle.sound import SOUND
from roomfsm.lifecycle.stream import STREAM, VIEW
from roomfsm.lifecycle.table import STAYS, Row, Table
from roomfsm.protocol.errors import ErrorCode, IllegalInState, Refusal
from roomfsm.protocol.roles import Role

count = st.integers(0, 3)
ROOM_FACTS = st.builds(
    RoomFacts,
    people=count,
    streams=count,
    presenters=count,
    views=count,
    max_people=count,
    max_presenters=count,
    max_views=count,
    member=st.booleans(),
    stream_exists=st.booleans(),
    own_stream=st.booleans(),
    viewing=st.booleans(),
    publishing=st.booleans(),
    within_rates=st.booleans(),
    presenter=st.booleans(),
    moderator=st.booleans(),
    banned=st.booleans(),
    locked=st.booleans(),
    addressee_there=st.booleans(),
    addressee_away=st.booleans(),
    to_oneself=st.booleans(),
    line_exists=st.booleans(),
    held=count,
    notice=st.booleans(),
)
SEAT_FACTS = st.builds(
    SeatFacts,
    role=st.sampled_from(Role),
    found=st.booleans(),
    oneself=st.booleans(),
    silenced=st.booleans(),
    within_rates=st.booleans(),
    needs_moderator=st.booleans(),
    may_stand_in=st.booleans(),
    stands_in=st.booleans(),
    moderator_comes=st.booleans(),
)
SERVER_FACTS = st.builds(ServerFacts, sessions=count, max_sessions=count, media_reachable=st.booleans())
COMPLETIONS = ("drained", "promoted", "relieved")
"""The triggers that `Table.follow` fires. They are never refused, because nobody sends them."""


def by_the_rows(table: Table[Any], state: str, trigger: str, facts: Any) -> Row[Any] | ErrorCode | None:
    """The row to take or the code of the refusal, read from the rows without `transitions`.

    None means that no row fits and no guard refuses.
    """
    rows = table.rows_of(state, trigger)
    if not rows:
        return ErrorCode.ILLEGAL_IN_STATE
    codes = []
    for row in rows:
        failed = next((guard for guard in row.guards if not guard.holds(facts)), None)
        if failed is None:
            return row
        codes.append(failed.code)
    return next((code for code in codes if code is not None), None)


@pytest.mark.parametrize(
    ("table", "facts"),
    [
        (ROOM, ROOM_FACTS),
        (SESSION, st.builds(SessionFacts, token_known=st.booleans())),
        (SERVER, SERVER_FACTS),
        (SEAT, SEAT_FACTS),
        (DOOR, st.none()),
        (SOUND, st.none()),
        (STREAM, st.none()),
        (VIEW, st.none()),
    ],
    ids=lambda value: value.name if isinstance(value, Table) else "",
)
def test_whatever_triggers_come_a_model_only_goes_where_its_table_says(
    table: Table[Any], facts: st.SearchStrategy[Any]
) -> None:
    names = {state.name for state in table.states}

    class Course(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.model = table.new()
            self.ended = False

        @rule(trigger=st.sampled_from(table.triggers), facts=facts)
        def fire(self, trigger: str, facts: Any) -> None:
            before = self.model.state
            self.ended = table.state(before).final
            row = by_the_rows(table, before, trigger, facts)
            if trigger in COMPLETIONS:
                followed = table.follow(self.model, trigger, lambda: facts)
                assert (followed is not None) == isinstance(row, Row)
                assert followed is None or self.model.state == followed.dest
                return
            assert row is not None
            if isinstance(row, ErrorCode):
                with pytest.raises(Refusal) as refused:
                    table.fire(self.model, trigger, facts)
                assert refused.value.code is row
                assert isinstance(refused.value, IllegalInState) == (trigger not in table.legal(before))
                assert self.model.state == before
                return
            step = table.fire(self.model, trigger, facts)
            assert (step.source, step.dest) == (before, before if row.dest == STAYS else row.dest)
            assert (self.model.state, step.effects) == (step.dest, row.effects)

        @invariant()
        def is_somewhere(self) -> None:
            assert self.model.state in names

        @precondition(lambda self: self.ended)
        @invariant()
        def never_comes_back(self) -> None:
            assert table.state(self.model.state).final

    run_state_machine_as_test(Course)


@given(
    st.sampled_from([state.name for state in ROOM.states]),
    st.sampled_from([trigger for trigger in ROOM.triggers if trigger not in COMPLETIONS]),
    ROOM_FACTS,
)
def test_whatever_the_facts_are_a_row_fits_or_a_guard_refuses(state: str, trigger: str, facts: RoomFacts) -> None:
    """If several rows answer a trigger, one of them fits or a guard refuses. `fire` has no third result."""
    room = ROOM.new()
    room.state = state
    with suppress(Refusal):
        assert ROOM.fire(room, trigger, facts).dest == room.state
