"""trio-websocket's connection, with bounds on messages that are under way.

A message may come in fragments, and a fragment may be empty (RFC 6455 section 5.4): so a bound on the bytes of a
message says nothing about how many parts are kept of it, or for how long. And each message may be within its bound
while those of all connections together are more than there is memory. What is counted here is everything that was
read and not handled yet: parts of a message that is not whole, and whole messages that wait their turn.
"""

from __future__ import annotations

import base64
import hashlib
import math
from typing import cast

import trio
from trio_websocket import ConnectionClosed
from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection
from wsproto.events import BytesMessage, TextMessage

from roomfsm.door.client_address import bound_key
from roomfsm.door.tally import Tally
from roomfsm.jsonrpc.websocket import Websocket
from roomfsm.protocol import SUBPROTOCOL
from roomfsm.protocol.errors import CloseCode
from roomfsm.signaling.frame_stream import FrameStream
from roomfsm.signaling.settings import SignalingSettings

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""What RFC 6455 section 1.3 has the key of a handshake hashed with."""
_QUEUED_MESSAGES = 16
"""Messages read ahead of the session; with more unread, TCP holds the sender back."""


class MessageOverrun(Exception):
    """A message under way broke a bound; `code` is what the websocket is to be closed with."""

    def __init__(self, code: CloseCode) -> None:
        super().__init__(code.name)
        self.code = code


class BrowserWebsocket(Websocket):
    """A browser's websocket. `messages` counts bytes (of text: characters) by the address of the `client`.

    Its handshake was read and judged at the front door. So wsproto's part begins where the frames do: reading the
    head a second time would cost more than all else that is done for it.
    """

    def __init__(self, stream: FrameStream, settings: SignalingSettings, messages: Tally, client: str) -> None:
        super().__init__(
            stream,
            # A WSConnection speaks two protocols, first the handshake's and then the frames'. The front door has
            # read the handshake, so this begins with the frames.
            cast(WSConnection, Connection(ConnectionType.SERVER)),
            message_queue_size=_QUEUED_MESSAGES,
            max_message_size=settings.max_message_bytes,
        )
        self._frames = stream
        self._settings = settings
        self._messages = messages
        self._key = bound_key(client)
        self._held = 0
        self._fragments = 0
        self._deadline = math.inf
        self._patience = trio.CancelScope()
        self._overrun: CloseCode | None = None
        self._stopped = False

    def accept(self, key: str, nursery: trio.Nursery) -> None:
        """Answer the handshake of that `Sec-WebSocket-Key`, and read in `nursery` from now on."""
        self._frames.put(switching_protocols(key))
        nursery.start_soon(self._reader_task)

    async def next_message(self) -> str | bytes:
        """The next message. Raises `ConnectionClosed`, also after `stop_reading`, and `MessageOverrun`."""
        if self._overrun is None and not self._stopped:
            with trio.CancelScope(deadline=self._deadline) as self._patience:
                message: str | bytes = await self.get_message()
                self._give_back(len(message))
                return message
        if self._stopped:
            raise ConnectionClosed(self.closed)
        raise MessageOverrun(self._overrun or CloseCode.MESSAGE_TOO_BIG)

    def stop_reading(self) -> None:
        """Nobody wants another message, not even one who waits for it."""
        self._stopped = True
        self._patience.cancel()

    def release(self) -> None:
        """Nothing of this websocket is held any more."""
        self._give_back(self._held)

    async def _handle_message_event(self, event: TextMessage | BytesMessage) -> None:
        size = len(event.data)
        self._fragments += 1
        if self._overrun is not None:
            return
        if self._fragments > self._settings.max_message_fragments:
            self._break_off(CloseCode.MESSAGE_TOO_BIG)
            return
        if not self._messages.take(self._key, size):
            self._break_off(CloseCode.TRY_AGAIN_LATER)
            return
        self._held += size
        if event.message_finished:
            self._fragments, self._deadline = 0, math.inf
        elif self._fragments == 1:
            self._deadline = trio.current_time() + self._settings.message_timeout
        self._patience.deadline = self._deadline
        await super()._handle_message_event(event)

    def _break_off(self, code: CloseCode) -> None:
        self._overrun = code
        self._message_parts = []
        self.release()
        self._patience.cancel()

    def _give_back(self, size: int) -> None:
        # Of a message over its bound nothing is kept, and its size was not counted to its end.
        size = min(size, self._held)
        self._held -= size
        self._messages.give_back(self._key, size)


def switching_protocols(key: str) -> bytes:
    """The answer to a handshake (RFC 6455 section 4.2.2). It agrees to no extension."""
    digest = hashlib.sha1(key.encode("ascii") + _GUID, usedforsecurity=False).digest()
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: %s\r\n\r\n"
        % (base64.b64encode(digest), SUBPROTOCOL.encode("ascii"))
    )
