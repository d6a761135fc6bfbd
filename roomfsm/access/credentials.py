"""What somebody brings who wants to enter a room, held against the room's policy."""

from __future__ import annotations

from dataclasses import dataclass

from roomfsm.access.grant import Grant
from roomfsm.access.policy import Enter, Policy
from roomfsm.protocol.roles import Role


@dataclass(frozen=True, slots=True)
class Credentials:
    """The facts by which a room decides whether somebody may enter, and as what."""

    has_token: bool = True
    """Whether the person has a token for the room, or needs none."""
    knows_password: bool = True
    """Whether the person knows the room's password, or needs none."""
    role: Role | None = None
    """The role that the token gives; None if the room's policy decides."""
    subject: str | None = None
    """Who the person is to the application that issued the token; None if it does not say so, or without one."""


UNASKED = Credentials()
"""The credentials of somebody who enters a room that asks for none."""


def credentials(policy: Policy, grant: Grant | None, *, knows_password: bool) -> Credentials:
    """The credentials of somebody who has this grant for the room, or none."""
    match policy.enter:
        case Enter.TOKEN:
            has_token = grant is not None
        case Enter.INVITED:
            has_token = grant is not None and grant.subject in policy.invited
        case _:
            has_token = True
    return Credentials(
        has_token=has_token,
        knows_password=policy.enter is not Enter.PASSWORD or grant is not None or knows_password,
        role=None if grant is None else grant.role,
        subject=None if grant is None else grant.subject,
    )
