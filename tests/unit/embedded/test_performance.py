"""Figures from equity curves, against values worked out by hand."""

import math
from decimal import Decimal

import numpy as np
import pytest

from goalkick.common.values.time import NS_PER_DAY, NS_PER_HOUR
from goalkick.embedded.performance import Curve, Performance, drawdown, measure, sampled_returns

ZERO = Decimal(0)


def curve(equity: list[float], step_ns: int = NS_PER_DAY, initial: float = 100.0) -> Curve:
    n = len(equity)
    return Curve(
        time_ns=np.arange(1, n + 1, dtype=np.int64) * step_ns,
        equity=np.array(equity),
        invested=np.array([i % 2 == 0 for i in range(n)]),
        initial=initial,
    )


def figures(c: Curve) -> Performance:
    return measure(c, [], traded=Decimal(250), fees=Decimal(3), slippage=Decimal(1))


def test_drawdown_is_measured_from_the_high_and_timed_until_it_is_regained() -> None:
    depth, length_ns = drawdown(curve([110, 99, 88, 100, 110, 109]))
    assert depth == pytest.approx(0.2)
    assert length_ns == 3 * NS_PER_DAY


def test_drawdown_counts_a_loss_from_the_first_bar_on() -> None:
    depth, length_ns = drawdown(curve([90, 95, 99]))
    assert depth == pytest.approx(0.1)
    assert length_ns == 2 * NS_PER_DAY


def test_a_rising_curve_has_no_drawdown() -> None:
    assert drawdown(curve([101, 102, 103])) == (0.0, 0)


def test_returns_are_sampled_by_day_over_a_month_and_by_bar_below() -> None:
    hours = 24 * 40
    long = curve([100.0 + i for i in range(hours)], NS_PER_HOUR)
    returns, per_year = sampled_returns(long)
    assert (len(returns), per_year) == (40, 365)
    assert returns[0] == pytest.approx((100 + 23) / 100 - 1)
    short, per_year = sampled_returns(curve([101, 102], NS_PER_HOUR))
    assert (len(short), per_year) == (2, 365 * 24)


def test_a_day_without_bars_has_a_return_of_zero() -> None:
    c = curve([float(100 + i) for i in range(40)])
    missing = Curve(
        time_ns=np.delete(c.time_ns, 10),
        equity=np.delete(c.equity, 10),
        invested=np.delete(c.invested, 10),
        initial=100.0,
    )
    returns, _ = sampled_returns(missing)
    assert len(returns) == 40
    assert returns[10] == 0.0


def test_sharpe_and_sortino_follow_their_formulas() -> None:
    values = [100.0]
    for i in range(40):
        values.append(values[-1] * (1.02 if i % 2 else 0.99))
    found = figures(curve(values[1:]))
    returns = np.array([-0.01, 0.02] * 20)
    assert found.sharpe == pytest.approx(returns.mean() / returns.std(ddof=1) * math.sqrt(365))
    downside = math.sqrt((0.01**2) / 2)
    assert found.sortino == pytest.approx(returns.mean() / downside * math.sqrt(365))
    assert found.total_return == pytest.approx(values[-1] / 100 - 1)


def test_a_flat_curve_has_no_ratio_rather_than_zero_or_infinity() -> None:
    found = figures(curve([100.0] * 40))
    assert (found.sharpe, found.sortino, found.win_rate, found.profit_factor) == (None,) * 4
    assert (found.total_return, found.annual_volatility) == (0.0, 0.0)


def test_a_year_of_doubling_is_a_hundred_per_cent_a_year() -> None:
    found = figures(curve(list(np.linspace(100, 200, 366))))
    assert found.annual_return == pytest.approx(1.0)
    assert (found.turnover, found.exposure) == (2.5, 0.5)


def test_one_bar_is_enough() -> None:
    found = figures(curve([101.0]))
    assert found.total_return == pytest.approx(0.01)
    assert (found.sharpe, found.annual_return) == (None, None)
