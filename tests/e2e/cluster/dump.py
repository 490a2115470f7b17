"""Runs inside a pod of risk: prints every record of some topics, one JSON line each.

python - TOPIC... < dump.py
"""

import asyncio
import base64
import json
import logging
import os
import sys
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition

from goalkick.common.adapters.log.connection import client_options, with_password
from goalkick.common.adapters.log.kafka import KafkaLog
from goalkick.common.config.settings import load
from goalkick.common.runtime.service import ServiceSettings
from goalkick.common.topics import AROUND, SERVICES

logging.getLogger("aiokafka").setLevel(logging.ERROR)


async def main(topics: list[str]) -> None:
    runtime = load(
        ServiceSettings,
        file=Path("/etc/goalkick/goalkick.yaml"),
        environ=os.environ,
        other_sections={*SERVICES, *AROUND, "trading", "budget"},
    ).value.runtime
    kafka = with_password(runtime.kafka, os.environ)
    bus = KafkaLog(kafka, "dump")
    await bus.start()
    counts = await bus.partitions(topics)
    await bus.close()
    consumer = AIOKafkaConsumer(**client_options(kafka, "dump"), auto_offset_reset="earliest")
    await consumer.start()
    try:
        places = [TopicPartition(name, n) for name in topics for n in range(counts[name])]
        consumer.assign(places)
        ends = {at: end for at, end in (await consumer.end_offsets(places)).items() if end}
        while ends:
            for place, batch in (await consumer.getmany(timeout_ms=500)).items():
                for found in batch:
                    said = {
                        "topic": found.topic,
                        "partition": found.partition,
                        "offset": found.offset,
                        "time_ms": found.timestamp,
                        "value": base64.b64encode(found.value or b"").decode(),
                        "headers": [
                            [name, base64.b64encode(value).decode()]
                            for name, value in found.headers
                        ],
                    }
                    sys.stdout.write(json.dumps(said) + "\n")
                if batch and batch[-1].offset >= ends.get(place, 0) - 1:
                    ends.pop(place, None)
    finally:
        await consumer.stop()


asyncio.run(main(sys.argv[1:]))
