"""RTP headers and the payloads that begin a keyframe."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomfsm.mediaserver.rtp import packet as rtp
from roomfsm.mediaserver.rtp.extensions import read_extension
from tests.examples import examples

HEADER = bytes((0x80, 96)) + bytes(10)


def test_the_payload_comes_after_the_csrcs_and_the_extension() -> None:
    assert rtp.payload_offset(HEADER + b"payload") == 12
    csrcs = bytes((0x82, 96)) + bytes(10) + bytes(8)
    assert rtp.payload_offset(csrcs + b"payload") == 20
    extended = bytes((0x91, 96)) + bytes(10) + bytes(4) + b"\xbe\xde\0\1\x22\1\2\3"
    assert rtp.payload_offset(extended + b"payload") == 24


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        HEADER[:11],
        bytes((0x40, 96)) + bytes(10),
        bytes((0x8F, 96)) + bytes(10),
        bytes((0x90, 96)) + bytes(10),
        bytes((0x90, 96)) + bytes(10) + b"\xbe\xde",
        bytes((0x90, 96)) + bytes(10) + b"\xbe\xde\0",
        bytes((0x90, 96)) + bytes(10) + b"\xbe\xde\xff\xff",
    ],
    ids=[
        "empty",
        "short",
        "version 1",
        "csrcs past the end",
        "no extension",
        "torn extension",
        "torn length",
        "extension past the end",
    ],
)
def test_a_datagram_that_is_not_rtp_is_an_error(packet: bytes) -> None:
    with pytest.raises(rtp.RtpError):
        rtp.payload_offset(packet)


def test_an_extension_is_removed_and_the_csrcs_stay() -> None:
    packet = bytes((0xB1, 96)) + bytes(10) + b"csrc" + b"\xbe\xde\0\1\x22\1\2\3" + b"payload"
    assert rtp.without_extension(packet, 24) == bytes((0xA1, 96)) + bytes(10) + b"csrcpayload"


def test_a_retransmission_is_the_original_with_its_number_before_the_payload() -> None:
    header = bytes((0x91, 0x80 | 97, 0, 1, 0, 0, 0x0B, 0xB8, 0, 0, 0, 9)) + b"csrc" + b"\xbe\xde\0\1\x22\1\2\3"
    restored = rtp.original(header + b"\x12\x34payload", 0xAABBCCDD, 96)
    assert restored == (
        bytes((0x91, 0x80 | 96, 0x12, 0x34, 0, 0, 0x0B, 0xB8, 0xAA, 0xBB, 0xCC, 0xDD))
        + b"csrc"
        + b"\xbe\xde\0\1\x22\1\2\3"
        + b"payload"
    )


@pytest.mark.parametrize(("size", "padding"), [(0, 0), (200, 200), (4, 4)])
def test_a_retransmission_of_nothing_but_padding_has_no_original(size: int, padding: int) -> None:
    first = 0xA0 if padding else 0x80
    packet = bytes((first, 97)) + bytes(10) + bytes(max(0, size - 1)) + (bytes((padding,)) if padding else b"")
    assert rtp.original(packet, 1, 96) is None


@pytest.mark.parametrize("rest", [b"\x01", b"\x00\x05"])
def test_a_retransmission_without_a_number_is_an_error(rest: bytes) -> None:
    first = 0xA0 if len(rest) > 1 else 0x80
    with pytest.raises(rtp.RtpError):
        rtp.original(bytes((first, 97)) + bytes(10) + rest, 1, 96)


@pytest.mark.parametrize(
    ("payload", "begins"),
    [
        (b"\x10\x00", True),
        (b"\x10\x01", False),  # an interframe
        (b"\x00\x00", False),  # not the start of a partition
        (b"\x11\x00", False),  # partition 1
        (b"\x90\x80\x05\x00", True),  # picture id of 7 bits
        (b"\x90\x80\x95\x12\x00", True),  # picture id of 15 bits
        (b"\x90\xf0\x95\x12\x01\x20\x00", True),  # picture id, TL0PICIDX, TID
        (b"\x90\xf0\x95\x12\x01\x20\x01", False),
        (b"", False),
        (b"\x90", False),
        (b"\x90\x80", False),
    ],
)
def test_a_vp8_keyframe_is_recognized_by_the_payload_descriptor(payload: bytes, begins: bool) -> None:
    assert rtp.vp8_keyframe_start(HEADER + payload, 12) is begins


@pytest.mark.parametrize(
    ("payload", "begins"),
    [
        (b"\x65\x88", True),  # IDR slice
        (b"\x67\x42", True),  # SPS
        (b"\x41\x9a", False),  # non-IDR slice
        (b"\x78\x00\x02\x67\x42\x00\x02\x68\xce", True),  # STAP-A: SPS, PPS
        (b"\x78\x00\x02\x41\x42", False),  # STAP-A: a slice
        (b"\x7c\x85\x88", True),  # FU-A: IDR, first fragment
        (b"\x7c\x05\x88", False),  # FU-A: IDR, a later fragment
        (b"\x7c\x81\x88", False),  # FU-A: non-IDR
        (b"\x7c\x87\x42", True),  # FU-A: SPS, first fragment
        (b"", False),
        (b"\x7c", False),
        (b"\x78\xff\xff", False),
    ],
)
def test_an_h264_keyframe_is_recognized_by_the_nal_unit_type(payload: bytes, begins: bool) -> None:
    assert rtp.h264_keyframe_start(HEADER + payload, 12) is begins


@pytest.mark.parametrize(
    ("payload", "begins"),
    [
        (b"\x08\x83", True),  # the beginning of a frame that is predicted from none
        (b"\x0c\x83", True),  # and its end
        (b"\x48\x83", False),  # predicted from another
        (b"\x00\x83", False),  # not the beginning
        (b"\xa8\x05\x00\x83", True),  # picture id of 7 bits, layers: the lowest
        (b"\xa8\x85\x12\x20\x83", True),  # picture id of 15 bits, temporal layer 1
        (b"\xa8\x85\x12\x02\x83", False),  # spatial layer 1
        (b"\x28\x02\x83", False),  # spatial layer 1 without a picture id
        (b"", False),
        (b"\x28", False),
        (b"\xa8", False),
        (b"\xa8\x85\x12", False),
    ],
)
def test_a_vp9_keyframe_is_recognized_by_the_payload_descriptor(payload: bytes, begins: bool) -> None:
    assert rtp.vp9_keyframe_start(HEADER + payload, 12) is begins


@pytest.mark.parametrize(
    ("payload", "begins"),
    [
        (b"\x18\x0a", True),  # N: the first packet of a coded video sequence
        (b"\x28\x0a", True),
        (b"\x10\x32", False),  # another frame
        (b"\x98\x0a", False),  # Z: goes on from the packet before
        (b"", False),
    ],
)
def test_an_av1_keyframe_is_recognized_by_the_aggregation_header(payload: bytes, begins: bool) -> None:
    assert rtp.av1_keyframe_start(HEADER + payload, 12) is begins


@examples(200)
@given(st.binary(max_size=60))
def test_no_packet_breaks_the_parsers(packet: bytes) -> None:
    try:
        offset = rtp.payload_offset(packet)
    except rtp.RtpError:
        return
    for begins in rtp.KEYFRAME_STARTS.values():
        begins(packet, offset)
    with suppress(rtp.RtpError):
        rtp.original(packet, 1, 96)
    if packet[0] & 0x10:
        read_extension(packet, offset, 3)
        assert not rtp.without_extension(packet, offset)[0] & 0x10
