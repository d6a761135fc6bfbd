"""Streams, views and sessions: every row of their tables, and nothing else, moves them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomfsm.lifecycle.session import SESSION, SessionFacts
from roomfsm.lifecycle.stream import CONNECT_TIMEOUT, ENDPOINT, STREAM, VIEW
from roomfsm.lifecycle.table import STAYS, Table
from roomfsm.protocol.errors import ErrorCode, IllegalInState, Refusal

type Move = tuple[str, str, str, list[str]]

FLOWED = ("answered", "connected", "live", "stalled")
LEG: list[Move] = [
    ("offered", "answered", "answered", ["send answer"]),
    ("offered", "candidate", "offered", ["keep candidate"]),
    ("offered", "end", "ended", ["refuse offer"]),
    *[(state, "candidate", state, ["keep candidate"]) for state in FLOWED],
    *[(state, "restart", state, ["restart"]) for state in FLOWED],
    ("answered", "connected", "connected", []),
    *[(state, "connected", state, []) for state in ("connected", "live", "stalled", "ended")],
    ("live", "silent", "stalled", ["tell state"]),
    *[(state, "silent", state, []) for state in ("answered", "connected", "stalled", "ended")],
    *[(state, "end", "ended", []) for state in FLOWED],
    ("ended", "answered", "ended", []),
    ("ended", "flowing", "ended", []),
]
STREAM_ONLY: list[Move] = [
    *[(state, "layers", state, ["tell layers"]) for state in FLOWED],
    ("ended", "layers", "ended", []),
    *[(state, "speech", state, ["note speech"]) for state in FLOWED],
    ("ended", "speech", "ended", []),
    *[(state, "view", state, []) for state in ("offered", *FLOWED)],
    *[(state, "flowing", "live", ["tell state"]) for state in ("answered", "connected", "stalled")],
    ("live", "flowing", "live", []),
]
EARLY = ("awaiting", "lapsed")
SLOW = {
    "awaiting": "awaiting-limited",
    "lapsed": "lapsed-limited",
    "live": "limited",
    "stalled": "stalled-limited",
}
"""The states of a view whose path is too slow for the picture, by those of one whose path is good."""
LIMITED = tuple(SLOW.values())
UNCONNECTED = ("answered", *EARLY, "awaiting-limited", "lapsed-limited")
CONNECTED = ("connected", "live", "stalled", "limited", "stalled-limited")
PAUSED = ("answered-paused", "paused")
VIEW_ONLY: list[Move] = [
    *[(state, "flowing", "live", ["tell state", "ask keyframe"]) for state in ("connected", "stalled")],
    ("live", "flowing", "live", ["ask keyframe"]),
    ("answered", "flowing", "awaiting", ["tell state"]),
    ("lapsed", "flowing", "awaiting", ["tell state"]),
    ("awaiting", "flowing", "awaiting", []),
    ("awaiting", "silent", "lapsed", ["tell state"]),
    ("lapsed", "silent", "lapsed", []),
    ("awaiting", "connected", "live", ["ask keyframe"]),
    ("lapsed", "connected", "stalled", []),
    *[(state, "candidate", state, ["keep candidate"]) for state in (*EARLY, *LIMITED)],
    *[(state, "end", "ended", []) for state in (*EARLY, *LIMITED)],
    *[(state, "restart", state, ["restart"]) for state in (*EARLY, *LIMITED, *PAUSED)],
    *[(good, "narrow", slow, ["tell limited"]) for good, slow in SLOW.items()],
    ("answered", "narrow", "lapsed-limited", ["tell limited"]),
    ("connected", "narrow", "stalled-limited", ["tell limited"]),
    *[(slow, "wide", good, ["tell state"]) for good, slow in SLOW.items()],
    *[(state, "wide", state, []) for state in (*FLOWED, *EARLY, "ended")],
    *[(state, "narrow", state, []) for state in (*LIMITED, "ended")],
    *[(state, "flowing", "limited", []) for state in ("limited", "stalled-limited")],
    *[(state, "flowing", "awaiting-limited", []) for state in ("awaiting-limited", "lapsed-limited")],
    *[(state, "silent", "stalled-limited", []) for state in ("limited", "stalled-limited")],
    *[(state, "silent", "lapsed-limited", []) for state in ("awaiting-limited", "lapsed-limited")],
    *[(state, "connected", "limited", []) for state in ("limited", "awaiting-limited")],
    *[(state, "connected", "stalled-limited", []) for state in ("stalled-limited", "lapsed-limited")],
    # A viewer who does not want the picture.
    *[(state, "picture_off", "offered-paused", []) for state in ("offered", "offered-paused")],
    *[(state, "picture_off", "answered-paused", []) for state in (*UNCONNECTED, "answered-paused")],
    *[(state, "picture_off", "paused", []) for state in (*CONNECTED, "paused")],
    *[(f"{state}-paused", "picture_on", state, []) for state in ("offered", "answered")],
    ("paused", "picture_on", "connected", []),
    *[(state, "picture_on", state, []) for state in ("offered", *UNCONNECTED, *CONNECTED)],
    ("offered-paused", "answered", "answered-paused", ["send answer"]),
    ("offered-paused", "end", "ended", ["refuse offer"]),
    ("answered-paused", "connected", "paused", ["tell state"]),
    ("paused", "connected", "paused", []),
    *[(state, "end", "ended", []) for state in PAUSED],
    *[(state, trigger, state, []) for state in PAUSED for trigger in ("flowing", "silent", "narrow", "wide")],
    *[(state, "candidate", state, ["keep candidate"]) for state in ("offered-paused", *PAUSED)],
]
IN_ROOM = (
    *("switch", "rename", "chat", "sendFile", "publish", "unpublish", "endStream", "view", "unview"),
    *("adjust", "candidate", "restart", "ping"),
    *("raiseHand", "lowerHand", "media", "speaking", "react", "mute", "unmute", "kick", "ban", "unban", "setRole"),
    *("admit", "deny", "configure", "lock", "unlock", "clearChat", "deleteLine", "closeRoom"),
)
SESSIONS: list[Move] = [
    ("connected", "join", "joined", []),
    ("connected", "ping", "connected", []),
    ("connected", "resume", "gone", []),
    ("connected", "lost", "gone", []),
    ("connected", "bye", "gone", []),
    ("connected", "moved", "gone", []),
    *[("joined", trigger, "joined", []) for trigger in IN_ROOM],
    *[(state, "leave", "connected", []) for state in ("knocking", "joined")],
    ("knocking", "admitted", "joined", []),
    ("knocking", "ping", "knocking", []),
    ("knocking", "lost", "gone", []),
    ("knocking", "bye", "gone", []),
    ("knocking", "reattach", "connected", []),
    ("joined", "lost", "away", []),
    ("joined", "bye", "gone", []),
    ("joined", "moved", "gone", []),
    *[(state, "reattach", "resuming", []) for state in ("joined", "away", "resuming")],
    ("resuming", "resumed", "joined", []),
    *[(state, "dismissed", "connected", []) for state in ("knocking", "joined", "resuming")],
    ("away", "dismissed", "gone", []),
    ("away", "expire", "gone", []),
]
TO_THE_LOBBY: list[Move] = [
    ("connected", "join", "knocking", []),
    ("joined", "switch", "knocking", []),
]
MACHINES: list[tuple[Table[Any], Any, list[Move]]] = [
    (STREAM, None, LEG + STREAM_ONLY),
    (VIEW, None, LEG + VIEW_ONLY),
    (SESSION, SessionFacts(token_known=True), SESSIONS),
]
LOBBY = SessionFacts(waits=True)


@pytest.mark.parametrize(
    ("table", "facts", "state", "trigger", "dest", "effects"),
    [
        *[(table, facts, *move) for table, facts, moves in MACHINES for move in moves],
        *[(SESSION, LOBBY, *move) for move in TO_THE_LOBBY],
    ],
)
def test_given_a_state_when_the_trigger_fires_then_the_table_leads_there_with_these_effects(
    table: Table[Any], facts: Any, state: str, trigger: str, dest: str, effects: list[str]
) -> None:
    model = table.new()
    model.state = state
    step = table.fire(model, trigger, facts)
    assert (model.state, list(step.effects)) == (dest, effects)


@pytest.mark.parametrize(("table", "facts", "moves"), MACHINES)
def test_the_list_of_moves_in_this_file_is_complete(table: Table[Any], facts: Any, moves: list[Move]) -> None:
    rows = {
        (source, trigger, source if row.dest == STAYS else row.dest)
        for row in table.rows
        for source in row.sources
        for trigger in row.triggers
    }
    to_the_lobby = TO_THE_LOBBY if table is SESSION else []
    assert {(state, trigger, dest) for state, trigger, dest, _ in (*moves, *to_the_lobby)} == rows
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


@pytest.mark.parametrize("table", [STREAM, VIEW])
def test_people_are_told_of_a_state_exactly_if_its_name_in_the_protocol_changes(table: Table[Any]) -> None:
    for row in table.rows:
        if row.triggers in (("picture_off",), ("picture_on",)):
            # The room's effect replies to the viewer, who asked for it.
            assert row.effects == ()
            continue
        tells = any(tell.message == "streamChanged" for effect in row.effects for tell in effect.tells)
        for source in row.sources:
            before, after = table.state(source).told, table.state(row.dest_from(source)).told
            # That a leg has ended is told by the room's effects, which end it.
            assert tells == (before != after and after != "ended"), (row.triggers, source)


@pytest.mark.parametrize("table", [STREAM, VIEW])
def test_the_time_to_connect_runs_from_the_answer_until_the_browser_is_connected(table: Table[Any]) -> None:
    timed = {state.name for state in table.states if CONNECT_TIMEOUT in state.owns}
    assert {state.name for state in table.states if table.rows_of(state.name, "connected")} >= timed
    for state in timed:
        (row,) = table.rows_of(state, "connected")
        assert row.dest_from(state) not in timed
    for row in table.rows:
        for source in row.sources:
            if row.dest_from(source) in timed and source not in timed:
                assert "answered" in row.triggers


@given(st.lists(st.sampled_from(["connected", "flowing", "silent", "narrow", "wide"])))
def test_a_view_is_told_in_the_state_that_the_media_server_reported_last(said: list[str]) -> None:
    """Whatever it says in whatever order: of the connection, of the media and of the path, each on its own."""
    view = VIEW.new()
    VIEW.fire(view, "answered", None)
    connected = flowed = flows = slow = False
    for trigger in said:
        VIEW.fire(view, trigger, None)
        connected |= trigger == "connected"
        flows = trigger == "flowing" or (flows and trigger != "silent")
        slow = trigger == "narrow" or (slow and trigger != "wide")
        # Only media that were sent can show that a path is slow.
        flowed |= flows or slow
        without_slow_path = "live" if flows else "stalled" if flowed else "negotiating"
        state = VIEW.state(view.state)
        assert state.told == ("limited" if slow else without_slow_path)
        assert (CONNECT_TIMEOUT in state.owns) == (not connected)


@pytest.mark.parametrize("table", [STREAM, VIEW, SESSION])
def test_a_final_state_is_never_left(table: Table[Any]) -> None:
    for state in table.states:
        if state.final:
            assert all(row.dest == STAYS for row in table.rows if state.name in row.sources)


@pytest.mark.parametrize("table", [STREAM, VIEW])
def test_a_leg_holds_its_endpoint_until_it_has_ended(table: Table[Any]) -> None:
    for state in table.states:
        assert (ENDPOINT in state.owns) == (not state.final), state.name


def test_a_token_is_unknown_unless_the_facts_say_otherwise() -> None:
    session = SESSION.new()
    with pytest.raises(Refusal) as refused:
        SESSION.fire(session, "resume", SessionFacts())
    assert refused.value.code is ErrorCode.SESSION_UNKNOWN
