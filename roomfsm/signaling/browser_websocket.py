"""trio-websocket's connection, with bounds on messages that were received and are not handled yet.

A message may come in fragments, and a fragment may be empty (RFC 6455 section 5.4). So a bound on the bytes of a
message does not limit how many parts the server keeps of it, or for how long. Besides, each message may be within
its bound while the messages of all connections together need more memory than there is. Therefore we count
everything that was read and is not handled yet: the parts of incomplete messages, and whole messages that wait for
their turn. What is counted is given back when the session takes the message, or when the websocket is released.
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

from roomfsm.door.tally import Tally
from roomfsm.hosts import bound_key
from roomfsm.jsonrpc.websocket import Websocket
from roomfsm.protocol import SUBPROTOCOL
from roomfsm.protocol.errors import CloseCode
from roomfsm.signaling.frame_stream import FrameStream
from roomfsm.signaling.settings import SignalingSettings

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""The text that is hashed together with the key of a handshake (RFC 6455 section 1.3)."""
_QUEUED_MESSAGES = 16
"""The most messages that are read ahead of the session. If more come, TCP holds the sender back."""


class MessageOverrun(Exception):
    """An incoming message broke a bound. The websocket must be closed with `code`."""

    def __init__(self, code: CloseCode) -> None:
        super().__init__(code.name)
        self.code = code


class BrowserWebsocket(Websocket):
    """A browser's websocket. `messages` counts bytes (of text: characters) by the address of the `client`.

    The front door has read and judged the handshake. So wsproto begins with the frames here: to read the head a
    second time would cost more than everything else that a new connection costs.
    """

    def __init__(self, stream: FrameStream, settings: SignalingSettings, messages: Tally, client: str) -> None:
        super().__init__(
            stream,
            # A WSConnection reads the handshake and then the frames. This one reads only the frames.
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
        """Answer the handshake with that `Sec-WebSocket-Key`, and read messages in `nursery` from now on."""
        self._frames.put(switching_protocols(key))
        nursery.start_soon(self._reader_task)

    async def next_message(self) -> str | bytes:
        """The next message. Raises `ConnectionClosed` (after `stop_reading`, too) or `MessageOverrun`."""
        if self._overrun is None and not self._stopped:
            with trio.CancelScope(deadline=self._deadline) as self._patience:
                message: str | bytes = await self.get_message()
                self._give_back(len(message))
                return message
        if self._stopped:
            raise ConnectionClosed(self.closed)
        raise MessageOverrun(self._overrun or CloseCode.MESSAGE_TOO_BIG)

    def stop_reading(self) -> None:
        """Read no more messages. A task that waits in `next_message` gets `ConnectionClosed`."""
        self._stopped = True
        self._patience.cancel()

    def release(self) -> None:
        """Give back everything that is counted for this websocket."""
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
        # A message over its bound was only partly counted, so its size may be more than what is held.
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
