"""RTCP packets (RFC 3550 section 6, RFC 4585, RFC 5104, REMB): reads compound packets, and writes the packets that
we send.
"""

import itertools
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from roomfsm.mediaserver.rtp.errors import RtcpError as RtcpError
from roomfsm.mediaserver.rtp.transport_feedback import (
    FORMAT,
    MAX_STATUSES,
    TransportFeedback,
    parse_feedback,
    status_count,
)

SR, RR, SDES, BYE = 200, 201, 202, 203
RTPFB, PSFB = 205, 206
_NACK = 1
_PLI, _FIR, _AFB = 1, 4, 15

MAX_NACKED = 1024
"""The most sequence numbers that are read from the NACKs of one compound packet. Browsers ask for at most 1000 at
once."""

_HEADER = struct.Struct("!BBH")
_SENDER = struct.Struct("!IQIII")
_REPORT = struct.Struct("!IBBHIIII")
_FEEDBACK = struct.Struct("!BBHII")
_NACK_ITEM = struct.Struct("!HH")


@dataclass(frozen=True, slots=True)
class SenderReport:
    ssrc: int
    ntp: int
    """The 64-bit NTP timestamp (RFC 3550 section 4)."""
    rtp: int
    packets: int
    octets: int


@dataclass(frozen=True, slots=True)
class Nack:
    media_ssrc: int
    sequence_numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KeyframeRequest:
    """A PLI (RFC 4585 section 6.3.1), or one entry of a FIR (RFC 5104 section 4.3.1)."""

    media_ssrc: int
    command: int | None = field(default=None, compare=False)
    """The sequence number of a FIR's command, 0 to 255. A repeated command has the same number."""


@dataclass(frozen=True, slots=True)
class Remb:
    """Receiver estimated maximum bitrate (draft-alvestrand-rmcat-remb-03), bit/s."""

    bitrate: int
    ssrcs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """One source in a receiver report (RFC 3550 section 6.4.1); `fraction_lost` in 1/256, `delay` in 1/65536 s."""

    ssrc: int
    fraction_lost: int
    lost: int
    highest: int
    jitter: int
    last_report: int
    delay: int


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """The report blocks of a receiver report, or of a sender report that has any (RFC 3550 section 6.4)."""

    blocks: tuple[ReportBlock, ...]


type RtcpPacket = SenderReport | ReceiverReport | Nack | KeyframeRequest | Remb | TransportFeedback


def parse(compound: bytes, max_nacked: int = MAX_NACKED, max_statuses: int = MAX_STATUSES) -> list[RtcpPacket]:
    """Return the packets of a compound that the engine uses, and ignore the others. Raises :class:`RtcpError`.

    At most `max_nacked` sequence numbers are read from all its NACKs. A datagram could hold 8500, which would take
    too long to handle. Transport-wide feedback about more than `max_statuses` packets, together with that before
    it, is ignored.
    """
    packets: list[RtcpPacket] = []
    offset, size = 0, len(compound)
    while offset < size:
        if offset + 8 > size:
            raise RtcpError("packet shorter than its header")
        first, kind, words = _HEADER.unpack_from(compound, offset)
        end = offset + 4 + 4 * words
        if first >> 6 != 2 or end > size:
            raise RtcpError("bad header")
        if kind == SR:
            if end - offset < 28:
                raise RtcpError("short sender report")
            packets.append(SenderReport(*_SENDER.unpack_from(compound, offset + 4)))
        if kind in (SR, RR):
            begin = offset + (28 if kind == SR else 8)
            count = first & 0x1F
            if begin + count * _REPORT.size > end:
                raise RtcpError("fewer report blocks than announced")
            if count:
                packets.append(ReceiverReport(tuple(_parse_blocks(compound, begin, count))))
        elif kind == RTPFB and first & 0x1F == FORMAT:
            if status_count(compound[offset:end]) > max_statuses:
                offset = end
                continue
            feedback = parse_feedback(compound[offset:end], max_statuses)
            max_statuses -= len(feedback.arrivals)
            packets.append(feedback)
        elif kind in (RTPFB, PSFB):
            for packet in _parse_feedback(kind, first & 0x1F, compound[offset:end], max_nacked):
                if isinstance(packet, Nack):
                    max_nacked -= len(packet.sequence_numbers)
                packets.append(packet)
        offset = end
    return packets


def _parse_blocks(compound: bytes, begin: int, count: int) -> Iterator[ReportBlock]:
    for index in range(count):
        ssrc, fraction, high, low, *rest = _REPORT.unpack_from(compound, begin + index * _REPORT.size)
        lost = high << 16 | low
        yield ReportBlock(ssrc, fraction, lost - (lost >> 23 << 24), *rest)


