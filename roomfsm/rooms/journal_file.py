"""The journal file: every room's lines, written by a thread, so that no disk holds up a room."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
import trio

from roomfsm.rooms.journal import Sink
from roomfsm.rooms.settings import RoomSettings

_log = structlog.get_logger()

_WAITING = 10_000
"""Lines that wait for the disk before newer ones are dropped; the log says how many were."""


class JournalFileError(Exception):
    """The file cannot be written."""


@asynccontextmanager
async def open_journal_file(settings: RoomSettings) -> AsyncIterator[Sink | None]:
    """Where journals write their lines; None without a file in the settings. Leaving it writes what waits.

    A file that would grow past `settings.journal_file_bytes` is renamed to `NAME.1` (the one before is lost) and
    begun anew. Raises `JournalFileError` at the start; later failures are logged, and lines are lost.
    """
    if settings.journal_file is None:
        yield None
        return
    path = Path(settings.journal_file)
    try:
        await trio.to_thread.run_sync(_append, path, b"", settings.journal_file_bytes)
    except OSError as error:
        raise JournalFileError(f"{path}: {error.strerror}") from error
    give, take = trio.open_memory_channel[bytes](_WAITING)
    dropped = 0

    def sink(line: bytes) -> None:
        nonlocal dropped
        try:
            give.send_nowait(line)
        except trio.WouldBlock:
            dropped += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_write_all, path, take, settings.journal_file_bytes)
        try:
            yield sink
        finally:
            give.close()
            if dropped:
                _log.error("the disk was too slow for the journal", lines_lost=dropped)


async def _write_all(path: Path, take: trio.MemoryReceiveChannel[bytes], bound: int) -> None:
    # Shielded: what waits is written although the server ends; the channel's end ends it.
    with trio.CancelScope(shield=True):
        async for line in take:
            lines = [line]
            while take.statistics().current_buffer_used:
                lines.append(take.receive_nowait())
            try:
                await trio.to_thread.run_sync(_append, path, b"".join(lines), bound)
            except OSError as error:
                _log.error("the journal cannot be written", file=str(path), why=str(error), lines_lost=len(lines))


def _append(path: Path, data: bytes, bound: int) -> None:
    if path.exists() and path.stat().st_size + len(data) > bound:
        path.replace(path.with_name(path.name + ".1"))
    with path.open("ab") as file:
        file.write(data)
