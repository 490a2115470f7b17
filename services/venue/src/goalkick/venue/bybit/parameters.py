"""What may be asked with a call, by name: kinds of parameters, read strictly.

Stricter than the real venue in one thing: a parameter that is not in Bybit's documentation of the
call is refused instead of ignored, so that misspelt ones are noticed.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from goalkick.common.values.money import ZERO, parse_decimal
from goalkick.venue.bybit import errors

LINK_ID = re.compile(r"[A-Za-z0-9_-]{1,36}")


@dataclass(frozen=True)
class Field:
    """A parameter of a call.

    Attributes:
        read: text as sent -> value; raises ValueError.
        required: whether it must be there and not empty.
        default: its value where it is not there.
    """

    read: Callable[[str], Any]
    required: bool = False
    default: Any = None


def read(fields: Mapping[str, Field], sent: Mapping[str, Any]) -> dict[str, Any]:
    """The values of all parameters of a call.

    Args:
        fields: that the call knows.
        sent: query parameters, or the members of the JSON body.

    Raises:
        ApiError: one is unknown, missing or wrong.
    """
    for name in sent:
        if name not in fields:
            raise errors.bad_parameter(f"unknown parameter {name}")
    return {name: _value(name, field, sent.get(name)) for name, field in fields.items()}


def _value(name: str, field: Field, sent: Any) -> Any:
    if sent is None or sent == "":
        if field.required:
            raise errors.bad_parameter(f"{name} is required")
        return field.default
    if isinstance(sent, float):
        raise errors.bad_parameter(f"{name} must be a string")
    text = str(sent).lower() if isinstance(sent, bool) else str(sent)
    try:
        return field.read(text)
    except ValueError:
        raise errors.ApiError(170130, f"Data sent for paramter '{name}' is not valid.") from None


def category(text: str) -> str:
    """The product; only spot is served."""
    if text != "spot":
        raise errors.bad_parameter("Category is invalid")
    return text


def positive(text: str) -> Decimal:
    """An amount above zero."""
    value = parse_decimal(text)
    if value <= ZERO:
        raise ValueError(text)
    return value


def price(text: str) -> Decimal | None:
    """A price; zero says that there is none."""
    value = parse_decimal(text)
    if value < ZERO:
        raise ValueError(text)
    return value or None


def link_id(text: str) -> str:
    """A client's own order id."""
    if not LINK_ID.fullmatch(text):
        raise ValueError(text)
    return text


def one_of(*texts: str) -> Callable[[str], str]:
    """One of some words."""

    def read_word(text: str) -> str:
        if text not in texts:
            raise ValueError(text)
        return text

    return read_word


def within(low: int, high: int) -> Callable[[str], int]:
    """A whole number between bounds; beyond the upper one it is that bound."""

    def read_number(text: str) -> int:
        value = int(text)
        if value < low:
            raise ValueError(text)
        return min(value, high)

    return read_number


def window(text: str) -> int:
    """The window of the dead-man timer: 3 to 300 whole seconds."""
    value = int(text)
    if not 3 <= value <= 300:
        raise ValueError(text)
    return value


def unsupported(text: str) -> str:
    """Something that this venue does not do: only empty and false values pass."""
    if text not in ("0", "false", "None", "UNKNOWN", "[]"):
        raise ValueError(text)
    return text


CATEGORY = Field(category, required=True)
SYMBOL = Field(str, required=True)
ANY_SYMBOL = Field(str)
TIME = Field(int)
TEXT = Field(str)
NOT_HERE = Field(unsupported)
