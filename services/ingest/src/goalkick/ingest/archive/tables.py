"""What the archive's files look like inside, and how they get onto the disk.

Prices, quantities and rates are `decimal128(38, 18)`: exact, and a number to every reader
(`Decimal` objects in pandas, `DECIMAL(38,18)` in polars and DuckDB, which calculate with it). Text
would be as exact, but every reader had to convert it before it could compare two prices; floats
would not be exact; a scale of each instrument's own would be smaller, but files of different
scales are not one table to pyarrow. 18 places hold what every venue that we know of sends, and what
does not fit is refused. Times are UTC in microseconds, the finest that all three readers take.

Files are written whole under another name and then renamed: a reader sees all of a file or
none, and the same rows give the same bytes, whoever writes them and when.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet

from goalkick.common.core.errors import InvalidDataError, SettingsError
from goalkick.ingest.archive.layout import Kind
from goalkick.ingest.exact import DecimalColumn, Integers

PLACES: Final = 18
MONEY: Final = pa.decimal128(38, PLACES)
TIME: Final = pa.timestamp("us", tz="UTC")

SCHEMAS: Final[dict[Kind, pa.Schema]] = {
    "candles": pa.schema(
        [("time", TIME), *((name, MONEY) for name in ("open", "high", "low", "close", "volume"))]
    ),
    "trades": pa.schema(
        [
            ("time", TIME),
            ("id", pa.int64()),
            ("price", MONEY),
            ("quantity", MONEY),
            ("taker_side", pa.string()),
            ("first_trade_id", pa.int64()),
            ("last_trade_id", pa.int64()),
        ]
    ),
    "funding": pa.schema([("time", TIME), ("rate", MONEY)]),
}
"""`time` of a candle is its open; `rate` is a fraction for one funding period; `taker_side` is
`buy` or `sell`; a single trade is its own first and last."""

PARTIAL: Final = ".partial"
"""End of the name of a file that is being written; it begins with a dot, which readers skip."""
_LOCK: Final = ".lock"
_ROW_GROUP: Final = 1 << 17
_NS_PER_US: Final = 1_000


def times(time_ns: Integers) -> pa.Array:
    """Times as a column; (n,) UTC nanoseconds, whole microseconds."""
    return pa.array(time_ns // _NS_PER_US, type=pa.int64()).cast(TIME)


def money(column: DecimalColumn, about: str) -> pa.Array:
    """Exact numbers as a column.

    Args:
        column: the numbers.
        about: what they are, for messages.

    Raises:
        InvalidDataError: one has more decimal places than the archive keeps.
    """
    if column.each is not None or column.places > PLACES:
        column = column.fewest_places()
        if int(np.max(column.each_places(), initial=0)) > PLACES:
            raise InvalidDataError(
                f"{about}: expected at most {PLACES} decimal places, found {column.places}"
            )
        if column.each is not None:
            return pa.array(column.decimals(), type=MONEY)
    return _decimal128(column.mantissas, column.places).cast(MONEY)


def write(path: Path, table: pa.Table) -> str:
    """Writes a Parquet file, whole or not at all; returns its SHA-256."""
    partial = path.with_name(f".{path.name}{PARTIAL}")
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(
        table, partial, compression="zstd", row_group_size=_ROW_GROUP, store_schema=False
    )
    replace(partial, path)
    return sha256(path)


def replace(partial: Path, path: Path) -> None:
    """Gives a written file its name, durably."""
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)


def sha256(path: Path) -> str:
    """The hash of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """One writer to an archive at a time; the lock dies with its process.

    Raises:
        SettingsError: another one is writing.
    """
    out.mkdir(parents=True, exist_ok=True)
    with (out / _LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(
                f"{out}: expected no other program that writes into this folder, found one running"
            ) from None
        yield


def _decimal128(mantissas: Integers, places: int) -> pa.Array:
    words: npt.NDArray[np.int64] = np.empty((len(mantissas), 2), dtype="<i8")
    words[:, 0] = mantissas
    words[:, 1] = mantissas >> 63  # the sign goes on into the upper half
    buffer = pa.py_buffer(words.tobytes())
    return pa.Array.from_buffers(pa.decimal128(38, places), len(mantissas), [None, buffer])
