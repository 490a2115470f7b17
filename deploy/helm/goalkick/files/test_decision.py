"""Follows one bar through the platform to its order on paper; exit code 1 if none comes in time.

Run by `helm test`. With EXPECT=order it waits for an order that is filled, caused by a bar that it
has seen close (the trace that they share tells); with EXPECT=answer for execution's word that it
is done with such a bar, order or not.
"""

import asyncio
import logging
import os
import sys
import time
from collections.abc import AsyncIterator

from aiokafka import AIOKafkaConsumer, TopicPartition

from goalkick.common.adapters.log.access import full_name
from goalkick.common.adapters.log.connection import client_options
from goalkick.common.adapters.log.kafka_topics import wanted_topics
from goalkick.common.events.market import BarClosed
from goalkick.common.events.order import OrderApproved, OrderFilled
from goalkick.common.ports.log import Partition, Record
from goalkick.common.runtime.envelope import header_of, read_event, read_place_of
from goalkick.common.runtime.hook import platform
from goalkick.common.runtime.settings import KafkaSettings
from goalkick.common.telemetry import traces
from goalkick.common.topics import TOPIC_OF
from goalkick.common.values.ids import EventId

logging.getLogger("aiokafka").setLevel(logging.ERROR)
REPORTS = TOPIC_OF[OrderFilled]
FOLLOWED = (TOPIC_OF[BarClosed].name, TOPIC_OF[OrderApproved].name, REPORTS.name)


class Pursuit:
    """What was seen of bars and what came of them."""

    def __init__(self, expect: str) -> None:
        """Nothing was seen yet."""
        self._expect = expect
        self._bars: dict[str, BarClosed] = {}
        self._orders: dict[EventId, str] = {}

    def follow(self, record: Record) -> bool:
        """Whether a record is the one that was waited for; tells of each hop."""
        event = read_event(record)
        trace = (header_of(record, traces.HEADER) or b"").decode()[3:35]
        if isinstance(event, BarClosed):
            self._bars[trace] = event
        elif isinstance(event, OrderApproved) and trace in self._bars:
            bar = self._bars[trace]
            self._orders[event.order] = event.client_order_id
            told = f"{bar.instrument} closed at {bar.close}, trace {trace}"
            print(f"bar     {told}\norder   {event.client_order_id} {event.side} {event.quantity}")
        elif isinstance(event, OrderFilled) and event.order in self._orders:
            print(f"fill    {self._orders[event.order]} at {event.price}")
            return True
        elif self._expect == "answer" and record.partition.topic == REPORTS.name:
            return self._answered(record)
        return False

    def _answered(self, record: Record) -> bool:
        place = read_place_of(record, REPORTS)
        closed = min((bar.time_ns for bar in self._bars.values()), default=None)
        if place is None or closed is None or place.group.moment < closed:
            return False
        print(f"execution is done with {place.group.moment}, and so with the bar of {closed}")
        return True


async def records(kafka: KafkaSettings) -> AsyncIterator[Record]:
    """What is said from now on."""
    counts = {topic.name: topic.partitions for topic in wanted_topics(kafka)}
    names = {full_name(name, kafka.installation): name for name in FOLLOWED}
    consumer = AIOKafkaConsumer(**client_options(kafka, "helm-test"), auto_offset_reset="latest")
    await consumer.start()
    try:
        places = [
            TopicPartition(full, number)
            for full, name in names.items()
            for number in range(counts[name])
        ]
        consumer.assign(places)
        await consumer.seek_to_end()
        while True:
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                for found in batch:
                    place = Partition(names[found.topic], found.partition)
                    yield Record(place, found.offset, "", found.value, found.headers)
    finally:
        await consumer.stop()


async def main() -> None:
    """Returns when the chain was seen."""
    pursuit = Pursuit(os.environ["EXPECT"])
    began = time.monotonic()
    async for record in records(platform(os.environ)):
        if pursuit.follow(record):
            print(f"after   {time.monotonic() - began:.1f} s")
            return


limit_s = float(os.environ["TIMEOUT_S"])
try:
    asyncio.run(asyncio.wait_for(main(), limit_s))
except TimeoutError:
    sys.exit(f"expected a bar and what came of it within {limit_s:.0f} s; see the pods' /info")
