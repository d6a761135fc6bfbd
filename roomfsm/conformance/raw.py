"""A websocket at the level of frames (RFC 6455). It can also send frames that no library would send."""

from __future__ import annotations

import base64
import secrets
import ssl
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import h11
import trio
from wsproto.frame_protocol import Frame, FrameProtocol, Opcode, ParseFailed
from wsproto.utilities import generate_accept_token

from roomfsm.conformance.outcome import CannotRun

_HANDSHAKE = 8.0
"""Seconds for TCP, TLS and the HTTP answer together."""
_NOT_TLS = ("WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")
"""OpenSSL's reasons if an answer is not TLS."""


@dataclass(frozen=True, slots=True)
class Target:
    """The address of the server."""

    url: str
    host: str
    port: int
    path: str
    tls: ssl.SSLContext | None

    @classmethod
    def parse(cls, url: str, *, insecure: bool = False) -> Target:
        """Read `ws://host[:port]/path`. `insecure` accepts any certificate. Raises `CannotRun`."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise CannotRun(f"not a websocket address: {url}: {error}") from error
        if parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise CannotRun(f"not a websocket address like ws://host/ws: {url}")
        tls = None
        if parts.scheme == "wss":
            tls = ssl.create_default_context()
            if insecure:
                tls.check_hostname = False
                tls.verify_mode = ssl.CERT_NONE
        default = 80 if tls is None else 443
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(url, parts.hostname, port or default, path, tls)

    @property
    def authority(self) -> str:
        """Host and port in the form of a `Host` header."""
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def origin(self) -> str:
        """The origin of pages of this server."""
        return f"{'http' if self.tls is None else 'https'}://{self.authority}"

    async def connect(self, patience: float = _HANDSHAKE) -> trio.abc.Stream:
        """Open the transport. `patience` is the time for TLS in seconds.

        Raises `OSError` or `trio.BrokenResourceError` (`NoTls` is a subclass).
        """
        stream = await trio.open_tcp_stream(self.host, self.port)
        if self.tls is None:
            return stream
        secure = trio.SSLStream(stream, self.tls, server_hostname=self.host, https_compatible=True)
        try:
            with trio.move_on_after(patience) as bound:
                await secure.do_handshake()
            if bound.cancelled_caught:
                raise NoTls("nothing answers its handshake")
        except trio.BrokenResourceError as error:
            await trio.aclose_forcefully(stream)
            match error.__cause__:
                case ssl.SSLEOFError():
                    raise NoTls("the connection ends in its handshake") from error
                case ssl.SSLError(reason=reason) if reason in _NOT_TLS:
                    raise NoTls("what answers is something else") from error
            raise
        return secure

    async def takes_tls(self) -> bool:
        """Whether the server speaks TLS, with any certificate."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        try:
            await trio.aclose_forcefully(await replace(self, tls=context).connect())
        except (OSError, trio.BrokenResourceError):
            return False
        return True


class NoTls(trio.BrokenResourceError):
    """The server does not seem to speak TLS."""


class Gone(Exception):
    """The connection has ended. `code` is the server's close code; None if there was no closing handshake."""

    def __init__(self, code: int | None) -> None:
        super().__init__("the connection was cut" if code is None else f"the connection was closed with {code}")
        self.code = code


