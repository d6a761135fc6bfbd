"""The kinds of media."""

from enum import StrEnum


class MediaKind(StrEnum):
    """A media type as Kurento names it."""

    AUDIO = "AUDIO"
    VIDEO = "VIDEO"


ALL_KINDS: tuple[MediaKind, ...] = (MediaKind.AUDIO, MediaKind.VIDEO)
