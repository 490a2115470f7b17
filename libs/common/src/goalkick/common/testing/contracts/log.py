"""What every partitioned log promises."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import pytest

from goalkick.common.core.errors import SettingsError
from goalkick.common.ports.log import Log, Message, Partition, Record

PATIENCE_S = 20.0
"""How long what must happen may take; a broker on a busy machine takes some seconds."""

ALL = frozenset(range(3))
"""The partitions of a cluster's topic."""


class Stranger(Protocol):
    """A member in another process."""

    async def vanish(self) -> None:
        """Is killed, without a word to the group."""
        ...


class Cluster(Protocol):
    """A log with a topic of three partitions that nobody else uses.

    Attributes:
        topic: its name.
    """

    topic: str

    async def member(self) -> Log:
        """A member that is started; it is closed after the test."""
        ...

    async def stranger(self, group: str) -> Stranger:
        """A member of `group` in another process, on its way to join it for the topic."""
        ...

    async def committed(self, group: str, number: int) -> int | None:
        """What onlookers see of a group's progress in a partition of the topic."""
        ...


class Seat:
    """What a member holds, and whether it was told in the right order."""

    def __init__(self, table: "Table") -> None:
        """Holds nothing."""
        self.held: frozenset[int] = frozenset()
        self._table = table

    async def lost(self, numbers: Collection[int]) -> None:
        """Before a change."""
        if set(numbers) != self.held:
            self._table.wrongs.append(f"lost {set(numbers)} while {set(self.held)} was held")
        self.held = frozenset()

    async def gained(self, numbers: Collection[int]) -> None:
        """After a change."""
        if self.held:
            self._table.wrongs.append(f"gained {set(numbers)} before {set(self.held)} was lost")
        taken = frozenset().union(*(seat.held for seat in self._table.seats))
        if taken & set(numbers):
            self._table.wrongs.append(f"gained {set(numbers)} while others held {set(taken)}")
        self.held = frozenset(numbers)
        self._table.changed.set()


class Table:
    """All members of a group that are in this process."""

    def __init__(self, group: str, topic: str) -> None:
        """Nobody sits at it."""
        self.group = group
        self.topic = topic
        self.seats: list[Seat] = []
        self.wrongs: list[str] = []
        self.changed = asyncio.Event()

    async def join(self, log: Log) -> Seat:
        """One more member."""
        seat = Seat(self)
        self.seats.append(seat)
        await log.join(self.group, self.topic, seat.lost, seat.gained)
        return seat

    async def until(self, settled: Callable[[], bool]) -> None:
        """Returns when all has changed hands as expected."""
        async with asyncio.timeout(PATIENCE_S):
            while not settled():
                self.changed.clear()
                await self.changed.wait()
        assert self.wrongs == []

    def divided(self) -> bool:
        """Whether everything is assigned once, and nobody who could hold something is idle."""
        held = [number for seat in self.seats for number in seat.held]
        busy = sum(1 for seat in self.seats if seat.held)
        return sorted(held) == sorted(ALL) and busy == min(len(self.seats), len(ALL))


async def read(log: Log, count: int) -> list[Record]:
    """The next records, as they come."""
    found: list[Record] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(found) < count:
            found += await log.poll(0.2)
    return found