class RawSocket:
    """An accepted websocket. It sends and receives single frames, and does not answer pings."""

    def __init__(self, stream: trio.abc.Stream, rest: bytes) -> None:
        self._stream = stream
        self._frames = FrameProtocol(client=True, extensions=[])
        self._frames.receive_bytes(rest)
        self._ready: list[Frame] = []
        self._sending = trio.Lock()

    async def send(
        self, opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = True
    ) -> None:
        """Send one frame, which may break the rules."""
        await self.send_bytes(frame(opcode, payload, fin=fin, rsv=rsv, masked=masked))

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes unchanged. If the connection is gone, this does nothing, and `receive` reports it."""
        async with self._sending:
            try:
                await self._stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return

    async def close(self, code: int = 1000) -> None:
        """Begin the closing handshake, or answer one."""
        await self.send(Opcode.CLOSE, code.to_bytes(2))

    async def receive(self) -> Frame:
        """The next frame or part of a frame. The payload of a close frame is its code and reason.

        Raises `Gone` if the connection ends without a close frame, and `ParseFailed` for a frame that a server may
        not send.
        """
        while True:
            if self._ready:
                return self._ready.pop(0)
            # Frames are read one at a time, so that frames before a bad one are not lost with it.
            found = next(iter(self._frames.received_frames()), None)
            if found is not None:
                return found
            try:
                data = await self._stream.receive_some(65536)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                data = b""
            if not data:
                raise Gone(None)
            self._frames.receive_bytes(bytes(data))

    async def cut(self) -> None:
        """Close the transport without a closing handshake."""
        await trio.aclose_forcefully(self._stream)


def frame(opcode: int, payload: bytes, *, fin: bool = True, rsv: int = 0, masked: bool = True) -> bytes:
    """One frame (RFC 6455 section 5.2). The mask of the payload is zero, which is allowed."""
    length = len(payload)
    mask = 0x80 if masked else 0
    if length < 126:
        size = bytes([mask | length])
    elif length < 1 << 16:
        size = bytes([mask | 126]) + length.to_bytes(2)
    else:
        size = bytes([mask | 127]) + length.to_bytes(8)
    return bytes([fin << 7 | rsv << 4 | opcode]) + size + (b"\0\0\0\0" if masked else b"") + payload


@dataclass(frozen=True, slots=True)
class Handshake:
    """The server's answer to an upgrade request. `socket` is set only if the server switched protocols."""

    status: int
    headers: Mapping[str, str]
    socket: RawSocket | None
    accepts: bool = True
    """Whether `Sec-WebSocket-Accept` is correct (section 4.2.2)."""


async def shake_hands(
    target: Target,
    protocol: str | None,
    *,
    path: str | None = None,
    timeout: float = _HANDSHAKE,
    **changes: str | None,
) -> Handshake:
    """Ask for a websocket.

    `changes` replace headers, or leave them out (None); `_` means `-` in their names. Raises
    `OSError`, `trio.BrokenResourceError` (`NoTls` is a subclass), `Gone` if the connection ends without an HTTP
    answer, and `trio.TooSlowError`.
    """
    headers: dict[str, str | None] = {
        "host": target.authority,
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-version": "13",
        "sec-websocket-key": base64.b64encode(secrets.token_bytes(16)).decode(),
        "sec-websocket-protocol": protocol,
        **{name.lower().replace("_", "-"): value for name, value in changes.items()},
    }
    with trio.fail_after(timeout):
        # TLS gets at most half of the time, so that the error can say which of the two handshakes is not answered.
        async with AsyncExitStack() as unless_accepted:
            stream = await target.connect(timeout / 2)
            unless_accepted.push_async_callback(trio.aclose_forcefully, stream)
            answer = await _ask(stream, path or target.path, {n: v for n, v in headers.items() if v is not None})
            if answer.socket is not None:
                unless_accepted.pop_all()
    return answer


async def _ask(stream: trio.abc.Stream, path: str, headers: Mapping[str, str]) -> Handshake:
    http = h11.Connection(h11.CLIENT)
    await stream.send_all(http.send(h11.Request(method="GET", target=path, headers=list(headers.items()))) or b"")
    await stream.send_all(http.send(h11.EndOfMessage()) or b"")
    while True:
        try:
            event = http.next_event()
        except h11.RemoteProtocolError:
            raise Gone(None) from None
        if event is h11.NEED_DATA:
            http.receive_data(bytes(await stream.receive_some(65536)))
        elif isinstance(event, h11.InformationalResponse | h11.Response):
            said = {name.decode().lower(): value.decode("latin-1") for name, value in event.headers}
            if event.status_code == 101:
                proof = generate_accept_token(headers.get("sec-websocket-key", "").encode()).decode()
                accepts = said.get("sec-websocket-accept") == proof
                return Handshake(101, said, RawSocket(stream, http.trailing_data[0]), accepts)
            if isinstance(event, h11.Response):
                return Handshake(event.status_code, said, None)
        else:
            raise Gone(None)


__all__ = [
    "Frame",
    "Gone",
    "Handshake",
    "NoTls",
    "Opcode",
    "ParseFailed",
    "RawSocket",
    "Target",
    "frame",
    "shake_hands",
]
