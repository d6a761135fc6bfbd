"""The roles that people have in a room."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a person may do in a room. Each role may do all that the roles before it may.

    Compare roles by `includes`: `<` and `>` compare them as words, because they are strings.
    """

    explanation: str
    _rank: int

    def __new__(cls, value: str, explanation: str) -> Role:
        member = str.__new__(cls, value)
        member._value_ = value
        member.explanation = explanation
        member._rank = len(cls.__members__)
        return member

    VIEWER = "viewer", "watches streams and chats"
    PRESENTER = "presenter", "also publishes streams"
    MODERATOR = "moderator", "also decides who is in the room and what they may do"

    def includes(self, other: Role) -> bool:
        """Whether somebody with this role may do all that `other` may."""
        return self._rank >= other._rank
