"""Traces by OpenTelemetry: a request from the door through its lane and batch to the statements.

Nothing of this is imported unless traces are switched on (TESSERA_TRACES, and the extra `traces` installed).
Spans carry names, sizes and ids of requests; no body, no address, no parameter of a statement.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Protocol
from uuid import UUID

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanKind, set_span_in_context, use_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Asked(Protocol):
    """As much of an ask as its spans say."""

    @property
    def address(self) -> str:
        """Which kind of body it is."""

    @property
    def request_id(self) -> str:
        """Of its request."""

    @property
    def size(self) -> int:
        """How many commands it may be."""

    @property
    def trace(self) -> str:
        """The traceparent of its request; "" where that has none."""


_PROPAGATOR = TraceContextTextMapPropagator()
_CONTEXT = (b"traceparent", b"tracestate")


class Tracing:
    """Makes the spans of one process."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("tessera")

    @classmethod
    def to(cls, address: str, process: str) -> "Tracing":
        """Traces that go to an OTLP address over HTTP, in the background.

        Args:
            address: Such as http://127.0.0.1:4318/v1/traces.
            process: What this process is called there.
        """
        provider = TracerProvider(resource=Resource.create({"service.name": f"tessera-{process}"}))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=address)))
        return cls(provider)

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()

    def door(self, app: ASGIApp) -> ASGIApp:
        """An application whose requests are spans, children of what the caller's traceparent names."""

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            given = {
                name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _CONTEXT
            }
            with self._tracer.start_as_current_span(
                scope["method"], context=_PROPAGATOR.extract(given), kind=SpanKind.SERVER
            ) as span:
                passed: dict[str, str] = {}
                _PROPAGATOR.inject(passed)
                scope.setdefault("state", {})["trace"] = passed["traceparent"]

                async def noted(message: Message) -> None:
                    if message["type"] == "http.response.start":
                        span.set_attribute("http.response.status_code", message["status"])
                    await send(message)

                try:
                    await app(scope, receive, noted)
                finally:
                    route = getattr(scope.get("route"), "path", "other")
                    span.update_name(f"{scope['method']} {route}")
                    span.set_attribute("http.route", route)
                    span.set_attribute("tessera.request_id", scope["state"].get("request_id", ""))

        return traced

    @contextmanager
    def batch(self, asks: Sequence[Asked]) -> Iterator[None]:
        """The spans of asks in their lane, and of the batch that carries them out: the first's child."""
        with ExitStack() as stack:
            inside = [self._lane(stack, ask) for ask in asks if ask.trace]
            parent = set_span_in_context(inside[0]) if inside else Context()
            links = [Link(span.get_span_context()) for span in inside[1:]]
            with self._tracer.start_as_current_span("batch", context=parent, links=links) as span:
                span.set_attribute("tessera.batch_size", sum(ask.size for ask in asks))
                yield

    @contextmanager
    def lines(self, files: Sequence[UUID], size: int) -> Iterator[None]:
        """The span of lines of files that share a transaction; they come long after the files' requests."""
        with self._tracer.start_as_current_span("lines of files", context=Context()) as span:
            span.set_attribute("tessera.batch_size", size)
            span.set_attribute("tessera.files", [f"bat_{each.hex}" for each in files])
            yield

    def _lane(self, stack: ExitStack, ask: Asked) -> Span:
        context = _PROPAGATOR.extract({"traceparent": ask.trace})
        span = self._tracer.start_span(f"lane {ask.address}", context=context)
        span.set_attribute("tessera.request_id", ask.request_id)
        stack.enter_context(use_span(span, end_on_exit=True))
        return span

    @contextmanager
    def statements(self, texts: Sequence[bytes]) -> Iterator[None]:
        """The span of statements that travel together; they hold numbers of parameters, never values."""
        names = [b" ".join(each.split(None, 3)[:3]).decode() for each in texts]
        with self._tracer.start_as_current_span(f"{len(names)} statements", kind=SpanKind.CLIENT) as span:
            span.set_attribute("db.system.name", "postgresql")
            span.set_attribute("db.statements", names)
            yield
