"""The whole pipeline on generated bars, against a plain loop and against its own promises."""

from decimal import Decimal
from pathlib import Path

import msgspec
import numpy as np
import pytest

from goalkick.common.core.errors import InvalidDataError, SettingsError
from goalkick.common.events.base import Side
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.money import ZERO
from goalkick.embedded.backtest import BacktestResult, currency_of, run_backtest, write
from goalkick.embedded.journal import read_journal
from goalkick.embedded.pipeline import Pipeline
from goalkick.embedded.settings import GoalkickSettings, backtest_settings
from goalkick.ingest.candles import CandleTable
from goalkick.ingest.feeds.replay import ReplayFeed
from tests.bench.workload import CASH, PAIRS, W1_ROWS, W2_BEST, W2_ROWS, W2_TRIPS, candles, cross
from tests.embedded.recordings import Recorded, crossing, walk

GOLDEN_ROWS = 20_000

WILD = """
from goalkick.common.strategy import Params, Strategy

class Wild(Strategy[Params]):
    def on_features(self, features):
        return (self.target(features, float("nan")),)
"""


def w1(table: CandleTable, fast: int = 10, slow: int = 20) -> BacktestResult:
    settings = backtest_settings(
        GoalkickSettings(),
        strategy="ema_cross",
        params={"fast": fast, "slow": slow},
        quantity=Decimal(1),
        cash=Decimal(CASH),
        fee_bps=Decimal(10),
        stops=False,
        warmup=slow,
    )
    return run_backtest([table], settings)


def test_equals_the_plain_loop_to_the_cent() -> None:
    table = candles(GOLDEN_ROWS)
    trips, equity = cross(table, 10, 20)
    found = w1(table)
    assert (len(found.trips), found.bars) == (trips, GOLDEN_ROWS)
    assert float(found.final_equity) == pytest.approx(equity, abs=0.005)
    assert found.final_equity == round(found.final_equity, 7)


@pytest.mark.slow
def test_the_plain_loop_knows_the_answer_for_a_hundred_pairs() -> None:
    table = candles(W1_ROWS, keep=W2_ROWS)
    found = [cross(table, *pair) for pair in PAIRS]
    assert sum(trips for trips, _ in found) == W2_TRIPS
    assert max(equity for _, equity in found) == pytest.approx(W2_BEST, abs=0.005)


@pytest.mark.slow
@pytest.mark.parametrize("pair", PAIRS[9::10])
def test_pairs_of_the_sweep_equal_the_plain_loop(pair: tuple[int, int]) -> None:
    table = candles(W1_ROWS, keep=W2_ROWS)
    trips, equity = cross(table, *pair)
    found = w1(table, *pair)
    assert len(found.trips) == trips
    assert float(found.final_equity) == pytest.approx(equity, abs=0.005)


def test_orders_trade_at_the_next_open_and_not_before_the_warmup() -> None:
    table = candles(3_000)
    found = w1(table)
    opens = dict(
        zip(
            (table.time_ns - table.interval_ns).tolist(), table.floats("open").tolist(), strict=True
        )
    )
    assert found.fills
    for fill, order in zip(found.fills, found.orders, strict=True):
        assert fill.venue_time_ns == order.decision.time_ns
        assert float(fill.price) == opens[fill.venue_time_ns]
    assert found.orders[0].decision.time_ns >= table.time_ns[19]


def test_the_same_backtest_twice_decides_the_same() -> None:
    tables = [walk(), walk("ETH/USDT", seed=8)]
    first, second = run_backtest(tables, crossing()), run_backtest(tables, crossing())
    assert first.decisions_sha256 == second.decisions_sha256
    assert first.fills == second.fills
    assert np.array_equal(first.curve.equity, second.curve.equity)


def test_other_decisions_have_another_hash() -> None:
    hashes = {
        run_backtest([walk()], crossing(fee_bps=Decimal(fee))).decisions_sha256 for fee in (1, 2)
    }
    assert len(hashes) == 2


