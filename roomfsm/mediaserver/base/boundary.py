"""Boundaries, at which unexpected exceptions end.

An exception ends only what it concerns, is logged with its cause, and is counted. One loop serves all peers, so an
unexpected exception would end everybody's media. There is a boundary wherever the code goes on from one peer to
another, or from one datagram, request or round of a task to the next. `with BOUNDARY:` costs 0.1 µs. In code that
runs for every packet, `try` is written out instead, with `BOUNDARY.caught`, because in Python a `try` that raises
nothing costs nothing. Expected errors have types, and are handled inside the boundaries.
"""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Callable
from types import TracebackType

from roomfsm.log import get_logger

_LOG_INTERVAL = 1.0
"""The shortest time in seconds between two log entries of one boundary, because an error with every packet must
not fill the disk."""

faults: Counter[str] = Counter()
"""The number of exceptions that ended at each boundary of this process, by the boundary's `what`."""


def log_fault(what: str, times: int, cause: str) -> None:
    """Log a fault. This is what boundaries do by default. `cause` is the text of the traceback."""
    get_logger(__name__).error("unexpected error", what=what, times=times, exception=cause)


class Boundary:
    """A context manager that no `Exception` passes.

    Cancellation passes, because it is not an `Exception`. It may be entered again inside itself.
    """

    tell: Callable[[str, int, str], None] = staticmethod(log_fault)
    """Called with `what`, how often that has happened, and the cause. Workers replace it, because they have no
    log."""

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
