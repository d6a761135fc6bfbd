"""A process that outlives the one that started it, and is found and taken over by the next one (Linux).

Theory. Whoever starts such a process makes a *meeting place* before: a folder that only this user can enter, with
a listening Unix socket, which the process inherits, and a pipe with a name, to which the process writes its log.
The socket is there before the process runs, so nobody must try again and again. The name of the folder is random,
so no socket of an earlier process can be in the way. The process holds both ends of the pipe, so it never gets an
error because nobody reads; what it logs meanwhile, up to the size of a pipe, is what the next reader reads first.

Where the process is found is noted (`Trace`), with the secret that it asks for. The number of a process may be
another's by now, so the note has the time of its start as well, and nothing is done to a process that started at
another time. The system may hide that time from us (a user namespace of our own, or hidepid). Then the socket is
the proof: only that process can accept a connection there.

The next parent connects to the socket and says the secret. The answers are few. The process says that it is ready:
it is adopted, or asked to end if it was started with other settings than ours. It turns us away: it has a parent,
and is left alone. It says nothing: it hangs, and is killed.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec
import structlog
import trio

from roomfsm.lines import LineReader
from roomfsm.pids import boot, started
from roomfsm.supervise import LOOKS, Patience, close_pipes

_PREFIX = "media-"
"""The beginning of the names of meeting places."""
_RANDOM = 8
"""The letters that `mkdtemp` adds to it."""
_SOCKET, _LOG = "parent", "log"
_MAX_PATH = 107
"""The most bytes of a Unix socket's path (unix(7))."""
_KILL_TIMEOUT = 2.0
"""The most seconds until a killed process has ended."""


class Trace(msgspec.Struct, frozen=True):
    """Where a process is found, and by what it is recognised. It has a secret, so it is never logged."""

    folder: str
    secret: str
    pid: int
    start: str
    boot: str
    settings: str
    """What it was started with, as its parent describes it."""

    @classmethod
    def of(cls, pid: int, folder: Path, secret: str, settings: str) -> Trace:
        """The trace of a process that runs now."""
        return cls(str(folder), secret, pid, started(pid), boot(), settings)

    @property
    def is_certain(self) -> bool:
        """Whether the process with this number is certainly the one that we mean. It may be a zombie by now."""
        return self._may_be_here and started(self.pid) == self.start

    @property
    def is_hidden(self) -> bool:
        """Whether the process may be there, but we cannot see when it started."""
        return self._may_be_here and not started(self.pid)

    @property
    def _may_be_here(self) -> bool:
        return bool(self.start) and self.boot == boot()


