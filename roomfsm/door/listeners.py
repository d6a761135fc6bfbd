"""The sockets that the front door listens on: several addresses, IPv4 and IPv6, all on one port."""

from __future__ import annotations

import errno
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import trio

_TRIES = 20
"""So many ports are tried: a port that the system chose for one address may be in use at another address."""


class ListenError(Exception):
    """The server cannot listen on an address. The message says on which, and why."""


@asynccontextmanager
async def open_listeners(hosts: Sequence[str], port: int) -> AsyncIterator[list[trio.SocketListener]]:
    """Listen on each address, and on all addresses of each name. With port 0 the system chooses one port for all.

    `0.0.0.0` means every interface for IPv4, and `::` every interface for IPv6 only (trio sets `IPV6_V6ONLY`), so
    both can be used together. Raises `ListenError`.
    """
    addresses = dict.fromkeys([address for host in hosts for address in await _addresses(host, port)])
    async with AsyncExitStack() as stack:
        for tries_left in reversed(range(_TRIES)):
            async with AsyncExitStack() as attempt:
                try:
                    listeners = await _listen(attempt, list(addresses), port)
                except ListenError as error:
                    taken = isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE
                    if port == 0 and taken and tries_left and len(addresses) > 1:
                        continue
                    raise
                stack.push_async_callback(attempt.pop_all().aclose)
                break
        yield listeners


@asynccontextmanager
async def listen_on(sockets: Sequence[socket.socket]) -> AsyncIterator[list[trio.SocketListener]]:
    """Accept connections on sockets that listen already. Whoever else has them, such as systemd, keeps them."""
    async with AsyncExitStack() as stack:
        listeners = [trio.SocketListener(trio.socket.from_stdlib_socket(one)) for one in sockets]
        for listener in listeners:
            stack.push_async_callback(listener.aclose)
        yield listeners


async def _addresses(host: str, port: int) -> list[str]:
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ListenError(_why(host, port, error)) from error
    return [await _numeric(address) for *_, address in found]


async def _numeric(address: Any) -> str:
    # This form contains the interface of a link-local address, which `address[0]` lacks.
    flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    return (await trio.socket.getnameinfo(address, flags))[0]


async def _listen(stack: AsyncExitStack, addresses: list[str], port: int) -> list[trio.SocketListener]:
    listeners: list[trio.SocketListener] = []
    for address in addresses:
        try:
            opened = await trio.open_tcp_listeners(port, host=address)
        except OSError as error:
            raise ListenError(_why(address, port, error)) from error
        for listener in opened:
            stack.push_async_callback(listener.aclose)
        listeners += opened
        port = listeners[0].socket.getsockname()[1]
    return listeners


def _why(host: str, port: int, error: OSError) -> str:
    return f"cannot listen on {host}, port {port}: {error.strerror or error}"