def test_every_order_is_told_with_its_outcome() -> None:
    found = run_backtest([walk(rows=2_000)], crossing())
    outcomes = {record.outcome for record in found.orders}
    assert {"filled", "refused"} <= outcomes
    assert all(record.reason for record in found.orders if record.outcome == "refused")
    filled = sum((r.filled for r in found.orders), ZERO)
    assert filled == sum((f.quantity for f in found.fills), ZERO)
    assert sum((r.fees for r in found.orders), ZERO) == found.fees


def test_final_equity_is_what_the_fills_say() -> None:
    found = run_backtest([walk(rows=1_000), walk("ETH/USDT", rows=1_000, seed=9)], crossing())
    cash = Decimal(100_000)
    held: dict[InstrumentId, Decimal] = {}
    for fill in found.fills:
        cash -= fill.side.sign * fill.quantity * fill.price + fill.fee
        held[fill.instrument] = held.get(fill.instrument, ZERO) + fill.side.sign * fill.quantity
    worth = sum((q * Decimal(str(found.prices[i][1][-1])) for i, q in held.items()), ZERO)
    assert found.final_equity == cash + worth
    assert found.curve.equity[-1] == pytest.approx(float(found.final_equity), rel=1e-13)


def test_the_curve_is_what_the_pipeline_says_at_each_moment() -> None:
    tables = [walk(rows=200), walk("ETH/USDT", rows=200, seed=8, start=50, missing=[9, 60, 61])]
    found = run_backtest(tables, crossing())
    pipeline, expected = Pipeline(crossing()), {}
    for step in ReplayFeed(tables).steps():
        pipeline.feed(step)
        expected[step[0].time_ns] = float(pipeline.equity)
    curve = found.curve
    exact = [expected[t] for t in curve.time_ns.tolist()]
    np.testing.assert_allclose(curve.equity, exact, rtol=1e-13, atol=0)


def test_the_curve_has_a_point_for_each_moment_and_stands_still_when_flat() -> None:
    tables = [walk(rows=300), walk("ETH/USDT", rows=300, seed=8, start=100)]
    found = run_backtest(tables, crossing())
    assert found.bars == 600
    assert len(found.curve.time_ns) == 400
    assert np.all(np.diff(found.curve.time_ns) > 0)
    both_flat = ~found.curve.invested[1:] & ~found.curve.invested[:-1]
    assert np.all(np.diff(found.curve.equity)[both_flat] == 0)


def test_a_feed_is_taken_as_well_as_tables() -> None:
    table = walk()
    found = run_backtest(Recorded(ReplayFeed([table]).steps()), crossing())
    expected = run_backtest([table], crossing())
    assert found.decisions_sha256 == expected.decisions_sha256
    for name, (time_ns, close) in expected.prices.items():
        assert np.array_equal(found.prices[name][0], time_ns)
        assert np.array_equal(found.prices[name][1], close)


def test_gaps_are_counted_and_refuse_nothing_later() -> None:
    found = run_backtest([walk(rows=300, missing=range(100, 120))], crossing())
    assert (found.gaps, found.missing, found.bars) == (1, 20, 280)
    assert any(fill.time_ns > found.curve.time_ns[100] for fill in found.fills)


def test_stop_after_handles_so_many_steps() -> None:
    found = run_backtest([walk()], crossing(), stop_after=51)
    whole = run_backtest([walk()], crossing())
    assert found.bars in (50, 51)
    assert len(found.prices["test:BTC/USDT"][0]) == found.bars  # type: ignore[index]
    assert np.array_equal(found.curve.equity, whole.curve.equity[: found.bars])


