"""A worker keeps its promises on Kafka and on the log in memory."""

import itertools
from collections.abc import AsyncIterator, Sequence
from uuid import uuid4

import pytest

from goalkick.common.adapters.log.kafka import KafkaLog
from goalkick.common.adapters.log.memory import Broker as MemoryBroker
from goalkick.common.adapters.log.memory import MemoryLog
from goalkick.common.ports.log import Log
from goalkick.common.runtime.settings import KafkaSettings
from tests.contract.log.clusters import SESSION, Apart, remove_topic, topics
from tests.contract.log.workers import OPERATIONS, TOPICS, Fault, WorkerContract
from tests.kafka.broker import Broker


class MemoryWorkers:
    """Everything in this process; small batches, so that there are many operations."""

    def __init__(self) -> None:
        self.broker = MemoryBroker(TOPICS)

    def log(self, fault: Fault | None = None) -> Log:
        return MemoryLog(self.broker, batch=4, fault=fault)

    async def remove(self, topic: str) -> None:
        del self.broker.topics[topic]


class KafkaWorkers:
    """Topics of its own on a real broker."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.settings = KafkaSettings(bootstrap_servers=bootstrap, session_timeout=SESSION)
        self.prefix = prefix
        self._names = itertools.count()

    def log(self, fault: Fault | None = None) -> Log:
        log = KafkaLog(self.settings, f"{self.prefix}{next(self._names)}")
        return Apart(log, self.prefix, fault)

    async def remove(self, topic: str) -> None:
        await remove_topic(self.settings.bootstrap_servers, self.prefix + topic)


class TestWorkerOnTheLogInMemory(WorkerContract):
    @pytest.fixture
    def cluster(self) -> MemoryWorkers:
        return MemoryWorkers()

    @pytest.fixture
    def deaths(self) -> Sequence[tuple[str, int]]:
        return [(operation, nth) for nth in (1, 2, 3, 4, 5) for operation in OPERATIONS]


@pytest.mark.kafka
class TestWorkerOnKafka(WorkerContract):
    @pytest.fixture
    async def cluster(self, broker: Broker) -> AsyncIterator[KafkaWorkers]:
        prefix = f"worker-{uuid4().hex[:12]}."
        async with topics(broker.bootstrap, {prefix + name: n for name, n in TOPICS.items()}):
            yield KafkaWorkers(broker.bootstrap, prefix)

    @pytest.fixture
    def deaths(self) -> Sequence[tuple[str, int]]:
        return [(operation, nth) for nth in (1, 2) for operation in OPERATIONS]
