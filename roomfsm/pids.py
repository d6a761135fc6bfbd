"""Tells a process from another one that has got its number later, also after a restart of the machine (Linux)."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_STATE_FIELD, _START_FIELD = 3, 22
"""The fields of /proc/PID/stat with the state of the process and its start time, counted from 1
(proc_pid_stat(5))."""


def boot() -> str:
    """The boot and the process namespace, because a process id is unique only within these.

    Empty if the system has no /proc.
    """
    return (read_text("/proc/sys/kernel/random/boot_id") + read_link("/proc/self/ns/pid")).replace(" ", "")


def started(pid: int) -> str:
    """When the process started, in the system's own words; empty if there is no such process."""
    return _stat(pid, _START_FIELD)


def is_over(pid: int) -> bool:
    """Whether the process has ended, or there is none, even if its parent has not learned of that yet."""
    return _stat(pid, _STATE_FIELD) in ("", "Z", "X")


def _stat(pid: int, field: int) -> str:
    # The second field is the program's name in brackets, and the name may contain spaces and brackets.
    _, _, rest = read_text(f"/proc/{pid}/stat").rpartition(")")
    fields = rest.split()
    return fields[field - 3] if len(fields) > field - 3 else ""


def read_text(path: str) -> str:
    """The content of a system file; empty if it cannot be read."""
    with suppress(OSError, UnicodeDecodeError):
        return Path(path).read_text(encoding="utf-8").strip()
    return ""


def read_link(path: str) -> str:
    """Where a link of the system points; empty if it cannot be read."""
    with suppress(OSError):
        return os.readlink(path)
    return ""
