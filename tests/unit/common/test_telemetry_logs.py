"""Logs: one JSON object a line whatever is logged, from every source, without secrets."""

import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import trace

from goalkick.common.config.secret import MASK, Secret
from goalkick.common.config.types import Settings
from goalkick.common.telemetry.logs import configure
from goalkick.common.telemetry.traces import parse_traceparent, traceparent_for
from goalkick.common.values.ids import derive_id

VALUE = "hunter2-very-secret"


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    for name in ("aiokafka", "asyncio", "uvicorn"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def json_lines(stream: io.StringIO) -> list[dict[str, Any]]:
    text = stream.getvalue()
    assert not text or text.endswith("\n")
    return [json.loads(line, parse_constant=_no_constant) for line in text.split("\n")[:-1]]


def _no_constant(name: str) -> None:
    raise AssertionError(f"not JSON: {name}")


@pytest.fixture
def out() -> io.StringIO:
    stream = io.StringIO()
    configure("risk", "info", stream=stream)
    return stream


def test_a_line_is_one_json_object_with_time_level_service_and_event(out: io.StringIO) -> None:
    structlog.get_logger().info("order refused", code="stale", quantity=Decimal("0.10"), n=3)
    (line,) = json_lines(out)
    moment = datetime.fromisoformat(line.pop("ts"))
    assert moment.utcoffset() is not None
    assert line == {
        "level": "info",
        "service": "risk",
        "event": "order refused",
        "code": "stale",
        "quantity": "0.10",
        "n": 3,
    }


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.decimals()
    | st.datetimes()
    | st.just(object())
    | st.just(Path("/x"))
    | st.just(ValueError("\n")),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(), inner)
        | st.dictionaries(st.integers(), inner)
        | st.dictionaries(st.tuples(st.integers()), inner)
    ),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(event=st.text(), value=ANYTHING, name=st.from_regex(r"[a-z]\w*", fullmatch=True))
def test_whatever_is_logged_is_one_json_object_on_one_line(
    event: str, value: object, name: str
) -> None:
    stream = io.StringIO()
    configure("risk", stream=stream)
    structlog.get_logger().info(event, **{f"x_{name}": value})
    (line,) = json_lines(stream)
    assert line["event"] == event
    assert f"x_{name}" in line


def test_data_that_contains_itself_or_cannot_be_shown_is_logged_all_the_same(
    out: io.StringIO,
) -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    root = logging.getLogger()  # pytest's own handlers cannot show it either
    root.handlers[:] = [one for one in root.handlers if "telemetry" in type(one).__module__]
    loop: list[object] = []
    loop.append(loop)
    structlog.get_logger().info("odd", loop=loop, broken=Broken(), big=2**70, lone="\ud800")
    (line,) = json_lines(out)
    assert "Broken" in line["broken"]


def test_the_standard_library_and_warnings_take_the_same_way(out: io.StringIO) -> None:
    logging.getLogger("aiokafka").warning("lost %s of %d", "x", 3, extra={"topic": "t"})
    logging.getLogger("aiokafka").info("about myself")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old thing", stacklevel=1)
    first, second = json_lines(out)
    assert (first["event"], first["level"], first["topic"]) == ("lost x of 3", "warning", "t")
    assert (first["service"], second["service"]) == ("risk", "risk")
    assert "old thing" in second["event"]


def test_an_exception_is_one_field_with_the_traceback_and_without_locals(out: io.StringIO) -> None:
    try:
        _fail("wrong", VALUE)
    except ValueError:
        structlog.get_logger().exception("failed")
        logging.getLogger("x").exception("failed too")
    for line in json_lines(out):
        assert "ValueError: wrong" in line["exception"]
        assert VALUE not in json.dumps(line)


def test_what_lies_below_the_level_is_not_written(out: io.StringIO) -> None:
    structlog.get_logger().debug("x")
    logging.getLogger("x").debug("x")
    assert json_lines(out) == []


def test_configuring_again_replaces_and_keeps_handlers_of_others(out: io.StringIO) -> None:
    other = logging.NullHandler()
    logging.getLogger().addHandler(other)
    second = io.StringIO()
    configure("execution", "debug", stream=second)
    structlog.get_logger().debug("x")
    assert json_lines(out) == []
    assert [line["service"] for line in json_lines(second)] == ["execution"]
    assert other in logging.getLogger().handlers


def test_a_line_may_name_another_service_and_carries_bound_context(out: io.StringIO) -> None:
    structlog.contextvars.bind_contextvars(partition=4)
    structlog.get_logger().bind(service="feature").info("x")
    (line,) = json_lines(out)
    assert (line["service"], line["partition"]) == ("feature", 4)


def test_a_line_within_a_trace_has_its_ids(out: io.StringIO) -> None:
    event_id = derive_id("a", "b")
    context = parse_traceparent(traceparent_for(event_id))
    assert context is not None
    with trace.use_span(trace.NonRecordingSpan(context)):
        structlog.get_logger().info("inside")
        logging.getLogger("x").warning("inside too")
    structlog.get_logger().info("outside")
    inside, too, outside = json_lines(out)
    assert inside["trace_id"] == too["trace_id"] == event_id
    assert inside["span_id"] == trace.format_span_id(context.span_id)
    assert "trace_id" not in outside


def _fail(reason: object, password: str = "") -> None:
    raise ValueError(reason)


class Venue(Settings):
    key: Secret


@pytest.mark.parametrize("form", ["json", "text"])
def test_secrets_are_never_written(form: Any) -> None:
    stream = io.StringIO()
    configure("risk", form=form, stream=stream)
    secret = Secret("env:KEY", VALUE)
    log = structlog.get_logger()
    log.info(
        "typed", key=secret, nested={"deep": [secret]}, model=Venue(key=secret), text=f"{secret}"
    )
    log.info("named", api_key=VALUE, nested={"Password": VALUE, "list": [{"access_token": VALUE}]})
    log.info("positional %s", secret)
    logging.getLogger("x").warning("stdlib %s", secret, extra={"authorization": VALUE})
    try:
        _fail(secret, password=VALUE)
    except ValueError:
        log.exception("failed", secret=VALUE)
    text = stream.getvalue()
    assert VALUE not in text
    assert text.count(MASK) >= 10


@pytest.mark.parametrize("name", ["key", "token_count", "secretary", "monkey"])
def test_harmless_names_are_not_masked(out: io.StringIO, name: str) -> None:
    structlog.get_logger().info("x", **{name: "shown"})
    assert json_lines(out)[0][name] == "shown"


def test_a_terminal_gets_text_and_anything_else_json_lines() -> None:
    for stream, human in ((Terminal(), True), (io.StringIO(), False)):
        configure("risk", stream=stream)
        structlog.get_logger().info("order refused", code="stale")
        text = stream.getvalue()
        assert "order refused" in text
        assert text.startswith("{") != human


def test_lines_go_to_standard_error_unless_said_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure("risk")
    structlog.get_logger().info("x")
    assert len(json_lines(stream)) == 1
