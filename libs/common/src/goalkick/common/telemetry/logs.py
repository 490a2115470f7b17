"""Structured logs: one JSON object a line, or a form for people on a terminal.

Lines go to the standard error stream, so that the standard output stays the command's result.
Everything of the standard library (`logging`, `warnings`, uvicorn, aiokafka) takes the same way.
Secrets are masked by their type and, in case somebody has revealed one, by the name of the field.
"""

import json
import logging
import re
import sys
from collections.abc import MutableMapping
from pathlib import PurePath
from typing import Any, Literal, TextIO

import msgspec
import structlog
from opentelemetry import trace
from pydantic import BaseModel

from goalkick.common.config.secret import MASK

Level = Literal["debug", "info", "warning", "error"]
Form = Literal["auto", "json", "text"]

_Fields = MutableMapping[str, Any]

_SENSITIVE = re.compile(
    r"(?i)(^|_)(secret|password|passphrase|token|api_?key|private_?key|authorization|credentials?)$"
)
"""Names of fields whose values are masked, whatever they are."""

_ORDER = ("ts", "level", "service", "event")
"""What stands first in each JSON object, so that lines can be read by eye too."""

DEEPEST = 8
"""Levels of nesting that a line shows; deeper data (or data that contains itself) is cut."""

_LOUD = ("aiokafka", "asyncio", "ccxt", "urllib3", "uvicorn")
"""Libraries whose debug and info lines are about themselves: only their warnings pass. ccxt's tell
every request with its headers, where a venue's key stands."""


def configure(
    service: str, level: Level = "info", form: Form = "auto", *, stream: TextIO | None = None
) -> None:
    """Sets up logging for the process; a later call replaces the earlier one.

    Args:
        service: stands in every line.
        level: the lowest level that is written.
        form: `json`, `text` (for people), or `auto`: text on a terminal, else JSON lines.
        stream: where to; the standard error stream unless said otherwise.
    """
    out = sys.stderr if stream is None else stream
    human = form == "text" or (form == "auto" and out.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        _Service(service),
        _add_trace,
        _mask,
    ]
    ending = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(human, out)]
    handler = _Handler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=ending)
    )
    _take_over(handler, level)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


class _Handler(logging.StreamHandler[TextIO]):
    """Our handler: `configure` knows it again and replaces it, and leaves those of others alone."""


def _take_over(handler: _Handler, level: Level) -> None:
    root = logging.getLogger()
    for old in [one for one in root.handlers if isinstance(one, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.captureWarnings(capture=True)
    for name in _LOUD:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def _rendering(human: bool, out: TextIO) -> list[structlog.typing.Processor]:
    if human:
        # Plain tracebacks: the pretty ones print local variables, and a secret may be one.
        return [
            structlog.dev.ConsoleRenderer(
                colors=out.isatty(),
                timestamp_key="ts",
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    return [structlog.processors.format_exc_info, _as_json]


class _Service:
    """Adds the service's name, unless the line has one (several services in one process)."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, logger: object, method: str, fields: _Fields) -> _Fields:
        fields.setdefault("service", self._name)
        return fields


def _add_trace(_logger: object, _method: str, fields: _Fields) -> _Fields:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        fields["trace_id"] = trace.format_trace_id(context.trace_id)
        fields["span_id"] = trace.format_span_id(context.span_id)
    return fields


def _mask(_logger: object, _method: str, fields: _Fields) -> _Fields:
    for name, value in fields.items():
        fields[name] = MASK if _SENSITIVE.search(name) else _masked(value)
    return fields


def _masked(value: Any, depth: int = 0) -> Any:
    """The value with sensitive entries of dicts inside it masked."""
    if depth == DEEPEST:
        return "…"
    if type(value) is dict:
        return {
            key: MASK
            if isinstance(key, str) and _SENSITIVE.search(key)
            else _masked(inner, depth + 1)
            for key, inner in value.items()
        }
    return [_masked(inner, depth + 1) for inner in value] if type(value) is list else value


def _as_json(_logger: object, _method: str, fields: _Fields) -> str:
    ordered = {name: fields.pop(name) for name in _ORDER if name in fields} | dict(fields)
    try:
        return msgspec.json.encode(ordered, enc_hook=_plain).decode()
    except Exception:
        # Whatever a value's own code raises, the line is written: as Python shows its values.
        return json.dumps({str(name): _shown(value) for name, value in ordered.items()})


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, BaseException | PurePath):
        return str(value)
    return repr(value)


def _shown(value: object) -> str:
    try:
        return value if isinstance(value, str) else repr(value)
    except Exception as error:  # any object may be logged
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"
