"""Candle files as they come: what is packed how, and which column is which."""

import gzip
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from goalkick.common.core.errors import InvalidDataError
from goalkick.ingest.archive.layout import only_series

COLUMNS = ("time", "open", "high", "low", "close", "volume")

_SPELLINGS = {
    "time": (
        "ts",
        "tsms",
        "time",
        "timestamp",
        "opentime",
        "date",
        "datetime",
        "unix",
        "t",
        "indexlevel",
    ),
    "open": ("open", "o", "openprice"),
    "high": ("high", "h", "highprice"),
    "low": ("low", "l", "lowprice"),
    "close": ("close", "c", "closeprice"),
    "volume": ("volume", "v", "vol", "basevolume"),
}
"""Lower case, letters only."""

_BINANCE_COLUMNS = 12
"""open time, open, high, low, close, volume, close time, and six more without a header."""

_BATCH = 65_536
_CSV_BLOCK = 1 << 22
"""Rows, and bytes, that are read at a time: what a file costs beyond its table's own memory."""
_INK = re.compile(rb"\S")


class Layout(NamedTuple):
    """A candle file, opened.

    Attributes:
        batches: the rows, some ten thousand at a time: the columns by the names in `COLUMNS`,
            those of a CSV as text. Can be gone through once.
        time_name: what the time column is called in the file.
        first_line: number of the line that the first row stands on; 0 where there are no lines.
        broken: what is wrong with lines that have more or fewer cells than there are columns;
            these are not among the rows. Complete when all batches were read.
    """

    batches: Iterator[dict[str, pa.Array]]
    time_name: str
    first_line: int
    broken: list[str]


def open_layout(path: Path) -> Layout:
    """Opens a candle file and finds its columns.

    Args:
        path: `.csv`, `.parquet` or `.feather`, plain, `.gz` or `.zip`; or a folder of candles
            in the archive.

    Raises:
        InvalidDataError: the file cannot be read as candles; also while its rows are read.
    """
    if path.is_dir():
        return _open_folder(path)
    try:
        data, name = _unpacked(path)
    except (OSError, zipfile.BadZipFile, EOFError, zlib.error, RuntimeError) as error:
        raise InvalidDataError(f"{path}: expected a readable file, found: {error}") from error
    if not data:
        raise InvalidDataError(f"{path}: expected candles, found an empty file")
    suffix = Path(name).suffix.lower()
    if suffix in (".csv", ".txt"):
        return _open_csv(path, data)
    try:
        if suffix == ".parquet":
            return _open_parquet(path, data)
        if suffix in (".feather", ".arrow"):
            return _open_feather(path, data)
    except pa.ArrowException as error:
        raise InvalidDataError(f"{path}: expected a {suffix[1:]} file, found: {error}") from error
    raise InvalidDataError(
        f"{path}: expected .csv, .parquet or .feather, plain, .gz or .zip, "
        f"found {suffix or 'no suffix'}"
    )


def _open_folder(path: Path) -> Layout:
    """The files of a folder one after the other, in order of their months."""
    files = sorted(only_series(path, "candles").rglob("*.parquet"))

    def batches() -> Iterator[dict[str, pa.Array]]:
        for file in files:
            yield from open_layout(file).batches

    return Layout(batches(), "time", 0, [])


def _open_parquet(path: Path, data: bytes) -> Layout:
    file = pyarrow.parquet.ParquetFile(pa.BufferReader(data))
    names = file.schema_arrow.names
    found = _find_columns(path, names)
    batches = file.iter_batches(
        _BATCH, columns=[names[place] for place in found.values()], use_threads=False
    )
    wanted = {column: names[place] for column, place in found.items()}
    return Layout(_by_name(path, batches, wanted), names[found["time"]], 0, [])


def _open_feather(path: Path, data: bytes) -> Layout:
    file = pa.ipc.open_file(pa.BufferReader(data))
    names = file.schema.names
    found = _find_columns(path, names)
    batches = (file.get_batch(number) for number in range(file.num_record_batches))
    wanted = {column: names[place] for column, place in found.items()}
    return Layout(_by_name(path, batches, wanted), names[found["time"]], 0, [])


def _by_name(
    path: Path, batches: Iterator[pa.RecordBatch], names: dict[str, str]
) -> Iterator[dict[str, pa.Array]]:
    try:
        for batch in batches:
            yield {column: _plain(batch.column(name)) for column, name in names.items()}
    except pa.ArrowException as error:
        raise InvalidDataError(f"{path}: expected candles, found: {error}") from error


