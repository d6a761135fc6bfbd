"""The RTCP packet of transport-wide feedback: which of a transport's packets arrived, and when.

The format is that of draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1. Status chunks say of each
packet whether it came, and whether its time takes one byte or two. A chunk is a run of one status, or a vector of
seven statuses of two bits or fourteen of one bit. After the chunks come the times, each as the difference from the
one before.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, product

from roomfsm.mediaserver.rtp.errors import RtcpError

KIND, FORMAT = 205, 15
TICKS = 4000
"""Units of the times in a second. A unit is 250 µs."""
TICKS_OF_REFERENCE = 256
"""The reference time's unit is 64 ms."""
MAX_STATUSES = 0x2000
"""The most packets that are read from the feedback of one compound. Twenty bytes can tell of 65,535 packets, which
would take too long. Browsers begin anew when so many numbers are missing."""

_FEEDBACK = struct.Struct("!BBHIIHH")
_HEADER = struct.Struct("!HHI")
_CHUNK = struct.Struct("!H")
_CHUNKS_AT = 20
"""Where the status chunks begin."""
_LOST, _SMALL, _LARGE, _RESERVED = 0, 1, 2, 3
_MAX_RUN = 0x1FFF
_VECTOR_LENGTH = 7
_ONES = [bytes(bits) for bits in product((_LOST, _SMALL), repeat=7)]
"""The seven statuses of one bit that seven bits stand for."""
_TWOS = [bytes(pairs) for pairs in product(range(4), repeat=4)]
"""The four statuses of two bits that eight bits stand for."""


@dataclass(frozen=True, slots=True)
class TransportFeedback:
    """Which packets arrived, from number `base` on, and when."""

    base: int
    """The 16-bit transport-wide number of the first packet."""
    reference: int
    """The 24-bit reference time, in units of 64 ms of the receiver's clock."""
    count: int
    """The number of this feedback, modulo 256."""
    arrivals: Sequence[int | None]
    """For each packet its arrival in units of 250 µs after the reference time, or None if it has not come."""


def status_count(packet: bytes) -> int:
    """About how many packets the feedback tells; 0 if it is cut off."""
    return int.from_bytes(packet[14:16])


def parse_feedback(packet: bytes, max_statuses: int = MAX_STATUSES) -> TransportFeedback:
    """Read the RTCP packet, whose header and length have been checked. Raises :class:`RtcpError`.

    A packet that tells of more than `max_statuses` packets is an error.
    """
    end = len(packet)
    if end < _CHUNKS_AT:
        raise RtcpError("short transport-wide feedback")
    base, total, reference = _HEADER.unpack_from(packet, 12)
    if total > max_statuses:
        raise RtcpError("transport-wide feedback about too many packets")
    if packet[0] & 0x20:
        if not 0 < packet[-1] <= end - _CHUNKS_AT:
            raise RtcpError("more padding than transport-wide feedback")
        end -= packet[-1]
    statuses, begin = _read_statuses(packet, end, total)
    return TransportFeedback(base, reference >> 8, reference & 0xFF, _read_arrivals(statuses, packet, begin, end))


def _read_statuses(packet: bytes, end: int, total: int) -> tuple[bytearray, int]:
    """The status of each packet, and where the times begin."""
    statuses = bytearray()
    offset = _CHUNKS_AT
    while (missing := total - len(statuses)) > 0:
        if offset + 2 > end:
            raise RtcpError("fewer statuses than announced")
        (chunk,) = _CHUNK.unpack_from(packet, offset)
        offset += 2
        if chunk < 0x8000:
            statuses += bytes((chunk >> 13,)) * min(chunk & _MAX_RUN, missing)
        elif chunk < 0xC000:
            statuses += _ONES[chunk >> 7 & 0x7F] + _ONES[chunk & 0x7F]
        else:  # The six bits of the last three statuses are those of an index of the table, but for its end.
            statuses += _TWOS[chunk >> 6 & 0xFF] + _TWOS[(chunk & 0x3F) << 2][:3]
    del statuses[total:]
    return statuses, offset


def _read_arrivals(statuses: bytearray, packet: bytes, offset: int, end: int) -> list[int | None]:
    size = len(statuses) - statuses.count(_LOST) + statuses.count(_LARGE)
    if offset + size > end:
        raise RtcpError("fewer times than statuses")
    if _RESERVED in statuses:
        raise RtcpError("reserved status of a packet")
    arrivals: list[int | None] = []
    if size == statuses.count(_SMALL) == len(statuses):  # Everything came, as usual.
        arrivals += accumulate(packet[offset : offset + size])
        return arrivals
    tick = 0
    for status in statuses:
        if status == _LOST:
            arrivals.append(None)
            continue
        delta = packet[offset]
        if status == _LARGE:
            delta = (delta ^ 0x80) - 0x80 << 8 | packet[offset + 1]
        offset += status
        tick += delta
        arrivals.append(tick)
    return arrivals


def write_feedback(ssrc: int, media_ssrc: int, first: int, count: int, arrivals: Sequence[float | None]) -> bytes:
    """Write the RTCP packet.

    `arrivals` has the arrival time of each packet from number `first` on, in seconds of any clock, or None for a
    packet that did not come. At least one must have come. `count` is the number of this feedback packet, modulo
    256.
    """
    ticks = [None if time is None else round(time * TICKS) for time in arrivals]
    before = next(tick for tick in ticks if tick is not None) // TICKS_OF_REFERENCE * TICKS_OF_REFERENCE
    reference = before // TICKS_OF_REFERENCE & 0xFFFFFF
    symbols, deltas = [], []
    for tick in ticks:
        if tick is None:
            symbols.append(_LOST)
            continue
        delta = max(-0x8000, min(0x7FFF, tick - before))
        before += delta
        small = 0 <= delta <= 0xFF
        symbols.append(_SMALL if small else _LARGE)
        deltas.append(delta.to_bytes(1) if small else delta.to_bytes(2, signed=True))
    body = (reference << 8 | count).to_bytes(4) + b"".join((*_chunks(symbols), *deltas))
    padding = -len(body) % 4
    if padding:
        body += bytes(padding - 1) + bytes((padding,))
    head = 0x80 | (0x20 if padding else 0) | FORMAT
    return _FEEDBACK.pack(head, KIND, 4 + len(body) // 4 - 1, ssrc, media_ssrc, first, len(symbols)) + body


def _chunks(symbols: Sequence[int]) -> Iterator[bytes]:
    """Encode symbols as run lengths (section 3.1.3) where that is shorter, and otherwise as vectors of seven
    two-bit symbols (section 3.1.4).
    """
    index = 0
    while index < len(symbols):
        run = _run_length(symbols, index)
        if run >= _VECTOR_LENGTH or index + run == len(symbols):
            yield (symbols[index] << 13 | run).to_bytes(2)
            index += run
            continue
        vector = 0xC000
        for position, symbol in enumerate(symbols[index : index + _VECTOR_LENGTH]):
            vector |= symbol << 2 * (_VECTOR_LENGTH - 1 - position)
        yield vector.to_bytes(2)
        index += _VECTOR_LENGTH


def _run_length(symbols: Sequence[int], start: int) -> int:
    end = start + 1
    while end < len(symbols) and end - start < _MAX_RUN and symbols[end] == symbols[start]:
        end += 1
    return end - start
