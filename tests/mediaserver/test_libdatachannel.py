"""Against an independent implementation: libdatachannel as publisher and as viewer."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import trio

from roomfsm.mediaserver.base.kinds import MediaKind, PictureSize
from roomfsm.mediaserver.engine.engine import Engine, Peer
from roomfsm.peer import RtpPacket
from tests.mediaserver.forwarding.test_simulcast import SHOWN, SIZES, assert_continues
from tests.mediaserver.layered_presenter import LAYERS, layered_offer, present
from tests.mediaserver.observer import RecordingObserver
from tests.mediaserver.peer import VP8_KEYFRAME, open_test_peer
from tests.mediaserver.stage import join, open_stage


class Lines:
    """JSON values, one a line, from a process's output."""

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream
        self._buffer = b""

    async def read(self) -> str:
        while b"\n" not in self._buffer:
            chunk = await self._stream.receive_some()
            assert chunk, "the peer ended"
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        value = json.loads(line)
        assert isinstance(value, str)
        return value


@asynccontextmanager
async def libdatachannel_peer(
    engine: Engine, role: str, source: Peer | None = None
) -> AsyncIterator[tuple[Peer, RecordingObserver, Lines]]:
    """The program, connected to a peer of the engine; killed at the end if it does not end by itself."""
    observer = RecordingObserver()
    peer = engine.open_peer(observer)
    if source is not None:
        source.connect(peer)
    async with trio.open_nursery() as nursery:
        command = [sys.executable, "-m", "tests.mediaserver.libdatachannel_peer", role]
        run = partial(trio.run_process, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, check=False)
        process: trio.Process = await nursery.start(run)
        assert process.stdin is not None
        assert process.stdout is not None
        lines = Lines(process.stdout)
        answer = peer.process_offer(await lines.read())
        await process.stdin.send_all(json.dumps(answer).encode() + b"\n")
        await observer.wait_for("media", True)
        yield peer, observer, lines
        await process.stdin.aclose()
        with trio.move_on_after(2):
            await process.wait()
        nursery.cancel_scope.cancel()


async def test_libdatachannel_publishes() -> None:
    async with open_stage() as engine, libdatachannel_peer(engine, "publish") as (publisher, observer, _):
        await observer.wait_for("receiving", MediaKind.VIDEO, True)
        async with join(engine, "recvonly", publisher) as viewer:
            assert (await viewer.client.receive_rtp()).payload == VP8_KEYFRAME
            viewer.peer.resize_picture(PictureSize.SMALL)  # There is one layer, so it goes on.
            assert (await viewer.client.receive_rtp()).payload == VP8_KEYFRAME


async def test_libdatachannel_views() -> None:
    async with (
        open_stage() as engine,
        join(engine, "sendonly") as publisher,
        libdatachannel_peer(engine, "view", publisher.peer) as (_, observer, lines),
    ):
        number = publisher.client.send_rtp(VP8_KEYFRAME, timestamp=9000)
        packet = RtpPacket.parse(bytes.fromhex(await lines.read()))
        assert (packet.sequence_number, packet.timestamp, packet.payload) == (number, 9000, VP8_KEYFRAME)
        assert packet.ssrc == engine.ssrcs[MediaKind.VIDEO]
        assert ("sending", MediaKind.VIDEO, True) in observer.told


async def test_libdatachannel_sees_one_stream_through_changes_of_layer() -> None:
    active = set(LAYERS)
    seen: list[bytes] = []
    async with (
        open_stage(layer_wait=0.1, report_interval=0.1) as engine,
        open_test_peer("sendonly") as client,
        trio.open_nursery() as nursery,
    ):
        publisher = engine.open_peer(RecordingObserver())
        await client.accept(publisher.process_offer(layered_offer(client)))
        nursery.start_soon(present, client, active)
        async with libdatachannel_peer(engine, "watch", publisher) as (viewer, _, lines):

            async def shows(layer: str) -> None:
                """Wait for a keyframe of this layer."""
                size = b"".join(side.to_bytes(2, "little") for side in SIZES[layer])
                while True:
                    seen.append(bytes.fromhex(await lines.read()))
                    if seen[-1][SHOWN] == size:
                        return

            await shows("h")
            for size, layer in ((PictureSize.SMALL, "l"), (PictureSize.LARGE, "h")):
                viewer.resize_picture(size)
                await shows(layer)
            active.remove("h")
            await shows("m")
        nursery.cancel_scope.cancel()
    assert_continues(seen)
