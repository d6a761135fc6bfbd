"""Given a seat or a door, when a trigger fires, then this follows; and each message asks for its role."""

from __future__ import annotations

import pytest

from roomfsm.lifecycle.door import DOOR
from roomfsm.lifecycle.seat import SEAT, SeatEffect, SeatFacts
from roomfsm.lifecycle.sound import SOUND
from roomfsm.lifecycle.table import STAYS, Model
from roomfsm.protocol.errors import ErrorCode, IllegalInState, NotPermitted, Refusal
from roomfsm.protocol.roles import Role

MODERATOR = SeatFacts(role=Role.MODERATOR)
PERSON = SeatFacts()
OWN = SeatFacts(oneself=True)
UNMODERATED = SeatFacts(needs_moderator=True)
STAND_IN = SeatFacts(role=Role.MODERATOR, stands_in=True, moderator_comes=True)

MODERATORS = (
    *("kick", "ban", "unban", "setRole", "lock", "unlock", "clearChat"),
    *("admit", "deny", "configure", "closeRoom", "mute", "unmute"),
)

MOVES = [
    ("seated", "raiseHand", PERSON, "seated", ["raise hand"]),
    ("seated", "lowerHand", OWN, "seated", ["lower hand"]),
    ("seated", "media", PERSON, "seated", ["set media"]),
    ("seated", "speaking", PERSON, "seated", ["speak"]),
    ("seated", "speaking", SeatFacts(heard=True), "seated", []),
    ("seated", "react", PERSON, "seated", ["react"]),
    ("seated", "mute", MODERATOR, "seated", ["mute"]),
    ("seated", "unmute", MODERATOR, "seated", ["unmute"]),
    ("seated", "kick", MODERATOR, "seated", ["kick"]),
    ("seated", "ban", MODERATOR, "seated", ["ban"]),
    ("seated", "unban", MODERATOR, "seated", ["unban"]),
    ("seated", "setRole", MODERATOR, "seated", ["set role"]),
    ("seated", "admit", MODERATOR, "seated", ["admit"]),
    ("seated", "deny", MODERATOR, "seated", ["deny"]),
    ("seated", "configure", MODERATOR, "seated", ["configure"]),
    ("seated", "lock", MODERATOR, "seated", ["lock"]),
    ("seated", "unlock", MODERATOR, "seated", ["unlock"]),
    ("seated", "clearChat", MODERATOR, "seated", ["clear chat"]),
    ("seated", "deleteLine", MODERATOR, "seated", ["delete line"]),
    ("seated", "deleteLine", OWN, "seated", ["delete line"]),
    ("seated", "closeRoom", MODERATOR, "seated", ["close room"]),
    ("seated", "promoted", UNMODERATED, "seated", ["become moderator"]),
    ("away", "promoted", UNMODERATED, "away", ["become moderator"]),
    ("seated", "relieved", STAND_IN, "seated", ["cease to moderate"]),
    ("away", "relieved", STAND_IN, "away", ["cease to moderate"]),
    ("knocking", "admitted", PERSON, "seated", []),
    ("knocking", "denied", PERSON, "gone", []),
    ("knocking", "departed", PERSON, "gone", []),
    ("seated", "lost", PERSON, "away", []),
    ("away", "found", PERSON, "seated", []),
    ("seated", "found", PERSON, "seated", []),
    *[
        (state, how, PERSON, "gone", [])
        for state in ("seated", "away")
        for how in ("kicked", "banned", "departed")
    ],
]


@pytest.mark.parametrize(("state", "trigger", "facts", "dest", "effects"), MOVES)
def test_given_a_state_and_facts_when_the_trigger_fires_then_the_seat_goes_there(
    state: str, trigger: str, facts: SeatFacts, dest: str, effects: list[str]
) -> None:
    seat = SEAT.new()
    seat.state = state
    step = SEAT.fire(seat, trigger, facts)
    assert (seat.state, list(step.effects)) == (dest, effects)


def test_the_list_of_moves_is_complete() -> None:
    rows = {
        (source, trigger, source if row.dest == STAYS else row.dest)
        for row in SEAT.rows
        for source in row.sources
        for trigger in row.triggers
    }
    assert {(state, trigger, dest) for state, trigger, _, dest, _ in MOVES} == rows
    assert {effect for row in SEAT.rows for effect in row.effects} == set(SeatEffect)


def seated() -> Model:
    return Model("seated")


