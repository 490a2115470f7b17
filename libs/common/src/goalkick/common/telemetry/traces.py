"""Traces: which events led to which, across services, in OpenTelemetry's form.

The context travels in the record header `traceparent` (W3C Trace Context). A trace's id is the id
of the first market event, so a replay of the same data has the same traces, and a trace is found
by the event. Off by default: then no SDK is loaded and a span costs one call.
"""

import re
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

from opentelemetry import trace
from opentelemetry.trace import Span, SpanContext
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from goalkick.common.core.errors import SettingsError
from goalkick.common.values.ids import EventId, derive_id

Exporter = Literal["none", "otlp"]

HEADER = "traceparent"
"""Name of the record header, the same as of the HTTP header."""

SHUTDOWN_S = 2.0
"""How long to wait for a collector at the end: a service must stop within five seconds."""

EXPORT_S = 1.0
"""How long one export may take, retries included."""

_PROPAGATOR = TraceContextTextMapPropagator()
_NO_SPAN: AbstractContextManager[Span] = nullcontext(trace.INVALID_SPAN)
_EVENT_ID = re.compile(r"[0-9a-f]{32}")


class Traces:
    """Makes spans; without a tracer it makes none."""

    def __init__(self, tracer: trace.Tracer | None = None) -> None:
        """Takes the tracer that `configure` made, or None for no traces at all."""
        self._tracer = tracer

    @property
    def enabled(self) -> bool:
        """Whether spans are recorded; ask before working out costly attributes."""
        return self._tracer is not None

    def span(
        self,
        name: str,
        *,
        parent: str | None = None,
        attributes: Mapping[str, str | int | float | bool] | None = None,
    ) -> AbstractContextManager[Span]:
        """A span around a `with` block.

        Args:
            name: what is done, without ids (`handle`, `produce`).
            parent: the `traceparent` that came with the cause; without one the span belongs to
                the span around it, or begins a trace.
            attributes: what to note about it; never a secret.
        """
        if self._tracer is None:
            return _NO_SPAN
        context = _PROPAGATOR.extract({HEADER: parent}) if parent else None
        return self._tracer.start_as_current_span(name, context, attributes=attributes)

    def shutdown(self) -> None:
        """Hands over what is left; gives up after two seconds."""


class _ExportedTraces(Traces):
    """Spans that go to a collector."""

    def __init__(self, service: str, endpoint: str) -> None:
        # The SDK and the exporter weigh 15 MB and 0.2 s: only who exports loads them.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        # Ours alone, never the process's: libraries then stay silent, and tests stay apart.
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": service, "service.namespace": "goalkick"}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_S))
        )
        super().__init__(self._provider.get_tracer("goalkick"))

    def shutdown(self) -> None:
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(SHUTDOWN_S)


def configure(service: str, exporter: Exporter = "none", endpoint: str | None = None) -> Traces:
    """Sets up traces for a service.

    Args:
        service: OpenTelemetry's `service.name`.
        exporter: `none`, or `otlp` (protobuf over HTTP).
        endpoint: base URL of the collector, for example `http://localhost:4318`.

    Raises:
        SettingsError: `otlp` without a URL.
    """
    if exporter == "none":
        return Traces()
    if not endpoint or not endpoint.startswith(("http://", "https://")):
        raise SettingsError(
            f"traces: expected the collector's URL (http://host:4318), found {endpoint!r}"
        )
    return _ExportedTraces(service, f"{endpoint.rstrip('/')}/v1/traces")


def parse_traceparent(text: str) -> SpanContext | None:
    """The context of a `traceparent`, or None if the text is none (W3C Trace Context, level 1)."""
    context = trace.get_current_span(_PROPAGATOR.extract({HEADER: text})).get_span_context()
    return context if context.is_valid and context.is_remote else None


def format_traceparent(context: SpanContext) -> str | None:
    """The `traceparent` of a context, or None if the context is of no trace."""
    carrier: dict[str, str] = {}
    span = trace.NonRecordingSpan(context)
    _PROPAGATOR.inject(carrier, context=trace.set_span_in_context(span))
    return carrier.get(HEADER)


def traceparent_for(event_id: EventId) -> str:
    """The sampled `traceparent` of what a first market event leads to.

    The trace id is the event's id; the parent id is derived from it. The same event has the same
    trace in every run.

    Raises:
        ValueError: `event_id` is not 32 lower-case hexadecimal digits.
    """
    if not _EVENT_ID.fullmatch(event_id):
        raise ValueError(f"expected an id of 32 hexadecimal digits, found {event_id!r}")
    return f"00-{event_id}-{derive_id(event_id, 'span')[:16]}-01"