def test_progress_is_told_in_market_events() -> None:
    told: list[int] = []
    run_backtest([walk(rows=20_000)], crossing(), progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 20_000 + 1  # and the listing


def test_two_files_of_one_instrument_are_one_recording() -> None:
    table = walk(rows=400)
    middle_ns = int(table.time_ns[149])
    parts = [table.between(middle_ns, None), table.between(None, middle_ns)]
    found, whole = run_backtest(parts, crossing()), run_backtest([table], crossing())
    assert found.decisions_sha256 == whole.decisions_sha256
    assert np.array_equal(found.curve.equity, whole.curve.equity)
    assert np.array_equal(found.prices[table.instrument][1], table.floats("close"))


def test_writes_all_files_and_a_journal_that_reads_back(tmp_path: Path) -> None:
    found = run_backtest([walk(rows=600)], crossing(), journal=tmp_path / "journal")
    write(found, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "trades.csv",
        "equity.csv",
        "orders.csv",
        "journal",
        "report.html",
    }
    events = list(read_journal(tmp_path / "journal"))
    assert [e for e in events if e in found.fills] == list(found.fills)
    assert sum(type(e).__name__ == "BarClosed" for e in events) == 600
    assert len((tmp_path / "orders.csv").read_text().splitlines()) == 1 + len(found.orders)
    assert len((tmp_path / "trades.csv").read_text().splitlines()) == 1 + len(found.trips)
    assert len((tmp_path / "equity.csv").read_text().splitlines()) == 601
    assert found.decisions_sha256 in (tmp_path / "report.html").read_text()


def test_no_stops_leaves_the_strategy_alone() -> None:
    with_stops = run_backtest([walk(rows=2_000)], crossing())
    without = run_backtest([walk(rows=2_000)], crossing(stops=False))
    reasons = {getattr(r.decision, "reason", "").partition(":")[0] for r in with_stops.orders}
    assert {"stop-loss", "trailing stop", "take-profit"} & reasons
    assert not any(":" in getattr(r.decision, "reason", "") for r in without.orders)


def test_slippage_and_fees_are_told_apart() -> None:
    costly = run_backtest(
        [candles(2_000)],
        crossing(slippage_bps=Decimal(5), fee_bps=ZERO, quantity=Decimal(1), stops=False),
    )
    assert costly.fees == 0
    assert costly.slippage > 0
    for fill in costly.fills:
        worse = fill.price - fill.slippage / fill.quantity * fill.side.sign
        assert (fill.price > worse) == (fill.side is Side.BUY)


def test_a_strategy_that_talks_nonsense_is_told_of_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "wild.py").write_text(WILD)
    base = GoalkickSettings.model_validate({"strategy": {"folder": str(tmp_path)}})
    found = run_backtest([walk(rows=50)], backtest_settings(base, strategy="wild"))
    assert (found.bars, found.refused, found.fills) == (50, 50, [])
    assert found.refusal.startswith("strategy wild on test:BTC/USDT: expected a target in [-1, 1]")
    write(found, tmp_path)
    assert "found nan and 1.0" in (tmp_path / "report.html").read_text()


def test_refuses_a_recording_without_bars() -> None:
    with pytest.raises(InvalidDataError, match="expected bars, found none"):
        run_backtest(Recorded([]), crossing())


def test_refuses_instruments_of_several_currencies() -> None:
    assert currency_of([walk(), walk("ETH/USDT")]) == "USDT"
    other = walk()
    rules = msgspec.structs.replace(other.rules, quote="EUR")
    with pytest.raises(InvalidDataError, match=r"one currency.*in USDT.*in EUR"):
        currency_of([walk(), msgspec.structs.replace(other, rules=rules)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategy": None, "params": None}, "expected a strategy to test"),
        ({"strategy": None, "params": {"fast": 3}}, "along with parameters"),
        ({"quantity": Decimal(-1)}, "quantity: .*greater than 0, found -1"),
        ({"warmup": -1}, "warmup: .*found -1"),
        ({"fill": "close"}, "fill: .*found close"),
    ],
)
def test_refuses_options_that_make_no_sense(options: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        crossing(**options)
