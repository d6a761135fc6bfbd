"""The numbers of pictures in VP8's payload descriptor: read, changed, and continued."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomfsm.mediaserver.rtp.vp8 import (
    UNCHANGED,
    PictureNumbers,
    PictureOffsets,
    continuing,
    picture_numbers,
    picture_size,
    renumbered,
    shifted,
)

HEADER = struct.pack("!BBHII", 0x80, 96, 1, 2, 3)
LONG = HEADER + bytes((0x90, 0xC0, 0x80 | 0x12, 0x34, 0x56, 0x00)) + bytes(10)
"""A descriptor with X, I and L: PictureID 0x1234, TL0PICIDX 0x56."""
SHORT = HEADER + bytes((0x90, 0x80, 0x7F, 0x00)) + bytes(10)


@pytest.mark.parametrize(
    ("packet", "numbers"),
    [
        (LONG, (0x1234, 0x56)),
        (SHORT, (0x7F, None)),
        (HEADER + bytes((0x90, 0x40, 0x09, 0x00)), (None, 9)),
        (HEADER + bytes((0x10, 0x00)), (None, None)),
        (HEADER + bytes((0x90, 0xC0, 0x92)), (None, None)),
        (HEADER + bytes((0x90, 0xC0, 0x92, 0x34)), (0x1234, None)),
        (HEADER, (None, None)),
    ],
)
def test_the_descriptor_is_read(packet: bytes, numbers: tuple[int | None, int | None]) -> None:
    assert picture_numbers(packet, 12) == numbers


def test_numbers_wrap_in_their_own_range() -> None:
    assert picture_numbers(renumbered(LONG, 12, PictureOffsets(0x7FFF, 0xFF)), 12) == (0x1233, 0x55)
    assert picture_numbers(renumbered(SHORT, 12, PictureOffsets(2, 0)), 12) == (1, None)


def test_a_stream_follows_another_one() -> None:
    before, first = PictureNumbers(0x7FFF, 0xFF), PictureNumbers(5, 6)
    assert shifted(first, continuing(before, first)) == (0, 0)
    assert continuing(PictureNumbers(4, 5), first) is UNCHANGED
    assert continuing(PictureNumbers(None, None), first) is UNCHANGED


@given(st.binary(max_size=8), st.integers(0, 0x7FFF), st.integers(0, 0xFF))
def test_only_the_numbers_change(payload: bytes, picture_id: int, tl0picidx: int) -> None:
    packet, offsets = HEADER + payload, PictureOffsets(picture_id, tl0picidx)
    changed = renumbered(packet, 12, offsets)
    back = renumbered(changed, 12, PictureOffsets(-picture_id % 0x8000, -tl0picidx % 0x100))
    assert len(changed) == len(packet)
    assert back == packet
    numbers = picture_numbers(packet, 12)
    if numbers.picture_id is not None and numbers.picture_id > 0x7F:
        assert picture_numbers(changed, 12) == shifted(numbers, offsets)


@pytest.mark.parametrize("descriptor", [b"\x10", b"\x90\xc0\x92\x34\x56", b"\x90\xf0\x12\x34\x56"])
def test_a_keyframe_names_its_size(descriptor: bytes) -> None:
    header = bytes((0x10, 0x02, 0x00, 0x9D, 0x01, 0x2A)) + struct.pack("<HH", 1280, 0x4000 | 720)
    assert picture_size(HEADER + descriptor + header, 12) == (1280, 720)
    assert picture_size(HEADER + descriptor + header[:-1], 12) is None
    assert picture_size(HEADER + descriptor + bytes(10), 12) is None
