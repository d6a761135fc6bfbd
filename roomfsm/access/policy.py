"""A room's policy says who may enter the room, in which role, and how many people. A room finds it by its name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from roomfsm.access.patterns import matches, room_pattern
from roomfsm.protocol.roles import Role


class Enter(StrEnum):
    """What a person needs to enter a room, unless a token for the room lets them in."""

    explanation: str

    def __new__(cls, value: str, explanation: str) -> Enter:
        member = str.__new__(cls, value)
        member._value_ = value
        member.explanation = explanation
        return member

    ANYONE = "anyone", "Everybody who knows the room's name may enter."
    PASSWORD = "password", "People enter by the room's password, or by a token for the room."
    TOKEN = "token", "People enter by a token for the room."
    INVITED = "invited", "People enter by a token for the room, if its subject is invited."


class PolicyFault(ValueError):
    """The policy contradicts itself. `key` is the field that is wrong, and the message says what to do."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may enter a room, as what, and how many. Times are in seconds.

    A number that is None is the server's setting (`RoomSettings`). The default policy lets everybody enter
    and present, as on a server without policies.
    """

    enter: Enter = Enter.ANYONE
    password_hash: str | None = None
    """The Argon2 hash of the room's password, as `roomfsm password` prints it (PHC string format)."""
    invited: tuple[str, ...] = ()
    """The subjects (`sub`) of the tokens that may enter."""
    role: Role = Role.PRESENTER
    """The role of people who enter without a token."""
    lobby: bool = False
    """Whether people wait until a moderator admits them."""
    locked: bool = False
    """Whether nobody but moderators may enter."""
    listed: bool = True
    """Whether the start page lists the room."""
    files: bool = True
    """Whether people may send files to the chat."""
    max_people: int | None = None
    max_presenters: int | None = None
    linger: float | None = None
    """How long the room stays open when it is empty."""
    first_moderates: bool = True
    """Whether the person who has been in the room longest moderates it while no other moderator is there."""

    def __post_init__(self) -> None:
        if self.enter is Enter.PASSWORD and self.password_hash is None:
            raise PolicyFault("password_hash", "A room that is entered by a password needs the password's hash.")
        if self.enter is not Enter.PASSWORD and self.password_hash is not None:
            raise PolicyFault("enter", "A room that has a password is entered by it: this must be 'password'.")
        if self.enter is Enter.INVITED and not self.invited:
            raise PolicyFault("invited", "A room for invited people needs the subjects of their tokens.")
        if self.enter is not Enter.INVITED and self.invited:
            raise PolicyFault("enter", "A room that has invited people is for them: this must be 'invited'.")
        if self.max_people is not None and self.max_people < 1:
            raise PolicyFault("max_people", "A room holds at least one person.")
        if self.max_presenters is not None and self.max_presenters < 1:
            raise PolicyFault("max_presenters", "At least one may present; who may not has the role of a viewer.")
        # Written so that it is true of "not a number", too.
        if self.linger is not None and not 0 <= self.linger < float("inf"):
            raise PolicyFault("linger", "This is a number of seconds from 0.")


class Policies:
    """The policies of all rooms, by patterns of their names (`*` and `?`, see `patterns`).

    The first pattern that fits a room's name counts, so special patterns must stand before general ones.
    """

    def __init__(
        self,
        policies: Iterable[tuple[str, Policy]] = (),
        default: Policy | None = None,
        *,
        require_token: bool = False,
    ) -> None:
        """With `require_token` nobody enters any room without a token. Raises `NameFault` if a pattern is none."""
        all_of_them = ((room_pattern(pattern), policy) for pattern, policy in policies)
        if require_token:
            all_of_them = ((pattern, _with_token(policy)) for pattern, policy in all_of_them)
            default = _with_token(default or Policy())
        self._policies = tuple(all_of_them)
        self._default = default or Policy()

    @property
    def patterns(self) -> tuple[tuple[str, Policy], ...]:
        """The patterns and their policies, in the order in which they are tried."""
        return self._policies

    @property
    def default(self) -> Policy:
        """The policy of rooms that no pattern fits."""
        return self._default

    def of(self, room: str) -> Policy:
        """The policy of the room with that name."""
        for pattern, policy in self._policies:
            if matches(pattern, room):
                return policy
        return self._default


def _with_token(policy: Policy) -> Policy:
    """The policy, with a token needed where none was."""
    if policy.enter in (Enter.TOKEN, Enter.INVITED):
        return policy
    return replace(policy, enter=Enter.TOKEN, password_hash=None)
