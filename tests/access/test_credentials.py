"""Given a policy and what somebody brings, it is decided whether that is enough, and which role it makes."""

from __future__ import annotations

import pytest

from roomfsm.access.credentials import UNASKED, Credentials, credentials
from roomfsm.access.grant import Grant
from roomfsm.access.policy import Enter, Policy
from roomfsm.protocol.roles import Role

ANYONE = Policy()
TOKEN = Policy(enter=Enter.TOKEN, role=Role.VIEWER)
INVITED = Policy(enter=Enter.INVITED, invited=("ada", "bob"))
PASSWORD = Policy(enter=Enter.PASSWORD, password_hash="$argon2id$", role=Role.VIEWER)


def grant(subject: str | None) -> Grant:
    return Grant(room="*", role=Role.MODERATOR, subject=subject, name=None, expires=1.0)


@pytest.mark.parametrize(
    ("policy", "token", "knows", "has_token", "knows_password"),
    [
        (ANYONE, None, False, True, True),
        (ANYONE, grant("eve"), False, True, True),
        (TOKEN, None, True, False, True),
        (TOKEN, grant(None), False, True, True),
        (INVITED, None, False, False, True),
        (INVITED, grant(None), False, False, True),
        (INVITED, grant("eve"), False, False, True),
        (INVITED, grant("bob"), False, True, True),
        (PASSWORD, None, False, True, False),
        (PASSWORD, None, True, True, True),
        (PASSWORD, grant("eve"), False, True, True),
    ],
)
def test_a_policy_asks_for_a_token_or_a_password(
    policy: Policy, token: Grant | None, knows: bool, has_token: bool, knows_password: bool
) -> None:
    brought = credentials(policy, token, knows_password=knows)
    assert (brought.has_token, brought.knows_password) == (has_token, knows_password)


def test_the_role_is_that_of_the_token_or_else_the_room_decides() -> None:
    assert credentials(PASSWORD, None, knows_password=True) == Credentials()
    assert credentials(PASSWORD, grant("eve"), knows_password=True) == Credentials(
        role=Role.MODERATOR, subject="eve"
    )


def test_a_room_without_a_policy_asks_for_nothing() -> None:
    assert credentials(Policy(), None, knows_password=False) == UNASKED
