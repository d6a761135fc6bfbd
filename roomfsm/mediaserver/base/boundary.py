"""Where unknown exceptions end: each costs what it concerns and no more, is logged with its cause, and is counted.

One loop serves all peers, so an exception that nobody foresaw would end everybody's media. There is a boundary
wherever the code goes on from one peer's affairs to another's, or from one datagram, request or round of a task to
the next. `with BOUNDARY:` costs 0.1 µs. On the way of every packet the `try` is written out instead, with
`BOUNDARY.caught`, because in Python a `try` in which nothing is raised costs nothing.

The errors that are foreseen have types, and are dealt with inside.
"""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Callable
from types import TracebackType

from roomfsm.log import get_logger

_LOG_INTERVAL = 1.0
"""Seconds between two log entries of one boundary: what fails with every packet must not fill the disk."""

faults: Counter[str] = Counter()
"""The exceptions that ended at each boundary of this process, by what it is around."""


def log_fault(what: str, times: int, cause: str) -> None:
    """What is done with a fault by default; `cause` is the traceback's text."""
    get_logger(__name__).error("unexpected error", what=what, times=times, exception=cause)


class Boundary:
    """No `Exception` passes it; cancellation, which is none, does. It may be entered again inside itself."""

    tell: Callable[[str, int, str], None] = staticmethod(log_fault)
    """Called with `what`, how often that has happened, and the cause. A worker, which has no log, sets it."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._logged = float("-inf")

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(error, Exception):
            self.caught(error)
            return True
        return False

    def caught(self, error: Exception) -> None:
        """Log and count an exception that ends here."""
        faults[self.what] += 1
        now = time.monotonic()
        if now - self._logged >= _LOG_INTERVAL:
            self._logged = now
            Boundary.tell(self.what, faults[self.what], "".join(traceback.format_exception(error)))
