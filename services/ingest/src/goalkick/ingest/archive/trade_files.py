"""Trades as Binance's public archives have them: zip or CSV, with a header or without."""

import gzip
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from goalkick.common.core.errors import InvalidDataError
from goalkick.ingest.archive.layout import AGGREGATE, SINGLE
from goalkick.ingest.archive.tables import SCHEMAS, money, times
from goalkick.ingest.checks import OnBadData
from goalkick.ingest.exact import read_numbers
from goalkick.ingest.timestamps import read_times

_COLUMNS: Final = {
    SINGLE: ("id", "price", "quantity", "quote_quantity", "time", "maker"),
    AGGREGATE: ("id", "price", "quantity", "first", "last", "time", "maker"),
}
"""In this order, whatever the header calls them; what follows is not needed."""
_BLOCK: Final = 1 << 22
"""Bytes that are read at a time: a month of trades is more than memory holds."""


def read_trades(
    path: Path, grain: str, on_bad_data: OnBadData, dropped: dict[str, int]
) -> Iterator[pa.Table]:
    """Reads trades, some ten thousand at a time, as the archive keeps them.

    Args:
        path: `.zip`, `.gz` or `.csv`.
        grain: `single` or `aggregate`.
        on_bad_data: what is to be done about bad rows.
        dropped: reason -> rows left out; complete when all was read.

    Raises:
        InvalidDataError: it is no such file, or a row is bad and none may be.
    """
    names = _COLUMNS[grain]
    row, unit = 0, ""
    try:
        with ExitStack() as stack:
            for batch in _batches(stack, path, names):
                columns = dict(zip(batch.schema.names, batch.columns, strict=True))
                table, good, reading = _table(columns, grain, str(path))
                if unit not in ("", reading):
                    raise InvalidDataError(
                        f"{path}: expected times in {unit} throughout, found {reading} "
                        f"after row {row:,}"
                    )
                unit = reading
                if not good.all():
                    if on_bad_data == "refuse":
                        bad = int(np.argmax(~good))
                        cells = {name: columns[name][bad].as_py() for name in names}
                        raise InvalidDataError(
                            f"{path}: row {row + bad + 1:,}: expected a trade, found {cells}; mend "
                            "the file, or leave bad rows out with --on-bad-data drop"
                        )
                    reason = "expected a trade, found something else"
                    dropped[reason] = dropped.get(reason, 0) + int((~good).sum())
                    table = table.filter(pa.array(good))
                row += len(good)
                yield table
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, pa.ArrowException) as error:
        raise InvalidDataError(f"{path}: expected trades, found: {error}") from error


def _batches(stack: ExitStack, path: Path, names: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    with ExitStack() as peeking:
        head = _opened(peeking, path).readline().decode("utf-8-sig")
    cells = head.strip().split(",")
    if len(cells) < len(names):
        raise InvalidDataError(
            f"{path}: expected at least {len(names)} columns ({', '.join(names)}), "
            f"found {len(cells)}"
        )
    header = not cells[0].strip().strip('"').isdigit()
    every = [*names, *(f"unused {number}" for number in range(len(cells) - len(names)))]
    return iter(
        pyarrow.csv.open_csv(
            _opened(stack, path),
            read_options=pyarrow.csv.ReadOptions(
                column_names=every, skip_rows=int(header), use_threads=False, block_size=_BLOCK
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                include_columns=list(names),
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=False,
            ),
        )
    )


def _opened(stack: ExitStack, path: Path) -> IO[Any]:
    if path.suffix == ".gz":
        packed: Any = gzip.open(path)  # noqa: SIM115  the stack closes it
        return cast("IO[Any]", stack.enter_context(packed))
    if path.suffix != ".zip":
        return stack.enter_context(path.open("rb"))
    archive = stack.enter_context(zipfile.ZipFile(path))
    members = [name for name in archive.namelist() if not name.endswith("/")]
    if len(members) != 1:
        raise InvalidDataError(f"{path}: expected one file in the archive, found {len(members)}")
    return stack.enter_context(archive.open(members[0]))


def _table(columns: dict[str, pa.Array], grain: str, about: str) -> tuple[pa.Table, Any, str]:
    """Rows as a table, which of them are good, and how the times were read."""
    read = read_times(columns["time"])
    price, quantity = read_numbers(columns["price"]), read_numbers(columns["quantity"])
    good = ~read.bad
    for read_as in (price, quantity):
        good &= ~(read_as.no_number | read_as.too_long) & (read_as.column.mantissas > 0)
    numbers = {}
    for name in ("id", "first", "last") if grain == AGGREGATE else ("id",):
        whole = np.asarray(pc.match_substring_regex(columns[name], r"^\d{1,18}$"), dtype=np.bool_)
        good &= whole
        digits = pc.if_else(pa.array(whole), columns[name], pa.scalar("0"))
        numbers[name] = digits.cast(pa.int64())
    maker = pc.utf8_lower(columns["maker"])
    sold = pc.or_(pc.equal(maker, "true"), pc.equal(maker, "1"))
    good &= np.asarray(pc.is_in(maker, pa.array(["true", "false", "1", "0"])), dtype=np.bool_)
    arrays = [
        times(read.time_ns),
        numbers["id"],
        money(price.column, f"price in {about}"),
        money(quantity.column, f"quantity in {about}"),
        pc.if_else(sold, "sell", "buy"),
        numbers.get("first", numbers["id"]),
        numbers.get("last", numbers["id"]),
    ]
    return pa.table(arrays, schema=SCHEMAS["trades"]), good, read.reading