@pytest.mark.parametrize("role", [Role.VIEWER, Role.PRESENTER])
@pytest.mark.parametrize("message", [*MODERATORS, "lowerHand"])
def test_only_a_moderator_may_send_it_and_the_refusal_names_the_role(message: str, role: Role) -> None:
    seat = seated()
    # The role decides first: nobody learns who is in a room, or who is banned, by asking for what is not allowed.
    with pytest.raises(NotPermitted) as refused:
        SEAT.fire(seat, message, SeatFacts(role=role, found=False, within_rates=False))
    assert (refused.value.code, refused.value.role) == (ErrorCode.NOT_PERMITTED, Role.MODERATOR)


REFUSED = [
    *[
        (message, {"found": False}, ErrorCode.NO_SUCH_PARTICIPANT)
        for message in ("kick", "ban", "setRole", "mute", "unmute")
    ],
    *[(message, {"silenced": True}, ErrorCode.MUTED) for message in ("media", "speaking")],
    ("lowerHand", {"found": False}, ErrorCode.NO_SUCH_PARTICIPANT),
    *[(message, {"oneself": True}, ErrorCode.YOURSELF) for message in ("kick", "ban", "setRole", "mute")],
    ("unban", {"found": False}, ErrorCode.NOT_BANNED),
    ("deleteLine", {"found": False}, ErrorCode.NO_SUCH_LINE),
    *[
        (message, {"within_rates": False}, ErrorCode.RATE_LIMITED)
        for message in ("raiseHand", "lowerHand", "media", "react", "deleteLine", *MODERATORS)
    ],
    ("admit", {"found": False}, ErrorCode.NO_SUCH_PARTICIPANT),
    ("deny", {"found": False}, ErrorCode.NO_SUCH_PARTICIPANT),
    ("admit", {"room_has_place": False}, ErrorCode.ROOM_FULL),
    ("deny", {"keeps": False}, ErrorCode.STORE_UNAVAILABLE),
]


@pytest.mark.parametrize(("message", "facts", "code"), REFUSED)
def test_a_guard_refuses_a_moderator_with_its_code(message: str, facts: dict[str, bool], code: ErrorCode) -> None:
    with pytest.raises(Refusal) as refused:
        SEAT.fire(seated(), message, SeatFacts(role=Role.MODERATOR, **facts))
    assert refused.value.code is code


def test_a_line_of_another_person_is_deleted_only_by_a_moderator() -> None:
    with pytest.raises(NotPermitted) as refused:
        SEAT.fire(seated(), "deleteLine", PERSON)
    assert refused.value.role == Role.MODERATOR


@pytest.mark.parametrize("message", ["raiseHand", "kick", "lock"])
@pytest.mark.parametrize("state", ["knocking", "away", "gone"])
def test_a_person_who_is_not_there_may_do_nothing(state: str, message: str) -> None:
    seat = SEAT.new()
    seat.state = state
    with pytest.raises(IllegalInState):
        SEAT.fire(seat, message, MODERATOR)


def test_a_door_is_locked_and_unlocked_as_often_as_anybody_likes_and_opens_when_nobody_is_left() -> None:
    door = DOOR.new()
    for trigger, dest in (
        *(("lock", "locked"), ("lock", "locked"), ("unlock", "open"), ("unlock", "open")),
        *(("deserted", "open"), ("lock", "locked"), ("deserted", "open")),
    ):
        DOOR.fire(door, trigger, None)
        assert door.state == dest


SOUND_MOVES = {
    (source, trigger): dest
    for source in ("audible", "muted", "held")
    for trigger, dest in (("muted", "muted"), ("held", "held"), ("unmuted", "audible"))
} | {(source, "microphone_on"): "audible" for source in ("audible", "muted")}


@pytest.mark.parametrize("source", [state.name for state in SOUND.states])
@pytest.mark.parametrize("trigger", SOUND.triggers)
def test_the_microphone_ends_what_is_not_held(source: str, trigger: str) -> None:
    sound = SOUND.new()
    sound.state = source
    if (source, trigger) not in SOUND_MOVES:
        with pytest.raises(IllegalInState):
            SOUND.fire(sound, trigger, None)
        return
    SOUND.fire(sound, trigger, None)
    assert sound.state == SOUND_MOVES[source, trigger]
    assert (sound.state == "audible") == bool(SOUND.state(sound.state).owns)


def test_roles_include_those_below_them() -> None:
    assert [[role.includes(other) for other in Role] for role in Role] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]
