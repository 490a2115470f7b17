"""The partitioned log in memory: what tests use where nothing depends on Kafka itself.

Keeps the contract of `ports/log.py`; a `Broker` is shared by the `MemoryLog`s of all members.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence

from goalkick.common.core.errors import SettingsError
from goalkick.common.ports.log import Change, Message, Partition, Record


class _Group:
    """Members that divide the partitions of a topic."""

    def __init__(self) -> None:
        self.members: list[MemoryLog] = []
        self.changing = asyncio.Lock()


class Broker:
    """What all members see.

    Attributes:
        records: by partition, in order.
        committed: by group and partition.
    """

    def __init__(self, topics: Mapping[str, int]) -> None:
        """Topics are made here and never later: name -> number of partitions."""
        self.topics = dict(topics)
        self.records: dict[Partition, list[Record]] = {
            Partition(topic, number): []
            for topic, count in topics.items()
            for number in range(count)
        }
        self.committed: dict[tuple[str, Partition], int] = {}
        self.groups: dict[str, _Group] = {}
        self._arrival = asyncio.Event()

    def append(self, message: Message) -> None:
        """Writes one record."""
        records = self.records[message.partition]
        records.append(
            Record(message.partition, len(records), message.key, message.value, message.headers)
        )
        self._arrival.set()

    async def arrival(self, timeout_s: float) -> None:
        """Returns when something was written, or after `timeout_s`."""
        self._arrival.clear()
        try:
            await asyncio.wait_for(self._arrival.wait(), timeout_s)
        except TimeoutError:
            return


class MemoryLog:
    """One member's access to a `Broker`."""

    def __init__(
        self, broker: Broker, *, batch: int = 500, fault: Callable[[str], None] | None = None
    ) -> None:
        """A member.

        Args:
            broker: what is shared.
            batch: how many records `poll` returns at most.
            fault: called with the name of each operation before it has any effect; what it
                raises stands for the process dying there.
        """
        self._broker = broker
        self._batch = batch
        self._fault = fault or (lambda _: None)
        self._offsets: dict[Partition, int] = {}
        self._paused: set[Partition] = set()
        self._group: tuple[str, str] | None = None
        self._changes: tuple[Change, Change] | None = None
        self.assigned: frozenset[int] = frozenset()

    async def start(self) -> None:
        """There is nothing to connect to."""

    async def close(self) -> None:
        """Leaves the group: the others divide what was ours."""
        await self.vanish()

    async def leave(self) -> None:
        """See the port."""
        if self._group is not None and self._changes:
            held, self.assigned = self.assigned, frozenset()
            await self._changes[0](held)
            await self.vanish()

    async def vanish(self) -> None:
        """Is gone without a word, as after SIGKILL; the others divide what was ours."""
        if self._group is not None:
            name, topic = self._group
            self._group = None
            group = self._broker.groups[name]
            group.members.remove(self)
            await self._divide(group, topic)

    async def partitions(self, topics: Collection[str]) -> Mapping[str, int]:
        """See the port."""
        missing = sorted(set(topics) - set(self._broker.topics))
        if missing:
            raise SettingsError(
                f"the log in memory: expected topics {', '.join(missing)}; make them"
            )
        return {topic: self._broker.topics[topic] for topic in topics}

    async def join(self, group: str, topic: str, lost: Change, gained: Change) -> None:
        """See the port."""
        members = self._broker.groups.setdefault(group, _Group())
        members.members.append(self)
        self._group = (group, topic)
        self._changes = (lost, gained)
        await self._divide(members, topic)

    async def read_from(self, offsets: Mapping[Partition, int]) -> None:
        """See the port."""
        self._offsets = dict(offsets)
        self._paused.clear()

    async def poll(self, timeout_s: float) -> Sequence[Record]:
        """See the port."""
        self._fault("poll")
        found = self._next()
        if not found:
            await self._broker.arrival(timeout_s)
            found = self._next()
        else:
            await asyncio.sleep(0)
        return found

    def pause(self, partitions: Collection[Partition]) -> None:
        """See the port."""
        self._paused |= set(partitions)

    def resume(self, partitions: Collection[Partition]) -> None:
        """See the port."""
        self._paused -= set(partitions)

    async def send(self, messages: Sequence[Message], *, whole: bool = False) -> None:
        """See the port; what was sent is safe at once."""
        for number, message in enumerate(messages):
            if not (whole and number):
                self._fault("send")
            self._broker.append(message)
        await asyncio.sleep(0)

    async def flush(self) -> None:
        """See the port."""
        self._fault("flush")

    async def ends(self, partitions: Collection[Partition]) -> Mapping[Partition, tuple[int, int]]:
        """See the port."""
        return {place: (0, len(self._broker.records[place])) for place in partitions}

    async def tails(
        self, partitions: Collection[Partition], count: int
    ) -> Mapping[Partition, Sequence[Record]]:
        """See the port."""
        return {place: self._broker.records[place][-count:] for place in partitions}

    async def commit(self, offsets: Mapping[Partition, int]) -> bool:
        """See the port."""
        self._fault("commit")
        if self._group is None or not offsets:
            return False
        for partition, offset in offsets.items():
            self._broker.committed[self._group[0], partition] = offset
        return True

    def _next(self) -> list[Record]:
        found: list[Record] = []
        for partition, offset in self._offsets.items():
            if partition in self._paused:
                continue
            room = self._batch - len(found)
            records = self._broker.records[partition][offset : offset + room]
            self._offsets[partition] = offset + len(records)
            found += records
        return found

    async def _divide(self, group: _Group, topic: str) -> None:
        async with group.changing:
            members = list(group.members)
            for member in members:
                if member._changes and member.assigned:
                    await member._changes[0](member.assigned)
            count = self._broker.topics[topic]
            for place, member in enumerate(members):
                member.assigned = frozenset(range(place, count, len(members)))
                if member._changes:
                    await member._changes[1](member.assigned)
