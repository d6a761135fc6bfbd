"""One picture in several layers: each viewer gets one of them, as one stream that continues."""

import gc
import struct
import weakref
from collections.abc import Collection, Sequence
from itertools import groupby, pairwise
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from roomfsm.mediaserver.base.kinds import MediaKind, PictureSize
from roomfsm.mediaserver.base.refusal import Refusal
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.forwarding.bandwidth.estimator import PathTransport
from roomfsm.mediaserver.forwarding.shared_path import SharedPath
from roomfsm.mediaserver.forwarding.simulcast import Simulcast
from roomfsm.mediaserver.forwarding.sink import Sink
from roomfsm.mediaserver.forwarding.viewer_path import ViewerPath
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.mediaserver.rtp.vp8 import picture_numbers
from roomfsm.mediaserver.sdp.codec import Codec
from roomfsm.mediaserver.sdp.simulcast import Layer
from tests.mediaserver.forwarding.test_track import Recorder

VP8 = Codec(96, "VP8", 90000, "", "", ("nack", "nack pli", "goog-remb"), 97)
LOW, MIDDLE, HIGH = "l", "m", "h"
SIZES = {LOW: (320, 180), MIDDLE: (640, 360), HIGH: (1280, 720)}
OCTETS = {LOW: 300, MIDDLE: 1100, HIGH: 4000}
"""The octets of one frame of each layer. There are 30 frames a second."""
SHOWN = slice(12 + 5 + 6, 12 + 5 + 10)
"""Where the first packet of a keyframe has its size."""
RID_ID, REPAIRED_ID = 10, 11
WAIT = EngineSettings().layer_wait
LINGER = EngineSettings().layer_linger


class World(Recorder):
    """A browser that sends layers, the server's clock, and what viewers get."""

    def __init__(self, *names: str, **settings: Any) -> None:
        super().__init__(**settings)
        self.time = 100.0
        self.wanted: list[list[str]] = []
        self.flows: list[bool] = []
        names = names or (LOW, MIDDLE, HIGH)
        self.simulcast = Simulcast(MediaKind.VIDEO, self, self, [Layer(name) for name in names])
        self.simulcast.negotiated(VP8, RID_ID, REPAIRED_ID)
        self.browser = {name: Encoder(name, index) for index, name in enumerate(names)}
        self.active = set(names)

    def layers_wanted(self, names: Collection[str]) -> None:
        self.wanted.append(sorted(names))

    def speech_changed(self, speaks: bool) -> None: ...

    def receiving_changed(self, kind: MediaKind, flowing: bool) -> None:
        self.flows.append(flowing)

    def sink(self, size: PictureSize = PictureSize.LARGE, path: SharedPath | None = None) -> Sink:
        viewer = Watcher()
        if path is not None:
            viewer.path.share(path)
            viewer.path.number_packets()
        sink = Sink(MediaKind.VIDEO, viewer)
        sink.codecs, sink.open, sink.size = (VP8,), True, size
        sink.follow(self.simulcast)
        return sink

    def run(self, seconds: float) -> None:
        """Let the browser send, and the server report, for so long."""
        frames = round(seconds * 30)
        for frame in range(frames):
            self.time += 1 / 30
            for name in sorted(self.active):
                for packet in self.browser[name].frame(self.time):
                    self.simulcast.receive(packet, self.time)
            self.flush()
            for attended in list(self.attention):
                if not attended.attend(self.time):
                    self.attention.discard(attended)
            self.answer()
            if frame % 15 == 0:
                self.simulcast.check_flow(self.time)
                self.simulcast.report(self.time)

    def answer(self) -> None:
        """Do what the server has asked for: begin keyframes."""
        for compound in self.rtcp:
            for packet in rtcp.parse(compound):
                if isinstance(packet, rtcp.KeyframeRequest):
                    for encoder in self.browser.values():
                        encoder.keyframe |= encoder.ssrc == packet.media_ssrc
        self.rtcp.clear()

    def sizes(self, sink: Sink) -> list[str]:
        """The layers that a sink got, in order."""
        by_size = {struct.pack("<HH", *SIZES[name]): name for name in SIZES}
        keyframes = (packet[SHOWN] for packet in self.sent.get(sink, []))
        return [name for name, _ in groupby(by_size[size] for size in keyframes if size in by_size)]


