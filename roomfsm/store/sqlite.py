"""A store in one SQLite file, for one server.

A thread of its own has the connection, and takes its jobs from a queue. (A job in Trio's pool of threads costs
about 100 µs, several times what the write itself takes.)

How safe a commit is: the database is in WAL mode with `synchronous=NORMAL`. A commit then is a write to the
system, without waiting for the disk, so it takes 20 µs instead of a millisecond or, on a busy disk, fifty. What is
committed survives the end of this process in any way, which is what the store promises. It does not by itself
survive a power cut. So at most `_SYNC` seconds after a commit the disk writes all of it (a checkpoint, which syncs
the log and then the file), as Redis does with `appendfsync everysec`. The file is whole after a power cut in any
case. Another thread waits for that, over a connection of its own, because a busy disk may take seconds, and a
checkpoint keeps no writer from the log.

Two servers must never write to one file. SQLite's own locks would make them take turns, so a lock on a file beside
it (flock(2)) keeps the second server out. The system frees that lock when the process ends, however it ends.
"""

from __future__ import annotations

import errno
import fcntl
import os
import queue
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from roomfsm.store.interface import (
    Append,
    Aside,
    Forget,
    Past,
    Remember,
    SetAside,
    Snapshot,
    StoreCode,
    StoreError,
    Write,
)

FILE = "rooms.sqlite3"
LOCK = "lock"
_APPLICATION = 0x726F6F6D
"""The file's `application_id`: "room". So no other program's database is taken for ours."""
SCHEMA = 1
_SYNC = 1.0
_CLOSE = 2.0
"""Seconds that the end of the server gives the thread to finish. A thread that hangs is left behind."""
_BUSY_MS = 1000
_LOG_PAGES = 4096
"""When the log has so many pages (of 4 KiB), the next commit makes a checkpoint itself. Otherwise the log would
never begin anew while there are commits all the time."""

_TABLES = """
CREATE TABLE room (
    name TEXT PRIMARY KEY,
    base INTEGER NOT NULL,     -- the number of the first event that is kept
    next INTEGER NOT NULL,     -- the number that the next event gets
    snapshot BLOB              -- stands for all events before `base`
) WITHOUT ROWID;
CREATE TABLE event (room TEXT NOT NULL, position INTEGER NOT NULL, event BLOB NOT NULL,
    PRIMARY KEY (room, position)) WITHOUT ROWID;
CREATE TABLE token (hash BLOB PRIMARY KEY, room TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX token_by_room ON token (room);
CREATE TABLE aside (id INTEGER PRIMARY KEY, room TEXT NOT NULL, at INTEGER NOT NULL, why TEXT NOT NULL,
    base INTEGER NOT NULL, snapshot BLOB);
CREATE TABLE aside_event (aside INTEGER NOT NULL, position INTEGER NOT NULL, event BLOB NOT NULL,
    PRIMARY KEY (aside, position)) WITHOUT ROWID;
"""

_REMEMBERED = "CREATE TABLE IF NOT EXISTS remembered (what TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"
"""A table that files of older versions lack. Those versions do not mind it, so the number of the schema is the
same."""

_CODES = {
    sqlite3.SQLITE_FULL: StoreCode.FULL,
    sqlite3.SQLITE_CORRUPT: StoreCode.CORRUPT,
    sqlite3.SQLITE_NOTADB: StoreCode.CORRUPT,
    sqlite3.SQLITE_READONLY: StoreCode.UNWRITABLE,
    sqlite3.SQLITE_CANTOPEN: StoreCode.UNWRITABLE,
    sqlite3.SQLITE_PERM: StoreCode.UNWRITABLE,
    sqlite3.SQLITE_BUSY: StoreCode.IN_USE,
    sqlite3.SQLITE_LOCKED: StoreCode.IN_USE,
}


@asynccontextmanager
async def open_sqlite(folder: Path) -> AsyncIterator[SqliteStore]:
    """Open the store in a folder, which is made if it does not exist. Raises `StoreError`."""
    thread = _Thread()
    try:
        # It is the matter of a moment. If it were left to itself, nobody would free the lock.
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE) as opening:
            file = await thread.run(_File.open, folder)
        if opening.cancelled_caught:
            raise StoreError(StoreCode.SLOW, f"{folder} could not be opened within {_CLOSE} s")
        try:
            yield SqliteStore(folder, file, thread)
        finally:
            with trio.move_on_after(_CLOSE, shield=True):
                await thread.run(file.close)
    finally:
        thread.end()


