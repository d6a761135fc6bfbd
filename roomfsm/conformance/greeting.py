"""The first connection to a server, which finds out whether it speaks the protocol and gets its welcome."""

from __future__ import annotations

import json

import trio

from roomfsm.conformance.outcome import CannotRun, Message
from roomfsm.conformance.raw import Frame, Gone, NoTls, Opcode, ParseFailed, Target, shake_hands
from roomfsm.conformance.spec import Spec

_GREETING = 5.0
"""The most seconds for the handshake, and for the welcome."""
_BAD_REQUEST = 400
"""The status with which many servers with TLS answer a request without TLS."""


async def greet(target: Target, spec: Spec, timeout: float) -> Message:
    """Connect once, and return the `welcome`.

    Raises `CannotRun` if the server does not speak the protocol, or is silent.
    """
    protocol, timeout = spec.protocol, min(timeout, _GREETING)
    try:
        handshake = await shake_hands(target, protocol, timeout=timeout)
    except trio.TooSlowError:
        raise CannotRun(f"{target.url} does not answer the websocket handshake") from None
    except NoTls as error:
        raise CannotRun(f"{target.url}: there seems to be no TLS ({error}; try ws://)") from error
    except (OSError, trio.BrokenResourceError) as error:
        why = error.__cause__ or error
        raise CannotRun(f"{target.url} cannot be reached: {_in_words(why)}") from error
    except Gone:
        said = await _hint_of_tls(target) or "it does not answer with HTTP"
        raise CannotRun(f"{target.url} is no websocket server: {said}") from None
    if handshake.socket is None:
        hint = await _hint_of_tls(target) if handshake.status == _BAD_REQUEST else None
        said = hint or f"it answered HTTP {handshake.status}"
        raise CannotRun(f"{target.url} is no websocket: {said}")
    try:
        if not handshake.accepts:
            raise CannotRun(f"{target.url} is no websocket: its Sec-WebSocket-Accept is wrong")
        chosen = handshake.headers.get("sec-websocket-protocol")
        if chosen != protocol:
            said = "no subprotocol" if chosen is None else f"the subprotocol {chosen!r}"
            raise CannotRun(f"{target.url} speaks {said}, not {protocol}")
        text = ""
        with trio.move_on_after(timeout) as patience:
            received: Frame | None = None
            while received is None or not (received.opcode is Opcode.TEXT and received.message_finished):
                received = await handshake.socket.receive()
                if received.opcode is Opcode.CLOSE:
                    raise CannotRun(f"{target.url} closes the connection without a welcome")
                if received.opcode is Opcode.TEXT:
                    text += str(received.payload)
        if patience.cancelled_caught:
            raise CannotRun(f"{target.url} says nothing: a welcome was awaited for {timeout:g} s")
        await handshake.socket.close()
    except Gone:
        raise CannotRun(f"{target.url} closes the connection without a welcome") from None
    except ParseFailed as error:
        raise CannotRun(f"{target.url} sends no websocket frames: {error}") from None
    finally:
        await handshake.socket.cut()
    return _welcome(text, target, spec)


async def _hint_of_tls(target: Target) -> str | None:
    """A hint that the server speaks TLS, if the address is one without TLS."""
    with trio.move_on_after(_GREETING):
        if target.tls is None and await target.takes_tls():
            return "there is TLS (try wss://)"
    return None


def _welcome(text: str, target: Target, spec: Spec) -> Message:
    try:
        message = json.loads(text)
    except ValueError:
        message = None
    if not isinstance(message, dict) or message.get("type") != "welcome":
        raise CannotRun(f"{target.url} speaks another protocol: its first message is no welcome: {text[:80]}")
    if message.get("protocol") != spec.protocol:
        raise CannotRun(f"{target.url} speaks {message.get('protocol')!r}, not {spec.protocol}")
    return message


def _in_words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, BaseExceptionGroup):
        return _in_words(error.exceptions[0])
    return str(error) or type(error).__name__
