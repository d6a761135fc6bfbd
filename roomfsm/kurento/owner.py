"""Whose a pipeline is, so that a room server that was killed finds what it left when it starts again.

Kurento keeps the pipelines of a lost session for one or two periods of its garbage collector, four to eight
minutes, and for ever where a monitor looks at them. So every pipeline is tagged with its owner: a *name*, which
outlives the owner's restart, and an *instance*, which does not. What has our name and another instance was left
by an earlier run of ours, provided that nobody else can have our name at the same time. The name is made of the
network namespace, the address and the port that the server listens at, beside the machine: of two live servers
only one can have that port. An earlier run that is still on its way out is told by its process, which the
instance names.
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
"""Of /proc/PID/stat, counted from 1 (proc_pid_stat(5)): when the process was started."""


def node_name(host: str, port: int) -> str:
    """The name of the room server that listens at this address: the same after a restart, and nobody else's."""
    parts = (socket.gethostname(), _read("/etc/machine-id"), _link("/proc/self/ns/net"), host, str(port))
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return f"{socket.gethostname()}:{port}-{digest[:12]}"


def this_instance() -> str:
    """This run of this process: boot, process id and start, and what tells two runs in one process apart."""
    pid = os.getpid()
    return " ".join((_boot(), str(pid), _started(pid), secrets.token_hex(4)))


@dataclass(frozen=True, slots=True)
class Owner:
    """A room server as the owner of pipelines."""

    name: str
    instance: str = field(default_factory=this_instance)

    @property
    def tags(self) -> Mapping[str, str]:
        """What its pipelines are tagged with."""
        return {NAME_TAG: self.name, INSTANCE_TAG: self.instance}

    def left(self, tags: Mapping[str, str]) -> bool:
        """Whether a pipeline with these tags was left by an earlier run that has ended."""
        instance = tags.get(INSTANCE_TAG)
        if tags.get(NAME_TAG) != self.name or instance is None or instance == self.instance:
            return False
        return not _is_running(instance)


def _is_running(instance: str) -> bool:
    """Whether the process of an instance is there to be seen: on this machine, since this boot."""
    parts = instance.split(" ")
    if len(parts) <= _START or not parts[_BOOT] or parts[_BOOT] != _boot() or not parts[_PID].isdecimal():
        return False
    started = _started(int(parts[_PID]))
    return bool(started) and started == parts[_START]


def _boot() -> str:
    """The boot and the process namespace: only within these a process id says who it is."""
    return (_read("/proc/sys/kernel/random/boot_id") + _link("/proc/self/ns/pid")).replace(" ", "")


def _started(pid: int) -> str:
    # The second field is the program's name in brackets, which may hold spaces and brackets.
    _, _, rest = _read(f"/proc/{pid}/stat").rpartition(")")
    fields = rest.split()
    return fields[_START_FIELD - 3] if len(fields) > _START_FIELD - 3 else ""


def _read(path: str) -> str:
    """What a file of the system says; empty where there is none."""
    with suppress(OSError, UnicodeDecodeError):
        return Path(path).read_text(encoding="utf-8").strip()
    return ""


def _link(path: str) -> str:
    with suppress(OSError):
        return os.readlink(path)
    return ""