def _parse_feedback(kind: int, fmt: int, packet: bytes, max_nacked: int) -> Iterator[RtcpPacket]:
    if len(packet) < 12:
        raise RtcpError("short feedback")
    (media_ssrc,) = struct.unpack_from("!I", packet, 8)
    if kind == RTPFB and fmt == _NACK:
        if len(packet) % 4:
            raise RtcpError("torn NACK")
        yield Nack(media_ssrc, tuple(itertools.islice(_nacked(packet[12:]), max_nacked)))
    elif kind == PSFB and fmt == _PLI:
        yield KeyframeRequest(media_ssrc)
    elif kind == PSFB and fmt == _FIR:
        for offset in range(12, len(packet) - 7, 8):
            yield KeyframeRequest(int.from_bytes(packet[offset : offset + 4]), packet[offset + 4])
    elif kind == PSFB and fmt == _AFB and packet[12:16] == b"REMB":
        if len(packet) < 20 or len(packet) < 20 + 4 * packet[16]:
            raise RtcpError("short REMB")
        mantissa = int.from_bytes(packet[17:20])
        ssrcs = struct.unpack_from(f"!{packet[16]}I", packet, 20)
        yield Remb((mantissa & 0x3FFFF) << (mantissa >> 18), ssrcs)


def _nacked(items: bytes) -> Iterator[int]:
    for first, mask in _NACK_ITEM.iter_unpack(items):
        yield first
        for bit in range(16):
            if mask >> bit & 1:
                yield (first + bit + 1) & 0xFFFF


def sender_report(ssrc: int, report: SenderReport) -> bytes:
    """A sender report without report blocks. `ssrc` replaces that of the report."""
    return _HEADER.pack(0x80, SR, 6) + _SENDER.pack(
        ssrc, report.ntp, report.rtp & 0xFFFFFFFF, report.packets & 0xFFFFFFFF, report.octets & 0xFFFFFFFF
    )


def receiver_report(ssrc: int, blocks: Sequence[ReportBlock]) -> bytes:
    body = b"".join(
        _REPORT.pack(
            block.ssrc,
            block.fraction_lost,
            (block.lost >> 16) & 0xFF,
            block.lost & 0xFFFF,
            block.highest,
            block.jitter,
            block.last_report,
            block.delay,
        )
        for block in blocks
    )
    return struct.pack("!BBHI", 0x80 | len(blocks), RR, 1 + len(body) // 4, ssrc) + body


def source_description(ssrc: int, cname: str) -> bytes:
    """An SDES packet with the CNAME, which every compound must have (RFC 3550 section 6.5)."""
    item = bytes((1, len(cname))) + cname.encode()
    item += bytes(4 - len(item) % 4)
    return struct.pack("!BBHI", 0x81, SDES, 1 + len(item) // 4, ssrc) + item


def nack(ssrc: int, media_ssrc: int, sequence_numbers: Sequence[int]) -> bytes:
    """A generic NACK (RFC 4585 section 6.2.1). The numbers must be in the order of the stream."""
    items: list[list[int]] = []
    for number in sequence_numbers:
        distance = (number - items[-1][0]) & 0xFFFF if items else 0
        if items and 1 <= distance <= 16:
            items[-1][1] |= 1 << (distance - 1)
        else:
            items.append([number, 0])
    body = b"".join(_NACK_ITEM.pack(*item) for item in items)
    return _FEEDBACK.pack(0x80 | _NACK, RTPFB, 2 + len(items), ssrc, media_ssrc) + body


def pli(ssrc: int, media_ssrc: int) -> bytes:
    return _FEEDBACK.pack(0x80 | _PLI, PSFB, 2, ssrc, media_ssrc)


def fir(ssrc: int, media_ssrc: int, count: int) -> bytes:
    """A full intra request (RFC 5104 section 4.3.1).

    `count` grows with each new request, so that a repetition is recognised.
    """
    return _FEEDBACK.pack(0x80 | _FIR, PSFB, 4, ssrc, 0) + struct.pack("!IBxxx", media_ssrc, count & 0xFF)


def remb(ssrc: int, bitrate: int, ssrcs: Sequence[int]) -> bytes:
    exponent = max(0, bitrate.bit_length() - 18)
    body = b"REMB" + struct.pack("!I", len(ssrcs) << 24 | exponent << 18 | bitrate >> exponent)
    body += struct.pack(f"!{len(ssrcs)}I", *ssrcs)
    return _FEEDBACK.pack(0x80 | _AFB, PSFB, 2 + len(body) // 4, ssrc, 0) + body
