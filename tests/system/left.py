"""Media servers that outlive their room server, and so must not outlive their test."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import msgspec

from roomfsm.adoption import Trace
from roomfsm.store.sqlite import FILE
from tests.processes import LOADED

LINGER = f"--media-linger={LOADED:g}"
"""So long may the next server take to come. If a test fails, nothing lives for much longer."""

_seen: dict[Path, set[Trace]] = defaultdict(set)
"""All that was read in each folder. If adoption fails, the newest is not the only one that may be left."""


def trace_in(data: Path) -> Trace | None:
    """Where the server of this folder, or a run before it, has left its media server."""
    if not (data / FILE).exists():
        return None
    with closing(sqlite3.connect(data / FILE, timeout=10)) as db:
        row = db.execute("SELECT value FROM remembered WHERE what = 'media server'").fetchone()
    if row is None:
        return None
    trace = msgspec.json.decode(row[0], type=Trace)
    _seen[data].add(trace)
    return trace


@contextmanager
def none_left(data: Path) -> Iterator[None]:
    """At the end, kill the media servers that killed room servers with this folder have left."""
    try:
        yield
    finally:
        trace_in(data)
        for trace in _seen.pop(data, ()):
            kill_left(trace)


def kill_left(trace: Trace) -> None:
    """Kill the media server of this trace, if it still runs."""
    if trace.is_certain:
        with suppress(ProcessLookupError):
            os.killpg(trace.pid, signal.SIGKILL)
