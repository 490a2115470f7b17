"""A strategy on the past: the very cores that trade, fed from a recording as fast as they go."""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from decimal import Decimal
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.order import Fill
from goalkick.common.ports.feed import RecordedFeed, Step
from goalkick.common.ports.model import Model
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.money import ZERO
from goalkick.embedded.journal import Journal
from goalkick.embedded.performance import Curve, Floats, Performance, Times, measure
from goalkick.embedded.pipeline import Pipeline
from goalkick.embedded.recorder import (
    EquityRecorder,
    OrderRecord,
    PriceRecorder,
    Prices,
    Recorder,
)
from goalkick.embedded.report import write_equity, write_orders, write_page, write_trades
from goalkick.embedded.settings import GoalkickSettings, backtest_settings
from goalkick.embedded.trades import RoundTrip, round_trips
from goalkick.ingest.candles import CandleTable
from goalkick.ingest.feeds.replay import ReplayFeed

__all__ = ["BacktestResult", "backtest_settings", "currency_of", "run_backtest", "write"]

PROGRESS_STEPS = 8192
"""Steps between two calls of `progress`: some tens of milliseconds."""


class BacktestResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a backtest.

    Attributes:
        settings: what it was run with, needed features included.
        bars: how many bars were closed.
        orders: every decision of risk and its outcome, in order of time.
        fills: every trade, in order of time.
        trips: closed round trips.
        curve: equity at each moment that closed a bar.
        performance: the figures.
        final_equity: cash and positions at the last closes, quote currency, exact.
        fees: paid in all, quote currency.
        slippage: cost of slippage in all, quote currency.
        decisions_sha256: hash over all order and fill events; equal runs have equal hashes.
        seconds: how long the run took, wall clock.
        gaps: stretches of missing bars that were met.
        missing: how many bars they miss in all.
        dropped: bad rows that were left out of the files.
        tables: the candles that were traded; none if it was another feed.
        recorded: the closes of another feed; see `prices`.
        refused: how many times a core could not use an event and said nothing to it, such as a
            strategy that wanted a position that is no number.
        refusal: why, the last time; "" if never.
    """

    settings: GoalkickSettings
    bars: int
    orders: Sequence[OrderRecord]
    fills: Sequence[Fill]
    trips: Sequence[RoundTrip]
    curve: Curve
    performance: Performance
    final_equity: Decimal
    fees: Decimal
    slippage: Decimal
    decisions_sha256: str
    seconds: float
    gaps: int
    missing: int
    dropped: int
    tables: Sequence[CandleTable]
    recorded: Prices
    refused: int
    refusal: str

    @property
    def bars_per_second(self) -> float:
        """How fast it went."""
        return self.bars / self.seconds

    @property
    def prices(self) -> Prices:
        """The closes that were reached, for charts; made anew each time."""
        return _closes(self.tables, int(self.curve.time_ns[-1])) or self.recorded


def currency_of(tables: Sequence[CandleTable]) -> str:
    """The one currency that all instruments are paid in: the account's in a backtest.

    Raises:
        InvalidDataError: there are several, or no table.
    """
    currencies = sorted({table.rules.quote for table in tables})
    if len(currencies) != 1:
        found = ", ".join(f"{table.instrument} in {table.rules.quote}" for table in tables)
        raise InvalidDataError(
            f"expected instruments paid in one currency, found {found or 'no instrument'}"
        )
    return currencies[0]


def run_backtest(
    source: RecordedFeed | Sequence[CandleTable],
    settings: GoalkickSettings,
    *,
    models: Sequence[Model] = (),
    progress: Callable[[int], object] | None = None,
    stop_after: int | None = None,
    journal: Path | None = None,
) -> BacktestResult:
    """Runs every core over a recording.

    Args:
        source: candles, or any feed whose events are all known at once.
        settings: see `backtest_settings`.
        models: what `settings.prediction.models` names, in memory.
        progress: told now and then how many market events were handled: bars, mostly.
        stop_after: steps to handle at most; None: all there are.
        journal: where to write every event, one a line; None: nowhere.

    Raises:
        SettingsError: the settings cannot be used.
        InvalidDataError: the source holds no bar.
    """
    tables: Sequence[CandleTable] = ()
    if isinstance(source, Sequence):
        tables = sorted(source, key=lambda table: int(table.time_ns[0]))
    feed = ReplayFeed(tables) if isinstance(source, Sequence) else source
    recorder, prices = Recorder(), PriceRecorder()
    equity = EquityRecorder(settings.execution.initial_cash)
    sinks = [*recorder.sinks(), *equity.sinks(), *(() if tables else prices.sinks())]
    with Journal(journal) if journal else nullcontext() as written:
        sinks += written.sinks() if written else ()
        pipeline = Pipeline(settings, models=models, sinks=sinks)
        with _no_collector():
            started = time.perf_counter()
            _run(islice(feed.steps(), stop_after), pipeline, progress)
            seconds = time.perf_counter() - started
    recorded = prices.prices()
    closes = _closes(tables, pipeline.moment_ns) or recorded
    bars = sum(len(times) for times, _ in closes.values())
    if not bars:
        raise InvalidDataError("backtest: expected bars, found none")
    curve = equity.curve(closes)
    # As large as the curve, and no longer looked at.
    del closes
    trips = round_trips(recorder.fills)
    fees = sum((fill.fee for fill in recorder.fills), ZERO)
    slippage = sum((fill.slippage for fill in recorder.fills), ZERO)
    traded = sum((fill.quantity * fill.price for fill in recorder.fills), ZERO)
    return BacktestResult(
        settings=pipeline.settings,
        bars=bars,
        orders=recorder.orders,
        fills=recorder.fills,
        trips=trips,
        curve=curve,
        performance=measure(curve, trips, traded=traded, fees=fees, slippage=slippage),
        final_equity=pipeline.equity,
        fees=fees,
        slippage=slippage,
        decisions_sha256=recorder.decisions_sha256,
        seconds=seconds,
        gaps=recorder.gaps,
        missing=recorder.missing,
        dropped=sum(sum(table.dropped.values()) for table in tables),
        tables=tables,
        recorded=recorded,
        refused=pipeline.refused,
        refusal=pipeline.refusal,
    )


def write(result: BacktestResult, folder: Path, *, facts: Sequence[tuple[str, str]] = ()) -> None:
    """Writes `trades.csv`, `equity.csv`, `orders.csv` and `report.html`.

    The journal is not among them: it is written while the backtest runs.

    Args:
        result: of `run_backtest`.
        folder: made if it is not there.
        facts: (name, value) to say on the page besides what the result knows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_trades(folder / "trades.csv", result.trips)
    write_equity(folder / "equity.csv", result.curve)
    write_orders(folder / "orders.csv", result.orders)
    runs = result.settings.strategy.strategies
    own = [
        ("Strategies", "; ".join(f"{name} {run.params}" for name, run in runs.items())),
        ("Bars", f"{result.bars:,}, {result.missing:,} missing in {result.gaps:,} gaps"),
        ("Final equity", f"{result.final_equity:,} {result.settings.execution.currency}"),
        ("Decisions (SHA-256)", result.decisions_sha256),
    ]
    if result.refused:
        own.append(("Refused by a core", f"{result.refused:,} times, lastly: {result.refusal}"))
    write_page(
        folder / "report.html",
        title=f"Backtest of {', '.join(runs)}",
        facts=[*facts, *own],
        curve=result.curve,
        performance=result.performance,
        prices=result.prices,
        fills=result.fills,
    )


def _run(
    steps: Iterator[Step],
    pipeline: Pipeline,
    progress: Callable[[int], object] | None,
) -> None:
    """Feeds all steps."""
    feed = pipeline.feed
    events, told = 0, -1
    while events != told:
        told = events
        for step in islice(steps, PROGRESS_STEPS):
            feed(step)
            events += len(step)
        if progress is not None:
            progress(events)


def _closes(tables: Sequence[CandleTable], last_ns: int) -> Prices:
    """The closes that were reached; tables are in order of time for each instrument."""
    found: dict[InstrumentId, tuple[Times, Floats]] = {}
    for table in tables:
        count = int(np.searchsorted(table.time_ns, last_ns, side="right"))
        part = table.time_ns[:count], table.close[:count].floats()
        earlier = found.get(table.instrument)
        if earlier is not None:
            part = np.concatenate((earlier[0], part[0])), np.concatenate((earlier[1], part[1]))
        found[table.instrument] = part
    return found


@contextmanager
def _no_collector() -> Iterator[None]:
    """Events hold no cycles: looking for some in millions of objects would only cost time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
