"""Waits for one socket without Trio's scheduler, while the scheduler has nothing to do.

A packet that is waited for with `trio.lowlevel.wait_readable` costs a turn of the scheduler and two system calls.
In a small room nearly every packet comes alone, to a processor whose caches hold other things by then. So the turn
costs as much as the packet itself. Therefore the task that reads the socket does not give up its turn after a
packet. It waits in the kernel for its socket, and at the same time for everything that Trio waits for, because one
epoll can wait for another. It gives up its turn as soon as Trio has something to do: a task can run, a deadline
has come, or something has happened at a descriptor. Signals and other threads use a descriptor, too.

Trio has no public way to do this. If Trio is not as expected here, nothing is waited for, and `wait_readable` does
all the work. The canary is in tests/mediaserver/engine/test_watch.py.
"""

import select
import socket
import sys
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import trio

_LONGEST = 0.1
"""Seconds of silence after which the socket is left to Trio, for which the task is blocked then."""


class Watch:
    """The wait for one socket in the current Trio loop. Use it as a context manager."""

    def __init__(self, sock: socket.socket) -> None:
        self._descriptor = sock.fileno()
        self._epoll: Any = None
        runner = _runner()
        if runner is None:
            return
        self._tasks = runner.runq
        self._next_deadline = runner.deadlines.next_deadline
        with suppress(OSError):  # There may be no descriptor left, and Trio needs none for this socket.
            epoll = select.epoll()
            epoll.register(sock, select.EPOLLIN)
            epoll.register(runner.io_manager._epoll, select.EPOLLIN)
            self._epoll = epoll

    @property
    def works(self) -> bool:
        return self._epoll is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._epoll is not None:
            self._epoll.close()

    @trio.lowlevel.enable_ki_protection
    def readable(self, now: float, *, awaited: bool) -> bool:
        """Wait until the socket is readable. Returns false if Trio must have its turn first, or nothing comes.

        `now` is Trio's time, or a little less. `awaited` says whether the task has awaited anything since this
        returned true.
        """
        if self._epoll is None or self._tasks or (awaited and _others_have_turns()):
            return False
        patience = min(_LONGEST, self._next_deadline() - now)
        if patience <= 0:
            return False
        events = self._epoll.poll(patience)
        return len(events) == 1 and bool(events[0][0] == self._descriptor)


def _runner() -> Any:
    """Trio's runner, if it is one that waits with epoll in this thread, by the system's clock."""
    if sys.platform != "linux":
        return None
    try:
        from trio._core._run import GLOBAL_RUN_CONTEXT, SystemClock

        runner: Any = GLOBAL_RUN_CONTEXT.runner
        suits = isinstance(runner.clock, SystemClock) and not runner.is_guest
        parts = (runner.runq, runner.deadlines.next_deadline, runner.io_manager._epoll.fileno)
    except (ImportError, AttributeError):
        return None
    return runner if suits and all(part is not None for part in parts) else None


def _others_have_turns() -> bool:
    """Whether other tasks have their turn after this one, before Trio waits again.

    They are in its queue no longer.
    """
    frame = sys._getframe(2)
    while frame.f_code.co_name != "unrolled_run":
        if frame.f_back is None:
            return True
        frame = frame.f_back
    return bool(frame.f_locals.get("batch", True))