class LogContract:
    """A subclass has a fixture `cluster: Cluster`."""

    async def test_records_keep_their_order_in_a_partition_and_all_that_was_sent(
        self, cluster: Cluster
    ) -> None:
        log = await cluster.member()
        sent = [message(cluster, number % 3, f"v{number}") for number in range(60)]
        for start in range(0, 60, 7):
            await log.send(sent[start : start + 7])
        await log.flush()
        await log.read_from(dict.fromkeys(places(cluster), 0))
        records = await read(log, 60)
        for place in places(cluster):
            mine = [record for record in records if record.partition == place]
            assert [record.offset for record in mine] == list(range(20))
            assert [as_sent(record) for record in mine] == [m for m in sent if m.partition == place]

    async def test_what_is_sent_whole_stands_together(self, cluster: Cluster) -> None:
        log = await cluster.member()
        sent = [message(cluster, number % 2, f"v{number}") for number in range(10)]
        await asyncio.gather(log.send(sent, whole=True), log.send(sent, whole=True))
        await log.flush()
        await log.read_from(dict.fromkeys(places(cluster), 0))
        records = await read(log, 20)
        for place in places(cluster)[:2]:
            mine = [as_sent(record) for record in records if record.partition == place]
            assert mine == 2 * [m for m in sent if m.partition == place]

    @pytest.mark.parametrize(
        "value", [b"", bytes(range(256)), b"x" * 3_000_000], ids=["empty", "any byte", "3 MB"]
    )
    async def test_a_value_of_any_kind_comes_back(self, cluster: Cluster, value: bytes) -> None:
        log = await cluster.member()
        headers = (("a", b"1"), ("b", b""), ("a", b"\xff"))
        sent = Message(Partition(cluster.topic, 1), "clé/ключ", value, headers)
        await log.send([sent])
        await log.flush()
        await log.read_from({sent.partition: 0})
        assert [as_sent(record) for record in await read(log, 1)] == [sent]

    async def test_reading_begins_where_it_is_told_and_may_begin_again_anywhere(
        self, cluster: Cluster
    ) -> None:
        log = await cluster.member()
        await fill(log, cluster, 10)
        for offset in (7, 2, 9):
            await log.read_from({Partition(cluster.topic, 0): offset})
            records = await read(log, 10 - offset)
            assert [record.offset for record in records] == list(range(offset, 10))

    async def test_only_the_partitions_that_were_asked_for_last_are_read(
        self, cluster: Cluster
    ) -> None:
        log = await cluster.member()
        for number in range(3):
            await fill(log, cluster, 2, number)
        await log.read_from({Partition(cluster.topic, 0): 0, Partition(cluster.topic, 1): 0})
        await read(log, 4)
        await log.read_from({Partition(cluster.topic, 1): 1, Partition(cluster.topic, 2): 0})
        records = await read(log, 3)
        assert {(r.partition.number, r.offset) for r in records} == {(1, 1), (2, 0), (2, 1)}
        await log.read_from({})
        assert not await log.poll(0.05)

    async def test_who_reads_from_the_same_offset_gets_the_same_again(
        self, cluster: Cluster
    ) -> None:
        one, other = await cluster.member(), await cluster.member()
        await fill(one, cluster, 5)
        found = []
        for log in (one, other):
            await log.read_from({Partition(cluster.topic, 0): 1})
            found.append(await read(log, 4))
        assert found[0] == found[1]

    async def test_a_reader_that_is_at_the_end_gets_what_is_written_next(
        self, cluster: Cluster
    ) -> None:
        reader, writer = await cluster.member(), await cluster.member()
        place = Partition(cluster.topic, 0)
        await reader.read_from({place: 0})
        assert not await reader.poll(0.05)
        await fill(writer, cluster, 3)
        assert [record.offset for record in await read(reader, 3)] == [0, 1, 2]

    async def test_a_paused_partition_is_silent_and_loses_nothing(self, cluster: Cluster) -> None:
        log = await cluster.member()
        quiet, loud = Partition(cluster.topic, 0), Partition(cluster.topic, 1)
        await log.read_from({quiet: 0, loud: 0})
        log.pause([quiet])
        await fill(log, cluster, 3, 0)
        await fill(log, cluster, 3, 1)
        records = [*await read(log, 3), *await log.poll(0.1)]
        assert {record.partition for record in records} == {loud}
        log.resume([quiet])
        records = await read(log, 3)
        assert [(r.partition, r.offset) for r in records] == [(quiet, n) for n in range(3)]

    async def test_being_told_where_to_read_ends_a_pause(self, cluster: Cluster) -> None:
        log = await cluster.member()
        place = Partition(cluster.topic, 0)
        await fill(log, cluster, 1)
        await log.read_from({place: 0})
        log.pause([place])
        await log.read_from({place: 0})
        assert len(await read(log, 1)) == 1

    async def test_ends_are_the_first_kept_and_the_next_offset(self, cluster: Cluster) -> None:
        log = await cluster.member()
        await fill(log, cluster, 4)
        full, empty = Partition(cluster.topic, 0), Partition(cluster.topic, 1)
        assert await log.ends([full, empty]) == {full: (0, 4), empty: (0, 0)}
        assert await log.ends([]) == {}

    async def test_tails_are_the_last_records_oldest_first(self, cluster: Cluster) -> None:
        log = await cluster.member()
        await fill(log, cluster, 5, 0)
        await fill(log, cluster, 1, 1)
        tails = await log.tails(places(cluster), 2)
        assert {p.number: offsets(records) for p, records in tails.items()} == {
            0: [3, 4],
            1: [0],
            2: [],
        }
        assert await log.tails([], 1) == {}

    async def test_looking_at_tails_does_not_move_the_reader(self, cluster: Cluster) -> None:
        log = await cluster.member()
        await fill(log, cluster, 4)
        place = Partition(cluster.topic, 0)
        await log.read_from({place: 1})
        await log.tails([place], 1)
        await log.ends([place])
        assert offsets(await read(log, 3)) == [1, 2, 3]

    async def test_partitions_are_counted(self, cluster: Cluster) -> None:
        log = await cluster.member()
        assert await log.partitions([cluster.topic]) == {cluster.topic: 3}

    async def test_a_missing_topic_is_an_error_that_says_which_and_what_to_do(
        self, cluster: Cluster
    ) -> None:
        log = await cluster.member()
        absent = f"{cluster.topic}.absent"
        with pytest.raises(SettingsError, match="make them") as caught:
            await log.partitions([cluster.topic, absent])
        assert absent in str(caught.value)
        assert f"{cluster.topic}," not in str(caught.value)

    async def test_members_always_divide_all_partitions_and_each_has_one_holder(
        self, cluster: Cluster
    ) -> None:
        table = Table(f"{cluster.topic}.members", cluster.topic)
        logs = [await cluster.member() for _ in range(4)]
        for log in logs:
            await table.join(log)
            await table.until(table.divided)
        for log in logs[:3]:
            table.seats.pop(0)
            await log.close()
            await table.until(table.divided)
        assert table.seats[0].held == ALL

    async def test_what_a_member_held_that_vanished_goes_to_the_others(
        self, cluster: Cluster
    ) -> None:
        table = Table(f"{cluster.topic}.vanishing", cluster.topic)
        seat = await table.join(await cluster.member())
        await table.until(lambda: seat.held == ALL)
        stranger = await cluster.stranger(table.group)
        await table.until(lambda: 0 < len(seat.held) < len(ALL))
        await stranger.vanish()
        await table.until(lambda: seat.held == ALL)

    async def test_who_leaves_holds_nothing_may_write_and_may_join_again(
        self, cluster: Cluster
    ) -> None:
        table = Table(f"{cluster.topic}.leaving", cluster.topic)
        logs = [await cluster.member() for _ in range(2)]
        first, second = [await table.join(log) for log in logs]
        await table.until(table.divided)
        await logs[0].leave()
        assert not first.held
        await table.until(lambda: second.held == ALL)
        await fill(logs[0], cluster, 1)
        await logs[0].leave()
        table.seats.remove(first)
        await table.join(logs[0])
        await table.until(table.divided)

    async def test_groups_do_not_take_partitions_from_each_other(self, cluster: Cluster) -> None:
        tables = [Table(f"{cluster.topic}.{name}", cluster.topic) for name in ("one", "two")]
        for table in tables:
            await table.join(await cluster.member())
        for table in tables:
            await table.until(table.divided)

    async def test_members_may_write_and_read_while_partitions_change_hands(
        self, cluster: Cluster
    ) -> None:
        log = await cluster.member()
        place = Partition(cluster.topic, 0)
        seen: list[int] = []

        async def lost(numbers: Collection[int]) -> None:
            if numbers:
                await fill(log, cluster, 1)

        async def gained(_: Collection[int]) -> None:
            await log.read_from({place: 0})
            seen.extend(offsets((await log.tails([place], 1))[place]))
            changed.set()

        changed = asyncio.Event()
        await log.join(f"{cluster.topic}.busy", cluster.topic, lost, gained)
        other = Table(f"{cluster.topic}.busy", cluster.topic)
        async with asyncio.timeout(PATIENCE_S):
            await changed.wait()
            await other.join(await cluster.member())
            while not seen:
                changed.clear()
                await changed.wait()
        assert offsets(await read(log, 1))[:1] == [0]

    async def test_onlookers_see_how_far_a_group_has_come(self, cluster: Cluster) -> None:
        log = await cluster.member()
        group = f"{cluster.topic}.seen"
        table = Table(group, cluster.topic)
        await table.join(log)
        await table.until(table.divided)
        assert await cluster.committed(group, 1) is None
        assert await log.commit({Partition(cluster.topic, 1): 42})
        await log.commit({})
        assert await cluster.committed(group, 1) == 42
        assert await cluster.committed(group, 0) is None

    async def test_nothing_is_noted_for_somebody_who_is_no_member(self, cluster: Cluster) -> None:
        log = await cluster.member()
        assert not await log.commit({Partition(cluster.topic, 1): 42})

    async def test_a_log_that_is_closed_may_be_closed_again(self, cluster: Cluster) -> None:
        log = await cluster.member()
        await fill(log, cluster, 1)
        await log.close()
        await log.close()


def places(cluster: Cluster) -> list[Partition]:
    """All partitions of the topic."""
    return [Partition(cluster.topic, number) for number in sorted(ALL)]


def message(cluster: Cluster, number: int, text: str) -> Message:
    """A message with everything that one has."""
    key = f"key of {text}"
    return Message(Partition(cluster.topic, number), key, text.encode(), (("h", text.encode()),))


def as_sent(record: Record) -> Message:
    """What was written."""
    return Message(record.partition, record.key, record.value, tuple(record.headers))


def offsets(records: Sequence[Record]) -> list[int]:
    """Of some records."""
    return [record.offset for record in records]


async def fill(log: Log, cluster: Cluster, count: int, number: int = 0) -> None:
    """Writes some records to one partition."""
    await log.send([message(cluster, number, f"v{i}") for i in range(count)])
    await log.flush()
