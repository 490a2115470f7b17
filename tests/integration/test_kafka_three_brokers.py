"""Three brokers, three copies, two of them in step: one broker is lost under load, and no record.

Every broker is a controller too, with TLS, passwords and access lists, as on a cluster.
"""

import asyncio
import contextlib
import gc
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from goalkick.common.adapters.log import kafka_acls
from goalkick.common.adapters.log.access import TOPIC_MAKER, access_of, access_table, user_name
from goalkick.common.adapters.log.grants import all_grants
from goalkick.common.adapters.log.kafka import KafkaLog
from goalkick.common.adapters.log.kafka_topics import create_topics
from goalkick.common.core.errors import TransientError
from goalkick.common.events.market import BarClosed
from goalkick.common.ports.log import Message, Partition
from goalkick.common.topics import TOPIC_OF
from tests.integration.test_platform_on_kafka import (
    assert_sound,
    embedded,
    in_order,
    settings,
    steps_of,
)
from tests.kafka.broker import BrokerMissingError
from tests.kafka.cluster import START_S, KafkaCluster
from tests.kafka.platform import Platform

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

BARS = TOPIC_OF[BarClosed]
TABLE = access_table()
INGEST = user_name("ingest", None)


@pytest.fixture(scope="module")
def three() -> Iterator[KafkaCluster]:
    """Three brokers with topics and access lists."""
    passwords = {user_name(who, None): f"of-{who}" for who in TABLE}
    try:
        cluster = KafkaCluster(3, passwords)
    except BrokerMissingError as error:
        pytest.exit(str(error), returncode=1)
    try:
        asyncio.run(_prepare(cluster))
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(autouse=True)
def _what_a_killed_broker_leaves() -> Iterator[None]:
    """aiokafka drops a connection that breaks while it is made: it goes here, not later."""
    yield
    gc.collect()


async def _prepare(cluster: KafkaCluster) -> None:
    await cluster.ready()
    await kafka_acls.apply(cluster.settings(), all_grants(TABLE))
    await create_topics(cluster.settings(user_name(TOPIC_MAKER, None)))
    await in_step(cluster)


async def in_step(cluster: KafkaCluster) -> None:
    """Returns when every partition has a leader and all its copies are in step."""
    names = [topic.name for topic in (BARS,)]
    async with asyncio.timeout(START_S):
        while True:
            with contextlib.suppress(Exception):
                async with cluster.admin() as admin:
                    found = [p for t in await admin.describe_topics(names) for p in t["partitions"]]
                if found and all(p["leader"] >= 0 and len(p["isr"]) == 3 for p in found):
                    return
            await asyncio.sleep(0.2)


async def leader_of(cluster: KafkaCluster, number: int) -> int:
    async with cluster.admin() as admin:
        (topic,) = await admin.describe_topics([BARS.name])
    return next(int(p["leader"]) for p in topic["partitions"] if p["partition"] == number)


def numbered(number: int, count: int) -> Message:
    return Message(Partition(BARS.name, number), "key", b"%d" % count, ())


async def test_topics_have_three_copies_of_which_two_must_be_in_step(three: KafkaCluster) -> None:
    from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

    async with three.admin() as admin:
        (topic,) = await admin.describe_topics([BARS.name])
        (answer,) = await admin.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, BARS.name)]
        )
    assert all(len(partition["replicas"]) == 3 for partition in topic["partitions"])
    configured = {entry[0]: entry[1] for entry in answer.resources[0][4]}
    assert configured["min.insync.replicas"] == "2"


async def test_no_record_is_lost_or_doubled_when_each_broker_is_killed_in_turn(
    three: KafkaCluster,
) -> None:
    log = KafkaLog(three.settings(INGEST), "load", access_of("ingest").rights)
    await log.start()
    numbers = range(BARS.partitions)
    before = {p: end for p, (_, end) in (await log.ends(places())).items()}
    killed: list[int] = []
    sent = 0
    stop = asyncio.Event()

    async def load() -> None:
        nonlocal sent
        while not stop.is_set():
            await log.send([numbered(number, sent) for number in numbers])
            sent += 1
            if sent % 50 == 0:
                await log.flush()  # raises if a record was not written
        await log.flush()

    async with asyncio.TaskGroup() as group:
        group.create_task(load())
        for turn in range(3):
            # The leader of a partition that is written all the time, and another each time.
            node = await leader_of(three, turn)
            while node in killed:
                node = next(n for n in three.processes if n not in killed)
            reached = sent + 200
            while sent < reached:  # noqa: ASYNC110 -- under load means under load
                await asyncio.sleep(0.02)
            three.kill(node)
            killed.append(node)
            reached = sent + 500
            while sent < reached:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            three.start(node)
            await three.ready()
            await in_step(three)
        stop.set()
    assert sorted(killed) == [1, 2, 3]
    await log.read_from(before)
    found: dict[int, list[int]] = {number: [] for number in numbers}
    async with asyncio.timeout(60):
        while any(len(found[number]) < sent for number in numbers):
            for record in await log.poll(1):
                found[record.partition.number].append(int(record.value))
    ends = {p: end for p, (_, end) in (await log.ends(places())).items()}
    await log.close()
    assert {place: ends[place] - before[place] for place in ends} == dict.fromkeys(places(), sent)
    assert all(found[number] == list(range(sent)) for number in numbers)


def places() -> list[Partition]:
    return [Partition(BARS.name, number) for number in range(BARS.partitions)]


async def test_what_only_one_broker_has_does_not_count_as_written(three: KafkaCluster) -> None:
    log = KafkaLog(three.settings(INGEST, request_timeout="4s"), "load")
    await log.start()
    await log.send([numbered(0, 0)])
    await log.flush()
    gone = sorted(three.processes)[1:]
    for node in gone:
        three.kill(node)
    try:
        await log.send([numbered(0, 1)])
        with pytest.raises(TransientError, match="expected records to be written"):
            await log.flush()
    finally:
        await log.close()
        for node in gone:
            three.start(node)
        await three.ready()
        await in_step(three)


async def test_the_platform_decides_the_same_while_brokers_are_killed(
    three: KafkaCluster, tmp_path: Path
) -> None:
    config = settings(4, bars=700, speed=60 * 20)
    steps = steps_of(config)
    platform = Platform(three.bootstrap, tmp_path, config, cluster=three)
    chance = random.Random(7)
    try:
        await platform.make_topics()
        platform.start_all()
        finishing = asyncio.create_task(platform.finished(steps[-1][0].time_ns, timeout_s=250))
        for node in (1, 2, 3):
            await asyncio.sleep(chance.uniform(3, 6))
            assert not finishing.done(), "the run was over before every broker was killed"
            three.kill(node)
            await asyncio.sleep(chance.uniform(2, 4))
            three.start(node)
            await three.ready()
            await in_step(three)
        await finishing
        decided = await platform.decided()
    finally:
        platform.close()
    assert_sound(decided)
    assert in_order(decided) == in_order(embedded(config, steps))
