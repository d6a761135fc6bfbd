"""The kinds of media, and the sizes of pictures."""

from enum import StrEnum


class MediaKind(StrEnum):
    """A kind of media, with Kurento's name."""

    AUDIO = "AUDIO"
    VIDEO = "VIDEO"


class PictureSize(StrEnum):
    """How large a viewer sees a picture."""

    SMALL = "SMALL"
    MEDIUM = "MEDIUM"
    LARGE = "LARGE"


ALL_KINDS: tuple[MediaKind, ...] = (MediaKind.AUDIO, MediaKind.VIDEO)
