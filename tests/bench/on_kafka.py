"""The pipeline on a real Kafka, beside bare hops of the same number on the same broker.

A hop is a process that consumes one topic and produces the next: feature, strategy, risk and
execution are four. Latency is the time from a bar's record until the intent of the order that it
led to stands in the log; throughput is that of a chain that is never short of bars. Every figure is
a ratio within the run: machines differ.
"""

import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

from goalkick.common.events.market import BarClosed
from goalkick.common.events.order import Fill, OrderIntended
from goalkick.common.events.signal import Signal
from goalkick.common.ports.feed import Step
from goalkick.common.ports.log import Message, Partition
from goalkick.common.runtime.place import HEADER, Group, read_place
from goalkick.common.runtime.task import Output
from goalkick.common.topics import TOPIC_OF, partition_of
from goalkick.embedded.trades import round_trips
from goalkick.ingest.feeds.replay import ReplayFeed
from tests.bench import bare_hops
from tests.bench.figures import Figure
from tests.bench.workload import CASH, candles, cross
from tests.kafka.broker import Broker, BrokerMissingError, start_broker
from tests.kafka.platform import Platform

HOPS = 4

RATE = 200
"""Bars a second at which latency is measured."""

BUSY, CALM = (5, 10), (50, 200)
"""EMA lengths: a strategy that orders every 6th bar, and one that orders every 150th. The first
gives enough orders to tell their latency. Throughput takes the second: each order makes risk wait
for execution's answer, two trips over the broker that a backlog cannot hide."""

BARS, REPORTS, SIGNALS = TOPIC_OF[BarClosed], TOPIC_OF[OrderIntended], TOPIC_OF[Signal]
SERVICES = ("feature", "strategy", "risk", "execution")

_INTENDED, _SIGNAL = b"OrderIntended", b".Signal.v1"


class Run(NamedTuple):
    """What was measured.

    Attributes:
        orders: seconds from a bar to the intent of the order that it led to.
        elapsed: seconds from the first bar to the last report.
        signals: seconds from a bar to the signal that it led to, where they were watched.
    """

    orders: list[float]
    elapsed: float
    signals: list[float]


def pipeline(short: bool) -> Iterable[Figure]:
    """Latency and throughput of the services, each as a ratio to bare hops."""
    try:
        broker = start_broker()
    except BrokerMissingError as error:
        yield Figure("Kafka", "not measured", str(error))
        return
    try:
        yield from latency(broker, 5 if short else 20)
        yield from throughput(broker, 3_000 if short else 30_000)
    finally:
        broker.stop()


BENCHES = (pipeline,)


def latency(broker: Broker, seconds: int) -> Iterable[Figure]:
    """From bar to order."""
    count = seconds * RATE
    with bare_hops.chain(broker.bootstrap, HOPS) as topics:
        bare = uvloop.run(bare_hops.drive(broker.bootstrap, topics, count, RATE))[0]
    with _services(broker, BUSY) as platform:
        ours = uvloop.run(_drive(platform, count, RATE)).orders
    for label, share in (("p50", 0.5), ("p99", 0.99)):
        own, raw = _quantile(ours, share), _quantile(bare, share)
        yield Figure(
            f"bar to order over {HOPS} hops, {RATE} bars/s, {label}",
            f"{own * 1000:.2f} ms",
            f"{own / raw:.2f} x bare ({raw * 1000:.2f} ms), {len(ours):,} orders",
        )


def throughput(broker: Broker, rows: int) -> Iterable[Figure]:
    """All bars at once."""
    with bare_hops.chain(broker.bootstrap, HOPS) as topics:
        bare = rows / uvloop.run(bare_hops.drive(broker.bootstrap, topics, rows, 0))[1]
    with _services(broker, CALM) as platform:
        ours = rows / uvloop.run(_drive(platform, rows, 0)).elapsed
        trips = asyncio.run(_round_trips(platform))
    known = cross(candles(rows), *CALM)[0]
    yield Figure(
        f"throughput over {HOPS} hops, {rows:,} bars",
        f"{ours:,.0f} bars/s",
        f"{ours / bare:.2f} x bare ({bare:,.0f} messages/s); {trips:,} round trips",
        "" if trips == known else f"expected {known} round trips, found {trips}",
    )


