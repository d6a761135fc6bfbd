"""What the protocol layer needs of whatever moves the media."""

from collections.abc import Collection
from typing import Protocol

from roomfsm.mediaserver.engine.observer import PeerObserver
from roomfsm.mediaserver.engine.peer import Peer


class MediaEngine(Protocol):
    """One engine in this process, or several in worker processes."""

    @property
    def latency(self) -> float:
        """Seconds that media takes through the server."""

    @property
    def processes(self) -> Collection[int]:
        """The process ids of the workers; none where this process moves the media itself."""

    def open_peer(self, observer: PeerObserver) -> Peer:
        """A new peer. Raises `EngineFull`."""
