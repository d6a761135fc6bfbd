"""Header extensions: read in both forms, written as each viewer numbers them."""

import pytest

from roomfsm.mediaserver.rtp.extensions import (
    ABS_SEND_TIME,
    AUDIO_LEVEL,
    MID,
    TRANSPORT_CC,
    ExtensionWriter,
    OutgoingExtensions,
    number_place,
    read_extension,
)

HEADER = bytes((0x91, 96)) + bytes(10) + b"csrc"


def packet(profile: bytes, elements: bytes) -> tuple[bytes, int]:
    """A packet with a header extension, and where its payload begins."""
    elements += bytes(-len(elements) % 4)
    head = HEADER + profile + (len(elements) // 4).to_bytes(2) + elements
    return head + b"payload", len(head)


@pytest.mark.parametrize(
    ("profile", "elements"),
    [
        (b"\xbe\xde", b"\x10A\x00\x00\x32\x01\x02\x03\x51\x12\x34"),
        (b"\x10\x00", b"\x01\x01A\x00\x03\x03\x01\x02\x03\x05\x02\x12\x34"),
    ],
    ids=["one-byte form", "two-byte form"],
)
def test_an_extension_is_found_by_its_id(profile: bytes, elements: bytes) -> None:
    data, payload = packet(profile, elements)
    assert read_extension(data, payload, 1) == b"A"
    assert read_extension(data, payload, 3) == b"\1\2\3"
    assert read_extension(data, payload, 5) == b"\x12\x34"
    assert read_extension(data, payload, 4) == b""


@pytest.mark.parametrize(
    ("profile", "elements"),
    [
        (b"\xbe\xde", b"\x37\x01\x02\x03"),
        (b"\xbe\xde", b"\xf0\x01\x30\x01"),
        (b"\x10\x00", b"\x03\xff\x01\x02"),
        (b"\x10\x00", b"\x01\x01\x00\x03"),
        (b"\x12\x34", b"\x30\x01\x00\x00"),
        (b"\x10\x00", b""),
    ],
    ids=["past the end", "id 15 stops", "past the end, two-byte", "no length", "another form", "empty"],
)
def test_a_damaged_extension_counts_as_missing(profile: bytes, elements: bytes) -> None:
    data, payload = packet(profile, elements)
    assert read_extension(data, payload, 3) == b""


def test_video_has_the_send_time_in_seconds_of_6_18_bits_and_its_mid() -> None:
    writer = ExtensionWriter(OutgoingExtensions(abs_send_time=3, mid=4, mid_value=b"v1"))
    stamp = bytes((0x32,)) + (3 << 17).to_bytes(3)
    assert writer.write(64 + 1.5, b"") == b"\xbe\xde\0\2" + stamp + b"\x41v1\0"


def test_audio_has_its_level_if_the_publisher_sent_it() -> None:
    writer = ExtensionWriter(OutgoingExtensions(audio_level=1, mid=4, mid_value=b"0"))
    assert writer.write(0.0, b"\x95") == b"\xbe\xde\0\1\x10\x95\x400"
    assert writer.write(0.0, b"") == b"\xbe\xde\0\1\x400\0\0"


def test_without_negotiated_extensions_there_is_no_header_extension() -> None:
    assert ExtensionWriter(OutgoingExtensions()).write(1.0, b"\x95") == b""
    assert ExtensionWriter(OutgoingExtensions(audio_level=1)).write(1.0, b"") == b""


def test_a_viewers_extensions_have_the_ids_of_its_own_offer() -> None:
    ids = {ABS_SEND_TIME: 2, AUDIO_LEVEL: 1, MID: 4}
    assert OutgoingExtensions.negotiated(ids, "video") == OutgoingExtensions(2, 1, 4, b"video")
    assert OutgoingExtensions.negotiated(ids, "") == OutgoingExtensions(2, 1)
    assert OutgoingExtensions.negotiated(ids, "longer than the form") == OutgoingExtensions(2, 1)


@pytest.mark.parametrize("first", [0x90, 0x92])
def test_a_transport_wide_number_has_its_place_at_the_beginning(first: int) -> None:
    writer = ExtensionWriter(OutgoingExtensions(mid=4, mid_value=b"v1", transport_cc=5))
    extension = writer.write(1.0, b"")
    assert extension == b"\xbe\xde\0\2\x51\0\0\x41v1\0\0"
    packet = bytearray(bytes((first, 96)) + bytes(10 + 4 * (first & 0x0F)) + extension + b"payload")
    place = number_place(packet)
    packet[place : place + 2] = b"\x12\x34"
    assert read_extension(bytes(packet), len(packet) - len(b"payload"), 5) == b"\x12\x34"


def test_packets_with_numbers_need_no_send_time() -> None:
    ids = {ABS_SEND_TIME: 2, TRANSPORT_CC: 3, MID: 4}
    assert OutgoingExtensions.negotiated(ids, "v", numbered=True) == OutgoingExtensions(0, 0, 4, b"v", 3)
    assert OutgoingExtensions.negotiated(ids, "v") == OutgoingExtensions(2, 0, 4, b"v", 0)
    assert OutgoingExtensions.negotiated({ABS_SEND_TIME: 2}, "v", numbered=True).abs_send_time == 2
