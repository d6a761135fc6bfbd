"""RTCP: what we write is what we read, and damaged compounds are errors."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomfsm.mediaserver.rtp import rtcp
from tests.examples import examples

REPORT = rtcp.SenderReport(7, 0x0123456789ABCDEF, 90000, 10, 1000)


def test_a_sender_report_gets_our_ssrc() -> None:
    assert rtcp.parse(rtcp.sender_report(9, REPORT)) == [rtcp.SenderReport(9, 0x0123456789ABCDEF, 90000, 10, 1000)]


@given(st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=50, unique=True))
def test_a_nack_names_each_number_whatever_their_distances(numbers: list[int]) -> None:
    (packet,) = rtcp.parse(rtcp.nack(1, 2, sorted(numbers)))
    assert isinstance(packet, rtcp.Nack)
    assert packet.media_ssrc == 2
    assert sorted(packet.sequence_numbers) == sorted(numbers)


def test_a_nack_across_the_wrap_is_one_item() -> None:
    compound = rtcp.nack(1, 2, [0xFFFE, 0xFFFF, 0, 14])
    assert len(compound) == 16
    (packet,) = rtcp.parse(compound)
    assert packet == rtcp.Nack(2, (0xFFFE, 0xFFFF, 0, 14))


def test_no_more_of_a_nack_is_read_than_browsers_request_at_once() -> None:
    item = (1).to_bytes(2) + b"\xff\xff"
    nack = struct.pack("!BBHII", 0x81, 205, 2 + 200, 1, 2) + 200 * item
    found = [packet for packet in rtcp.parse(2 * nack) if isinstance(packet, rtcp.Nack)]
    assert sum(len(packet.sequence_numbers) for packet in found) == rtcp.MAX_NACKED
    few = [packet for packet in rtcp.parse(2 * nack, 20) if isinstance(packet, rtcp.Nack)]
    assert [len(packet.sequence_numbers) for packet in few] == [20, 0]


def test_keyframe_requests_are_written_and_read() -> None:
    assert rtcp.parse(rtcp.pli(1, 2)) == [rtcp.KeyframeRequest(2)]
    assert rtcp.parse(rtcp.fir(1, 2, 300)) == [rtcp.KeyframeRequest(2)]


@pytest.mark.parametrize("bitrate", [0, 1, 0x3FFFF, 0x40000, 2_500_000, 10_000_000_000])
def test_a_remb_keeps_18_bits_of_the_bitrate(bitrate: int) -> None:
    (packet,) = rtcp.parse(rtcp.remb(1, bitrate, (2, 3)))
    assert isinstance(packet, rtcp.Remb)
    assert packet.ssrcs == (2, 3)
    assert packet.bitrate <= bitrate <= packet.bitrate * (1 + 2**-17) + 1


def test_a_receiver_report_has_the_loss_in_24_bits_signed() -> None:
    compound = rtcp.receiver_report(1, [rtcp.ReportBlock(2, 3, -1, 70000, 5, 6, 7)])
    assert struct.unpack("!BBHIIB3sIIII", compound) == (0x81, 201, 7, 1, 2, 3, b"\xff\xff\xff", 70000, 5, 6, 7)


BLOCKS = (rtcp.ReportBlock(2, 3, -1, 70000, 5, 6, 7), rtcp.ReportBlock(8, 255, 0x7FFFFF, 1, 2, 3, 0xFFFFFFFF))


def test_report_blocks_are_read_from_receiver_and_sender_reports() -> None:
    assert rtcp.parse(rtcp.receiver_report(1, BLOCKS)) == [rtcp.ReceiverReport(BLOCKS)]
    sender = bytearray(rtcp.sender_report(9, REPORT) + rtcp.receiver_report(1, BLOCKS)[8:])
    sender[0] |= len(BLOCKS)
    sender[2:4] = (len(sender) // 4 - 1).to_bytes(2)
    assert rtcp.parse(bytes(sender)) == [
        rtcp.SenderReport(9, REPORT.ntp, REPORT.rtp, REPORT.packets, REPORT.octets),
        rtcp.ReceiverReport(BLOCKS),
    ]


def test_a_source_description_is_padded_to_words() -> None:
    for cname in ("a", "ab", "abc", "abcd", "abcdefgh"):
        compound = rtcp.source_description(1, cname)
        assert len(compound) % 4 == 0
        assert len(compound) == 4 + 4 * int.from_bytes(compound[2:4])
        assert compound[10 : 10 + len(cname)].decode() == cname
        assert compound[-1] == 0
        assert rtcp.parse(compound) == []


def test_all_packets_of_a_compound_are_read() -> None:
    compound = (
        rtcp.receiver_report(1, ()) + rtcp.source_description(1, "c") + rtcp.pli(1, 2) + rtcp.remb(1, 5, (2,))
    )
    assert rtcp.parse(compound) == [rtcp.KeyframeRequest(2), rtcp.Remb(5, (2,))]


@pytest.mark.parametrize(
    "compound",
    [
        b"\x80",
        rtcp.pli(1, 2)[:-1],
        b"\x40" + rtcp.pli(1, 2)[1:],
        b"\x80\xc8\x00\x01" + bytes(4),
        b"\x82" + rtcp.receiver_report(1, BLOCKS[:1])[1:],
        b"\x81\xcd\x00\x01" + bytes(4),
        b"\x8f\xce\x00\x03" + bytes(8) + b"REMB",
        b"\x8f\xce\x00\x04" + bytes(8) + b"REMB\xff\0\0\0",
    ],
    ids=[
        "byte",
        "cut",
        "version",
        "short SR",
        "RR of too few blocks",
        "short feedback",
        "short REMB",
        "REMB without its SSRCs",
    ],
)
def test_a_damaged_compound_is_an_error(compound: bytes) -> None:
    with pytest.raises(rtcp.RtcpError):
        rtcp.parse(compound)


@examples(300)
@given(st.sampled_from((200, 201, 203, 205, 206)), st.integers(0, 31), st.binary(max_size=64))
def test_no_body_breaks_the_parser(kind: int, count: int, body: bytes) -> None:
    body += bytes(-len(body) & 3)
    try:
        rtcp.parse(bytes((0x80 | count, kind)) + (len(body) // 4).to_bytes(2) + body)
    except rtcp.RtcpError:
        return
