"""Keeps one child process running: the embedded media server, or one of its workers.

A process can fail in four ways, which are all handled alike. It dies; it hangs; it sends something that cannot be
understood; or it cannot be started (there is no descriptor, memory, process or program, or it is never ready). The
holders of anything in the process are told first, because all of it is lost. Then the process is ended with its
whole group, and started again after a delay that grows from failure to failure.

A silent process counts as hanging, because the loop that does its work must send something every second. Silence
is counted in looks and not by the clock. A look is one turn of our own loop in which nothing was received since
the last look. If our own process was stopped (Ctrl-Z) or got no CPU time, its next look comes late, and finds what
the child has sent meanwhile. So no child is killed because our own process was asleep.

A process that starts sends nothing until it is ready, and it may need long for that on a slow machine. It counts
as hanging if a signal has stopped it for so many looks. For every other delay it has the whole `ready_timeout`.

Every wait here has a deadline, even for a process that was killed and for the end of its log, because another
process that inherited the log's pipe may live longer.
"""

from __future__ import annotations

import os
import signal
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

import structlog
import trio

from roomfsm import ranges
from roomfsm.ranges import Seconds, SecondsOrZero

LOOKS = 10
"""A process hangs if nothing was received in so many looks in a row."""
_KILL_TIMEOUT = 2.0
"""The most seconds until a killed process has ended."""
_LOG_TIMEOUT = 1.0
"""Seconds for reading the last output of a process that has ended."""
_POLL = 0.05
"""Seconds between two checks of a process, if the system cannot report its death."""


class ChildStartError(Exception):
    """The process could not be started, or it ended or was silent before it was ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """The time limits of supervision, in seconds. Raises `SettingsError`."""

    ready_timeout: Seconds = 30.0
    """The longest time from the start until the process reports that it is ready."""
    silence: Seconds = 5.0
    """A process that sends nothing for so long counts as hanging."""
    stop_timeout: Seconds = 3.0
    """The time from asking the process to end until it is killed."""
    first_delay: Seconds = 0.05
    """The delay before the first restart. It doubles for each further one, up to `max_delay`."""
    max_delay: Seconds = 2.0
    steady_after: SecondsOrZero = 30.0
    """After a process has lived for so long, the next delay is `first_delay` again."""

    def __post_init__(self) -> None:
        ranges.check(self)


class Process(Protocol):
    """The part of `trio.Process` that supervision needs."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    @property
    def stdin(self) -> trio.abc.AsyncResource | None: ...
    @property
    def stdout(self) -> trio.abc.AsyncResource | None: ...
    @property
    def stderr(self) -> trio.abc.AsyncResource | None: ...

    async def wait(self) -> int | None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


