"""Takes files that others wrote over into the archive: exact, checked, merged with what is there.

Candles: whatever `candles.py` reads (freqtrade's Feather, Binance's public archives,
CryptoDataDownload). Trades: Binance's public archives, single (`trades`) and aggregate
(`aggTrades`). What two sources tell differently is refused, never chosen from.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.time import NS_PER_DAY, format_duration, format_time, parse_time
from goalkick.ingest.archive.candles import FILE, Span
from goalkick.ingest.archive.layout import AGGREGATE, SINGLE, Month, Series, months
from goalkick.ingest.archive.manifest import Manifest, Missing, Part
from goalkick.ingest.archive.tables import SCHEMAS, alone, money, times, write
from goalkick.ingest.archive.trade_files import read_trades
from goalkick.ingest.archive.trades import BLOCK, by_month, missing_ids
from goalkick.ingest.candles import CandleTable, read_candles
from goalkick.ingest.checks import PRICES, OnBadData
from goalkick.ingest.exact import Integers
from goalkick.ingest.naming import instrument_of

_TRADES: Final = re.compile(r"(?i)-(aggTrades|trades)-")
_OTHER: Final = re.compile(r"(?i)-(mark|index|premiumIndex|funding_rate|open_interest)\b")
"""What freqtrade and others keep in the same form, and what are no candles of trades."""


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a file.

    Attributes:
        file: as given.
        kind: candles or trades.
        instrument: whose.
        folder: of the series that it went into.
        rows: that it had.
        new: of these, rows that were not there already.
        missing: bars or trades that the series lacks in the files' spans.
        dropped: reason -> rows left out.
    """

    file: Path
    kind: str
    instrument: InstrumentId
    folder: Path
    rows: int
    new: int
    missing: int
    dropped: dict[str, int]


def import_file(
    path: Path,
    out: Path,
    *,
    instrument: InstrumentId | None = None,
    on_bad_data: OnBadData = "refuse",
) -> Imported:
    """Takes a file over.

    Args:
        path: the file.
        out: the archive's folder.
        instrument: whose data it is; None: by the file's name.
        on_bad_data: `refuse` the file at its first bad row, or `drop` and count bad rows.

    Raises:
        InvalidDataError: it is no such file, a row is bad, or it disagrees with what is there.
        SettingsError: another program is writing to the archive.
    """
    whose = instrument or instrument_of(path)
    if other := _OTHER.search(path.name):
        raise InvalidDataError(
            f"{path}: expected candles or trades, found {other[1]} by the file's name"
        )
    if match := _TRADES.search(path.name):
        grain = AGGREGATE if match[1].lower() == "aggtrades" else SINGLE
        with alone(out):
            return _import_trades(path, out, whose, grain, on_bad_data)
    table = read_candles(path, instrument=whose, on_bad_data=on_bad_data)
    with alone(out):
        return _import_candles(path, out, table)


def _import_candles(path: Path, out: Path, table: CandleTable) -> Imported:
    if NS_PER_DAY % table.interval_ns:
        raise InvalidDataError(
            f"{path}: expected bars that a day is a multiple of, at most 1d, "
            f"found {format_duration(table.interval_ns)}"
        )
    grain = format_duration(table.interval_ns)
    series = Series(kind="candles", instrument=table.instrument, grain=grain)
    folder = series.folder(out)
    manifest = Manifest.load(folder, series)
    arrow = _candles(table, str(path))
    open_ns = table.time_ns - table.interval_ns
    new, missing = 0, 0
    for month in months(int(open_ns[0]), int(table.time_ns[-1])):
        rows = arrow.filter(pa.array((open_ns >= month.start_ns) & (open_ns < month.end_ns)))
        end_ns = min(int(table.time_ns[-1]), month.end_ns)
        span = Span(max(int(open_ns[0]), month.start_ns), end_ns)
        part, added = _merge_month(folder, manifest, month, rows, span, table.interval_ns)
        manifest = manifest.with_parts((part,))
        manifest.save(folder)
        new += added
        missing += sum(gap.count for gap in part.missing)
    return Imported(
        file=path,
        kind="candles",
        instrument=table.instrument,
        folder=folder,
        rows=len(table),
        new=new,
        missing=missing,
        dropped=table.dropped,
    )


def _merge_month(
    folder: Path, manifest: Manifest, month: Month, rows: pa.Table, span: Span, interval_ns: int
) -> tuple[Part, int]:
    file = month.file(FILE)
    part = manifest.part(file)
    known = 0
    if part is not None and (folder / file).is_file():
        there = pyarrow.parquet.read_table(folder / file, partitioning=None)
        known = len(there)
        rows = _united(there, rows, "time", f"{folder / file}")
        span = Span(
            min(span.from_ns, parse_time(str(part.start))),
            max(span.to_ns, parse_time(str(part.end))),
        )
        if len(rows) == known and part.covers(format_time(span.from_ns), format_time(span.to_ns)):
            return part, 0
    digest = write(folder / file, rows)
    open_ns = rows["time"].cast(pa.int64()).to_numpy() * 1000
    return Part(
        file=file,
        start=format_time(span.from_ns),
        end=format_time(span.to_ns),
        rows=len(rows),
        bytes=(folder / file).stat().st_size,
        sha256=digest,
        missing=_missing(open_ns, span, interval_ns),
        asked=False,
    ), len(rows) - known


