"""The pipeline on a real Kafka, beside the bare hops of the same chain on the same broker.

A hop is a process that consumes one topic and produces the next. Feature, strategy, risk and
execution are four; so are the bare ones, which only pass bytes on. Latency is the time from a bar's
record until execution has said all about the bar's moment; throughput is that of a chain that is
never short of bars. Every figure is a ratio within the run: machines differ.
"""

import asyncio
import contextlib
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from multiprocessing.synchronize import Event as Ready
from pathlib import Path
from typing import Any

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from goalkick.common.events.market import BarClosed
from goalkick.common.ports.feed import Step
from goalkick.common.ports.log import Message, Partition
from goalkick.common.runtime.place import HEADER, Group, read_place
from goalkick.common.runtime.task import Output
from goalkick.common.topics import TOPIC_OF, partition_of
from goalkick.ingest.feeds.replay import ReplayFeed
from tests.bench.figures import Figure
from tests.bench.workload import CASH, candles, cross
from tests.kafka.broker import Broker, BrokerMissingError, start_broker
from tests.kafka.platform import REPORTS, Platform

HOPS = 4
RATE = 200
"""Bars a second at which latency is measured."""

SIZE = 300
"""Bytes of a bare message: about what an event has with its headers."""

FAST, SLOW = 50, 200
BARS = TOPIC_OF[BarClosed]

SETTINGS = {
    "runtime": {"clock": "event", "forecasts": False, "log_level": "warning"},
    "feature": {"features": [f"ema_{FAST}", f"ema_{SLOW}"]},
    "strategy": {
        "strategies": {
            "ema_cross": {
                "strategy": "ema_cross",
                "params": {"fast": FAST, "slow": SLOW},
                "warmup": SLOW,
            }
        }
    },
    "risk": {
        "sizing": "fixed_quantity",
        "quantity": 1,
        "stop_loss": None,
        "max_daily_loss": None,
        "max_drawdown": None,
    },
    "execution": {"initial_cash": CASH, "fee_bps": 10},
}
SERVICES = ("feature", "strategy", "risk", "execution")


def pipeline(short: bool) -> Iterable[Figure]:
    """Latency and throughput of four services, each as a ratio to four bare hops."""
    try:
        broker = start_broker()
    except BrokerMissingError as error:
        yield Figure("Kafka", "not measured", str(error))
        return
    try:
        seconds, rows = (5, 3_000) if short else (20, 30_000)
        yield from _latency(broker, seconds)
        yield from _throughput(broker, rows)
    finally:
        broker.stop()


BENCHES = (pipeline,)


def _latency(broker: Broker, seconds: int) -> Iterable[Figure]:
    with _bare_chain(broker) as topics:
        bare = uvloop.run(_drive_bare(broker, topics, seconds * RATE, RATE))
    with _services(broker) as platform:
        ours, _ = uvloop.run(_drive_services(platform, seconds * RATE, RATE))
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        raw, own = _quantile(bare[0], share), _quantile(ours, share)
        yield Figure(
            f"latency over {HOPS} hops at {RATE} bars/s, {name}",
            f"{own * 1000:.2f} ms",
            f"{own / raw:.2f} x bare ({raw * 1000:.2f} ms)",
        )


def _throughput(broker: Broker, rows: int) -> Iterable[Figure]:
    with _bare_chain(broker) as topics:
        bare = rows / uvloop.run(_drive_bare(broker, topics, rows, 0))[1]
    with _services(broker) as platform:
        _, elapsed = uvloop.run(_drive_services(platform, rows, 0))
        trips = asyncio.run(_round_trips(platform))
    ours = rows / elapsed
    known = cross(candles(rows), FAST, SLOW)[0]
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


# Four services ----------------------------------------------------------------------------------


@contextlib.contextmanager
def _services(broker: Broker) -> Iterator[Platform]:
    with tempfile.TemporaryDirectory() as folder:
        platform = Platform(broker.bootstrap, Path(folder), dict(SETTINGS), partitions=1)
        asyncio.run(platform.make_topics())
        platform.start_all(SERVICES)
        try:
            yield platform
        finally:
            platform.close()


async def _drive_services(platform: Platform, rows: int, rate: float) -> tuple[list[float], float]:
    """Seconds that each bar took, and that all took."""
    producer = AIOKafkaProducer(
        bootstrap_servers=platform.bootstrap,
        acks="all",
        enable_idempotence=True,
        compression_type="lz4",
    )
    place = TopicPartition(REPORTS.name, partition_of("main", REPORTS.partitions))
    consumer = AIOKafkaConsumer(bootstrap_servers=platform.bootstrap, auto_offset_reset="earliest")
    await producer.start()
    await consumer.start()
    try:
        consumer.assign([place])
        output = Output(BARS, Partition(BARS.name, 0), "ingest")
        steps = list(ReplayFeed([candles(rows)]).steps())
        # The listing opens the account's book: the answer says that everybody is there.
        await _send(producer, _messages(output, steps[0]))
        await _told(consumer, place, [steps[0][0].time_ns], {})
        batches = [_messages(output, step) for step in steps[1:]]
        moments = [step[0].time_ns for step in steps[1:]]
        sent: dict[int, float] = {}
        receiving = asyncio.create_task(_told(consumer, place, moments, sent))
        began = time.monotonic()
        for number, (moment, batch) in enumerate(zip(moments, batches, strict=True)):
            if rate:
                await _until(began + number / rate)
            sent[moment] = time.monotonic()
            await _send(producer, batch)
        latencies = await asyncio.wait_for(receiving, 300)
        return latencies, time.monotonic() - began
    finally:
        await consumer.stop()
        await producer.stop()


