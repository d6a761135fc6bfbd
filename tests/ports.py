"""A port that a test has to tell before it is bound, and that nobody else takes meanwhile.

Port 0 is better wherever it will do. Where it will not, because the number stands in another program's settings or
is used again after a restart, it must not be found by binding 0 and closing the socket: the system may give it to
whoever binds next, and the test processes and their browsers bind many.
"""

from __future__ import annotations

import itertools
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_MOST = 4000
"""Ports that are tried."""


def _candidates() -> range:
    """Ports that the system gives nobody by itself: those below its range of ephemeral ones."""
    with suppress(OSError):
        lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
        if lowest > 2 * _MOST:
            return range(lowest - _MOST, lowest)
    return range(28_000, 28_000 + _MOST)


def _is_free(port: int) -> bool:
    try:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(socket.AF_INET, kind) as probe:
                probe.bind(("", port))
    except OSError:
        return False
    return True


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port, free for TCP and UDP, that no other test is given until the block ends."""
    candidates = _candidates()
    first = os.getpid() % len(candidates)
    for port in itertools.chain(candidates[first:], candidates[:first]):
        with socket.socket(socket.AF_UNIX) as lock:
            try:
                if sys.platform == "linux":
                    # A name without a file, which is free again when its holder ends in whatever way.
                    lock.bind(f"\0roomfsm-test-port-{port}")
            except OSError:
                continue
            if _is_free(port):
                yield port
                return
    raise AssertionError("no port is free")
