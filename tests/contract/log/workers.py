"""What a worker promises on any log: one suite, run on the log in memory and on Kafka."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Protocol

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from goalkick.common.adapters.clock.system import SystemClock
from goalkick.common.codec import protobuf
from goalkick.common.core.errors import SettingsError
from goalkick.common.core.machine import Handler
from goalkick.common.events.base import Event
from goalkick.common.events.feature import FeatureVector
from goalkick.common.events.market import BarClosed
from goalkick.common.ports.log import Headers, Log, Message, Partition, Record
from goalkick.common.runtime.channel import Channel
from goalkick.common.runtime.envelope import envelope, header_of, read_event, read_place_of
from goalkick.common.runtime.meter import Meter
from goalkick.common.runtime.place import HEADER, Group, Place, read_place
from goalkick.common.runtime.settings import RuntimeSettings
from goalkick.common.runtime.wiring import Service
from goalkick.common.runtime.worker import Worker
from goalkick.common.telemetry.metrics import Metrics
from goalkick.common.testing.contracts.log import PATIENCE_S
from goalkick.common.topics import DEAD_LETTERS, STATE_OF, TOPIC_OF
from goalkick.common.values.ids import InstrumentId

PARTITIONS = 3
BARS = TOPIC_OF[BarClosed]
VECTORS = TOPIC_OF[FeatureVector]
STATES = STATE_OF["feature"]
TOPICS = {
    BARS.name: PARTITIONS,
    VECTORS.name: PARTITIONS,
    STATES.name: PARTITIONS,
    DEAD_LETTERS.name: 1,
}
SETTINGS = RuntimeSettings(clock="event", snapshot_every=0, poll_for="20ms")
OPERATIONS = ("poll", "send", "flush", "commit")

Fault = Callable[[str], None]


class Died(Exception):  # noqa: N818 -- it stands for SIGKILL, which is no error
    """Nothing of ours handles it, but a log may keep it from one of its tasks for the next poll."""


class DiesAt:
    """Ends the process before its n-th operation of a kind."""

    def __init__(self, operation: str, nth: int) -> None:
        self.operation = operation
        self.left = nth

    def __call__(self, operation: str) -> None:
        if operation == self.operation:
            self.left -= 1
            if not self.left:
                raise Died(operation)


class WorkerCluster(Protocol):
    """A log that has `TOPICS`, empty."""

    def log(self, fault: Fault | None = None) -> Log:
        """Somebody's access, not started; `fault` is called before operations."""
        ...

    async def remove(self, topic: str) -> None:
        """Makes as if a topic had never been made."""
        ...


class Totals:
    """A core whose every answer depends on all that it has heard of an instrument."""

    def __init__(self) -> None:
        self.totals: dict[str, tuple[int, Decimal]] = {}
        self.handlers: dict[type[Event], Handler] = {BarClosed: self._on_bar}

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(self.totals)

    def restore(self, data: bytes) -> None:
        self.totals = msgspec.msgpack.decode(data, type=dict[str, tuple[int, Decimal]])

    def _on_bar(self, bar: BarClosed) -> Sequence[Event]:
        count, total = self.totals.get(bar.instrument, (0, Decimal(0)))
        self.totals[bar.instrument] = count + 1, total + bar.close
        return (
            FeatureVector(
                time_ns=bar.time_ns,
                instrument=bar.instrument,
                definition_hash="totals",
                interval_ns=1,
                available_at_ns=bar.time_ns,
                close=bar.close,
                names=("count", "total"),
                values=(float(count + 1), float(total + bar.close)),
            ),
        )


def bar(moment: int, number: int) -> BarClosed:
    """Of the one instrument of a partition."""
    price = Decimal(moment * 10 + number)
    return BarClosed(
        time_ns=moment,
        instrument=InstrumentId(f"test:{number}"),
        interval_ns=1,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=Decimal(1),
    )


def bars(moments: Sequence[int]) -> list[Message]:
    """One bar in each moment and partition."""
    return [
        message(bar(moment, number), number, Place(Group(moment, 1), 0, True))
        for moment in moments
        for number in range(PARTITIONS)
    ]


def message(event: Event, number: int, place: Place | None) -> Message:
    """As ingest would send it; without a place as nobody may."""
    headers = envelope(event, "ingest", place, b"")
    return Message(Partition(BARS.name, number), event.key, protobuf.encode(event), headers)