class Watcher:
    """The viewer of one sink."""

    send_limits = (0, 0)

    def __init__(self) -> None:
        self.path = ViewerPath(EngineSettings())
        self.flows: list[bool] = []

    def send_rtcp(self, _kind: MediaKind, compound: bytes) -> None: ...

    def sending_changed(self, _kind: MediaKind, flowing: bool) -> None:
        self.flows.append(flowing)

    def codec_mismatched(self, reason: str) -> None: ...


class Encoder:
    """One layer of the browser: numbers that begin anywhere and wrap."""

    def __init__(self, name: str, index: int) -> None:
        self.name = name
        self.ssrc = 1000 + index
        self.number = 65_500 + 7 * index
        self.picture = 32_700 + 11 * index
        self.tl0 = 250 + index
        self.start = 77_777 * index
        self.keyframe = True
        self.named = True
        """Whether the packets name the layer."""

    def frame(self, time: float) -> Sequence[bytes]:
        octets, packets = OCTETS[self.name], []
        keyframe, self.keyframe = self.keyframe, False
        self.picture, self.tl0 = (self.picture + 1) % 0x8000, (self.tl0 + 1) % 0x100
        rest = octets
        while rest > 0:
            size, first = min(rest, 1100), rest == octets
            rest -= size
            self.number = (self.number + 1) % 0x10000
            timestamp = (self.start + round(time * 90_000)) & 0xFFFFFFFF
            head = struct.pack(
                "!BBHII", 0x90 if self.named else 0x80, (rest <= 0) << 7 | 96, self.number, timestamp, self.ssrc
            )
            extension = b"\xbe\xde\0\1" + bytes((RID_ID << 4, ord(self.name), 0, 0)) if self.named else b""
            descriptor = (
                bytes((0x80 | first << 4, 0xC0)) + (0x8000 | self.picture).to_bytes(2) + bytes((self.tl0,))
            )
            begins = bytes((not keyframe, 2, 0, 0x9D, 1, 0x2A)) if first else bytes(6)
            shown = struct.pack("<HH", *SIZES[self.name]) if first and keyframe else bytes(4)
            packets.append(head + extension + descriptor + begins + shown + bytes(size))
        return packets


def numbers(packets: Sequence[bytes]) -> list[int]:
    return [int.from_bytes(packet[2:4]) for packet in packets]


def assert_continues(packets: Sequence[bytes]) -> None:
    """Assert that a browser sees one stream: no gap in the numbers, and pictures and times that only rise."""
    media = [packet for packet in packets if packet[1] & 0x7F == 96]
    for before, after in pairwise(media):
        assert (int.from_bytes(after[2:4]) - int.from_bytes(before[2:4])) & 0xFFFF == 1
        elapsed = (int.from_bytes(after[4:8]) - int.from_bytes(before[4:8])) & 0xFFFFFFFF
        first, second = (picture_numbers(packet, 12).picture_id for packet in (before, after))
        assert first is not None
        assert second is not None
        assert (second - first) & 0x7FFF == (elapsed > 0)
        assert elapsed < 90_000


def test_a_viewer_begins_in_the_middle_and_gets_the_best_in_a_moment() -> None:
    world = World()
    sink = world.sink()
    world.run(WAIT + 2)
    assert world.sizes(sink) == [MIDDLE, HIGH]
    assert_continues(world.sent[sink])


def test_a_change_of_layers_is_no_change_of_the_flow() -> None:
    world = World()
    sink = world.sink()
    world.run(WAIT + 2)
    sink.resize(PictureSize.SMALL)
    world.run(2)
    assert world.sizes(sink) == [MIDDLE, HIGH, LOW]
    assert isinstance(sink.viewer, Watcher)
    assert sink.viewer.flows == [True]
    assert_continues(world.sent[sink])


