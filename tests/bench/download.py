"""`goalkick download` beside what the venue's limit allows, from an exchange in another process.

At Binance's own limit for as long as a month or two of bars last; and, unless in a hurry, over more
than a minute, the venue's window, at a limit that is low enough for the bars to last.
"""

import asyncio
import contextlib
import multiprocessing
import tempfile
import time
from collections.abc import Iterator, Sequence
from decimal import Decimal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, NamedTuple

from goalkick.common.values.time import NS_PER_MINUTE
from goalkick.ingest.archive.client import PAGE
from goalkick.ingest.archive.download import Download, Fetched, Wanted
from goalkick.ingest.candles import read_candles
from goalkick.venue.binance.settings import BinanceSettings
from goalkick.venue.engine.model import Candle
from goalkick.venue.server import VenueServer
from goalkick.venue.settings import FlowSettings, MarketSettings, VenueSettings
from tests.bench.figures import Bench, Figure

BARS: Final = 86_400
"""Of each instrument: sixty days of minutes, about what the exchange remembers."""
LIMIT: Final = 6_000
"""Weight a minute, Binance's; a page of candles weighs two."""
WEIGHT: Final = 2
WANTED: Final = 0.9
PRICE: Final = Decimal(100)
STEP: Final = Decimal("0.01")


class Load(NamedTuple):
    """What is fetched.

    Attributes:
        instruments: how many.
        limit: weight that the exchange allows in a minute.
    """

    instruments: int
    limit: int

    @property
    def allowed(self) -> float:
        """Bars that the limit allows in a second."""
        return self.limit / WEIGHT * PAGE / 60

    @property
    def names(self) -> tuple[str, ...]:
        """Of the instruments."""
        return tuple(f"A{number}/USDT" for number in range(self.instruments))


FULL_SPEED, WHOLE_MINUTE = Load(5, LIMIT), Load(8, 1_200)


def download_candles(short: bool) -> Iterator[Figure]:
    """Pages of candles side by side, into files."""
    for load in (FULL_SPEED,) if short else (FULL_SPEED, WHOLE_MINUTE):
        yield _timed(load)


BENCHES: Sequence[Bench] = (download_candles,)


def _timed(load: Load) -> Figure:
    with _exchange(load) as (url, from_ns), tempfile.TemporaryDirectory() as folder:
        wanted = Wanted(
            venue="binance",
            instruments=load.names,
            kind="candles",
            from_ns=from_ns,
            to_ns=time.time_ns(),
            out=Path(folder),
            endpoint=url,
        )
        began = time.process_time()
        seconds, found, told_off = asyncio.run(_fetch(wanted))
        busy = (time.process_time() - began) / seconds
        rate = sum(one.rows for one in found) / seconds
        return Figure(
            f"download, {load.limit:,} weight a minute, {seconds:.0f} s",
            f"{rate:,.0f} bars/s",
            f"{rate / load.allowed:.0%} of what is allowed (wanted: {WANTED:.0%}), "
            f"{busy:.0%} of a core",
            _wrong(found, told_off),
        )


def _wrong(found: Sequence[Fetched], told_off: int) -> str:
    if told_off:
        return f"expected to keep the limit, was told to slow down {told_off} times"
    known = [_close(number) for number in range(BARS)]
    for one in found:
        closes = [bar.close for bar in read_candles(one.folder).bars()]
        # Minutes that ended since the candles were made have no trade, and are flat.
        if one.missing or one.refused or closes[:BARS] != known or set(closes[BARS:]) - {known[-1]}:
            return f"{one.instrument}: expected the exchange's {BARS:,} bars, found others: {one}"
    return ""


async def _fetch(wanted: Wanted) -> tuple[float, Sequence[Fetched], int]:
    async with await Download.open(wanted) as download:
        await download.plan()
        began = time.perf_counter()
        found = await download.run(lambda _: None)
        return time.perf_counter() - began, found, download.history.waits


@contextlib.contextmanager
def _exchange(load: Load) -> Iterator[tuple[str, int]]:
    """A running exchange: where Binance is served, and when its first bar opens."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, load), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.kill()
        process.join()


def _serve(pipe: Connection, load: Load) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(pipe, load))


async def _run(pipe: Connection, load: Load) -> None:
    settings = VenueSettings(
        front_ends=("binance",),
        binance_port=0,
        control_port=0,
        markets={name: MarketSettings(price=PRICE) for name in load.names},
        flow=FlowSettings(enabled=False, history=0),
        binance=BinanceSettings(weight_limit=load.limit),
    )
    async with VenueServer(settings) as server:
        now_ns = time.time_ns()
        from_ns = (now_ns // NS_PER_MINUTE - BARS) * NS_PER_MINUTE
        for name in load.names:
            server.exchange.load_candles(name, _candles(from_ns))
        pipe.send((server.binance_url, from_ns))
        await asyncio.Event().wait()


def _candles(from_ns: int) -> Iterator[Candle]:
    for number in range(BARS):
        close = _close(number)
        yield Candle(
            open_ns=from_ns + number * NS_PER_MINUTE,
            open=close,
            high=close + STEP,
            low=close - STEP,
            close=close,
            volume=Decimal(number % 7 + 1),
            quote_volume=close,
            trades=number % 5 + 1,
        )


def _close(number: int) -> Decimal:
    return PRICE + STEP * (number % 1_000)
