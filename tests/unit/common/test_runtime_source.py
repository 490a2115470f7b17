"""Ingest's pump and the tape: what has no moment is published, and holds up nobody."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from decimal import Decimal

from goalkick.common.adapters.log.memory import Broker, MemoryLog
from goalkick.common.events.base import Event, Side
from goalkick.common.events.control import Progress
from goalkick.common.events.market import BarClosed, QuoteChanged, TradePrinted
from goalkick.common.ports.feed import Step, Tape
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
        for step in said:
            yield step

    broker = Broker({topic.name: COUNT for topic in TOPICS})
    settings = RuntimeSettings(quotes=quotes)
    log = MemoryLog(broker)
    source = Source(log, settings, _NoClock(), meter("ingest"), live=steps)
    stop = asyncio.Event()
    async with asyncio.timeout(10):
        running = asyncio.create_task(source.run(stop))
        while not source.finished:
            await broker.arrival(0.01)
        stop.set()
        await running
    return broker


class _NoClock:
    def now_ns(self) -> int:
        raise AssertionError("a live feed has its own pace")


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
