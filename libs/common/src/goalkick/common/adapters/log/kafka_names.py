"""Names at the broker for ours: with the installation before them, if there is one."""

from typing import Any

from aiokafka import TopicPartition

from goalkick.common.adapters.log.access import full_name
from goalkick.common.ports.log import Partition, Record


class Names:
    """Both ways: ours to the broker's, and its records to ours."""

    def __init__(self, installation: str | None) -> None:
        """Takes `runtime.kafka.installation`."""
        self._installation = installation
        self._length = len(full_name("", installation))

    def outer(self, topic: str) -> str:
        """What the broker calls a topic."""
        return full_name(topic, self._installation)

    def place(self, partition: Partition) -> TopicPartition:
        """What aiokafka calls a partition."""
        return TopicPartition(full_name(partition.topic, self._installation), partition.number)

    def record(self, found: Any) -> Record:
        """Our record for aiokafka's."""
        return Record(
            Partition(found.topic[self._length :], found.partition),
            found.offset,
            found.key.decode() if found.key else "",
            found.value or b"",
            found.headers,
        )
