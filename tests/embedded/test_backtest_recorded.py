"""Backtests of recorded candles: every file, and four instruments at once."""

from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest

from goalkick.common.values.money import ZERO
from goalkick.embedded.backtest import BacktestResult, currency_of, run_backtest
from goalkick.embedded.settings import GoalkickSettings, backtest_settings
from goalkick.ingest.candles import CandleTable, read_candles

pytestmark = [pytest.mark.data, pytest.mark.slow]

FILES = {
    "binance_spot_BTCUSDT_1h_2017-2024.csv.gz": 58_419,
    "binance_spot_BTCUSDT_5m_2023.csv.gz": 104_816,
    "binance_spot_ETHUSDT_5m_2023.csv.gz": 104_816,
    "binance_usdm_BTCUSDT_1m_2025-05.csv.gz": 43_199,
    "binance_usdm_ETHUSDT_1m_2025-05.csv.gz": 60_191,
    "binance_usdm_SOLUSDT_1m_2025-05.csv.gz": 43_200,
    "binance_usdm_XRPUSDT_1m_2025-05.csv.gz": 43_199,
    "coinbase_spot_BTC-USD_4h_2016-2025.csv.gz": 20_695,
}
"""File -> rows."""

GAPS = {"binance_spot_BTCUSDT_1h_2017-2024.csv.gz": (28, 128)}
"""File -> runs of missing bars, bars missing in all; elsewhere what the table says."""


def trade(tables: list[CandleTable]) -> BacktestResult:
    settings = backtest_settings(
        GoalkickSettings(),
        strategy="ema_cross",
        params={"fast": 10, "slow": 20},
        currency=currency_of(tables),
    )
    return run_backtest(tables, settings)


def check(found: BacktestResult, tables: list[CandleTable]) -> None:
    """What must hold of any backtest."""
    assert found.bars == sum(map(len, tables))
    assert (found.gaps, found.missing) == (
        sum(len(table.gaps) for table in tables),
        sum(gap.missing for table in tables for gap in table.gaps),
    )
    assert found.fills
    cash = found.settings.execution.initial_cash
    for fill in found.fills:
        cash -= fill.side.sign * fill.quantity * fill.price + fill.fee
    for table in tables:
        own = [fill for fill in found.fills if fill.instrument == table.instrument]
        held = list(accumulate((f.side.sign * f.quantity for f in own), initial=ZERO))
        assert min(held) >= 0
        cash += held[-1] * table.close.decimals()[-1]
        open_ns = (table.time_ns - table.interval_ns).tolist()
        opens = set(zip(open_ns, table.open.decimals(), strict=True))
        assert {(fill.venue_time_ns, fill.price) for fill in own} <= opens
    assert cash == found.final_equity
    assert np.all(np.isfinite(found.curve.equity))
    assert np.all(np.diff(found.curve.time_ns) > 0)


@pytest.mark.parametrize("name", FILES)
def test_every_recorded_file_can_be_traded(name: str, recorded_data: Path) -> None:
    table = read_candles(recorded_data / "candles" / name)
    assert len(table) == FILES[name]
    found = trade([table])
    check(found, [table])
    if name in GAPS:
        assert (found.gaps, found.missing) == GAPS[name]


def test_no_candle_file_is_left_out(recorded_data: Path) -> None:
    assert {path.name for path in (recorded_data / "candles").iterdir()} == set(FILES)


@pytest.mark.slow
def test_four_perpetuals_are_traded_on_one_account(recorded_data: Path) -> None:
    tables = [read_candles(recorded_data / "candles" / name) for name in FILES if "_usdm_" in name]
    found = trade(tables)
    check(found, tables)
    assert {fill.instrument for fill in found.fills} == {table.instrument for table in tables}
    assert found.decisions_sha256 == trade(tables[::-1]).decisions_sha256
