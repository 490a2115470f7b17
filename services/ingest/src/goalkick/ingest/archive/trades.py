"""Trades of a venue by their ids: blocks of ids side by side, gaps asked for again.

Ids are contiguous, times are not unique: paging by time loses trades of a busy millisecond or asks
for them for ever, paging by id does neither, and shows what is missing.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from goalkick.common.values.time import NS_PER_MS
from goalkick.ingest.archive.client import PAGE, History
from goalkick.ingest.archive.layout import Series, month_at
from goalkick.ingest.archive.manifest import Missing, Part
from goalkick.ingest.archive.tables import SCHEMAS, money, times, write
from goalkick.ingest.exact import Integers, read_numbers

BLOCK: Final = 250_000
"""Ids of a file: some 20 MB of memory, and half a minute of Binance's limit to lose at a kill."""
_NUMBERS: Final = ("price", "quantity")

Told = Callable[[int], None]
"""Is told of ids that were asked for, as they come: how many more."""


async def first_id_at(history: History, name: str, grain: str, time_ns: int) -> int | None:
    """The id of the first trade at or after a moment, one past the newest where none is.

    Returns None where there never was a trade. A search over ids, not over time: it does not
    matter how long nothing was traded.

    Raises:
        TransientError: the venue does not answer.
    """
    newest = await history.trades(name, grain, None, 1)
    oldest = await history.trades(name, grain, 0, 1)
    if not newest or not oldest:
        return None
    low, high = int(oldest[0]["a"]), int(newest[-1]["a"]) + 1
    # Everything below `low` is earlier, everything from `high` on is not.
    while low < high:
        middle = (low + high) // 2
        rows = await history.trades(name, grain, middle, 1)
        if rows and _time_ns(rows[0]) < time_ns:
            low = max(middle, int(rows[0]["a"])) + 1
        else:
            high = middle
    return low


class BlockOfTrades:
    """Fetches what the files of one block of ids hold."""

    def __init__(
        self,
        history: History,
        series: Series,
        name: str,
        *,
        earliest_ns: int,
        block: int = BLOCK,
    ) -> None:
        """For one series of a venue.

        Args:
            history: the venue.
            series: what is fetched.
            name: the instrument's name at the venue.
            earliest_ns: in whose month it is told that all trades of a block are missing.
            block: ids of a file.
        """
        self._history = history
        self._series = series
        self._name = name
        self._earliest_ns = earliest_ns
        self.block = block

    def file_name(self, from_id: int) -> str:
        """The name of the files of the block that an id lies in; one for each month it touches."""
        return f"trades-{from_id // self.block * self.block:015d}"

    async def fetch(self, folder: Path, from_id: int, to_id: int, told: Told) -> tuple[Part, ...]:
        """Fetches the trades with ids in [from_id, to_id), of one block, and writes them.

        Raises:
            TransientError: the venue does not answer.
            InvalidDataError: it sends numbers that the archive cannot keep.
        """
        pieces = await self._pieces([(from_id, to_id)], told)
        table, refused = self._joined(pieces)
        gaps = missing_ids(table, from_id, to_id)
        if gaps:
            # Asked for once more: a page may have been cut short, or answered by a sick server.
            pieces += await self._pieces(gaps, lambda _: None)
            table, refused = self._joined(pieces)
            gaps = missing_ids(table, from_id, to_id)
        return await asyncio.to_thread(self._write, folder, (from_id, to_id), table, gaps, refused)

    async def _pieces(
        self, spans: Sequence[tuple[int, int]], told: Told
    ) -> list[tuple[pa.Table, int]]:
        pages = [
            (start, min(start + PAGE, end))
            for first, end in spans
            for start in range(first, end, PAGE)
        ]
        async with asyncio.TaskGroup() as tasks:
            fetched = [tasks.create_task(self._page(*page, told)) for page in pages]
        return [task.result() for task in fetched]

    async def _page(self, start: int, end: int, told: Told) -> tuple[pa.Table, int]:
        rows = await self._history.trades(self._name, self._series.grain, start, end - start)
        fresh = [row for row in rows if start <= int(row["a"]) < end]
        told(end - start)
        return trade_table(fresh, str(self._series))

    def _joined(self, pieces: Sequence[tuple[pa.Table, int]]) -> tuple[pa.Table, dict[str, int]]:
        table = pa.concat_tables([piece for piece, _ in pieces])
        ids = table["id"].to_numpy()
        if len(ids) and not (np.diff(ids) > 0).all():
            _, first = np.unique(ids, return_index=True)
            table = table.take(pa.array(first))
        refused = sum(bad for _, bad in pieces)
        return table.combine_chunks(), {"expected a positive number": refused} if refused else {}

    def _write(
        self,
        folder: Path,
        span: tuple[int, int],
        table: pa.Table,
        gaps: Sequence[tuple[int, int]],
        refused: dict[str, int],
    ) -> tuple[Part, ...]:
        missing = tuple(Missing(start, end, end - start) for start, end in gaps)
        parts: list[Part] = []
        name = self.file_name(span[0])
        nowhere = [(month_at(self._earliest_ns).file(name), table)]
        for file, rows in by_month(table, name) or nowhere:
            digest = write(folder / file, rows)
            parts.append(
                Part(
                    file=file,
                    start=span[0],
                    end=span[1],
                    rows=len(rows),
                    bytes=(folder / file).stat().st_size,
                    sha256=digest,
                    missing=() if parts else missing,
                    refused={} if parts else refused,
                )
            )
        return tuple(parts)


