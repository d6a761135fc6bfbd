"""The media server as a supervised child process: started, restarted when it dies, and never left behind."""

from __future__ import annotations

import logging
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec
import structlog
import trio

from roomfsm.mediaserver.limits import SECRET_VARIABLE

MAX_LINE = 64 * 1024
"""Bytes of a line that the child writes; a longer one is passed on in pieces."""


_EXIT_SETTINGS = 2
"""The program's exit code where it cannot be run as it is set."""


class ChildStartError(Exception):
    """The media server did not say in time that it is ready."""


class ChildSettingsError(ChildStartError):
    """The media server cannot be run as it is set; the message is what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSettings:
    """How the child is started and kept. Times are seconds."""

    host: str = "127.0.0.1"
    port: int = 0
    """0: the system chooses at the first start; every later start uses that port again."""
    media_host: str = "::"
    media_port: int = 0
    announced_addresses: tuple[str, ...] = ()
    workers: int = 1
    """Processes that move media. Of several, chosen ports do not survive a restart of the whole."""
    ready_timeout: float = 15.0
    stop_timeout: float = 3.0
    """From SIGTERM to SIGKILL."""
    first_delay: float = 0.2
    """Before the first restart; twice as long before each further one."""
    max_delay: float = 10.0
    steady_after: float = 30.0
    """A child that lived so long is restarted after `first_delay` again."""


class _Ready(msgspec.Struct, frozen=True, rename="camel"):
    """The line that the child writes on its standard output."""

    url: str
    media_port: int


class MediaServerChild:
    """The running child; while it is being restarted its `url` stays as it is."""

    def __init__(self, settings: ChildSettings, logger: structlog.typing.FilteringBoundLogger) -> None:
        self._settings = settings
        self._log = logger
        self._process: trio.Process | None = None
        self._ready: _Ready | None = None
        self.secret = secrets.token_urlsafe(32)
        """What its clients must know; the same after every start."""
        self._last_words = ""
        """The newest line of its log."""
        self.starts = 0
        """How often it became ready."""

    @property
    def url(self) -> str:
        """Where its protocol is served."""
        assert self._ready is not None  # handed out only once it was ready
        return self._ready.url

    @property
    def pid(self) -> int | None:
        """The process's id; None while none runs."""
        return None if self._process is None else self._process.pid

    async def supervise(
        self, *, task_status: trio.TaskStatus[ChildStartError | None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Keep the child running until cancelled; where the first start fails, tell the error and return."""
        delay = self._settings.first_delay
        while True:
            started = trio.current_time()
            failure = await self._run_once(task_status)
            if failure is not None:
                if self.starts == 0:
                    task_status.started(failure)
                    return
                self._log.error("media server does not start", error=str(failure))
            if trio.current_time() - started >= self._settings.steady_after:
                delay = self._settings.first_delay
            await trio.sleep(min(delay, self._settings.max_delay))
            delay *= 2

    async def _run_once(self, task_status: trio.TaskStatus[ChildStartError | None]) -> ChildStartError | None:
        """Run the child until it dies; returns why it did not become ready, None where it did."""
        failure: ChildStartError | None = None
        process = await trio.lowlevel.open_process(
            self._command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Not on the command line, which every user of the machine can read.
            env={**os.environ, SECRET_VARIABLE: self.secret},
            # The terminal's Ctrl-C is for the parent, which ends its child in its own order.
            start_new_session=True,
        )
        async with _pipes(process), trio.open_nursery() as nursery:
            nursery.start_soon(self._forward_log, process)
            try:
                ready = await self._wait_until_ready(process)
                if isinstance(ready, ChildStartError):
                    failure = ready
                else:
                    self._ready = ready
                    self._process = process
                    self.starts += 1
                    if self.starts == 1:
                        task_status.started(None)
                    self._log.info("media server runs", url=self.url, pid=process.pid, start=self.starts)
                    status = await process.wait()
                    self._log.error("media server died", pid=process.pid, status=status)
            finally:
                self._process = None
                with trio.CancelScope(shield=True):
                    await self._end(process)
        # All that it said has been read by now.
        if failure is not None and process.returncode == _EXIT_SETTINGS:
            return ChildSettingsError(f"media server: {self._last_words}")
        return failure

    def _command(self) -> list[str]:
        settings = self._settings
        port, media_port = settings.port, settings.media_port
        if self._ready is not None:
            port = urlsplit(self._ready.url).port or port
            if settings.workers == 1:
                media_port = self._ready.media_port
        command = [sys.executable, "-m", "roomfsm.mediaserver", "--exit-with-parent", "--log-format=json"]
        command += [f"--host={settings.host}", f"--port={port}"]
        command += [
            f"--media-host={settings.media_host}",
            f"--media-port={media_port}",
            f"--workers={settings.workers}",
        ]
        return command + [f"--announced-address={address}" for address in settings.announced_addresses]

    async def _wait_until_ready(self, process: trio.Process) -> _Ready | ChildStartError:
        assert process.stdout is not None  # asked for a pipe
        with trio.move_on_after(self._settings.ready_timeout):
            line = await _LineReader(process.stdout).read()
            try:
                return msgspec.json.decode(line, type=_Ready)
            except msgspec.DecodeError:
                return ChildStartError(f"media server not ready, but: {line!r}")
        return ChildStartError(f"media server not ready after {self._settings.ready_timeout} s")

    async def _forward_log(self, process: trio.Process) -> None:
        """Until the child's death ends its log, so that nothing that it says at the end is lost."""
        assert process.stderr is not None  # asked for a pipe
        reader = _LineReader(process.stderr)
        with trio.CancelScope(shield=True):
            while line := await reader.read():
                level, event, fields = _parse_log_line(line)
                self._last_words = event
                self._log.log(level, event, **fields)

    async def _end(self, process: trio.Process) -> None:
        """End the process: politely, then not; returns when the system has let go of it."""
        process.terminate()
        with trio.move_on_after(self._settings.stop_timeout):
            await process.wait()
        process.kill()
        await process.wait()


@asynccontextmanager
async def _pipes(process: trio.Process) -> AsyncIterator[None]:
    """Close the process's pipes at the end."""
    assert process.stdin is not None  # asked for pipes
    assert process.stdout is not None
    assert process.stderr is not None
    async with process.stdin, process.stdout, process.stderr:
        yield


@asynccontextmanager
async def open_media_server_child(
    settings: ChildSettings, logger: structlog.typing.FilteringBoundLogger
) -> AsyncIterator[MediaServerChild]:
    """The media server as a child process, ready; restarted with growing delays whenever it dies.

    Its log lines go to `logger`. Raises `ChildStartError` where it does not become ready.
    """
    child = MediaServerChild(settings, logger)
    async with trio.open_nursery() as nursery:
        failure = await nursery.start(child.supervise)
        if failure is None:
            yield child
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


class _LineReader:
    """Reads lines of at most `MAX_LINE` bytes from a stream."""

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream
        self._buffer = bytearray()

    async def read(self) -> bytes:
        """The next line with its line end; b"" at the end of the stream."""
        searched = 0
        while (end := self._buffer.find(b"\n", searched) + 1) == 0:
            searched = len(self._buffer)
            if searched >= MAX_LINE:
                end = MAX_LINE
                break
            try:
                received = await self._stream.receive_some()
            except trio.BrokenResourceError:
                received = b""
            if not received:
                end = searched
                break
            self._buffer += received
        line = bytes(self._buffer[:end])
        del self._buffer[:end]
        return line


def _parse_log_line(line: bytes) -> tuple[int, str, Mapping[str, Any]]:
    """Level, event and fields of a line of the child's log; a line that is no log entry is an event by itself."""
    text = line.decode(errors="replace").rstrip()
    try:
        fields = msgspec.json.decode(text, type=dict[str, Any])
        event, level = str(fields.pop("event")), logging.getLevelNamesMapping()[fields.pop("level").upper()]
    except (msgspec.DecodeError, KeyError, AttributeError):
        return logging.WARNING, text, {"source": "mediaserver"}
    fields.pop("timestamp", None)
    return level, event, {"source": "mediaserver", **fields}
