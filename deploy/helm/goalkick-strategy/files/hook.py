"""What joins a strategy service to its platform and takes it out again; run by the chart's jobs.

ACTION says what to do: `topics` makes its topics, `add` tells risk to listen to it, `flatten` tells
its strategies to go flat and waits until they have said so, `remove` tells risk that it is gone.
"""

import asyncio
import logging
import os
import sys
import time
from pathlib import Path

from goalkick.common.adapters.log.kafka import KafkaLog
from goalkick.common.adapters.log.kafka_topics import create_topics
from goalkick.common.core.errors import GoalkickError
from goalkick.common.events.signal import Signal
from goalkick.common.ports.log import Partition
from goalkick.common.runtime.commands import command, tell
from goalkick.common.runtime.envelope import read_event
from goalkick.common.runtime.hook import platform
from goalkick.common.runtime.settings import KafkaSettings
from goalkick.common.topics import signals_of

logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
RECENT = 500
"""Last records of a partition among which each strategy's last word is looked for."""


async def say(kafka: KafkaSettings, word: str, scope: str) -> None:
    """Gives a command."""
    issuer = f"release {os.environ['RELEASE']}"
    told = command(word, scope=scope, issuer=issuer, reason="", time_ns=time.time_ns())
    await tell(KafkaLog(kafka, "goalkick-hook"), told)
    print(word, scope)


async def wanting(kafka: KafkaSettings, deployment: str) -> set[tuple[str, str]]:
    """Strategies and instruments whose last signal is not flat."""
    topic, bus = signals_of(deployment).name, KafkaLog(kafka, "goalkick-hook")
    await bus.start()
    try:
        counts = await bus.partitions([topic])
        places = [Partition(topic, number) for number in range(counts[topic])]
        tails = await bus.tails(places, RECENT)
    finally:
        await bus.close()
    last: dict[tuple[str, str], float] = {}
    for tail in tails.values():
        for event in map(read_event, tail):
            if isinstance(event, Signal):
                last[event.strategy, event.instrument] = event.target
    return {about for about, target in last.items() if target}


async def flatten(kafka: KafkaSettings, deployment: str) -> None:
    """Deactivates the strategies, and returns when all that they want is nothing."""
    for name in os.environ["STRATEGIES"].split():
        await say(kafka, "deactivate", name)
    until = time.monotonic() + float(os.environ["PATIENCE_S"])
    while left := await wanting(kafka, deployment):
        if time.monotonic() > until:
            named = ", ".join(f"{strategy} on {instrument}" for strategy, instrument in left)
            print(
                f"expected all to be flat, found that these are not: {named}; they stay as they are"
            )
            return
        await asyncio.sleep(1)
    print("all strategies are flat")


async def main() -> None:
    """Does what ACTION says."""
    kafka, deployment, action = platform(os.environ), os.environ["DEPLOYMENT"], os.environ["ACTION"]
    if action == "topics":
        for name, new in (await create_topics(kafka, [deployment])).items():
            if new:
                print(name, "made now")
    elif action == "flatten":
        await flatten(kafka, deployment)
    else:
        await say(kafka, action, deployment)


try:
    asyncio.run(main())
except GoalkickError as error:
    Path("/dev/termination-log").write_text(str(error))
    sys.exit(f"{os.environ['ACTION']}: {error}")
