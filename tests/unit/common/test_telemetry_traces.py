"""Traces: contexts in W3C form, the same trace for the same event, nothing loaded when off."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from goalkick.common.core.errors import SettingsError
from goalkick.common.telemetry.traces import (
    Traces,
    configure,
    format_traceparent,
    parse_traceparent,
    traceparent_for,
)
from goalkick.common.values.ids import EventId, derive_id

EXAMPLE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_traceparent_is_read_and_written_as_w3c_says() -> None:
    context = parse_traceparent(EXAMPLE)
    assert context is not None
    assert trace.format_trace_id(context.trace_id) == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert trace.format_span_id(context.span_id) == "00f067aa0ba902b7"
    assert context.trace_flags.sampled
    assert format_traceparent(context) == EXAMPLE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        f"ff{EXAMPLE[2:]}",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01",
        EXAMPLE.upper().replace("00-", "0G-"),
    ],
)
def test_what_is_no_traceparent_is_none(text: str) -> None:
    assert parse_traceparent(text) is None


def test_a_broken_traceparent_is_none_within_a_span_too() -> None:
    context = parse_traceparent(EXAMPLE)
    assert context is not None
    with trace.use_span(trace.NonRecordingSpan(context)):
        assert parse_traceparent("nonsense") is None


def test_no_context_has_no_traceparent() -> None:
    assert format_traceparent(trace.INVALID_SPAN_CONTEXT) is None


@given(cause=st.text())
def test_the_same_event_has_the_same_trace_which_its_id_names(cause: str) -> None:
    event_id = derive_id(cause, "BarClosed")
    text = traceparent_for(event_id)
    context = parse_traceparent(text)
    assert text == traceparent_for(event_id)
    assert context is not None
    assert trace.format_trace_id(context.trace_id) == event_id
    assert context.trace_flags.sampled


@pytest.mark.parametrize("text", ["", "abc", "A" * 32])
def test_only_an_event_id_begins_a_trace(text: str) -> None:
    with pytest.raises(ValueError, match="32 hexadecimal digits"):
        traceparent_for(EventId(text))


def test_traces_are_off_by_default_and_a_span_does_nothing() -> None:
    traces = configure("risk")
    assert not traces.enabled
    with traces.span("handle", parent=EXAMPLE, attributes={"n": 1}) as span:
        assert not span.is_recording()
        assert not trace.get_current_span().get_span_context().is_valid
    traces.shutdown()


LOADED = """
import sys
from goalkick.common.telemetry import logs, metrics, traces
from goalkick.common.runtime import health
traces.configure("risk")
print([name for name in ("opentelemetry.sdk.trace", "opentelemetry.exporter", "requests", "numpy",
                         "google.protobuf", "ccxt", "aiokafka") if name in sys.modules])
"""


def test_nothing_heavy_is_loaded_while_traces_are_off() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


class Collector(HTTPServer):
    """An OTLP endpoint that keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receive)
        self.paths: list[str] = []
        self.requests: list[ExportTraceServiceRequest] = []


class _Receive(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        assert isinstance(self.server, Collector)
        self.server.paths.append(self.path)
        self.server.requests.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _exported(collector: Collector) -> tuple[Traces, str]:
    return configure("risk", "otlp", f"http://127.0.0.1:{collector.server_port}/"), EXAMPLE


def test_spans_reach_the_collector_under_the_parent_that_came_with_the_cause(
    collector: Collector,
) -> None:
    traces, parent = _exported(collector)
    assert traces.enabled
    with (
        traces.span("handle", parent=parent, attributes={"topic": "t"}),
        traces.span("produce") as inner,
    ):
        header = format_traceparent(inner.get_span_context())
    traces.shutdown()
    assert collector.paths == ["/v1/traces"]
    (resource,) = collector.requests[0].resource_spans
    names = {one.key: one.value.string_value for one in resource.resource.attributes}
    assert names["service.name"] == "risk"
    spans = {span.name: span for scope in resource.scope_spans for span in scope.spans}
    assert spans["handle"].trace_id.hex() == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert spans["handle"].parent_span_id.hex() == "00f067aa0ba902b7"
    assert spans["produce"].parent_span_id == spans["handle"].span_id
    assert header == f"00-{spans['produce'].trace_id.hex()}-{spans['produce'].span_id.hex()}-01"


@pytest.mark.parametrize("endpoint", [None, "", "localhost:4318"])
def test_an_exporter_needs_the_collectors_url(endpoint: str | None) -> None:
    with pytest.raises(SettingsError, match="expected the collector's URL"):
        configure("risk", "otlp", endpoint)
