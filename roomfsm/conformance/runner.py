"""Running the checks: a greeting first, then all of them concurrently within bounds, each ended by its time."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import trio

from roomfsm.conformance.outcome import CannotRun, Failed, Message, NotReachable
from roomfsm.conformance.raw import Frame, Gone, Opcode, ParseFailed, Target, shake_hands
from roomfsm.conformance.scene import Check, Plan, Scene
from roomfsm.conformance.spec import Spec

PASSED, FAILED, NOT_REACHABLE = "passed", "failed", "not reachable"
_GREETING = 5.0
"""Seconds at most for the handshake, and for the welcome."""


@dataclass(slots=True)
class Result:
    """What came of a check; `expected` and `came` only of a failed one, `reason` of one that is not reachable."""

    check: Check
    status: str
    seconds: float
    expected: str = ""
    came: str = ""
    reason: str = ""
    messages: list[str] = field(default_factory=list)


async def greet(target: Target, spec: Spec, timeout: float) -> Message:
    """Connect once; the `welcome`. Raises `CannotRun` if this is no server of the protocol, or is silent."""
    protocol, timeout = spec.protocol, min(timeout, _GREETING)
    try:
        handshake = await shake_hands(target, protocol, timeout=timeout)
    except trio.TooSlowError:
        raise CannotRun(f"{target.url} does not answer the websocket handshake") from None
    except (OSError, trio.BrokenResourceError) as error:
        why = error.__cause__ or error
        raise CannotRun(f"{target.url} cannot be reached: {_in_words(why)}") from error
    except Gone:
        raise CannotRun(f"{target.url} is no websocket server: it does not answer with HTTP") from None
    if handshake.socket is None:
        raise CannotRun(f"{target.url} is no websocket: it answered HTTP {handshake.status}")
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


def _first(error: Exception) -> Exception:
    """The error itself; of a group's the first."""
    return _first(error.exceptions[0]) if isinstance(error, ExceptionGroup) else error


class Runner:
    """Runs checks; `on_result` is called with each result as it comes."""

    def __init__(self, plan: Plan, on_result: Callable[[Result], None]) -> None:
        self._plan = plan
        self._on_result = on_result
        self._running = 0
        self._connections = 0
        self._changed = trio.Event()

    async def run(self, checks: Sequence[Check]) -> list[Result]:
        """Run them all; the results, in the order of the checks."""
        results: dict[str, Result] = {}
        most = self._plan.options.max_connections
        async with trio.open_nursery() as nursery:
            for check in sorted(checks, key=lambda check: (check.alone, -check.extra)):
                jobs = 1 if check.alone else self._plan.options.jobs
                held = min(check.connections, most)
                while self._running >= jobs or (self._running and self._connections + held > most):
                    self._changed = trio.Event()
                    await self._changed.wait()
                self._running += 1
                self._connections += held
                nursery.start_soon(self._run_one, check, held, results)
        return [results[check.id] for check in checks]

    async def _run_one(self, check: Check, held: int, results: dict[str, Result]) -> None:
        result = await self.play(check)
        results[check.id] = result
        self._on_result(result)
        self._running -= 1
        self._connections -= held
        self._changed.set()

    async def play(self, check: Check) -> Result:
        """Run one check. Whatever happens in it becomes its result."""
        options = self._plan.options
        started = trio.current_time()
        result = Result(check, PASSED, 0.0)
        if check.media and not options.media:
            return Result(check, NOT_REACHABLE, 0.0, reason="needs media (--no-media)")
        if check.connections > options.max_connections:
            reason = f"needs {check.connections} connections at once (--max-connections {options.max_connections})"
            return Result(check, NOT_REACHABLE, 0.0, reason=reason)
        async with trio.open_nursery() as nursery:
            scene = Scene(self._plan, nursery)
            with trio.move_on_after(options.timeout + check.extra) as bound:
                await self._attempt(check, scene, result)
            if bound.cancelled_caught:
                self._fail(result, scene.waiting(), f"nothing of it within {options.timeout + check.extra:g} s")
            for client in scene.clients:
                await client.drop()
            nursery.cancel_scope.cancel()
        fault = scene.fault()
        if fault is not None and result.status != FAILED:
            self._fail(result, fault.expected, fault.came)
        if result.status == FAILED:
            result.expected, result.came = scene.named(result.expected), scene.named(result.came)
            result.messages = [scene.named(line) for line in scene.record.excerpt()]
        result.seconds = trio.current_time() - started
        return result

    async def _attempt(self, check: Check, scene: Scene, result: Result) -> None:
        try:
            await check.run(scene)
            await scene.finish()
        except Exception as error:  # noqa: BLE001 (a boundary)
            # What a server said that no check foresaw must not end the others: this is the boundary.
            match _first(error):
                case Failed() as failed:
                    self._fail(result, failed.expected, failed.came)
                case NotReachable() as why:
                    result.status, result.reason = NOT_REACHABLE, str(why)
                case other:
                    place = traceback.extract_tb(other.__traceback__)[-1]
                    came = f"something else: {type(other).__name__} {other} at {place.name}, line {place.lineno}"
                    self._fail(result, "what this check can read", came)

    @staticmethod
    def _fail(result: Result, expected: str, came: str) -> None:
        result.status, result.expected, result.came = FAILED, expected, came
