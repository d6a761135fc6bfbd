"""Two networks for a test: one where the server runs, and one where its visitors are, with a cable between them.

Each is a network namespace. It belongs to a process that does nothing else and ends with the test. Programs enter
it by `nsenter`. A rule in the visitors' network can refuse what a firewall would refuse.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.processes import started

SERVER, TURN, VISITOR, ELSEWHERE = "10.78.0.1", "10.78.0.2", "10.78.0.3", "10.78.0.4"
_HOLD = "import os, sys; os.unshare(os.CLONE_NEWNET); print('here', flush=True); sys.stdin.read()"


class NoNetwork(Exception):
    """This user or system cannot make a network namespace."""


@dataclass(frozen=True, slots=True)
class Networks:
    """The commands that run another command in one of the two networks."""

    server: tuple[str, ...]
    visitor: tuple[str, ...]

    @contextmanager
    def without(self, *what: str) -> Iterator[None]:
        """Let the visitors send nothing that fits these selectors of ip-rule(8), such as `ipproto udp`."""
        rule = ("ip", "rule", "{}", *what, "prohibit")
        for action in ("add", "del"):
            _run(*self.visitor, *(part.format(action) for part in rule))
            if action == "add":
                yield

    def cut(self, which: str) -> int:
        """End the server's TCP connections that fit this filter of ss(8), as if a firewall had lost them.

        Returns how many. Few kernels cannot do it (`INET_DIAG_DESTROY`).
        """
        command = (*self.server, "ss", "--kill", "--no-header", "--tcp", "state", "established", which)
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
        return len(done.stdout.splitlines())

    @contextmanager
    def moved(self) -> Iterator[None]:
        """Let the visitors have the address `ELSEWHERE` instead of `VISITOR`, as after a change of the network."""
        for old, new in ((VISITOR, ELSEWHERE), (ELSEWHERE, VISITOR)):
            _run(*self.visitor, "ip", "address", "delete", f"{old}/24", "dev", "lan")
            _run(*self.visitor, "ip", "address", "add", f"{new}/24", "dev", "lan")
            # It went with the last address.
            _run(*self.visitor, "ip", "route", "replace", "default", "dev", "lan")
            if new == ELSEWHERE:
                yield

    def program(self, name: str, folder: Path) -> Path:
        """A program that runs `name` in the visitors' network."""
        script = folder / f"{Path(name).name}-elsewhere"
        script.write_text(f'#!/bin/sh\nexec {" ".join(self.visitor)} {name} "$@"\n')
        script.chmod(0o755)
        return script


@contextmanager
def two_networks() -> Iterator[Networks]:
    """Two networks, in which `SERVER` and `TURN` are addresses of one, and `VISITOR` of the other.

    Raises `NoNetwork`.
    """
    with _network() as (server, _), _network() as (visitor, pid):
        try:
            _run(*server, "ip", "link", "add", "lan", "type", "veth", "peer", "name", "lan", "netns", str(pid))
            for inside, addresses in ((server, (SERVER, TURN)), (visitor, (VISITOR,))):
                _run(*inside, "ip", "link", "set", "lo", "up")
                for address in addresses:
                    _run(*inside, "ip", "address", "add", f"{address}/24", "dev", "lan")
                _run(*inside, "ip", "link", "set", "lan", "up")
                # Chromium gathers no candidates without a default route, unless it may use a camera.
                _run(*inside, "ip", "route", "add", "default", "dev", "lan")
        except (OSError, subprocess.SubprocessError) as error:
            raise NoNetwork(str(error)) from error
        yield Networks(server, visitor)


@contextmanager
def _network() -> Iterator[tuple[tuple[str, ...], int]]:
    with started(
        [sys.executable, "-c", _HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as holder:
        assert holder.stdout is not None
        if holder.stdout.readline() != b"here\n":
            raise NoNetwork("no network namespace can be made")
        yield ("nsenter", f"--net=/proc/{holder.pid}/ns/net"), holder.pid


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=60)
