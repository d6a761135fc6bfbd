"""Given the first bytes of a file, then only a picture that can be nothing else is known as one."""

from __future__ import annotations

import pytest

from roomfsm.files.pictures import ANYTHING, HEAD_BYTES, media_type

AVIF = b"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00avifmif1miaf"
AVIF_BY_COMPATIBLE_BRAND = b"\x00\x00\x00\x1cftypmif1\x00\x00\x00\x00mif1avifmiaf"


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "image/png"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "image/jpeg"),
        (b"GIF89a\x01\x00", "image/gif"),
        (b"GIF87a\x01\x00", "image/gif"),
        (b"RIFF\x24\x00\x00\x00WEBPVP8 ", "image/webp"),
        (AVIF, "image/avif"),
        (AVIF_BY_COMPATIBLE_BRAND, "image/avif"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", ANYTHING),
        (b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00isommp42", ANYTHING),
        (b"\x00\x00\x00\x10ftypmp42\x00\x00\x00\x00avif", ANYTHING),
        (b'<svg xmlns="http://www.w3.org/2000/svg">', ANYTHING),
        (b"<?xml version='1.0'?><svg/>", ANYTHING),
        (b"<!doctype html>", ANYTHING),
        (b"%PDF-1.7", ANYTHING),
        (b" \x89PNG\r\n\x1a\n", ANYTHING),
        (b"\x89PNG", ANYTHING),
        (b"", ANYTHING),
    ],
)
def test_the_bytes_decide(head: bytes, kind: str) -> None:
    assert media_type(head) == kind
    assert media_type(head.ljust(HEAD_BYTES, b"\0")) == kind or kind == ANYTHING
