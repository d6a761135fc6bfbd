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
from roomfsm.mediaserver.forwarding.relay import _BUFFER, Links, Mirror, Relay, _What
from roomfsm.mediaserver.forwarding.surroundings import Attended
from roomfsm.peer import AUDIO_SSRC, VIDEO_SSRC
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
