"""Given a password and a hash, it is the right one or not; and wrong guesses are slowed down."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st

from roomfsm.access.guesses import Guesses
from roomfsm.access.passwords import hash_fault, hash_password, is_password

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
TAIL = "$VqZsRp/rikxp1psrhigCKg$vsLb5f4jCu2bKKya/3ItqSFpQMMcsKYG4BLeHtIeDOA"


def test_the_hash_of_a_password_verifies_it_and_no_other() -> None:
    made = hash_password("correct horse")
    assert hash_fault(made) is None
    assert is_password("correct horse", made)
    # A hash of another program may have other parameters.
    cheap = CHEAP.hash("Löwe 🦁")
    assert hash_fault(cheap) is None
    assert is_password("Löwe 🦁", cheap)
    for other in ("", "Löwe", "löwe 🦁", "Löwe 🦁\0", "x" * 100_000):
        assert not is_password(other, cheap)


def test_a_password_has_another_hash_each_time() -> None:
    one, other = hash_password("x"), hash_password("x")
    assert one != other
    assert one.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "correct horse",
        "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
        f"$argon2i$v=19$m=65536,t=3,p=4{TAIL}",
        f"$argon2id$v=16$m=65536,t=3,p=4{TAIL}",
        f"$argon2id$m=65536,t=3,p=4{TAIL}",
        f"$argon2id$v=19$m=65536,t=-1,p=4{TAIL}",
        "$argon2id$v=19$m=65536,t=3,p=4$VqZsRp/rikxp1psrhigCKg$",
        f"$argon2id$v=19$m=65536,t=3,p=4{TAIL}\n",
        f"$argon2id$v=19$m=65536,t=3,p=4{TAIL}$",
        f"$argon2id$v=19$m=６５５３６,t=3,p=4{TAIL}",
        # These are cut off: the last letter has bits left over, or there is one letter too many.
        f"$argon2id$v=19$m=65536,t=3,p=4{TAIL[:-1]}B",
        f"$argon2id$v=19$m=65536,t=3,p=4{TAIL[:-2]}",
    ],
)
def test_what_is_no_hash_is_told_with_the_command_that_makes_one(text: str) -> None:
    assert hash_fault(text) == "is no Argon2id hash: `roomfsm password` makes one of a password"


@pytest.mark.parametrize(
    ("parameters", "right"),
    [
        ("m=8,t=1,p=1", True),
        ("m=7,t=1,p=1", False),
        ("m=31,t=1,p=4", False),
        ("m=1048576,t=100,p=64", True),
        ("m=1048577,t=1,p=1", False),
        ("m=65536,t=101,p=1", False),
        ("m=65536,t=0,p=1", False),
        ("m=65536,t=1,p=65", False),
        ("m=65536,t=1,p=0", False),
    ],
)
def test_a_hash_that_would_take_all_memory_or_time_is_refused(parameters: str, right: bool) -> None:
    fault = hash_fault(f"$argon2id$v=19${parameters}{TAIL}")
    assert (fault is None) == right
    if fault is not None:
        assert "out of their range" in fault


def test_the_first_wrong_guesses_are_free_and_then_each_doubles_the_delay() -> None:
    guesses, now, waits = Guesses(free=3, first=1.0, longest=10.0), 0.0, []
    for _ in range(8):
        guesses.wrong("here", "blue", now)
        waits.append(guesses.wait("here", "blue", now))
        now += waits[-1]
        assert guesses.wait("here", "blue", now) == 0
    assert waits == [0, 0, 1, 2, 4, 8, 10, 10]


def test_who_waits_is_told_how_long_it_still_is() -> None:
    guesses = Guesses(free=1, first=8.0)
    guesses.wrong("here", "blue", 100.0)
    assert guesses.wait("here", "blue", 103.0) == 5.0


def test_a_right_guess_resets_the_count() -> None:
    guesses = Guesses(free=1)
    guesses.wrong("here", "blue", 0.0)
    guesses.right("here", "blue")
    assert guesses.wait("here", "blue", 0.0) == 0
    guesses.right("here", "blue")
    assert len(guesses) == 0


def test_neither_another_address_nor_another_room_has_to_wait() -> None:
    guesses = Guesses(free=1)
    guesses.wrong("here", "blue", 0.0)
    assert guesses.wait("here", "blue", 0.0) > 0
    assert guesses.wait("there", "blue", 0.0) == guesses.wait("here", "red", 0.0) == 0


def test_a_password_that_is_guessed_a_thousand_times_takes_days() -> None:
    guesses, now = Guesses(), 0.0
    for _ in range(1000):
        now += guesses.wait("here", "blue", now)
        guesses.wrong("here", "blue", now)
    assert now > 3 * 24 * 3600


def test_who_waits_to_be_forgotten_gains_nothing() -> None:
    patient, now, made = Guesses(), 0.0, 0
    while now < 24 * 3600:
        if patient.wait("here", "blue", now) > 60:
            now += 3600
        now += patient.wait("here", "blue", now)
        patient.wrong("here", "blue", now)
        made += 1
    assert made < 24 * 14


def test_counts_are_forgotten_after_a_while() -> None:
    guesses = Guesses(forget=60.0)
    guesses.wrong("here", "blue", 0.0)
    guesses.wrong("there", "blue", 59.0)
    assert len(guesses) == 2
    guesses.wrong("elsewhere", "blue", 60.0)
    assert len(guesses) == 2


@given(st.lists(st.tuples(st.integers(0, 12), st.floats(0, 30))), st.integers(1, 8))
def test_the_memory_for_counts_is_bounded_and_the_newest_are_kept(
    made: list[tuple[int, float]], capacity: int
) -> None:
    guesses, now = Guesses(free=1, first=5.0, longest=5.0, forget=1e9, capacity=capacity), 0.0
    newest: list[str] = []
    for who, later in made:
        now += later
        address = str(who)
        guesses.wrong(address, "blue", now)
        newest = [address, *(other for other in newest if other != address)][:capacity]
        assert len(guesses) == len(newest)
        assert guesses.wait(address, "blue", now) == pytest.approx(5.0)
