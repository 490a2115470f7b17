"""What makes a row of a candle file good or bad; bad rows are refused or counted, never mended."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.values.time import format_duration
from goalkick.ingest.exact import (
    MAX_DIGITS,
    DecimalColumn,
    Integers,
    Mask,
    Numbers,
    join_numbers,
    read_numbers,
)
from goalkick.ingest.timestamps import Times, read_times

OnBadData = Literal["refuse", "drop"]

PRICES: Final = ("open", "high", "low", "close")
_ADVICE: Final = "mend the file, or leave bad rows out with --on-bad-data drop"
_LONG_AGO: Final = np.iinfo(np.int64).min


class Candles(NamedTuple):
    """Good rows only.

    Attributes:
        open_ns: (n,) open times, strictly rising, UTC.
        prices: by name (`PRICES`), positive, low <= open, close <= high.
        volume: zero or more.
        interval_ns: length of the bars.
        time_reading: how the times were understood, for people.
        dropped: reason -> rows left out.
    """

    open_ns: Integers
    prices: Mapping[str, DecimalColumn]
    volume: DecimalColumn
    interval_ns: int
    time_reading: str
    dropped: dict[str, int]


class _Rows:
    """Which rows are bad and why; knows how to say it."""

    def __init__(self, source: str, first_line: int, count: int, *, turned: bool) -> None:
        self._source = source
        self._first_line = first_line
        self.turned = turned
        self.good: Mask = np.ones(count, dtype=np.bool_)
        self.dropped: dict[str, int] = {}
        self._found: list[tuple[int, str]] = []

    def reject(self, bad: Mask, reason: str) -> None:
        """Marks rows that were good so far."""
        fresh = bad & self.good
        count = int(fresh.sum())
        if count:
            self.dropped[reason] = self.dropped.get(reason, 0) + count
            self._found.append((int(np.argmax(fresh)), reason))
            self.good &= ~bad

    def refuse(self) -> None:
        """Raises about the first bad row, if there is one."""
        if self._found:
            row, reason = min(self._found)
            row = len(self.good) - 1 - row if self.turned else row
            line = f" (line {row + self._first_line})" if self._first_line else ""
            others = sum(self.dropped.values()) - 1
            more = f"; {others:,} more bad row{'s' if others > 1 else ''}" if others else ""
            raise InvalidDataError(
                f"{self._source}: row {row + 1}{line}: {reason}{more}; {_ADVICE}"
            )


def check(
    source: str,
    batches: Iterable[Mapping[str, pa.Array]],
    *,
    first_line: int = 0,
    interval_ns: int | None = None,
    on_bad_data: OnBadData = "refuse",
    broken: Sequence[str] = (),
) -> Candles:
    """Reads and checks the rows of a candle file.

    Args:
        source: the file, for messages.
        batches: some rows at a time: `time` (opens) and the numbers by name, as in the file.
        first_line: line of the file that the first row stands on; 0: there are no lines.
        interval_ns: length of the bars; None: the most common distance of two rows.
        on_bad_data: what is to be done about bad rows.
        broken: what is wrong with lines that could not become rows; looked at after the rows.

    Raises:
        InvalidDataError: a row is bad and none may be, or no row is good; says row and reason.
    """
    pieces: dict[str, list[Numbers]] = {name: [] for name in (*PRICES, "volume")}
    time_pieces: list[pa.Array] = []
    for batch in batches:
        time_pieces.append(batch["time"])
        for name, column in pieces.items():
            column.append(read_numbers(batch[name]))
    if broken and on_bad_data == "refuse":
        raise InvalidDataError(f"{source}: {broken[0]}; {_ADVICE}")
    if not sum(map(len, time_pieces)):
        raise InvalidDataError(f"{source}: expected candles, found no rows")
    times, turned = _oldest_first(read_times(pa.concat_arrays(time_pieces)))
    del time_pieces
    rows = _Rows(source, first_line, len(times.time_ns), turned=turned)
    if broken:
        rows.dropped["expected as many cells as columns, found more or fewer"] = len(broken)
    rows.reject(times.bad, "expected a time like the first one, found something else")
    volume = _joined(rows, "volume", pieces.pop("volume"))
    prices = _aligned({name: _joined(rows, name, pieces.pop(name)) for name in PRICES})
    _reject_impossible(rows, prices, volume)
    open_ns = times.time_ns
    _reject_disorder(rows, open_ns)
    if on_bad_data == "refuse" and rows.good.sum() < 2:
        rows.refuse()
    interval_ns = interval_ns or _interval(source, open_ns[~times.bad])
    _reject_off_grid(rows, open_ns, interval_ns)
    if on_bad_data == "refuse":
        rows.refuse()
    if not rows.good.any():
        raise InvalidDataError(f"{source}: expected candles, found no good row")
    if not rows.good.all():
        open_ns = open_ns[rows.good]
        prices = _aligned({name: column[rows.good] for name, column in prices.items()})
        volume = volume[rows.good].fewest_places()
    return Candles(open_ns, prices, volume, interval_ns, times.reading, rows.dropped)


def _joined(rows: _Rows, name: str, pieces: list[Numbers]) -> DecimalColumn:
    numbers = join_numbers(pieces)
    if rows.turned:
        column, no_number, too_long = numbers
        numbers = Numbers(column[::-1], no_number[::-1], too_long[::-1])
    rows.reject(numbers.no_number, f"expected a finite number as {name}, found something else")
    rows.reject(numbers.too_long, f"expected {name} within {MAX_DIGITS} digits, found more")
    return numbers.column


def _oldest_first(times: Times) -> tuple[Times, bool]:
    """Turns times around that all stand in the opposite order, as CryptoDataDownload writes them.

    Two rows alone are no order: they may as well be a mistake.
    """
    time_ns = times.time_ns[~times.bad]
    if len(time_ns) < 3 or not (time_ns[1:] < time_ns[:-1]).all():
        return times, False
    reading = f"{times.reading}, newest first"
    return Times(times.time_ns[::-1].copy(), times.bad[::-1], reading), True


def _aligned(prices: dict[str, DecimalColumn]) -> dict[str, DecimalColumn]:
    """All four with the same places, as few as hold them, where they fit."""
    prices = {name: column.fewest_places() for name, column in prices.items()}
    most = max(column.places for column in prices.values())
    aligned = {name: column.at_places(most) for name, column in prices.items()}
    fitting = {name: column for name, column in aligned.items() if column is not None}
    return fitting if len(fitting) == len(prices) else prices


def _reject_impossible(
    rows: _Rows, prices: dict[str, DecimalColumn], volume: DecimalColumn
) -> None:
    for name, column in prices.items():
        rows.reject(column.mantissas <= 0, f"expected a positive {name}, found zero or less")
    rows.reject(volume.mantissas < 0, "expected a volume of zero or more, found a negative one")
    high, low = prices["high"], prices["low"]
    rows.reject(_less(high, low), "expected high at or above low, found them inverted")
    for name in ("open", "close"):
        outside = _less(high, prices[name]) | _less(prices[name], low)
        rows.reject(outside, f"expected {name} between low and high, found it outside")


def _less(left: DecimalColumn, right: DecimalColumn) -> Mask:
    """(n,) where left < right, exactly."""
    if left.each is None and right.each is None and left.places == right.places:
        return left.mantissas < right.mantissas
    pairs = zip(left.decimals(), right.decimals(), strict=True)
    return np.fromiter((a < b for a, b in pairs), dtype=np.bool_, count=len(left))


def _reject_disorder(rows: _Rows, time_ns: Integers) -> None:
    """Times must rise strictly; a row is compared with the latest good one before it."""
    if rows.good.all() and (time_ns[1:] > time_ns[:-1]).all():
        return
    marked = np.where(rows.good, time_ns, _LONG_AGO)
    latest = np.concatenate(([_LONG_AGO], np.maximum.accumulate(marked)[:-1]))
    rows.reject(time_ns == latest, "expected a later time than the row before, found the same")
    rows.reject(time_ns < latest, "expected a later time than the row before, found an earlier")


def _interval(source: str, time_ns: Integers) -> int:
    """The most common distance of two times; of equally common ones the shortest."""
    # Rows that are bad for other reasons count too: without them their neighbours lie too far.
    steps = np.diff(time_ns)
    if (steps <= 0).any():
        steps = np.diff(np.unique(time_ns))
    if not len(steps):
        raise InvalidDataError(
            f"{source}: expected at least two times to tell the length of a bar, "
            f"found {len(time_ns)}"
        )
    if (steps == steps[0]).all():
        return int(steps[0])
    values, counts = np.unique(steps, return_counts=True)
    return int(values[np.argmax(counts)])


def _reject_off_grid(rows: _Rows, open_ns: Integers, interval_ns: int) -> None:
    phases = open_ns % interval_ns
    good = phases[rows.good]
    if len(good) and not (phases == good[0]).all():
        values, counts = np.unique(good, return_counts=True)
        rows.reject(
            phases != values[np.argmax(counts)],
            f"expected a time on the grid of {format_duration(interval_ns)}, found one between",
        )
