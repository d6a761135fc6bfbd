"""One client's connection.

It sends messages, checks the order of received messages, and validates each against its schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import trio

from roomfsm.conformance.outcome import Failed, Message, Over, Record, shown
from roomfsm.conformance.raw import Frame, Gone, Opcode, ParseFailed, RawSocket, frame
from roomfsm.conformance.spec import Spec

type Ref = int | str


@dataclass(frozen=True, slots=True)
class Where:
    """A field's value that is only partly known. `label` describes it."""

    label: str
    holds: Callable[[Any], bool]

    def __str__(self) -> str:
        return self.label


@dataclass(slots=True)
class Expected:
    """A message that must come, with its type and fields. Fields that are not named may have any value."""

    type: str
    fields: Message = field(default_factory=dict)

    def fits(self, message: Message) -> bool:
        """Whether a message fits."""
        return message.get("type") == self.type and _within(self.fields, message)

    def __str__(self) -> str:
        return shown({"type": self.type, **_shown(self.fields)})


class Client:
    """A connection and the person who uses it. All waiting is limited by the time limit of the check."""

    def __init__(
        self, name: str, socket: RawSocket, spec: Spec, record: Record, next_ref: Callable[[], int]
    ) -> None:
        self.name = name
        self.label = name
        """The client's name in the report. It stays the same when the client is renamed."""
        self.socket = socket
        self.welcome: Message = {}
        self.me = ""
        self.left: int | None = None
        """The code with which the server closed."""
        self.over = trio.Event()
        """Set when the connection has ended."""
        self.legs: dict[str, Callable[[str], None]] = {}
        """The functions that take the server's candidates, by stream."""
        self.awaits = ""
        """What the client waits for, as a text."""
        self._spec = spec
        self._record = record
        self._next_ref = next_ref
        self._inbox: list[Message] = []
        self._news = trio.Event()
        self._fault: Failed | None = None
        self._closing = False

    # Sending

    async def send(self, type: str, **fields: Any) -> Ref:  # noqa: A002 (the protocol's word)
        """Send a message, and return its ref. Without a given ref, it gets a new one."""
        message = self.message(type, **fields)
        await self.send_message(message)
        ref: Ref = message["ref"]
        return ref

    def message(self, type: str, **fields: Any) -> Message:  # noqa: A002 (the protocol's word)
        """A message with a ref of its own."""
        return {"type": type, "ref": self._next_ref(), **fields}

    async def send_message(self, *messages: Message) -> None:
        """Send messages together, so that the server may read later ones before it has answered the first."""
        data = b""
        for message in messages:
            self._record.sent(self.label, message)
            data += self.encode(json.dumps(message))
            self._expect_candidates(message)
        await self.socket.send_bytes(data)

    def _expect_candidates(self, message: Message) -> None:
        """Expect candidates of the server for this message. Code that wants them must have registered before."""
        match message:
            case {"type": "publish", "source": str(source)}:
                self.legs.setdefault(f"{self.me}.{source}", _pass_over)
            case {"type": "view", "stream": str(stream)}:
                self.legs.setdefault(stream, _pass_over)

    async def send_text(self, text: str) -> None:
        """Send a text message, which need not be a message of the protocol."""
        self._record.sent(self.label, text)
        await self.socket.send_bytes(self.encode(text))

    @staticmethod
    def encode(text: str) -> bytes:
        """Send a text frame."""
        return frame(Opcode.TEXT, text.encode("utf-8", "surrogatepass"))

    async def bye(self, code: int = 1000) -> None:
        """Close the connection with a goodbye."""
        self._record.sent(self.label, f"closes with {code}")
        await self.say_goodbye(code.to_bytes(2))

    async def say_goodbye(self, payload: bytes) -> None:
        """Close the connection by a close frame with this payload."""
        self._closing = True
        await self.socket.send(Opcode.CLOSE, payload)
        await self.over.wait()

    async def cut(self) -> None:
        """Lose the connection. TCP ends without a closing handshake."""
        self._record.sent(self.label, "loses the connection")
        self._closing = True
        await self.socket.cut()

    # Receiving

    async def next(self, what: str) -> Message:
        """The next message. Raises `Failed` if the connection has ended, or if a bad message came."""
        while True:
            if self._fault is not None:
                raise self._fault
            if self._inbox:
                return self._inbox.pop(0)
            if self.over.is_set():
                raise Over(f"{what} at {self.label}", f"{self.label}'s connection was closed with {self.left}")
            self.awaits = what
            await self._news.wait()
            self.awaits = ""

    async def expect(self, *expected: Expected) -> list[Message]:
        """Expect these messages next, in this order and with no others between them."""
        came: list[Message] = []
        for number, one in enumerate(expected):
            message = await self.next(str(one))
            came.append(message)
            if not one.fits(message):
                raise Failed(
                    f"at {self.label}: {_listed(expected)}",
                    f"{_listed(map(shown, came))} (message {number + 1} is another)",
                )
        return came

    async def expect_in_any_order(self, *expected: Expected) -> None:
        """Expect these messages next, in any order."""
        left = list(expected)
        while left:
            message = await self.next(f"one of {_listed(left)}")
            found = next((one for one in left if one.fits(message)), None)
            if found is None:
                raise Failed(f"at {self.label}, in any order: {_listed(left)}", shown(message))
            left.remove(found)

    async def ask(self, type: str, **fields: Any) -> Message:  # noqa: A002 (the protocol's word)
        """Send a message. The next message that comes must be its reply."""
        ref = await self.send(type, **fields)
        message = await self.next(f"the reply to {type}")
        if message.get("ref") != ref:
            raise Failed(f"at {self.label}: the reply to {type}, with ref {ref}", shown(message))
        return message

    async def gather(self, *refs: Ref) -> dict[Ref, Message]:
        """Receive messages until each ref has its reply, and return the replies.

        Raises `Failed` if a reply comes twice.
        """
        replies: dict[Ref, Message] = {}
        while not all(ref in replies for ref in refs):
            message = await self.next(f"a reply to each of {', '.join(f'#{ref}' for ref in refs)}")
            ref = message.get("ref")
            if ref in replies:
                raise Failed(f"one reply to #{ref}", f"another: {shown(message)}")
            if ref is not None:
                replies[ref] = message
        return replies

    async def flush(self) -> list[Message]:
        """All messages that come before the answer to a ping that is sent now."""
        ref = await self.send("ping")
        came: list[Message] = []
        while True:
            message = await self.next("pong")
            if message.get("ref") == ref:
                if message["type"] != "pong":
                    raise Failed("pong", shown(message))
                return came
            came.append(message)

    async def quiet(self) -> None:
        """Send a ping and expect its answer next, so that the session continues and got no other message."""
        unexpected = await self.flush()
        if unexpected:
            raise Failed(f"nothing more at {self.label}", _listed(map(shown, unexpected)))

    async def closed(self) -> int | None:
        """Wait until the server closes the connection, and return the close code; None if only TCP ended."""
        self.awaits = "the server to close"
        await self.over.wait()
        self.awaits = ""
        return self.left

    async def drop(self) -> None:
        """End the connection, because the check is over."""
        self._closing = True
        await self.socket.cut()

    async def run(self) -> None:
        """Read until the connection ends."""
        text = ""
        try:
            while True:
                received = await self.socket.receive()
                if received.opcode is Opcode.TEXT and isinstance(received.payload, str | bytes | bytearray):
                    text += str(received.payload)
                    if received.message_finished:
                        self._take(text)
                        text = ""
                elif not await self._control(received):
                    return
        except Gone:
            if not self._closing:
                self._record.received(self.label, "the connection was cut")
        except ParseFailed as error:
            self._bad("frames of RFC 6455", str(error))
        finally:
            self.over.set()
            self._wake()

    async def _control(self, received: Frame) -> bool:
        """Handle a frame that is not a text. Returns whether the connection continues."""
        payload = received.payload
        if received.opcode is Opcode.PING:
            await self.socket.send(Opcode.PONG, bytes(payload))  # type: ignore[arg-type]  # a ping's is bytes
        elif received.opcode is Opcode.CLOSE:
            code = payload[0] if isinstance(payload, tuple) else 1005
            self.left = int(code)
            self._record.received(self.label, f"closed with {self.left}")
            if not self._closing:
                await self.socket.close(self.left if self.left != 1005 else 1000)
            await self.socket.cut()
            return False
        elif received.opcode is Opcode.BINARY:
            self._bad("text messages", "a binary one")
        return True

    def _take(self, text: str) -> None:
        try:
            message = json.loads(text)
        except ValueError:
            self._record.received(self.label, text)
            self._bad("a message in JSON", shown(text))
            return
        self._record.received(self.label, message if isinstance(message, dict) else text)
        fault = self._spec.fault(message)
        if fault is not None:
            self._bad("a message that fits its schema", f"{shown(message)}: {fault}", like=_like(message, fault))
            return
        take = self.legs.get(message.get("stream", "")) if message["type"] == "candidate" else None
        if take is not None:
            take(message.get("candidate", ""))
            return
        self._inbox.append(message)
        self._wake()

    def _bad(self, expected: str, came: str, like: str = "") -> None:
        self._fault = self._fault or Failed(f"at {self.label}: {expected}", came, like)
        self._wake()

    @property
    def gone(self) -> bool:
        """Whether this side has ended the connection."""
        return self._closing

    @property
    def fault(self) -> Failed | None:
        """A message that no server may send, whatever the check is about."""
        return self._fault

    def _wake(self) -> None:
        self._news.set()
        self._news = trio.Event()


def _like(message: Any, fault: str) -> str:
    """The text of a fault without numbers, which is the same for other messages of that type."""
    kind = message.get("type") if isinstance(message, dict) else None
    return f"{kind}: {re.sub(r'[0-9]+', 'N', fault)}"


def _pass_over(_candidate: str) -> None:
    """An address to which nobody connects."""


def _within(wanted: Any, value: Any) -> bool:
    match wanted:
        case Where(holds=holds):
            return holds(value)
        case dict():
            return isinstance(value, dict) and all(_within(item, value.get(key)) for key, item in wanted.items())
        case None | False:
            # Fields with their default value may be missing.
            return value is None or value is False
        case bool():
            return value is wanted
        case _:
            return bool(value == wanted)


def _shown(fields: Message) -> Message:
    return {key: str(value) if isinstance(value, Where) else value for key, value in fields.items()}


def _listed(parts: Iterable[object] | Sequence[object]) -> str:
    return ", ".join(str(part) for part in parts)
