"""The store of one server's files: it knows them by their addresses, and has their places and their folder.

Nothing here waits for the disk in Trio's thread. When a file is gone and nobody reads or writes it any more, its
path is put into a queue, a task removes it in a thread, and only then its place is given back. So the queue is
bounded by the places, and what counts as free is free: the disk keeps the bytes of a removed file for as long as
somebody has it open.
"""

from __future__ import annotations

import math
import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

import trio

from roomfsm.files.folder import default_parent, open_folder
from roomfsm.files.places import Claim, Places
from roomfsm.files.settings import FileSettings
from roomfsm.files.shared_file import SharedFile
from roomfsm.lifecycle.file import PLACE
from roomfsm.lifecycle.table import Step
from roomfsm.log import get_logger
from roomfsm.protocol.client import SendFile
from roomfsm.protocol.errors import ErrorCode, Refusal

_log = get_logger(__name__)

UPLOAD_RESULTS: tuple[str, ...] = (
    "arrived",
    "broken_off",
    ErrorCode.NO_SUCH_FILE,
    ErrorCode.NO_FILES,
    ErrorCode.NO_SUCH_PARTICIPANT,
    ErrorCode.PARTICIPANT_AWAY,
    ErrorCode.FILE_INCOMPLETE,
    ErrorCode.FILE_LATE,
    ErrorCode.FILES_FULL,
    ErrorCode.FILES_BUSY,
    ErrorCode.ILLEGAL_IN_STATE,
    ErrorCode.STORE_UNAVAILABLE,
    ErrorCode.ROOM_CLOSED,
)
"""How an upload can end."""
_CLEAN_UP = 2.0
"""Seconds in which the folder must be removed when the server ends. The next server removes what is left."""


class FileFolderError(Exception):
    """The folder of `--file-folder` cannot be used."""


class KeepsFiles(Protocol):
    """What a room uses of a store."""

    settings: FileSettings

    def has_place(self, claim: Claim) -> bool:
        """Whether there is a place for such a file."""

    def new(
        self,
        number: str,
        announced: SendFile,
        claim: Claim,
        deliver: Callable[[SharedFile], Awaitable[None]],
        on_step: Callable[[SharedFile, Step], None],
    ) -> SharedFile:
        """Keep a place for a file that is announced. `has_place` must just have allowed it."""


class FileStore:
    """The files of all rooms of one server. Implements `Store`."""

    def __init__(self, settings: FileSettings, folder: Path) -> None:
        self.settings = settings
        self.places = Places(settings.max_files_bytes, settings.max_room_files_bytes)
        self.results: Counter[str] = Counter()
        """How uploads ended."""
        self.requests_refused = 0
        """How many requests were refused because too many were open."""
        self.mark = ""
        """The beginning of the addresses of files that are announced from now on, which says whose they are."""
        self._folder = folder
        self._by_token: dict[str, SharedFile] = {}
        self._users: Counter[SharedFile] = Counter()
        """How many requests read or write a file."""
        self._to_come = 0
        """The bytes that the uploads which may write now have not written yet."""
        self._numbers = 0
        # Bounded by the places: a file keeps its place until it has been taken from this queue and removed.
        self._to_doomed, self._doomed = trio.open_memory_channel[SharedFile](math.inf)

    @property
    def files(self) -> list[SharedFile]:
        """All files that are not gone."""
        return [file for token, file in self._by_token.items() if token == file.token]

    def has_place(self, claim: Claim) -> bool:
        return self.places.fit(claim)

    def new(
        self,
        number: str,
        announced: SendFile,
        claim: Claim,
        deliver: Callable[[SharedFile], Awaitable[None]],
        on_step: Callable[[SharedFile, Step], None],
    ) -> SharedFile:
        self.places.take(claim)
        self._numbers += 1
        path = self._folder / str(self._numbers)
        leave = {PLACE: self._release}
        file = SharedFile(number, announced, claim, path, deliver, on_step, leave, self.mark)
        self._by_token[file.token] = self._by_token[file.upload_token] = file
        return file

    def to_bring(self, token: str) -> SharedFile | None:
        """The file whose bytes are brought with this token; None if there is none."""
        file = self._by_token.get(token)
        return file if file is not None and token == file.upload_token else None

    def to_fetch(self, token: str) -> SharedFile:
        """The file that is fetched with this token. Raises `Refusal`."""
        file = self._by_token.get(token)
        if file is None or token != file.token:
            raise Refusal(ErrorCode.NO_SUCH_FILE)
        return file

    @contextmanager
    def in_use(self, token: str) -> Iterator[None]:
        """Keep the bytes of the file with this token, if there is one, while a request reads or writes them."""
        file = self._by_token.get(token)
        if file is None:
            yield
            return
        self._users[file] += 1
        try:
            yield
        finally:
            self._users[file] -= 1
            if not self._users[file]:
                del self._users[file]
                if file.token not in self._by_token:
                    self._to_doomed.send_nowait(file)

    @asynccontextmanager
    async def disk_for(self, file: SharedFile) -> AsyncIterator[None]:
        """Keep so much of the disk that the file can be written.

        Raises `OSError`, or `Refusal` if the disk would be too full with it and with the others that are being
        written.
        """
        usage = await trio.to_thread.run_sync(shutil.disk_usage, self._folder)
        if usage.free - self._to_come - file.size < self.settings.free_disk_bytes:
            raise Refusal(ErrorCode.FILES_FULL, "The server's disk is full.")
        # What an upload has written meanwhile is counted twice. That errs on the side of the reserve.
        self._to_come += file.size
        try:
            yield
        finally:
            self._to_come -= file.size

    def _release(self, file: SharedFile) -> None:
        del self._by_token[file.token], self._by_token[file.upload_token]
        if file not in self._users:
            self._to_doomed.send_nowait(file)

    async def remove_doomed(self) -> None:
        """Remove the bytes of files that are gone, until cancelled."""
        async for file in self._doomed:
            try:
                await trio.to_thread.run_sync(_remove, file.path)
            except OSError as error:
                _log.error("file not removed", path=str(file.path), why=str(error))
            self.places.give_back(file.claim)


@asynccontextmanager
async def open_file_store(settings: FileSettings) -> AsyncIterator[FileStore | None]:
    """Open a store, whose files are removed when this scope ends.

    There is none if the settings want none, or if without a setting no folder can be made: a server on a read-only
    disk goes on without files. Raises `FileFolderError` if the folder of the settings cannot be used.
    """
    if settings.max_file_bytes == 0:
        yield None
        return
    parent = default_parent() if settings.file_folder is None else Path(settings.file_folder)
    opening: AbstractContextManager[Path] = open_folder(parent)
    try:
        folder = await trio.to_thread.run_sync(opening.__enter__)
    except OSError as error:
        if settings.file_folder is not None:
            raise FileFolderError(f"{parent}: {error.strerror} (see --file-folder)") from error
        _log.warning("nobody can send files", folder=str(parent), why=error.strerror, see="--file-folder")
        yield None
        return
    try:
        store = FileStore(settings, folder)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.remove_doomed)
            yield store
            nursery.cancel_scope.cancel()
    finally:
        with trio.move_on_after(_CLEAN_UP, shield=True):
            await trio.to_thread.run_sync(opening.__exit__, None, None, None, abandon_on_cancel=True)


def _remove(path: Path) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
