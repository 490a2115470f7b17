"""Files that others wrote become the archive's, exact and once; contradictions are refused."""

import zipfile
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.values.time import parse_time
from goalkick.ingest.archive.importing import import_file
from goalkick.ingest.archive.layout import series_of
from goalkick.ingest.candles import read_candles

D = Decimal
HOUR_MS = 3_600_000
NEWEST_MS = 1_700_002_800_000
"""2023-11-14T23:00."""
BANNER = "https://www.CryptoDataDownload.com"


def half_day(number: int) -> str:
    """`2023-11-14 11-PM` and the hours before it."""
    hour = 23 - number % 24
    return f"2023-11-{14 - number // 24} {hour % 12 or 12:02d}-{'PM' if hour >= 12 else 'AM'}"


def hours(spelling: str, count: int = 40) -> list[str]:
    """CryptoDataDownload's rows, newest first."""
    spelled = {
        "ms": lambda n: str(NEWEST_MS - n * HOUR_MS),
        "s": lambda n: str((NEWEST_MS - n * HOUR_MS) // 1000),
        "iso": lambda n: f"2023-11-{14 - n // 24} {23 - n % 24:02d}:00:00",
        "half days": half_day,
    }[spelling]
    return [
        f"{spelled(n)},BTCUSD,{100 - n}.25,{101 - n}.5,{99 - n},{100 - n}.125,{n}.5,{n * 100}.7"
        for n in range(count)
    ]


@pytest.mark.parametrize("spelling", ["ms", "s", "iso", "half days"])
def test_takes_over_cryptodatadownload_newest_first(tmp_path: Path, spelling: str) -> None:
    header = "Date,Symbol,Open,High,Low,Close,Volume BTC,Volume USD"
    file = tmp_path / "Coinbase_BTCUSD_1h.csv"
    file.write_text("\n".join([BANNER, header, *hours(spelling)]) + "\n")
    done = import_file(file, tmp_path / "data")
    assert (done.instrument, done.rows, done.new, done.missing) == ("coinbase:BTC/USD", 40, 40, 0)
    table = read_candles(done.folder)
    assert table.time_ns[-1] == parse_time("2023-11-15")
    last = list(table.bars())[-1]
    assert (last.open, last.close, last.volume) == (D("100.25"), D("100.125"), D("0.5"))


def test_a_bad_row_is_named_by_its_line_though_rows_are_turned_around(tmp_path: Path) -> None:
    rows = hours("ms")
    rows[3] = rows[3].replace("98.5", "1")
    file = tmp_path / "Coinbase_BTCUSD_1h.csv"
    header = "unix,symbol,open,high,low,close,Volume BTC,Volume USD"
    file.write_text("\n".join([BANNER, header, *rows]) + "\n")
    with pytest.raises(InvalidDataError, match=r"row 4 \(line 6\): expected high at or above low"):
        import_file(file, tmp_path / "data")


def test_takes_over_freqtrades_feather_exactly(tmp_path: Path) -> None:
    opens = pd.date_range("2024-01-31T23:58", periods=4, freq="min", tz="UTC").as_unit("ms")
    frame = pd.DataFrame(
        {"date": opens, "open": 0.1, "high": 0.3, "low": 0.1, "close": 0.2, "volume": 1e-8}
    )
    frame.to_feather(tmp_path / "BTC_USDT_USDT-1m-futures.feather")
    done = import_file(tmp_path / "BTC_USDT_USDT-1m-futures.feather", tmp_path / "data")
    assert done.instrument == "file:BTC/USDT:USDT"
    months = sorted(path.parent.name for path in done.folder.rglob("*.parquet"))
    assert months == ["month=2024-01", "month=2024-02"]
    assert {bar.high for bar in read_candles(done.folder).bars()} == {D("0.3")}


@pytest.mark.parametrize("unit", [1, 1000])
def test_takes_over_binances_aggregate_trades(tmp_path: Path, unit: int) -> None:
    start = int(pd.Timestamp("2025-01-31T23:59:50").timestamp() * 1000) * unit
    rows = [
        f"{249_990 + n},9.{n:02d}000000,0.00{n + 1:03d},{2 * n},{2 * n + 1},"
        f"{start + n * 1000 * unit},{'True' if n % 2 else 'False'},True"
        for n in range(30)
    ]
    file = tmp_path / "BTCUSDT-aggTrades-2025-01.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("BTCUSDT-aggTrades-2025-01.csv", "\n".join(rows) + "\n")
    done = import_file(file, tmp_path / "data")
    series = series_of(done.folder)
    assert series is not None
    assert (series.instrument, series.grain, done.rows) == ("binance:BTC/USDT", "aggregate", 30)
    frame = pd.read_parquet(tmp_path / "data/trades").sort_values("id")
    assert frame["id"].tolist() == list(range(249_990, 250_020))
    assert frame["price"].iloc[3] == D("9.03")
    assert frame["taker_side"].iloc[1] == "sell"
    assert len(set(frame["month"])) == 2
    assert import_file(file, tmp_path / "data").new == 0


def test_takes_over_single_trades_with_a_header_and_counts_what_is_missing(tmp_path: Path) -> None:
    rows = [f"{n},9.5,0.001,1.2,{1_704_067_200_000 + n},true" for n in range(1, 30) if n != 7]
    file = tmp_path / "BTCUSDT-trades-2024-01.csv"
    file.write_text("\n".join(["id,price,qty,quote_qty,time,is_buyer_maker", *rows]) + "\n")
    done = import_file(file, tmp_path / "data")
    assert (done.rows, done.missing) == (28, 1)
    rows[4] = rows[4].replace("9.5", "-1")
    file.write_text("\n".join(rows) + "\n")
    with pytest.raises(InvalidDataError, match=r"row 5: expected a trade, found .*'-1'"):
        import_file(file, tmp_path / "other")
    assert import_file(file, tmp_path / "other", on_bad_data="drop").rows == 27


def minutes(folder: Path, first: int, count: int, close: str = "1.5") -> Path:
    start = parse_time("2024-01-01") // 10**6
    rows = [f"{start + n * 60_000},1,2,1,{close},3" for n in range(first, first + count)]
    file = folder / "binance_spot_BTCUSDT_1m.csv"
    file.write_text("\n".join(["time,open,high,low,close,volume", *rows]) + "\n")
    return file


def test_files_that_overlap_become_one_and_their_gap_is_told(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert import_file(minutes(tmp_path, 0, 10), data).new == 10
    done = import_file(minutes(tmp_path, 15, 10), data)
    assert (done.new, done.missing) == (10, 5)
    done = import_file(minutes(tmp_path, 5, 15), data)
    assert (done.new, done.missing) == (5, 0)
    assert len(read_candles(done.folder)) == 25


def test_what_two_files_tell_differently_is_refused(tmp_path: Path) -> None:
    import_file(minutes(tmp_path, 0, 10), tmp_path / "data")
    with pytest.raises(InvalidDataError, match=r"to agree with the archive, found .*1\.75"):
        import_file(minutes(tmp_path, 5, 10, close="1.75"), tmp_path / "data")


def test_mark_prices_are_no_candles_of_trades(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match="found mark by the file's name"):
        import_file(tmp_path / "BTC_USDT_USDT-1h-mark.feather", tmp_path / "data")
