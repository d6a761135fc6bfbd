"""Given VP8 in temporal layers, when a path bears little, then the lowest of them is sent as a whole stream."""

import gc
import struct
import weakref
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomfsm.mediaserver.base.kinds import PictureSize
from roomfsm.mediaserver.forwarding.sink import Sink
from roomfsm.mediaserver.forwarding.thinning import Thinning
from roomfsm.mediaserver.rtp.packet import payload_offset, payload_size
from roomfsm.mediaserver.rtp.vp8 import picture_numbers, temporal_layer
from tests.mediaserver.forwarding.test_simulcast import HIGH, LOW, MIDDLE, WAIT, Encoder, World

PATTERN = (0, 2, 1, 2)
"""The temporal layers of Chromium's pictures, again and again."""


class TemporalEncoder(Encoder):
    """One layer of a browser that sends temporal layers, as Chromium does by itself."""

    def __init__(self, name: str, index: int) -> None:
        super().__init__(name, index)
        self.place = 0

    def frame(self, time: float) -> Sequence[bytes]:
        if self.keyframe:
            self.place = 0
        layer = PATTERN[self.place % len(PATTERN)]
        self.place += 1
        if layer:
            self.tl0 = (self.tl0 - 1) % 0x100
        return [temporal(packet, layer) for packet in super().frame(time)]


def temporal(packet: bytes, layer: int) -> bytes:
    """A packet of `Encoder` with a temporal layer in its descriptor."""
    place = payload_offset(packet)
    descriptor = bytes((packet[place], 0xE0)) + packet[place + 2 : place + 5] + bytes((layer << 6,))
    return packet[:place] + descriptor + packet[place + 5 :]


class TemporalWorld(World):
    def __init__(self, *names: str, **settings: Any) -> None:
        super().__init__(*names, **settings)
        self.browser = {name: TemporalEncoder(name, one.ssrc - 1000) for name, one in self.browser.items()}

    def limited(self, sink: Sink, bitrate: int, seconds: float) -> None:
        """Let a viewer's browser say for so long that it can receive so much."""
        for _ in range(round(2 * seconds)):
            sink.viewer.path.estimated(bitrate, self.time)
            sink.viewer.path.rate = bitrate
            self.run(0.5)

    def media(self, sink: Sink) -> list[bytes]:
        return [packet for packet in self.sent.get(sink, []) if packet[1] & 0x7F == 96]


def layers(packets: Sequence[bytes]) -> set[int]:
    found = (temporal_layer(packet, payload_offset(packet)) for packet in packets)
    return {layer.number for layer in found if layer is not None}


def assert_whole(packets: Sequence[bytes]) -> None:
    """Assert that no number of a packet or picture is missing."""
    for before, after in pairwise(packets):
        assert (int.from_bytes(after[2:4]) - int.from_bytes(before[2:4])) & 0xFFFF == 1
        (first, tl0), (second, next_tl0) = (
            picture_numbers(packet, payload_offset(packet)) for packet in (before, after)
        )
        assert first is not None and second is not None and tl0 is not None and next_tl0 is not None  # noqa: PT018
        assert (second - first) & 0x7FFF == (before[4:8] != after[4:8])
        assert (next_tl0 - tl0) & 0xFF <= 1


def test_a_path_that_does_not_carry_the_smallest_layer_gets_a_part_of_its_pictures() -> None:
    world = TemporalWorld()
    world.run(1)
    good, poor = world.sink(), world.sink()
    world.run(WAIT + 2)
    world.limited(poor, 100_000, 6)
    world.sent[poor].clear()
    world.sent[good].clear()
    world.limited(poor, 100_000, 4)
    thinned, full = world.media(poor), world.media(good)
    assert layers(thinned) == {0}
    assert len(thinned) == 4 * 30 / len(PATTERN)
    assert_whole(thinned)
    # The others lose nothing.
    assert layers(full) == {0, 1, 2}
    assert_whole(full)
    # A better path gets all pictures again.
    world.limited(poor, 5_000_000, WAIT + 8)
    assert layers(world.media(poor)[-20:]) == {0, 1, 2}
    assert_whole(world.media(poor))


def test_nobody_begins_with_less_than_all_pictures() -> None:
    world = TemporalWorld()
    world.run(2)
    for size in PictureSize:
        sink = world.sink(size)
        world.run(1)
        assert layers(world.media(sink)) == {0, 1, 2}


def test_a_paused_viewer_begins_again_with_a_part_of_the_pictures() -> None:
    world = TemporalWorld()
    sink = world.sink()
    world.run(WAIT + 2)
    sink.pause()
    world.run(1)
    world.sent[sink].clear()
    sink.go_on(world.time)
    world.limited(sink, 100_000, 2)
    assert layers(world.media(sink)) == {0}
    assert_whole(world.media(sink))


def test_layers_are_still_named_as_the_browser_sends_them() -> None:
    world = TemporalWorld()
    poor = world.sink()
    world.limited(poor, 100_000, 15)
    assert world.wanted[-1] == [LOW]