class SqliteStore:
    """A store in a file. Implements `roomfsm.store.interface.Store`."""

    def __init__(self, folder: Path, file: _File, thread: _Thread) -> None:
        self._folder = folder
        self._file = file
        self._thread = thread

    @property
    def place(self) -> str:
        """The folder."""
        return str(self._folder)

    async def commit(self, writes: Sequence[Write]) -> Sequence[str]:
        """Do all of this, or nothing. No other server can have a room in this folder."""
        await self._thread.run(self._file.commit, tuple(writes))
        return ()

    async def rooms(self) -> list[str]:
        """The keys of all rooms."""
        return await self._thread.run(self._file.rooms)

    async def read(self, room: str) -> Past:
        """What the store has of a room."""
        return await self._thread.run(self._file.read, room)

    async def room_of(self, token: bytes) -> str | None:
        """The room to which the token with this hash brings somebody back."""
        return await self._thread.run(self._file.room_of, token)

    async def aside(self) -> list[Aside]:
        """The rooms that were set aside, the oldest first."""
        return await self._thread.run(self._file.aside)

    async def remembered(self, what: str) -> bytes | None:
        """The value that is kept under this name."""
        return await self._thread.run(self._file.remembered, what)


class _File:
    """The database. All of this runs in the thread of the store."""

    def __init__(self, path: Path, lock: int, connection: sqlite3.Connection) -> None:
        self._path = path
        self._lock = lock
        self._db = connection
        self._disk = _Disk(path)

    @classmethod
    def open(cls, folder: Path) -> _File:
        """Raises `StoreError`."""
        path = folder / FILE
        lock = _lock(folder)
        try:
            with _told(path):
                _make_private(path)
                db = _connect(path)
                try:
                    _prepare(db, path)
                except BaseException:
                    db.close()
                    raise
        except BaseException:
            os.close(lock)
            raise
        return cls(path, lock, db)

    def close(self) -> None:
        self._disk.end()
        with suppress(sqlite3.Error):
            self._db.close()
        os.close(self._lock)

    def commit(self, writes: tuple[Write, ...]) -> None:
        with _told(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                for write in writes:
                    self._do(write)
                self._db.execute("COMMIT")
            except BaseException:
                # After some errors (a full disk) SQLite has rolled back by itself.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            self._disk.committed()

    def _do(self, write: Write) -> None:
        match write:
            case Append(room, position, events, tokens):
                self._expect(room, position, position + len(events))
                self._db.executemany(
                    "INSERT INTO event VALUES (?, ?, ?)",
                    ((room, number, event) for number, event in enumerate(events, position)),
                )
                for token, there in tokens.items():
                    if there:
                        self._db.execute("INSERT OR REPLACE INTO token VALUES (?, ?)", (token, room))
                    else:
                        self._db.execute("DELETE FROM token WHERE hash = ? AND room = ?", (token, room))
            case Snapshot(room, position, snapshot, tokens):
                found = self._next(room)
                if found > position:
                    raise _conflict(room, position, found)
                self._delete(room)
                self._db.execute("INSERT INTO room VALUES (?, ?, ?, ?)", (room, position, position, snapshot))
                self._db.executemany(
                    "INSERT OR REPLACE INTO token VALUES (?, ?)", ((token, room) for token in tokens)
                )
            case Forget(room):
                self._delete(room)
            case SetAside(room, why):
                self._set_aside(room, why)
            case Remember(what, None):
                self._db.execute("DELETE FROM remembered WHERE what = ?", (what,))
            case Remember(what, value):
                self._db.execute("INSERT OR REPLACE INTO remembered VALUES (?, ?)", (what, value))

    def _expect(self, room: str, position: int, after: int) -> None:
        moved = self._db.execute("UPDATE room SET next = ? WHERE name = ? AND next = ?", (after, room, position))
        if moved.rowcount:
            return
        found = self._next(room)
        if found != position:
            raise _conflict(room, position, found)
        self._db.execute("INSERT INTO room VALUES (?, 0, ?, NULL)", (room, after))

    def _next(self, room: str) -> int:
        row = self._db.execute("SELECT next FROM room WHERE name = ?", (room,)).fetchone()
        return 0 if row is None else int(row[0])

    def _delete(self, room: str) -> None:
        for statement in (
            "DELETE FROM room WHERE name = ?",
            "DELETE FROM event WHERE room = ?",
            "DELETE FROM token WHERE room = ?",
        ):
            self._db.execute(statement, (room,))

    def _set_aside(self, room: str, why: str) -> None:
        now = time.time_ns() // 1_000_000
        added = self._db.execute(
            "INSERT INTO aside (room, at, why, base, snapshot)"
            " SELECT name, ?, ?, base, snapshot FROM room WHERE name = ?",
            (now, why, room),
        )
        self._db.execute(
            "INSERT INTO aside_event SELECT ?, position, event FROM event WHERE room = ?",
            (added.lastrowid, room),
        )
        self._delete(room)

    def rooms(self) -> list[str]:
        with _told(self._path):
            return [name for (name,) in self._db.execute("SELECT name FROM room ORDER BY name")]

    def read(self, room: str) -> Past:
        with _told(self._path):
            row = self._db.execute("SELECT base, snapshot FROM room WHERE name = ?", (room,)).fetchone()
            if row is None:
                return Past(None, 0, ())
            events = self._db.execute("SELECT event FROM event WHERE room = ? ORDER BY position", (room,))
            return Past(row[1], row[0], tuple(event for (event,) in events))

    def room_of(self, token: bytes) -> str | None:
        with _told(self._path):
            row = self._db.execute("SELECT room FROM token WHERE hash = ?", (token,)).fetchone()
            return None if row is None else str(row[0])

    def aside(self) -> list[Aside]:
        with _told(self._path):
            rows = self._db.execute("SELECT room, at, why FROM aside ORDER BY id")
            return [Aside(room, at, why) for room, at, why in rows]

    def remembered(self, what: str) -> bytes | None:
        with _told(self._path):
            row = self._db.execute("SELECT value FROM remembered WHERE what = ?", (what,)).fetchone()
            return None if row is None else bytes(row[0])


def _lock(folder: Path) -> int:
    """Keep other servers out of the folder. Returns the lock's file descriptor."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        code = StoreCode.FULL if error.errno == errno.ENOSPC else StoreCode.UNWRITABLE
        raise StoreError(code, f"{folder}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
        os.close(lock)
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise StoreError(StoreCode.FAILED, f"{folder / LOCK}: {error.strerror}") from error
        by = f" (process {holder})" if holder else ""
        raise StoreError(StoreCode.IN_USE, f"{folder} is in use by another roomfsm{by}") from None
    with suppress(OSError):
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _make_private(path: Path) -> None:
    """Make the file if there is none, and keep others out of it, because secrets are in it."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    # SQLite gives a new log the rights of the file. A server that was killed has left one.
    for file in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
        with suppress(OSError):  # It is not there, or another user's, or its file system knows no rights.
            file.chmod(0o600)


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, timeout=_BUSY_MS / 1000)


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    """Make the tables in a new file, and refuse a file that is not ours. Raises `StoreError`."""
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != _APPLICATION and (application or tables):
        raise StoreError(StoreCode.CORRUPT, f"{path} is the database of another program")
    if version > SCHEMA:
        raise StoreError(StoreCode.NEWER, f"{path} has version {version} of the tables, and this roomfsm {SCHEMA}")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
    if not tables:
        db.executescript(
            f"BEGIN; {_TABLES} PRAGMA application_id = {_APPLICATION}; PRAGMA user_version = {SCHEMA}; COMMIT;"
        )
    db.execute(_REMEMBERED)