def expected(moments: Sequence[int]) -> list[Event]:
    """What one core says of all bars."""
    core = Totals()
    return [
        event
        for moment in moments
        for number in range(PARTITIONS)
        for event in core.handlers[BarClosed](bar(moment, number))
    ]


@asynccontextmanager
async def started(log: Log) -> AsyncIterator[Log]:
    """A log for writing and reading by hand."""
    await log.start()
    try:
        yield log
    finally:
        await log.close()


def with_header(headers: Headers, name: str, value: bytes) -> Headers:
    return tuple((key, value if key == name else old) for key, old in headers)


async def write(cluster: WorkerCluster, messages: Sequence[Message]) -> None:
    async with started(cluster.log()) as log:
        await log.send(messages)
        await log.flush()


async def records(cluster: WorkerCluster, topic: str) -> list[Record]:
    """All that stands on a topic now, partition by partition."""
    async with started(cluster.log()) as log:
        places = [Partition(topic, number) for number in range(TOPICS[topic])]
        left = {place: end for place, (_, end) in (await log.ends(places)).items()}
        await log.read_from(dict.fromkeys(places, 0))
        found: list[Record] = []
        async with asyncio.timeout(PATIENCE_S):
            while len(found) < sum(left.values()):
                found += await log.poll(0.05)
        return sorted(found, key=lambda record: (record.partition, record.offset))


async def until_said(cluster: WorkerCluster, moment: int) -> None:
    """Returns when all partitions are complete for a moment."""
    async with started(cluster.log()) as log:
        waiting = {Partition(VECTORS.name, number) for number in range(PARTITIONS)}
        await log.read_from(dict.fromkeys(waiting, 0))
        async with asyncio.timeout(PATIENCE_S):
            while waiting:
                for record in await log.poll(0.05):
                    if read_place(header_of(record, HEADER)).group >= Group(moment, 1):
                        waiting.discard(record.partition)


def understood(found: Sequence[Record]) -> list[Event]:
    """What a reader makes of all records, in order of time; it would notice contradictions."""
    readers: dict[Partition, Channel] = {}
    contents: dict[tuple[Partition, Place], bytes] = {}
    for record in found:
        reader = readers.setdefault(record.partition, Channel(VECTORS, record.partition))
        place = read_place_of(record, VECTORS)
        assert place is not None
        event = read_event(record)
        said = contents.setdefault((record.partition, place), record.value)
        assert said == record.value, f"two things were said at {place}"
        if isinstance(event, FeatureVector):
            reader.accept(record.offset, place, event, b"")
    events = [e.event for c in readers.values() for e in c.take(Group(2**62, 1)) if e.event]
    return sorted(events, key=lambda event: (event.time_ns, event.key))


