"""Parameters of requests: what they look like, and Binance's word for each way to be wrong.

Both protocols bring parameters here as text: a form's values as they are, JSON's numbers as they
were written.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from goalkick.common.values.time import NS_PER_MS
from goalkick.venue.binance import errors

Parser = Callable[[str, str], Any]
"""(name, text) -> value; raises `ApiError`."""

Values = Mapping[str, Any]
"""Parsed parameters by name; optional ones that were not sent are not in it."""

Choice = TypeVar("Choice")

INTEGER_RANGE = "^[0-9]{1,20}$"
DECIMAL_RANGE = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
CLIENT_ID_RANGE = "^[a-zA-Z0-9-_]{1,36}$"
SYMBOL_RANGE = r"^[\\w\\-._&&[^a-z]]{1,50}$"
"""Legal ranges as Binance prints them, in the words of its own regular expressions."""

LARGEST = 2**63 - 1
DECIMALS = 8
"""More digits after the point are refused."""

_MICROSECONDS = 10**14
"""Times at least as large are in microseconds: as milliseconds they would be in the year 5138."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a request.

    Attributes:
        name: on the wire.
        parse: reads its text.
        required: whether the request is refused without it.
    """

    name: str
    parse: Parser
    required: bool = False


def read(table: Sequence[Parameter], sent: Mapping[str, str]) -> dict[str, Any]:
    """Reads all parameters that the table has.

    Raises:
        ApiError: one is missing, empty or malformed, or one was sent that the table has not.
    """
    values: dict[str, Any] = {}
    for parameter in table:
        text = sent.get(parameter.name)
        if not text:
            if parameter.required:
                raise errors.missing(parameter.name)
            if text == "":
                raise errors.empty(parameter.name)
        else:
            values[parameter.name] = parameter.parse(parameter.name, text)
    if len(values) != len(sent):
        raise errors.unread(len(values), len(sent))
    return values


def text(_name: str, value: str) -> str:
    """Any text."""
    return value


def symbol(name: str, value: str) -> str:
    """What may be a symbol: no lower-case Latin letters; whether it is listed shows later."""
    if not re.fullmatch(r"[\w\-.]{1,50}", value) or re.search("[a-z]", value):
        raise errors.illegal(name, SYMBOL_RANGE)
    return value


def symbols(name: str, value: str) -> list[str]:
    """A JSON array of symbols, none twice."""
    try:
        names = msgspec.json.decode(value, type=list[str])
    except msgspec.MsgspecError:
        raise errors.illegal(name, r"^\\[(\"[\\w\\-._&&[^a-z]]{1,50}\"...)\\]$") from None
    if len(set(names)) != len(names):
        raise errors.ApiError(-1151, "Symbol is present multiple times in the list.")
    return [symbol(name, one) for one in names]


def integer(name: str, value: str) -> int:
    """A whole number that is not negative and fits into 63 bits."""
    if not re.fullmatch("[0-9]{1,20}", value):
        raise errors.illegal(name, INTEGER_RANGE)
    if (number := int(value)) > LARGEST:
        raise errors.ApiError(-1108, f"Parameter '{name}' overflowed.")
    return number


def count(name: str, value: str) -> int:
    """How many rows are wanted: at least one."""
    if (number := integer(name, value)) < 1:
        raise errors.invalid_data(name)
    return number


def time_ns(name: str, value: str) -> int:
    """A time in milliseconds or microseconds, as nanoseconds."""
    number = integer(name, value)
    return number * (NS_PER_MS // 1_000 if number >= _MICROSECONDS else NS_PER_MS)


def decimal(name: str, value: str) -> Decimal:
    """A number that is not negative, with at most eight digits after the point."""
    if not re.fullmatch(r"[0-9]{1,20}(\.[0-9]{1,20})?", value):
        raise errors.illegal(name, DECIMAL_RANGE)
    if len(value.partition(".")[2].rstrip("0")) > DECIMALS:
        raise errors.too_precise(name)
    return Decimal(value)


def boolean(name: str, value: str) -> bool:
    """`true` or `false`."""
    if value not in ("true", "false"):
        raise errors.illegal(name, "^(true|false)$")
    return value == "true"


def client_id(name: str, value: str) -> str:
    """A client order id."""
    if not re.fullmatch("[a-zA-Z0-9-_]{1,36}", value):
        raise errors.illegal(name, CLIENT_ID_RANGE)
    return value


def receive_window(name: str, value: str) -> int:
    """How old a request may be, in milliseconds with up to three decimals, as nanoseconds."""
    if not re.fullmatch(r"[0-9]{1,20}(\.[0-9]{1,3})?", value):
        raise errors.illegal(name, r"^[0-9]{1,20}(\.[0-9]{1,3})?$")
    if (window := Decimal(value)) > 60_000:
        raise errors.ApiError(-1131, "recvWindow must be less than 60000.")
    return int(window * NS_PER_MS)


def choice(table: Mapping[str, Choice], code: int, msg: str) -> Callable[[str, str], Choice]:
    """One of some words, else an error of its own."""

    def parse(_name: str, value: str) -> Choice:
        try:
            return table[value]
        except KeyError:
            raise errors.ApiError(code, msg) from None

    return parse
