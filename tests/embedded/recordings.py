"""Small recordings to run the whole pipeline on: generated, exact, gappy where asked."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

import msgspec
import numpy as np

from goalkick.common.events.base import Event
from goalkick.common.ports.feed import FROM_THE_START, Step
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import NS_PER_MINUTE, parse_time
from goalkick.embedded.settings import GoalkickSettings, backtest_settings
from goalkick.ingest.candles import CandleTable, Gap
from goalkick.ingest.exact import DecimalColumn

START_NS = parse_time("2024-03-01")


class Recorded:
    """A recorded feed of given steps."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self._steps = list(steps)

    def steps(self, from_ns: int = FROM_THE_START) -> Iterator[Step]:
        return (step for step in self._steps if step[0].time_ns >= from_ns)


def walk(
    name: str = "BTC/USDT",
    *,
    rows: int = 400,
    seed: int = 7,
    start: int = 0,
    missing: Sequence[int] = (),
    deviation: float = 0.004,
) -> CandleTable:
    """A random walk of minute bars.

    Args:
        name: of the instrument on the venue `test`.
        rows: how many bars, before some are taken away.
        seed: same seed, same bars.
        start: minutes after `START_NS` at which the first bar opens.
        missing: positions of bars that are not there; not the first or the last.
        deviation: of a bar's return.
    """
    instrument = InstrumentId(f"test:{name}")
    rng = np.random.Generator(np.random.PCG64(seed))
    price = np.rint(100_00 * np.exp(np.cumsum(deviation * rng.standard_normal(rows + 1))))
    open_, close = price[:-1].astype(np.int64), price[1:].astype(np.int64)
    time_ns = START_NS + NS_PER_MINUTE * (start + np.arange(1, rows + 1, dtype=np.int64))
    part = np.isin(np.arange(rows), np.array(missing, dtype=np.int64), invert=True)
    times = time_ns[part]
    holes = np.flatnonzero(np.diff(times) > NS_PER_MINUTE)
    return CandleTable(
        instrument=instrument,
        interval_ns=NS_PER_MINUTE,
        time_ns=times,
        open=DecimalColumn(open_, 2)[part],
        high=DecimalColumn(np.maximum(open_, close) + rng.integers(0, 30, rows), 2)[part],
        low=DecimalColumn(np.minimum(open_, close) - rng.integers(0, 30, rows), 2)[part],
        close=DecimalColumn(close, 2)[part],
        volume=DecimalColumn(rng.integers(1, 5000, rows), 0)[part],
        rules=Instrument(
            id=instrument, base=name.partition("/")[0], quote="USDT", lot_size=Decimal("0.001")
        ),
        reading="generated",
        gaps=tuple(
            Gap(
                int(times[i]),
                int(times[i + 1]) - NS_PER_MINUTE,
                int(times[i + 1] - times[i]) // NS_PER_MINUTE - 1,
            )
            for i in holes
        ),
        dropped={},
    )


def first(table: CandleTable, rows: int) -> CandleTable:
    """The table without its end."""
    end_ns = int(table.time_ns[rows - 1])
    columns = {
        name: getattr(table, name)[:rows]
        for name in ("time_ns", "open", "high", "low", "close", "volume")
    }
    gaps = tuple(gap for gap in table.gaps if gap.to_ns < end_ns)
    return msgspec.structs.replace(table, gaps=gaps, **columns)


def crossing(**options: object) -> GoalkickSettings:
    """EMA(3)/EMA(8), everything that risk can do of itself included."""
    base = GoalkickSettings.model_validate(
        {
            "risk": {
                "sizing": "volatility_target",
                "stop_loss": "0.02",
                "trailing_stop": "0.03",
                "take_profit": "0.05",
                "max_daily_loss": "0.03",
                "max_drawdown": "0.5",
                "allow_short": True,
                "max_gross_exposure": "2",
            },
            "execution": {"slippage_bps": "1", "max_volume_share": "0.5"},
        }
    )
    given: dict[str, object] = {
        "strategy": "ema_cross",
        "params": {"fast": 3, "slow": 8, "short": True},
        **options,
    }
    return backtest_settings(base, **given)  # type: ignore[arg-type]


def kinds(events: Iterable[Event]) -> list[str]:
    """Names of the events' types."""
    return [type(event).__name__ for event in events]
