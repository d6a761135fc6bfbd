"""The owner of a pipeline. By it, a room server that was killed finds its old pipelines when it starts again.

Kurento keeps the pipelines of a lost session for one or two periods of its garbage collector, four to eight
minutes, and for ever if a monitor looks at them. So every pipeline is tagged with its owner: a *name*, which stays
the same when the owner restarts, and an *instance*, which changes. A pipeline with our name and another instance
was left by an earlier run of ours, if nobody else can have our name at the same time. So the name is made from the
machine, the network namespace, and the address and port at which the server listens, because only one running
server can have that port. The instance names the process, so that an earlier run that is still shutting down is
recognised.

The name changes all the same if the server gets another port or another container. But the rooms that come back
know the runs that had their pipelines, and what these runs left is swept, too.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

from roomfsm.pids import boot, is_over, read_link, read_text, started

NAME_TAG, INSTANCE_TAG = "roomfsm.node", "roomfsm.instance"

_BOOT, _PID, _START = range(3)


def node_name(host: str, port: int) -> str:
    """The name of the room server that listens at this address.

    It is the same after a restart, and unique among running servers.
    """
    parts = (socket.gethostname(), read_text("/etc/machine-id"), read_link("/proc/self/ns/net"), host, str(port))
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return f"{socket.gethostname()}:{port}-{digest[:12]}"


def this_instance() -> str:
    """The instance of this run: boot, process id, start time, and a random part that tells two runs in one process
    apart.
    """
    pid = os.getpid()
    return " ".join((boot(), str(pid), started(pid), secrets.token_hex(4)))


@dataclass(frozen=True, slots=True)
class Owner:
    """A run of a room server, which owns pipelines."""

    name: str
    instance: str = field(default_factory=this_instance)
    earlier: tuple[Owner, ...] = ()
    """Earlier runs, under whatever name, whose pipelines this one takes over."""

    @property
    def tags(self) -> Mapping[str, str]:
        """The tags of its pipelines."""
        return {NAME_TAG: self.name, INSTANCE_TAG: self.instance}

    def left(self, tags: Mapping[str, str]) -> bool:
        """Whether a pipeline with these tags was left behind by an earlier run that has ended."""
        name, instance = tags.get(NAME_TAG), tags.get(INSTANCE_TAG)
        if name is None or instance is None or instance == self.instance or is_running(instance):
            return False
        return name == self.name or any((name, instance) == (run.name, run.instance) for run in self.earlier)


def has_ended(instance: str) -> bool:
    """Whether the instance was a process on this machine since its last boot, and is not running any more."""
    here = boot()
    return bool(here) and instance.split(" ")[_BOOT] == here and not is_running(instance)


def is_running(instance: str) -> bool:
    """Whether the process of an instance is still running on this machine since its last boot."""
    parts = instance.split(" ")
    if len(parts) <= _START or not parts[_BOOT] or parts[_BOOT] != boot() or not parts[_PID].isdecimal():
        return False
    pid = int(parts[_PID])
    start = started(pid)
    return bool(start) and start == parts[_START] and not is_over(pid)