def _conflict(room: str, position: int, found: int) -> StoreError:
    detail = f"the store has {found} events of the room {room!r}, and this server has written {position}"
    return StoreError(StoreCode.CONFLICT if found < position else StoreCode.TAKEN, detail)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Raise `StoreError` for what SQLite and the system raise."""
    try:
        yield
    except sqlite3.Error as error:
        # The lower byte is the code without its details (sqlite.org/rescode.html).
        primary = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        raise StoreError(_CODES.get(primary, StoreCode.FAILED), f"{path}: {error}") from error
    except OSError as error:
        code = StoreCode.FULL if error.errno == errno.ENOSPC else StoreCode.UNWRITABLE
        raise StoreError(code, f"{path}: {error.strerror}") from error


@dataclass(slots=True, eq=False)
class _Job:
    do: Callable[[], Any]
    done: trio.Event = field(default_factory=trio.Event)
    result: Any = None
    error: BaseException | None = None


class _Thread:
    """One thread that does jobs in their order."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._to_trio = trio.lowlevel.current_trio_token()
        # The program may end while the thread hangs in the system.
        threading.Thread(target=self._work, name="store", daemon=True).start()

    async def run[T](self, do: Callable[..., T], *arguments: Any) -> T:
        """Do it in the thread. If this is cancelled, the job is done all the same."""
        job = _Job(lambda: do(*arguments))
        self._jobs.put(job)
        await job.done.wait()
        if job.error is not None:
            raise job.error
        result: T = job.result
        return result

    def end(self) -> None:
        """End the thread when it has done its jobs."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job.result = job.do()
            except BaseException as error:  # noqa: BLE001 (it is raised where the job was given)
                job.error = error
            with suppress(trio.RunFinishedError):
                self._to_trio.run_sync_soon(job.done.set)


class _Disk:
    """A thread that has the disk write what was committed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._committed = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="store: disk", daemon=True)
        self._thread.start()

    def committed(self) -> None:
        """Something was committed."""
        self._committed.set()

    def end(self) -> None:
        """End the thread. Whoever closes the last connection makes the last checkpoint."""
        self._ending.set()
        self._committed.set()
        # If the disk hangs, the thread is left behind.
        self._thread.join(_CLOSE / 2)

    def _work(self) -> None:
        while self._committed.wait() and not self._ending.wait(_SYNC):
            self._committed.clear()
            # After an error the log keeps what it has, and the next checkpoint tries again.
            with suppress(sqlite3.Error), closing(_connect(self._path)) as db:
                _checkpoint(db)


def _checkpoint(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
