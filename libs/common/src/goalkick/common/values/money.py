"""Exact money: prices, quantities and cash are `decimal.Decimal`, never floats.

Importing this module sets the decimal context of the process: 60 significant digits, so that no
product of two 28-digit values is ever rounded, and a signal on NaN or infinity. A float that
enters `Decimal(...)` or is compared with one raises: the only doors between the two worlds are
the feature core's border and risk's sizing.
"""

import decimal
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal

ZERO = Decimal(0)
ONE = Decimal(1)
BPS = Decimal("0.0001")
"""One basis point as a fraction."""

PRECISION = 60
"""Significant digits of every sum and product: two 28-digit factors fit without rounding."""


def exact_context() -> decimal.Context:
    """The context that all money arithmetic runs under.

    Threads start with a copy (it is also installed as `decimal.DefaultContext`).
    """
    return decimal.Context(
        prec=PRECISION,
        rounding=ROUND_HALF_EVEN,
        traps=[
            decimal.InvalidOperation,
            decimal.DivisionByZero,
            decimal.Overflow,
            decimal.FloatOperation,
        ],
    )


decimal.DefaultContext.prec = PRECISION
decimal.DefaultContext.traps[decimal.FloatOperation] = True
decimal.setcontext(exact_context())


def parse_decimal(text: str) -> Decimal:
    """Reads a venue's decimal text exactly.

    Raises:
        ValueError: the text is not a finite decimal number.
    """
    try:
        value = Decimal(text)
    except decimal.InvalidOperation:
        raise ValueError(f"expected a decimal number, found {text!r}") from None
    if not value.is_finite():
        raise ValueError(f"expected a finite decimal number, found {text!r}")
    return value


def decimal_from_float(value: float) -> Decimal:
    """The shortest decimal that reads back as `value` (what `repr` prints).

    Raises:
        ValueError: `value` is not finite.
    """
    return parse_decimal(repr(float(value)))


def round_down(value: Decimal, step: Decimal) -> Decimal:
    """The multiple of `step` nearest to zero-ward of `value`; `step` must be positive."""
    return (value / step).to_integral_value(ROUND_DOWN) * step


def round_nearest(value: Decimal, step: Decimal) -> Decimal:
    """The multiple of `step` nearest to `value`, ties to even; `step` must be positive."""
    return (value / step).to_integral_value(ROUND_HALF_EVEN) * step


def is_multiple(value: Decimal, step: Decimal) -> bool:
    """Whether `value` is a whole number of `step`s."""
    return value % step == 0


def plain(value: Decimal) -> str:
    """`value` without exponent and without trailing zeros: `12.5`, never `1.25E+1`."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
