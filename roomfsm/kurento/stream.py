"""The byte stream under a websocket to a media server: TCP or TLS."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from urllib.parse import urlsplit

import trio

from roomfsm.kurento.errors import ConnectionLost


async def open_stream(url: str) -> trio.abc.Stream:
    """A TCP stream, or for `wss:` a TLS stream, to the host of `url`.

    Raises `OSError`.
    """
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "wss"
    stream = _QuickAckStream(await trio.open_tcp_stream(host, parts.port or (443 if secure else 80)))
    if not secure:
        return stream
    secured = trio.SSLStream(stream, ssl.create_default_context(), server_hostname=host, https_compatible=True)
    async with AsyncExitStack() as unfinished:
        unfinished.push_async_callback(trio.aclose_forcefully, stream)
        try:
            await secured.do_handshake()
        except trio.BrokenResourceError as error:
            raise OSError(f"no TLS: {error.__cause__}") from error
        unfinished.pop_all()
    return secured


_NO_WAY = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENETUNREACH})
"""Errors that mean that this machine cannot reach addresses of that kind, usually IPv6. They say nothing about the
other end."""


def is_refusal(error: OSError) -> bool:
    """Whether every address that could be reached refused the connection, so that no process listens there.

    If an address does not answer, a network is down, or a name cannot be resolved, the process and its sessions
    may still be alive.
    """
    # Trio tries all addresses of a name. It raises one error for all of them, whose cause has the errors of each
    # address.
    tried = error.__cause__.exceptions if isinstance(error.__cause__, BaseExceptionGroup) else (error,)
    told = [one for one in tried if not (isinstance(one, OSError) and one.errno in _NO_WAY)]
    return bool(told) and all(isinstance(one, ConnectionRefusedError) for one in told)


class HandshakeGuard(trio.abc.Stream):
    """Ends the websocket's handshake if the peer closes the connection during it, because trio-websocket would
    wait for ever.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.shaking_hands = True

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        with self._reset_is_the_end():
            data = await self._stream.receive_some(max_bytes)
        if not data and self.shaking_hands:
            raise ConnectionLost("closed during the websocket handshake")
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        with self._reset_is_the_end():
            await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()

    @contextmanager
    def _reset_is_the_end(self) -> Iterator[None]:
        try:
            yield
        except trio.BrokenResourceError:
            if self.shaking_hands:
                raise ConnectionLost("reset during the websocket handshake") from None
            raise


class _QuickAckStream(trio.abc.Stream):
    """A TCP stream that acknowledges data at once, if the platform supports that.

    Kurento does not disable Nagle's algorithm, so with delayed acknowledgements its events would come 40 ms late.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._option: int | None = getattr(socket, "TCP_QUICKACK", None)

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if self._option is not None:
            # Linux may reset the option at any time (tcp(7)), so it is set before every wait.
            with suppress(OSError):  # the stream has been closed; the read will report that
                self._stream.setsockopt(socket.IPPROTO_TCP, self._option, 1)
        return await self._stream.receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()
