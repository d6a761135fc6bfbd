"""A track is relayed from one worker to another. Packets that are lost between them are requested again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.engine.engine import Engine
from roomfsm.mediaserver.forwarding.relay import (
    _BUFFER,
    _HEADER,
    _KEPT_REPLAY,
    _KINDS,
    _MAX_DATAGRAM,
    Links,
    Mirror,
    Relay,
    _What,
)
from roomfsm.mediaserver.forwarding.surroundings import Attended
from roomfsm.mediaserver.forwarding.track import Track
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.peer import AUDIO_SSRC, VIDEO_SSRC
from tests.mediaserver.forwarding.test_track import VP8, Recorder, vp8
from tests.mediaserver.peer import OPUS, VP8_DELTA, VP8_KEYFRAME, TestPeer
from tests.mediaserver.stage import join, open_stage

ORIGIN, TARGET, SOURCE = 0, 1, 7


@dataclass(frozen=True, slots=True)
class Way:
    """From a publisher at one engine to a viewer at another."""

    publisher: TestPeer
    viewer: TestPeer
    links: Links
    """The address of the origin."""
    mirror: Mirror
    folder: Path

    async def lose(self, ssrc: int, payload: bytes) -> None:
        """Send a packet that does not reach the viewer's worker."""
        path, dropped = self.folder / str(TARGET), self.links.dropped
        path.rename(self.folder / "away")
        self.publisher.send_rtp(payload, ssrc=ssrc)
        while self.links.dropped == dropped:
            await trio.lowlevel.checkpoint()
        (self.folder / "away").rename(path)


@asynccontextmanager
async def open_way(folder: Path, kind: MediaKind) -> AsyncIterator[Way]:
    async with (
        serving(folder, ORIGIN) as (origin, near),
        serving(folder, TARGET) as (target, far),
        join(origin, "sendonly") as publisher,
        join(target, "recvonly") as viewer,
    ):
        track = publisher.peer.track(kind)
        assert track.codec is not None
        mirror = Mirror(far, target, SOURCE, kind, ORIGIN)
        far.mirrors[SOURCE, kind] = mirror
        target.mirrors.add(mirror)
        mirror.negotiated(track.codec, track.audio_level)
        viewer.peer.follow(kind, mirror.track)
        relay = Relay(near, track, SOURCE, TARGET)
        near.relays[SOURCE, kind, TARGET] = relay
        relay.open()
        yield Way(publisher.client, viewer.client, near, mirror, folder)


@asynccontextmanager
async def serving(folder: Path, index: int) -> AsyncIterator[tuple[Engine, Links]]:
    """A worker's engine, in this process."""
    async with open_stage() as engine, trio.open_nursery() as nursery:
        with closing(Links(folder, index, engine.attention)) as links:
            engine.end_turn = links.flush
            nursery.start_soon(engine.pump, links.socket, links.drain)
            yield engine, links
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("kind", "ssrc", "first", "later"),
    [
        pytest.param(MediaKind.AUDIO, AUDIO_SSRC, OPUS, OPUS, id="audio"),
        pytest.param(MediaKind.VIDEO, VIDEO_SSRC, VP8_KEYFRAME, VP8_DELTA, id="video"),
    ],
)
async def test_a_packet_lost_between_workers_still_reaches_the_viewer(
    tmp_path: Path, kind: MediaKind, ssrc: int, first: bytes, later: bytes
) -> None:
    async with open_way(tmp_path, kind) as way:
        way.publisher.send_rtp(first, ssrc=ssrc)
        number = (await way.viewer.receive_rtp()).sequence_number
        await way.lose(ssrc, later + b"lost")
        way.publisher.send_rtp(later + b"next", ssrc=ssrc)
        packets = [await way.viewer.receive_rtp() for _ in range(2)]
        assert [((packet.sequence_number - number) & 0xFFFF, packet.payload) for packet in packets] == [
            (2, later + b"next"),
            (1, later + b"lost"),
        ]


async def test_audio_that_the_publisher_never_sent_is_given_up_without_harm(tmp_path: Path) -> None:
    async with open_way(tmp_path, MediaKind.AUDIO) as way:
        way.publisher.send_rtp(OPUS, ssrc=AUDIO_SSRC)
        await way.viewer.receive_rtp()
        way.publisher.send_rtp(OPUS, ssrc=AUDIO_SSRC, lose=True)
        way.publisher.send_rtp(OPUS, ssrc=AUDIO_SSRC)
        await way.viewer.receive_rtp()
        reception = way.mirror.track.reception
        assert reception is not None
        while reception.missing:
            await trio.lowlevel.checkpoint()
        assert not way.mirror.track.attend(trio.current_time())


async def test_a_packet_that_comes_twice_is_sent_to_viewers_once(tmp_path: Path) -> None:
    """A number that was encrypted with one send time must not be encrypted with another."""
    async with open_way(tmp_path, MediaKind.VIDEO) as way:
        for payload in (VP8_KEYFRAME, VP8_DELTA):
            way.publisher.send_rtp(payload)
        for payload in (VP8_KEYFRAME, VP8_DELTA):
            assert (await way.viewer.receive_rtp()).payload == payload
        reception = way.mirror.track.reception
        assert reception is not None
        again = way.publisher.sent[VIDEO_SSRC, reception.highest & 0xFFFF]
        counted = reception.packets
        way.mirror.receive(again, reception.last_time + 1)
        assert reception.packets == counted
        way.publisher.send_rtp(VP8_DELTA + b"next")
        assert (await way.viewer.receive_rtp()).payload == VP8_DELTA + b"next"


