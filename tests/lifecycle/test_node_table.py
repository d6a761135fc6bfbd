"""Given a node's machine, tests what it may promise, and how it loses its place and gets another one."""

from __future__ import annotations

import pytest

from roomfsm.lifecycle.node import NODE, NodeEffect
from roomfsm.lifecycle.table import Effect
from roomfsm.protocol.errors import IllegalInState

GIVE_UP, CLAIM = NodeEffect.GIVE_UP, NodeEffect.CLAIM
MOVES: list[tuple[str, str, str, tuple[Effect, ...]]] = [
    ("joining", "joined", "member", ()),
    ("joining", "refused", "gone", (GIVE_UP,)),
    ("draining", "refused", "gone", (GIVE_UP,)),
    ("member", "beat", "member", ()),
    ("draining", "beat", "draining", ()),
    ("cut_off", "beat", "member", ()),
    ("member", "late", "cut_off", ()),
    ("draining", "late", "draining", ()),
    ("member", "reaped", "outlived", (GIVE_UP,)),
    ("cut_off", "reaped", "outlived", (GIVE_UP,)),
    ("draining", "reaped", "gone", (GIVE_UP,)),
    ("outlived", "join_again", "joining", (NodeEffect.RENAME,)),
    ("member", "forgotten", "joining", (CLAIM,)),
    ("cut_off", "forgotten", "joining", (CLAIM,)),
    ("draining", "forgotten", "draining", (CLAIM,)),
    ("member", "drain", "draining", ()),
    ("cut_off", "drain", "draining", ()),
    *[(state, "stop", "gone", ()) for state in ("joining", "member", "cut_off", "draining")],
]


@pytest.mark.parametrize(("state", "trigger", "dest", "effects"), MOVES)
def test_given_a_state_the_trigger_leads_there(
    state: str, trigger: str, dest: str, effects: tuple[Effect, ...]
) -> None:
    model = NODE.new()
    model.state = state
    step = NODE.fire(model, trigger, None)
    assert (step.dest, step.effects) == (dest, effects)


@pytest.mark.parametrize("state", [state.name for state in NODE.states])
@pytest.mark.parametrize("trigger", NODE.triggers)
def test_everything_else_is_illegal(state: str, trigger: str) -> None:
    if (state, trigger) in {(source, known) for source, known, *_ in MOVES}:
        return
    model = NODE.new()
    model.state = state
    with pytest.raises(IllegalInState):
        NODE.fire(model, trigger, None)


def test_an_id_is_used_again_only_if_no_other_node_can_have_its_rooms() -> None:
    """Between the loss of the rooms to others and the next registration there is always another id."""
    for row in NODE.rows:
        if GIVE_UP in row.effects:
            assert row.dest in ("outlived", "gone")
    (again,) = NODE.rows_of("outlived", "join_again")
    assert again.effects == (NodeEffect.RENAME,)
    assert NODE.legal("outlived") == ("join_again",)
