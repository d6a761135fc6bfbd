"""Given patterns of room names with policies, a room has the policy of the first pattern that fits its name."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomfsm.access.patterns import matches, room_pattern
from roomfsm.access.policy import Enter, Policies, Policy, PolicyFault
from roomfsm.protocol.names import NameFault, is_room_name
from roomfsm.protocol.roles import Role


def test_a_role_includes_itself_and_those_before_it() -> None:
    order = [Role.VIEWER, Role.PRESENTER, Role.MODERATOR]
    for (at, one), (before, other) in product(enumerate(order), repeat=2):
        assert one.includes(other) == (at >= before)


def test_without_any_policy_everybody_may_enter_and_present() -> None:
    policy = Policies().of("blue")
    assert policy == Policy()
    assert (policy.enter, policy.role, policy.lobby, policy.locked) == ("anyone", "presenter", False, False)
    assert policy.first_moderates


def test_the_first_pattern_that_fits_counts() -> None:
    board, staff, rest = Policy(lobby=True), Policy(locked=True), Policy(listed=False)
    policies = Policies([("board-2", board), ("board-*", staff), ("*", rest)])
    assert policies.of("board-2") is board
    assert policies.of("board-22") is staff
    assert policies.of("blue") is rest


def test_a_room_that_no_pattern_fits_has_the_default_policy() -> None:
    default = Policy(max_people=5)
    assert Policies([("board-*", Policy(lobby=True))], default).of("blue") is default


def test_where_a_token_is_required_no_policy_lets_people_in_without_one() -> None:
    policies = Policies(
        [
            ("open", Policy(lobby=True)),
            ("secret", Policy(enter=Enter.PASSWORD, password_hash="$argon2id$")),
            ("board", Policy(enter=Enter.INVITED, invited=("ada",))),
        ],
        require_token=True,
    )
    assert policies.of("open") == Policy(enter=Enter.TOKEN, lobby=True)
    assert policies.of("secret") == policies.of("any") == Policy(enter=Enter.TOKEN)
    assert policies.of("board").enter is Enter.INVITED


@pytest.mark.parametrize(
    ("pattern", "room", "fits"),
    [
        ("blue", "blue", True),
        ("blue", "blue2", False),
        ("blue", "BLUE", True),
        ("STRASSE", "straße", True),
        ("ΣΊΣΥΦΟΣ", "σίσυφος", True),
        ("Ｂlue", "blue", True),
        ("board-*", "board-", True),
        ("board-*", "Board-7", True),
        ("board-*", "my-board-7", False),
        ("*board*", "my-board-7", True),
        ("room-?", "room-7", True),
        ("room-?", "room-", False),
        ("room-?", "room-77", False),
        ("??", "房间", True),
        ("a.c", "abc", False),
        ("*", "房间", True),
        # The letter with its accent is one character, whichever way it was typed.
        ("caf?", "cafe\u0301", True),
        ("cafe*", "café", False),
    ],
)
def test_a_pattern_fits_a_name_without_regard_to_case(pattern: str, room: str, fits: bool) -> None:
    assert matches(room_pattern(pattern), room) == fits


@pytest.mark.parametrize("pattern", ["", "blue room", "room[0-9]", "a/b", "x" * 65, "a\n"])
def test_a_pattern_that_fits_no_room_is_refused(pattern: str) -> None:
    with pytest.raises(NameFault):
        Policies([(pattern, Policy())])


def test_a_pattern_of_many_stars_is_decided_at_once() -> None:
    # A search that goes back to every star would take longer than anybody can wait.
    assert not matches(room_pattern("*a" * 32), "a" * 31 + "b" * 33)


@given(st.text("aB.*?é", max_size=6), st.text("aAbBé.", min_size=1, max_size=6))
def test_a_pattern_fits_as_its_letters_and_signs_say(pattern: str, room: str) -> None:
    def fits(pattern: str, room: str) -> bool:
        if not pattern:
            return not room
        if pattern[0] == "*":
            return any(fits(pattern[1:], room[start:]) for start in range(len(room) + 1))
        return bool(room) and pattern[0] in ("?", room[0]) and fits(pattern[1:], room[1:])

    if is_room_name(room) and is_room_name(pattern.translate(str.maketrans("*?", "xx"))):
        assert matches(room_pattern(pattern), room) == fits(pattern.casefold(), room.casefold())


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"enter": Enter.PASSWORD}, "password_hash"),
        ({"password_hash": "$argon2id$"}, "enter"),
        ({"enter": Enter.TOKEN, "password_hash": "$argon2id$"}, "enter"),
        ({"enter": Enter.INVITED}, "invited"),
        ({"invited": ("ada",)}, "enter"),
        ({"max_people": 0}, "max_people"),
        ({"max_presenters": 0}, "max_presenters"),
        ({"linger": -1.0}, "linger"),
        ({"linger": float("nan")}, "linger"),
        ({"linger": float("inf")}, "linger"),
    ],
)
def test_a_policy_that_contradicts_itself_is_refused_and_says_where(fields: dict[str, Any], key: str) -> None:
    with pytest.raises(PolicyFault) as refused:
        Policy(**fields)
    assert refused.value.key == key


def test_the_edges_of_a_policy_are_allowed() -> None:
    Policy(max_people=1, max_presenters=1, linger=0.0)
    Policy(enter=Enter.PASSWORD, password_hash="$argon2id$")
    Policy(enter=Enter.INVITED, invited=("ada",))
