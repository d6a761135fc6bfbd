"""The environment of one check: the server's address and limits, clients, peers, and the record."""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import trio

from roomfsm.conformance.control import Control
from roomfsm.conformance.outcome import Failed, LeftOut, Message, NeverReachable, NotReachable, Record
from roomfsm.conformance.raw import Gone, RawSocket, Target, shake_hands
from roomfsm.conformance.spec import Spec
from roomfsm.conformance.wire import Client
from roomfsm.peer import Peer, run_peer

NO_MEDIA = "needs media (--no-media)"
"""Why a check that needs media endpoints is left out."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a run. Times are in seconds."""

    jobs: int
    timeout: float
    patience: float
    max_connections: int
    media: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """A run against one server. `welcome` is its first message, or empty if the kit did not connect."""

    spec: Spec
    target: Target
    control: Control | None
    options: Options
    welcome: Message

    def limit(self, name: str) -> int:
        """A limit in `welcome`. Raises `NotReachable` if it is missing."""
        value = self.bound(name)
        if value == 0:
            raise NotReachable(f"welcome does not tell limits.{name}")
        return value

    def bound(self, name: str) -> int:
        """A limit in `welcome`; 0 if it is missing."""
        limits = self.welcome.get("limits")
        value = limits.get(name) if isinstance(limits, dict) else None
        return int(value) if isinstance(value, int | float) else 0


@dataclass(frozen=True, slots=True)
class Check:
    """One check. `path` is its path through a diagram.

    `connections` is how many connections it has at once. It gets `extra` seconds beyond the usual time limit. If
    it is `alone`, no other check runs at the same time. `media` says that it needs endpoints.
    """

    id: str
    run: Callable[[Scene], Awaitable[None]]
    path: str = ""
    connections: int = 6
    extra: float = 0.0
    alone: bool = False
    media: bool = False

    @property
    def group(self) -> str:
        """The first part of its id."""
        return self.id.partition("/")[0]


class Scene:
    """The clients and rooms of one check. Everything that it opened ends with `nursery`."""

    def __init__(self, plan: Plan, nursery: trio.Nursery) -> None:
        self.plan = plan
        self.spec = plan.spec
        self.nursery = nursery
        self.record = Record()
        self.clients: list[Client] = []
        self.peers: list[Peer] = []
        self.awaits = ""
        """What the check waits for besides messages, as a text."""
        self._prefix = f"k{secrets.token_hex(4)}"
        self._rooms = itertools.count(1)
        self._refs = itertools.count(1)

    def room_name(self) -> str:
        """A name that no other room has."""
        return f"{self._prefix}-{next(self._rooms)}"

    def next_ref(self) -> int:
        """The next ref.

        Refs are unique among all clients of a check, so that a reply to the wrong client is noticed.
        """
        return next(self._refs)

    async def open(self) -> RawSocket:
        """Open a websocket with the right subprotocol. Raises `Failed`."""
        self.awaits = "a websocket"
        try:
            handshake = await shake_hands(self.plan.target, self.spec.protocol)
        except (OSError, trio.BrokenResourceError, Gone, trio.TooSlowError) as error:
            raise Failed("a websocket", str(error) or type(error).__name__) from error
        if handshake.socket is None:
            raise Failed("a websocket", f"HTTP {handshake.status}")
        self.awaits = ""
        return handshake.socket

    async def connect(self, name: str) -> Client:
        """Connect a client, and read the welcome."""
        client = Client(name, await self.open(), self.spec, self.record, self.next_ref)
        self.clients.append(client)
        self.nursery.start_soon(client.run)
        client.welcome = await client.next("welcome")
        if client.welcome["type"] != "welcome":
            raise Failed("welcome first", client.welcome["type"])
        client.me = client.welcome["session"]
        return client

    async def peer(self, direction: str) -> Peer:
        """A WebRTC peer with an offer: sendonly or recvonly. Raises `LeftOut`."""
        if not self.plan.options.media:
            raise LeftOut(NO_MEDIA)
        peer = Peer(direction)
        self.peers.append(peer)
        await self.nursery.start(self._hold_peer, peer)
        return peer

    async def until(self, what: str, event: Callable[[], Awaitable[Any]]) -> None:
        """Wait for something besides messages. After a timeout, the report says for what."""
        self.awaits = what
        await event()
        self.awaits = ""

    async def close_room(self, name: str) -> None:
        """Close a room by the control API. Raises `NotReachable`."""
        if self.plan.control is None:
            raise NeverReachable("needs the control API, which the specification does not name")
        self.record.sent("administrator", f"closes {name}")
        await self.plan.control.close(name)

    async def finish(self) -> None:
        """Check that nobody who is still connected got another message. Raises `Failed`."""
        for client in self.clients:
            if not client.over.is_set() and client.left is None and not client.gone:
                await client.quiet()

    def longest_pause(self) -> float:
        """The longest time in seconds for which this process was held up while it sent media."""
        return max((peer.longest_pause for peer in self.peers), default=0.0)

    def fault(self) -> Failed | None:
        """A message that no server may send, if one came."""
        return next((client.fault for client in self.clients if client.fault is not None), None)

    def waiting(self) -> str:
        """What the check waits for, as a text."""
        waits = [f"at {client.label}: {client.awaits}" for client in self.clients if client.awaits]
        return "; ".join(waits) or self.awaits or "an end"

    def named(self, text: str) -> str:
        """The text, with names instead of the participants' ids."""
        for client in self.clients:
            if client.me:
                text = re.sub(rf"\b{re.escape(client.me)}\b", client.label, text)
        return text

    async def _hold_peer(self, peer: Peer, task_status: trio.TaskStatus[None]) -> None:
        async with run_peer(peer):
            task_status.started()
            await trio.sleep_forever()
