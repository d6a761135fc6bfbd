"""The reactions that people can show to a room for a moment."""

from __future__ import annotations

from enum import StrEnum


class Reaction(StrEnum):
    """A reaction. Clients choose how they draw it."""

    THUMBS_UP = "thumbsUp"
    HEART = "heart"
    APPLAUSE = "applause"
    LAUGH = "laugh"
    SURPRISE = "surprise"
    PARTY = "party"
