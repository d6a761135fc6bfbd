"""An engine on loopback with test peers, and the packets that reach either side."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.engine.engine import Engine, Peer, open_engine
from roomfsm.mediaserver.workers.workers import Workers
from roomfsm.peer import RtpPacket
from tests.mediaserver.observer import RecordingObserver
from tests.mediaserver.peer import TestPeer, open_test_peer

PATIENCE = 180.0
"""Seconds that a test waits before it fails."""


@dataclass(frozen=True, slots=True)
class Joined:
    """A client, connected, and its peer at the engine."""

    client: TestPeer
    peer: Peer
    observer: RecordingObserver


@asynccontextmanager
async def open_stage(**settings: Any) -> AsyncIterator[Engine]:
    """An engine on loopback; the whole block must end within PATIENCE."""
    with trio.fail_after(PATIENCE):
        async with open_engine(EngineSettings(host="127.0.0.1", **settings)) as engine:
            yield engine


@asynccontextmanager
async def join(
    engine: Engine | Workers, direction: str, source: Peer | None = None, **options: Any
) -> AsyncIterator[Joined]:
    """A test peer, connected; with `source` it gets that one's media."""
    observer = RecordingObserver()
    peer = engine.open_peer(observer)
    if source is not None:
        source.connect(peer)
    async with open_test_peer(direction, **options) as client:
        await client.accept(peer.process_offer(client.offer))
        await observer.wait_for("media", True)
        yield Joined(client, peer, observer)
        assert client.refused == 0, "the server sent what SRTP refuses"


async def join_many(stack: AsyncExitStack, count: int, *arguments: object) -> list[Joined]:
    """So many test peers, joined alike, for as long as `stack` is open."""
    return [await stack.enter_async_context(join(*arguments)) for _ in range(count)]  # type: ignore[arg-type]  # as join


async def packets(client: TestPeer, count: int) -> list[RtpPacket]:
    """The next so many RTP packets, in the order in which they come."""
    return [await client.receive_rtp() for _ in range(count)]


async def until_received(peer: Peer, kind: MediaKind, count: int) -> None:
    """Wait until the engine has so many packets of a kind."""
    while (stats := peer.stats().receiving.get(kind)) is None or stats.packets < count:
        await trio.lowlevel.checkpoint()
