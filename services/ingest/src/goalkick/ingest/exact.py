"""Exact numbers in bulk: a column of decimals as integers and their decimal places.

The only place where a file's numbers become ours. A float is taken as its shortest decimal text
(what `repr` prints), a text as the digits that stand there; nothing is rounded.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

MAX_DIGITS: Final = 18
"""Significant digits of one number: what an int64 holds with certainty."""
MAX_PLACES: Final = 36
"""Decimal places of one number; below that lies dust of broken arithmetic, no price."""

_EXACT_DIGITS: Final = 15
"""A decimal of at most this many digits is the only such that reads as its double."""
_EXACT_PLACES: Final = 22
"""10^22 is the largest power of ten that is a double exactly."""
_USUAL_PLACES: Final = (2, 4, 8, 12)
"""Of prices and quantities at venues; tried in this order, which is all that it changes."""
_SAMPLE: Final = 1000
_NUMBER: Final = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2})?$"
"""Exponents have two digits at most: 1e999999 would be a gigabyte of digits."""


class DecimalColumn(msgspec.Struct, frozen=True):
    """Decimals without rounding: `mantissas` x 10^-places.

    Attributes:
        mantissas: (n,) int64, |m| < 10^18.
        places: decimal places, as few as hold all values; of the finest where they differ.
        each: (n,) int8 places of every value, where no common number of places holds all of them
            in 18 digits; else None.
    """

    mantissas: Integers
    places: int
    each: npt.NDArray[np.int8] | None = None

    def __len__(self) -> int:
        """The number of values."""
        return len(self.mantissas)

    def __getitem__(self, part: slice | Mask) -> "DecimalColumn":
        """Some of the values, at unchanged places."""
        each = None if self.each is None else self.each[part]
        return DecimalColumn(self.mantissas[part], self.places, each)

    def each_places(self) -> npt.NDArray[np.int8]:
        """(n,) or () int8: the places of every value."""
        return np.asarray(self.places, dtype=np.int8) if self.each is None else self.each

    def decimals(self) -> list[Decimal]:
        """The values, exact."""
        if self.each is None:
            unit = _unit(self.places)
            return [unit * mantissa for mantissa in self.mantissas.tolist()]
        units = [_unit(places) for places in range(self.places + 1)]
        return [
            units[places] * mantissa
            for mantissa, places in zip(self.mantissas.tolist(), self.each.tolist(), strict=True)
        ]

    def floats(self) -> Floats:
        """(n,) float64, each the double nearest to the exact value: what `float(Decimal)` gives."""
        places = np.int64(self.places) if self.each is None else self.each.astype(np.int64)
        values: Floats = self.mantissas / 10.0**places
        # The quotient of two exact doubles is rounded once; where one is not exact, the integers
        # of Python divide as it should be.
        inexact = (np.abs(self.mantissas) > 2**53) | (places > _EXACT_PLACES)
        for row in np.flatnonzero(inexact).tolist():
            place = self.places if self.each is None else int(self.each[row])
            values[row] = int(self.mantissas[row]) / 10**place
        return values

    def fewest_places(self) -> "DecimalColumn":
        """The same values, with as few places as hold all of them."""
        if self.each is not None:
            return self
        places, mantissas = self.places, self.mantissas
        while places and not (mantissas % 10).any():
            mantissas = mantissas // 10
            places -= 1
        return DecimalColumn(mantissas, places)

    def at_places(self, places: int) -> "DecimalColumn | None":
        """The same values with `places` (at least as many as now), or None if they do not fit."""
        if self.each is not None:
            return None
        if places == self.places:
            return self
        factor = 10 ** (places - self.places)
        largest = int(np.abs(self.mantissas).max(initial=0))
        if largest * factor >= 10**MAX_DIGITS:
            return None
        return DecimalColumn(self.mantissas * factor if largest else self.mantissas, places)


class Numbers(NamedTuple):
    """A column, read.

    Attributes:
        column: the values; 0 where `no_number` or `too_long`.
        no_number: (n,) whether the cell is no finite number.
        too_long: (n,) whether it has more digits than `MAX_DIGITS` or places than `MAX_PLACES`.
    """

    column: DecimalColumn
    no_number: Mask
    too_long: Mask


def read_numbers(column: pa.Array) -> Numbers:
    """Reads floats, integers, decimals or texts, exactly."""
    none = np.zeros(len(column), dtype=np.bool_)
    if pa.types.is_floating(column.type):
        values = np.asarray(column.cast(pa.float64()).fill_null(np.nan))
        missing = ~np.isfinite(values)
        quick = _from_floats(np.where(missing, 0.0, values))
        if quick is not None:
            return Numbers(quick, missing, none)
    if pa.types.is_decimal128(column.type) and not column.null_count:
        quick = _from_decimals(column)
        if quick is not None:
            return Numbers(quick, none, none)
    text = column.cast(pa.string())
    longest = pc.max(pc.binary_length(text)).as_py() or 0
    if longest <= _EXACT_DIGITS + 1 and not text.null_count:
        quick = _from_short_text(text)
        if quick is not None:
            return Numbers(quick, none, none)
    return _from_text(text)


def join_numbers(pieces: Sequence[Numbers]) -> Numbers:
    """One column of several that follow each other; at least one."""
    columns, no_number, too_long = zip(*pieces, strict=True)
    most = max(column.places for column in columns)
    aligned = [column.at_places(most) for column in columns]
    fitting = [column.mantissas for column in aligned if column is not None]
    if len(fitting) == len(columns):
        column = DecimalColumn(np.concatenate(fitting), most)
    else:
        each = [np.broadcast_to(column.each_places(), len(column)) for column in columns]
        mantissas = np.concatenate([column.mantissas for column in columns])
        column = DecimalColumn(mantissas, most, np.concatenate(each))
    return Numbers(column, np.concatenate(no_number), np.concatenate(too_long))


def _from_decimals(column: pa.Array) -> DecimalColumn | None:
    """Decimals at the fewest usual places that hold all, or None if 18 digits do not."""
    for places in (*_USUAL_PLACES, column.type.scale):
        try:
            fitting = column.cast(pa.decimal128(MAX_DIGITS, places))
        except pa.ArrowInvalid:
            continue
        words = np.frombuffer(fitting.buffers()[1], dtype="<i8").reshape(-1, 2)
        # 18 digits leave nothing but the sign in the upper half.
        lower = words[fitting.offset : fitting.offset + len(fitting), 0]
        return DecimalColumn(lower.astype(np.int64), places).fewest_places()
    return None


def _from_short_text(text: pa.Array) -> DecimalColumn | None:
    """Texts with so few digits that their doubles say the same; None if one is no number."""
    try:
        values = np.asarray(text.cast(pa.float64()))
    except pa.ArrowInvalid:
        return None
    return _from_floats(values) if np.isfinite(values).all() else None


def _from_floats(values: Floats) -> DecimalColumn | None:
    """Doubles whose shortest texts have at most 15 digits at common places, else None.

    A mantissa below 10^15 that divides back to the double is the shortest text of it.
    """
    first = _places_of(values[:_SAMPLE], 0)
    places = None if first is None else _places_of(values, first)
    if places is None:
        return None
    return DecimalColumn(np.rint(values * 10.0**places).astype(np.int64), places)


def _places_of(values: Floats, first: int) -> int | None:
    for places in range(first, _EXACT_PLACES + 1):
        mantissas = np.rint(values * 10.0**places)
        if np.abs(mantissas).max(initial=0) >= 10.0**_EXACT_DIGITS:
            return None
        if np.array_equal(mantissas / 10.0**places, values):
            return places
    return None


def _from_text(text: pa.Array) -> Numbers:
    """Any texts: digits and point taken apart."""
    text = pc.utf8_trim_whitespace(text.fill_null(""))
    no_number = ~_mask(pc.match_substring_regex(text, _NUMBER))
    text = _zero_where(text, no_number)
    scientific = _mask(pc.match_substring_regex(text, "[eE]"))
    if scientific.any():
        text = pa.array(
            [
                format(Decimal(cell), "f") if is_scientific else cell
                for cell, is_scientific in zip(text.to_pylist(), scientific.tolist(), strict=True)
            ]
        )
    text = pc.utf8_ltrim(text, "+")
    if pc.max(pc.binary_length(text)).as_py() > MAX_DIGITS:
        # Zeros at the end say nothing, and may be what makes it long.
        text = pc.replace_substring_regex(text, r"(\.[0-9]*?)0+$", r"\1")
    point = np.asarray(pc.find_substring(text, "."), dtype=np.int64)
    places = np.where(point < 0, 0, np.asarray(pc.binary_length(text)) - point - 1)
    digits = pc.replace_substring(text, ".", "")
    count = np.asarray(pc.binary_length(pc.utf8_ltrim(digits, "-0")))
    too_long = (count > MAX_DIGITS) | (places > MAX_PLACES)
    mantissas = np.asarray(_zero_where(digits, too_long).cast(pa.int64()), dtype=np.int64)
    mantissas, places = _without_zeros(mantissas, np.where(too_long, 0, places))
    return Numbers(_common(mantissas, places), no_number, too_long)


def _common(mantissas: Integers, places: Integers) -> DecimalColumn:
    """Brings all to common places if they fit."""
    most = int(places.max(initial=0))
    shifts = np.minimum(most - places, MAX_DIGITS)
    if (np.abs(mantissas) < 10 ** (MAX_DIGITS - shifts)).all():
        return DecimalColumn(mantissas * 10**shifts, most)
    return DecimalColumn(mantissas, most, places.astype(np.int8))


def _without_zeros(mantissas: Integers, places: Integers) -> tuple[Integers, Integers]:
    """Takes away zeros at the end of fractions."""
    mantissas, places = mantissas.copy(), np.where(mantissas == 0, 0, places)
    while len(rows := np.flatnonzero((places > 0) & (mantissas % 10 == 0))):
        mantissas[rows] //= 10
        places[rows] -= 1
    return mantissas, places


def _zero_where(text: pa.Array, bad: Mask) -> pa.Array:
    return pc.if_else(pa.array(bad), pa.scalar("0"), text) if bad.any() else text


def _mask(column: pa.Array) -> Mask:
    return np.asarray(column, dtype=np.bool_)


def _unit(places: int) -> Decimal:
    return Decimal((0, (1,), -places))