def test_datagrams_for_a_busy_worker_wait_in_their_order(tmp_path: Path) -> None:
    attention: set[Attended] = set()
    with closing(Links(tmp_path, ORIGIN, attention)) as near, closing(Links(tmp_path, TARGET, set())) as far:
        sent = [bytes((index,)) * 50_000 for index in range(60)]
        for payload in sent:
            near.put(_What.RTP, TARGET, SOURCE, MediaKind.VIDEO, payload)
            near.flush()
        assert attention == {near}
        assert near.attend(0.0)
        got = []
        while True:
            try:
                got.append(far.socket.recv(60_000)[-50_000:])
            except BlockingIOError:
                break
            near.attend(0.0)
        assert got == sent
        assert not near.attend(0.0)
        assert near.dropped == 0


def test_datagrams_that_wait_for_a_worker_have_a_bound_and_go_when_it_dies(tmp_path: Path) -> None:
    with closing(Links(tmp_path, ORIGIN, set())) as near:
        with closing(Links(tmp_path, TARGET, set())):
            for _ in range(100 + _BUFFER // 50_000):
                near.put(_What.RTP, TARGET, SOURCE, MediaKind.VIDEO, bytes(50_000))
                near.flush()
            assert near.dropped > 10
            assert near.attend(0.0)
        assert not near.attend(0.0)


def test_a_turn_that_fills_more_than_a_datagram_goes_out_in_several(tmp_path: Path) -> None:
    payload, message = bytes(9_000), _HEADER.size + 9_000
    fit = _MAX_DATAGRAM // message
    with closing(Links(tmp_path, ORIGIN, set())) as near, closing(Links(tmp_path, TARGET, set())) as far:
        for _ in range(3 * fit + 1):
            near.put(_What.RTP, TARGET, SOURCE, MediaKind.VIDEO, payload)
        near.flush()
        sizes = [len(far.socket.recv(2 * _MAX_DATAGRAM)) for _ in range(4)]
        with pytest.raises(BlockingIOError):
            far.socket.recv(1)
    assert sizes == [fit * message] * 3 + [message]


def test_what_goes_to_a_worker_that_is_not_there_is_dropped_and_counted(tmp_path: Path) -> None:
    with closing(Links(tmp_path, ORIGIN, set())) as near:
        for dropped in (1, 2):
            near.put(_What.RTP, TARGET, SOURCE, MediaKind.VIDEO, b"packet")
            near.flush()
            assert near.dropped == dropped
        assert not near.attend(0.0)


async def test_the_sources_clock_and_the_viewers_bitrate_pass_between_workers(tmp_path: Path) -> None:
    async with open_way(tmp_path, MediaKind.VIDEO) as way:
        way.publisher.send_rtp(VP8_KEYFRAME, timestamp=9000)
        ssrc = (await way.viewer.receive_rtp()).ssrc
        report = rtcp.SenderReport(VIDEO_SSRC, 0x0102030405060708, 9000, 77, 7777)
        way.publisher.send_rtcp(rtcp.sender_report(VIDEO_SSRC, report))
        passed_on = await way.viewer.receive_feedback(rtcp.SenderReport)
        assert (passed_on.ssrc, passed_on.ntp) == (ssrc, report.ntp)
        (relay,) = way.links.relays.values()
        assert relay.bitrate(trio.current_time()) is None
        way.viewer.send_rtcp(rtcp.remb(1, 900_000, [ssrc]))
        while relay.bitrate(trio.current_time()) is None:
            await trio.lowlevel.checkpoint()
        assert relay.bitrate(trio.current_time()) == 900_000


def test_a_packet_is_sent_again_as_it_was_replayed_as_long_as_that_is_kept(tmp_path: Path) -> None:
    recorder = Recorder()
    track = Track(MediaKind.VIDEO, recorder, recorder)
    track.negotiated(VP8, 0)
    track.receive(vp8(1, VP8_KEYFRAME), 1.0)
    replayed = vp8(1, VP8_KEYFRAME + b" replayed")
    ask = rtcp.nack(1, 7, [1])
    with closing(Links(tmp_path, ORIGIN, set())) as near, closing(Links(tmp_path, TARGET, set())) as far:
        relay = Relay(near, track, SOURCE, TARGET)
        relay.replay([replayed], 10.0)
        relay.feedback(ask, 10.0 + _KEPT_REPLAY)
        relay.feedback(ask, 10.1 + _KEPT_REPLAY)
        near.flush()
        sent = far.socket.recv(_MAX_DATAGRAM)
    expected = (replayed, replayed, vp8(1, VP8_KEYFRAME))
    assert sent == b"".join(
        _HEADER.pack(_What.RTP, ORIGIN, SOURCE, _KINDS.index(MediaKind.VIDEO), len(packet)) + packet
        for packet in expected
    )
