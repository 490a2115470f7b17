"""One input partition of a task: keeps what is not handled yet, drops what was said before."""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from goalkick.common.core.errors import InvariantError
from goalkick.common.events.base import Event
from goalkick.common.ports.log import Partition
from goalkick.common.runtime.place import BEFORE_ALL, Group, Place
from goalkick.common.topics import Topic


class Entry(NamedTuple):
    """An event that waits to be handled.

    Attributes:
        group: which group of its producer it belongs to.
        event: the event; None where only the end of a group was said.
        offset: from which its whole group can be read again.
        trace: W3C traceparent of what caused it, or empty.
    """

    group: Group
    event: Event | None
    offset: int
    trace: bytes


class Channel:
    """Reads one partition for one task.

    Attributes:
        topic: the row of the table of topics.
        partition: which partition.
        next_offset: offset of the next record to be read.
        done: last group that was handled (or was empty).
        seen: last group that is complete here.
        stalled: nobody waits for it at present, because it has been silent for too long.
        repetitions: records dropped because they were said before.
    """

    __slots__ = (
        "_count", "_entries", "_open", "_unreadable", "_unsettled", "done", "next_offset",
        "partition", "repetitions", "seen", "stalled", "topic",
    )  # fmt: skip

    def __init__(self, topic: Topic, partition: Partition) -> None:
        """An empty channel that has read nothing."""
        self.topic = topic
        self.partition = partition
        self.next_offset = 0
        self.done = self.seen = BEFORE_ALL
        self.stalled = False
        self.repetitions = 0
        self._entries: deque[Entry] = deque()
        self._open: Group | None = None
        self._count = 0
        self._unreadable = 0
        # Offset of the first record after the last complete group; None if there is none.
        self._unsettled: int | None = None

    def __len__(self) -> int:
        """How many entries wait."""
        return len(self._entries)

    @property
    def head(self) -> Entry | None:
        """The first event that waits."""
        return self._entries[0] if self._entries else None

    @property
    def position(self) -> int:
        """Offset from which everything that is not handled yet can be read again."""
        waiting = self._entries[0].offset if self._entries else self.next_offset
        # An unreadable record leaves no entry, but who starts again must count it again.
        return waiting if self._unsettled is None else min(waiting, self._unsettled)

    def resume(self, offset: int, done: Group, stalled: bool) -> None:
        """Starts again at what `position` and `done` once were."""
        self.next_offset = offset
        self.done = self.seen = done
        self.stalled = stalled
        self._entries.clear()
        self._open = None
        self._count = self._unreadable = 0
        self._unsettled = None

    def accept(self, offset: int, place: Place, event: Event | None, trace: bytes) -> None:
        """Takes a record; None for one that only ends a group or cannot be used.

        Raises:
            InvariantError: a record before it is missing.
        """
        if offset < self.next_offset:
            return
        self.next_offset = offset + 1
        if place.group <= self.seen or (place.group == self._open and place.ordinal < self._count):
            self.repetitions += 1
            return
        if event is None and place.last and self._open is not None and place.group < self._open:
            # A producer that starts again may say of other moments that nothing happened in them.
            return
        if place.group != self._open:
            self._begin(place, offset)
        elif place.ordinal != self._count:
            self._missing(place, offset)
        self._count = place.ordinal + 1
        since = self._unsettled
        if since is None:
            since = self._unsettled = offset
        if place.last:
            self.seen = place.group
            self._open = None
            self._count = self._unreadable = 0
            self._unsettled = None
        if event is not None or (place.last and self._entries):
            self._entries.append(Entry(place.group, event, since, trace))
        elif place.last:
            # The end of a group before which nothing waits is handled by being known.
            self.done = self.seen

    def accept_unordered(self, offset: int, event: Event | None) -> None:
        """Takes a record of a topic whose producer does not say when a moment is complete.

        None for one that cannot be used.
        """
        if offset >= self.next_offset:
            self.next_offset = offset + 1
            if event is not None:
                self._entries.append(Entry(Group(event.time_ns, 1), event, offset, b""))

    def skip(self, offset: int) -> None:
        """Passes over a record that nobody can read: it may have been one of the next group."""
        if offset >= self.next_offset:
            self.next_offset = offset + 1
            self._unreadable += 1
            if self._unsettled is None:
                self._unsettled = offset

    def take(self, upto: Group) -> list[Entry]:
        """Removes and returns the events of complete groups up to `upto`."""
        entries = self._entries
        limit = min(upto, self.seen)
        taken: list[Entry] = []
        while entries and entries[0].group <= limit:
            entry = entries.popleft()
            self.done = max(self.done, entry.group)
            if entry.event is not None:
                taken.append(entry)
        self._drop_ends()
        return taken

    def take_all(self) -> Iterator[Entry]:
        """Removes and yields everything that waits."""
        while self._entries:
            yield self._entries.popleft()

    def take_kind(self, kind: type[Event]) -> list[Entry]:
        """Removes and returns the events of one type, whatever waits before them."""
        taken = [entry for entry in self._entries if isinstance(entry.event, kind)]
        if taken:
            self._entries = deque(e for e in self._entries if not isinstance(e.event, kind))
        return taken

    def _drop_ends(self) -> None:
        entries = self._entries
        while entries and entries[0].event is None:
            self.done = max(self.done, entries.popleft().group)

    def _begin(self, place: Place, offset: int) -> None:
        if self._open is not None and (place.group < self._open or not self._forgiven(1)):
            raise InvariantError(
                f"{self._where(offset)}: expected more of group {self._open}, "
                f"found the beginning of {place.group}"
            )
        # What is kept of a topic may begin in the middle of a group.
        if place.ordinal and self.seen != BEFORE_ALL and not self._forgiven(place.ordinal):
            self._open = place.group
            self._count = 0
            self._missing(place, offset)
        self._open = place.group

    def _missing(self, place: Place, offset: int) -> None:
        if not self._forgiven(place.ordinal - self._count):
            raise InvariantError(
                f"{self._where(offset)}: expected record {self._count} of group {place.group}, "
                f"found {place.ordinal}; records are missing"
            )

    def _forgiven(self, missing: int) -> bool:
        """Whether unreadable records account for what is missing."""
        if missing > self._unreadable:
            return False
        self._unreadable -= missing
        return True

    def _where(self, offset: int) -> str:
        return f"{self.partition.topic}[{self.partition.number}] at offset {offset}"
