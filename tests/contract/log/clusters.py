"""The two logs as the contract wants them: topics of a test's own, members that end with it."""

import asyncio
import contextlib
import itertools
import sys
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from uuid import uuid4

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from goalkick.common.adapters.log.kafka import MAX_MESSAGE_BYTES, KafkaLog
from goalkick.common.adapters.log.memory import Broker, MemoryLog
from goalkick.common.ports.log import Change, Log, Message, Partition, Record
from goalkick.common.runtime.settings import KafkaSettings
from goalkick.common.testing.contracts.log import PATIENCE_S

SESSION = "2s"
"""How long a member may be silent: short, because a test waits for it."""


class MemoryCluster:
    """Everything in this process."""

    def __init__(self) -> None:
        self.topic = "contract"
        self.broker = Broker({self.topic: 3})

    async def member(self) -> Log:
        log = MemoryLog(self.broker)
        await log.start()
        return log

    async def stranger(self, group: str) -> MemoryLog:
        async def change(numbers: object) -> None:
            """It does nothing with what it holds."""

        log = MemoryLog(self.broker)
        await log.join(group, self.topic, change, change)
        return log

    async def committed(self, group: str, number: int) -> int | None:
        return self.broker.committed.get((group, Partition(self.topic, number)))


class _Process:
    """A member that can be killed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def vanish(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


class KafkaCluster:
    """A topic on a real broker."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.topic = topic
        self.settings = KafkaSettings(bootstrap_servers=bootstrap, session_timeout=SESSION)
        self.ending = contextlib.AsyncExitStack()
        self._names = (f"{topic}-{number}" for number in itertools.count())

    async def member(self) -> Log:
        log = KafkaLog(self.settings, next(self._names))
        await log.start()
        self.ending.push_async_callback(log.close)
        return log

    async def stranger(self, group: str) -> _Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.contract.log.stranger",
            self.settings.bootstrap_servers, SESSION, group, self.topic,
        )  # fmt: skip
        stranger = _Process(process)
        self.ending.push_async_callback(stranger.vanish)
        return stranger

    async def committed(self, group: str, number: int) -> int | None:
        async with administrator(self.settings.bootstrap_servers) as admin:
            offsets = await admin.list_consumer_group_offsets(group)
        found = offsets.get(TopicPartition(self.topic, number))
        return None if found is None or found.offset < 0 else int(found.offset)


@contextlib.asynccontextmanager
async def administrator(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """Makes and removes topics."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


@contextlib.asynccontextmanager
async def topics(bootstrap: str, counts: Mapping[str, int]) -> AsyncIterator[None]:
    """Topics that exist for one test."""
    async with administrator(bootstrap) as admin:
        config = {"max.message.bytes": str(MAX_MESSAGE_BYTES)}
        made = await admin.create_topics(
            [NewTopic(name, count, 1, topic_configs=config) for name, count in counts.items()]
        )
        assert not [error for error in made.topic_errors if error[1]], made
        await _until_known(admin, counts, True)
        try:
            yield
        finally:
            await admin.delete_topics(list(counts))


async def remove_topic(bootstrap: str, name: str) -> None:
    """Makes as if it had never been made."""
    async with administrator(bootstrap) as admin:
        await admin.delete_topics([name])
        await _until_known(admin, [name], False)


async def _until_known(admin: AIOKafkaAdminClient, names: Iterable[str], known: bool) -> None:
    """The broker says that a topic is made, or removed, a little before it is so."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = await admin.describe_topics(list(names))
            if all((not each["error_code"]) is known for each in found):
                return


@contextlib.asynccontextmanager
async def kafka_cluster(bootstrap: str) -> AsyncIterator[KafkaCluster]:
    """A cluster for one test."""
    cluster = KafkaCluster(bootstrap, f"contract.{uuid4().hex[:12]}")
    async with topics(bootstrap, {cluster.topic: 3}), cluster.ending:
        yield cluster


class Apart:
    """A log whose topics are a test's own, and which may die before any operation."""

    def __init__(self, log: Log, prefix: str, fault: Callable[[str], None] | None = None) -> None:
        """Puts itself between.

        Args:
            log: the log that does the work.
            prefix: what stands before the names of topics and groups there.
            fault: called with the name of each operation before it has any effect.
        """
        self._log = log
        self._prefix = prefix
        self._fault = fault or (lambda _: None)

    async def start(self) -> None:
        await self._log.start()

    async def close(self) -> None:
        await self._log.close()

    async def partitions(self, topics: Collection[str]) -> Mapping[str, int]:
        counts = await self._log.partitions([self._prefix + topic for topic in topics])
        return {name.removeprefix(self._prefix): count for name, count in counts.items()}

    async def join(self, group: str, topic: str, lost: Change, gained: Change) -> None:
        await self._log.join(self._prefix + group, self._prefix + topic, lost, gained)

    async def leave(self) -> None:
        await self._log.leave()

    async def read_from(self, offsets: Mapping[Partition, int]) -> None:
        await self._log.read_from({self._there(p): offset for p, offset in offsets.items()})

    async def poll(self, timeout_s: float) -> Sequence[Record]:
        self._fault("poll")
        return [self._record(record) for record in await self._log.poll(timeout_s)]

    def pause(self, partitions: Collection[Partition]) -> None:
        self._log.pause([self._there(partition) for partition in partitions])

    def resume(self, partitions: Collection[Partition]) -> None:
        self._log.resume([self._there(partition) for partition in partitions])

    async def send(self, messages: Sequence[Message], *, whole: bool = False) -> None:
        self._fault("send")
        there = [m._replace(partition=self._there(m.partition)) for m in messages]
        await self._log.send(there, whole=whole)

    async def flush(self) -> None:
        self._fault("flush")
        await self._log.flush()

    async def ends(self, partitions: Collection[Partition]) -> Mapping[Partition, tuple[int, int]]:
        ends = await self._log.ends([self._there(partition) for partition in partitions])
        return {self._here(partition): end for partition, end in ends.items()}

    async def tails(
        self, partitions: Collection[Partition], count: int
    ) -> Mapping[Partition, Sequence[Record]]:
        tails = await self._log.tails([self._there(p) for p in partitions], count)
        return {self._here(p): [self._record(r) for r in found] for p, found in tails.items()}

    async def commit(self, offsets: Mapping[Partition, int]) -> bool:
        self._fault("commit")
        return await self._log.commit({self._there(p): offset for p, offset in offsets.items()})

    def _there(self, partition: Partition) -> Partition:
        return Partition(self._prefix + partition.topic, partition.number)

    def _here(self, partition: Partition) -> Partition:
        return Partition(partition.topic.removeprefix(self._prefix), partition.number)

    def _record(self, record: Record) -> Record:
        return record._replace(partition=self._here(record.partition))
