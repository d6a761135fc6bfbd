"""RTP headers and the payloads that begin a keyframe."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roomfsm.mediaserver import rtp

HEADER = bytes((0x80, 96)) + bytes(10)


def test_the_payload_comes_after_csrcs_and_extension() -> None:
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
        bytes((0x90, 96)) + bytes(10) + b"\xbe\xde",
        bytes((0x90, 96)) + bytes(10) + b"\xbe\xde\xff\xff",
    ],
    ids=["empty", "short", "version 1", "csrcs past the end", "torn extension", "extension past the end"],
)
def test_what_is_not_rtp_is_an_error(packet: bytes) -> None:
    with pytest.raises(rtp.RtpError):
        rtp.payload_offset(packet)


def test_an_extension_is_taken_out_and_csrcs_stay() -> None:
    packet = bytes((0xB1, 96)) + bytes(10) + b"csrc" + b"\xbe\xde\0\1\x22\1\2\3" + b"payload"
    assert rtp.without_extension(packet, 24) == bytes((0xA1, 96)) + bytes(10) + b"csrcpayload"


def test_abs_send_time_is_put_in_as_seconds_of_6_18_bits() -> None:
    packet = rtp.with_abs_send_time(HEADER + b"payload", 3, 64 + 1.5)
    assert packet[0] == 0x90
    assert packet[12:20] == b"\xbe\xde\0\1" + bytes((0x32,)) + (3 << 17).to_bytes(3)
    assert packet[rtp.payload_offset(packet) :] == b"payload"


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
def test_vp8_keyframes_by_the_payload_descriptor(payload: bytes, begins: bool) -> None:
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
        (b"", False),
        (b"\x7c", False),
        (b"\x78\xff\xff", False),
    ],
)
def test_h264_keyframes_by_the_nal_unit_type(payload: bytes, begins: bool) -> None:
    assert rtp.h264_keyframe_start(HEADER + payload, 12) is begins


@settings(max_examples=200)
@given(st.binary(max_size=60))
def test_no_packet_breaks_the_parsers(packet: bytes) -> None:
    try:
        offset = rtp.payload_offset(packet)
    except rtp.RtpError:
        return
    for begins in rtp.KEYFRAME_STARTS.values():
        begins(packet, offset)
    if packet[0] & 0x10:
        assert not rtp.without_extension(packet, offset)[0] & 0x10
