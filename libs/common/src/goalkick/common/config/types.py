"""The base of all settings, and the field types that configuration files use."""

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

from goalkick.common.values.money import decimal_from_float, parse_decimal
from goalkick.common.values.time import format_duration, parse_duration

KeyPath = tuple[str, ...]
"""A dotted key, taken apart: `risk.max_positions` is `("risk", "max_positions")`."""


class Settings(BaseModel):
    """A section of the configuration: frozen, strict about unknown keys, defaults checked too."""

    # Errors hide their input: it may be a secret that somebody wrote where a reference belongs.
    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True
    )


def _exact(value: object) -> object:
    if isinstance(value, str):
        return parse_decimal(value)
    if isinstance(value, float):
        return decimal_from_float(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    return value


def _nanoseconds(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


Exact = Annotated[Decimal, BeforeValidator(_exact)]
"""An exact decimal, written as `0.1` or `"0.1"`: read as the digits that stand in the file."""

Duration = Annotated[
    int,
    BeforeValidator(_nanoseconds),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
]
"""Nanoseconds, written as `60s`, `5m`, `1h`, `1d`, and shown so."""
