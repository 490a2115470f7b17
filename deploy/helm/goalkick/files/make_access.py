"""Lets each user at the broker do what its work needs, by the table of topics, and nothing more.

Run by the chart's job, as a user who may make access lists; it gives the section `runtime`, the
names of the strategy services and the form. Rights that are there already stay.
"""

import asyncio
import logging
import os
import sys

from goalkick.common.adapters.log import kafka_acls
from goalkick.common.adapters.log.access import access_table
from goalkick.common.adapters.log.grants import all_grants
from goalkick.common.core.errors import SettingsError, TransientError
from goalkick.common.runtime.hook import platform

logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
PATIENCE_S = 240


async def main() -> None:
    """Tries until the broker answers or patience ends."""
    kafka = platform(os.environ)
    table = access_table(os.environ["DEPLOYMENTS"].split(), fused=os.environ["FUSED"] == "true")
    grants = all_grants(table, kafka.installation)
    until = asyncio.get_running_loop().time() + PATIENCE_S
    while True:
        try:
            found = await kafka_acls.apply(kafka, grants)
            break
        except SettingsError as error:
            sys.exit(f"access: {error}")
        except TransientError as error:
            if asyncio.get_running_loop().time() > until:
                sys.exit(f"access: {error}")
            await asyncio.sleep(0.5)
    print(len(found.missing), "rights given now,", len(grants) - len(found.missing), "were there")
    if found.extra:
        print(len(found.extra), "more than needed; `goalkick kafka acls --prune` takes them away")


asyncio.run(main())
