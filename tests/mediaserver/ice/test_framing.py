"""Frames of RFC 4571: the packets are the same however the stream is cut, and none is longer than it may be."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomfsm.mediaserver.ice.framing import Deframer, FrameTooLong
from tests.mediaserver.tcp_peer import framed

LONGEST = 40
PACKETS = st.lists(st.binary(max_size=LONGEST), max_size=8)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    return [stream[begin:end] for begin, end in itertools.pairwise(ends)]


@given(packets=PACKETS, places=st.lists(st.integers(0, 400)), rest=st.binary(max_size=1))
def test_however_the_stream_is_cut_the_packets_are_the_same(
    packets: list[bytes], places: list[int], rest: bytes
) -> None:
    deframer = Deframer(LONGEST)
    stream = b"".join(map(framed, packets)) + rest
    found = [packet for piece in cut(stream, places) for packet in deframer.feed(piece)]
    assert found == packets


@given(packets=PACKETS, places=st.lists(st.integers(0, 400)), length=st.integers(LONGEST + 1, 0xFFFF))
def test_the_packets_before_a_frame_that_is_too_long_are_taken(
    packets: list[bytes], places: list[int], length: int
) -> None:
    deframer, found = Deframer(LONGEST), list[bytes]()
    stream = b"".join(map(framed, packets)) + length.to_bytes(2) + b"GET / HTTP/1.1"
    pieces = cut(stream, places)
    with pytest.raises(FrameTooLong):
        found.extend(packet for piece in pieces for packet in deframer.feed(piece))
    assert found == packets
