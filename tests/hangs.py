"""A test that hangs ends its process, which shows where it stands: pytest-xdist names it and goes on in a new one.

Nothing less would do. An exception that is raised within the test may be what its end hangs upon, as Playwright's
does. pytest's own `faulthandler_timeout` is taken off when a test fails, and its end may hang all the same; and to
set and take off the alarm of `faulthandler` for each test takes longer than most tests. So a thread watches, and
that alarm, which needs no turn of the interpreter, watches over the thread.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from threading import Thread
from time import monotonic, sleep

from hypothesis import settings

HANGS = 1200.0
"""Seconds after which a test hangs: longer than all its waits take on a busy machine, of which each has an end."""
_LOOK = 5.0
"""Seconds between two looks of the thread."""


class Watch:
    """Watches over one test at a time."""

    def __init__(self) -> None:
        self._deadline = inf

    def start(self) -> None:
        """Begin to watch; called before pytest catches what goes to standard error."""
        assert sys.__stderr__ is not None
        Thread(target=self._run, args=(os.dup(sys.__stderr__.fileno()),), daemon=True).start()

    @contextmanager
    def over_a_test(self) -> Iterator[None]:
        """The block ends within `HANGS` seconds, or the process does; unless properties are tried thoroughly."""
        if settings.get_current_profile_name() != "thorough":
            self._deadline = monotonic() + HANGS
        try:
            yield
        finally:
            self._deadline = inf

    def _run(self, output: int) -> None:
        while True:
            sleep(_LOOK)
            if monotonic() > self._deadline:
                faulthandler.dump_traceback(file=output)
                os.write(output, _greenlets().encode())
                os._exit(1)
            faulthandler.dump_traceback_later(HANGS, exit=True, file=output)


def _greenlets() -> str:
    """Where those greenlets stand that wait: a test does while the loop of Playwright runs, in another."""
    kind = getattr(sys.modules.get("greenlet"), "greenlet", None)
    waiting = [found.gr_frame for found in gc.get_objects() if kind and isinstance(found, kind)]
    stacks = [traceback.format_stack(frame) for frame in waiting if frame is not None]
    return "".join("".join(["Greenlet:\n", *stack]) for stack in stacks)