def _quantile(values: Sequence[float], share: float) -> float:
    # What comes first meets cold caches and connections.
    warm = values[len(values) // 10 :]
    return statistics.quantiles(warm, n=1000)[round(share * 1000) - 1]


def _settings(fast: int, slow: int) -> dict[str, Any]:
    """W1 with these EMAs."""
    run = {"strategy": "ema_cross", "params": {"fast": fast, "slow": slow}, "warmup": slow}
    return {
        "runtime": {"clock": "event", "forecasts": False, "log_level": "warning"},
        "feature": {"features": [f"ema_{fast}", f"ema_{slow}"]},
        "strategy": {"strategies": {"ema_cross": run}},
        "risk": {
            "sizing": "fixed_quantity",
            "quantity": 1,
            "stop_loss": None,
            "max_daily_loss": None,
            "max_drawdown": None,
        },
        "execution": {"initial_cash": CASH, "fee_bps": 10},
    }


@contextlib.contextmanager
def _services(
    broker: Broker,
    pair: tuple[int, int],
    services: Sequence[str] = SERVICES,
    **sections: dict[str, Any],
) -> Iterator[Platform]:
    settings = _settings(*pair)
    for name, more in sections.items():
        settings[name] = settings.get(name, {}) | more
    with tempfile.TemporaryDirectory() as folder:
        platform = Platform(broker.bootstrap, Path(folder), settings, partitions=1)
        asyncio.run(platform.make_topics())
        platform.start_all(services)
        try:
            yield platform
        finally:
            platform.close()


async def _drive(platform: Platform, rows: int, rate: float, *, signals: bool = False) -> Run:
    """Sends bars and watches what becomes of them."""
    producer = bare_hops.producer_for(platform.bootstrap)
    watch = _Watch(platform, signals=signals)
    await producer.start()
    async with watch:
        output = Output(BARS, Partition(BARS.name, 0), "ingest")
        steps = list(ReplayFeed([candles(rows)]).steps())
        # The listing opens the account's book: the answer says that everybody is there.
        await _send(producer, _messages(output, steps[0]))
        await watch.until_reported(steps[0][0].time_ns)
        batches = [(step[0].time_ns, _messages(output, step)) for step in steps[1:]]
        watching = asyncio.create_task(watch.until_reported(batches[-1][0]))
        began = time.monotonic()
        for number, (moment, batch) in enumerate(batches):
            if rate:
                await bare_hops.until(began + number / rate)
            watch.sent[moment] = time.monotonic()
            await _send(producer, batch)
        await asyncio.wait_for(watching, 300)
        elapsed = time.monotonic() - began
    await producer.stop()
    return Run(watch.orders, elapsed, watch.signals)


class _Watch:
    """Reads reports, and notes how long after their bars intents came; signals too, if asked."""

    def __init__(self, platform: Platform, *, signals: bool = False) -> None:
        self._place = TopicPartition(REPORTS.name, partition_of("main", REPORTS.partitions))
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=platform.bootstrap, auto_offset_reset="earliest"
        )
        self._places = [self._place, *([TopicPartition(SIGNALS.name, 0)] if signals else [])]
        self.sent: dict[int, float] = {}
        self.orders: list[float] = []
        self.signals: list[float] = []

    async def __aenter__(self) -> "_Watch":
        await self._consumer.start()
        self._consumer.assign(self._places)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def until_reported(self, moment: int) -> None:
        """Returns when execution has said all about a moment."""
        while True:
            batches = await self._consumer.getmany(timeout_ms=500)
            now = time.monotonic()
            for place in self._places[1:]:
                self._note_signals(batches.get(place, ()), now)
            for record in batches.get(self._place, ()):
                headers = dict(record.headers)
                place = read_place(headers[HEADER])
                if _INTENDED in headers["ce_type"]:
                    self.orders.append(now - self.sent[place.group.moment])
                if place.last and place.group >= Group(moment, 1):
                    return

    def _note_signals(self, records: Iterable[Any], now: float) -> None:
        for record in records:
            headers = dict(record.headers)
            if headers["ce_type"].endswith(_SIGNAL):
                said = read_place(headers[HEADER]).group.moment
                self.signals.append(now - self.sent[said])


def _messages(output: Output, step: Step) -> list[Message]:
    output.pending = [(event, b"") for event in step]
    return output.close(Group(step[0].time_ns, 1))


async def _send(producer: Any, messages: Sequence[Message]) -> None:
    for message in messages:
        await producer.send(
            message.partition.topic,
            message.value,
            key=message.key.encode(),
            partition=message.partition.number,
            headers=list(message.headers),
        )


async def _round_trips(platform: Platform) -> int:
    fills = [event for event in await platform.decided() if isinstance(event, Fill)]
    return len(round_trips(sorted(fills, key=lambda fill: fill.time_ns)))
