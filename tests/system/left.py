"""Media servers that outlive their room server, and so must not outlive their test."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import msgspec

from roomfsm.adoption import Trace
from roomfsm.store.sqlite import FILE


def trace_in(data: Path) -> Trace | None:
    """Where the server of this folder, or a run before it, has left its media server."""
    if not (data / FILE).exists():
        return None
    with closing(sqlite3.connect(data / FILE, timeout=10)) as db:
        row = db.execute("SELECT value FROM remembered WHERE what = 'media server'").fetchone()
    return None if row is None else msgspec.json.decode(row[0], type=Trace)


@contextmanager
def none_left(data: Path) -> Iterator[None]:
    """At the end, kill the media server that a killed room server with this folder has left."""
    try:
        yield
    finally:
        kill_left(trace_in(data))


def kill_left(trace: Trace | None) -> None:
    """Kill the media server of this trace, if it still runs."""
    if trace is not None and trace.is_certain:
        with suppress(ProcessLookupError):
            os.killpg(trace.pid, signal.SIGKILL)
