"""Given the places for files, when one is announced, then it gets a place only within all bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from roomfsm.files.places import Claim, Places

UNIT = 65_536


def claim(units: int = 1, person: str = "ada", room: str = "blue", address: str = "a1") -> Claim:
    return Claim(room, person, address, units * UNIT)


def taken(places: Places, *claims: Claim) -> int:
    """How many of the claims got a place, one after another."""
    count = 0
    for one in claims:
        if places.fit(one):
            places.take(one)
            count += 1
    return count


def test_a_room_takes_one_file_as_large_as_all_its_files_and_none_that_is_larger() -> None:
    places = Places(most=100 * UNIT, most_of_room=4 * UNIT)
    assert not places.fit(claim(5))
    assert places.fit(claim(4))
    places.take(claim(4))
    assert not places.fit(claim(0, "bob"))


def test_one_person_stops_at_half_of_the_room_and_the_rest_is_for_others() -> None:
    places = Places(most=100 * UNIT, most_of_room=8 * UNIT)
    assert taken(places, *[claim()] * 20) == 4
    assert places.fit(claim(4, "bob", address="a2"))
    assert places.fit(claim(4, room="green"))


def test_people_of_one_address_stop_at_two_thirds_of_the_room() -> None:
    places = Places(most=200 * UNIT, most_of_room=12 * UNIT)
    assert taken(places, *[claim()] * 20) == 6
    # Whoever has the same address finds some place left, and so does everybody else.
    assert taken(places, *[claim(1, f"p{number}") for number in range(20)]) == 2
    assert places.fit(claim(4, "bob", address="a2"))


def test_one_address_stops_at_half_of_the_server() -> None:
    places = Places(most=8 * UNIT, most_of_room=100 * UNIT)
    assert taken(places, *[claim(1, f"p{number}", f"r{number}") for number in range(20)]) == 4
    assert places.fit(claim(4, "bob", "red", "a2"))
    assert not places.fit(claim(5, "bob", "red", "a2"))


def test_an_empty_file_takes_a_place_too_so_that_there_are_not_too_many() -> None:
    places = Places(most=8 * UNIT, most_of_room=8 * UNIT)
    empty = Claim("blue", "ada", "a1", 0)
    assert taken(places, *[empty] * 100) == 4


@given(st.lists(st.builds(claim, st.integers(0, 3), st.sampled_from("ab"), st.sampled_from("xy")), max_size=40))
def test_when_all_places_are_given_back_nothing_is_left(claims: list[Claim]) -> None:
    places = Places(most=20 * UNIT, most_of_room=12 * UNIT)
    got = [one for one in claims if taken(places, one)]
    assert places.taken == sum(one.cost for one in got) <= places.most
    for one in got:
        places.give_back(one)
    assert places == Places(most=20 * UNIT, most_of_room=12 * UNIT)
