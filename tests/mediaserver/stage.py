"""An engine on loopback with test peers joined to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio

from roomfsm.mediaserver.engine import Engine, EngineSettings, Peer, open_engine
from roomfsm.mediaserver.workers import Workers
from tests.mediaserver.observer import RecordingObserver
from tests.mediaserver.peer import TestPeer, open_test_peer

PATIENCE = 10.0
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