def _plain(array: pa.Array) -> pa.Array:
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _unpacked(path: Path) -> tuple[bytes, str]:
    if path.suffix == ".gz":
        with gzip.open(path) as file:
            return file.read(), path.stem
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            members = [name for name in archive.namelist() if not name.endswith("/")]
            if len(members) != 1:
                raise InvalidDataError(
                    f"{path}: expected one file in the archive, found {len(members)}"
                )
            return archive.read(members[0]), members[0]
    return path.read_bytes(), path.name


def _open_csv(path: Path, data: bytes) -> Layout:
    names, first_line, start = _header(path, data)
    found = _find_columns(path, names)
    if not _INK.search(data, start):
        raise InvalidDataError(f"{path}: expected candles, found no rows")
    broken: list[str] = []

    def on_broken(row: pyarrow.csv.InvalidRow) -> str:
        where = "a line" if row.number is None else f"line {row.number}"
        broken.append(f"{where}: expected {row.expected_columns} cells, found {row.actual_columns}")
        return "skip"

    # Columns get numbers for names: a header may say the same name twice.
    numbers = [str(place) for place in range(len(names))]
    wanted = {column: numbers[place] for column, place in found.items()}
    try:
        batches = pyarrow.csv.open_csv(
            pa.BufferReader(data),
            read_options=pyarrow.csv.ReadOptions(
                column_names=numbers,
                skip_rows=first_line - 1,
                use_threads=False,
                block_size=max(_CSV_BLOCK, start + 1),
            ),
            parse_options=pyarrow.csv.ParseOptions(invalid_row_handler=on_broken),
            convert_options=pyarrow.csv.ConvertOptions(
                include_columns=list(wanted.values()),
                column_types=dict.fromkeys(wanted.values(), pa.string()),
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowException as error:
        raise InvalidDataError(f"{path}: expected a csv file, found: {error}") from error
    return Layout(_by_name(path, batches, wanted), names[found["time"]], first_line, broken)


def _header(path: Path, data: bytes) -> tuple[list[str], int, int]:
    """The names of a CSV's columns, and the line and the byte that its rows begin at."""
    start = _after_banner(data)
    end = data.find(b"\n", start) + 1 or len(data)
    try:
        first = data[start:end].decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidDataError(f"{path}: expected text in UTF-8, found: {error}") from error
    cells = [cell.strip().strip('"') for cell in first.strip("\r\n").split(",")]
    line = data.count(b"\n", 0, start) + 1
    if not re.fullmatch(r"-?[\d.]+", cells[0]):
        return cells, line + 1, end
    if len(cells) != _BINANCE_COLUMNS:
        raise InvalidDataError(
            f"{path}: expected a header, or Binance's {_BINANCE_COLUMNS} columns without one, "
            f"found no header and {len(cells)} columns"
        )
    return [*COLUMNS, *("unused" for _ in range(_BINANCE_COLUMNS - len(COLUMNS)))], line, start


def _after_banner(data: bytes) -> int:
    """The byte at which the line stands that is no comment: CryptoDataDownload names itself first.

    A line of columns has commas.
    """
    end = data.find(b"\n") + 1
    first = data[:end].strip()
    banner = first.startswith((b"#", b"http")) or b"cryptodatadownload" in first.lower()
    return end if end and banner and b"," not in first else 0


def _find_columns(path: Path, names: Sequence[str]) -> dict[str, int]:
    plain = [re.sub(r"[^a-z]", "", name.lower()) for name in names]
    found: dict[str, int] = {}
    for column, spellings in _SPELLINGS.items():
        for spelling in spellings:
            if spelling in plain:
                found[column] = plain.index(spelling)
                break
        else:
            # CryptoDataDownload says "Volume BTC", then "Volume USDT": the first is the base's.
            if column == "volume":
                starts = [i for i, name in enumerate(plain) if name.startswith("volume")]
                if starts:
                    found[column] = starts[0]
    missing = [column for column in COLUMNS if column not in found]
    if missing:
        raise InvalidDataError(
            f"{path}: expected columns {', '.join(COLUMNS)} in a common spelling, "
            f"found no {' and no '.join(missing)} among: {', '.join(names)}"
        )
    return found
