"""An order is placed once or not at all, whatever fails between us and the venue."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from goalkick.common.events.base import Side
from goalkick.common.events.order import (
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    OrderUnknown,
)
from goalkick.venue.engine.model import Kind, NewOrder
from goalkick.venue.engine.model import Side as VenueSide
from goalkick.venue.presets import preset
from goalkick.venue.server import VenueServer
from tests.conformance.conftest import quiet_settings
from tests.faults.desk import Desk, assert_true_to_the_ledger

pytestmark = pytest.mark.slow

FAR = Decimal(50_000)
"""A price that nobody sells at."""


@pytest.fixture
async def server() -> AsyncIterator[VenueServer]:
    async with VenueServer(quiet_settings()) as running:
        yield running


def arm(server: VenueServer, name: str) -> None:
    for fault in preset(name).faults:
        server.faults.arm(fault)


async def test_buys_sells_and_cancels(server: VenueServer) -> None:
    async with Desk(server) as desk:
        desk.order("0.01")
        await desk.until(OrderFilled)
        resting = desk.order("0.01", price=FAR)
        await desk.until(OrderAccepted, since=4)
        desk.cancel(resting)
        await desk.until(OrderCancelled)
        desk.order("0.00999", side=Side.SELL)
        await desk.settled()
        assert_true_to_the_ledger(desk, server)


async def test_a_refused_order_is_rejected_with_the_venues_words(server: VenueServer) -> None:
    async with Desk(server) as desk:
        desk.order("0.000001")
        await desk.settled()
        (rejected,) = [event for event in desk.reports if isinstance(event, OrderRejected)]
        assert "LOT_SIZE" in rejected.reason
        assert_true_to_the_ledger(desk, server)


LOST = ("F3", "F4", "F4-slow", "F4-5xx", "F6", "F7", "F8", "F19", "F19-list", "F19-event", "F22")


@pytest.mark.parametrize("name", LOST)
async def test_a_market_order_under_fault_is_filled_once(server: VenueServer, name: str) -> None:
    async with Desk(server) as desk:
        arm(server, name)
        desk.order("0.01")
        await desk.settled()
        arm(server, name)
        desk.order("0.005", side=Side.SELL)
        await desk.settled()
        assert_true_to_the_ledger(desk, server)
        assert sum(isinstance(event, OrderFilled) for event in desk.reports) == 2


@pytest.mark.parametrize("name", ["F12", "F12-502", "F12-503", "F12-html", "F12-text", "F14"])
async def test_an_order_that_never_arrived_ends_as_never_sent(
    server: VenueServer, name: str
) -> None:
    async with Desk(server) as desk:
        arm(server, name)
        desk.order("0.01")
        await desk.until(OrderUnknown)
        server.faults.clear()
        await desk.settled()
        assert isinstance(desk.reports[-1], OrderRejected)
        assert server.exchange.ledger().accounts["main"].orders == []
        assert_true_to_the_ledger(desk, server)


@pytest.mark.parametrize(
    "name", ["F1", "F1-close", "F2", "F14-shutdown", "F14-cut", "F18-terminate"]
)
async def test_fills_that_happen_while_the_private_stream_is_lost_are_found(
    server: VenueServer, name: str
) -> None:
    async with Desk(server) as desk:
        best = server.exchange.depth("BTC/USDT", 1).asks[0][0]
        price = best - Decimal("0.01")
        desk.order("0.01", price=price)
        await desk.until(OrderAccepted)
        arm(server, name)
        server.exchange.place(
            "other",
            NewOrder(
                instrument="BTC/USDT",
                side=VenueSide.SELL,
                kind=Kind.LIMIT,
                quantity=Decimal("0.01"),
                price=price,
            ),
        )
        await desk.settled()
        assert_true_to_the_ledger(desk, server)


async def test_a_cancel_that_crosses_with_a_fill_is_a_fill(server: VenueServer) -> None:
    async with Desk(server) as desk:
        price = server.exchange.depth("BTC/USDT", 1).asks[0][0] - Decimal("0.01")
        order = desk.order("0.01", price=price)
        await desk.until(OrderAccepted)
        arm(server, "F8")
        arm(server, "F20")
        desk.cancel(order)
        server.exchange.place(
            "other",
            NewOrder(
                instrument="BTC/USDT",
                side=VenueSide.SELL,
                kind=Kind.LIMIT,
                quantity=Decimal("0.01"),
                price=price,
            ),
        )
        await desk.settled()
        assert any(isinstance(event, OrderFilled) for event in desk.reports)
        assert_true_to_the_ledger(desk, server)


async def test_an_order_that_the_venue_shows_late_is_not_taken_for_never_sent(
    server: VenueServer,
) -> None:
    async with Desk(server) as desk:
        arm(server, "F4")
        arm(server, "F21")
        arm(server, "F8")
        desk.order("0.01")
        await desk.settled()
        assert not any(isinstance(event, OrderRejected) for event in desk.reports)
        assert_true_to_the_ledger(desk, server)


@pytest.mark.parametrize("point", Desk.POINTS)
@pytest.mark.parametrize("fault", ["", "F4", "F8"])
async def test_a_kill_at_any_point_neither_repeats_nor_loses_an_order(
    server: VenueServer, point: str, fault: str
) -> None:
    async with Desk(server) as desk:
        if fault:
            arm(server, fault)
        desk.kill_at = point
        desk.order("0.01")
        if point == "after send":
            await desk.until(OrderIntended)
        else:
            async with asyncio.timeout(10):
                await desk.dead.wait()
        await desk.kill()
        desk.kill_at = ""
        await desk.open()
        await desk.settled()
        assert_true_to_the_ledger(desk, server)
        # It goes on trading.
        desk.order("0.01")
        await desk.settled()
        assert_true_to_the_ledger(desk, server)
