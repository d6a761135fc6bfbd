"""Sends traces to a collector by OTLP over HTTP (OpenTelemetry protocol 1.x), if the extra `tracing` is installed.

The SDK collects spans in a bounded queue, and sends them in a thread of its own. So a collector that is slow or
gone delays nobody; spans that find the queue full are dropped. At the end what is left is sent, within a deadline.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import trio
from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Status, StatusCode

from roomfsm import __version__
from roomfsm.log import get_logger
from roomfsm.tracing import Span, Tracer, tracing

_log = get_logger(__name__)

_PATH = "/v1/traces"
_EXPORT_TIMEOUT = 5.0
"""Seconds that the collector has to take some spans."""
_LAST_WORDS = 2.0
"""Seconds for what is left at the end."""


class _OtlpSpan:
    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def note(self, **facts: str) -> None:
        self._span.set_attributes(_named(facts))


class OtlpTracer:
    """Makes OpenTelemetry's spans. Implements `roomfsm.tracing.Tracer`."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("roomfsm", __version__)

    @contextmanager
    def span(self, name: str, facts: dict[str, str], *, root: bool) -> Iterator[Span]:
        within = context.Context() if root else None
        # An exception's text may quote what a client sent, so only its type is told.
        with self._tracer.start_as_current_span(
            name, within, attributes=_named(facts), record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield _OtlpSpan(span)
            except Exception as error:
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise

    @property
    def in_span(self) -> bool:
        return trace.get_current_span().is_recording()

    def leave_trace(self) -> None:
        context.attach(context.Context())


@asynccontextmanager
async def open_otlp(endpoint: str) -> AsyncIterator[None]:
    """Trace everything in this scope, and send it to the collector at `endpoint`."""
    address = endpoint if endpoint.endswith(_PATH) else endpoint.rstrip("/") + _PATH
    resource = Resource.create({"service.name": "roomfsm", "service.version": __version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(endpoint=address, timeout=_EXPORT_TIMEOUT), schedule_delay_millis=1000)
    )
    try:
        tracer: Tracer = OtlpTracer(provider)
        with tracing(tracer):
            yield
    finally:
        with trio.move_on_after(_LAST_WORDS, shield=True) as deadline:
            await trio.to_thread.run_sync(provider.shutdown, abandon_on_cancel=True)
        if deadline.cancelled_caught:
            _log.warning("the last traces are lost", why=f"the collector did not take them in {_LAST_WORDS:g} s")


def _named(facts: dict[str, str]) -> dict[str, str]:
    return {f"roomfsm.{name}": value for name, value in facts.items()}
