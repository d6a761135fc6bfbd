"""Recognizes the pictures that pages may show, by how their bytes begin.

What a browser says a file is, or how its name ends, decides nothing: the sender has chosen both. Only these five
types are shown, because they can only be pictures. An SVG can hold a script, and a PDF can hold one, too.
"""

from __future__ import annotations

ANYTHING = "application/octet-stream"
HEAD_BYTES = 64
"""So many bytes of the beginning decide."""

_BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
_AVIF_BRANDS = (b"avif", b"avis")


def media_type(head: bytes) -> str:
    """The media type of a file that begins with `head` (up to `HEAD_BYTES` of it): a picture's, or `ANYTHING`.

    The signatures are those of the WHATWG's MIME Sniffing standard, section 6.1, and for AVIF that of an ISO base
    media file (ISO/IEC 14496-12 section 4.3) with the brand `avif` or `avis`.
    """
    for beginning, kind in _BEGINNINGS:
        if head.startswith(beginning):
            return kind
    if head[:4] == b"RIFF" and head[8:14] == b"WEBPVP":
        return "image/webp"
    if head[4:8] == b"ftyp":
        length = min(int.from_bytes(head[:4]), HEAD_BYTES)
        # The major brand, and after a version the compatible ones.
        if any(head[at : at + 4] in _AVIF_BRANDS for at in (8, *range(16, length - 3, 4))):
            return "image/avif"
    return ANYTHING
