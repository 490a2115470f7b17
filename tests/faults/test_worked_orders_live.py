"""An order that an algo works, live: the service dies in the middle, and each child is one."""

import asyncio
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from goalkick.common.config.algos import PARAMS, AlgoName
from goalkick.common.events.base import Side
from goalkick.common.events.market import InstrumentListed
from goalkick.common.events.order import (
    AlgoOrder,
    CancelRequested,
    Fill,
    OrderApproved,
    OrderFilled,
    OrderIntended,
    OrderWorked,
)
from goalkick.common.ports.log import Partition
from goalkick.common.runtime.place import Group
from goalkick.common.runtime.task import Output
from goalkick.common.topics import TOPIC_OF, partition_of
from goalkick.common.values.ids import AccountId, EventId, StrategyId, client_order_id, derive_id
from goalkick.common.values.money import ZERO
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.venue.presets import preset
from goalkick.venue.server import VenueServer
from tests.conformance.conftest import quiet_settings
from tests.conformance.listed import rules_on
from tests.faults.desk import BTC
from tests.faults.test_execution_service import World

pytestmark = pytest.mark.slow

D = Decimal
QUANTITY = D("0.03")
ORDER = EventId(derive_id("worked", "order"))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with VenueServer(quiet_settings()) as server:
        made = World(server)
        list_rules(made)
        yield made
        await made.end()


def list_rules(world: World) -> None:
    """Ingest says the instrument's rules."""
    topic = TOPIC_OF[InstrumentListed]
    place = Partition(topic.name, partition_of(BTC, topic.partitions))
    output = Output(topic, place, "ingest")
    rules = rules_on(world.server, BTC)
    output.pending.append((InstrumentListed(time_ns=1, instrument=BTC, rules=rules), b""))
    for message in output.close(Group(1, 0)):
        world.broker.append(message)


def approve(world: World, algo: AlgoName, seconds: int, **params: Any) -> None:
    now_ns = time.time_ns()
    world.decide(
        OrderApproved(
            time_ns=now_ns,
            account=AccountId("main"),
            order=ORDER,
            cause=ORDER,
            client_order_id=client_order_id(ORDER),
            strategy=StrategyId("s"),
            instrument=BTC,
            side=Side.BUY,
            quantity=QUANTITY,
            algo=AlgoOrder(
                name=algo,
                params=PARAMS[algo].model_validate(params).model_dump_json(),
                arrival_price=D(60_000),
                end_ns=now_ns + seconds * NS_PER_SECOND,
            ),
        )
    )


def assert_ledger_agrees(world: World) -> None:
    """The exchange has what was told, in orders that were placed once each."""
    assert len(set(world.orders())) == len(world.orders())
    fills = world.server.exchange.ledger().accounts["main"].fills
    told = {e.trade_id: e for e in world.reports() if isinstance(e, Fill)}
    assert len(told) == len(fills)
    for side in Side:
        there = sum((f.quantity for f in fills if f.side.value == side.value), ZERO)
        here = sum((e.quantity for e in told.values() if e.side is side), ZERO)
        assert there == here <= QUANTITY
    intended = {e.client_order_id for e in world.reports() if isinstance(e, OrderIntended)}
    assert set(world.orders()) <= intended
    assert {e.parent for e in told.values()} == {ORDER}


@pytest.mark.parametrize("fault", ["", "F4", "F8"])
async def test_a_schedule_goes_on_after_kills_and_trades_no_more_than_approved(
    world: World, fault: str
) -> None:
    copy = await world.copy()
    await copy.ready()
    approve(world, "twap", 6, slices=3, jitter=0, finish="market")
    await world.until(OrderFilled, 1)
    await copy.kill()
    for each in preset(fault).faults if fault else ():
        world.server.faults.arm(each)
    again = await world.copy()
    await again.ready()
    await world.until(OrderFilled, 2)
    await again.kill()
    last = await world.copy()
    await last.ready()
    await world.until(OrderWorked, 1)
    assert_ledger_agrees(world)
    (end,) = {e.id: e for e in world.reports() if isinstance(e, OrderWorked)}.values()
    assert (end.filled, end.leftover) == (QUANTITY, ZERO)
    fills = world.server.exchange.ledger().accounts["main"].fills
    cost = sum((f.quantity * (f.price - 60_000) for f in fills), ZERO)
    assert end.execution_cost == end.shortfall == cost


async def test_a_bracket_keeps_its_stop_through_a_kill_and_leaves_it_when_it_is_cancelled(
    world: World,
) -> None:
    copy = await world.copy()
    await copy.ready()
    approve(world, "bracket", 30, stop_price=59_000, take_profit=61_000)
    await world.until(OrderIntended, 2)
    await copy.kill()
    again = await world.copy()
    await again.ready()
    async with asyncio.timeout(20):
        while len(world.server.exchange.open_orders("main")) != 1:
            await world.broker.arrival(0.05)
    world.decide(
        CancelRequested(
            time_ns=time.time_ns(), account=AccountId("main"), order=ORDER, cause=ORDER, reason=""
        )
    )
    await world.until(OrderWorked, 1)
    assert_ledger_agrees(world)
    assert world.server.exchange.open_orders("main") == []
    (end,) = {e.id: e for e in world.reports() if isinstance(e, OrderWorked)}.values()
    assert end.unprotected > QUANTITY * D("0.99")
