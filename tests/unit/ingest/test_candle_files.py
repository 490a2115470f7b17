"""Candle files: every common form is read exactly; what is wrong is refused with file and row."""

import gzip
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pytest

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.values.ids import InstrumentId
from goalkick.ingest.candles import CandleTable, Gap, read_candles

D = Decimal
MINUTE = 60_000_000_000
START = 1_700_000_040_000_000_000
ROWS = (
    ("100.5", "101", "99.25", "100", "12.001"),
    ("100", "100.75", "100", "100.5", "0"),
    ("100.5", "100.5", "98", "98.125", "3.5"),
)
HEADER = "time,open,high,low,close,volume"


def minutes(rows: tuple[tuple[str, ...], ...] = ROWS, unit: int = 10**6) -> list[str]:
    """Lines of a CSV: one-minute rows with their opens counted in `unit` ns."""
    return [
        ",".join((str((START + row * MINUTE) // unit), *cells)) for row, cells in enumerate(rows)
    ]


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def frame(unit: Literal["ms", "us", "ns"] = "ns") -> pd.DataFrame:
    opens = pd.to_datetime([START + row * MINUTE for row in range(3)], utc=True).as_unit(unit)
    numbers = [[float(cell) for cell in row] for row in ROWS]
    names = ("open", "high", "low", "close", "volume")
    columns = dict(zip(names, zip(*numbers, strict=True), strict=True))
    return pd.DataFrame({"date": opens, **columns})


def assert_is_the_minutes(table: CandleTable) -> None:
    assert table.interval_ns == MINUTE
    assert table.time_ns.tolist() == [START + (row + 1) * MINUTE for row in range(3)]
    read = [(bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in table.bars()]
    assert read == [tuple(map(D, row)) for row in ROWS]
    assert table.gaps == ()
    assert table.dropped == {}


@pytest.mark.parametrize(
    "header",
    [
        HEADER,
        "ts_ms,open,high,low,close,volume",
        "Timestamp,Open,High,Low,Close,Volume",
        '"Open time","Open price","High price","Low price","Close price","Base volume"',
        "unix,o,h,l,c,v",
        "date,open,high,low,close,Volume BTC",
    ],
)
def test_reads_headers_in_the_common_spellings(tmp_path: Path, header: str) -> None:
    assert_is_the_minutes(read_candles(write(tmp_path / "a.csv", [header, *minutes()])))


def test_reads_columns_in_any_order_beside_others(tmp_path: Path) -> None:
    lines = ["symbol,volume,close,low,high,open,trades,date"]
    for line in minutes():
        time, open_, high, low, close, volume = line.split(",")
        lines.append(f"BTC,{volume},{close},{low},{high},{open_},17,{time}")
    assert_is_the_minutes(read_candles(write(tmp_path / "a.csv", lines)))


def test_reads_binances_twelve_columns_without_a_header(tmp_path: Path) -> None:
    lines = [f"{line},1700000099999,1.0,308,0.5,0.5,0" for line in minutes()]
    table = read_candles(write(tmp_path / "BTCUSDT-1m-2023-11.csv", lines))
    assert_is_the_minutes(table)
    assert table.instrument == "binance:BTC/USDT"


@pytest.mark.parametrize(
    ("unit", "word"),
    [
        (10**9, "seconds"),
        (10**6, "milliseconds"),
        (10**3, "microseconds"),
        (1, "nanoseconds"),
    ],
)
def test_recognises_the_unit_of_times_and_reports_it(tmp_path: Path, unit: int, word: str) -> None:
    table = read_candles(write(tmp_path / "a.csv", [HEADER, *minutes(unit=unit)]))
    assert_is_the_minutes(table)
    assert f"'time' read as {word}" in table.reading


@pytest.mark.parametrize(
    "form",
    [
        "%Y-%m-%d %H:%M:%S",
        "%Y-%m-%dT%H:%M:%SZ",
        "%Y-%m-%d %H:%M:%S+00:00",
        "%Y-%m-%dT%H:%M:%S.000000",
        "%Y-%m-%d %H:%M",
    ],
)
def test_reads_iso_text_as_utc(tmp_path: Path, form: str) -> None:
    opens = pd.to_datetime([START + row * MINUTE for row in range(3)]).strftime(form)
    lines = [f"{time},{','.join(row)}" for time, row in zip(opens, ROWS, strict=True)]
    table = read_candles(write(tmp_path / "a.csv", [HEADER, *lines]))
    assert_is_the_minutes(table)
    assert "ISO text" in table.reading


def test_reads_iso_text_with_an_offset_as_that_moment(tmp_path: Path) -> None:
    opens = pd.to_datetime([START + row * MINUTE for row in range(3)], utc=True)
    texts = [time.isoformat() for time in opens.tz_convert("Asia/Tokyo")]
    lines = [f"{time},{','.join(row)}" for time, row in zip(texts, ROWS, strict=True)]
    assert_is_the_minutes(read_candles(write(tmp_path / "a.csv", [HEADER, *lines])))


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_reads_parquet_with_timestamps_of_any_unit(
    tmp_path: Path, unit: Literal["ms", "us", "ns"]
) -> None:
    frame(unit).to_parquet(tmp_path / "a.parquet", index=False)
    assert_is_the_minutes(read_candles(tmp_path / "a.parquet"))


def test_reads_days_as_dates(tmp_path: Path) -> None:
    days = pd.date_range("2024-02-28", periods=3).date
    table = frame().assign(date=days)
    table.to_parquet(tmp_path / "a.parquet")
    read = read_candles(tmp_path / "a.parquet")
    assert read.interval_ns == 24 * 60 * MINUTE
    assert read.reading.endswith("from 2024-02-28T00:00:00Z to 2024-03-02T00:00:00Z")


def test_reads_iso_text_of_mixed_forms_and_marks_what_is_none(tmp_path: Path) -> None:
    lines = _replaced(2, time="2023-11-14T22:15:00+00:00")
    for row, text in ((1, "2023-11-14 22:14"), (3, "2023-11-14T22:16:00.000Z"), (4, "soon")):
        lines[row] = ",".join([text, *lines[row].split(",")[1:]])
    for row, minute in ((5, 18), (6, 19)):
        lines[row] = ",".join([f"2023-11-14T22:{minute}Z", *lines[row].split(",")[1:]])
    table = read_candles(write(tmp_path / "a.csv", lines), on_bad_data="drop")
    assert table.dropped == {"expected a time like the first one, found something else": 1}
    assert [gap.missing for gap in table.gaps] == [1]
    assert len(table) == 5


def test_a_price_before_1970_or_after_2262_has_no_time(tmp_path: Path) -> None:
    for time in ("1969-12-31T23:00", "2400-01-01T00:00"):
        lines = _iso_minutes()
        lines[2] = ",".join([time, *lines[2].split(",")[1:]])
        with pytest.raises(InvalidDataError, match=r"row 2 .*expected a time like the first"):
            read_candles(write(tmp_path / "a.csv", lines))


def _iso_minutes() -> list[str]:
    opens = pd.to_datetime([START + row * MINUTE for row in range(3)])
    cells = zip(opens.strftime("%Y-%m-%dT%H:%M"), ROWS, strict=True)
    return [HEADER, *(",".join([time, *row]) for time, row in cells)]


def test_prices_that_share_no_decimal_places_are_still_compared_exactly(tmp_path: Path) -> None:
    tiny = ("0.123456789012345678", "123456789012345.5", "0.123456789012345678", "1", "1")
    table = read_candles(write(tmp_path / "a.csv", [HEADER, *minutes((tiny, tiny))]))
    bar = next(table.bars())
    assert (bar.open, bar.high) == (D(tiny[0]), D(tiny[1]))
    below = ("0.123456789012345677", *tiny[1:])
    with pytest.raises(InvalidDataError, match=r"row 2 .*expected open between low and high"):
        read_candles(write(tmp_path / "a.csv", [HEADER, *minutes((tiny, below))]))


def test_reads_parquet_with_counts_and_texts(tmp_path: Path) -> None:
    columns = list(zip(*(line.split(",") for line in minutes()), strict=True))
    texts = pd.DataFrame(dict(zip(HEADER.split(","), columns, strict=True)))
    texts.assign(time=texts["time"].astype("int64")).to_parquet(tmp_path / "a.parquet")
    assert_is_the_minutes(read_candles(tmp_path / "a.parquet"))


def test_reads_freqtrades_feather(tmp_path: Path) -> None:
    frame("ms").to_feather(tmp_path / "BTC_USDT-1m.feather")
    table = read_candles(tmp_path / "BTC_USDT-1m.feather")
    assert_is_the_minutes(table)
    assert table.instrument == "file:BTC/USDT"


@pytest.mark.parametrize("form", ["csv", "parquet", "feather"])
@pytest.mark.parametrize("packing", ["gz", "zip"])
def test_reads_packed_files(tmp_path: Path, form: str, packing: str) -> None:
    plain = tmp_path / f"a.{form}"
    if form == "csv":
        write(plain, [HEADER, *minutes()])
    else:
        getattr(frame(), f"to_{form}")(plain)
    packed = tmp_path / f"a.{form}.{packing}" if packing == "gz" else tmp_path / "a.zip"
    if packing == "gz":
        packed.write_bytes(gzip.compress(plain.read_bytes()))
    else:
        with zipfile.ZipFile(packed, "w") as archive:
            archive.write(plain, plain.name)
    assert_is_the_minutes(read_candles(packed))


@pytest.mark.parametrize("ending", ["\r\n", "\n"])
def test_reads_a_csv_with_byte_order_mark_and_any_line_ending(tmp_path: Path, ending: str) -> None:
    text = ending.join([HEADER, *minutes()])
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert_is_the_minutes(read_candles(tmp_path / "a.csv"))


def test_numbers_are_the_digits_of_the_file(tmp_path: Path) -> None:
    row = ("0.00001234", "0.00001300", "1.2e-5", "0.0000125", "123456789012.34567")
    table = read_candles(write(tmp_path / "a.csv", [HEADER, *minutes((row, row))]))
    bar = next(table.bars())
    assert (bar.open, bar.low, bar.volume) == (D(row[0]), D(row[2]), D(row[4]))
    assert table.rules.tick_size == D("0.00000001")


def test_floats_are_what_float_makes_of_the_exact_value(tmp_path: Path) -> None:
    volumes = (
        "2300.0110000000004",
        "351.71299999999997",
        "60000.123",
        "0.1",
        "123456789.123456789",
    )
    rows = tuple(("1", "1", "1", "1", volume) for volume in volumes)
    table = read_candles(write(tmp_path / "a.csv", [HEADER, *minutes(rows)]))
    exact = [bar.volume for bar in table.bars()]
    assert exact == [D(volume) for volume in volumes]
    assert table.floats("volume").tolist() == [float(volume) for volume in exact]


@pytest.mark.parametrize(
    ("name", "instrument"),
    [
        ("binance_spot_BTCUSDT_1m_2023.csv", "binance:BTC/USDT"),
        ("binance_usdm_ETHUSDT_1m_2025-05.csv", "binanceusdm:ETH/USDT:USDT"),
        ("coinbase_spot_BTC-USD_1m_2016-2025.csv", "coinbase:BTC/USD"),
        ("ETH_BTC-1m.csv", "file:ETH/BTC"),
        ("mine.csv", "file:mine"),
    ],
)
def test_takes_the_instrument_from_the_files_name(
    tmp_path: Path, name: str, instrument: str
) -> None:
    path = write(tmp_path / name, [HEADER, *minutes()])
    assert read_candles(path).instrument == instrument
    named = InstrumentId("x:A/B")
    assert read_candles(path, instrument=named).instrument == named


def _replaced(row: int, **cells: str) -> list[str]:
    lines = [HEADER, *minutes((*ROWS, *ROWS))]
    values = dict(zip(HEADER.split(","), lines[row].split(","), strict=True)) | cells
    return [*lines[:row], ",".join(values.values()), *lines[row + 1 :]]


def _swapped() -> list[str]:
    lines = [HEADER, *minutes((*ROWS, *ROWS))]
    lines[3], lines[4] = lines[4], lines[3]
    return lines


def _repeated() -> list[str]:
    lines = [HEADER, *minutes((*ROWS, *ROWS))]
    return [*lines[:4], lines[3], *lines[4:]]


BAD_ROWS: dict[str, tuple[Callable[[], list[str]], int, str]] = {
    "unsorted": (_swapped, 4, "expected a later time than the row before, found an earlier"),
    "duplicate": (_repeated, 4, "expected a later time than the row before, found the same"),
    "negative price": (lambda: _replaced(3, low="-98"), 3, "expected a positive low"),
    "zero price": (lambda: _replaced(3, low="0"), 3, "expected a positive low"),
    "negative volume": (lambda: _replaced(2, volume="-1"), 2, "found a negative one"),
    "not a number": (lambda: _replaced(2, close="nan"), 2, "expected a finite number as close"),
    "infinite": (lambda: _replaced(2, high="inf"), 2, "expected a finite number as high"),
    "empty cell": (lambda: _replaced(2, open=""), 2, "expected a finite number as open"),
    "words": (lambda: _replaced(2, open="n/a"), 2, "expected a finite number as open"),
    "inverted": (lambda: _replaced(2, high="90"), 2, "high at or above low, found them inverted"),
    "close above high": (lambda: _replaced(2, close="200"), 2, "expected close between low and"),
    "open below low": (lambda: _replaced(2, open="5"), 2, "expected open between low and high"),
    "no time": (lambda: _replaced(2, time="soon"), 2, "expected a time like the first one"),
    "another unit": (lambda: _replaced(2, time="1700000100000000000"), 2, "time like the first"),
    "between the bars": (lambda: _replaced(2, time="1700000100001"), 2, "on the grid of 1m"),
    "too many digits": (
        lambda: _replaced(2, volume="1234567890.1234567891"),
        2,
        "volume within 18 digits",
    ),
}


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_refuses_a_bad_row_with_file_row_line_and_reason(tmp_path: Path, kind: str) -> None:
    lines, row, reason = BAD_ROWS[kind]
    path = write(tmp_path / "bad.csv", lines())
    with pytest.raises(InvalidDataError) as caught:
        read_candles(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: row {row} (line {row + 1}): ")
    assert reason in message


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_drops_and_counts_a_bad_row_when_told_to(tmp_path: Path, kind: str) -> None:
    lines, _, reason = BAD_ROWS[kind]
    written = lines()
    table = read_candles(write(tmp_path / "bad.csv", written), on_bad_data="drop")
    assert list(table.dropped.values()) == [1]
    assert reason in next(iter(table.dropped))
    assert len(table) == len(written) - 2
    assert "1 bad rows dropped" in table.reading
    assert (np.diff(table.time_ns) > 0).all()


def test_refuses_the_first_of_many_bad_rows_and_counts_the_others(tmp_path: Path) -> None:
    lines = _replaced(2, open="-1")
    lines[5] = lines[5].replace("100.75", "inf")
    with pytest.raises(InvalidDataError, match=r"row 2 \(line 3\): .*; 1 more bad row;"):
        read_candles(write(tmp_path / "bad.csv", lines))


def test_a_dropped_row_becomes_a_gap(tmp_path: Path) -> None:
    table = read_candles(write(tmp_path / "bad.csv", _replaced(3, close="nan")), on_bad_data="drop")
    assert table.gaps == (Gap(START + 2 * MINUTE, START + 3 * MINUTE, 1),)


def test_a_bad_row_does_not_make_a_good_one_of_the_same_time_bad(tmp_path: Path) -> None:
    lines = _replaced(3, close="nan")
    lines.insert(4, minutes()[2])
    table = read_candles(write(tmp_path / "bad.csv", lines), on_bad_data="drop")
    assert len(table) == 6
    assert list(table.dropped.values()) == [1]


def test_refuses_a_line_with_too_few_cells_or_counts_it(tmp_path: Path) -> None:
    lines = [HEADER, *minutes()]
    lines[2] = lines[2].rpartition(",")[0]
    path = write(tmp_path / "bad.csv", lines)
    with pytest.raises(InvalidDataError, match="line 3: expected 6 cells, found 5"):
        read_candles(path)
    table = read_candles(path, on_bad_data="drop", interval_ns=MINUTE)
    assert table.dropped == {"expected as many cells as columns, found more or fewer": 1}
    assert len(table) == 2


def test_refuses_nan_and_inverted_rows_of_parquet(tmp_path: Path) -> None:
    bad = frame()
    bad.loc[1, "volume"] = np.nan
    bad.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(InvalidDataError, match=r"a\.parquet: row 2: .*finite number as volume"):
        read_candles(tmp_path / "a.parquet")
    bad = frame()
    bad.loc[2, "high"] = 1.0
    bad.to_parquet(tmp_path / "b.parquet")
    with pytest.raises(InvalidDataError, match=r"b\.parquet: row 3: .*inverted"):
        read_candles(tmp_path / "b.parquet")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", b"", "found an empty file"),
        ("a.csv", HEADER.encode() + b"\n\n", "found no rows"),
        ("a.csv", b"time,open,high,low,volume\n1,1,1,1,1\n", "found no close among: time, open"),
        ("a.csv", b"1,2,3\n4,5,6\n", "found no header and 3 columns"),
        ("a.csv", b"\xff\xfe\x00\x01\n", "expected text in UTF-8"),
        ("a.parquet", b"no parquet at all", "expected a parquet file"),
        ("a.feather", b"no feather at all", "expected a feather file"),
        ("a.csv.gz", b"not packed", "expected a readable file"),
        ("a.zip", b"not packed", "expected a readable file"),
        ("a.xlsx", b"x", "expected .csv, .parquet or .feather"),
    ],
)
def test_refuses_what_is_no_candle_file(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InvalidDataError) as caught:
        read_candles(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert reason in str(caught.value)


def test_refuses_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match="expected a readable file"):
        read_candles(tmp_path / "absent.csv")


def test_refuses_an_archive_of_several_files(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.csv", "x")
        archive.writestr("b.csv", "x")
    with pytest.raises(InvalidDataError, match="expected one file in the archive, found 2"):
        read_candles(tmp_path / "a.zip")


def test_refuses_an_empty_parquet_file(tmp_path: Path) -> None:
    frame().iloc[:0].to_parquet(tmp_path / "a.parquet")
    with pytest.raises(InvalidDataError, match="found no rows"):
        read_candles(tmp_path / "a.parquet")


def test_one_row_needs_to_be_told_its_length(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", [HEADER, *minutes(ROWS[:1])])
    with pytest.raises(InvalidDataError, match="expected at least two times"):
        read_candles(path)
    assert len(read_candles(path, interval_ns=MINUTE)) == 1


def test_missing_bars_are_gaps_and_never_invented(tmp_path: Path) -> None:
    rows = minutes((*ROWS, *ROWS, *ROWS))
    table = read_candles(write(tmp_path / "a.csv", [HEADER, *rows[:3], rows[5], *rows[7:]]))
    assert len(table) == 6
    assert table.gaps == (
        Gap(START + 3 * MINUTE, START + 5 * MINUTE, 2),
        Gap(START + 6 * MINUTE, START + 7 * MINUTE, 1),
    )
    assert "3 bars missing in 2 gaps" in table.reading


def test_between_keeps_whole_bars_and_their_gaps(tmp_path: Path) -> None:
    rows = minutes((*ROWS, *ROWS, *ROWS))
    table = read_candles(write(tmp_path / "a.csv", [HEADER, *rows[:3], *rows[5:]]))
    part = table.between(START + MINUTE, START + 7 * MINUTE)
    assert part.time_ns.tolist() == [START + k * MINUTE for k in (2, 3, 6, 7)]
    assert part.gaps == table.gaps
    assert [bar.time_ns for bar in part.bars()] == part.time_ns.tolist()
    assert table.between(START + 5 * MINUTE, None).gaps == ()
    assert table.between(None, START + 3 * MINUTE).gaps == ()
    with pytest.raises(InvalidDataError, match="expected bars between"):
        table.between(START + 3 * MINUTE, START + 5 * MINUTE)


def test_takes_over_a_frame() -> None:
    table = CandleTable.from_frame(
        frame().rename(columns={"date": "ts"}), InstrumentId("x:A/B"), MINUTE
    )
    assert_is_the_minutes(table)
    assert table.rules.base == "A"


def test_many_batches_read_as_one_file(tmp_path: Path) -> None:
    rows = 150_000
    opens = pd.date_range("2020-01-01", periods=rows, freq="60s", tz="UTC")
    prices = 1.0 + np.arange(rows) / 8
    # Volumes with ever more digits: later batches need more decimal places than the first.
    volumes = np.where(np.arange(rows) < 100_000, 0.5, 1 / 3)
    columns = {"open": prices, "high": prices, "low": prices, "close": prices, "volume": volumes}
    pd.DataFrame({"ts": opens, **columns}).to_parquet(tmp_path / "a.parquet")
    table = read_candles(tmp_path / "a.parquet")
    assert len(table) == rows
    assert np.array_equal(table.floats("close"), prices)
    assert np.array_equal(table.floats("volume"), volumes)
    assert table.volume[slice(rows - 1, None)].decimals() == [D("0.3333333333333333")]