@pytest.mark.parametrize("order", [(LOW, MIDDLE, HIGH), (HIGH, MIDDLE, LOW)])
def test_layers_may_be_offered_in_either_order(order: tuple[str, ...]) -> None:
    world = World(*order)
    world.run(1)
    assert [one.layer.rid for one in world.simulcast.layers] == [LOW, MIDDLE, HIGH]


@pytest.mark.parametrize(
    ("size", "layer"), [(PictureSize.SMALL, LOW), (PictureSize.MEDIUM, MIDDLE), (PictureSize.LARGE, HIGH)]
)
def test_a_viewer_gets_no_larger_layer_than_the_picture_needs(size: PictureSize, layer: str) -> None:
    world = World()
    world.run(1)
    sink = world.sink(size)
    world.run(WAIT + 2)
    assert world.sizes(sink)[-1] == layer


def test_a_poor_viewer_comes_down_and_the_others_lose_nothing() -> None:
    world = World()
    world.run(1)
    good, poor = world.sink(), world.sink()
    world.run(WAIT + 2)
    before = len(world.sent[good])
    for _ in range(12):
        poor.viewer.path.estimated(150_000, world.time)
        poor.viewer.path.rate = 1_000_000
        world.run(0.5)
    assert world.sizes(poor)[-1] == LOW
    assert world.sizes(good)[-1] == HIGH
    assert len(world.sent[good]) - before > 6 * 30 * 3
    assert_continues(world.sent[good])
    assert_continues(world.sent[poor])


def test_a_layer_that_nobody_wants_need_not_be_sent_and_is_wished_for_again() -> None:
    world = World()
    world.run(LINGER + 1)
    assert world.wanted == [[LOW]]
    world.active = {LOW}
    world.run(3)
    sink = world.sink()
    assert world.wanted[-1] == [LOW, MIDDLE]
    world.run(0.5)
    assert world.sizes(sink) == [LOW]
    world.active = {LOW, MIDDLE}
    world.browser[MIDDLE].keyframe = True
    world.run(WAIT + 1)
    assert world.sizes(sink) == [LOW, MIDDLE]
    assert world.wanted[-1] == [HIGH, LOW, MIDDLE]
    world.active = {LOW, HIGH}
    world.browser[HIGH].keyframe = True
    world.run(1)
    assert world.sizes(sink) == [LOW, MIDDLE, HIGH]
    world.run(LINGER)
    assert world.wanted[-1] == [HIGH, LOW]
    assert_continues(world.sent[sink])


def test_a_browser_that_sends_its_best_layer_no_more_does_not_stop_the_picture() -> None:
    world = World()
    sink = world.sink()
    world.run(WAIT + 2)
    world.active = {LOW, MIDDLE}
    world.run(0.45)
    assert world.sizes(sink)[-1] == MIDDLE
    world.sent[sink].clear()
    world.run(0.5)
    assert world.sent[sink]


def test_layers_of_few_pictures_a_second_do_not_stop_between_them() -> None:
    world = World()
    # In each thirtieth of a second, the packets of this layer come after those of the others.
    sink = world.sink(PictureSize.MEDIUM)
    world.run(1)
    for _ in range(12):
        world.run(1 / 30)
        world.time += 0.4
    assert world.sizes(sink) == [MIDDLE]


def test_a_paused_viewer_begins_again_small() -> None:
    world = World()
    sink = world.sink()
    world.run(WAIT + 2)
    sink.pause()
    world.run(1)
    sink.go_on(world.time)
    world.run(0.5)
    assert world.sizes(sink)[:3] == [MIDDLE, HIGH, LOW]


def test_lost_packets_are_repaired_from_the_layer_that_the_viewer_gets() -> None:
    world = World()
    sink = world.sink(PictureSize.MEDIUM)
    world.run(2)
    sink.viewer.path.measure(0, world.time - 1)
    lost = world.sent[sink][-5]
    world.simulcast.retransmit(sink, (int.from_bytes(lost[2:4]),), world.time)
    repeated = world.sent[sink][-1]
    assert repeated[1] & 0x7F == VP8.rtx
    assert repeated[12:14] == lost[2:4]
    assert repeated[14:] == lost[12:]


