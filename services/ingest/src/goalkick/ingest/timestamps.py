"""Times in candle files: recognised by type and size, never guessed in silence."""

import re
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_UNITS = (
    (10**11, 1_000_000_000, "seconds"),
    (10**14, 1_000_000, "milliseconds"),
    (10**17, 1_000, "microseconds"),
)
"""(smallest count that is no longer in this unit, ns of one, name); anything larger is ns."""

_NUMBER = r"^[0-8]?[0-9]{1,18}(\.0*)?$"
"""What an int64 holds."""
_HALF_DAYS = r"^(?P<day>\d{4}-\d\d-\d\d) (?P<hour>0?[1-9]|1[0-2])-(?P<half>AM|PM)$"
_TOO_FINE = re.compile(r"\.\d{6}\d*[1-9]")
"""Parts of a microsecond, which `datetime` would leave out in silence."""
_TOO_LARGE = 2.0**62
_MISSING = -1
_SAMPLE = 100
_NS_PER = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


class Times(NamedTuple):
    """A column of times, read.

    Attributes:
        time_ns: (n,) UTC; undefined where `bad`.
        bad: (n,) whether the cell is no time.
        reading: how it was understood, for people.
    """

    time_ns: npt.NDArray[np.int64]
    bad: npt.NDArray[np.bool_]
    reading: str


def read_times(column: pa.Array) -> Times:
    """Reads times given as timestamps, counts since 1970 or ISO text.

    The unit of a count follows from the size of the column's first number: below 10^11 seconds,
    below 10^14 milliseconds, below 10^17 microseconds, else nanoseconds (right for 1973 to 5138).
    """
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("ms"))
    if pa.types.is_timestamp(column.type):
        zone = column.type.tz or "UTC, none given"
        return _moments(column, f"timestamps ({zone})")
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        values = np.asarray(column.cast(pa.float64()).fill_null(np.nan))
        bad = ~np.isfinite(values) | (np.abs(values) >= _TOO_LARGE)
        if pa.types.is_floating(column.type):
            return _counts(np.where(bad, 0, values).astype(np.int64), bad | (values % 1 != 0))
        return _counts(_integers(column.cast(pa.int64(), safe=False).fill_null(0)), bad)
    text = pc.utf8_trim_whitespace(column.cast(pa.string()).fill_null(""))
    numeric = _mask(pc.match_substring_regex(text, _NUMBER))
    if numeric[:_SAMPLE].mean() > 0.5:
        whole = pc.replace_substring_regex(text, r"\.0*$", "")
        known = whole if numeric.all() else pc.if_else(pa.array(numeric), whole, pa.scalar("0"))
        return _counts(_integers(known.cast(pa.int64())), ~numeric)
    return _iso(text)


def _iso(text: pa.Array) -> Times:
    if _mask(pc.match_substring_regex(text[:_SAMPLE], _HALF_DAYS)).mean() > 0.5:
        text = _from_half_days(text)
    for unit in ("us", "ns"):
        for zone in ("UTC", None):
            try:
                return _moments(text.cast(pa.timestamp(unit, tz=zone)), "ISO text")
            except pa.ArrowInvalid:
                continue
    # The lenient way, cell by cell: forms may be mixed, and a cell may be no time.
    moments = [_moment(cell) for cell in text.to_pylist()]
    return _moments(pa.array(moments, pa.timestamp("us", tz="UTC")), "ISO text")


def _moment(cell: str) -> datetime | None:
    """ISO text as a moment, in UTC where it names no zone; None: it is none, or too fine for us."""
    if _TOO_FINE.search(cell):
        return None
    try:
        found = datetime.fromisoformat(cell)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _from_half_days(text: pa.Array) -> pa.Array:
    """`2018-04-03 08-PM`, CryptoDataDownload's spelling, as `2018-04-03 20:00`."""
    parts = pc.extract_regex(text, _HALF_DAYS)
    hour = pc.struct_field(parts, "hour").cast(pa.int64())
    afternoon = pc.if_else(pc.equal(pc.struct_field(parts, "half"), "PM"), 12, 0)
    hours = pc.add(pc.if_else(pc.equal(hour, 12), 0, hour), afternoon).cast(pa.string())
    padded = pc.utf8_lpad(hours, 2, "0")
    spelled = pc.binary_join_element_wise(pc.struct_field(parts, "day"), " ", padded, ":00", "")
    return pc.fill_null(spelled, "")


def _moments(column: pa.Array, reading: str) -> Times:
    counts = column.cast(pa.int64())
    in_unit = _integers(counts.fill_null(_MISSING))
    factor = _NS_PER[column.type.unit]
    # Before 1970, and after what int64 can say in ns (2262), nothing was traded.
    bad = (in_unit < 0) | (in_unit > (2**63 - 1) // factor)
    return Times(np.where(bad, 0, in_unit) * factor, bad, reading)


def _counts(counts: npt.NDArray[np.int64], bad: npt.NDArray[np.bool_]) -> Times:
    good = counts[~bad]
    first = int(good[0]) if len(good) else 0
    limit, factor, unit = next(
        (row for row in _UNITS if first < row[0]), (2**63 - 1, 1, "nanoseconds")
    )
    # A row in another unit (files are glued together like that) is a bad time, not a far one.
    bad = bad | (counts < 0) | (counts >= limit)
    return Times(np.where(bad, 0, counts) * factor, bad, unit)


def _integers(column: pa.Array) -> npt.NDArray[np.int64]:
    return np.asarray(column, dtype=np.int64)


def _mask(column: pa.Array) -> npt.NDArray[np.bool_]:
    return np.asarray(column, dtype=np.bool_)


def unit_factors(column: pa.Array) -> tuple[Times, npt.NDArray[np.int64]]:
    """Reads times of which each may be in a unit of its own, for those who look for that mistake.

    Returns:
        The times, and (n,) nanoseconds of one count: 1 where a cell is no count since 1970.
    """
    text = pc.utf8_trim_whitespace(column.cast(pa.string()).fill_null(""))
    numeric = _mask(pc.match_substring_regex(text, _NUMBER))
    if not pa.types.is_timestamp(column.type) and numeric[:_SAMPLE].mean() > 0.5:
        whole = pc.replace_substring_regex(text, r"\.0*$", "")
        counts = _integers(pc.if_else(pa.array(numeric), whole, pa.scalar("0")).cast(pa.int64()))
        limits = [limit for limit, _, _ in _UNITS]
        factors = np.array([factor for _, factor, _ in _UNITS] + [1], dtype=np.int64)
        units = factors[np.searchsorted(limits, counts, side="right")]
        return Times(np.where(numeric, counts * units, 0), ~numeric, "counts"), units
    return read_times(column), np.ones(len(column), dtype=np.int64)
