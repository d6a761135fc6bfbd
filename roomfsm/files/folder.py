"""The temporary folder of one server's files. The next server removes what a crashed one has left behind.

Each server makes a folder of its own, because several may run on one machine. To see whether the server of a
folder still lives, nothing is as sure as a lock that the system gives back with the process (flock(2)). So a
folder holds a file that its server has locked. The file gets its name only when it is locked: whoever finds the
name and gets the lock knows that the server has ended, and not that it is just about to begin.

Only folders are removed that belong to the same user and are no links, because everybody may write to /tmp.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "roomfsm-files-"
_LOCK = "lock"


def default_parent() -> Path:
    """Where the folder is made without a setting: $TMPDIR, or else /var/tmp, because /tmp may be in memory."""
    wanted = [os.environ.get("TMPDIR"), "/var/tmp"]
    for parent in wanted:
        if parent and os.access(parent, os.W_OK | os.X_OK):
            return Path(parent)
    return Path(tempfile.gettempdir())


@contextmanager
def open_folder(parent: Path) -> Iterator[Path]:
    """Make a folder below `parent`, and remove it in the end. It blocks. Raises `OSError`."""
    remove_leftovers(parent)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    try:
        lock = os.open(folder / f"{_LOCK}.new", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (folder / f"{_LOCK}.new").rename(folder / _LOCK)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(parent: Path) -> list[Path]:
    """Remove the folders of servers that have ended without removing them. Returns which. Raises `OSError`."""
    removed = []
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if _is_ours(folder) and _is_deserted(folder):
                shutil.rmtree(folder, ignore_errors=True)
                removed.append(folder)
    return removed


def _is_ours(folder: Path) -> bool:
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _is_deserted(folder: Path) -> bool:
    """Whether the server of this folder has ended. Raises `OSError` if that cannot be seen."""
    lock = os.open(folder / _LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
