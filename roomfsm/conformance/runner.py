"""Runs the checks concurrently within limits. Each check has a time limit."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import trio

from roomfsm.conformance.outcome import CannotRun, Failed, LeftOut, NeverReachable, NotReachable
from roomfsm.conformance.scene import NO_MEDIA, Check, Plan, Scene

PASSED, FAILED, NOT_REACHABLE = "passed", "failed", "not reachable"

_HELD_UP = 0.5
"""From so many seconds without media on, a server may rightly call a stream silent."""
_TRIES = 3


@dataclass(slots=True)
class Result:
    """The result of a check.

    A failed check has `expected`, `came`, and `like`, which is the same for failures with the same cause. A check
    that is not reachable has the `reason`; `never` says that this is so with any server, and `left_out` that an
    option left it out.
    """

    check: Check
    status: str
    seconds: float
    expected: str = ""
    came: str = ""
    reason: str = ""
    messages: list[str] = field(default_factory=list)
    like: str = ""
    never: bool = False
    left_out: bool = False


def _first(error: Exception) -> Exception:
    """The error itself, or the first error of a group."""
    return _first(error.exceptions[0]) if isinstance(error, ExceptionGroup) else error


class Runner:
    """Runs checks, and calls `on_result` with each result."""

    def __init__(self, plan: Plan, on_result: Callable[[Result], None]) -> None:
        self._plan = plan
        self._on_result = on_result
        self._running = 0
        self._connections = 0
        self._changed = trio.Event()
        self._cannot: CannotRun | None = None
        self._scope = trio.CancelScope()

    async def run(self, checks: Sequence[Check]) -> list[Result]:
        """Run all checks, and return the results in the order of the checks.

        Raises `CannotRun` if a check does.
        """
        results: dict[str, Result] = {}
        most = self._plan.options.max_connections
        async with trio.open_nursery() as nursery:
            self._scope = nursery.cancel_scope
            for check in sorted(checks, key=lambda check: (check.alone, -check.extra)):
                jobs = 1 if check.alone else self._plan.options.jobs
                held = min(check.connections, most)
                while self._running >= jobs or (self._running and self._connections + held > most):
                    self._changed = trio.Event()
                    await self._changed.wait()
                self._running += 1
                self._connections += held
                nursery.start_soon(self._run_one, check, held, results)
        if self._cannot is not None:
            raise self._cannot
        return [results[check.id] for check in checks]

    async def _run_one(self, check: Check, held: int, results: dict[str, Result]) -> None:
        result = await self.play(check)
        results[check.id] = result
        self._on_result(result)
        self._running -= 1
        self._connections -= held
        self._changed.set()

    async def play(self, check: Check) -> Result:
        """Run one check. Everything that happens in it becomes its result.

        A check that fails while this machine was held up shows nothing: media that come late look to the server
        like silence. It is run again, a few times at most.
        """
        for _ in range(_TRIES):
            result, longest_pause = await self._play_once(check)
            if result.status != FAILED or longest_pause < _HELD_UP:
                break
        return result

    async def _play_once(self, check: Check) -> tuple[Result, float]:
        """The result, and the longest time in seconds for which this process was held up while it sent media."""
        options = self._plan.options
        started = trio.current_time()
        result = Result(check, PASSED, 0.0)
        if check.media and not options.media:
            return Result(check, NOT_REACHABLE, 0.0, reason=NO_MEDIA, left_out=True), 0.0
        if check.connections > options.max_connections:
            reason = f"needs {check.connections} connections at once (--max-connections {options.max_connections})"
            return Result(check, NOT_REACHABLE, 0.0, reason=reason), 0.0
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
            self._fail(result, fault.expected, fault.came, fault.like)
        if result.status == FAILED:
            result.expected, result.came = scene.named(result.expected), scene.named(result.came)
            result.messages = [scene.named(line) for line in scene.record.excerpt()]
        result.seconds = trio.current_time() - started
        return result, scene.longest_pause()

    async def _attempt(self, check: Check, scene: Scene, result: Result) -> None:
        try:
            await check.run(scene)
            await scene.finish()
        except Exception as error:  # noqa: BLE001 (a boundary)
            # This is the boundary: an unexpected answer of a server must not end the other checks.
            match _first(error):
                case Failed() as failed:
                    self._fail(result, failed.expected, failed.came, failed.like)
                case NotReachable() as why:
                    result.status, result.reason = NOT_REACHABLE, str(why)
                    result.never = isinstance(why, NeverReachable)
                    result.left_out = isinstance(why, LeftOut)
                case CannotRun() as why:
                    # If several checks find this out, the first one reports it.
                    self._cannot = self._cannot or why
                    self._scope.cancel()
                case other:
                    place = traceback.extract_tb(other.__traceback__)[-1]
                    came = f"something else: {type(other).__name__} {other} at {place.name}, line {place.lineno}"
                    self._fail(result, "what this check can read", came)

    @staticmethod
    def _fail(result: Result, expected: str, came: str, like: str = "") -> None:
        result.status, result.expected, result.came, result.like = FAILED, expected, came, like
