"""The partitioned log that services talk over: Kafka, or its like in memory.

A log keeps records in order within a partition and hands them out at least once. It knows nothing
of events, moments or cores.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

Headers = tuple[tuple[str, bytes], ...]


class Partition(NamedTuple):
    """One partition of a topic."""

    topic: str
    number: int


class Message(NamedTuple):
    """What is to be written."""

    partition: Partition
    key: str
    value: bytes
    headers: Headers = ()


class Record(NamedTuple):
    """What was read: a message and its place."""

    partition: Partition
    offset: int
    key: str
    value: bytes
    headers: Headers


Change = Callable[[Collection[int]], Awaitable[None]]
"""Told the numbers of all partitions that are (or were) this member's."""


class Log(Protocol):
    """One member's access to the log."""

    async def start(self) -> None:
        """Connects.

        Raises:
            TransientError: the log cannot be reached; says where it was looked for.
        """
        ...

    async def close(self) -> None:
        """Leaves the group, disconnects; what was sent and not flushed may be lost."""
        ...

    async def partitions(self, topics: Collection[str]) -> Mapping[str, int]:
        """How many partitions each topic has.

        Raises:
            SettingsError: a topic does not exist; says which, where, and how to make it.
        """
        ...

    async def join(self, group: str, topic: str, lost: Change, gained: Change) -> None:
        """Becomes one of the members that divide the partitions of `topic` among them.

        Before every change `lost` is awaited with what was ours (it may still write), after it
        `gained` with all that is ours now, kept or new.
        """
        ...

    async def leave(self) -> None:
        """Is no member any more, until it joins again; the others divide what was ours.

        `lost` is awaited before; writing and reading go on. Nothing happens where it is none.
        """
        ...

    async def read_from(self, offsets: Mapping[Partition, int]) -> None:
        """From now on `poll` reads these partitions, from these offsets on, and no others."""
        ...

    async def poll(self, timeout_s: float) -> Sequence[Record]:
        """The next records, in order within each partition; empty after `timeout_s`.

        Raises:
            InvariantError: records that were asked for are gone.
        """
        ...

    def pause(self, partitions: Collection[Partition]) -> None:
        """`poll` returns nothing of these until they are resumed."""
        ...

    def resume(self, partitions: Collection[Partition]) -> None:
        """Undoes `pause`."""
        ...

    async def send(self, messages: Sequence[Message], *, whole: bool = False) -> None:
        """Hands messages over in order; waits while too much is under way (back-pressure).

        Args:
            messages: what to write.
            whole: of each partition, all of these or none are ever read; few at a time.
        """
        ...

    async def flush(self) -> None:
        """Returns when all that was sent is safe.

        Raises:
            TransientError: something could not be written.
        """
        ...

    async def ends(self, partitions: Collection[Partition]) -> Mapping[Partition, tuple[int, int]]:
        """First offset that is kept, and the offset that the next record will get."""
        ...

    async def tails(
        self, partitions: Collection[Partition], count: int
    ) -> Mapping[Partition, Sequence[Record]]:
        """The last records of each partition, at most `count`, oldest first."""
        ...

    async def commit(self, offsets: Mapping[Partition, int]) -> bool:
        """Notes for onlookers how far the group has come; nothing is read from there again.

        Returns:
            Whether it was noted: never for somebody whom the group has given up, so True proves
            that this member was one of the group when it asked.
        """
        ...
