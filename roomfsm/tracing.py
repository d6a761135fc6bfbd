"""Spans of what takes time, for OpenTelemetry. Without `--otlp-endpoint` one costs a look at a context variable.

A span says how long a step took, and what it was part of. The tracer is in a context variable, because Trio gives
each task the context of whoever started it: everything that a server starts finds the server's tracer, and two
servers in one program have two. OpenTelemetry keeps the span that a task is in in the same way, so steps find what
they are part of. But a task that lives longer than what started it must `leave_trace`: a room is no part of the
join that opened it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Protocol


class Span(Protocol):
    """One step."""

    def note(self, **facts: str) -> None:
        """Say more of the step. Nothing secret may be said."""


class Tracer(Protocol):
    """Makes spans and sends them somewhere (`roomfsm.otlp`)."""

    def span(self, name: str, facts: dict[str, str], *, root: bool) -> AbstractContextManager[Span]:
        """A span for the block, within the task's present span; with `root` it begins a trace of its own."""

    @property
    def in_span(self) -> bool:
        """Whether the task is in a span."""

    def leave_trace(self) -> None:
        """Let the task be in no span from now on."""


class _NoSpan:
    def note(self, **facts: str) -> None:
        """Say it to nobody."""


_NOTHING = nullcontext(_NoSpan())
_TRACER: ContextVar[Tracer | None] = ContextVar("roomfsm.tracer", default=None)


def trace(name: str, **facts: str) -> AbstractContextManager[Span]:
    """A span that begins a trace."""
    tracer = _TRACER.get()
    return _NOTHING if tracer is None else tracer.span(name, facts, root=True)


def part(name: str, **facts: str) -> AbstractContextManager[Span]:
    """A span within the task's present one. If there is none, nobody wants to know of the step."""
    tracer = _TRACER.get()
    return _NOTHING if tracer is None or not tracer.in_span else tracer.span(name, facts, root=False)


def leave_trace() -> None:
    """Let this task be in no span from now on."""
    tracer = _TRACER.get()
    if tracer is not None:
        tracer.leave_trace()


@contextmanager
def tracing(tracer: Tracer) -> Iterator[None]:
    """Trace what this task does within the block, and all tasks that are started in it."""
    token = _TRACER.set(tracer)
    try:
        yield
    finally:
        _TRACER.reset(token)
