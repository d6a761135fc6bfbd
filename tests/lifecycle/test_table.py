"""Tests tables with a small one of their own: a door that two hands hold, and that a key locks."""

from __future__ import annotations

import pytest

from roomfsm.lifecycle.describe import describe
from roomfsm.lifecycle.table import STAYS, Audience, Effect, Guard, Row, State, Table, Tell
from roomfsm.protocol.errors import ErrorCode, IllegalInState, Refusal


class DoorEffect(Effect):
    SQUEAK = ("squeak", "it is heard", (Tell("noise", Audience.ALL, "if it is old"),), (ErrorCode.ENDED,))
    CLICK = ("click", "it is felt")


KEYS = {"key", "brass key"}
has_key = Guard[set[str]]("has the key", lambda held: "key" in held, ErrorCode.NOT_YOUR_STREAM)
has_any = Guard[set[str]]("has anything", bool, ErrorCode.NO_SUCH_STREAM)
is_brass = Guard[set[str]]("is of brass", lambda held: "brass key" in held)
is_iron = Guard[set[str]]("is of iron", lambda held: "iron key" in held)

DOOR: Table[set[str]] = Table(
    "door",
    "One door.",
    states=(
        State("open", "anybody may pass", owns=("wedge", "draught")),
        State("ajar", "a cat may pass", owns=("draught",), told_as="open"),
        State("shut", "nobody may pass"),
        State("bricked", "there was a door", final=True),
    ),
    rows=(
        Row(("pull", "push"), ("open",), "ajar", (), (DoorEffect.SQUEAK,)),
        Row(("push",), ("ajar",), "shut", (), (DoorEffect.SQUEAK, DoorEffect.CLICK)),
        Row(("turn",), ("shut",), STAYS, (has_any, has_key, is_brass), (DoorEffect.CLICK,)),
        Row(("turn",), ("shut",), "open", (has_any, has_key, is_iron)),
        Row(("settle",), ("ajar",), "shut", (is_brass,)),
    ),
)


def test_a_new_model_is_in_the_first_state() -> None:
    assert DOOR.initial == DOOR.new().state == "open"
    assert [state.name for state in DOOR.states if state.final] == ["bricked"]


def test_triggers_are_listed_in_the_order_of_the_rows() -> None:
    assert DOOR.triggers == ("pull", "push", "turn", "settle")
    assert DOOR.legal("ajar") == ("push", "settle")
    assert DOOR.legal("bricked") == ()


def test_guards_without_a_code_choose_the_row() -> None:
    door = DOOR.new()
    DOOR.fire(door, "push", set())
    DOOR.fire(door, "push", set())
    stayed = DOOR.fire(door, "turn", KEYS)
    assert (stayed.trigger, stayed.source, stayed.dest, stayed.moved) == ("turn", "shut", "shut", False)
    assert stayed.effects == (DoorEffect.CLICK,)
    opened = DOOR.fire(door, "turn", {"key", "iron key"})
    assert (opened.source, opened.dest, opened.moved, opened.effects) == ("shut", "open", True, ())
    assert door.state == "open"


@pytest.mark.parametrize(
    ("held", "code"), [(set[str](), ErrorCode.NO_SUCH_STREAM), ({"spoon"}, ErrorCode.NOT_YOUR_STREAM)]
)
def test_a_refusal_has_the_code_of_the_first_guard_that_fails(held: set[str], code: ErrorCode) -> None:
    door = DOOR.new()
    door.state = "shut"
    with pytest.raises(Refusal) as refused:
        DOOR.fire(door, "turn", held)
    assert refused.value.code is code
    assert door.state == "shut"


def test_a_table_in_which_no_row_fits_the_facts_is_a_fault() -> None:
    door = DOOR.new()
    door.state = "shut"
    with pytest.raises(AssertionError, match="door: no row of turn in shut fits"):
        DOOR.fire(door, "turn", {"key"})
    assert door.state == "shut"


def test_a_refusal_uses_the_protocols_names_of_the_states() -> None:
    door = DOOR.new()
    door.state = "ajar"
    with pytest.raises(IllegalInState) as refused:
        DOOR.fire(door, "turn", KEYS)
    error = refused.value
    assert (error.message, error.machine, error.state) == ("turn", "door", "open")
    assert list(error.allowed) == ["push", "settle"]


def test_a_completion_transition_is_taken_only_if_its_facts_hold() -> None:
    door = DOOR.new()
    assert DOOR.follow(door, "settle", lambda: pytest.fail("no row asks for facts here")) is None
    door.state = "ajar"
    assert DOOR.follow(door, "settle", set) is None
    step = DOOR.follow(door, "settle", lambda: KEYS)
    assert step is not None
    assert (step.trigger, step.source, step.dest, step.effects) == ("settle", "ajar", "shut", ())
    assert door.state == "shut"


def test_a_step_enters_and_leaves_the_resources_that_the_states_own() -> None:
    door = DOOR.new()
    pulled = DOOR.fire(door, "pull", set())
    assert (pulled.entered, pulled.left) == ((), ("wedge",))
    pushed = DOOR.fire(door, "push", set())
    assert (pushed.entered, pushed.left) == ((), ("draught",))
    opened = DOOR.fire(door, "turn", {"key", "iron key"})
    assert (opened.entered, opened.left) == (("wedge", "draught"), ())


def test_a_state_with_the_same_name_in_the_protocol_is_not_told_again() -> None:
    door = DOOR.new()
    assert not DOOR.fire(door, "pull", set()).told_anew
    assert DOOR.fire(door, "push", set()).told_anew


def test_the_description_says_what_the_table_says() -> None:
    described = describe(DOOR)
    assert [(state["told"], state["owns"], state["final"]) for state in described["states"]] == [
        ("open", "wedge, draught", False),
        ("open", "draught", False),
        ("shut", None, False),
        ("bricked", None, True),
    ]
    assert described["effects"] == [
        {
            "name": "squeak",
            "meaning": "it is heard",
            "tells": [{"message": "noise", "to": Audience.ALL, "when": "if it is old"}],
            "mayFail": [ErrorCode.ENDED],
        },
        {"name": "click", "meaning": "it is felt", "tells": [], "mayFail": []},
    ]
    assert described["transitions"][3] == {
        "trigger": "turn",
        "from": "shut",
        "to": "shut",
        "guards": [
            {"name": "has anything", "code": ErrorCode.NO_SUCH_STREAM},
            {"name": "has the key", "code": ErrorCode.NOT_YOUR_STREAM},
            {"name": "is of brass", "code": None},
        ],
        "effects": ["click"],
    }
