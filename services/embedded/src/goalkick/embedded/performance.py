"""How well it went: figures from an equity curve and round trips.

Returns are sampled at the end of each UTC day (at each bar when the curve spans less than
`DAILY_FROM_DAYS` days), and annualised with 365 days: crypto trades every day. The risk-free rate
is taken as zero. Formulas: Sharpe (1994), Sortino and van der Meer (1991).
"""

import math
from collections.abc import Sequence
from decimal import Decimal

import msgspec
import numpy as np
import numpy.typing as npt

from goalkick.common.values.money import ZERO
from goalkick.common.values.time import NS_PER_DAY, NS_PER_YEAR
from goalkick.embedded.trades import RoundTrip

DAILY_FROM_DAYS = 30
"""With fewer days than this there are too few daily returns to say anything."""

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """Equity over time.

    Attributes:
        time_ns: (n,) int64, UTC, ascending: closes of bars.
        equity: (n,) float64, quote currency: cash and positions at the close.
        invested: (n,) bool, whether any position was open at the close.
        initial: equity before the first bar.
    """

    time_ns: Times
    equity: Floats
    invested: npt.NDArray[np.bool_]
    initial: float


class Performance(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of a run. Fractions, not per cent; None where a figure has no meaning.

    Attributes:
        total_return: final equity / initial equity - 1.
        annual_return: the same, compounded to a year.
        annual_volatility: standard deviation of returns, to a year.
        sharpe, sortino: mean return over (downside) deviation, to a year.
        max_drawdown: largest fall from a high, as a positive fraction.
        max_drawdown_ns: longest time below an earlier high (until the end if not regained).
        round_trips: closed round trips.
        win_rate: share of round trips with a profit after fees.
        profit_factor: profits over losses of round trips, after fees.
        exposure: share of bars at whose close a position was open.
        turnover: traded notional over initial equity.
        fees, slippage: paid, in quote currency.
    """

    total_return: float
    annual_return: float | None
    annual_volatility: float | None
    sharpe: float | None
    sortino: float | None
    max_drawdown: float
    max_drawdown_ns: int
    round_trips: int
    win_rate: float | None
    profit_factor: float | None
    exposure: float
    turnover: float
    fees: Decimal
    slippage: Decimal


def measure(
    curve: Curve,
    trips: Sequence[RoundTrip],
    *,
    traded: Decimal,
    fees: Decimal,
    slippage: Decimal,
) -> Performance:
    """All figures of a run.

    Args:
        curve: at least one point.
        trips: closed round trips.
        traded: notional of all fills, in quote currency.
        fees: paid in all, in quote currency.
        slippage: cost of slippage in all, in quote currency.
    """
    total = float(curve.equity[-1]) / curve.initial - 1
    returns, per_year = sampled_returns(curve)
    deviation = float(np.std(returns, ddof=1)) if len(returns) > 1 else 0.0
    downside = float(np.sqrt(np.mean(np.minimum(returns, 0.0) ** 2))) if len(returns) else 0.0
    mean = float(np.mean(returns)) if len(returns) else 0.0
    depth, length_ns = drawdown(curve)
    profits = [trip.profit for trip in trips if trip.profit > 0]
    losses = [-trip.profit for trip in trips if trip.profit < 0]
    return Performance(
        total_return=total,
        annual_return=_annual(total, int(curve.time_ns[-1] - curve.time_ns[0])),
        annual_volatility=deviation * math.sqrt(per_year) if len(returns) > 1 else None,
        sharpe=mean / deviation * math.sqrt(per_year) if deviation else None,
        sortino=mean / downside * math.sqrt(per_year) if downside else None,
        max_drawdown=depth,
        max_drawdown_ns=length_ns,
        round_trips=len(trips),
        win_rate=len(profits) / len(trips) if trips else None,
        profit_factor=float(sum(profits, ZERO) / sum(losses, ZERO)) if losses else None,
        exposure=float(np.mean(curve.invested)),
        turnover=float(traded) / curve.initial,
        fees=fees,
        slippage=slippage,
    )


def sampled_returns(curve: Curve) -> tuple[Floats, float]:
    """Simple returns of days (or bars), and how many of them make a year."""
    time_ns, equity = curve.time_ns, curve.equity
    span_ns = int(time_ns[-1] - time_ns[0])
    if span_ns >= DAILY_FROM_DAYS * NS_PER_DAY:
        # A bar that closes at midnight belongs to the day that ends there.
        day = time_ns - 1
        day //= NS_PER_DAY
        last = np.append(np.flatnonzero(day[1:] != day[:-1]), len(day) - 1)
        days = day[last]
        # A day without any bar has a return of zero: equity stood still.
        filled = np.repeat(equity[last], np.diff(np.append(days, days[-1] + 1)))
        points, per_year = filled, NS_PER_YEAR / NS_PER_DAY
    else:
        points = equity
        per_year = NS_PER_YEAR / (span_ns / (len(equity) - 1)) if span_ns else 0.0
    before = np.concatenate(([curve.initial], points[:-1]))
    if np.any(before <= 0):
        return np.empty(0), per_year
    return points / before - 1, per_year


def drawdown(curve: Curve) -> tuple[float, int]:
    """The largest fall from a high as a fraction, and the longest time below a high, in ns."""
    # In place and without copies: a curve of a million points is measured in little memory.
    share = curve.equity.astype(np.float64)
    np.maximum.accumulate(share, out=share)
    np.maximum(share, curve.initial, out=share)
    at_high = curve.equity >= share
    np.divide(curve.equity, share, out=share)
    depth = max(0.0, 1 - float(np.min(share)))
    del share
    below_ns = np.where(at_high, curve.time_ns, curve.time_ns[0])
    np.maximum.accumulate(below_ns, out=below_ns)
    np.subtract(curve.time_ns, below_ns, out=below_ns)
    return depth, int(np.max(below_ns))


def _annual(total: float, span_ns: int) -> float | None:
    """Compounded to a year; None for less than a day or a loss of everything."""
    if span_ns < NS_PER_DAY or total <= -1:
        return None
    try:
        return math.expm1(math.log1p(total) * NS_PER_YEAR / span_ns)
    except OverflowError:
        return None