@pytest.mark.parametrize("names", [(LOW, MIDDLE, HIGH), (HIGH, MIDDLE, LOW)])
def test_the_smallest_layer_is_thinned_wherever_it_is_offered(names: tuple[str, ...]) -> None:
    world = TemporalWorld(*names)
    sink = world.sink()
    world.limited(sink, 100_000, 8)
    assert layers(world.media(sink)[-5:]) == {0}
    assert world.simulcast.layers[0].layer.rid == LOW


def test_a_browser_without_temporal_layers_is_served_as_before() -> None:
    world = World()
    sink = world.sink()
    world.run(3)
    assert world.simulcast._thinned is None
    sink.follow(None)


def test_a_closed_source_is_freed_at_once() -> None:
    world = TemporalWorld()
    sink = world.sink()
    world.limited(sink, 100_000, 3)
    sink.follow(None)
    thinned = world.simulcast._thinned
    assert thinned is not None
    freed = weakref.ref(thinned)
    gc.collect()
    gc.disable()
    try:
        del thinned
        world.simulcast.close()
        world.attention.clear()
        assert freed() is None
    finally:
        gc.enable()


# The numbers


def packet(number: int, layer: int | None, tl0: int, ssrc: int = 7) -> bytes:
    """A packet that is a whole picture."""
    head = struct.pack("!BBHII", 0x80, 96, number & 0xFFFF, 3000 * number & 0xFFFFFFFF, ssrc)
    picture = (0x8000 | number & 0x7FFF).to_bytes(2)
    if layer is None:
        return head + bytes((0x90, 0xC0)) + picture + bytes((tl0 & 0xFF, 1)) + bytes(9)
    return head + bytes((0x90, 0xE0)) + picture + bytes((tl0 & 0xFF, layer << 6, 1)) + bytes(9)


def stream(count: int, first: int = 65_000) -> list[bytes]:
    """A stream in three temporal layers whose numbers wrap."""
    return [packet(first + index, PATTERN[index % 4], 250 + index // 4) for index in range(count)]


def numbers(packets: Sequence[bytes | None]) -> list[int]:
    return [int.from_bytes(one[2:4]) for one in packets if one is not None]


def test_what_stays_has_numbers_without_gaps_for_ever() -> None:
    thinning = Thinning()
    taken = [found for one in stream(20_000) if (found := thinning.take(one)) is not None]
    assert len(taken) == 5000
    assert_whole(taken)
    assert thinning.leaves_out


def test_a_lost_picture_leaves_a_gap_that_is_filled_when_it_comes() -> None:
    for lost, filled in ((4, True), (5, False)):
        thinning = Thinning()
        packets = stream(16)
        late = packets.pop(lost)
        before = numbers([thinning.take(one) for one in packets])
        between = range(1, (before[-1] - before[0]) & 0xFFFF)
        gap = [place for step in between if (place := (before[0] + step) & 0xFFFF) not in before]
        found = thinning.take(late)
        assert found is not None
        assert numbers([found]) == gap
        # A picture of a higher layer is replaced by nothing.
        assert (payload_size(found) > 0) is filled
        assert found[4:8] == late[4:8]


@pytest.mark.parametrize("ssrc", [7, 8])
def test_a_jump_of_the_numbers_stays_a_jump(ssrc: int) -> None:
    thinning = Thinning()
    first = numbers([thinning.take(one) for one in stream(400)])
    again = [packet(30_000 + index, PATTERN[index % 4], 100 + index // 4, ssrc) for index in range(400)]
    second = [found for one in again if (found := thinning.take(one)) is not None]
    assert_whole(second)
    assert 3000 < (numbers(second)[0] - first[-1]) & 0xFFFF < 0x10000 - 3000


def test_a_picture_without_a_temporal_layer_is_left_out() -> None:
    thinning = Thinning()
    assert thinning.take(packet(1, None, 0)) is None
    assert thinning.take(bytes(5)) is None
    assert not thinning.leaves_out


@given(st.binary(max_size=40))
def test_any_packet_is_taken_or_left_out(data: bytes) -> None:
    thinning = Thinning()
    for one in (data, packet(1, 0, 0), packet(2, 0, 1)[:12] + data, packet(3, 0, 2)):
        thinning.take(one)


@given(st.data())
def test_each_number_is_used_for_one_packet_in_whatever_order_they_come(data: st.DataObject) -> None:
    thinning = Thinning()
    packets = stream(80)
    order = sorted(range(80), key=lambda index: index + data.draw(st.integers(0, 12)))
    dropped = data.draw(st.sets(st.integers(0, 79), max_size=10))
    found = [thinning.take(packets[index]) for index in order if index not in dropped]
    places = numbers(found)
    assert len(places) == len(set(places))
    span = [(place - places[0] + 0x8000 & 0xFFFF) - 0x8000 for place in places]
    # What never comes and what is left out late are the only gaps and fillings.
    assert max(span) - min(span) + 1 <= len(places) + len(dropped)
