"""The bars that everything is measured on, and the plain loop that knows the right answer.

A seeded geometric random walk of one-minute bars with open[t+1] == close[t], so that an engine that
fills at this bar's close and one that fills at the next bar's open agree to the cent.
"""

import numpy as np

from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import NS_PER_MINUTE, parse_time
from goalkick.ingest.candles import CandleTable
from goalkick.ingest.exact import DecimalColumn, Floats

INSTRUMENT = InstrumentId("bench:BTC/USDT")
START_NS = parse_time("2022-01-01")
SEED = 42

CASH = 10_000_000
FEE = 0.001

W1_ROWS, W1_TRIPS, W1_EQUITY = 1_000_000, 22_615, 9_265_189.71
"""EMA(10)/EMA(20): right answer of all rows."""

W2_ROWS, W2_TRIPS, W2_BEST = 100_000, 130_704, 9_969_600.54
"""All of `PAIRS`: round trips in all, best equity."""

PAIRS = tuple((fast, slow) for fast in range(5, 25, 2) for slow in range(30, 80, 5))

_START_PRICE = 20_000.0
_DEVIATION = 0.0005
_SHADOW = 0.0003


def candles(rows: int = W1_ROWS, *, keep: int | None = None) -> CandleTable:
    """The bars of a walk.

    Args:
        rows: its length; walks of different lengths have different shadows and volumes, because
            one stream of random numbers feeds all columns.
        keep: how many of its bars, from the first on; None: all.
    """
    rng = np.random.Generator(np.random.PCG64(SEED))
    close = _closes(rng.standard_normal(rows))
    open_ = np.concatenate(([_START_PRICE], close[:-1]))
    high = _shadow(np.maximum(open_, close), rng.standard_normal(rows), 1)
    low = _shadow(np.minimum(open_, close), rng.standard_normal(rows), -1)
    table = CandleTable(
        instrument=INSTRUMENT,
        interval_ns=NS_PER_MINUTE,
        time_ns=START_NS + NS_PER_MINUTE * np.arange(1, rows + 1, dtype=np.int64),
        open=_exact(open_, 2),
        high=_exact(high, 2),
        low=_exact(low, 2),
        close=_exact(close, 2),
        volume=_exact(rng.lognormal(6.0, 1.0, rows), 3, add=1),
        rules=Instrument(id=INSTRUMENT, base="BTC", quote="USDT"),
        reading="generated",
        gaps=(),
        dropped={},
    )
    return table if keep is None else table.between(None, int(table.time_ns[keep - 1]))


def cross(table: CandleTable, fast: int, slow: int) -> tuple[int, float]:
    """Round trips and final equity of one pair of EMAs, in plain floats.

    Long while the fast one is above; in and out at the next open; no order before `slow` closes.
    """
    opens, closes = table.floats("open").tolist(), table.floats("close").tolist()
    weight_fast, weight_slow = 2 / (fast + 1), 2 / (slow + 1)
    fast_ema = slow_ema = closes[0]
    cash, position, trips, wanted = float(CASH), 0, 0, 0
    for seen, (open_, close) in enumerate(zip(opens, closes, strict=True), 1):
        traded = wanted - position
        if traded:
            cash -= open_ * (traded + FEE)
            trips += traded < 0
            position = wanted
        fast_ema += weight_fast * (close - fast_ema)
        slow_ema += weight_slow * (close - slow_ema)
        if seen >= slow and fast_ema != slow_ema:
            wanted = int(fast_ema > slow_ema)
    return trips, cash + position * closes[-1]


def _closes(normal: Floats) -> Floats:
    """The walk. In place, here and below: the bars of a benchmark of memory take little of it."""
    normal *= _DEVIATION
    normal -= 0.5 * _DEVIATION**2
    np.cumsum(normal, out=normal)
    np.exp(normal, out=normal)
    normal *= _START_PRICE
    return np.round(normal, 2, out=normal)


def _shadow(body: Floats, normal: Floats, sign: int) -> Floats:
    """High or low: the body's end, and something beyond it."""
    np.abs(normal, out=normal)
    normal *= sign * _SHADOW
    normal += 1
    normal *= body
    return normal


def _exact(values: Floats, places: int, *, add: int = 0) -> DecimalColumn:
    """The decimals that the floats round to; `add` is in units of the last place."""
    scaled = np.round(values, places)
    scaled *= 10**places
    mantissas = np.rint(scaled, out=scaled).astype(np.int64)
    mantissas += add
    return DecimalColumn(mantissas, places)
