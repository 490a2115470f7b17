"""Makes the topics of the table, once the broker is there; refuses a change of partitions.

Run by the chart's job, which gives the section `runtime` and the names of the strategy services.
"""

import asyncio
import logging
import os
import sys

from goalkick.common.adapters.log.kafka_topics import create_topics
from goalkick.common.core.errors import SettingsError, TransientError
from goalkick.common.runtime.hook import platform

logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
PATIENCE_S = 240


async def main() -> None:
    """Tries until the broker answers or patience ends."""
    deployments = os.environ["DEPLOYMENTS"].split()
    until = asyncio.get_running_loop().time() + PATIENCE_S
    while True:
        try:
            made = await create_topics(platform(os.environ), deployments)
            break
        except SettingsError as error:
            sys.exit(f"topics: {error}")
        except TransientError as error:
            if asyncio.get_running_loop().time() > until:
                sys.exit(f"topics: {error}")
            await asyncio.sleep(0.5)
    for name, new in made.items():
        print(name, "made now" if new else "was there")


asyncio.run(main())
