"""Debian's Redis as it is run where it must not fail: watched by Sentinels, and as a Cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.ports import reserved_port
from tests.processes import LOADED, started, until_listening
from tests.redis_server import needs_redis, redis_server

SERVICE = "rooms"
"""What Sentinels call their servers."""

_QUICK = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
"""A replica begins at once, without waiting for others that may come, and counts for one a second later."""


def ask(port: int, *command: str | int, password: str | None = None) -> str:
    """What the server at this port answers."""
    login = [] if password is None else ["--no-auth-warning", "-a", password]
    line = ["redis-cli", "-p", str(port), *login, *map(str, command)]
    return subprocess.run(line, capture_output=True, text=True, timeout=LOADED, check=True).stdout.strip()


def until_says(text: str, port: int, *command: str | int, password: str | None = None) -> None:
    """Returns when this is in what the server answers."""
    deadline = time.monotonic() + LOADED
    while text not in (said := ask(port, *command, password=password)):
        assert time.monotonic() < deadline, said
        time.sleep(0.02)


@dataclass(frozen=True, slots=True)
class Watched:
    """A primary and its replica, and the Sentinels that watch them."""

    primary: int
    replica: int
    sentinels: tuple[int, ...]
    password: str | None = None
    """That of the primary and the replica."""

    @property
    def url(self) -> str:
        """The address for `--store`."""
        login = f":{self.password}@" if self.password else ""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinels)
        return f"redis+sentinel://{login}{hosts}/{SERVICE}"

    def kill_primary(self) -> None:
        """End the primary at once, as a machine that fails does."""
        _kill(self.primary, self.password)


@contextmanager
def watched_redis(
    folder: Path, *, sentinels: int, password: str | None = None, sentinel_password: str | None = None
) -> Iterator[Watched]:
    """A primary, a replica that has everything, and so many Sentinels that know of each other."""
    needs_redis()
    login = [] if password is None else ["--requirepass", password, "--masterauth", password]
    with ExitStack() as stack:
        primary, replica, *ports = (stack.enter_context(reserved_port()) for _ in range(2 + sentinels))
        for port, more in ((primary, []), (replica, ["--replicaof", f"127.0.0.1 {primary}"])):
            home = folder / str(port)
            home.mkdir()
            stack.enter_context(redis_server(home, *login, *_QUICK, *more, port=port))
        until_says("master_link_status:up", replica, "INFO", "replication", password=password)
        for port in ports:
            home = folder / str(port)
            home.mkdir()
            lines = [
                f"port {port}",
                "bind 127.0.0.1",
                f"dir {home}",
                f"sentinel monitor {SERVICE} 127.0.0.1 {primary} {sentinels // 2 + 1}",
                f"sentinel down-after-milliseconds {SERVICE} 500",
                f"sentinel failover-timeout {SERVICE} 2000",
                *([f"sentinel auth-pass {SERVICE} {password}"] if password else []),
                *([f"requirepass {sentinel_password}"] if sentinel_password else []),
            ]
            (home / "sentinel.conf").write_text("\n".join([*lines, ""]))
            _start(stack, ["redis-server", str(home / "sentinel.conf"), "--sentinel"], port, home)
        for port in ports:
            known = ("SENTINEL", "MASTER", SERVICE)
            until_says(f"num-other-sentinels\n{sentinels - 1}\n", port, *known, password=sentinel_password)
            until_says("num-slaves\n1\n", port, *known, password=sentinel_password)
        yield Watched(primary, replica, tuple(ports), password)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Three primaries. The first of them has the slot of the rooms, and a replica."""

    primaries: tuple[int, ...]
    replica: int

    @property
    def url(self) -> str:
        """The address for `--store`."""
        return f"redis+cluster://{','.join(f'127.0.0.1:{port}' for port in self.primaries)}"

    def kill_primary(self) -> None:
        """End the server at once that had the slot of the rooms at first."""
        _kill(self.primaries[0], None)

    def fail_over(self) -> None:
        """Let the primary and its replica change their parts, whichever is which."""
        replica = next(
            port for port in (self.primaries[0], self.replica) if "role:slave" in ask(port, "INFO", "replication")
        )
        deadline, asked = time.monotonic() + LOADED, 0.0
        while "role:slave" in ask(replica, "INFO", "replication"):
            assert time.monotonic() < deadline
            if time.monotonic() > asked + 1:
                # The others do not agree twice in two seconds, and do not say so.
                ask(replica, "CLUSTER", "FAILOVER")
                asked = time.monotonic()
            time.sleep(0.02)


@contextmanager
def redis_cluster(folder: Path) -> Iterator[Cluster]:
    """A Cluster that is ready."""
    needs_redis()
    with ExitStack() as stack:
        ports = [stack.enter_context(reserved_port()) for _ in range(4)]
        buses = [stack.enter_context(reserved_port()) for _ in ports]
        for port, bus in zip(ports, buses, strict=True):
            home = folder / str(port)
            home.mkdir()
            alone = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-port", str(bus)]
            stack.enter_context(redis_server(home, *alone, *_QUICK, port=port))
        slots = [(10000, 16383), (0, 4999), (5000, 9999)]
        slot = int(ask(ports[0], "CLUSTER", "KEYSLOT", "{roomfsm}:owner"))
        slots.sort(key=lambda one: not one[0] <= slot <= one[1])
        for port, (first, last) in zip(ports, slots, strict=False):
            ask(port, "CLUSTER", "ADDSLOTSRANGE", first, last)
        for port, bus in zip(ports[1:], buses[1:], strict=True):
            ask(ports[0], "CLUSTER", "MEET", "127.0.0.1", port, bus)
        for port in ports:
            until_says("cluster_known_nodes:4", port, "CLUSTER", "INFO")
        primary = ask(ports[0], "CLUSTER", "MYID")
        until_says(primary, ports[3], "CLUSTER", "NODES")
        ask(ports[3], "CLUSTER", "REPLICATE", primary)
        until_says("master_link_status:up", ports[3], "INFO", "replication")
        for port in ports:
            until_says("cluster_state:ok", port, "CLUSTER", "INFO")
            until_says(str(ports[3]), port, "CLUSTER", "SLOTS")
        yield Cluster(tuple(ports[:3]), ports[3])


def _kill(port: int, password: str | None) -> None:
    pid = ask(port, "INFO", "server", password=password).partition("process_id:")[2].split()[0]
    os.kill(int(pid), signal.SIGKILL)


def _start(stack: ExitStack, command: list[Any], port: int, folder: Path) -> None:
    log = folder / "redis.log"
    file = stack.enter_context(log.open("w"))
    process = stack.enter_context(started(command, stdout=file, stderr=subprocess.STDOUT))
    until_listening(port, process, log)