def test_packets_that_name_no_layer_are_refused_until_their_ssrc_is_known() -> None:
    world = World()
    world.active = {HIGH}
    world.run(0.1)
    encoder = world.browser[LOW]
    encoder.named = False
    (packet,) = encoder.frame(world.time)
    assert world.simulcast.receive(packet, world.time) is Refusal.RTP_UNKNOWN_LAYER
    encoder.named = True
    assert world.simulcast.receive(encoder.frame(world.time)[0], world.time) is None
    encoder.named = False
    assert world.simulcast.receive(encoder.frame(world.time)[0], world.time) is None
    assert world.simulcast.receive(b"\x90", world.time) is Refusal.RTP_UNKNOWN_LAYER
    unknown = packet[:8] + bytes(4) + packet[12:]
    assert world.simulcast.receive_repair(unknown, world.time) is Refusal.RTP_UNKNOWN_LAYER


def test_a_client_may_send_one_picture_that_names_no_layer() -> None:
    world = World()
    world.active = {LOW}
    world.browser[LOW].named = False
    sink = world.sink()
    world.run(1)
    assert len(world.sent[sink]) >= 25
    assert_continues(world.sent[sink])


def test_a_picture_that_names_its_layer_late_goes_on_as_that_layer() -> None:
    world = World()
    world.active = {HIGH}
    encoder = world.browser[HIGH]
    encoder.named = False
    sink = world.sink()
    world.run(1)
    assert [one.layer.rid for one in world.simulcast.layers if one.track.stream.flowing] == [LOW]
    encoder.named = True
    world.run(WAIT + 2)
    assert [one.layer.rid for one in world.simulcast.layers if one.comes(world.time)] == [HIGH]
    world.active.add(LOW)
    world.run(WAIT + 2)
    encoder.named = False
    world.run(1)
    comes = [(one.layer.rid, one.track.stats()) for one in world.simulcast.layers if one.comes(world.time)]
    assert [(rid, stats and stats.ssrc) for rid, stats in comes] == [
        (LOW, world.browser[LOW].ssrc),
        (HIGH, encoder.ssrc),
    ]
    assert_continues(world.sent[sink])


def test_retransmissions_name_the_layer_that_they_repair() -> None:
    world = World()
    world.run(0.5)
    encoder = world.browser[LOW]
    (lost,) = encoder.frame(world.time)
    world.run(0.1)
    repair = struct.pack("!BBHII", 0x90, 97, 1, int.from_bytes(lost[4:8]), 9999)
    repair += b"\xbe\xde\0\1" + bytes((REPAIRED_ID << 4, ord(LOW), 0, 0)) + lost[2:4] + lost[20:]
    assert world.simulcast.receive_repair(repair, world.time) is None
    assert world.simulcast.receive_repair(repair[:12] + bytes(8) + repair[20:], world.time) is None


def test_thousands_of_ssrcs_and_names_take_no_more_memory_and_stop_no_picture() -> None:
    world = World()
    sink = world.sink(PictureSize.SMALL)
    world.run(1)
    encoder = Encoder(LOW, 0)
    for ssrc in range(2000, 7000):
        encoder.ssrc = ssrc
        said, name = (bytes((RID_ID << 4, ord(name))) for name in (LOW, "lhxL1"[ssrc % 5]))
        (packet,) = encoder.frame(world.time)
        world.simulcast.receive(packet.replace(said, name), world.time)
    assert len(world.simulcast._by_ssrc) <= 16
    assert len(world.rtcp) <= 2
    world.run(1)
    assert len(world.sent[sink]) >= 55
    assert_continues(world.sent[sink])


