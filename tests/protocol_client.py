"""A roomfsm.v1 client for tests, over a real websocket."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, open_websocket_url

from roomfsm.protocol import SUBPROTOCOL

PATIENCE = 60.0
"""Seconds after which a test gives up waiting: a bound, not an expectation."""

type Wire = dict[str, Any]


class Client:
    """One connection. Every message received is kept in `seen`; `expect` takes the next that fits."""

    def __init__(self, websocket: WebSocketConnection) -> None:
        self.websocket = websocket
        self.seen: list[Wire] = []
        self.welcome: Wire = {}
        self.me = ""
        self._passed: list[Wire] = []
        self._ref = 0

    async def send(self, type: str, **fields: Any) -> int:  # noqa: A002 (the protocol's word)
        """Send a message with a fresh ref, which is returned."""
        self._ref += 1
        await self.send_text(json.dumps({"type": type, "ref": self._ref, **fields}))
        return self._ref

    async def send_text(self, text: str) -> None:
        await self.websocket.send_message(text)

    async def ask(self, type: str, **fields: Any) -> Wire:  # noqa: A002 (the protocol's word)
        """Send a message and return the reply that repeats its ref."""
        ref = await self.send(type, **fields)
        return await self.expect(ref=ref)

    async def expect(self, type: str | None = None, **fields: Any) -> Wire:  # noqa: A002 (the protocol's word)
        """The next message of that type and with those fields; others are kept for later calls."""
        wanted = fields if type is None else {"type": type, **fields}

        def fits(message: Wire) -> bool:
            return all(key in message and message[key] == value for key, value in wanted.items())

        for message in self._passed:
            if fits(message):
                self._passed.remove(message)
                return message
        with trio.move_on_after(PATIENCE):
            while True:
                message = await self._receive()
                if fits(message):
                    return message
                self._passed.append(message)
        raise AssertionError(f"no {wanted} came, but {[m['type'] for m in self._passed]}: {self._passed[-3:]}")

    async def join(self, room: str, name: str = "Ada") -> Wire:
        """Join and remember who one is."""
        joined = await self.ask("join", room=room, name=name)
        assert joined["type"] == "joined", joined
        self.me = joined["you"]
        return joined

    async def closed(self) -> int:
        """Wait for the server to close; the close code."""
        with trio.fail_after(PATIENCE):
            while True:
                try:
                    await self._receive()
                except ConnectionClosed as closed:
                    return int(closed.reason.code) if closed.reason else 1006

    async def _receive(self) -> Wire:
        text = await self.websocket.get_message()
        assert isinstance(text, str)
        message: Wire = json.loads(text)
        self.seen.append(message)
        return message


@asynccontextmanager
async def open_client(
    url: str, headers: list[tuple[bytes, bytes]] | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Client]:
    """Connect and take the welcome."""
    async with open_websocket_url(
        url,
        tls,
        subprotocols=[SUBPROTOCOL],
        extra_headers=headers or [],
        # A client that nobody listens to for a while goes on reading, and so answers pings.
        message_queue_size=100_000,
        max_message_size=2**22,
    ) as websocket:
        client = Client(websocket)
        client.welcome = await client.expect("welcome")
        yield client
