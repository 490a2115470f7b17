"""A copy of ingest that lives and hears nothing: it leaves its partitions to those that hear."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest

from goalkick.common.adapters.clock.manual import ManualClock
from goalkick.common.adapters.log.memory import Broker, MemoryLog
from goalkick.common.events.market import (
    FeedRecovered,
    FeedStale,
    GapDetected,
    InstrumentListed,
)
from goalkick.common.ports.feed import Step, Tape
from goalkick.common.ports.log import Change
from goalkick.common.runtime import source as source_module
from goalkick.common.runtime.hearing import Hearing
from goalkick.common.runtime.settings import KafkaSettings, RuntimeSettings
from goalkick.common.runtime.source import Source
from goalkick.common.topics import TOPICS, partition_of
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import NS_PER_MS, NS_PER_SECOND
from tests.replay.cluster import meter
from tests.unit.common.test_runtime_source import COUNT, NAMES, assert_whole, moment, on

ALL = frozenset(range(COUNT))
BTC, ETH = (InstrumentId(f"test:{name}/USDT") for name in ("BTC", "ETH"))


def listed(name: InstrumentId) -> InstrumentListed:
    return InstrumentListed(
        time_ns=1, instrument=name, rules=Instrument(id=name, base="BTC", quote="USDT")
    )


def stale(name: InstrumentId, time_ns: int = 1, stream: str = "bar") -> FeedStale:
    return FeedStale(time_ns=time_ns, instrument=name, last_ns=0, stream=stream)


def well(name: InstrumentId, time_ns: int = 1) -> FeedRecovered:
    return FeedRecovered(time_ns=time_ns, instrument=name, stream="bar")


@pytest.mark.parametrize(
    ("said", "deaf"),
    [
        ([[stale(BTC)]], False),
        ([[listed(BTC), listed(ETH)], [stale(BTC)]], False),
        ([[listed(BTC), listed(ETH)], [stale(BTC), stale(ETH, stream="trade")]], False),
        ([[listed(BTC), listed(ETH)], [stale(BTC)], [stale(ETH)]], True),
        ([[listed(BTC)], [stale(BTC), well(BTC)]], False),
        ([[listed(BTC)], [stale(BTC)], [listed(ETH)]], False),
    ],
)
def test_nothing_is_heard_when_all_that_is_listed_is_stale(
    said: Sequence[Step], deaf: bool
) -> None:
    hearing = Hearing()
    for step in said:
        hearing.take(step)
    assert hearing.deaf is deaf


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


class SlowToJoin(MemoryLog):
    """A log whose group is joined when an event is set."""

    def __init__(self, broker: Broker, joins: asyncio.Event | None) -> None:
        super().__init__(broker)
        self._joins = joins

    async def join(self, group: str, topic: str, lost: Change, gained: Change) -> None:
        if self._joins is not None:
            await self._joins.wait()
        await super().join(group, topic, lost, gained)


class Copy:
    """One of several copies of ingest, with a connection of its own."""

    def __init__(
        self,
        broker: Broker,
        leave_after: int | None = None,
        jitter: float = 0,
        begun: asyncio.Event | None = None,
        handover: int = RuntimeSettings().handover,
        expiry: int = 0,
        reachable: asyncio.Event | None = None,
    ) -> None:
        self.heard: asyncio.Queue[Step | Tape] = asyncio.Queue()
        self.bus = SlowToJoin(broker, reachable)
        self.clock = ManualClock(0)
        self.source = Source(
            self.bus,
            RuntimeSettings(handover=handover, kafka=KafkaSettings(session_timeout=expiry)),
            self.clock,
            meter("ingest"),
            live=self._steps,
            leave_after=leave_after,
            jitter=lambda: jitter,
            begun=partial(_wait, begun) if begun else None,
        )
        self.task = asyncio.create_task(self.source.run(asyncio.Event()))

    async def _steps(self, _: int | None) -> AsyncGenerator[Step | Tape, None]:
        while True:
            yield await self.heard.get()
            self.heard.task_done()

    @property
    def held(self) -> frozenset[int]:
        return self.bus.assigned if self.source.ready else frozenset()

    async def hears(self, *said: Step | Tape) -> None:
        for one in said:
            self.heard.put_nowait(one)
        async with asyncio.timeout(10):
            await self.heard.join()

    async def falls_deaf(self, time_ns: int) -> None:
        await self.hears([stale(InstrumentId(name), time_ns) for name in NAMES])

    async def hears_again(self, time_ns: int) -> None:
        await self.hears([well(InstrumentId(name), time_ns) for name in NAMES])


@asynccontextmanager
async def ended(copy: Copy) -> AsyncIterator[None]:
    """Ends a copy with the block."""
    try:
        yield
    finally:
        copy.task.cancel()
        with suppress(asyncio.CancelledError):
            await copy.task


@asynccontextmanager
async def copies(
    *jitter: float, leave_after: int | None = 10 * NS_PER_MS
) -> AsyncIterator[tuple[Broker, list[Copy]]]:
    broker = Broker({topic.name: COUNT for topic in TOPICS})
    made = [Copy(broker, leave_after, one) for one in jitter]
    try:
        await until(lambda: frozenset().union(*(copy.held for copy in made)) == ALL)
        for copy in made:
            await copy.hears([listed(InstrumentId(name)) for name in NAMES])
        yield broker, made
    finally:
        for copy in made:
            copy.task.cancel()
            with suppress(asyncio.CancelledError):
                await copy.task


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - what changes has no event of its own
            await asyncio.sleep(0.002)


async def test_a_copy_takes_no_partitions_before_it_hears_all_and_then_says_what_it_kept() -> None:
    broker = Broker({topic.name: COUNT for topic in TOPICS})
    begun = asyncio.Event()
    first = Copy(broker)
    async with ended(first):
        await until(lambda: first.held == ALL)
        await first.hears(*moment(1))
        second = Copy(broker, begun=begun)
        async with ended(second):
            # It hears, and has nothing to say.
            await second.hears(*moment(2))
            assert first.held == ALL
            begun.set()
            await until(lambda: bool(second.held) and bool(first.held))
            await first.hears(*moment(2))
            assert_whole(broker, 2)


async def test_of_copies_that_start_together_none_takes_partitions_before_it_hears_all() -> None:
    broker = Broker({topic.name: COUNT for topic in TOPICS})
    begun = asyncio.Event()
    second = Copy(broker, begun=begun)
    async with ended(second):
        # Nothing was ever said when it looked.
        await until(lambda: second.source.connected)
        first = Copy(broker)
        async with ended(first):
            await until(lambda: first.held == ALL)
            await first.hears(*moment(1))
            await first.hears(*moment(2))
            await second.hears(*moment(2))
            assert first.held == ALL
            begun.set()
            await until(lambda: bool(second.held) and bool(first.held))
            for copy in (first, second):
                await copy.hears(*moment(3))
            assert_whole(broker, 3)


async def test_what_a_copy_hears_before_it_is_a_member_is_not_forgotten() -> None:
    broker = Broker({topic.name: COUNT for topic in TOPICS})
    begun = asyncio.Event()
    only = Copy(broker, begun=begun)
    async with ended(only):
        await only.hears(*moment(1))
        only.clock.advance(RuntimeSettings().handover + 1)
        await only.hears(*moment(2))
        begun.set()
        await until(lambda: only.held == ALL)
        assert_whole(broker, 2)


async def test_a_feed_waits_for_a_copy_that_is_no_member_and_can_keep_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(source_module, "_KEPT_AT_MOST", 4)
    broker = Broker({topic.name: COUNT for topic in TOPICS})
    broker_away = asyncio.Event()
    only = Copy(broker, begun=asyncio.Event(), reachable=broker_away)
    async with ended(only):
        for number in range(1, 6):
            for said in moment(number):
                only.heard.put_nowait(said)
        await until(lambda: only.heard.qsize() == 2 * 5 - 4)
        await asyncio.wait((only.task,), timeout=0.05)
        assert only.heard.qsize() == 2 * 5 - 4
        broker_away.set()
        await until(lambda: only.held == ALL)
        await only.hears()
        assert_whole(broker, 5)


async def test_a_copy_takes_no_partitions_while_a_dead_one_may_still_hold_them() -> None:
    broker = Broker({topic.name: COUNT for topic in TOPICS})
    begun = asyncio.Event()
    begun.set()
    first = Copy(broker)
    async with ended(first):
        await until(lambda: first.held == ALL)
        await first.hears(*moment(1))
        second = Copy(broker, begun=begun, expiry=NS_PER_SECOND // 2)
        async with ended(second):
            for number in range(2, 20):
                await first.hears(*moment(number))
                await second.hears(*moment(number))
                assert first.held == ALL
            await until(lambda: bool(second.held))
            assert_whole(broker, 19)


async def test_a_copy_whose_feed_never_begins_joins_all_the_same() -> None:
    broker = Broker({topic.name: COUNT for topic in TOPICS})
    first = Copy(broker)
    async with ended(first):
        await until(lambda: first.held == ALL)
        await first.hears(*moment(1))
        second = Copy(broker, begun=asyncio.Event(), handover=20 * NS_PER_MS)
        async with ended(second):
            await until(lambda: bool(second.held))


async def test_a_deaf_copy_leaves_its_partitions_and_the_other_says_what_it_did_not() -> None:
    async with copies(0, 0) as (broker, (deaf, other)):
        await deaf.hears(*moment(1))
        await other.hears(*moment(1))
        await deaf.falls_deaf(11)
        # Nobody said moment 2 for the deaf copy's partitions.
        await other.hears(*moment(2))
        await until(lambda: other.held == ALL)
        assert not deaf.source.ready
        assert any("left to other copies" in line for line in deaf.source.tasks_running())
        await other.hears(*moment(3))
        assert_whole(broker, 3)


async def test_a_copy_that_hears_again_takes_its_part_again() -> None:
    async with copies(0, 0) as (broker, (deaf, other)):
        await deaf.falls_deaf(5)
        await until(lambda: other.held == ALL)
        await deaf.hears_again(6)
        await until(lambda: bool(deaf.held) and bool(other.held))
        assert deaf.held | other.held == ALL
        assert not any("left to" in line for line in deaf.source.tasks_running())
        for copy in (deaf, other):
            await copy.hears(*moment(1))
        assert_whole(broker, 1)


@pytest.mark.parametrize(("to_ns", "told"), [(30, False), (40, True)])
async def test_what_a_deaf_copy_lacks_is_missing_only_if_no_other_copy_said_it(
    to_ns: int, told: bool
) -> None:
    async with copies(0, 0) as (broker, (deaf, other)):
        for copy in (deaf, other):
            await copy.hears(*moment(1))
        await deaf.falls_deaf(11)
        await until(lambda: other.held == ALL)
        for number in (2, 3):
            await other.hears(*moment(number))
        await deaf.hears_again(35)
        await until(lambda: bool(deaf.held) and bool(other.held))
        bars, tape = moment(5)
        lacks = [
            GapDetected(
                time_ns=50,
                instrument=InstrumentId(name),
                from_ns=10,
                to_ns=to_ns,
                missing=2,
                stream="bar",
            )
            for name in NAMES
        ]
        await deaf.hears([*lacks, *bars], tape)
        mine = {name for name in NAMES if partition_of(name, COUNT) in deaf.held}
        gaps = {e.instrument for e in on(broker, GapDetected) if isinstance(e, GapDetected)}
        assert gaps == (mine if told else set())


async def test_of_copies_that_are_all_deaf_the_last_one_stays() -> None:
    async with copies(0, 1, 4) as (_, (first, second, third)):
        for copy in (first, second, third):
            await copy.falls_deaf(5)
        await until(lambda: third.held == ALL)
        await asyncio.wait((third.task,), timeout=0.2)
        assert third.held == ALL
        await first.hears_again(6)
        await until(lambda: first.held == ALL)


async def test_a_lone_copy_stays_however_deaf_it_is() -> None:
    async with copies(0) as (_, (only,)):
        await only.falls_deaf(5)
        await asyncio.wait((only.task,), timeout=0.1)
        assert only.held == ALL


async def test_nobody_leaves_where_that_is_not_wanted() -> None:
    async with copies(0, 0, leave_after=None) as (_, (deaf, other)):
        await deaf.falls_deaf(5)
        await asyncio.wait((deaf.task,), timeout=0.1)
        assert deaf.held
        assert deaf.held | other.held == ALL