def _missing(open_ns: Integers, span: Span, interval_ns: int) -> tuple[Missing, ...]:
    ends = np.concatenate(([span.from_ns], open_ns + interval_ns))
    starts = np.concatenate((open_ns, [span.to_ns]))
    return tuple(
        Missing(format_time(int(end)), format_time(int(start)), int(start - end) // interval_ns)
        for end, start in zip(ends, starts, strict=True)
        if start > end
    )


def _candles(table: CandleTable, about: str) -> pa.Table:
    arrays = [money(getattr(table, name), f"{name} in {about}") for name in (*PRICES, "volume")]
    return pa.table([times(table.time_ns - table.interval_ns), *arrays], schema=SCHEMAS["candles"])


def _import_trades(
    path: Path, out: Path, instrument: InstrumentId, grain: str, on_bad_data: OnBadData
) -> Imported:
    series = Series(kind="trades", instrument=instrument, grain=grain)
    folder = series.folder(out)
    dropped: dict[str, int] = {}
    batches = read_trades(path, grain, on_bad_data, dropped)
    total = new = missing = 0
    for rows in _blocks(batches, path):
        total += len(rows)
        added, lacking = _merge_block(folder, series, rows)
        new += added
        missing += lacking
    if not total:
        raise InvalidDataError(f"{path}: expected trades, found no good row")
    return Imported(
        file=path,
        kind="trades",
        instrument=instrument,
        folder=folder,
        rows=total,
        new=new,
        missing=missing,
        dropped=dropped,
    )


def _blocks(batches: Iterator[pa.Table], path: Path) -> Iterator[pa.Table]:
    """The trades of one block of ids after the other, in order of their ids."""
    waiting: list[pa.Table] = []
    block = -1
    for batch in batches:
        numbers = batch["id"].to_numpy() // BLOCK
        for number in np.unique(numbers).tolist():
            if number < block:
                raise InvalidDataError(
                    f"{path}: expected trades in order of their ids, found id "
                    f"{batch['id'][0].as_py()} after a block that begins at {block * BLOCK}"
                )
            if number > block and waiting:
                yield pa.concat_tables(waiting)
                waiting = []
            block = number
            waiting.append(batch.filter(pa.array(numbers == number)))
    if waiting:
        yield pa.concat_tables(waiting)


def _merge_block(folder: Path, series: Series, rows: pa.Table) -> tuple[int, int]:
    name = f"trades-{int(rows['id'][0].as_py()) // BLOCK * BLOCK:015d}"
    manifest = Manifest.load(folder, series)
    parts = [part for part in manifest.parts if part.file.endswith(f"/{name}.parquet")]
    empty = SCHEMAS["trades"].empty_table()
    known = [
        pyarrow.parquet.read_table(folder / part.file, partitioning=None)
        for part in parts
        if (folder / part.file).is_file()
    ]
    before = sum(map(len, known))
    united = _united(pa.concat_tables([empty, *known]), rows, "id", str(folder / name))
    if len(united) == before:
        return 0, 0
    ids = united["id"].to_numpy()
    start, end = int(ids[0]), int(ids[-1]) + 1
    missing = tuple(Missing(*gap, gap[1] - gap[0]) for gap in missing_ids(united, start, end))
    written: list[Part] = []
    for file, part_rows in by_month(united, name):
        digest = write(folder / file, part_rows)
        written.append(
            Part(
                file=file,
                start=start,
                end=end,
                rows=len(part_rows),
                bytes=(folder / file).stat().st_size,
                sha256=digest,
                missing=() if written else missing,
                asked=False,
            )
        )
    manifest.with_parts(tuple(written)).save(folder)
    return len(united) - before, sum(gap.count for gap in missing)


def _united(there: pa.Table, rows: pa.Table, key: str, place: str) -> pa.Table:
    """Both, each key once, in order of the keys; refused where they tell one key differently."""
    both = pa.concat_tables([there, rows]).combine_chunks()
    keys = both[key].cast(pa.int64()).to_numpy()
    order = np.argsort(keys, kind="stable")
    both, keys = both.take(pa.array(order)), keys[order]
    again = np.flatnonzero(np.diff(keys) == 0)
    if len(again):
        first, second = both.take(pa.array(again)), both.take(pa.array(again + 1))
        if first != second:
            differ = next(n for n in range(len(first)) if first.slice(n, 1) != second.slice(n, 1))
            raise InvalidDataError(
                f"{place}: expected the file to agree with the archive, found "
                f"{second.slice(differ, 1).to_pylist()[0]} where there is "
                f"{first.slice(differ, 1).to_pylist()[0]}"
            )
        both = both.take(pa.array(np.delete(np.arange(len(keys)), again + 1)))
    return both
