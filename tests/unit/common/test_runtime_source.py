"""Ingest's pump: the tape, which has no moment, and copies that take over from one another."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from decimal import Decimal

import pytest

from goalkick.common.adapters.clock.manual import ManualClock
from goalkick.common.adapters.log.memory import Broker, MemoryLog
from goalkick.common.events.base import Event, Side
from goalkick.common.events.control import Progress
from goalkick.common.events.market import BarClosed, QuoteChanged, TradePrinted
from goalkick.common.ports.feed import Quiet, Step, Tape
from goalkick.common.ports.log import Partition
from goalkick.common.runtime.envelope import header_of, read_event
from goalkick.common.runtime.place import HEADER
from goalkick.common.runtime.settings import RuntimeSettings
from goalkick.common.runtime.source import Source
from goalkick.common.topics import TOPIC_OF, TOPICS, partition_of
from goalkick.common.values.ids import InstrumentId
from tests.replay.cluster import meter
from tests.unit.common.test_memory_bus import bar

D = Decimal
COUNT = 3


def trade(number: int, time_ns: int, name: str = "test:a") -> TradePrinted:
    return TradePrinted(
        time_ns=time_ns,
        instrument=InstrumentId(name),
        trade_id=str(number),
        price=D(1),
        quantity=D(1),
        side=Side.BUY,
    )


def quote(time_ns: int) -> QuoteChanged:
    return QuoteChanged(
        time_ns=time_ns,
        instrument=InstrumentId("test:a"),
        bid=D(1),
        bid_quantity=D(1),
        ask=D(2),
        ask_quantity=D(1),
    )


async def published(said: Sequence[Step | Tape], quotes: bool = False) -> Broker:
    """What stands on the log when a live feed has said this."""

    async def steps(after_ns: int | None) -> AsyncGenerator[Step | Tape, None]:
        while not source.ready:
            await broker.arrival(0.01)
        for step in said:
            yield step

    broker = Broker({topic.name: COUNT for topic in TOPICS})
    settings = RuntimeSettings(quotes=quotes)
    log = MemoryLog(broker)
    source = Source(log, settings, ManualClock(0), meter("ingest"), live=steps)
    stop = asyncio.Event()
    async with asyncio.timeout(10):
        running = asyncio.create_task(source.run(stop))
        while not source.finished:
            await broker.arrival(0.01)
        stop.set()
        await running
    return broker


def on(broker: Broker, kind: type[Event]) -> list[Event]:
    name = TOPIC_OF[kind].name
    return [
        read_event(record)
        for number in range(COUNT)
        for record in broker.records[Partition(name, number)]
    ]


async def test_trades_are_published_in_their_partition_without_any_sign_of_progress() -> None:
    trades = [trade(1, 5), trade(2, 3), trade(3, 4, "test:b")]
    broker = await published([Tape(trades)])
    assert sorted(on(broker, TradePrinted), key=lambda e: e.id) == sorted(
        trades, key=lambda e: e.id
    )
    name = TOPIC_OF[TradePrinted].name
    for number in range(COUNT):
        for record in broker.records[Partition(name, number)]:
            assert number == partition_of(record.key, COUNT)
            assert header_of(record, HEADER) is None
    assert on(broker, BarClosed) == []


async def test_a_tape_with_a_later_time_does_not_hold_up_or_overtake_the_next_bar() -> None:
    broker = await published([[bar(10)], Tape([trade(1, 25)]), [bar(20)]])
    bars = [event for event in on(broker, BarClosed) if isinstance(event, BarClosed)]
    assert [event.time_ns for event in bars] == [10, 20]
    moments = [event.time_ns for event in on(broker, BarClosed) if isinstance(event, Progress)]
    assert moments
    assert set(moments) <= {10, 20}


async def test_quotes_that_nobody_waits_for_travel_with_the_tape() -> None:
    broker = await published([[bar(10)], Tape([quote(11)])])
    assert on(broker, QuoteChanged) == [quote(11)]


async def test_quotes_that_execution_waits_for_do_not_stand_on_the_tape() -> None:
    broker = await published([[bar(10)], Tape([quote(11)])], quotes=True)
    assert [type(event) for event in on(broker, QuoteChanged)] == [Progress] * COUNT


class Copy:
    """One of several copies of ingest, each with a connection of its own to the same venue."""

    def __init__(self, broker: Broker, clock: ManualClock) -> None:
        self.heard: asyncio.Queue[Step | Tape | None] = asyncio.Queue()
        self.began_after: list[int | None] = []
        self.began = asyncio.Event()
        self.source = source = Source(
            MemoryLog(broker), RuntimeSettings(), clock, meter("ingest"), live=self._steps
        )
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(source.run(self._stop))

    async def _steps(self, after_ns: int | None) -> AsyncGenerator[Step | Tape, None]:
        self.began_after.append(after_ns)
        self.began.set()
        while (step := await self.heard.get()) is not None:
            yield step
            self.heard.task_done()

    async def kill(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def end(self) -> None:
        self._stop.set()
        await self._task


@asynccontextmanager
async def two_copies(broker: Broker) -> AsyncIterator[tuple[Copy, Copy, ManualClock]]:
    clock = ManualClock(0)
    first, second = Copy(broker, clock), Copy(broker, clock)
    while not (first.source.ready and second.source.ready):
        await broker.arrival(0.01)
    try:
        yield first, second, clock
    finally:
        for copy in (first, second):
            await copy.kill()


NAMES = tuple(f"test:{letter}" for letter in "abcdefgh")
"""Enough for every partition."""


def moment(number: int) -> list[Step | Tape]:
    """A bar of every instrument, and a trade of each after it."""
    bars = [bar(10 * number, name.removeprefix("test:")) for name in NAMES]
    return [bars, Tape(trade(number, 10 * number + 1, name) for name in NAMES)]


async def hear(copy: Copy, *numbers: int) -> None:
    for number in numbers:
        for said in moment(number):
            copy.heard.put_nowait(said)
    async with asyncio.timeout(10):
        await copy.heard.join()


def assert_whole(broker: Broker, count: int) -> None:
    bars = [event for event in on(broker, BarClosed) if isinstance(event, BarClosed)]
    assert {(e.instrument, e.time_ns) for e in bars} == {
        (name, 10 * number) for name in NAMES for number in range(1, count + 1)
    }
    trades = [event for event in on(broker, TradePrinted) if isinstance(event, TradePrinted)]
    said = [(e.instrument, int(e.trade_id)) for e in trades]
    assert sorted(said) == [(name, n) for name in NAMES for n in range(1, count + 1)]


@pytest.mark.parametrize("dies", [0, 1])
async def test_whichever_of_two_copies_dies_the_other_says_what_it_did_not(dies: int) -> None:
    broker = Broker({topic.name: COUNT for topic in TOPICS})
    async with two_copies(broker) as copies:
        dead, alive = (copies[0], copies[1]) if dies == 0 else (copies[1], copies[0])
        await hear(dead, 1, 2)
        # The other one has heard more: nobody said moment 3 for the dead copy's partitions.
        await hear(alive, 1, 2, 3)
        await dead.kill()
        await hear(alive, 4)
        assert_whole(broker, 4)
        assert len(alive.began_after) == 1, "its connection was not given up"


async def test_a_slower_copy_that_takes_over_repeats_no_trade_and_loses_none() -> None:
    broker = Broker({topic.name: COUNT for topic in TOPICS})
    async with two_copies(broker) as (dead, alive, _):
        await hear(dead, 1, 2, 3)
        await hear(alive, 1)
        await dead.kill()
        await hear(alive, 2, 3, 4)
        bars = [event for event in on(broker, BarClosed) if isinstance(event, BarClosed)]
        assert {event.time_ns for event in bars} == {10, 20, 30, 40}
        said = [
            (e.key, e.trade_id) for e in on(broker, TradePrinted) if isinstance(e, TradePrinted)
        ]
        assert sorted(said) == [(name, str(n)) for name in NAMES for n in (1, 2, 3, 4)]


async def test_what_is_kept_for_a_hand_over_is_forgotten_after_the_configured_time() -> None:
    broker = Broker({topic.name: COUNT for topic in TOPICS})
    async with two_copies(broker) as (dead, alive, clock):
        await hear(dead, 1)
        await hear(alive, 1, 2)
        clock.advance(RuntimeSettings().handover + 1)
        await hear(alive, 3)
        await dead.kill()
        await hear(alive, 4)
        bars = [event for event in on(broker, BarClosed) if isinstance(event, BarClosed)]
        lost = {(e.instrument) for e in bars if e.time_ns == 20}
        assert 0 < len(lost) < len(NAMES)


async def test_a_copy_begins_after_the_earliest_moment_that_any_partition_lacks() -> None:
    broker = Broker({topic.name: COUNT for topic in TOPICS})
    only = Copy(broker, ManualClock(0))
    await only.began.wait()
    await hear(only, 1, 2)
    await only.end()
    again = Copy(broker, ManualClock(0))
    await again.began.wait()
    assert (only.began_after, again.began_after) == ([None], [20])
    await again.end()


async def test_a_promise_is_told_to_the_readers_of_every_partition() -> None:
    broker = await published([[bar(10)], Quiet.until(15), [bar(20)]])
    name = TOPIC_OF[BarClosed].name
    for number in range(COUNT):
        said = [read_event(record) for record in broker.records[Partition(name, number)]]
        assert [event.time_ns for event in said] == [10, 15, 20]
        assert isinstance(said[1], Progress)


async def test_who_takes_over_from_a_copy_that_promised_says_what_comes_after_it() -> None:
    broker = Broker({topic.name: COUNT for topic in TOPICS})
    async with two_copies(broker) as (dead, alive, _):
        await hear(dead, 1)
        await hear(alive, 1)
        dead.heard.put_nowait(Quiet.until(17))
        await hear(dead)
        await dead.kill()
        alive.heard.put_nowait(Quiet.until(15))
        await hear(alive, 2)
        assert_whole(broker, 2)


async def test_a_copy_that_starts_again_begins_after_its_promise() -> None:
    broker = Broker({topic.name: COUNT for topic in TOPICS})
    only = Copy(broker, ManualClock(0))
    await only.began.wait()
    await hear(only, 1)
    only.heard.put_nowait(Quiet.until(15))
    await hear(only)
    await only.end()
    again = Copy(broker, ManualClock(0))
    await again.began.wait()
    assert again.began_after == [15]
    await hear(again, 2)
    assert_whole(broker, 2)
    await again.end()
