"""The owner of a pipeline. By it, a room server that was killed finds its old pipelines when it starts again.

Kurento keeps the pipelines of a lost session for one or two periods of its garbage collector, four to eight
minutes, and for ever if a monitor looks at them. So every pipeline is tagged with its owner: a *name*, which stays
the same when the owner restarts, and an *instance*, which changes. A pipeline with our name and another instance
was left by an earlier run of ours, if nobody else can have our name at the same time. So the name is made from the
machine, the network namespace, and the address and port at which the server listens, because only one running
server can have that port. The instance names the process, so that an earlier run that is still shutting down is
recognised.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

NAME_TAG, INSTANCE_TAG = "roomfsm.node", "roomfsm.instance"

_BOOT, _PID, _START = range(3)
_START_FIELD = 22
"""The field of /proc/PID/stat with the start time of the process, counted from 1 (proc_pid_stat(5))."""


def node_name(host: str, port: int) -> str:
    """The name of the room server that listens at this address.

    It is the same after a restart, and unique among running servers.
    """
    parts = (socket.gethostname(), _read("/etc/machine-id"), _link("/proc/self/ns/net"), host, str(port))
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return f"{socket.gethostname()}:{port}-{digest[:12]}"


def this_instance() -> str:
    """The instance of this run: boot, process id, start time, and a random part that tells two runs in one process
    apart.
    """
    pid = os.getpid()
    return " ".join((_boot(), str(pid), _started(pid), secrets.token_hex(4)))


@dataclass(frozen=True, slots=True)
class Owner:
    """A room server that owns pipelines."""

    name: str
    instance: str = field(default_factory=this_instance)

    @property
    def tags(self) -> Mapping[str, str]:
        """The tags of its pipelines."""
        return {NAME_TAG: self.name, INSTANCE_TAG: self.instance}

    def left(self, tags: Mapping[str, str]) -> bool:
        """Whether a pipeline with these tags was left behind by an earlier run that has ended."""
        instance = tags.get(INSTANCE_TAG)
        if tags.get(NAME_TAG) != self.name or instance is None or instance == self.instance:
            return False
        return not _is_running(instance)


def _is_running(instance: str) -> bool:
    """Whether the process of an instance is still running on this machine since its last boot."""
    parts = instance.split(" ")
    if len(parts) <= _START or not parts[_BOOT] or parts[_BOOT] != _boot() or not parts[_PID].isdecimal():
        return False
    started = _started(int(parts[_PID]))
    return bool(started) and started == parts[_START]


def _boot() -> str:
    """The boot and the process namespace, because a process id is unique only within these."""
    return (_read("/proc/sys/kernel/random/boot_id") + _link("/proc/self/ns/pid")).replace(" ", "")


def _started(pid: int) -> str:
    # The second field is the program's name in brackets, and the name may contain spaces and brackets.
    _, _, rest = _read(f"/proc/{pid}/stat").rpartition(")")
    fields = rest.split()
    return fields[_START_FIELD - 3] if len(fields) > _START_FIELD - 3 else ""


def _read(path: str) -> str:
    """The content of a system file; empty if it cannot be read."""
    with suppress(OSError, UnicodeDecodeError):
        return Path(path).read_text(encoding="utf-8").strip()
    return ""


def _link(path: str) -> str:
    with suppress(OSError):
        return os.readlink(path)
    return ""
