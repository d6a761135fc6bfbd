"""A UDP socket for one transport only, which checks an ICE-lite agent.

All browsers share the engine's one port, because their addresses tell them apart. All streams between two media
servers would have the same two addresses, so nothing could tell their packets apart. So the side that checks has
another port for each transport. It need not be open in a firewall, because the first packet goes out.
"""

import socket
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from roomfsm.mediaserver.engine.inbox import SingleInbox
from roomfsm.mediaserver.engine.port import Port
from roomfsm.mediaserver.engine.transport import Network, Transport
from roomfsm.mediaserver.ice import stun
from roomfsm.mediaserver.ice.lite import Address

type Pump = Callable[[socket.socket, Callable[[float], None]], Awaitable[None]]
"""The engine's method that reads a socket for ever."""


class Engine(Network, Protocol):
    """The parts of the engine that a port needs."""

    def received(self, datagrams: int) -> None: ...


class Checker(Protocol):
    """The transport that uses a port."""

    def receive_answer(self, response: stun.StunMessage, data: bytes, address: Address, now: float) -> None: ...


class OwnPort(Port):
    """The :class:`~roomfsm.mediaserver.engine.transport.Network` of one transport."""

    def __init__(self, engine: Engine, sock: socket.socket) -> None:
        super().__init__(sock, SingleInbox(sock))
        self._engine = engine
        self._open = trio.CancelScope()
        self.checker: Checker | None = None
        """Gets the answers to the checks."""
        self.settings = engine.settings
        self.identity = engine.identity
        self.candidates = engine.candidates
        self.handshaking: set[Transport] = engine.handshaking
        self.refuse = engine.refuse
        self.memory_freed = engine.memory_freed
        self.received = engine.received

    @property
    def socket(self) -> socket.socket:
        return self._socket

    async def serve(self, pump: Pump) -> None:
        """Read the socket until the port is closed."""
        with self._socket, self._open:
            await pump(self._socket, self._drain)

    def close(self) -> None:
        self.checker = None
        self._open.cancel()

    def remote(self, host: str, port: int) -> Address | None:
        """The address in the form that the socket takes and returns; None if the socket cannot reach it."""
        if self._socket.family == socket.AF_INET6:
            return (host if ":" in host else f"::ffff:{host}", port, 0, 0)
        return None if ":" in host else (host, port)

    def _receive_answer(self, message: stun.StunMessage, datagram: bytes, address: Address, now: float) -> None:
        if self.checker is not None:
            self.checker.receive_answer(message, datagram, address, now)
