"""Makes the topics of the table, once the broker is there; refuses a change of partitions.

Run by the chart's job, which gives the section `runtime` and the names of the strategy services.
"""

import asyncio
import logging
import os
import sys
import tempfile
from pathlib import Path

from goalkick.common.adapters.log.connection import with_password
from goalkick.common.adapters.log.kafka_topics import create_topics
from goalkick.common.config.settings import load
from goalkick.common.core.errors import SettingsError, TransientError
from goalkick.common.runtime.service import ServiceSettings

logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
PATIENCE_S = 240


async def main() -> None:
    """Tries until the broker answers or patience ends."""
    file = Path(tempfile.gettempdir()) / "goalkick.yaml"
    file.write_text(os.environ["PLATFORM"])
    kafka = load(ServiceSettings, file=file, environ=os.environ).value.runtime.kafka
    deployments = os.environ["DEPLOYMENTS"].split()
    until = asyncio.get_running_loop().time() + PATIENCE_S
    while True:
        try:
            made = await create_topics(with_password(kafka, os.environ), deployments)
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