def is_possible() -> bool:
    """Whether this system can tell processes apart and watch those of others."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):  # Another system, an older Linux, or a filter of system calls.
        return False
    return bool(boot()) and bool(started(os.getpid()))


class Meeting:
    """The meeting place of a process that is started now."""

    def __init__(self, folder: Path) -> None:
        """Made in this folder. Raises `OSError`, also if the folder cannot have sockets or pipes with names."""
        if not is_short_enough(folder):
            raise OSError(f"the path of {folder} is too long for a socket")
        with ExitStack() as stack:
            self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder.absolute()))
            stack.callback(remove, self.folder)
            self.listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            self.listener.bind(str(self.folder / _SOCKET))
            self.listener.listen()
            os.mkfifo(self.folder / _LOG, 0o600)
            self.log_end = os.open(self.folder / _LOG, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            """The end to which the process writes. It is open for reading as well, so there is always a reader."""
            stack.callback(os.close, self.log_end)
            self.log = _open_log(self.folder)
            """The end at which we read."""
            stack.pop_all()

    @classmethod
    def in_first(cls, folders: Iterable[Path]) -> Meeting:
        """Made in the first of these folders where it is possible. Raises `OSError` if it is nowhere."""
        why = OSError("there is no folder for it")
        for folder in folders:
            try:
                return cls(folder)
            except OSError as error:
                why = error
        raise why

    def close(self) -> None:
        """Close what the process has inherited."""
        self.listener.close()
        os.close(self.log_end)

    def give_up(self) -> None:
        """Close what we have, and remove the place: no process meets us there."""
        os.close(self.log)
        remove(self.folder)


def is_short_enough(folder: Path) -> bool:
    """Whether a meeting place may be in this folder."""
    return len(os.fsencode(folder.absolute() / (_PREFIX + "x" * _RANDOM) / _SOCKET)) <= _MAX_PATH


def _open_log(folder: Path) -> int:
    """Read the log of the process that meets here. Raises `OSError`."""
    return os.open(folder / _LOG, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def remove(folder: Path) -> None:
    """Remove the meeting place of a process that has ended. Nothing else is removed, whatever the folder is."""
    if folder.name.startswith(_PREFIX):
        with suppress(OSError):
            for name in (_SOCKET, _LOG):
                (folder / name).unlink(missing_ok=True)
            folder.rmdir()


def sweep(folder: Path, kept: Path | None) -> None:
    """Remove the other meeting places in a folder that only we use. Their processes were killed with their parents
    before anybody had noted where they are.
    """
    for place in folder.absolute().glob(f"{_PREFIX}*"):
        if place != kept:
            remove(place)


class Adopted:
    """A process that another one has started. It has as much of `trio.Process` as supervision needs."""

    returncode: int | None = None
    """Never known: the system tells it to the process's own parent only."""

    def __init__(self, trace: Trace) -> None:
        """Raises `ProcessLookupError` if the process does not run any more, and `OSError` if we cannot know."""
        self.pid = trace.pid
        self.folder = Path(trace.folder)
        self.stdin: trio.SocketStream | None = None
        self.stdout: trio.SocketStream | None = None
        """The socket, which is both."""
        self.stderr: trio.lowlevel.FdStream | None = None
        self.first = b""
        """The first line that it says."""
        self.lines: LineReader
        """The lines after that."""
        self.trace = trace
        self._pidfd = os.pidfd_open(trace.pid)
        # Asked after the descriptor was made, which is the right one then.
        self.is_certain = trace.is_certain
        """Whether the process with this number is certainly the one that we mean."""
        if not self.is_certain and not trace.is_hidden:
            os.close(self._pidfd)
            raise ProcessLookupError(trace.pid)

    async def connect(self, silence: float) -> None:
        """Become its parent. If it has another one, it says nothing and closes the socket.

        Raises `OSError`, and `TooSlowError` if it says nothing for so many seconds.
        """
        self.stdin = self.stdout = await trio.open_unix_socket(self.folder / _SOCKET)
        self.is_certain = True
        self.lines = LineReader(self.stdout)
        self.stderr = trio.lowlevel.FdStream(_open_log(self.folder))
        with suppress(trio.BrokenResourceError):
            await self.stdin.send_all(msgspec.json.encode({"secret": self.trace.secret}) + b"\n")
        # As silence is always counted, for the case that we ourselves were stopped (`roomfsm.supervise`).
        for _ in range(LOOKS):
            with trio.move_on_after(silence / LOOKS):
                self.first = await self.lines.read()
                return
        raise trio.TooSlowError

    @property
    def has_ended(self) -> bool:
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(0))

    async def wait(self) -> int | None:
        """Wait for its end."""
        await trio.lowlevel.wait_readable(self._pidfd)
        return self.returncode

    def terminate(self) -> None:
        """Ask it to end."""
        signal.pidfd_send_signal(self._pidfd, signal.SIGTERM)

    def kill(self) -> None:
        """Kill it and the whole group that it leads."""
        # While the group has a member, the system gives its number to nobody else. If it has none, it may have.
        if started(self.pid) in ("", self.trace.start):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    async def end(self, patience: float) -> None:
        """Ask it to end, and kill it if it does not in time."""
        with suppress(ProcessLookupError):
            self.terminate()
        with trio.move_on_after(patience):
            await self.wait()
        self.kill()
        with trio.move_on_after(_KILL_TIMEOUT):
            await self.wait()

    def close(self) -> None:
        """Let go of it. Its streams are closed by then."""
        os.close(self._pidfd)


async def adopt(
    trace: Trace, settings: str, patience: Patience, log: structlog.typing.FilteringBoundLogger
) -> Adopted | None:
    """The process of this trace, connected, if it can be adopted.

    If it cannot, it has ended when this returns, unless it has another parent.
    """
    try:
        process = Adopted(trace)
    except ProcessLookupError:
        remove(Path(trace.folder))
        return None
    except OSError as error:
        log.warning("the media server of the run before cannot be watched", pid=trace.pid, error=str(error))
        return None
    try:
        await _ask(process, patience, log)
        if process.first and trace.settings == settings:
            return process
        if process.first:
            log.info("the media server of the run before has other settings, and is ended", pid=process.pid)
            await process.end(patience.stop_timeout)
    except BaseException:
        # Whatever it is goes on: only what was opened here is closed, because nobody else knows of it.
        await close_pipes(process)
        process.close()
        raise
    await close_pipes(process)
    if process.has_ended:
        remove(process.folder)
    process.close()
    return None


async def _ask(process: Adopted, patience: Patience, log: structlog.typing.FilteringBoundLogger) -> None:
    """Connect to the process. If it cannot be adopted, nothing of what it says was read."""
    try:
        await process.connect(patience.silence)
    except trio.TooSlowError:
        log.error("the media server of the run before hangs, and is killed", pid=process.pid)
        await process.end(0)
    except OSError as error:
        if process.is_certain:
            log.warning("the media server of the run before cannot be reached", pid=process.pid, error=str(error))
            await process.end(patience.stop_timeout)
        elif isinstance(error, ConnectionRefusedError):  # It has ended, and its number may be another's.
            remove(process.folder)
    else:
        if not process.first:
            # It is ending, or it has another parent.
            with trio.move_on_after(patience.stop_timeout) as waiting:
                await process.wait()
            if waiting.cancelled_caught:
                log.warning("the media server of the run before has another parent", pid=process.pid)
