"""Given a relay's machine, tests what moves it from the two media servers' descriptions to its end."""

from __future__ import annotations

import pytest

from roomfsm.lifecycle.relay import RELAY
from roomfsm.protocol.errors import IllegalInState

MOVES = [
    ("asked", "described", "described"),
    ("described", "connected", "connected"),
    ("connected", "connected", "connected"),
    ("live", "connected", "live"),
    ("stalled", "connected", "stalled"),
    ("described", "flowing", "live"),
    ("connected", "flowing", "live"),
    ("stalled", "flowing", "live"),
    ("live", "flowing", "live"),
    ("live", "silent", "stalled"),
    ("described", "silent", "described"),
    ("connected", "silent", "connected"),
    ("stalled", "silent", "stalled"),
    *((state, "lost", "asked") for state in ("connected", "live", "stalled")),
    *((state, "end", "ended") for state in ("asked", "described", "connected", "live", "stalled")),
]


@pytest.mark.parametrize(("state", "trigger", "dest"), MOVES)
def test_given_a_state_the_trigger_leads_there(state: str, trigger: str, dest: str) -> None:
    model = RELAY.new()
    model.state = state
    assert RELAY.fire(model, trigger, None).dest == dest


@pytest.mark.parametrize("state", [state.name for state in RELAY.states])
@pytest.mark.parametrize("trigger", RELAY.triggers)
def test_everything_else_is_illegal(state: str, trigger: str) -> None:
    if (state, trigger) in {(source, known) for source, known, _ in MOVES}:
        return
    model = RELAY.new()
    model.state = state
    with pytest.raises(IllegalInState):
        RELAY.fire(model, trigger, None)


def test_its_endpoints_are_there_until_it_ends_and_its_time_to_connect_runs_until_it_is_connected() -> None:
    owned = {state.name: set(state.owns) for state in RELAY.states}
    assert owned == {
        "asked": {"endpoints", "connect timeout"},
        "described": {"endpoints", "connect timeout"},
        "connected": {"endpoints"},
        "live": {"endpoints"},
        "stalled": {"endpoints"},
        "ended": set(),
    }
