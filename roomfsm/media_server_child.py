"""The media server as a supervised child process. It is restarted when it dies, and ended with its parent.

If the parent vanishes, the child can go on for a while, so that the next parent adopts it as it is
(`roomfsm.adoption`). That needs a memory that outlives the parent, to find the child again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec
import structlog
import trio

from roomfsm import __version__
from roomfsm.adoption import Adopted, Meeting, Trace, adopt, is_possible, remove, sweep
from roomfsm.lines import LineReader
from roomfsm.mediaserver.kurento.limits import SECRET_VARIABLE
from roomfsm.ranges import Port, SecondsOrZero, Workers
from roomfsm.supervise import ChildStartError, Patience, Supervised, kill_group

_MEMORY_TIMEOUT = 1.0
"""Seconds that the memory has for the trace of the child."""
_LOOK_AGAIN = 30.0
"""Seconds after which we look whether the memory still has it."""
_ADOPTION_TIMEOUT = 2.0
"""Seconds that adopting a child may take, besides those in which it may be silent, and end."""
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
    media_tcp_port: Port = 0
    announced_tcp_port: Port = 0
    announced_addresses: tuple[str, ...] = ()
    workers: Workers = 1
    """The number of processes that forward media. If there are several, ports that the system chose change when
    the media server is restarted."""
    linger: SecondsOrZero = 0.0
    """For so many seconds the child goes on if its parent vanishes, and can be found again."""

    @property
    def digest(self) -> str:
        """Stands for all with which the child is started. A running child with another digest is not adopted: it
        has other settings or another version, or should not linger any more.
        """
        lingers = self.linger > 0
        ports = (self.port, self.media_port, self.media_tcp_port, self.announced_tcp_port)
        what = (__version__, self.host, *ports, self.media_host, self.workers, lingers)
        return hashlib.sha256(msgspec.json.encode((what, self.announced_addresses))).hexdigest()


class Memory(Protocol):
    """Keeps the trace of the child, beyond the end of this process."""

    @property
    def folders(self) -> Sequence[Path]:
        """Where parent and child may meet, the best folder first."""

    @property
    def own(self) -> Path | None:
        """The one of these that no other server uses, if there is one."""

    async def read(self) -> bytes | None:
        """What was kept last; None if there is nothing, or it cannot be read."""

    async def write(self, trace: bytes | None) -> bool:
        """Keep this instead. Returns whether it is kept."""


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


class MediaServerChild(Supervised[trio.Process | Adopted]):
    """The running child. Its `url` stays the same while it is being restarted."""

    def __init__(
        self,
        settings: ChildSettings,
        logger: structlog.typing.FilteringBoundLogger,
        memory: Memory | None = None,
    ) -> None:
        super().__init__("media server", settings, logger)
        self.holder: Holder | None = None
        self._settings = settings
        self._memory = memory
        """None if no child can be found again."""
        self._sought = memory is None
        """Whether we have looked for a child that an earlier run has left."""
        self._knows_memory = False
        """Whether we know what the memory keeps, so that nothing is lost if it is forgotten."""
        self._folder: Path | None = None
        """The meeting place of the process."""
        self._will_linger = False
        """Whether the process was told to go on if we vanish, and is found again."""
        self.leaves = True
        """Whether a process that lingers goes on when its scope ends. Until the child is handed out, it does: one
        that was found is as it was then."""
        self._left = False
        """Whether it has been left."""
        self._look_at = 0.0
        """When we look again whether the memory has the trace of the process."""
        self._where: _Ready | None = None
        self.secret = secrets.token_urlsafe(32)
        """The secret that its clients must know, and its next parent. It is the same after every start."""
        self._last_words = ""
        """The newest line of the child's log."""

    @property
    def url(self) -> str:
        """The address at which it serves Kurento's protocol."""
        assert self._where is not None  # the child is handed out only when it is ready
        return self._where.url

    @property
    def may_be_left(self) -> bool:
        """Whether the process goes on without us, and is found again."""
        return self._process is not None and self._will_linger

    async def open_process(self) -> trio.Process | Adopted:
        self._will_linger = False
        if not self._sought:
            self._sought = True
            if (found := await self._find()) is not None:
                return found
        meeting = self._make_meeting()
        if meeting is None:
            return await self._start([], stderr=subprocess.PIPE)
        try:
            socket = meeting.listener.fileno()
            process = await self._start([f"--parent-socket={socket}"], stderr=meeting.log_end, pass_fds=(socket,))
        except BaseException:
            # Whatever it is goes on: no process will ever come to this meeting place.
            meeting.give_up()
            raise
        finally:
            meeting.close()
        process.stderr, self._folder = trio.lowlevel.FdStream(meeting.log), meeting.folder
        return process

    async def _find(self) -> Adopted | None:
        """The child that an earlier run has left, if there is one and it runs with our settings."""
        assert self._memory is not None
        trace = await self._recall(self._memory)
        if self._memory.own is not None and (trace is not None or self._knows_memory):
            sweep(self._memory.own, None if trace is None else Path(trace.folder))
        if trace is None:
            return None
        # Even if the start is cancelled meanwhile: the child that is adopted is left as it was then.
        settings, found = self._settings, None
        limit = settings.silence + 2 * settings.stop_timeout + _ADOPTION_TIMEOUT
        with trio.move_on_after(limit, shield=True):
            found = await adopt(trace, settings.digest, settings, self._log)
            self._knows_memory = True
        if found is None:
            return None
        self.secret, self._folder = trace.secret, found.folder
        # It goes by what its parent before has told it, until we tell it something else.
        self._will_linger = True
        return found

    async def _recall(self, memory: Memory) -> Trace | None:
        """What the memory keeps."""
        kept = None
        with trio.move_on_after(self._settings.silence) as reading:
            kept = await memory.read()
        try:
            if kept is not None:
                return msgspec.json.decode(kept, type=Trace)
        except msgspec.DecodeError:
            self._log.exception("where the media server of the run before is cannot be read")
        self._knows_memory = not reading.cancelled_caught
        return None

    def _make_meeting(self) -> Meeting | None:
        if self._memory is None or not self._settings.linger:
            return None
        try:
            return Meeting.in_first(self._memory.folders)
        except OSError as error:
            self._log.warning("the media server would end with this server", why=str(error), see="--media-linger")
            return None

    async def _start(self, arguments: Sequence[str], **files: Any) -> trio.Process:
        return await trio.lowlevel.open_process(
            [*self._command(), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # The secret is not on the command line, which every user of the machine can read.
            env={**os.environ, SECRET_VARIABLE: self.secret},
            # The child and its workers have their own process group. So the terminal's Ctrl-C reaches only the
            # parent, which ends its child at the right time.
            start_new_session=True,
            **files,
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
            f"--media-tcp-port={settings.media_tcp_port}",
            f"--announced-tcp-port={settings.announced_tcp_port}",
            f"--workers={settings.workers}",
        ]
        return command + [f"--announced-address={address}" for address in settings.announced_addresses]

    async def converse(self, process: trio.Process | Adopted) -> None:
        assert process.stdout is not None  # asked for a pipe
        if isinstance(process, Adopted):
            reader, line = process.lines, process.first
        else:
            reader = LineReader(process.stdout)
            line = await reader.read()
        while line:
            try:
                said = msgspec.json.decode(line, type=_Ready | _Alive)
            except msgspec.DecodeError:
                raise ChildStartError(f"says what is neither 'ready' nor 'alive': {line!r}") from None
            self.heard()
            if isinstance(said, _Ready):
                self._where = said
                self.ready(url=said.url, **({"adopted": True} if isinstance(process, Adopted) else {}))
                if self.holder is not None:
                    self.holder.server_ready(said.url)
                self._look_at = trio.current_time()
            if self._memory is not None and self._folder is not None and trio.current_time() >= self._look_at:
                self._look_at = trio.current_time() + _LOOK_AGAIN
                await self._let_linger(process, self._memory, self._folder)
            line = await reader.read()

    async def _let_linger(self, process: trio.Process | Adopted, memory: Memory, folder: Path) -> None:
        """Tell the child to go on if we vanish. It would be in vain if nobody could find it then.

        The memory may have no room now, or lose what it had, so this is done again and again.
        """
        assert process.stdin is not None  # asked for a pipe
        if isinstance(process, Adopted):  # We may not be able to see when it started.
            trace = msgspec.json.encode(process.trace)
        else:
            trace = msgspec.json.encode(Trace.of(process.pid, folder, self.secret, self._settings.digest))
        # The child is not heard meanwhile.
        with trio.move_on_after(min(_MEMORY_TIMEOUT, self._settings.silence / 2)) as deadline:
            self._knows_memory = True
            if await memory.read() != trace and not await memory.write(trace):
                self._will_linger = False
                return
            with suppress(trio.BrokenResourceError):  # It has died, which is noticed elsewhere.
                await process.stdin.send_all(msgspec.json.encode({"linger": self._settings.linger}) + b"\n")
                self._will_linger = True
        if deadline.cancelled_caught:
            self._log.warning("the media server would end with this server", why="the store is too slow")

    async def read_log(self, process: trio.Process | Adopted) -> None:
        assert process.stderr is not None  # asked for a pipe
        reader = LineReader(process.stderr)
        while line := await reader.read():
            level, event, fields = _parse_log_line(line)
            self._last_words = event
            self._log.log(level, event, **fields)

    def kill(self, process: trio.Process | Adopted) -> None:
        if isinstance(process, Adopted):
            process.kill()
        else:
            kill_group(process)

    def goes_on(self, process: trio.Process | Adopted) -> bool:
        del process
        self._left = self.leaves and self._will_linger
        return self._left

    def let_go(self, process: trio.Process | Adopted) -> None:
        if isinstance(process, Adopted):
            process.close()
        if self._folder is not None and not self._left:
            remove(self._folder)
            self._folder = None

    def gone(self, why: str) -> None:
        if self.holder is not None:
            self.holder.server_gone(self.url, f"the media server {why}")

    def start_failure(self, process: trio.Process | Adopted, why: str) -> ChildStartError:
        if process.returncode == _EXIT_SETTINGS:
            return ChildSettingsError(f"media server: {self._last_words}")
        return super().start_failure(process, why)

    async def forget(self) -> None:
        """If the child has ended as it should, nobody needs to look for it.

        If we could not read where an earlier one is, somebody may still find it.
        """
        if self._memory is not None and self._knows_memory and not self._left:
            with trio.move_on_after(_MEMORY_TIMEOUT, shield=True):
                await self._memory.write(None)


@asynccontextmanager
async def open_media_server_child(
    settings: ChildSettings, logger: structlog.typing.FilteringBoundLogger, memory: Memory | None = None
) -> AsyncIterator[MediaServerChild]:
    """The media server as a child process, which is ready and is started again whenever it dies or hangs.

    Its log lines go to `logger`. With a `memory` it is one that an earlier run has left, if there is one with the
    same settings. It ends with the scope, unless it is left (`MediaServerChild.leaves`).

    Raises `ChildStartError` if it does not become ready.
    """
    child = MediaServerChild(settings, logger, memory if is_possible() else None)
    try:
        async with trio.open_nursery() as nursery:
            failure = await nursery.start(child.supervise)
            if failure is None:
                child.leaves = False
                yield child
                nursery.cancel_scope.cancel()
    finally:
        await child.forget()
    if failure is not None:
        raise failure


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
