"""Viewers of layers get transport-wide numbers, each its own, and tell when the packets came."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.engine.engine import AlreadyNegotiated, Engine, Peer
from roomfsm.mediaserver.forwarding.bandwidth.estimator import PathTransport
from roomfsm.mediaserver.rtp.extensions import ABS_SEND_TIME, RID, TRANSPORT_CC
from roomfsm.mediaserver.rtp.transport_feedback import TransportFeedback, write_feedback
from roomfsm.peer import VP8_TYPE, RtpPacket
from tests.mediaserver.observer import RecordingObserver
from tests.mediaserver.peer import VP8_DELTA, VP8_KEYFRAME, VP8_RTX_TYPE, TestPeer, open_test_peer
from tests.mediaserver.stage import Joined, open_stage

RID_ID, NUMBER_ID, TIME_ID = 10, 3, 2
LAYERS = ("a=rid:l send", "a=rid:h send", "a=simulcast:send l;h", f"a=extmap:{RID_ID} {RID}")
NUMBERS = (
    f"a=extmap:{NUMBER_ID} {TRANSPORT_CC}",
    "a=rtcp-fb:96 transport-cc",
    f"a=extmap:{TIME_ID} {ABS_SEND_TIME}",
)
SMALL_LAYER = b"\xbe\xde\0\1" + bytes((RID_ID << 4, ord("l"), 0, 0))


@asynccontextmanager
async def join(
    engine: Engine,
    direction: str,
    lines: tuple[str, ...],
    source: Peer | None = None,
    *,
    rtx: bool = True,
    shares: str = "",
) -> AsyncIterator[Joined]:
    observer = RecordingObserver()
    peer = engine.open_peer(observer)
    if shares:
        peer.share_path(shares)
    if source is not None:
        source.connect(peer)
    async with open_test_peer(direction, video=(VP8_TYPE, *([VP8_RTX_TYPE] if rtx else []))) as client:
        # The m-line of video is the last.
        await client.accept(peer.process_offer(client.offer + "".join(f"{line}\r\n" for line in lines)))
        await observer.wait_for("media", True)
        yield Joined(client, peer, observer)
        assert client.refused == 0, "the server sent what SRTP refuses"


async def numbers(client: TestPeer, count: int) -> list[int]:
    """The transport-wide numbers of the next packets of video."""
    found: list[int] = []
    while len(found) < count:
        packet = await client.receive_rtp()
        if packet.payload_type in (96, 97):
            assert packet.extension[4] == NUMBER_ID << 4 | 1
            found.append(int.from_bytes(packet.extension[5:7]))
    return found


def numbered(packet: RtpPacket) -> list[int]:
    """Its transport-wide number, if it has one. Packets from before there were numbers may be repeated."""
    return [int.from_bytes(packet.extension[5:7])] if packet.extension[4] == NUMBER_ID << 4 | 1 else []


async def keep_sending(client: TestPeer, payload: bytes, extension: bytes) -> None:
    while True:
        client.send_rtp(payload, extension=extension, marker=True)
        await trio.sleep(0.02)


async def test_each_viewer_has_numbers_of_its_own_and_tells_when_packets_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[TransportFeedback] = []
    monkeypatch.setattr(PathTransport, "feedback", lambda _, report, now: told.append(report))
    async with (
        open_stage() as engine,
        join(engine, "sendonly", LAYERS) as publisher,
        join(engine, "recvonly", NUMBERS, publisher.peer) as one,
    ):
        publisher.client.send_rtp(VP8_KEYFRAME, extension=SMALL_LAYER, marker=True)
        first = await numbers(one.client, 1)
        async with join(engine, "recvonly", NUMBERS, publisher.peer) as two:
            for _ in range(20):
                publisher.client.send_rtp(VP8_DELTA, extension=SMALL_LAYER, marker=True)
                await trio.lowlevel.checkpoint()
            seen = [first[0], *await numbers(one.client, 20)], await numbers(two.client, 15)
        for each in seen:
            assert each == list(range(each[0], each[0] + len(each)))
        one.client.send_rtcp(write_feedback(1, 2, seen[0][0], 0, [float(number) for number in range(21)]))
        while not told:
            await trio.lowlevel.checkpoint()
        assert told[0].base == seen[0][0]
        assert len(told[0].arrivals) == 21


async def test_a_viewer_that_comes_before_its_source_is_numbered_when_there_are_layers() -> None:
    """It keeps its numbers afterwards: a browser that has once got them does not estimate by itself."""
    async with (
        open_stage() as engine,
        join(engine, "recvonly", NUMBERS) as viewer,
        join(engine, "sendonly", ()) as plain,
        join(engine, "sendonly", LAYERS) as layered,
    ):
        plain.peer.connect(viewer.peer)
        plain.client.send_rtp(VP8_KEYFRAME, marker=True)
        packet = await viewer.client.receive_rtp()
        assert packet.extension[4] == TIME_ID << 4 | 2
        assert viewer.peer.path.transport is None
        seen: list[int] = []
        sources = ((layered, SMALL_LAYER), (plain, b""), (layered, SMALL_LAYER))
        for index, (source, extension) in enumerate(sources):
            source.peer.connect(viewer.peer)
            payload = VP8_KEYFRAME + bytes((index,))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(keep_sending, source.client, payload, extension)
                while not (packet := await viewer.client.receive_rtp()).payload.endswith(payload):
                    seen += numbered(packet)
                seen += numbered(packet)
                nursery.cancel_scope.cancel()
        assert seen == list(range(seen[0], seen[0] + len(seen)))
        assert viewer.peer.path.transport is not None


async def test_viewers_of_one_participant_share_a_path_up_to_a_bound() -> None:
    async with (
        open_stage(shared_path_viewers=2) as engine,
        join(engine, "sendonly", LAYERS) as publisher,
        AsyncExitStack() as stack,
    ):
        viewers = [
            await stack.enter_async_context(join(engine, "recvonly", NUMBERS, publisher.peer, shares=name))
            for name in ("Eve", "Eve", "Eve", "Bob")
        ]
        claims = [claim for viewer in viewers if (claim := viewer.peer.path.claim) is not None]

        def first() -> list[bool]:
            return [claim.is_first for claim in claims]

        assert first() == [True, True, True, True]
        for claim in claims[1:]:
            claim.taken = 1.0
        assert first() == [False, True, True, True]
        # One that leaves claims nothing any more.
        viewers[1].peer.close()
        assert claims[0].is_first
        with pytest.raises(AlreadyNegotiated):
            viewers[0].peer.share_path("Bob")


@pytest.mark.parametrize(("source", "rtx"), [((), True), (LAYERS, False)])
async def test_packets_without_use_for_numbers_have_the_send_time(source: tuple[str, ...], rtx: bool) -> None:
    """There is one layer, or a repeated packet would have the sequence number of the first and another number."""
    async with (
        open_stage() as engine,
        join(engine, "sendonly", source) as publisher,
        join(engine, "recvonly", NUMBERS, publisher.peer, rtx=rtx) as viewer,
    ):
        publisher.client.send_rtp(VP8_KEYFRAME, extension=SMALL_LAYER if source else b"", marker=True)
        packet = await viewer.client.receive_rtp()
        assert packet.extension[4] == TIME_ID << 4 | 2
        assert viewer.peer.path.transport is None
        assert viewer.peer._sinks[MediaKind.VIDEO].number is None
