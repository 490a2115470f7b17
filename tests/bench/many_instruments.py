"""Many instruments in one ingest process for a long time: does it keep up, and does it grow?

The service as it runs in a cluster, from a venue's sockets to encoded records; the log takes them
and forgets them. `MINUTES` says how long, and is an option of the command.
"""

import asyncio
import contextlib
import gc
import multiprocessing
import resource
import time
from collections.abc import AsyncGenerator, Collection, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import uvloop
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from goalkick.common.adapters.clock.system import SystemClock
from goalkick.common.events.market import GapDetected, TradePrinted
from goalkick.common.ports.feed import LiveFeed, Step, Tape
from goalkick.common.ports.log import Change, Message, Partition, Record
from goalkick.common.runtime.meter import Meter
from goalkick.common.runtime.settings import RuntimeSettings
from goalkick.common.runtime.source import Source
from goalkick.common.telemetry.metrics import Metrics
from goalkick.common.values.time import NS_PER_MS
from goalkick.ingest.feeds.build import build_live
from goalkick.ingest.settings import IngestSettings
from tests.bench.figures import Bench, Figure
from tests.bench.loud_venue import loud_venue, name_of

MINUTES: float | None = None
"""How long it is measured; None: a third of a minute, or a tenth where it is to be short."""
INSTRUMENTS: Final = 200
RATE: Final = 5_000
"""Messages a second."""
WANTED_P99_MS: Final = 100.0
PARTITIONS: Final = 6

_BUCKETS_A_MS: Final = 10
_BUCKETS: Final = 300_000
"""Lags up to thirty seconds, so that what is measured takes no memory as it goes on."""
_SETTLING: Final = 0.25
"""Part of the time at its beginning in which memory may grow: caches fill, books come."""


class Measured(msgspec.Struct):
    """What an ingest process says of itself.

    Attributes:
        seconds: how long it was measured.
        cpu_s: processor time in it.
        messages: records that were sent in it.
        memory: (second, MiB resident), once a second.
        minutes: p99 of the lag in each minute, ms.
        lags: how many trades were so many tenths of a millisecond late.
        lost: gaps in the trades, and messages that were dropped.
    """

    seconds: float
    cpu_s: float
    messages: int
    memory: list[tuple[float, float]]
    minutes: list[float]
    lags: list[tuple[int, int]]
    lost: int


def many_instruments(short: bool) -> Iterator[Figure]:
    """200 instruments, 5,000 messages a second."""
    minutes = MINUTES if MINUTES is not None else (0.1 if short else 1 / 3)
    with loud_venue(INSTRUMENTS, RATE) as url:
        found = _measured(url, minutes)
    rate, trades = found.messages / found.seconds, sum(count for _, count in found.lags)
    wrong = "" if trades > 0 and not found.lost else f"{trades} trades, {found.lost} lost"
    p50, p99, worst = (_percentile(found.lags, part) for part in (0.5, 0.99, 1.0))
    slope, last = _slope(found.memory)
    name = f"{INSTRUMENTS} instruments, {found.seconds / 60:.1f} min"
    yield Figure(name, f"{rate:,.0f} records/s", f"of {RATE:,} messages/s", wrong)
    yield Figure("  lag of a trade, p50", f"{p50:.1f} ms")
    yield Figure("  lag of a trade, p99", f"{p99:.1f} ms", f"wanted {WANTED_P99_MS:.0f} ms")
    yield Figure("  lag of a trade, worst", f"{worst:.1f} ms")
    if found.minutes:
        each = ", ".join(f"{p99:,.0f}" for p99 in found.minutes)
        middle = sorted(found.minutes)[len(found.minutes) // 2]
        yield Figure("  lag of a trade, p99 of the middle minute", f"{middle:.1f} ms", each)
    yield Figure("  memory, slope", f"{slope:+.3f} MiB/min", f"{last:.0f} MiB at the end")
    sizes = [size for second, size in found.memory if second % 60 < 1]
    yield Figure("  memory, minute by minute", "MiB", ", ".join(f"{size:.0f}" for size in sizes))
    yield Figure("  processor", f"{found.cpu_s / found.seconds:.0%}", "of a core")


BENCHES: Sequence[Bench] = (many_instruments,)


def _measured(url: str, minutes: float) -> Measured:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_ingest, args=(theirs, url, minutes), daemon=True)
    process.start()
    try:
        return msgspec.msgpack.decode(ours.recv(), type=Measured)
    finally:
        process.kill()
        process.join()


