"""The limit of open files. Most open files are connections, and a few are kept in reserve for everything else."""

from __future__ import annotations

import errno
import os
import resource

RESERVED = 256
"""The open files that are reserved for pipes, media servers, journals, and connections that are being refused."""

EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""The errors of `accept` if there is no room for another connection."""


def allow_open_files() -> None:
    """Raise this process's limit of open files as far as the system allows.

    Programs call this, libraries do not.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connections_possible() -> int:
    """How many connections this process's limit of open files allows."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    # If the limit is so low that the reserve would be most of it, half is kept in reserve.
    return max(limit - RESERVED, limit // 2)


class Spare:
    """One open file that can be closed when no other is left, so that a connection can be accepted and closed."""

    def __init__(self) -> None:
        self._file = self._open()

    def give_up(self) -> bool:
        """Close the spare file. Returns whether there was one."""
        if self._file is None:
            return False
        os.close(self._file)
        self._file = None
        return True

    def take_back(self) -> bool:
        """Open a spare file again. Returns whether there is one."""
        if self._file is None:
            self._file = self._open()
        return self._file is not None

    @staticmethod
    def _open() -> int | None:
        try:
            return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