def _messages(output: Output, step: Step) -> list[Message]:
    output.pending = [(event, b"") for event in step]
    return output.close(Group(step[0].time_ns, 1))


async def _send(producer: AIOKafkaProducer, messages: Sequence[Message]) -> None:
    for message in messages:
        await producer.send(
            message.partition.topic,
            message.value,
            key=message.key.encode(),
            partition=message.partition.number,
            headers=list(message.headers),
        )


async def _told(
    consumer: AIOKafkaConsumer,
    place: TopicPartition,
    moments: Sequence[int],
    sent: dict[int, float],
) -> list[float]:
    """Reads reports until all is said about the last moment; how long each moment took."""
    latencies: list[float] = []
    while len(latencies) < len(moments):
        for record in (await consumer.getmany(timeout_ms=500)).get(place, ()):
            found = read_place(dict(record.headers).get(HEADER))
            now = time.monotonic()
            while (
                found.last
                and len(latencies) < len(moments)
                and Group(moments[len(latencies)], 1) <= found.group
            ):
                latencies.append(now - sent.get(moments[len(latencies)], now))
    return latencies


async def _round_trips(platform: Platform) -> int:
    from goalkick.common.events.order import Fill
    from goalkick.embedded.trades import round_trips

    fills = [event for event in await platform.decided() if isinstance(event, Fill)]
    return len(round_trips(sorted(fills, key=lambda fill: fill.time_ns)))


# Bare hops --------------------------------------------------------------------------------------


@contextlib.contextmanager
def _bare_chain(broker: Broker) -> Iterator[list[str]]:
    """Processes that pass bytes on from topic to topic; yields the topics."""
    run = time.monotonic_ns()
    topics = [f"bare-{run}-{number}" for number in range(HOPS + 1)]
    asyncio.run(_make(broker, topics))
    context = multiprocessing.get_context("spawn")
    hops = []
    for source, target in pairwise(topics):
        ready = context.Event()
        process = context.Process(
            target=_hop, args=(broker.bootstrap, source, target, ready), daemon=True
        )
        process.start()
        hops.append((process, ready))
    try:
        for _, ready in hops:
            ready.wait(60)
        yield topics
    finally:
        for process, _ in hops:
            process.kill()
            process.join()


async def _make(broker: Broker, topics: Sequence[str]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1) for topic in topics])
    finally:
        await admin.close()


def _hop(bootstrap: str, source: str, target: str, ready: Ready) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(_pass_on(bootstrap, source, target, ready))


async def _pass_on(bootstrap: str, source: str, target: str, ready: Ready) -> None:
    consumer = AIOKafkaConsumer(
        source,
        bootstrap_servers=bootstrap,
        group_id=f"group-{source}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        compression_type="lz4",
    )
    await consumer.start()
    await producer.start()
    ready.set()
    committed = time.monotonic()
    while True:
        under_way = [
            await producer.send(target, record.value, key=record.key)
            for batch in (await consumer.getmany(timeout_ms=200, max_records=2000)).values()
            for record in batch
        ]
        if under_way:
            await asyncio.gather(*under_way)
        if time.monotonic() - committed > 1:
            await consumer.commit()
            committed = time.monotonic()


async def _drive_bare(
    broker: Broker, topics: Sequence[str], count: int, rate: float
) -> tuple[list[float], float]:
    consumer: Any = AIOKafkaConsumer(
        topics[-1], bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest"
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=broker.bootstrap,
        acks="all",
        enable_idempotence=True,
        compression_type="lz4",
    )
    await consumer.start()
    await producer.start()
    try:
        pad = bytes(SIZE)
        await producer.send_and_wait(topics[0], pad, key=b"BTC")
        await consumer.getone()
        sent: list[float] = []
        receiving = asyncio.create_task(_passed_on(consumer, count, sent))
        began = time.monotonic()
        for number in range(count):
            if rate:
                await _until(began + number / rate)
            sent.append(time.monotonic())
            await producer.send(topics[0], pad, key=b"BTC")
        latencies = await asyncio.wait_for(receiving, 300)
        return latencies, time.monotonic() - began
    finally:
        await consumer.stop()
        await producer.stop()


async def _passed_on(consumer: Any, count: int, sent: Sequence[float]) -> list[float]:
    latencies: list[float] = []
    while len(latencies) < count:
        for batch in (await consumer.getmany(timeout_ms=500)).values():
            now = time.monotonic()
            for _ in batch:
                latencies.append(now - sent[len(latencies)])
    return latencies


async def _until(moment: float) -> None:
    early = moment - time.monotonic()
    if early > 0:
        await asyncio.sleep(early)