def _slope(memory: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """MiB a minute by least squares, and the last size in MiB."""
    begun = memory[0][0] + _SETTLING * (memory[-1][0] - memory[0][0])
    settled = [(second, size) for second, size in memory if second >= begun]
    seconds, sizes = np.array(settled).T
    return float(np.polyfit(seconds / 60, sizes, 1)[0]), float(sizes[-1])


def _percentile(lags: Sequence[tuple[int, int]], part: float) -> float:
    wanted, seen = part * sum(count for _, count in lags), 0
    for bucket, count in lags:
        seen += count
        if seen >= wanted:
            return bucket / _BUCKETS_A_MS
    return float("nan")


# In the process that is measured.


class _Forgetful:
    """A log that takes everything and keeps nothing, and counts."""

    def __init__(self) -> None:
        self.messages = 0
        self.measuring = False
        self.trades: list[int] = []
        self.lags: NDArray[np.int64] = np.zeros(_BUCKETS, dtype=np.int64)

    async def start(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do."""

    async def partitions(self, topics: Collection[str]) -> Mapping[str, int]:
        return dict.fromkeys(topics, PARTITIONS)

    async def join(self, group: str, topic: str, lost: Change, gained: Change) -> None:
        await gained(range(PARTITIONS))

    async def leave(self) -> None:
        """Nothing to do."""

    async def read_from(self, offsets: Mapping[Partition, int]) -> None:
        """Nothing is there."""

    async def poll(self, timeout_s: float) -> Sequence[Record]:
        await asyncio.sleep(timeout_s)
        return ()

    def pause(self, partitions: Collection[Partition]) -> None:
        """Nothing is read."""

    def resume(self, partitions: Collection[Partition]) -> None:
        """Nothing is read."""

    async def send(self, messages: Sequence[Message], *, whole: bool = False) -> None:
        if self.measuring:
            self.messages += len(messages)
            now_ns = time.time_ns()
            for time_ns in self.trades:
                late = (now_ns - time_ns) * _BUCKETS_A_MS // NS_PER_MS
                self.lags[min(max(late, 0), _BUCKETS - 1)] += 1
        self.trades.clear()

    async def flush(self) -> None:
        """Nothing waits."""

    async def ends(self, partitions: Collection[Partition]) -> Mapping[Partition, tuple[int, int]]:
        return dict.fromkeys(partitions, (0, 0))

    async def tails(
        self, partitions: Collection[Partition], count: int
    ) -> Mapping[Partition, Sequence[Record]]:
        return dict.fromkeys(partitions, ())

    async def commit(self, offsets: Mapping[Partition, int]) -> bool:
        return True


class _Watched:
    """A feed whose trades are noted before they are sent."""

    def __init__(self, feed: LiveFeed, log: _Forgetful) -> None:
        self._feed = feed
        self._log = log
        self.heard = asyncio.Event()
        self.lost = 0

    async def steps(self, after_ns: int | None) -> AsyncGenerator[Step | Tape, None]:
        async with contextlib.aclosing(self._feed.steps(after_ns)) as steps:
            async for said in steps:
                for event in said:
                    if type(event) is TradePrinted:
                        self._log.trades.append(event.time_ns)
                        self.heard.set()
                    elif type(event) is GapDetected and self._log.measuring:
                        self.lost += 1
                yield said


def _ingest(pipe: Connection, url: str, minutes: float) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        pipe.send(msgspec.msgpack.encode(uvloop.run(_run(url, minutes))))


async def _run(url: str, minutes: float) -> Measured:
    settings = IngestSettings.model_validate(
        {
            "feed": "ccxt",
            "ccxt": {
                "instruments": [f"binance:{name_of(each)}" for each in range(INSTRUMENTS)],
                "endpoints": {"binance": url},
                "streams": ["bars", "trades", "quotes", "books"],
                "warmup": 2,
                "book_depth": 100,
            },
        }
    )
    metrics = Metrics(CollectorRegistry(), "ingest")
    clock = SystemClock()
    log = _Forgetful()
    feed = _Watched(build_live(settings, clock, metrics), log)
    source = Source(log, RuntimeSettings(), clock, Meter(metrics), live=feed.steps)
    stop = asyncio.Event()
    running = asyncio.create_task(source.run(stop))
    # Nobody says a trade before everything is subscribed to.
    heard = asyncio.create_task(feed.heard.wait())
    await asyncio.wait((running, heard), return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        running.result()
    # Books come by and by, some a second: a warm-up as after every start.
    await asyncio.sleep(15)
    found = await _watch(log, minutes * 60)
    found.lost = feed.lost
    stop.set()
    await running
    return found


async def _watch(log: _Forgetful, seconds: float) -> Measured:
    gc.collect()
    memory: list[tuple[float, float]] = []
    minutes: list[float] = []
    before = np.zeros_like(log.lags)
    log.measuring = True
    began_s, cpu_s = time.monotonic(), time.process_time()
    while (past_s := time.monotonic() - began_s) < seconds:
        memory.append((past_s, _resident_mib()))
        if past_s >= 60 * (len(minutes) + 1):
            minutes.append(_percentile(_counted(log.lags - before), 0.99))
            np.copyto(before, log.lags)
        await asyncio.sleep(min(1.0, seconds / 20))
    log.measuring = False
    cpu_s = time.process_time() - cpu_s
    return Measured(past_s, cpu_s, log.messages, memory, minutes, _counted(log.lags), 0)


def _counted(lags: NDArray[np.int64]) -> list[tuple[int, int]]:
    return [(bucket, int(lags[bucket])) for bucket in np.flatnonzero(lags).tolist()]


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20
