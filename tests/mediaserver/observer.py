"""An observer that keeps what it is told, so that a test can wait for it."""

from collections.abc import Collection

import trio

from roomfsm.mediaserver.base.errors import WorkerDied
from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.dtls.state import DtlsState
from roomfsm.mediaserver.ice.state import IceState


class RecordingObserver:
    """`told` has a tuple for each call, in order: its name and its arguments."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []
        self._news = trio.Event()

    def _tell(self, *news: object) -> None:
        self.told.append(news)
        self._news.set()
        self._news = trio.Event()

    def ice_state_changed(self, state: IceState) -> None:
        self._tell("ice", state)

    def candidate_pair_selected(self, local: str, remote: str) -> None:
        self._tell("pair", local, remote)

    def dtls_state_changed(self, state: DtlsState) -> None:
        self._tell("dtls", state)

    def connection_failed(self, reason: str) -> None:
        self._tell("failed", reason)

    def media_connection_changed(self, connected: bool) -> None:
        self._tell("media", connected)

    def receiving_changed(self, kind: MediaKind, flowing: bool) -> None:
        self._tell("receiving", kind, flowing)

    def sending_changed(self, kind: MediaKind, flowing: bool) -> None:
        self._tell("sending", kind, flowing)

    def pause_changed(self, kind: MediaKind, paused: bool) -> None:
        self._tell("pause", kind, paused)

    def speech_changed(self, speaks: bool) -> None:
        self._tell("speech", speaks)

    def layers_wanted(self, names: Collection[str]) -> None:
        self._tell("layers", *sorted(names))

    def codec_mismatched(self, reason: str) -> None:
        self._tell("mismatch", reason)

    def worker_died(self, error: WorkerDied) -> None:
        self._tell("died", str(error))

    async def wait_for(self, *news: object) -> None:
        """Wait until exactly this was told since the beginning."""
        while news not in self.told:
            await self._news.wait()
