"""Streams, views and sessions: every row of their tables, and nothing else, moves them."""

from __future__ import annotations

from typing import Any

import pytest

from roomfsm.lifecycle.session import SESSION, SessionFacts
from roomfsm.lifecycle.stream import STREAM, VIEW
from roomfsm.lifecycle.table import STAYS, Table
from roomfsm.protocol.errors import ErrorCode, IllegalInState, Refusal

type Move = tuple[str, str, str, list[str]]

LEG: list[Move] = [
    ("negotiating", "answered", "negotiating", ["send answer"]),
    ("negotiating", "candidate", "negotiating", ["keep candidate"]),
    ("live", "candidate", "live", ["keep candidate"]),
    ("stalled", "candidate", "stalled", ["keep candidate"]),
    ("negotiating", "flowing", "live", ["tell state"]),
    ("stalled", "flowing", "live", ["tell state"]),
    ("live", "flowing", "live", []),
    ("live", "silent", "stalled", ["tell state"]),
    ("negotiating", "silent", "negotiating", []),
    ("stalled", "silent", "stalled", []),
    ("negotiating", "end", "ended", []),
    ("live", "end", "ended", []),
    ("stalled", "end", "ended", []),
    ("ended", "answered", "ended", []),
    ("ended", "flowing", "ended", []),
    ("ended", "silent", "ended", []),
]
VIEW_ONLY: list[Move] = [
    ("negotiating", "narrow", "limited", ["tell limited"]),
    ("live", "narrow", "limited", ["tell limited"]),
    ("stalled", "narrow", "limited", ["tell limited"]),
    ("limited", "narrow", "limited", []),
    ("limited", "wide", "live", ["tell state"]),
    *[(state, "wide", state, []) for state in ("negotiating", "live", "stalled")],
    ("limited", "flowing", "limited", []),
    ("limited", "silent", "limited", []),
    ("limited", "candidate", "limited", ["keep candidate"]),
    ("limited", "end", "ended", []),
    ("ended", "narrow", "ended", []),
    ("ended", "wide", "ended", []),
]
STREAM_ONLY: list[Move] = [(state, "view", state, []) for state in ("negotiating", "live", "stalled")]
IN_ROOM = ("switch", "rename", "chat", "publish", "unpublish", "view", "unview", "candidate", "ping", "reattach")
SESSIONS: list[Move] = [
    ("connected", "join", "joined", []),
    ("connected", "ping", "connected", []),
    ("connected", "resume", "gone", []),
    ("connected", "lost", "gone", []),
    ("connected", "bye", "gone", []),
    *[("joined", trigger, "joined", []) for trigger in IN_ROOM],
    ("joined", "leave", "connected", []),
    ("joined", "lost", "away", []),
    ("joined", "dismissed", "connected", []),
    ("joined", "bye", "gone", []),
    ("away", "reattach", "joined", []),
    ("away", "dismissed", "gone", []),
    ("away", "expire", "gone", []),
]
MACHINES: list[tuple[Table[Any], Any, list[Move]]] = [
    (STREAM, None, LEG + STREAM_ONLY),
    (VIEW, None, LEG + VIEW_ONLY),
    (SESSION, SessionFacts(token_known=True), SESSIONS),
]


@pytest.mark.parametrize(
    ("table", "facts", "state", "trigger", "dest", "effects"),
    [(table, facts, *move) for table, facts, moves in MACHINES for move in moves],
)
def test_move(table: Table[Any], facts: Any, state: str, trigger: str, dest: str, effects: list[str]) -> None:
    model = table.new()
    model.state = state
    step = table.fire(model, trigger, facts)
    assert (model.state, list(step.effects)) == (dest, effects)


@pytest.mark.parametrize(("table", "facts", "moves"), MACHINES)
def test_the_moves_above_are_the_table(table: Table[Any], facts: Any, moves: list[Move]) -> None:
    rows = {
        (source, trigger, source if row.dest == STAYS else row.dest)
        for row in table.rows
        for source in row.sources
        for trigger in row.triggers
    }
    assert {(state, trigger, dest) for state, trigger, dest, _ in moves} == rows
    for state in table.states:
        for trigger in set(table.triggers) - set(table.legal(state.name)):
            model = table.new()
            model.state = state.name
            with pytest.raises(IllegalInState):
                table.fire(model, trigger, facts)
            assert model.state == state.name


def test_an_unknown_token_resumes_nothing() -> None:
    session = SESSION.new()
    with pytest.raises(Refusal) as refused:
        SESSION.fire(session, "resume", SessionFacts(token_known=False))
    assert refused.value.code is ErrorCode.SESSION_UNKNOWN
    assert session.state == "connected"


@pytest.mark.parametrize("table", [STREAM, VIEW, SESSION])
def test_a_final_state_is_never_left(table: Table[Any]) -> None:
    for state in table.states:
        if state.final:
            assert all(row.dest == STAYS for row in table.rows if state.name in row.sources)