class Supervised[P: Process = trio.Process](ABC):
    """One process that is kept running. Subclasses define how it is started, read and ended.

    `name` is its name in log entries.
    """

    def __init__(self, name: str, patience: Patience, logger: structlog.typing.FilteringBoundLogger) -> None:
        self.starts = 0
        """How often the process has become ready."""
        self._name = name
        self._patience = patience
        self._log = logger
        self._process: P | None = None
        self._is_ready = trio.Event()
        self._heard = False
        self._hangs = False
        self._why = ""
        self._attending = trio.CancelScope()
        self._task_status: trio.TaskStatus[ChildStartError | None] = trio.TASK_STATUS_IGNORED

    @property
    def pid(self) -> int | None:
        """The process's id; None while none runs."""
        return None if self._process is None else self._process.pid

    # Defined by subclasses

    @abstractmethod
    async def open_process(self) -> P:
        """Start the process. Any exception counts as a failed start."""

    @abstractmethod
    async def converse(self, process: P) -> None:
        """Read the messages of the process until they end. Call `heard` for each, and `ready` once.

        Any exception ends the process.
        """

    async def read_log(self, process: P) -> None:
        """Pass on the process's log until it ends. By default the process has no log."""
        del process
        await trio.lowlevel.checkpoint()

    def ask_to_end(self, process: P) -> None:
        """Ask the process to end by itself, within `stop_timeout`."""
        process.terminate()

    def kill(self, process: P) -> None:
        """Kill the process."""
        process.kill()

    def goes_on(self, process: P) -> bool:
        """Whether the process is not ended when the supervision is. By default it is."""
        del process
        return False

    def let_go(self, process: P) -> None:
        """Give up what belongs to a process that has ended, or goes on. Its pipes are closed by then."""
        del process

    @abstractmethod
    def gone(self, why: str) -> None:
        """Tell the holders of anything in the process that it is lost.

        Called once for each start, before the process is ended.
        """

    def start_failure(self, process: P, why: str) -> ChildStartError:
        """The error for a process that ended before it was ready. All of its log has been read by then."""
        del process
        return ChildStartError(f"{self._name} {why}")

    # Called by subclasses

    def heard(self) -> None:
        """Record that the process has sent something."""
        self._heard = True

    def ready(self, **facts: object) -> None:
        """Record that the process is ready. `facts` go into the log."""
        assert self._process is not None
        self.heard()
        self.starts += 1
        self._is_ready.set()
        self._log.info(f"{self._name} runs", pid=self.pid, start=self.starts, **facts)
        if self.starts == 1:
            self._task_status.started(None)

    # Called by others

    def does_not_answer(self) -> None:
        """Report that the process hangs, because somebody has waited for its answer in vain."""
        self._give_up("does not answer")

    # Running

    async def supervise(
        self, *, task_status: trio.TaskStatus[ChildStartError | None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Keep the process running until cancelled. If the very first start fails, report the error and return."""
        self._task_status = task_status
        delay = self._patience.first_delay
        while True:
            began = trio.current_time()
            failure = await self._run_once()
            if failure is not None:
                if self.starts == 0:
                    task_status.started(failure)
                    return
                self._log.error(f"{self._name} does not start", error=str(failure))
            if trio.current_time() - began >= self._patience.steady_after:
                delay = self._patience.first_delay
            await trio.sleep(min(delay, self._patience.max_delay))
            delay *= 2

    async def _run_once(self) -> ChildStartError | None:
        """Run the process until it ends. Returns why it did not become ready; None if it did."""
        try:
            process = await self.open_process()
        except Exception as error:  # noqa: BLE001 (no descriptor, memory, process or thread: each has its own type)
            return ChildStartError(f"{self._name} cannot be started: {error}")
        self._process, self._is_ready, self._hangs, self._why = process, trio.Event(), False, ""
        log_scope = trio.CancelScope(shield=True)
        async with self._closing(process), trio.open_nursery() as nursery:
            nursery.start_soon(self._read_log, process, log_scope)
            over = False
            try:
                await self._attend(process)
                over = True
            finally:
                self._process = None
                if over or not self.goes_on(process):
                    # The first deadline allows for the time that ending the process may take, whatever goes wrong
                    # meanwhile.
                    log_scope.deadline = trio.current_time() + self._patience.stop_timeout + _KILL_TIMEOUT
                    self._tell_gone()
                    await self._end(process)
                    log_scope.deadline = trio.current_time() + _LOG_TIMEOUT
                else:
                    log_scope.cancel()
        if not self._is_ready.is_set():
            return self.start_failure(process, self._why)
        self._log.error(f"{self._name} died", pid=process.pid, status=process.returncode, why=self._why)
        return None

    @asynccontextmanager
    async def _closing(self, process: P) -> AsyncIterator[None]:
        """Let go of the process at the end."""
        try:
            yield
        finally:
            await close_pipes(process)
            self.let_go(process)

    async def _attend(self, process: P) -> None:
        """Wait until the process has failed. `_why` gives the reason."""
        try:
            async with trio.open_nursery() as nursery:
                self._attending = nursery.cancel_scope
                nursery.start_soon(self._watch, process)
                nursery.start_soon(self._await_death, process)
                await self.converse(process)
                self._note("ended" if self._is_ready.is_set() else "ended before it was ready")
                nursery.cancel_scope.cancel()
        except* ChildStartError as group:
            self._note(str(group.exceptions[0]))
        except* Exception as group:  # noqa: BLE001 (what it says must end nobody but itself)
            self._log.error(f"{self._name} is not understood", exc_info=group)
            self._note(f"is not understood: {group.exceptions[0]!r}")

    async def _read_log(self, process: P, scope: trio.CancelScope) -> None:
        with scope:
            try:
                await self.read_log(process)
            except Exception:  # noqa: BLE001 (as above)
                self._log.exception(f"the log of the {self._name} cannot be read")

    def _tell_gone(self) -> None:
        try:
            self.gone(self._why or "was ended")
        except Exception:  # noqa: BLE001 (the process must be ended all the same)
            self._log.exception(f"not all were told that the {self._name} is gone")

    def _note(self, why: str) -> None:
        self._why = self._why or why

    async def _watch(self, process: P) -> None:
        silence = f"for {self._patience.silence:g} s"
        stopped = 0
        with trio.move_on_after(self._patience.ready_timeout):
            while not self._is_ready.is_set() and stopped < LOOKS:
                with trio.move_on_after(self._patience.silence / LOOKS):
                    await self._is_ready.wait()
                stopped = stopped + 1 if _is_stopped(process) else 0
        if stopped == LOOKS:
            self._give_up(f"hangs: it was stopped {silence} while it started")
            return
        if not self._is_ready.is_set():
            self._give_up(f"not ready after {self._patience.ready_timeout:g} s")
            return
        missed = 0
        while missed < LOOKS:
            self._heard = False
            await trio.sleep(self._patience.silence / LOOKS)
            missed = 0 if self._heard else missed + 1
        self._give_up(f"hangs: it said nothing {silence}")

    def _give_up(self, why: str) -> None:
        self._hangs = True
        self._note(why)
        self._attending.cancel()

    async def _await_death(self, process: P) -> None:
        """Wait for the end of a process whose pipe another process holds open.

        Otherwise `converse` ends first, after reading everything.
        """
        await _death(process)
        await trio.sleep(_LOG_TIMEOUT)
        self._note("ended")
        self._attending.cancel()

    async def _end(self, process: P) -> None:
        """End the process. It is asked to end by itself, unless it hangs."""
        if not self._hangs:
            self._try("asked to end", self.ask_to_end, process)
            with trio.move_on_after(self._patience.stop_timeout, shield=True):
                await _death(process)
        self._try("killed", self.kill, process)
        with trio.move_on_after(_KILL_TIMEOUT, shield=True) as deadline:
            await _death(process)
        if deadline.cancelled_caught:
            self._log.error(f"{self._name} cannot be ended", pid=process.pid)

    def _try(self, what: str, how: Callable[[P], None], process: P) -> None:
        """Log an error of this step, so that the following steps are done all the same."""
        try:
            how(process)
        except ProcessLookupError:
            pass
        except Exception:  # noqa: BLE001 (as above)
            self._log.exception(f"{self._name} cannot be {what}", pid=process.pid)


def kill_group(process: Process) -> None:
    """Kill all processes of the group that this process leads, even if it has already died."""
    with suppress(ProcessLookupError, PermissionError):  # macOS raises the latter for a group of dead processes.
        os.killpg(process.pid, signal.SIGKILL)


def _is_stopped(process: Process) -> bool:
    """Whether a signal has stopped the process, and none has continued it since."""
    try:
        return os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False  # It has died, which is noticed elsewhere, or it is not our child.


async def _death(process: Process) -> None:
    try:
        await process.wait()
    except RuntimeError:
        assert isinstance(process, trio.Process)
        # Without a descriptor for the process Trio needs a thread, and there may be no thread available either.
        while process.poll() is None:  # noqa: ASYNC110
            await trio.sleep(_POLL)


async def close_pipes(process: Process) -> None:
    """Close the process's pipes."""
    with trio.CancelScope(shield=True):  # Closing a pipe never waits.
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                await trio.aclose_forcefully(stream)
