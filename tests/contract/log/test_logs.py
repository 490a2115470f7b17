"""Kafka and the log in memory keep the same promises."""

import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator

import pytest

from goalkick.common.adapters.log.kafka import MAX_RECORDS, KafkaLog
from goalkick.common.core.errors import InvariantError, TransientError
from goalkick.common.ports.log import Message, Partition
from goalkick.common.runtime.settings import KafkaSettings
from goalkick.common.testing.contracts.log import Cluster, LogContract, fill, read
from goalkick.common.values.time import NS_PER_SECOND
from tests.contract.log.clusters import KafkaCluster, MemoryCluster, kafka_cluster
from tests.freezing import freeze
from tests.kafka.broker import Broker, LocalBroker


class TestMemoryLog(LogContract):
    @pytest.fixture
    def cluster(self) -> Cluster:
        return MemoryCluster()


@pytest.mark.kafka
class TestKafkaLog(LogContract):
    @pytest.fixture
    async def cluster(self, broker: Broker) -> AsyncIterator[KafkaCluster]:
        async with kafka_cluster(broker.bootstrap) as cluster:
            yield cluster

    async def test_many_records_come_in_bounded_batches(self, cluster: KafkaCluster) -> None:
        log = await cluster.member()
        place = Partition(cluster.topic, 0)
        await log.send([Message(place, "k", b"%d" % n) for n in range(3 * MAX_RECORDS)])
        await log.flush()
        await log.read_from({place: 0})
        found = 0
        while found < 3 * MAX_RECORDS:
            batch = await log.poll(1)
            assert len(batch) <= MAX_RECORDS
            found += len(batch)

    async def test_records_that_are_gone_are_a_broken_invariant(
        self, cluster: KafkaCluster
    ) -> None:
        log = await cluster.member()
        await log.read_from({Partition(cluster.topic, 0): 7})
        with pytest.raises(InvariantError, match="no longer kept") as caught:
            await read(log, 1)
        assert cluster.topic in str(caught.value)

    async def test_a_change_that_fails_is_told_by_the_next_poll(
        self, cluster: KafkaCluster
    ) -> None:
        log = await cluster.member()

        async def fails(numbers: object) -> None:
            raise InvariantError("expected better state")

        await log.join(f"{cluster.topic}.failing", cluster.topic, fails, fails)
        with pytest.raises(InvariantError, match="expected better state"):
            await read(log, 1)

    @pytest.mark.parametrize("known", [True, False], ids=["by flush", "by send"])
    async def test_what_cannot_be_written_is_told(
        self, cluster: KafkaCluster, broker: Broker, known: bool
    ) -> None:
        if not isinstance(broker, LocalBroker):
            pytest.skip("the broker is not ours to stop")
        # Long enough for a broker that answers, on a busy machine.
        brief = {"request_timeout": 4 * NS_PER_SECOND}
        cluster.settings = cluster.settings.model_copy(update=brief)
        log = await cluster.member()
        if known:
            await fill(log, cluster, 1)

        async def write() -> None:
            await log.send([Message(Partition(cluster.topic, 0), "k", b"v")])
            await log.flush()

        with frozen(broker), pytest.raises(TransientError, match="Kafka: expected"):
            await write()


@contextlib.contextmanager
def frozen(broker: LocalBroker) -> Iterator[None]:
    """A broker that answers nothing."""
    freeze(broker.pid)
    try:
        yield
    finally:
        os.kill(broker.pid, signal.SIGCONT)


async def test_a_broker_that_cannot_be_reached_is_named() -> None:
    log = KafkaLog(KafkaSettings(bootstrap_servers="127.0.0.1:1"), "test")
    with pytest.raises(TransientError, match=r"expected a broker at 127\.0\.0\.1:1, found"):
        await log.start()
