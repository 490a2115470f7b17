"""The whole pipeline, and parts of it, in one process on generated bars."""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from decimal import Decimal

from goalkick.common.events.market import BarClosed
from goalkick.common.events.order import OrderIntended
from goalkick.embedded.backtest import BacktestResult, run_backtest
from goalkick.embedded.pipeline import Pipeline
from goalkick.embedded.settings import GoalkickSettings, backtest_settings
from goalkick.feature.core import FeatureCore
from goalkick.feature.definitions import CHAIN
from goalkick.feature.settings import FeatureSettings
from goalkick.ingest.feeds.replay import ReplayFeed
from tests.bench.baseline import Chain
from tests.bench.figures import Figure
from tests.bench.workload import CASH, W1_EQUITY, W1_ROWS, W1_TRIPS, candles, cross

FAST, SLOW = 10, 20
SHORT_ROWS = 100_000
MEMORY_LIMIT_MB = 400


def w1_settings() -> GoalkickSettings:
    """W1: one unit long while the fast EMA is above, 0.1 % a fill, nothing else interferes."""
    return backtest_settings(
        GoalkickSettings(),
        strategy="ema_cross",
        params={"fast": FAST, "slow": SLOW},
        quantity=Decimal(1),
        cash=Decimal(CASH),
        fee_bps=Decimal(10),
        stops=False,
        warmup=SLOW,
    )


def throughput(short: bool) -> Iterable[Figure]:
    """W1 through all cores, exact, and the plain chain beside it, in turns."""
    rows, rounds = (SHORT_ROWS, 3) if short else (W1_ROWS, 5)
    table = candles(rows)
    known = cross(table, FAST, SLOW) if short else (W1_TRIPS, W1_EQUITY)
    run_backtest([candles(1_000)], w1_settings())
    plain, whole = [], []
    for _ in range(rounds):
        seconds = time.perf_counter()
        answer = Chain(FAST, SLOW).run(table)
        plain.append(time.perf_counter() - seconds)
        found = run_backtest([table], w1_settings())
        whole.append(found.seconds)
        wrong = _wrong(answer, known) or _wrong(_answer(found), known)
        if wrong:
            yield Figure("W1", "wrong", "", wrong)
            return
    ratios = [a / b for a, b in zip(plain, whole, strict=True)]
    name = f"W1, {rows:,} bars"
    yield Figure(f"{name}: plain chain, best", f"{rows / min(plain):,.0f} bars/s")
    yield Figure(
        f"{name}: pipeline, best of {rounds}",
        f"{rows / min(whole):,.0f} bars/s",
        f"{max(ratios):.3f} of the plain chain beside it",
    )
    yield Figure(
        f"{name}: pipeline, median",
        f"{rows / statistics.median(whole):,.0f} bars/s",
        f"{statistics.median(ratios):.3f} of the plain chain beside it",
    )


def indicators(short: bool) -> Iterable[Figure]:
    """Thirty features of every family, bar by bar, from exact bar to vector."""
    bars = list(candles(20_000 if short else 100_000).bars())
    seconds = []
    for _ in range(3 if short else 7):
        handle = FeatureCore(FeatureSettings(features=CHAIN)).handlers[BarClosed]
        started = time.perf_counter()
        for bar in bars:
            handle(bar)
        seconds.append(time.perf_counter() - started)
    best, median = (1e9 * each / len(bars) for each in (min(seconds), statistics.median(seconds)))
    limit = "held against 2,000 ns"
    yield Figure(f"{len(CHAIN)} indicators, streaming, best", f"{best:,.0f} ns/bar", limit)
    yield Figure(f"{len(CHAIN)} indicators, streaming, median", f"{median:,.0f} ns/bar", limit)


def tick_to_order(short: bool) -> Iterable[Figure]:
    """From the bar's arrival to the moment at which the order would go to the venue."""
    started = 0
    waits: list[int] = []

    def note(_: object) -> None:
        waits.append(time.perf_counter_ns() - started)

    pipeline = Pipeline(w1_settings(), sinks=[(OrderIntended, note)])
    for step in ReplayFeed([candles(50_000 if short else 300_000)]).steps():
        started = time.perf_counter_ns()
        pipeline.feed(step)
    cuts = statistics.quantiles(waits, n=100)
    orders = f"of {len(waits):,} orders"
    yield Figure("tick to order, p50", f"{cuts[49] / 1000:,.0f} µs", f"{orders}, held against 100")
    yield Figure(
        "tick to order, p99", f"{cuts[98] / 1000:,.0f} µs", f"{orders}, held against 1,000"
    )


def memory(short: bool) -> Iterable[Figure]:
    """The most memory that a process ever had that runs W1, its bars included."""
    rows = SHORT_ROWS if short else W1_ROWS
    command = [sys.executable, "-m", "tests.bench.peak", str(rows)]
    peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    yield Figure(
        f"peak memory, {rows:,} bars",
        f"{int(peak):,} MB",
        f"held against {MEMORY_LIMIT_MB} for a million",
    )


def _answer(found: BacktestResult) -> tuple[int, float]:
    return len(found.trips), float(found.final_equity)


def _wrong(found: tuple[int, float], known: tuple[int, float]) -> str:
    if found[0] == known[0] and abs(found[1] - known[1]) < 0.005:
        return ""
    expected, got = (f"{trips:,} round trips and {equity:,.2f}" for trips, equity in (known, found))
    return f"expected {expected}, found {got}"


BENCHES = (throughput, indicators, tick_to_order, memory)
