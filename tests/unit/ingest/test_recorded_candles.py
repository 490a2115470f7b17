"""The recorded candle files: rows and gaps are what their README says."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from goalkick.common.events.market import BarClosed, GapDetected
from goalkick.common.values.time import NS_PER_HOUR, NS_PER_MINUTE, parse_time
from goalkick.ingest.candles import read_candles
from goalkick.ingest.feeds.replay import ReplayFeed

pytestmark = pytest.mark.data

FIVE, HOUR, FOUR = 5 * NS_PER_MINUTE, NS_PER_HOUR, 4 * NS_PER_HOUR

FILES = [
    # name, instrument, interval, rows, first open, last open, missing, gaps
    (
        "binance_spot_BTCUSDT_5m_2023", "binance:BTC/USDT", FIVE, 104_816,
        "2023-01-01T00:00", "2023-12-30T23:55", 16, 1,
    ),
    (
        "binance_spot_ETHUSDT_5m_2023", "binance:ETH/USDT", FIVE, 104_816,
        "2023-01-01T00:00", "2023-12-30T23:55", 16, 1,
    ),
    (
        "binance_spot_BTCUSDT_1h_2017-2024", "binance:BTC/USDT", HOUR, 58_419,
        "2017-08-17T04:00", "2024-04-21T14:00", 128, 28,
    ),
    (
        "binance_usdm_BTCUSDT_1m_2025-05", "binanceusdm:BTC/USDT:USDT", NS_PER_MINUTE, 43_199,
        "2025-05-04T15:33", "2025-06-03T15:31", 0, 0,
    ),
    (
        "binance_usdm_ETHUSDT_1m_2025-05", "binanceusdm:ETH/USDT:USDT", NS_PER_MINUTE, 60_191,
        "2025-05-04T15:33", "2025-06-15T10:43", 0, 0,
    ),
    (
        "binance_usdm_SOLUSDT_1m_2025-05", "binanceusdm:SOL/USDT:USDT", NS_PER_MINUTE, 43_200,
        "2025-05-04T15:33", "2025-06-03T15:32", 0, 0,
    ),
    (
        "binance_usdm_XRPUSDT_1m_2025-05", "binanceusdm:XRP/USDT:USDT", NS_PER_MINUTE, 43_199,
        "2025-05-04T15:36", "2025-06-03T15:34", 0, 0,
    ),
    (
        "coinbase_spot_BTC-USD_4h_2016-2025", "coinbase:BTC/USD", FOUR, 20_695,
        "2016-05-18T04:00", "2025-10-28T00:00", 5, 3,
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "instrument", "interval_ns", "rows", "first", "last", "missing", "gaps"),
    FILES,
    ids=[row[0] for row in FILES],
)
def test_reads_each_recorded_file_whole(
    recorded_data: Path,
    name: str,
    instrument: str,
    interval_ns: int,
    rows: int,
    first: str,
    last: str,
    missing: int,
    gaps: int,
) -> None:
    table = read_candles(recorded_data / "candles" / f"{name}.csv.gz")
    assert (table.instrument, table.interval_ns, len(table)) == (instrument, interval_ns, rows)
    assert table.time_ns[0] - interval_ns == parse_time(first)
    assert table.time_ns[-1] - interval_ns == parse_time(last)
    assert sum(gap.missing for gap in table.gaps) == missing
    assert len(table.gaps) == gaps
    assert table.dropped == {}
    assert "read as milliseconds" in table.reading


def test_every_candle_file_has_a_case(recorded_data: Path) -> None:
    found = {path.name.removesuffix(".csv.gz") for path in (recorded_data / "candles").iterdir()}
    assert found == {row[0] for row in FILES}


def test_the_halt_of_march_2023_is_a_gap_in_the_feed(recorded_data: Path) -> None:
    table = read_candles(recorded_data / "candles" / "binance_spot_BTCUSDT_5m_2023.csv.gz")
    gap_steps = [
        step
        for step in ReplayFeed([table]).steps()
        if any(isinstance(event, GapDetected) for event in step)
    ]
    ((gap, bar),) = gap_steps
    assert isinstance(gap, GapDetected)
    assert isinstance(bar, BarClosed)
    assert gap.from_ns == parse_time("2023-03-24T12:40")
    assert gap.to_ns == bar.open_time_ns == parse_time("2023-03-24T14:00")
    assert gap.missing == 16


def test_the_longest_hourly_gap_is_33_hours(recorded_data: Path) -> None:
    table = read_candles(recorded_data / "candles" / "binance_spot_BTCUSDT_1h_2017-2024.csv.gz")
    longest = max(table.gaps, key=lambda gap: gap.missing)
    assert longest.missing == 33
    began = datetime.fromtimestamp(longest.from_ns / 1e9, tz=UTC)
    assert began == datetime(2018, 2, 8, 1, tzinfo=UTC)


def test_perpetuals_merge_by_time_with_every_bar_once(recorded_data: Path) -> None:
    tables = [
        read_candles(path)
        for path in sorted((recorded_data / "candles").glob("binance_usdm_*.csv.gz"))
    ]
    last_ns, bars = 0, 0
    for step in ReplayFeed(tables).steps():
        assert step[0].time_ns > last_ns
        last_ns = step[0].time_ns
        names = [event.key for event in step]
        assert names == sorted(set(names))
        bars += sum(type(event) is BarClosed for event in step)
    assert bars == sum(map(len, tables))
