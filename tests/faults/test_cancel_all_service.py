"""Live execution as a service: what it takes back at a stop, in a halt, and without contact."""

import asyncio
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from goalkick.common.events.control import TradingHalted
from goalkick.common.events.order import (
    OrderAccepted,
    OrderCancelled,
    OrderKind,
    OrderRejected,
)
from goalkick.venue.faults import Action, Fault, Point
from goalkick.venue.presets import CANCEL_ORDER
from goalkick.venue.server import VenueServer
from tests.conformance.conftest import quiet_settings
from tests.faults.desk import ACCOUNT
from tests.faults.test_execution_service import Copy, World

pytestmark = pytest.mark.slow

RESTING: dict[str, Any] = {"kind": OrderKind.LIMIT, "limit_price": Decimal(59_000)}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with VenueServer(quiet_settings()) as server:
        made = World(server)
        yield made
        await made.end()


async def two_orders(world: World, **settings: Any) -> Copy:
    """A copy with two orders in the venue's book; one of them only takes risk away."""
    copy = await world.copy(**settings)
    await copy.ready()
    world.approve(**RESTING)
    world.approve(**RESTING, reduce_only=True)
    await world.until(OrderAccepted, 2)
    return copy


def open_orders(world: World) -> int:
    return len(world.server.exchange.open_orders(ACCOUNT))


@pytest.mark.parametrize(("which", "stay"), [("none", 2), ("opening", 1), ("all", 0)])
async def test_a_stop_takes_back_the_chosen_orders_and_reports_their_ends(
    world: World, which: str, stay: int
) -> None:
    copy = await two_orders(world, cancel_all={"on_stop": which})
    await copy.end()
    assert open_orders(world) == stay
    ends = [event for event in world.reports() if isinstance(event, OrderCancelled)]
    assert len(ends) == 2 - stay


async def test_what_is_decided_during_a_stop_waits_for_who_comes_next(world: World) -> None:
    copy = await two_orders(world)
    ending = asyncio.ensure_future(copy.end())
    await asyncio.sleep(0)
    world.approve(**RESTING)
    await ending
    assert open_orders(world) == 1
    again = await world.copy()
    await again.ready()
    await world.until(OrderAccepted, 3)


async def test_a_stop_waits_for_a_venue_that_does_not_answer_no_longer_than_was_said(
    world: World,
) -> None:
    copy = await two_orders(world, cancel_all={"grace": "600ms"})
    silent = Fault(
        name="silent",
        point=Point.REQUEST,
        action=Action.ANSWER,
        where=CANCEL_ORDER,
        count=None,
        params={"status": 502},
    )
    world.server.faults.arm(silent)
    began_s = time.monotonic()
    await copy.end()
    assert 0.6 <= time.monotonic() - began_s < 3
    assert open_orders(world) == 2
    world.server.faults.clear()
    again = await world.copy()
    await again.ready()
    await world.until(OrderCancelled, 1)
    assert open_orders(world) == 1, "whoever comes next goes on with it"


async def test_a_halt_takes_back_what_may_add_risk(world: World) -> None:
    await two_orders(world)
    world.decide(TradingHalted(time_ns=1, scope="main", issuer="risk", reason="halted by command"))
    await world.until(OrderCancelled, 1)
    assert open_orders(world) == 1


async def test_lost_contact_takes_back_what_may_add_risk_as_soon_as_the_venue_is_there(
    world: World,
) -> None:
    """The private stream is gone for good; orders can still be sent."""
    copy = await two_orders(world, cancel_all={"lost_after": "1s"})
    for fault in (
        Fault(
            name="no stream",
            point=Point.HANDSHAKE,
            action=Action.RESET,
            where="socket:*",
            count=None,
        ),
        Fault(name="cut", point=Point.NOW, action=Action.RESET, where="socket:*"),
    ):
        world.server.faults.arm(fault)
    await world.until(OrderCancelled, 1)
    assert open_orders(world) == 1
    world.approve(**RESTING)
    await world.until(OrderRejected, 1)
    assert any("the venue is not heard" in line for line in copy.worker.tasks_running())
    world.server.faults.clear()
    async with asyncio.timeout(20):
        while open_orders(world) == 1:
            world.approve(**RESTING)
            await asyncio.sleep(0.2)
