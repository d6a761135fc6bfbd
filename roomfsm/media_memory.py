"""Keeps in the store where the embedded media server is, so that the server that is started next finds it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from roomfsm.log import get_logger
from roomfsm.store.interface import Remember, Store, StoreError

_WHAT = "media server"

_log = get_logger(__name__)


class MediaMemory:
    """Implements `roomfsm.media_server_child.Memory`."""

    def __init__(self, store: Store, folder: Path | None) -> None:
        """`folder` is that of the store, if it has one."""
        self._store = store
        self.folders: Sequence[Path] = meeting_folders(folder)
        self.own = folder

    async def read(self) -> bytes | None:
        try:
            return await self._store.remembered(_WHAT)
        except StoreError as error:
            told = "the store cannot tell where the media server is, so one that still runs is not taken over"
            _log.warning(told, why=error.detail, code=error.code, mend=error.code.mend)
            return None

    async def write(self, trace: bytes | None) -> bool:
        try:
            await self._store.commit([Remember(_WHAT, trace)])
        except StoreError as error:
            if trace is not None:
                _log.warning("the media server would end with this server", why=error.detail, code=error.code)
            return False
        return True


def meeting_folders(folder: Path | None) -> list[Path]:
    """Where a server and its media server may meet, the best folder first.

    The folder of the store is there for every run of the server, while systemd gives each run its own /tmp.
    """
    named = (os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0], os.environ.get("XDG_RUNTIME_DIR", ""))
    folders = [Path(name) for name in (*named, tempfile.gettempdir()) if name]
    return folders if folder is None else [folder, *folders]