class Copy:
    """A running copy of the service."""

    _names = itertools.count()

    def __init__(self, cluster: WorkerCluster, fault: Fault | None = None) -> None:
        self.stop = asyncio.Event()
        self.worker = Worker(
            cluster.log(fault),
            Service("feature", Totals),
            SETTINGS,
            SystemClock(),
            Meter(Metrics(CollectorRegistry(), "feature")),
            f"copy-{next(self._names)}",
        )
        self.task = asyncio.create_task(self.worker.run(self.stop))

    async def end(self) -> None:
        self.stop.set()
        await self.task

    async def until(self, condition: Callable[["Copy"], bool]) -> None:
        """Returns when the worker has come to a point; fails with it."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition(self):
                await asyncio.wait((self.task,), timeout=0.005)
                if self.task.done():
                    self.task.result()
                    raise AssertionError("the worker ended by itself")


MOMENTS = range(1, 11)


class WorkerContract:
    """A subclass has the fixtures `cluster: WorkerCluster` and `deaths: list[(operation, n)]`."""

    async def test_all_is_said_once_and_in_order(self, cluster: WorkerCluster) -> None:
        await write(cluster, bars(MOMENTS))
        copy = Copy(cluster)
        await until_said(cluster, MOMENTS[-1])
        await copy.end()
        found = await records(cluster, VECTORS.name)
        assert understood(found) == expected(MOMENTS)
        assert len(found) == len(expected(MOMENTS))

    async def test_a_death_at_any_operation_shows_in_nothing_that_is_said(
        self, cluster: WorkerCluster, deaths: Sequence[tuple[str, int]]
    ) -> None:
        """Each life ends at another operation, while more and more comes in."""
        last = 0
        for operation, nth in deaths:
            moments = range(last + 1, last + 4)
            await write(cluster, bars(moments))
            last = moments[-1]
            copy = Copy(cluster, DiesAt(operation, nth))
            await asyncio.wait((copy.task,), timeout=PATIENCE_S)
            assert isinstance(copy.task.exception(), Died)
        copy = Copy(cluster)
        await until_said(cluster, last)
        await copy.end()
        assert understood(await records(cluster, VECTORS.name)) == expected(range(1, last + 1))

    async def test_partitions_that_change_hands_go_on_where_they_stood(
        self, cluster: WorkerCluster
    ) -> None:
        first = Copy(cluster)
        await write(cluster, bars(range(1, 4)))
        await until_said(cluster, 3)
        second = Copy(cluster)
        await second.until(lambda copy: bool(copy.worker.tasks) and copy.worker.ready)
        await first.until(lambda copy: len(copy.worker.tasks) < PARTITIONS and copy.worker.ready)
        await write(cluster, bars(range(4, 7)))
        await until_said(cluster, 6)
        assert len(first.worker.tasks) + len(second.worker.tasks) == PARTITIONS
        await first.end()
        await write(cluster, bars(range(7, 10)))
        await until_said(cluster, 9)
        assert sorted(second.worker.tasks) == list(range(PARTITIONS))
        await second.end()
        assert understood(await records(cluster, VECTORS.name)) == expected(range(1, 10))

    async def test_what_cannot_be_read_is_put_aside_with_its_reason_and_the_stream_goes_on(
        self, cluster: WorkerCluster
    ) -> None:
        alien = message(bar(3, 0), 0, Place(Group(3, 1), 0, True))
        poison = [
            message(bar(2, 0), 0, None),
            message(bar(2, 0), 0, Place(Group(2, 1), 0, True))._replace(value=b"\xff\xff"),
            alien._replace(headers=with_header(alien.headers, "ce_type", b"goalkick.no.Such.v1")),
        ]
        await write(cluster, [*bars([1]), *poison, *bars([4])])
        copy = Copy(cluster)
        await until_said(cluster, 4)
        await copy.end()
        assert understood(await records(cluster, VECTORS.name)) == expected([1, 4])
        letters = await records(cluster, DEAD_LETTERS.name)
        reasons = [(header_of(r, "gk-reason") or b"").decode() for r in letters]
        assert [reason.split(":")[0] for reason in reasons] == [
            "header gk-place",
            "goalkick.market.BarClosed.v1",
            "expected a known event type, found 'goalkick.no.Such.v1'",
        ]
        assert [header_of(record, "gk-offset") for record in letters] == [b"1", b"2", b"3"]
        assert {header_of(r, "gk-topic") for r in letters} == {BARS.name.encode()}
        assert [record.value for record in letters] == [m.value for m in poison]

    @pytest.mark.parametrize("topic", sorted(TOPICS))
    async def test_a_missing_topic_is_a_clear_error_at_the_start(
        self, cluster: WorkerCluster, topic: str
    ) -> None:
        await cluster.remove(topic)
        copy = Copy(cluster)
        await asyncio.wait((copy.task,), timeout=PATIENCE_S)
        error = copy.task.exception()
        assert isinstance(error, SettingsError)
        assert topic in str(error)
        assert not copy.worker.ready

    async def test_a_stop_saves_everything_within_five_seconds(
        self, cluster: WorkerCluster
    ) -> None:
        await write(cluster, bars(MOMENTS))
        copy = Copy(cluster)
        await until_said(cluster, MOMENTS[-1])
        async with asyncio.timeout(5):
            await copy.end()
        said = await records(cluster, VECTORS.name)
        copy = Copy(cluster)
        await copy.until(lambda copy: copy.worker.ready and len(copy.worker.tasks) == PARTITIONS)
        assert {task.moment for task in copy.worker.tasks.values()} == {MOMENTS[-1]}
        assert set(copy.worker.positions().values()) == {len(MOMENTS)}
        await copy.end()
        assert await records(cluster, VECTORS.name) == said
