"""Transport-wide feedback is read as its draft says, and damaged feedback is an error."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomfsm.mediaserver.rtp import rtcp
from roomfsm.mediaserver.rtp.errors import RtcpError
from roomfsm.mediaserver.rtp.transport_feedback import (
    MAX_STATUSES,
    TransportFeedback,
    parse_feedback,
    write_feedback,
)
from tests.mediaserver.rtp.transport_cc_reader import read_feedback

EPOCH = 0x123456 * 256
"""A reference time in units of the arrivals."""


def feedback(total: int, body: bytes, *, base: int = 5, padding: int = 0) -> bytes:
    """A packet about `total` packets, with these chunks and times after the reference time."""
    content = struct.pack("!IIHHI", 1, 2, base, total, 0x12345607) + body
    content += bytes(-len(content) % 4) if not padding else bytes(padding - 1) + bytes((padding,))
    return struct.pack("!BBH", 0x8F | (0x20 if padding else 0), 205, len(content) // 4) + content


def arrivals(total: int, body: bytes) -> list[int | None]:
    return list(parse_feedback(feedback(total, body)).arrivals)


def test_the_head_is_read() -> None:
    assert parse_feedback(feedback(1, b"\x20\x01\x09", base=65000)) == TransportFeedback(65000, 0x123456, 7, [9])


@pytest.mark.parametrize(
    ("total", "body", "expected"),
    [
        (3, b"\x20\x03\x01\x00\xff", [1, 1, 256]),
        (3, b"\x00\x03", [None, None, None]),
        (2, b"\x40\x02\xff\xff\x01\x00", [-1, 255]),
        (2, b"\x40\x02\x7f\xff\x80\x00", [0x7FFF, -1]),
        (4, b"\x20\x01\x00\x02\x20\x01\x04\x05", [4, None, None, 9]),
        (14, b"\xa0\x01" + bytes((5, 6)), [5, *12 * [None], 11]),
        (7, b"\xc6\x01\x03\x00\x04\x02", [None, 3, 7, None, None, None, 9]),
        (7, b"\xc0\x08\x01\x02", [None, None, None, None, None, 258, None]),
        (8, b"\xc0\x01\x20\x01\x04\x02", [*6 * [None], 4, 6]),
    ],
    ids=["run", "lost run", "negative", "far", "runs", "one bit", "two bits", "large", "vector and run"],
)
def test_runs_and_vectors_say_what_came_and_when(total: int, body: bytes, expected: list[int | None]) -> None:
    assert arrivals(total, body) == expected


def test_what_a_chunk_says_beyond_the_number_of_packets_does_not_count() -> None:
    assert arrivals(2, b"\xbf\xff\x01\x02") == [1, 3]
    assert arrivals(2, b"\xd5\x55\x01\x02") == [1, 3]
    assert arrivals(2, b"\x3f\xff\x01\x02") == [1, 3]
    assert arrivals(0, b"") == []


def test_padding_is_no_time() -> None:
    assert list(parse_feedback(feedback(1, b"\x20\x01\x05", padding=1)).arrivals) == [5]
    with pytest.raises(RtcpError, match="fewer times"):
        parse_feedback(feedback(2, b"\x20\x02\x05", padding=1))


@given(
    st.lists(st.none() | st.integers(EPOCH, EPOCH + 4000), min_size=1, max_size=480).filter(
        lambda times: any(time is not None for time in times)
    )
)
def test_what_is_written_is_read(times: list[int | None]) -> None:
    written = write_feedback(1, 2, 65000, 9, [None if time is None else time / 4000 for time in times])
    (found,) = rtcp.parse(rtcp.receiver_report(1, ()) + written)
    assert isinstance(found, TransportFeedback)
    assert (found.base, found.count) == (65000, 9)
    told = [None if time is None else found.reference * 256 + time for time in found.arrivals]
    assert told == times
    number, base, by_another = read_feedback(written)
    assert (number, base) == (9, 65000)
    assert [None if time is None else round(time * 4000) for time in by_another] == times


@pytest.mark.parametrize(
    ("packet", "message"),
    [
        (b"\x8f\xcd\x00\x03" + bytes(12), "short"),
        (feedback(1, b""), "fewer statuses"),
        (feedback(8, b"\xc0\x00"), "fewer statuses"),
        (feedback(9, b"\x20\x08" + bytes(10)), "fewer statuses"),
        (feedback(3, b"\x20\x03\x01\x02", padding=4), "fewer times"),
        (feedback(2, b"\x40\x02\x01\x02\x03", padding=3), "fewer times"),
        (feedback(1, b"\x60\x01"), "reserved"),
        (feedback(7, b"\xc0\x03" + bytes(10)), "reserved"),
        (b"\xaf" + feedback(1, b"\x20\x01\x01")[1:-1] + b"\0", "padding"),
        (b"\xaf" + feedback(1, b"\x20\x01\x01")[1:-1] + b"\x05", "padding"),
    ],
)
def test_damaged_feedback_is_an_error(packet: bytes, message: str) -> None:
    with pytest.raises(RtcpError, match=message):
        parse_feedback(packet)
    with pytest.raises(RtcpError, match=message):
        rtcp.parse(packet)


def test_a_compound_tells_of_no_more_packets_than_there_is_time_for() -> None:
    whole = feedback(MAX_STATUSES, b"\x1f\xff\x00\x01")
    half = feedback(MAX_STATUSES // 2, b"\x1f\xff")
    assert len(parse_feedback(whole).arrivals) == MAX_STATUSES
    assert len(rtcp.parse(half + half)) == 2
    assert rtcp.parse(feedback(MAX_STATUSES + 1, b"\x1f\xff\x00\x02")) == []
    assert len(rtcp.parse(half + half + feedback(1, b"\0\1"))) == 2
    assert len(rtcp.parse(half + half, max_statuses=MAX_STATUSES - 1)) == 1
    assert rtcp.parse(half, max_statuses=0) == []
    with pytest.raises(RtcpError, match="too many"):
        parse_feedback(feedback(MAX_STATUSES + 1, b"\x1f\xff\x00\x02"))


def test_times_of_a_stream_without_losses_are_those_with_one() -> None:
    """Everything that came is read in one go, which must make no difference."""
    deltas = bytes(range(250))
    whole = arrivals(250, b"\x20\xfa" + deltas)
    assert [later - earlier for earlier, later in pairwise(one for one in whole if one is not None)] == [
        *deltas[1:]
    ]
    assert arrivals(251, b"\x20\xfa\x00\x01" + deltas) == [*whole, None]