def test_reports_are_about_every_layer_and_ask_for_no_less_because_of_a_poor_viewer() -> None:
    world = World()
    sink = world.sink()
    world.run(1)
    sink.viewer.path.estimated(100_000, world.time)
    report = world.simulcast.report(world.time)
    assert report is not None
    blocks, estimate = report
    assert [block.ssrc for block in blocks] == [1000, 1001, 1002]
    (remb,) = rtcp.parse(estimate)
    assert remb == rtcp.Remb(remb.bitrate, (1000, 1001, 1002)) if isinstance(remb, rtcp.Remb) else False
    assert world.simulcast.remb == 10_000_000
    stats = world.simulcast.stats()
    assert stats is not None
    assert stats.ssrc == 1002


def test_all_layers_make_one_flow() -> None:
    world = World()
    world.run(0.5)
    world.active = {LOW}
    world.run(3)
    assert world.flows == [True]
    world.active = set()
    world.run(4)
    assert world.flows == [True, False]


def test_a_path_that_may_carry_a_larger_layer_is_probed_with_packets_that_the_viewer_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    world.run(1)
    sink = world.sink()
    sink.viewer.path.number_packets()
    asked: list[int] = []

    def probe(_: PathTransport, now: float, wanted: int) -> int:
        asked.append(wanted)
        return 2500

    monkeypatch.setattr(PathTransport, "bitrate", lambda _, now: 300_000)
    monkeypatch.setattr(PathTransport, "probe", probe)
    world.run(1)
    wanted = world.simulcast.layers[2].bitrate / 0.95
    assert asked
    assert asked[-1] == pytest.approx(wanted, rel=0.1)
    media = {packet[2:4]: packet[12:] for packet in world.sent[sink] if packet[1] & 0x7F == 96}
    padding = [packet for packet in world.sent[sink] if packet[1] & 0x7F == VP8.rtx]
    assert numbers(padding) == list(range(1, len(padding) + 1))
    assert all(media[packet[12:14]] == packet[14:] for packet in padding)
    # Nothing larger is of use to a small picture.
    sink.resize(PictureSize.SMALL)
    world.run(1)
    asked.clear()
    world.run(1)
    assert asked == []
    sink.follow(None)
    assert not world.attention


