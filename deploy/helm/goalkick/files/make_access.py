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
from goalkick.common.runtime.hook import once_reachable, platform

logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


async def main() -> None:
    """Tries until the broker answers or patience ends."""
    deployments, fused = os.environ["DEPLOYMENTS"].split(), os.environ["FUSED"] == "true"
    try:
        kafka = platform(os.environ)
        grants = all_grants(access_table(deployments, fused=fused), kafka.installation)
        found = await once_reachable(lambda: kafka_acls.apply(kafka, grants))
    except (SettingsError, TransientError) as error:
        sys.exit(f"access: {error}")
    print(len(found.missing), "rights given now,", len(grants) - len(found.missing), "were there")
    if found.extra:
        print(len(found.extra), "more than needed; `goalkick kafka acls --prune` takes them away")


asyncio.run(main())
