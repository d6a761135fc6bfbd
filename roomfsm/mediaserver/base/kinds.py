"""The kinds of media."""

from enum import StrEnum


class MediaKind(StrEnum):
    """A kind of media, with Kurento's name."""

    AUDIO = "AUDIO"
    VIDEO = "VIDEO"


ALL_KINDS: tuple[MediaKind, ...] = (MediaKind.AUDIO, MediaKind.VIDEO)
