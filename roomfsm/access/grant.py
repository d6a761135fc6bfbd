"""What a verified token gives its bearer."""

from __future__ import annotations

from dataclasses import dataclass

from roomfsm.access.patterns import matches
from roomfsm.protocol.roles import Role


@dataclass(frozen=True, slots=True)
class Grant:
    """What a verified token says about the person who shows it, and about the rooms that it is for."""

    room: str
    """A pattern of room names."""
    role: Role
    subject: str | None
    """Who the person is to the application that issued the token. Nobody else has this subject."""
    name: str | None
    """The person's display name, already checked."""
    expires: float
    """When the token expires, in seconds since 1970 (`exp`)."""

    def is_for(self, room: str) -> bool:
        """Whether the token is for the room with that name."""
        return matches(self.room, room)
