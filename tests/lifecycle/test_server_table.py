"""The server's own table: who may come in, and what it answers to those who ask how it is."""

from __future__ import annotations

import pytest

from roomfsm.lifecycle.server import SERVER, ServerEffect, ServerFacts
from roomfsm.lifecycle.table import STAYS
from roomfsm.protocol.errors import ErrorCode, IllegalInState, Refusal

ALL_WELL = ServerFacts(sessions=1, max_sessions=1, media_reachable=True)

MOVES = [
    ("starting", "opened", "open"),
    ("starting", "live", "starting"),
    ("starting", "stop", "closing"),
    ("starting", "start_again", "closing"),
    ("open", "connect", "open"),
    ("open", "open_room", "open"),
    ("open", "ready", "open"),
    ("open", "live", "open"),
    ("open", "drain", "draining"),
    ("open", "stop", "closing"),
    ("open", "start_again", "closing"),
    ("draining", "connect", "draining"),
    ("draining", "live", "draining"),
    ("draining", "stop", "closing"),
    ("draining", "start_again", "closing"),
    ("closing", "live", "closing"),
    ("closing", "stop", "closing"),
    ("closing", "drained", "closed"),
]
REFUSED = [
    ("open", "connect", ServerFacts(sessions=2, max_sessions=1), ErrorCode.SERVER_FULL),
    ("open", "ready", ServerFacts(), ErrorCode.MEDIA_UNAVAILABLE),
    ("draining", "connect", ServerFacts(sessions=2, max_sessions=1), ErrorCode.SERVER_FULL),
    *[("draining", trigger, ALL_WELL, ErrorCode.SERVER_CLOSING) for trigger in ("open_room", "ready")],
    *[
        (state, trigger, ALL_WELL, ErrorCode.SERVER_CLOSING)
        for state in ("closing", "closed")
        for trigger in ("connect", "open_room", "ready")
    ],
]


@pytest.mark.parametrize(("state", "trigger", "dest"), MOVES)
def test_given_a_state_when_the_trigger_fires_then_the_server_is_in_that_state(
    state: str, trigger: str, dest: str
) -> None:
    server = SERVER.new()
    server.state = state
    assert SERVER.fire(server, trigger, ALL_WELL).dest == server.state == dest


@pytest.mark.parametrize(("state", "trigger", "facts", "code"), REFUSED)
def test_given_these_facts_the_guard_refuses_with_its_code(
    state: str, trigger: str, facts: ServerFacts, code: ErrorCode
) -> None:
    server = SERVER.new()
    server.state = state
    with pytest.raises(Refusal) as refused:
        SERVER.fire(server, trigger, facts)
    assert (refused.value.code, server.state) == (code, state)


def test_the_list_of_moves_in_this_file_is_complete() -> None:
    rows = {
        (source, trigger, row.dest_from(source))
        for row in SERVER.rows
        for source in row.sources
        for trigger in row.triggers
    }
    never = {(state, trigger, state) for state, trigger, _, code in REFUSED if code is ErrorCode.SERVER_CLOSING}
    assert rows == {*MOVES, *never}
    assert all(row.dest == STAYS for row in SERVER.rows if "closed" in row.sources)


@pytest.mark.parametrize("trigger", ["connect", "open_room", "ready"])
def test_a_starting_server_takes_nobody_in_and_is_not_ready(trigger: str) -> None:
    with pytest.raises(IllegalInState):
        SERVER.fire(SERVER.new(), trigger, ALL_WELL)


@pytest.mark.parametrize(
    ("state", "effects"),
    [*((state, (ServerEffect.TELL_CLOSING,)) for state in ("starting", "open", "draining")), ("closing", ())],
)
def test_everybody_is_told_once_that_the_server_closes(state: str, effects: tuple[ServerEffect, ...]) -> None:
    server = SERVER.new()
    server.state = state
    assert SERVER.fire(server, "stop", ServerFacts()).effects == effects


@pytest.mark.parametrize("state", ["starting", "open", "draining"])
@pytest.mark.parametrize(
    ("stay", "effect"), [(True, ServerEffect.TELL_RESTARTING), (False, ServerEffect.TELL_CLOSING)]
)
def test_what_a_server_that_is_restarted_cannot_leave_to_its_next_run_it_ends(
    state: str, stay: bool, effect: ServerEffect
) -> None:
    server = SERVER.new()
    server.state = state
    assert SERVER.fire(server, "start_again", ServerFacts(media_stay=stay)).effects == (effect,)
    # The rooms and the connections are stopped after that, and told nothing else.
    assert SERVER.fire(server, "stop", ServerFacts()).effects == ()


@pytest.mark.parametrize(("state", "trigger"), [("open", "drain"), ("draining", "connect")])
def test_whoever_is_there_or_comes_is_told_of_the_countdown(state: str, trigger: str) -> None:
    server = SERVER.new()
    server.state = state
    assert SERVER.fire(server, trigger, ALL_WELL).effects == (ServerEffect.TELL_COUNTDOWN,)
