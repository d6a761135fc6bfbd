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
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec
import structlog
import trio

from roomfsm.mediaserver.kurento.limits import SECRET_VARIABLE
from roomfsm.supervise import ChildStartError, Patience, Supervised, kill_group

MAX_LINE = 64 * 1024
"""Bytes of a line that the child writes; a longer one is passed on in pieces."""


_EXIT_SETTINGS = 2
"""The program's exit code where it cannot be run as it is set."""


class ChildSettingsError(ChildStartError):
    """The media server cannot be run as it is set; the message is what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSettings(Patience):
    """How the child is started and kept."""

    host: str = "127.0.0.1"
    port: int = 0
    """0: the system chooses at the first start; every later start uses that port again."""
    media_host: str = "::"
    media_port: int = 0
    announced_addresses: tuple[str, ...] = ()
    workers: int = 1
    """Processes that move media. Of several, chosen ports do not survive a restart of the whole."""


class Holder(Protocol):
    """Who holds sessions in the child. It is told at once of each death and birth, and must not wait."""

    def server_gone(self, url: str, why: str) -> None:
        """The media server at `url` has ended, and with it all sessions."""

    def server_ready(self, url: str) -> None:
        """There is a new one at `url`."""


class _Ready(msgspec.Struct, frozen=True, rename="camel", tag_field="event", tag="ready"):
    """The first line that the child writes on its standard output."""

    url: str
    media_port: int


class _Alive(msgspec.Struct, frozen=True, tag_field="event", tag="alive"):
    """What it writes there from then on, from the loop that moves the media."""


class MediaServerChild(Supervised):
    """The running child; while it is being restarted its `url` stays as it is."""

    def __init__(self, settings: ChildSettings, logger: structlog.typing.FilteringBoundLogger) -> None:
        super().__init__("media server", settings, logger)
        self.holder: Holder | None = None
        self._settings = settings
        self._where: _Ready | None = None
        self.secret = secrets.token_urlsafe(32)
        """What its clients must know; the same after every start."""
        self._last_words = ""
        """The newest line of its log."""

    @property
    def url(self) -> str:
        """Where its protocol is served."""
        assert self._where is not None  # handed out only once it was ready
        return self._where.url

    async def open_process(self) -> trio.Process:
        return await trio.lowlevel.open_process(
            self._command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Not on the command line, which every user of the machine can read.
            env={**os.environ, SECRET_VARIABLE: self.secret},
            # A group of its own, which its workers share. And the terminal's Ctrl-C is for the parent, which ends
            # its child in its own order.
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
    """The media server as a child process, ready; started again whenever it dies or hangs.

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
