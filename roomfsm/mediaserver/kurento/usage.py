"""The CPU time and memory that processes use, as Linux reports them (proc(5))."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

_PROC = Path("/proc")
_USER_TIME, _SYSTEM_TIME = 11, 12
"""Indices of the fields of `stat` after the command's name, which is in brackets and may contain spaces."""


def resident_memory(pids: Collection[int]) -> int:
    """The resident memory of this process and of those of `pids` that still run, in KiB.

    Shared memory counts for each process. Raises `OSError` if the system does not report it.
    """
    pages = _resident_pages(os.getpid())
    for pid in pids:
        try:
            pages += _resident_pages(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def _resident_pages(pid: int) -> int:
    return int((_PROC / str(pid) / "statm").read_text("ascii").split()[1])


def cpu_times(pids: Collection[int]) -> dict[int, float]:
    """The CPU seconds that each of `pids` that still runs has used so far, in steps of 10 ms."""
    tick = os.sysconf("SC_CLK_TCK")
    times = {}
    for pid in pids:
        try:
            text = (_PROC / str(pid) / "stat").read_text("utf-8", "replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        fields = text.rpartition(")")[2].split()
        times[pid] = (int(fields[_USER_TIME]) + int(fields[_SYSTEM_TIME])) / tick
    return times
