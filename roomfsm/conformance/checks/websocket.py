"""The websocket layer (RFC 6455): handshakes, fragments, control frames, and frames that break the rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import trio

from roomfsm.conformance.outcome import Failed, cut
from roomfsm.conformance.raw import Gone, Handshake, Opcode, ParseFailed, RawSocket, frame, shake_hands
from roomfsm.conformance.scene import Check, Plan, Scene

_PING = json.dumps({"type": "ping", "ref": 7}).encode()

_BAD_FRAMES: dict[str, tuple[bytes, tuple[int, ...]]] = {
    # Section 5.1 says that the server closes the connection; section 7.4.1 has code 1002 for it.
    "unmasked": (frame(Opcode.TEXT, _PING, masked=False), (1002,)),
    "reserved-bits": (frame(Opcode.TEXT, _PING, rsv=4), (1002,)),
    "reserved-opcode": (frame(3, b""), (1002,)),
    "reserved-control-opcode": (frame(11, b""), (1002,)),
    "continuation-of-nothing": (frame(Opcode.CONTINUATION, b"x"), (1002,)),
    "text-within-fragments": (frame(Opcode.TEXT, b"{", fin=False) + frame(Opcode.TEXT, _PING), (1002,)),
    "fragmented-ping": (frame(Opcode.PING, b"x", fin=False), (1002,)),
    "long-ping": (frame(Opcode.PING, b"x" * 126), (1002,)),
    "long-close": (frame(Opcode.CLOSE, (1000).to_bytes(2) + b"x" * 124), (1002,)),
    "close-of-one-byte": (frame(Opcode.CLOSE, b"\x03"), (1002,)),
    "close-code-999": (frame(Opcode.CLOSE, (999).to_bytes(2)), (1002,)),
    "close-code-1005": (frame(Opcode.CLOSE, (1005).to_bytes(2)), (1002,)),
    "close-code-1006": (frame(Opcode.CLOSE, (1006).to_bytes(2)), (1002,)),
    # The reason is not UTF-8. Section 8.1 requires to fail the connection, and section 7.4.1 has both codes for
    # it.
    "close-reason-not-utf-8": (frame(Opcode.CLOSE, (1000).to_bytes(2) + b"\xff\xfe"), (1002, 1007)),
    "not-utf-8": (frame(Opcode.TEXT, b'{"type":"\xff\xfe"}'), (1007,)),
    "fragment-not-utf-8": (
        frame(Opcode.TEXT, b'{"type":"', fin=False) + frame(Opcode.CONTINUATION, b'\xc0\xaf"}'),
        (1007,),
    ),
    "binary": (frame(Opcode.BINARY, _PING), (1003,)),
}


class _Cut(Failed):
    """The connection ended although a frame was expected."""


def checks(plan: Plan) -> Iterator[Check]:
    """A check for each rule."""
    refused: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
        "no-subprotocol": ({"sec_websocket_protocol": None}, (400,)),
        "other-subprotocol": ({"sec_websocket_protocol": "other.v9"}, (400,)),
        "wrong-path": ({"path": "/no-such-path"}, (404,)),
        "wrong-version": ({"sec_websocket_version": "8"}, (426,)),
        "no-version": ({"sec_websocket_version": None}, (400, 426)),
        "no-key": ({"sec_websocket_key": None}, (400,)),
        "no-connection-upgrade": ({"connection": "close"}, (400, 426)),
        "foreign-origin": ({"origin": "http://evil.example"}, (403,)),
        "null-origin": ({"origin": "null"}, (403,)),
    }
    for name, (changes, statuses) in refused.items():
        yield Check(f"ws/handshake/{name}", partial(_refused, changes=changes, statuses=statuses))
    yield Check("ws/handshake/accepted", _accepted)
    yield Check("ws/handshake/several-subprotocols", _several)
    yield Check("ws/handshake/own-origin", _own_origin)
    yield Check("ws/fragments", _fragments)
    yield Check("ws/ping-within-fragments", _ping_within)
    yield Check("ws/ping", _ping)
    yield Check("ws/unsolicited-pong", _pong)
    for name, (data, codes) in _BAD_FRAMES.items():
        yield Check(f"ws/bad/{name}", partial(_bad, data=data, codes=codes))
    for code in (1000, 1001, 3000, 4999):
        yield Check(f"ws/close/{code}", partial(_close, payload=code.to_bytes(2), codes=(code,)))
    # Section 5.5.1 says that the answer usually has the received code. There was none.
    yield Check("ws/close/empty", partial(_close, payload=b"", codes=(1005, 1000)))
    yield Check(
        "ws/close/with-reason", partial(_close, payload=(1000).to_bytes(2) + "müde".encode(), codes=(1000,))
    )


async def _ask(scene: Scene, protocol: str | None, **changes: Any) -> Handshake:
    scene.record.sent("client", f"handshake with {changes or 'nothing unusual'}")
    try:
        handshake = await shake_hands(scene.plan.target, protocol, **changes)
    except (OSError, trio.BrokenResourceError, trio.TooSlowError, Gone) as error:
        raise Failed("an HTTP answer", str(error) or type(error).__name__) from error
    scene.record.received("client", f"HTTP {handshake.status}")
    if handshake.socket is not None:
        await handshake.socket.cut()
    return handshake


async def _refused(scene: Scene, *, changes: dict[str, Any], statuses: tuple[int, ...]) -> None:
    handshake = await _ask(scene, scene.spec.protocol, **changes)
    if handshake.status not in statuses:
        raise Failed(f"HTTP {' or '.join(map(str, statuses))}", f"HTTP {handshake.status}")


async def _upgraded(scene: Scene, protocol: str, **changes: Any) -> None:
    handshake = await _ask(scene, protocol, **changes)
    if handshake.socket is None:
        raise Failed("HTTP 101", f"HTTP {handshake.status}")
    if not handshake.accepts:
        raise Failed("the right Sec-WebSocket-Accept", str(handshake.headers.get("sec-websocket-accept")))
    chosen = handshake.headers.get("sec-websocket-protocol")
    if chosen != scene.spec.protocol:
        raise Failed(f"the subprotocol {scene.spec.protocol}", f"{chosen!r}")


async def _accepted(scene: Scene) -> None:
    """The answer has the proof that the server read the handshake, and the subprotocol."""
    await _upgraded(scene, scene.spec.protocol)


async def _several(scene: Scene) -> None:
    await _upgraded(scene, f"other.v9, {scene.spec.protocol}")


async def _own_origin(scene: Scene) -> None:
    await _upgraded(scene, scene.spec.protocol, origin=scene.plan.target.origin)


async def _socket(scene: Scene) -> RawSocket:
    """A websocket whose welcome has been read."""
    socket = await scene.open()
    await _text(scene, socket)
    return socket


async def _text(scene: Scene, socket: RawSocket) -> str:
    """The next text message. Anything else is a failure."""
    text = ""
    while True:
        received = await _receive(scene, socket)
        if received.opcode is not Opcode.TEXT:
            raise Failed("a text message", f"a frame of {received.opcode.name}")
        text += str(received.payload)
        if received.message_finished:
            scene.record.received("client", cut(text))
            return text


async def _receive(scene: Scene, socket: RawSocket) -> Any:
    scene.awaits = "a frame"
    try:
        return await socket.receive()
    except Gone as gone:
        raise _Cut("a frame", str(gone)) from gone
    except ParseFailed as error:
        raise Failed("a frame of RFC 6455", str(error)) from error


async def _send(scene: Scene, socket: RawSocket, data: bytes) -> None:
    scene.record.sent("client", f"bytes {cut(data.hex(' '))}")
    await socket.send_bytes(data)


async def _alive(scene: Scene, socket: RawSocket, ref: int = 7) -> None:
    """The reply to a ping of the protocol, which has been sent."""
    reply = json.loads(await _text(scene, socket))
    if (reply.get("type"), reply.get("ref")) != ("pong", ref):
        raise Failed(f"pong with ref {ref}", cut(json.dumps(reply)))
    await socket.cut()


async def _fragments(scene: Scene) -> None:
    """A message in many frames. Some are empty, and some end in the middle of a character."""
    socket = await _socket(scene)
    text = json.dumps({"type": "ping", "ref": "🦉"}, ensure_ascii=False).encode()
    parts = [text[:1], b"", text[1:25], text[25:26], text[26:]]
    data = frame(Opcode.TEXT, parts[0], fin=False)
    for part in parts[1:-1]:
        data += frame(Opcode.CONTINUATION, part, fin=False)
    for byte in (data, frame(Opcode.CONTINUATION, parts[-1])):
        await _send(scene, socket, byte)
    reply = json.loads(await _text(scene, socket))
    if reply != {"type": "pong", "ref": "🦉"}:
        raise Failed("pong with ref 🦉", cut(json.dumps(reply)))
    await socket.cut()


async def _ping_within(scene: Scene) -> None:
    """Control frames may come in the middle of a fragmented message, and are answered at once (section 5.4)."""
    socket = await _socket(scene)
    await _send(scene, socket, frame(Opcode.TEXT, _PING[:5], fin=False) + frame(Opcode.PING, b"mid"))
    await _expect_pong(scene, socket, b"mid")
    await _send(scene, socket, frame(Opcode.CONTINUATION, _PING[5:]))
    await _alive(scene, socket)


async def _expect_pong(scene: Scene, socket: RawSocket, payload: bytes) -> None:
    received = await _receive(scene, socket)
    if received.opcode is not Opcode.PONG or bytes(received.payload) != payload:
        raise Failed(f"a pong of {payload!r}", f"{received.opcode.name} {received.payload!r}")


async def _ping(scene: Scene) -> None:
    """The pong has the payload of the ping, which has up to 125 bytes (section 5.5.3)."""
    socket = await _socket(scene)
    for payload in (b"", b"there?", bytes(range(125))):
        await _send(scene, socket, frame(Opcode.PING, payload))
        await _expect_pong(scene, socket, payload)
    await _send(scene, socket, frame(Opcode.TEXT, _PING))
    await _alive(scene, socket)


async def _pong(scene: Scene) -> None:
    socket = await _socket(scene)
    await _send(scene, socket, frame(Opcode.PONG, b"nobody asked") + frame(Opcode.TEXT, _PING))
    await _alive(scene, socket)


async def _bad(scene: Scene, *, data: bytes, codes: tuple[int, ...]) -> None:
    """The connection must be failed: it ends, and if there is a close frame, it has the right code."""
    socket = await _socket(scene)
    await _send(scene, socket, data)
    try:
        await _expect_close(scene, socket, codes)
    except _Cut:
        # A close frame should come first, but need not (section 7.1.7). A refusal by the protocol would be
        # something else.
        if codes == (1003,):
            raise


async def _expect_close(scene: Scene, socket: RawSocket, codes: tuple[int, ...]) -> None:
    received = await _receive(scene, socket)
    if received.opcode is not Opcode.CLOSE:
        raise Failed(f"a close frame with {codes}", f"{received.opcode.name} {received.payload!r}")
    code = int(received.payload[0])
    scene.record.received("client", f"closed with {code}")
    if code not in codes:
        raise Failed(f"a close frame with {' or '.join(map(str, codes))}", f"one with {code}")
    await socket.close(code if code != 1005 else 1000)
    # The server closes TCP first (section 7.1.1).
    try:
        scene.awaits = "the server to close TCP"
        await socket.receive()
    except (Gone, ParseFailed):
        await socket.cut()
        return
    raise Failed("the end of TCP", "another frame")


async def _close(scene: Scene, *, payload: bytes, codes: tuple[int, ...]) -> None:
    """The closing handshake is answered (section 5.5.1)."""
    socket = await _socket(scene)
    await _send(scene, socket, frame(Opcode.CLOSE, payload))
    await _expect_close(scene, socket, codes)
