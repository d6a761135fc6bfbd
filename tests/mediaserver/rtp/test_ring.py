"""The ring keeps the packets that late viewers and repairs need, and nothing else takes memory."""

from hypothesis import given
from hypothesis import strategies as st

from roomfsm.mediaserver.rtp.ring import KeptPacket, PacketRing

FIRST = 0x10000


def kept(ring: PacketRing, numbers: range) -> list[int]:
    return [number for number in numbers if ring.get(number) is not None]


@given(
    st.sampled_from([(64, 16), (64, 64), (16, 64), (32, 1)]),
    st.lists(st.tuples(st.booleans(), st.integers(1, 60)), max_size=12),
)
def test_packets_since_the_last_keyframe_are_kept_if_they_fit_or_else_the_window(
    sizes: tuple[int, int], runs: list[tuple[bool, int]]
) -> None:
    size, window = sizes
    ring, newest, keyframe = PacketRing(size, window), FIRST - 1, 0
    for begins, length in runs:
        for index in range(length):
            newest += 1
            ring.keep(KeptPacket(newest, 0, 0.0, b""))
            if begins and index == 0:
                ring.keyframe_start = keyframe = newest
            followed = newest + 1 - keyframe
            wanted = max(min(window, size), followed if followed <= size else 0)
            # What came before a keyframe goes with the packet behind the keyframe's first.
            spare = begins and index == 0
            found = kept(ring, range(FIRST, newest + 1))
            assert found[-wanted:] == list(range(max(FIRST, newest + 1 - wanted), newest + 1))
            assert spare or len(found) <= wanted
            assert all(number >= ring.oldest for number in found)


def test_packets_that_come_out_of_order_are_kept_and_push_nothing_out() -> None:
    ring = PacketRing(64, 16)
    for number in (FIRST, FIRST + 10, FIRST + 3):
        ring.keep(KeptPacket(number, 0, 0.0, b""))
    assert kept(ring, range(FIRST, FIRST + 20)) == [FIRST, FIRST + 3, FIRST + 10]


def test_after_a_jump_of_the_numbers_no_packet_is_found_in_between() -> None:
    ring = PacketRing(64, 16)
    for number in range(FIRST, FIRST + 64):
        ring.keep(KeptPacket(number, 0, 0.0, b""))
    ring.keep(KeptPacket(FIRST + 3000, 0, 0.0, b""))
    assert ring.oldest == FIRST + 3000 - 15
    assert kept(ring, range(ring.oldest, FIRST + 3001)) == [FIRST + 3000]
