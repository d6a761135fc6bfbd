"""The media server as a supervised child process. It is restarted when it dies, and ended with its parent."""

from __future__ import annotations

import logging
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec
import structlog
import trio

from roomfsm.mediaserver.kurento.limits import SECRET_VARIABLE
from roomfsm.ranges import Port, Workers
from roomfsm.supervise import ChildStartError, Patience, Supervised, kill_group

MAX_LINE = 64 * 1024
"""The most bytes of a line that the child writes. A longer line is passed on in pieces."""


_EXIT_SETTINGS = 2
"""The child's exit code if its settings cannot be used."""


class ChildSettingsError(ChildStartError):
    """The media server's settings cannot be used. The message is the one that it printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSettings(Patience):
    """The settings of the child, and the time limits of its supervision."""

    host: str = "127.0.0.1"
    port: Port = 0
    """The port of its websocket. With 0, the system chooses one at the first start, and later starts use the same
    port."""
    media_host: str = "::"
    media_port: Port = 0
    announced_addresses: tuple[str, ...] = ()
    workers: Workers = 1
    """The number of processes that forward media. If there are several, ports that the system chose change when
    the media server is restarted."""


class Holder(Protocol):
    """The holder of sessions in the child.

    It is told at once when the child has died or is ready, and must not wait.
    """

    def server_gone(self, url: str, why: str) -> None:
        """Called when the media server at `url` has ended, and all its sessions with it."""

    def server_ready(self, url: str) -> None:
        """Called when a new media server is ready at `url`."""


class _Ready(msgspec.Struct, frozen=True, rename="camel", tag_field="event", tag="ready"):
    """The first line that the child writes on its standard output."""

    url: str
    media_port: int


class _Alive(msgspec.Struct, frozen=True, tag_field="event", tag="alive"):
    """The line that the child writes there regularly after that, from the loop that forwards the media."""


class MediaServerChild(Supervised):
    """The running child. Its `url` stays the same while it is being restarted."""

    def __init__(self, settings: ChildSettings, logger: structlog.typing.FilteringBoundLogger) -> None:
        super().__init__("media server", settings, logger)
        self.holder: Holder | None = None
        self._settings = settings
        self._where: _Ready | None = None
        self.secret = secrets.token_urlsafe(32)
        """The secret that its clients must know. It is the same after every start."""
        self._last_words = ""
        """The newest line of the child's log."""

    @property
    def url(self) -> str:
        """The address at which it serves Kurento's protocol."""
        assert self._where is not None  # the child is handed out only when it is ready
        return self._where.url

    async def open_process(self) -> trio.Process:
        return await trio.lowlevel.open_process(
            self._command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # The secret is not on the command line, which every user of the machine can read.
            env={**os.environ, SECRET_VARIABLE: self.secret},
            # The child and its workers have their own process group. So the terminal's Ctrl-C reaches only the
            # parent, which ends its child at the right time.
            start_new_session=True,
        )

    def _command(self) -> list[str]:
        settings = self._settings
        port, media_port = settings.port, settings.media_port
        if self._where is not None:
            port = urlsplit(self._where.url).port or port
            if settings.workers == 1:
                media_port = self._where.media_port
        command = [sys.executable, "-m", "roomfsm.mediaserver", "--exit-with-parent", "--log-format=json"]
        command += [f"--host={settings.host}", f"--port={port}"]
        command += [
            f"--media-host={settings.media_host}",
            f"--media-port={media_port}",
            f"--workers={settings.workers}",
        ]
        return command + [f"--announced-address={address}" for address in settings.announced_addresses]

    async def converse(self, process: trio.Process) -> None:
        assert process.stdout is not None  # asked for a pipe
        reader = _LineReader(process.stdout)
        while line := await reader.read():
            try:
                said = msgspec.json.decode(line, type=_Ready | _Alive)
            except msgspec.DecodeError:
                raise ChildStartError(f"says what is neither 'ready' nor 'alive': {line!r}") from None
            self.heard()
            if isinstance(said, _Ready):
                self._where = said
                self.ready(url=said.url)
                if self.holder is not None:
                    self.holder.server_ready(said.url)

    async def read_log(self, process: trio.Process) -> None:
        assert process.stderr is not None  # asked for a pipe
        reader = _LineReader(process.stderr)
        while line := await reader.read():
            level, event, fields = _parse_log_line(line)
            self._last_words = event
            self._log.log(level, event, **fields)

    def kill(self, process: trio.Process) -> None:
        kill_group(process)

    def gone(self, why: str) -> None:
        if self.holder is not None:
            self.holder.server_gone(self.url, f"the media server {why}")

    def start_failure(self, process: trio.Process, why: str) -> ChildStartError:
        if process.returncode == _EXIT_SETTINGS:
            return ChildSettingsError(f"media server: {self._last_words}")
        return super().start_failure(process, why)


@asynccontextmanager
async def open_media_server_child(
    settings: ChildSettings, logger: structlog.typing.FilteringBoundLogger
) -> AsyncIterator[MediaServerChild]:
    """The media server as a child process, which is ready and is started again whenever it dies or hangs.

    Its log lines go to `logger`. Raises `ChildStartError` if it does not become ready.
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
    """The level, event and fields of a line of the child's log.

    A line that is not a log entry becomes an event.
    """
    text = line.decode(errors="replace").rstrip()
    try:
        fields = msgspec.json.decode(text, type=dict[str, Any])
        event, level = str(fields.pop("event")), logging.getLevelNamesMapping()[fields.pop("level").upper()]
    except (msgspec.DecodeError, KeyError, AttributeError):
        return logging.WARNING, text, {"source": "mediaserver"}
    fields.pop("timestamp", None)
    return level, event, {"source": "mediaserver", **fields}
