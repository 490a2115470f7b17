"""Makes the topics of the table, once the broker is there; refuses a change of partitions.

Run by the chart's job, which gives the section `runtime` and the names of the strategy services.
"""

import asyncio
import logging
import os
import sys

from goalkick.common.adapters.log.kafka_topics import create_topics
from goalkick.common.core.errors import SettingsError, TransientError
from goalkick.common.runtime.hook import once_reachable, platform

logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


async def main() -> None:
    """Tries until the broker answers or patience ends."""
    deployments = os.environ["DEPLOYMENTS"].split()
    try:
        kafka = platform(os.environ)
        made = await once_reachable(lambda: create_topics(kafka, deployments))
    except (SettingsError, TransientError) as error:
        sys.exit(f"topics: {error}")
    for name, new in made.items():
        print(name, "made now" if new else "was there")


asyncio.run(main())
