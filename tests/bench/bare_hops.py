"""Bare hops on Kafka: processes that only pass bytes on; what any chain over a broker must pay."""

import asyncio
import contextlib
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from multiprocessing.synchronize import Event as Ready
from typing import Any

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

SIZE = 300
"""Bytes of a message: about what an event has with its headers."""


def producer_for(bootstrap: str) -> Any:
    """A producer with the settings of the services' own."""
    return AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        compression_type="lz4",
    )


async def until(moment: float) -> None:
    """Returns at a moment of the monotonic clock, in seconds."""
    early = moment - time.monotonic()
    if early > 0:
        await asyncio.sleep(early)


@contextlib.contextmanager
def chain(bootstrap: str, hops: int) -> Iterator[list[str]]:
    """So many running hops; yields their topics, the first one to be written to."""
    run = time.monotonic_ns()
    topics = [f"bare-{run}-{number}" for number in range(hops + 1)]
    asyncio.run(_make(bootstrap, topics))
    context = multiprocessing.get_context("spawn")
    running = []
    for source, target in pairwise(topics):
        ready = context.Event()
        process = context.Process(target=_hop, args=(bootstrap, source, target, ready), daemon=True)
        process.start()
        running.append((process, ready))
    try:
        for _, ready in running:
            ready.wait(60)
        yield topics
    finally:
        for process, _ in running:
            process.kill()
            process.join()


async def drive(
    bootstrap: str, topics: Sequence[str], count: int, rate: float
) -> tuple[list[float], float]:
    """Sends messages through a chain.

    Args:
        bootstrap: the broker.
        topics: of the chain.
        count: how many.
        rate: messages a second; 0: as fast as it goes.

    Returns:
        Seconds that each message took, and that all took.
    """
    consumer = AIOKafkaConsumer(
        topics[-1], bootstrap_servers=bootstrap, auto_offset_reset="earliest"
    )
    producer = producer_for(bootstrap)
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
                await until(began + number / rate)
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


async def _make(bootstrap: str, topics: Sequence[str]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
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
    producer = producer_for(bootstrap)
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
