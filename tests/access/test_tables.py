"""Given the tables of the settings file, they are policies, or it is said which table and key is wrong and why."""

from __future__ import annotations

import tomllib

import pytest

from roomfsm.access.policy import Enter, Policies, Policy
from roomfsm.access.tables import MAX_FAULTS, MAX_POLICIES, TableFault, read_policies
from roomfsm.protocol.roles import Role

HASH = "$argon2id$v=19$m=65536,t=3,p=4$VqZsRp/rikxp1psrhigCKg$vsLb5f4jCu2bKKya/3ItqSFpQMMcsKYG4BLeHtIeDOA"


def read(text: str) -> tuple[tuple[str, Policy], ...]:
    return read_policies(tomllib.loads(text)["room"])


def test_every_key_of_a_policy_can_be_set() -> None:
    assert read(f"""
        [room."board-*"]
        enter = "password"
        password = "{HASH}"
        role = "viewer"
        locked = true
        listed = false
        max_people = 20
        max_presenters = 1
        linger = 600
        first_moderates = false

        [room."staff"]
        enter = "invited"
        invited = ["ada", "bob"]
    """) == (
        (
            "board-*",
            Policy(
                enter=Enter.PASSWORD,
                password_hash=HASH,
                role=Role.VIEWER,
                locked=True,
                listed=False,
                max_people=20,
                max_presenters=1,
                linger=600.0,
                first_moderates=False,
            ),
        ),
        ("staff", Policy(enter=Enter.INVITED, invited=("ada", "bob"))),
    )


def test_an_empty_table_is_the_default_policy() -> None:
    assert read('[room."open-*"]') == (("open-*", Policy()),)
    assert read("[room]") == ()


def test_the_order_of_the_file_counts() -> None:
    policies = Policies(
        read('[room."a-1"]\nlisted = false\n[room."a-*"]\nlocked = true\n[room."*"]\nlisted = false')
    )
    assert not policies.of("A-1").listed
    assert policies.of("a-2").locked
    assert not policies.of("b").listed


WRONG = {
    'colour = "red"': "'colour' is not a key of a policy, which are: enter, password,",
    'enter = "all"': 'enter is one of "anyone", "password", "token", "invited"',
    "enter = true": 'enter is one of "anyone", "password", "token", "invited"',
    'role = "admin"': 'role is one of "viewer", "presenter", "moderator"',
    "lobby = 1": "lobby is true or false",
    "locked = 1": "locked is true or false",
    "listed = 0": "listed is true or false",
    "first_moderates = []": "first_moderates is true or false",
    "max_people = 0": "max_people is a whole number from 1",
    "max_people = 1.5": "max_people is a whole number from 1",
    "max_people = true": "max_people is a whole number from 1",
    'max_people = "7"': "max_people is a whole number from 1",
    "max_presenters = 0": "max_presenters is a whole number from 1",
    "linger = -1": "linger is a number of seconds from 0",
    "linger = nan": "linger is a number of seconds from 0",
    "linger = inf": "linger is a number of seconds from 0",
    'invited = "ada"': "invited is a list of the subjects of tokens",
    "invited = [1]": "invited is a list of the subjects of tokens",
    'invited = [""]': "invited is a list of the subjects of tokens",
    'enter = "password"': "password: A room that is entered by a password needs the password's hash.",
    f'password = "{HASH}"': "enter: A room that has a password is entered by it: this must be 'password'.",
    'enter = "invited"': "invited: A room for invited people needs the subjects of their tokens.",
    'invited = ["ada"]': "enter: A room that has invited people is for them: this must be 'invited'.",
    'enter = "password"\npassword = 7': "password is the text that `roomfsm password` prints",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_named_with_its_table_and_its_key(text: str) -> None:
    with pytest.raises(TableFault) as refused:
        read(f'[room."board-*"]\n{text}')
    assert str(refused.value).startswith('[room."board-*"]')
    assert WRONG[text] in str(refused.value)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(TableFault) as refused:
        read("""
            [room."a"]
            colour = "red"
            shape = 1
            role = "admin"
            lobby = 1
            password = "correct horse"
            [room."b"]
            [room."two words"]
            max_people = 0
            [room."c"]
            enter = "password"
        """)
    said = str(refused.value)
    assert "horse" not in said
    for fault in (
        """[room."a"]: 'colour', 'shape' are not keys of a policy""",
        '[room."a"] role is one of',
        '[room."a"] lobby is true or false',
        '[room."a"] password is no Argon2id hash',
        '[room."two words"]: no room can have such a name',
        '[room."two words"] max_people is a whole number from 1',
        '[room."c"] password: A room that is entered by a password',
    ):
        assert said.count(fault) == 1, fault


def test_a_file_with_many_faults_is_told_in_a_message_that_ends() -> None:
    with pytest.raises(TableFault, match="; and 80 more") as refused:
        read_policies({f"room-{number}": {"lobby": 1} for number in range(100)})
    assert str(refused.value).count("true or false") == MAX_FAULTS


def test_a_password_in_clear_text_is_refused_and_not_repeated() -> None:
    with pytest.raises(TableFault, match="password is no Argon2id hash: `roomfsm password` makes one") as refused:
        read('[room."blue"]\nenter = "password"\npassword = "correct horse"')
    assert "horse" not in str(refused.value)


@pytest.mark.parametrize("pattern", ["", "two words", "[ab]", "x" * 65])
def test_a_pattern_that_fits_no_room_is_refused(pattern: str) -> None:
    with pytest.raises(TableFault, match="no room can have such a name"):
        read_policies({pattern: {}})


@pytest.mark.parametrize("tables", [7, [], "x", {"blue": 7}, {"blue": [{}]}, {"lobby": True}])
def test_what_is_no_table_of_tables_is_refused(tables: object) -> None:
    with pytest.raises(TableFault, match="policies are tables"):
        read_policies(tables)


def test_there_may_be_many_policies_but_not_any_number() -> None:
    assert len(read_policies({f"room-{number}": {} for number in range(MAX_POLICIES)})) == MAX_POLICIES
    with pytest.raises(TableFault, match="more than 1000"):
        read_policies({f"room-{number}": {} for number in range(MAX_POLICIES + 1)})
