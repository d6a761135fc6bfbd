"""The parts of the media engine that the protocol layer needs."""

from collections.abc import Collection
from typing import Protocol

from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.engine.observer import PeerObserver
from roomfsm.mediaserver.engine.peer import Peer


class MediaEngine(Protocol):
    """One engine in this process, or several in worker processes."""

    @property
    def latency(self) -> float:
        """Seconds that media take through the server."""

    @property
    def layered(self) -> bool:
        """Whether browsers may send a picture in several layers (simulcast)."""

    @property
    def settings(self) -> EngineSettings: ...

    @property
    def processes(self) -> Collection[int]:
        """The process ids of the workers; empty if this process forwards the media itself."""

    def open_peer(self, observer: PeerObserver) -> Peer:
        """Open a peer, which reports to `observer`. Raises `EngineFull`."""
