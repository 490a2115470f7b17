"""A member of a group in a process of its own, so that it can be killed.

`python -m tests.contract.log.stranger <bootstrap> <session timeout> <group> <topic>`
"""

import asyncio
import sys
from collections.abc import Collection

from goalkick.common.adapters.log.kafka import KafkaLog
from goalkick.common.runtime.settings import KafkaSettings


async def main(bootstrap: str, session: str, group: str, topic: str) -> None:
    """Joins, and stays until it is killed."""

    async def change(numbers: Collection[int]) -> None:
        """It does nothing with what it holds."""

    log = KafkaLog(KafkaSettings(bootstrap_servers=bootstrap, session_timeout=session), "stranger")
    await log.start()
    await log.join(group, topic, change, change)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