def test_nobody_probes_for_a_layer_that_has_never_come(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.active = {LOW, MIDDLE}
    world.run(1)
    sink = world.sink()
    sink.viewer.path.number_packets()
    asked: list[int] = []

    def probe(_: PathTransport, now: float, wanted: int) -> int:
        asked.append(wanted)
        return 0

    monkeypatch.setattr(PathTransport, "bitrate", lambda _, now: 300_000)
    monkeypatch.setattr(PathTransport, "probe", probe)
    world.run(WAIT)
    assert asked == []
    world.active.add(HIGH)
    world.run(WAIT)
    assert asked


def test_while_the_picture_is_paused_the_path_is_probed_with_padding_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    world.run(1)
    sink = world.sink(PictureSize.SMALL)
    sink.viewer.path.number_packets()
    carried = 50_000
    asked: list[int] = []

    def probe(_: PathTransport, now: float, wanted: int) -> int:
        asked.append(wanted)
        return 600

    monkeypatch.setattr(PathTransport, "bitrate", lambda _, now: carried)
    monkeypatch.setattr(PathTransport, "probe", probe)
    world.run(1)
    assert world.simulcast.smallest_fits(sink, world.time) is False
    sink.pause()
    sent = len(world.sent[sink])
    world.run(1)
    padding = world.sent[sink][sent:]
    assert len(padding) > 20
    assert {packet[1] & 0x7F for packet in padding} == {VP8.rtx}
    assert {packet[0] for packet in padding} == {0xA0}
    # All but the header is padding, and the last byte says so.
    assert all(packet[-1] == len(packet) - 12 for packet in padding)
    before = numbers(
        [one for one in world.sent[sink][:sent] if one[1] & 0x7F == VP8.rtx]
    )  # Some padding was sent with the picture.
    assert numbers(padding) == list(range(before[-1] + 1, before[-1] + 1 + len(padding)))
    smallest = world.simulcast.layers[0].bitrate
    assert asked[-1] == pytest.approx(smallest / 0.95, rel=0.1)
    # It fits when there is some room to spare, and then the picture may begin again.
    carried = round(smallest * 1.02)
    assert world.simulcast.smallest_fits(sink, world.time) is False
    carried = round(smallest * 1.1)
    assert world.simulcast.smallest_fits(sink, world.time) is True
    sink.go_on(world.time)
    world.run(1)
    assert world.sizes(sink)[-1] == LOW
    sink.pause()
    world.run(1)
    sink.follow(None)
    world.run(0.1)
    assert not world.attention


def test_a_picture_claims_nothing_if_it_cannot_come() -> None:
    world = World()
    world.run(1)
    sink = world.sink(path=SharedPath(EngineSettings()))
    claim = sink.viewer.path.claim
    assert claim is not None
    world.run(1)
    assert claim.least > 0
    assert claim.taken > claim.least
    # While it is paused, it claims its smallest layer.
    sink.pause()
    world.run(1)
    assert claim.least > 0
    assert claim.taken == 0
    sink.open = False
    sink.refresh()
    assert claim.least == 0
    sink.open = True
    sink.go_on(world.time)
    world.run(1)
    assert claim.taken > 0
    # The camera is turned off.
    active, world.active = world.active, set()
    world.run(3)
    assert (claim.least, claim.taken) == (0, 0)
    world.active = active
    world.run(1)
    assert claim.taken > 0
    sink.follow(None)
    assert (claim.least, claim.taken) == (0, 0)


def test_pictures_of_one_participant_leave_each_other_what_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sources of the same layers, and one path that carries a large and a small one."""
    world = World()
    world.run(1)
    path = SharedPath(EngineSettings())
    large = world.sink(path=path)
    small = world.sink(PictureSize.MEDIUM, path=path)
    # Nothing is known yet, and the first picture has the middle layer.
    assert world.sizes(small)[:1] in ([], [LOW])
    rates = [one.bitrate for one in world.simulcast.layers]
    monkeypatch.setattr(PathTransport, "bitrate", lambda _, now: (rates[2] + rates[0]) * 1.1)
    world.run(WAIT + 2)
    assert world.sizes(large)[-1] == HIGH
    assert world.sizes(small)[-1] == LOW
    # The one picture is not wanted any more, so the other one may be larger.
    large.follow(None)
    world.run(WAIT + 2)
    assert world.sizes(small)[-1] == MIDDLE
    assert_continues(world.sent[small])


@pytest.mark.parametrize(("carried", "fits"), [(None, None), (50_000, False), (5_000_000, True)])
def test_our_estimate_says_whether_the_smallest_layer_fits(
    monkeypatch: pytest.MonkeyPatch, carried: int | None, fits: bool | None
) -> None:
    world = World()
    world.run(1)
    sink = world.sink(PictureSize.SMALL)
    assert world.simulcast.smallest_fits(sink, world.time) is None
    sink.viewer.path.number_packets()
    monkeypatch.setattr(PathTransport, "bitrate", lambda _, now: carried)
    world.run(1)
    assert world.simulcast.smallest_fits(sink, world.time) is fits
    sink.follow(None)
    assert world.simulcast.smallest_fits(sink, world.time) is None


def test_a_poor_viewer_comes_down_however_often_it_asks_for_a_keyframe_of_the_layer_that_does_not_fit() -> None:
    world = World()
    world.run(1)
    sink = world.sink()
    sink.viewer.path.estimated(5_000_000, world.time)
    world.run(WAIT + 1)
    assert world.sizes(sink)[-1] == HIGH
    sink.viewer.path.rate = 1_000_000
    for _ in range(10):  # Its own allowance is used up.
        world.simulcast.request_keyframe_for(sink, world.time)
        world.run(0.1)
    for _ in range(15):
        sink.viewer.path.estimated(80_000, world.time)
        world.simulcast.request_keyframe_for(sink, world.time)
        world.simulcast.renew_keyframe_wish(sink, world.time)
        world.run(0.1)
    assert world.sizes(sink)[-1] == LOW


def test_a_layer_that_stops_while_a_viewer_waits_for_it_does_not_take_the_viewer_along() -> None:
    world = World()
    world.run(1)
    sink = world.sink(PictureSize.MEDIUM)
    world.run(1)
    # The larger layer comes, and makes no keyframe however often it is asked.
    world.answer = world.rtcp.clear  # type: ignore[method-assign]
    sink.resize(PictureSize.LARGE)
    world.run(WAIT)
    world.active = {LOW, MIDDLE}
    before = len(world.sent[sink])
    world.run(1)
    assert len(world.sent[sink]) > before + 25
    assert world.sizes(sink) == [MIDDLE]
    assert_continues(world.sent[sink])


def test_a_viewer_whose_browser_tells_nothing_any_more_stays_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.run(1)
    sink = world.sink()
    sink.viewer.path.number_packets()
    monkeypatch.setattr(PathTransport, "bitrate", lambda _, now: None)
    world.run(WAIT + 2)
    assert world.sizes(sink) == [MIDDLE]


def test_a_closed_source_is_freed_at_once() -> None:
    world = World()
    sink = world.sink()
    world.run(1)
    track = weakref.ref(world.simulcast.layers[0])
    gc.collect()
    gc.disable()
    try:
        world.simulcast.close()
        assert track() is None
    finally:
        gc.enable()
    assert sink.source is None


def test_a_closed_source_lets_its_viewers_go() -> None:
    world = World()
    sink = world.sink()
    world.run(1)
    world.simulcast.close()
    assert sink.source is None
    assert sink.group is None
    assert not world.attention


class AnyCourse(RuleBasedStateMachine):
    """Viewers of any size and path, and a browser whose layers come and go: each sees one stream, on and on."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.sinks: list[Sink] = []

    @rule(size=st.sampled_from(PictureSize))
    def come(self, size: PictureSize) -> None:
        if len(self.sinks) < 4:
            self.sinks.append(self.world.sink(size))

    @rule(size=st.sampled_from(PictureSize), which=st.integers(0, 3))
    def resize(self, size: PictureSize, which: int) -> None:
        if which < len(self.sinks):
            self.sinks[which].resize(size)

    @rule(bitrate=st.sampled_from((60_000, 200_000, 600_000, 5_000_000)), which=st.integers(0, 3))
    def estimate(self, bitrate: int, which: int) -> None:
        if which < len(self.sinks):
            path = self.sinks[which].viewer.path
            path.estimated(bitrate, self.world.time)
            path.rate = 1_000_000

    @rule(which=st.integers(0, 3))
    def pause_or_go_on(self, which: int) -> None:
        if which < len(self.sinks):
            sink = self.sinks[which]
            if sink.paused:
                sink.go_on(self.world.time)
            else:
                sink.pause()

    @rule(which=st.integers(0, 3))
    def go(self, which: int) -> None:
        if which < len(self.sinks):
            self.sinks.pop(which).follow(None)

    @rule(names=st.sets(st.sampled_from((LOW, MIDDLE, HIGH))))
    def send(self, names: set[str]) -> None:
        for name in names - self.world.active:
            self.world.browser[name].keyframe = True
        self.world.active = names

    @rule(seconds=st.sampled_from((0.1, 0.5, 3.0)))
    def time_passes(self, seconds: float) -> None:
        self.world.run(seconds)

    @invariant()
    def numbers_rise(self) -> None:
        for sink, packets in self.world.sent.items():
            media = [packet for packet in packets if packet[1] & 0x7F == 96]
            del packets[: max(0, len(packets) - 50)]
            for before, after in pairwise(numbers(media)):
                assert (after - before) & 0xFFFF == 1, sink
            for before_id, after_id in pairwise(picture_numbers(packet, 12).picture_id or 0 for packet in media):
                assert (after_id - before_id) & 0x7FFF <= 1

    @invariant()
    def a_viewer_gets_one_layer(self) -> None:
        for sink in self.sinks:
            groups = [
                one
                for one in self.world.simulcast.layers
                for group in one.track._groups.by_key.values()
                if sink in group.sinks
            ]
            assert len(groups) <= 1


AnyCourse.TestCase.settings = hypothesis_settings(max_examples=25, stateful_step_count=25, deadline=None)
TestAnyCourse = AnyCourse.TestCase
