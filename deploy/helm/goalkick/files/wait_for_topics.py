"""Waits until the topics are there. The broker comes up beside this pod, and may take its time."""

import asyncio
import logging
import os
import sys
from pathlib import Path

from goalkick.common.adapters.log.kafka import KafkaLog
from goalkick.common.adapters.log.kafka_topics import wanted_topics
from goalkick.common.config.sections import SECTIONS
from goalkick.common.config.settings import load
from goalkick.common.core.errors import GoalkickError
from goalkick.common.runtime.service import ServiceSettings

logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
PATIENCE_S = 300


async def main() -> None:
    """Asks until all are there or patience ends."""
    loaded = load(
        ServiceSettings,
        file=Path("/etc/goalkick/goalkick.yaml"),
        environ=os.environ,
        other_sections=SECTIONS,
    )
    kafka = loaded.value.runtime.kafka
    deployments = os.environ["DEPLOYMENTS"].split()
    names = [topic.name for topic in wanted_topics(kafka, deployments)]
    until = asyncio.get_running_loop().time() + PATIENCE_S
    while True:
        try:
            async with asyncio.timeout(10):
                await KafkaLog(kafka, "waits-for-topics").partitions(names)
        except (GoalkickError, TimeoutError, OSError) as error:
            if asyncio.get_running_loop().time() > until:
                sys.exit(f"topics: expected them within {PATIENCE_S} s, found: {error}")
            await asyncio.sleep(0.5)
        else:
            return


asyncio.run(main())
