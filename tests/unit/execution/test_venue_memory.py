"""The fake venue as a test scripts it, with execution's core on it; background work that breaks."""

import asyncio
from decimal import Decimal

import pytest

from goalkick.common.adapters.venue.memory import MemoryAccount
from goalkick.common.events.base import Side
from goalkick.common.events.order import (
    OrderApproved,
    OrderFilled,
    OrderRejected,
    OrderUnknown,
)
from goalkick.common.events.venue import QueryOrder, VenueNotFound, VenueTraded, VenueUnreachable
from goalkick.common.testing.contracts.venue_desk import QUANTITY, at_work
from goalkick.common.values.ids import AccountId, EventId, StrategyId, client_order_id
from goalkick.execution.live import LiveExecution
from goalkick.execution.settings import ExecutionSettings
from goalkick.execution.venues.tasks import Tasks


async def test_a_placement_on_its_way_is_not_found_only_when_it_cannot_arrive_any_more() -> None:
    exchange = MemoryAccount()
    exchange.holds_requests = True
    async with at_work(exchange) as desk:
        order = desk.place("one")
        await desk.ear.until_told(VenueUnreachable, order)
        desk.do(QueryOrder, "one")
        other = desk.do(QueryOrder, "never")
        await desk.ear.until_told(VenueNotFound, other)
        assert not desk.ear.of(VenueNotFound, order), "it may still arrive"
        exchange.drop()
        await desk.ear.until_told(VenueNotFound, order)


async def test_a_placement_that_arrives_late_is_found() -> None:
    exchange = MemoryAccount()
    exchange.holds_requests = True
    async with at_work(exchange) as desk:
        order = desk.place("one")
        desk.do(QueryOrder, "one")
        await desk.ear.until_told(VenueUnreachable, order)
        exchange.deliver()
        await desk.filled(order)
        assert not desk.ear.of(VenueNotFound)


async def test_a_fee_in_a_third_currency_leaves_the_other_two_alone() -> None:
    exchange = MemoryAccount()
    exchange.fee_currency = "BNB"
    async with at_work(exchange) as desk:
        order = desk.place("one")
        await desk.filled(order)
        (trade,) = desk.ear.of(VenueTraded, order)[:1]
        assert (trade.fee_currency, trade.fee) == ("BNB", QUANTITY * 60_006 / 1000)
        held = exchange.holdings()
        assert held["BTC"] == Decimal(10) + QUANTITY
        assert held["USDT"] == Decimal(1_000_000) - QUANTITY * 60_006
        assert held["BNB"] == Decimal(100) - trade.fee


async def test_what_a_silent_stream_keeps_back_is_told_when_it_speaks_again() -> None:
    exchange = MemoryAccount()
    exchange.compares = False
    async with at_work(exchange) as desk:
        exchange.trouble("stream cut")
        exchange.place_by_hand(Side.BUY, QUANTITY, Decimal(60_006))
        hearing = asyncio.ensure_future(desk.venue.answers())
        await asyncio.sleep(0)
        assert not hearing.done()
        exchange.mend()
        assert len(await asyncio.wait_for(hearing, 5)) == 2


async def _settle(core: LiveExecution, exchange: MemoryAccount) -> list[type]:
    """Carries commands and answers to and fro; returns the kinds of what was reported."""
    venue = exchange.adapter()
    await venue.start()
    order = EventId("a" * 32)
    approved = OrderApproved(
        time_ns=5,
        account=AccountId("main"),
        order=order,
        cause=EventId("c"),
        client_order_id=client_order_id(order),
        strategy=StrategyId("s"),
        instrument=exchange.instrument,
        side=Side.BUY,
        quantity=QUANTITY,
    )
    core.open(await venue.holdings())
    told = [type(event) for event in core.handlers[OrderApproved](approved)]
    async with asyncio.timeout(5):
        while core.execution.working:
            for command in core.commands():
                venue.carry_out(command)
            told += [type(event) for event in core.answer(await venue.answers(), 9)]
    await venue.close()
    return told


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("reply lost", [OrderUnknown, OrderFilled]),
        ("request lost", [OrderUnknown, OrderRejected]),
    ],
)
async def test_the_core_and_the_venue_end_every_doubt(what: str, told: list[type]) -> None:
    exchange = MemoryAccount()
    core = LiveExecution(ExecutionSettings())
    exchange.trouble(what)
    found = await _settle(core, exchange)
    assert [kind for kind in found if kind in (OrderUnknown, OrderFilled, OrderRejected)] == told
    assert core.execution.ledger.cash == exchange.holdings()["USDT"]


async def test_background_work_that_breaks_is_counted_and_somebody_is_told() -> None:
    tasks, broken = Tasks("binance/main"), asyncio.Event()

    async def work() -> None:
        raise ZeroDivisionError

    tasks.begin("work", work(), broken.set)
    await asyncio.wait_for(broken.wait(), 5)
    assert tasks.failures == 1
    await tasks.close()


async def test_background_work_that_is_ended_is_not_broken() -> None:
    tasks, broken = Tasks("binance/main"), asyncio.Event()

    async def work() -> None:
        await asyncio.Event().wait()

    tasks.begin("work", work(), broken.set)
    await tasks.close()
    assert (tasks.failures, broken.is_set()) == (0, False)
