"""How many files this process may have open: connections are most of them, and a few are kept for all else."""

from __future__ import annotations

import errno
import os
import resource

RESERVED = 256
"""Open files that are not for connections: pipes, media servers, journals, connections that are turned away."""

EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""What accepting fails with when there is no room for one more."""


def allow_open_files() -> None:
    """Raise this process's limit of open files as far as the system lets it. For a program, not for a library."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connections_possible() -> int:
    """How many connections this process's limit of open files leaves room for."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Where the reserve would be most of it, a half has to do.
    return max(limit - RESERVED, limit // 2)


class Spare:
    """One open file that can be given up when there is no other: enough to accept a connection and close it."""

    def __init__(self) -> None:
        self._file = self._open()

    def give_up(self) -> bool:
        """Make room for one; whether there was any to be made."""
        if self._file is None:
            return False
        os.close(self._file)
        self._file = None
        return True

    def take_back(self) -> bool:
        """Whether there is one again."""
        if self._file is None:
            self._file = self._open()
        return self._file is not None

    @staticmethod
    def _open() -> int | None:
        try:
            return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
