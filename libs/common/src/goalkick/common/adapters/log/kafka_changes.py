"""What happens when partitions change hands: aiokafka's listener for ours."""

from collections.abc import Collection

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from goalkick.common.ports.log import Change


class Changes(ConsumerRebalanceListener):  # type: ignore[misc]
    """Tells about changes, and keeps the member from fetching.

    aiokafka logs what a listener raises and goes on; here it must end the process, so it is kept
    for the next poll.
    """

    def __init__(self, member: AIOKafkaConsumer, lost: Change, gained: Change) -> None:
        """Takes the group's member, and whom to tell before and after."""
        self._member = member
        self._lost = lost
        self._gained = gained
        self.failure: Exception | None = None

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """See aiokafka."""
        try:
            await self._lost([place.partition for place in revoked])
        except Exception as error:
            self.failure = error
            raise

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """See aiokafka."""
        try:
            self._member.pause(*assigned)
            await self._gained([place.partition for place in assigned])
        except Exception as error:
            self.failure = error
            raise