def by_month(table: pa.Table, name: str) -> list[tuple[str, pa.Table]]:
    """The rows of each month with the file that they belong into, in order of time."""
    if not len(table):
        return []
    time_us = table["time"].cast(pa.int64())
    bounds = pc.min_max(time_us).as_py()
    files = []
    month = month_at(bounds["min"] * 1000)
    while True:
        start, end = pa.scalar(month.start_ns // 1000), pa.scalar(month.end_ns // 1000)
        mask = pc.and_(pc.greater_equal(time_us, start), pc.less(time_us, end))
        rows = table.filter(mask)
        if len(rows):
            files.append((month.file(name), rows))
        if month.end_ns > bounds["max"] * 1000:
            return files
        month = month_at(month.end_ns)


def missing_ids(table: pa.Table, from_id: int, to_id: int) -> list[tuple[int, int]]:
    """The runs of ids in [from_id, to_id) that are not there."""
    ids: Integers = table["id"].to_numpy()
    ends = np.concatenate(([from_id], ids + 1))
    starts = np.concatenate((ids, [to_id]))
    holes = np.flatnonzero(starts > ends)
    return list(zip(ends[holes].tolist(), starts[holes].tolist(), strict=True))


def trade_table(rows: Sequence[Mapping[str, Any]], about: str) -> tuple[pa.Table, int]:
    """A venue's rows as the archive keeps them, and how many made no sense and are left out.

    Raises:
        InvalidDataError: a number has more decimal places than the archive keeps.
    """
    schema = SCHEMAS["trades"]
    if not rows:
        return schema.empty_table(), 0
    price = read_numbers(pa.array([str(row["p"]) for row in rows], type=pa.string()))
    quantity = read_numbers(pa.array([str(row["q"]) for row in rows], type=pa.string()))
    good = ~(price.no_number | price.too_long | quantity.no_number | quantity.too_long)
    good &= (price.column.mantissas > 0) & (quantity.column.mantissas > 0)
    columns = [
        times(np.array([_time_ns(row) for row in rows], dtype=np.int64)),
        pa.array([int(row["a"]) for row in rows], type=pa.int64()),
        money(price.column, f"price of {about}"),
        money(quantity.column, f"quantity of {about}"),
        pa.array(["sell" if row["m"] else "buy" for row in rows], type=pa.string()),
        pa.array([int(row["f"]) for row in rows], type=pa.int64()),
        pa.array([int(row["l"]) for row in rows], type=pa.int64()),
    ]
    table = pa.table(columns, schema=schema)
    return (table, 0) if good.all() else (table.filter(pa.array(good)), int((~good).sum()))


def _time_ns(row: Mapping[str, Any]) -> int:
    return int(row["T"]) * NS_PER_MS
