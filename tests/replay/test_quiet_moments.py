"""Live prices: what a venue reports between two bars reaches risk at once, not with the next bar.

Services over a log in memory; the feed and live execution are played by the test, at the times of
the machine's clock, as they are in a cluster.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from decimal import Decimal

import pytest

from goalkick.common.adapters.clock.system import SystemClock
from goalkick.common.adapters.log.memory import Broker
from goalkick.common.events.base import Event
from goalkick.common.events.market import BarClosed
from goalkick.common.events.order import OrderFilled, PositionChanged
from goalkick.common.ports.feed import Quiet, Step, Tape
from goalkick.common.ports.log import Partition
from goalkick.common.runtime.place import Group
from goalkick.common.runtime.settings import RuntimeSettings
from goalkick.common.runtime.task import Output
from goalkick.common.topics import TOPIC_OF, partition_of
from goalkick.common.values.ids import AccountId, InstrumentId, derive_id
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import NS_PER_MINUTE
from goalkick.ingest.feeds.live_bars import LiveBars
from goalkick.risk.core import RiskCore
from tests.replay.cluster import Live, Member, new_broker, services

BTC = InstrumentId("x:BTC/USDT")
RULES = {BTC: Instrument(id=BTC, base="BTC", quote="USDT")}
WALL = RuntimeSettings(
    clock="wall", stall_after="30s", forecasts=False, poll_for="20ms", snapshot_every="1s"
)
"""Whoever stops waiting here does so long after the test has failed."""
WITHIN_S = 5.0
"""On a busy machine; what is measured is printed."""


def price(close_ns: int) -> BarClosed:
    one = Decimal(1)
    return BarClosed(
        time_ns=close_ns,
        instrument=BTC,
        interval_ns=NS_PER_MINUTE,
        open=one,
        high=one,
        low=one,
        close=one,
        volume=one,
    )


class Market(Live):
    """A bar that closed just now, and then promises, if it makes any, until it is cancelled."""

    def __init__(self, every_s: float | None) -> None:
        self._every_s = every_s

    async def steps(self, after_ns: int | None = None) -> AsyncGenerator[Step | Tape, None]:
        now_ns = time.time_ns()
        close_ns = now_ns - now_ns % NS_PER_MINUTE
        bars = LiveBars(
            RULES,
            NS_PER_MINUTE,
            3 * NS_PER_MINUTE,
            begins_ns=close_ns - NS_PER_MINUTE,
            told_ns=None,
            listing_ns=close_ns - NS_PER_MINUTE,
            now_ns=now_ns,
        )
        yield bars.listing()
        bars.add(BTC, [price(close_ns)])
        for step in bars.release(now_ns):
            yield step
        while True:
            await asyncio.sleep(self._every_s or 3600)
            # In the last moments of a minute there is nothing to promise but the next bar.
            bars.reach(BTC, time.time_ns())
            if (until_ns := bars.promise(time.time_ns())) is not None:
                yield Quiet.until(until_ns)


class Venue:
    """Live execution as far as others see it: reports at the clock's time, and signs of life."""

    def __init__(self, broker: Broker) -> None:
        topic = TOPIC_OF[OrderFilled]
        place = Partition(topic.name, partition_of("main", broker.topics[topic.name]))
        self._broker = broker
        self._output = Output(topic, place, "execution")
        self._moment = 0

    def say(self, *events: Event) -> None:
        self._moment = max(time.time_ns(), self._moment + 1)
        self._output.pending += [(event, b"") for event in events]
        group = Group(self._moment, 1)
        for message in [*self._output.close(group), *self._output.tell()]:
            self._broker.append(message)

    async def live(self) -> None:
        while True:
            self.say()
            await asyncio.sleep(0.05)

    def fill(self) -> None:
        self.say(
            PositionChanged(
                time_ns=time.time_ns(),
                account=AccountId("main"),
                cause=derive_id("fill", "test"),
                instrument=BTC,
                quantity=Decimal(3),
                cost=Decimal(3),
                realised=Decimal(0),
                fees=Decimal(0),
            )
        )


def position(risk: Member) -> Decimal:
    """What risk believes to hold."""
    for task in risk.worker.tasks.values():
        assert isinstance(task.core, RiskCore)
        book = task.core.account.books.get(BTC)
        if book is not None:
            return book.position
    return Decimal(0)


def listed(risk: Member) -> bool:
    cores = [task.core for task in risk.worker.tasks.values()]
    return any(isinstance(core, RiskCore) and core.account.books.get(BTC) for core in cores)


async def until_held(every_s: float | None, patience_s: float) -> float:
    """Seconds from a report on the log until risk has handled it."""
    broker = new_broker()
    venue = Venue(broker)
    chain = [service for service in services() if service.name != "execution"]
    members = {
        service.name: Member(broker, service, service.name, settings=WALL, clock=SystemClock())
        for service in chain
    }
    ingest = Member(broker, Market(every_s), "ingest", settings=WALL, clock=SystemClock())
    living = asyncio.create_task(venue.live())
    risk = members["risk"]
    try:
        async with asyncio.timeout(30):
            while not listed(risk):
                await broker.arrival(0.01)
        began_s = time.monotonic()
        venue.fill()
        async with asyncio.timeout(patience_s):
            while position(risk) != 3:
                await broker.arrival(0.01)
        return time.monotonic() - began_s
    finally:
        living.cancel()
        for member in (ingest, *members.values()):
            await member.kill()


@pytest.mark.slow
async def test_a_report_between_two_bars_reaches_risk_with_the_next_promise() -> None:
    seconds = await until_held(0.25, WITHIN_S)
    print(f"\nfrom the log into risk's books: {seconds:.3f} s")
    assert seconds < WITHIN_S


@pytest.mark.slow
async def test_without_promises_it_waits_for_the_next_bar_or_for_patience_to_end() -> None:
    with pytest.raises(TimeoutError):
        await until_held(None, 2.0)
