"""`decimal.Decimal` <-> the wire's Decimal message: exact, with its scale.

What is kept: every digit and the scale, so 12.50 comes back as 12.50 and 1E+3 as 1E+3. What is not:
the sign of zero, which means nothing for money; -0.00 comes back as 0.00.
"""

from decimal import Decimal
from typing import Any

from goalkick.common.core.errors import InvalidDataError

MAX_SCALE = 1000
"""Largest scale on the wire, either way. Sums and quotients of money have 60 significant digits and
scales far below; a bound keeps one bad record from making numbers that fill the memory."""

MAX_WIDE_BYTES = 64
"""Largest mantissa on the wire: 153 digits, where exact products have at most 60."""

_INT64 = range(-(2**63), 2**63)
_SHORT = 18
"""A text of no more characters has no more digits, and 18 digits always fit 64 bits."""


class _Units(dict[int, Decimal]):
    """Scale -> 10^-scale, each computed once; at most 2001 of them."""

    def __missing__(self, scale: int) -> Decimal:
        unit = self[scale] = Decimal((0, (1,), -_checked(scale)))
        return unit


_units = _Units()


def write(value: Decimal) -> dict[str, int | bytes]:
    """The fields of the message that holds `value`.

    Raises:
        InvalidDataError: it is no finite Decimal, or has more digits or a larger scale than fit.
    """
    if type(value) is not Decimal:
        raise _not_finite(value)
    # By way of the text: several times faster than `as_tuple`.
    text = str(value)
    if "E" in text:
        text, _, exponent = text.partition("E")
        shift = int(exponent)
    else:
        shift = 0
    whole, _, fraction = text.partition(".")
    try:
        mantissa = int(whole + fraction)
    except ValueError:
        raise _not_finite(value) from None
    if len(text) > _SHORT and mantissa not in _INT64:
        return {"wide_mantissa": _wide(mantissa), "scale": _checked(len(fraction) - shift)}
    return {
        "mantissa": mantissa,
        "scale": _checked(len(fraction) - shift) if shift else len(fraction),
    }


def read(message: Any) -> Decimal | None:
    """The value of a message, or None where `read_rare` must look closer.

    Raises:
        InvalidDataError: the scale is out of range.
    """
    mantissa = message.mantissa
    # Exact: at most 19 digits times a power of ten.
    return Decimal(mantissa) * _units[message.scale] if mantissa else None


def read_rare(message: Any) -> Decimal:
    """The value of a message whose 64-bit mantissa is zero or absent.

    Raises:
        InvalidDataError: there are no digits, or too many, or the scale is out of range.
    """
    digits = message.WhichOneof("digits")
    if digits is None:
        raise InvalidDataError("expected a mantissa, found none")
    unit = _units[message.scale]
    if digits == "mantissa":
        return Decimal(message.mantissa) * unit
    wide: bytes = message.wide_mantissa
    if not 0 < len(wide) <= MAX_WIDE_BYTES:
        raise InvalidDataError(
            f"expected 1 to {MAX_WIDE_BYTES} bytes of mantissa, found {len(wide)}"
        )
    mantissa = int.from_bytes(wide, "big", signed=True)
    # From text, which is exact to any length; a product would be rounded to 60 digits.
    return Decimal(f"{mantissa}E{-message.scale}")


def _wide(mantissa: int) -> bytes:
    wide = mantissa.to_bytes(mantissa.bit_length() // 8 + 1, "big", signed=True)
    if len(wide) > MAX_WIDE_BYTES:
        raise InvalidDataError(
            f"expected at most {MAX_WIDE_BYTES} bytes of mantissa, found {len(wide)}"
        )
    return wide


def _checked(scale: int) -> int:
    if not -MAX_SCALE <= scale <= MAX_SCALE:
        raise InvalidDataError(f"expected a scale in [-{MAX_SCALE}, {MAX_SCALE}], found {scale}")
    return scale


def _not_finite(value: object) -> InvalidDataError:
    return InvalidDataError(f"expected a finite Decimal, found {value!r:.100}")
