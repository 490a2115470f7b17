"""One month of candles from a venue: pages side by side, rows checked, gaps asked for again."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import starmap
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.values.time import NS_PER_MS, format_time
from goalkick.ingest.archive.client import History, Ohlcv
from goalkick.ingest.archive.layout import Month, Series
from goalkick.ingest.archive.manifest import Missing, Part
from goalkick.ingest.archive.tables import SCHEMAS, money, times, write
from goalkick.ingest.checks import PRICES, Candles, check
from goalkick.ingest.exact import Integers

FILE: Final = "candles"
_COLUMNS: Final = (*PRICES, "volume")

Told = Callable[[int], None]
"""Is told of bars that were asked for, as they come: how many more."""


class Span(NamedTuple):
    """[from_ns, to_ns): opens of bars, UTC."""

    from_ns: int
    to_ns: int


class Checked(NamedTuple):
    """Bars that make sense, in order of time; None where there are none.

    Attributes:
        candles: the bars.
        refused: reason -> rows that made none.
    """

    candles: Candles | None
    refused: dict[str, int]


class MonthOfCandles:
    """Fetches what one file holds."""

    def __init__(self, history: History, series: Series, name: str, interval_ns: int) -> None:
        """For one series of a venue.

        Args:
            history: the venue.
            series: what is fetched.
            name: the instrument's name at the venue.
            interval_ns: length of the bars; a day is a multiple of it.
        """
        self._history = history
        self._series = series
        self._name = name
        self._interval_ns = interval_ns

    async def fetch(self, folder: Path, month: Month, span: Span, told: Told) -> Part:
        """Fetches the bars that open in a span of the month, and writes them.

        Raises:
            TransientError: the venue does not answer.
            InvalidDataError: it sends numbers that the archive cannot keep.
        """
        rows = await self._rows([span], told)
        checked = checked_rows(str(self._series), rows, self._interval_ns)
        gaps = missing_spans(checked.candles, span, self._interval_ns)
        if gaps:
            # Asked for once more: a page may have been cut short, or answered by a sick server.
            again = await self._rows(gaps, lambda _: None)
            if again:
                rows = sorted([*rows, *again], key=lambda row: int(row[0]))
                checked = checked_rows(str(self._series), rows, self._interval_ns)
                gaps = missing_spans(checked.candles, span, self._interval_ns)
        return await asyncio.to_thread(self._write, folder, month, span, checked, gaps)

    async def _rows(self, spans: Sequence[Span], told: Told) -> list[Ohlcv]:
        length_ns = self._history.page * self._interval_ns
        pages = [
            Span(from_ns, min(from_ns + length_ns, span.to_ns))
            for span in spans
            for from_ns in range(span.from_ns, span.to_ns, length_ns)
        ]
        async with asyncio.TaskGroup() as tasks:
            fetched = [tasks.create_task(self._page(page, told)) for page in pages]
        return [row for task in fetched for row in task.result()]

    async def _page(self, span: Span, told: Told) -> list[Ohlcv]:
        """The rows of a span of one page; venues that give fewer at a time are asked on."""
        rows: list[Ohlcv] = []
        since_ns = span.from_ns
        while since_ns < span.to_ns:
            limit = (span.to_ns - since_ns) // self._interval_ns
            page = await self._history.candles(self._name, since_ns, span.to_ns, limit)
            fresh = within(page, Span(since_ns, span.to_ns))
            if not fresh:
                break
            rows += fresh
            since_ns = int(fresh[-1][0]) * NS_PER_MS + self._interval_ns
            if self._history.bounded or len(page) >= limit:
                # All that there is; other venues may give fewer rows at a time than was asked.
                break
        told((span.to_ns - span.from_ns) // self._interval_ns)
        return rows

    def _write(
        self, folder: Path, month: Month, span: Span, checked: Checked, gaps: Sequence[Span]
    ) -> Part:
        file = month.file(FILE)
        table = candle_table(checked.candles, str(self._series))
        digest = write(folder / file, table)
        return Part(
            file=file,
            start=format_time(span.from_ns),
            end=format_time(span.to_ns),
            rows=len(table),
            bytes=(folder / file).stat().st_size,
            sha256=digest,
            missing=tuple(
                Missing(
                    format_time(gap.from_ns),
                    format_time(gap.to_ns),
                    (gap.to_ns - gap.from_ns) // self._interval_ns,
                )
                for gap in gaps
            ),
            refused=checked.refused,
        )


def within(page: Sequence[Ohlcv], span: Span) -> list[Ohlcv]:
    """The rows that open in the span, in order of time, none twice.

    A venue may add the bar that is not closed, or begin elsewhere than asked.
    """
    first, end = -(-span.from_ns // NS_PER_MS), -(-span.to_ns // NS_PER_MS)
    fresh = {int(row[0]): row for row in page if first <= int(row[0]) < end}
    return [fresh[time] for time in sorted(fresh)]


def checked_rows(source: str, rows: Sequence[Ohlcv], interval_ns: int) -> Checked:
    """Reads rows exactly; those that make no sense are counted and left out.

    Args:
        source: where they come from, for messages.
        rows: in order of time; numbers as text.
        interval_ns: length of the bars.
    """
    if not rows:
        return Checked(None, {})
    opens, *numbers = zip(*(row[:6] for row in rows), strict=True)
    columns = {
        name: pa.array([str(cell) for cell in cells], type=pa.string())
        for name, cells in zip(_COLUMNS, numbers, strict=True)
    }
    columns["time"] = pa.array([int(open_ms) for open_ms in opens], type=pa.int64())
    try:
        candles = check(source, [columns], interval_ns=interval_ns, on_bad_data="drop")
    except InvalidDataError as error:
        return Checked(None, {str(error).removeprefix(f"{source}: "): len(rows)})
    on_grid = candles.open_ns % interval_ns == 0
    if not on_grid.all():
        return Checked(None, {"expected bars that open on multiples of their length": len(rows)})
    return Checked(candles, candles.dropped)


def missing_spans(candles: Candles | None, span: Span, interval_ns: int) -> list[Span]:
    """The runs of bars in a span that are not there, in order."""
    if candles is None:
        return [span] if span.from_ns < span.to_ns else []
    opens: Integers = candles.open_ns
    ends = np.concatenate(([span.from_ns], opens + interval_ns))
    starts = np.concatenate((opens, [span.to_ns]))
    holes = np.flatnonzero(starts > ends)
    return list(starmap(Span, zip(ends[holes].tolist(), starts[holes].tolist(), strict=True)))


def candle_table(candles: Candles | None, about: str) -> pa.Table:
    """Bars as the archive keeps them.

    Raises:
        InvalidDataError: a number has more decimal places than the archive keeps.
    """
    schema = SCHEMAS["candles"]
    if candles is None:
        return schema.empty_table()
    columns = {**candles.prices, "volume": candles.volume}
    arrays = [money(columns[name], f"{name} of {about}") for name in _COLUMNS]
    return pa.table([times(candles.open_ns), *arrays], schema=schema)
