"""The journal file: every room's lines are written by a thread, so that a slow disk does not hold up a room.

Lines wait in a bounded queue. A line leaves the queue only when the thread has written it, so that lines that wait
can be counted as lost if the server ends first. The writing goes on while the server is being cancelled (that is
what the shield is for), and `close` gives it a last deadline.

If the server died while it wrote, the file may end in the middle of a line. Whoever appends next begins a new
line, so that a broken line is never joined with a whole one.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

import trio

from roomfsm.log import get_logger
from roomfsm.rooms.journal import Sink
from roomfsm.rooms.settings import RoomSettings

_log = get_logger(__name__)

_WAITING_BYTES = 16_777_216
"""How many bytes may wait for the disk. Further lines are dropped, and the log says how many."""
_BATCH = 1000
"""The most lines that are written in one go."""
_LAST_WRITING = 1.0
"""How many seconds the server waits for the disk when it ends."""
_MODE = 0o600
"""Only the owner may read the file, because it contains people's names."""


class JournalFileError(Exception):
    """The journal file cannot be written."""


@asynccontextmanager
async def open_journal_file(settings: RoomSettings) -> AsyncIterator[Sink | None]:
    """A function that takes the journals' lines; None if the settings name no file. The exit writes what waits.

    When the file would grow past `settings.journal_file_bytes`, it is renamed to `NAME.1`, which replaces an older
    file of that name, and a new file is begun. Raises `JournalFileError` if the file cannot be written at the
    start. If writing fails later, the log says so, and the lines are lost.
    """
    if settings.journal_file is None:
        yield None
        return
    path = Path(settings.journal_file)
    try:
        await trio.to_thread.run_sync(_begin, path)
    except OSError as error:
        raise JournalFileError(
            f"cannot write the journal file {path}: {error.strerror} (see --journal-file)"
        ) from error
    queue = _Queue(path, settings.journal_file_bytes)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(queue.write_all)
        try:
            yield queue.put
        finally:
            await queue.close()


class _Queue:
    """Lines on their way to the disk."""

    def __init__(self, path: Path, bound: int) -> None:
        self._path = path
        self._bound = bound
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._lost = 0
        self._failing = False
        self._work = trio.Event()
        self._closed = False
        # The lines that wait are written even though the server is being cancelled; `close` sets the deadline.
        self._scope = trio.CancelScope(shield=True)
        self._written = trio.Event()

    def put(self, line: bytes) -> None:
        """Take one line, ended by a newline; drop it if too much waits."""
        if self._bytes + len(line) > _WAITING_BYTES:
            self._lost += 1
            return
        self._lines.append(line)
        self._bytes += len(line)
        self._work.set()

    async def write_all(self) -> None:
        """Write whatever comes, until `close`."""
        with self._scope:
            while self._lines or not self._closed:
                await self._work.wait()
                self._work = trio.Event()
                await self._write()
            self._written.set()

    async def close(self) -> None:
        """Give the thread a moment to write the lines that wait. A thread that hangs is abandoned."""
        self._closed = True
        self._work.set()
        with trio.move_on_after(_LAST_WRITING, shield=True):
            await self._written.wait()
        self._scope.cancel()
        self._tell_losses()

    async def _write(self) -> None:
        while self._lines:
            batch = [self._lines[index] for index in range(min(_BATCH, len(self._lines)))]
            failed = await trio.to_thread.run_sync(
                _append, self._path, b"".join(batch), self._bound, abandon_on_cancel=True
            )
            for line in batch:
                self._lines.popleft()
                self._bytes -= len(line)
            self._note(failed, len(batch))

    def _note(self, failed: OSError | None, lines: int) -> None:
        if failed is not None:
            self._lost += lines
            if not self._failing:
                _log.error("the journal cannot be written", file=str(self._path), why=str(failed))
        elif self._lost:
            self._tell_losses()
        self._failing = failed is not None

    def _tell_losses(self) -> None:
        lost, self._lost = self._lost + len(self._lines), 0
        if lost:
            _log.error("lines of the journal are lost", file=str(self._path), lines=lost)


def _begin(path: Path) -> None:
    """Check that the file can be written, and complete its last line if a server died while it wrote that."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a regular file")
    with _open(path) as file:
        if file.tell() > 0 and not _ends_with_newline(path):
            file.write(b"\n")


def _append(path: Path, data: bytes, bound: int) -> OSError | None:
    """Append whole lines. Returns the error, if there was one."""
    try:
        if path.exists() and path.stat().st_size + len(data) > bound:
            path.replace(path.with_name(path.name + ".1"))
        with _open(path) as file:
            if file.tell() > 0 and not _ends_with_newline(path):
                file.write(b"\n")
            file.write(data)
    except OSError as error:
        return error
    return None


def _open(path: Path) -> BinaryIO:
    return open(path, "ab", opener=lambda name, flags: os.open(name, flags, _MODE))


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
