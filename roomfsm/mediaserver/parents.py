"""The process for which the media server works: the one that started it, or one that has taken it over since.

Both say and hear the same, one JSON object in each line. The media server says that it is ready, and then each
second that it is alive. Its parent says how long the media server goes on if the parent vanishes
(`{"linger": 10}`); without that, it ends with its parent. The first parent talks by the standard input and output.
Others come by a Unix socket, which the first one has made, and first say the secret (`{"secret": "…"}`).

The media server has one parent at a time. Whoever comes while there is one waits a moment, because that one may be
just ending, and is turned away then.
"""

from __future__ import annotations

import hmac
import os
import select
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import msgspec
import trio

from roomfsm.lines import LineReader
from roomfsm.log import get_logger
from roomfsm.ranges import SecondsOrZero

ALIVE_INTERVAL = 1.0
"""Seconds between two reports to the parent. A parent that gets none for some seconds assumes that this process
hangs."""
_PATIENCE = 1.0
"""Seconds in which a newcomer must say the secret, and in which the parent before it must be gone."""
_ALIVE = msgspec.json.encode({"event": "alive"}) + b"\n"

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ready:
    """The address and the UDP port at which the server listens."""

    url: str
    media_port: int

    def in_json(self) -> bytes:
        """The line that tells a parent."""
        return msgspec.json.encode({"event": "ready", "url": self.url, "mediaPort": self.media_port}) + b"\n"


class _Told(msgspec.Struct, frozen=True):
    """What a parent says."""

    linger: SecondsOrZero = 0.0
    secret: str = ""


class _Parent(Protocol):
    async def hear(self) -> bytes:
        """The next line; b"" when the parent is gone."""

    def tell(self, line: bytes) -> None:
        """Tell it this, without waiting: if the parent reads nothing, the line is lost."""

    async def aclose(self) -> None: ...


class _Starter:
    """The process that started this one."""

    def __init__(self) -> None:
        self._reader = LineReader(_StandardInput())

    async def hear(self) -> bytes:
        return await self._reader.read()

    def tell(self, line: bytes) -> None:
        with suppress(OSError):  # The parent has gone. The end of the standard input shows that, too.
            _, writable, _ = select.select((), (1,), (), 0)
            if writable:  # There is room for at least PIPE_BUF bytes (select(2)).
                os.write(1, line)

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


class _StandardInput(trio.abc.ReceiveStream):
    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        # A thread reads, because making the descriptor non-blocking would change it for every process that shares
        # it.
        return await trio.to_thread.run_sync(os.read, 0, max_bytes or 4096, abandon_on_cancel=True)

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


class _Newcomer:
    """A process that came by the socket."""

    def __init__(self, connection: trio.socket.SocketType) -> None:
        self._stream = trio.SocketStream(connection)
        self._reader = LineReader(self._stream)

    async def hear(self) -> bytes:
        return await self._reader.read()

    def tell(self, line: bytes) -> None:
        with suppress(OSError):
            os.write(self._stream.socket.fileno(), line)

    async def aclose(self) -> None:
        await trio.aclose_forcefully(self._stream)


class Parents:
    """The conversation with the parent, whichever it is."""

    def __init__(self, ready: Ready, listener: socket.socket | None = None, secret: str | None = None) -> None:
        """`listener` is the socket at which others may come that know the secret; None if nobody may."""
        self._ready = ready
        self._listener = listener
        self._secret = secret
        self._linger = 0.0
        """For so many seconds the media server goes on without a parent. One that has just come may not have said
        it yet, so what the one before said holds until then."""
        self._came: tuple[trio.MemorySendChannel[_Parent], trio.MemoryReceiveChannel[_Parent]]
        self._came = trio.open_memory_channel[_Parent](0)

    async def serve(self) -> str:
        """Talk to the parent until nobody is left for whom this process works. Returns why."""
        async with trio.open_nursery() as nursery:
            if self._listener is not None and self._secret is not None:
                nursery.start_soon(self._let_in, self._listener, self._secret)
            await self._converse(_Starter())
            why = "standard input ended"
            while self._linger:
                log.warning("the room server is gone, the media go on", seconds=self._linger)
                with trio.move_on_after(self._linger) as waiting:
                    parent = await self._came[1].receive()
                if waiting.cancelled_caught:
                    why = "no room server came"
                    break
                log.info("another room server has taken over")
                await self._converse(parent)
                why = "the room server is gone"
            nursery.cancel_scope.cancel()
        return why

    async def _converse(self, parent: _Parent) -> None:
        try:
            parent.tell(self._ready.in_json())
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_say_alive, parent)
                while line := await parent.hear():
                    with suppress(msgspec.DecodeError):
                        self._linger = msgspec.json.decode(line, type=_Told).linger
                nursery.cancel_scope.cancel()
        finally:
            await parent.aclose()

    async def _let_in(self, listener: socket.socket, secret: str) -> None:
        listener.setblocking(False)
        door = trio.socket.from_stdlib_socket(listener)
        while True:
            try:
                connection, _ = await door.accept()
            except OSError as error:  # It has gone already, or there is no descriptor for it.
                log.warning("a room server could not connect", error=str(error))
                await trio.sleep(_PATIENCE)
                continue
            newcomer = _Newcomer(connection)
            taken = False
            try:
                with trio.move_on_after(_PATIENCE):
                    if await _knows(newcomer, secret):
                        await self._came[0].send(newcomer)
                        taken = True
            finally:
                if not taken:
                    await newcomer.aclose()


async def _knows(newcomer: _Newcomer, secret: str) -> bool:
    try:
        said = msgspec.json.decode(await newcomer.hear(), type=_Told).secret
    except msgspec.DecodeError:
        return False
    return hmac.compare_digest(said.encode(), secret.encode())


async def _say_alive(parent: _Parent) -> None:
    while True:
        await trio.sleep(ALIVE_INTERVAL)
        parent.tell(_ALIVE)
