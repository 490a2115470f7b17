"""The venue's dead-man timer as execution keeps it: our orders do not outlive us by long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from goalkick.common.core.errors import SettingsError
from goalkick.common.events.base import Side
from goalkick.common.events.order import OrderKind
from goalkick.common.events.venue import PlaceOrder, VenueAccepted, VenueClosed
from goalkick.common.values.ids import ClientOrderId, InstrumentId
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.execution.venues.bybit import BybitDialect
from goalkick.execution.venues.ccxt import CcxtVenue
from goalkick.venue.faults import Action, Fault, Point
from goalkick.venue.server import VenueServer
from tests.conformance.conftest import quiet_settings
from tests.faults.desk import ACCOUNT, PAIR, quick_settings

WINDOW_S = 30
HANDLE = ClientOrderId("gk-" + "2" * 29)
BTC = InstrumentId(f"bybit:{PAIR}")


@asynccontextmanager
async def trading(venue: VenueServer, **changes: Any) -> AsyncIterator[CcxtVenue]:
    """An adapter with an order that waits in the book."""
    # The venue's clock is stepped, and what was signed before is to be good all the same.
    settings = quick_settings("bybit", venue.bybit_url, recv_window="60s", **changes).venue
    made = CcxtVenue(settings, BybitDialect(), ACCOUNT)
    try:
        await made.start()
        made.carry_out(
            PlaceOrder(
                time_ns=1,
                client_order_id=HANDLE,
                instrument=BTC,
                side=Side.BUY,
                quantity=Decimal("0.01"),
                kind=OrderKind.LIMIT,
                limit_price=Decimal(60_000),
            )
        )
        async with asyncio.timeout(10):
            while not any(isinstance(e, VenueAccepted) for e in await made.answers()):
                pass
        yield made
    finally:
        await made.close()


def watched(venue: VenueServer) -> Any:
    """What the venue's timer knows of the account."""
    return venue.context.shown["dead_man"]().get(ACCOUNT)


async def until_gone(venue: VenueServer) -> None:
    async with asyncio.timeout(5):
        while watched(venue)["gone_ns"] is None:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def until_empty(venue: VenueServer) -> None:
    async with asyncio.timeout(5):
        while venue.exchange.open_orders(ACCOUNT):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_orders_end_when_we_are_gone_for_longer_than_was_agreed(venue: VenueServer) -> None:
    async with trading(venue, dead_man=f"{WINDOW_S}s"):
        assert watched(venue)["window_ns"] == WINDOW_S * NS_PER_SECOND
    await until_gone(venue)
    assert venue.exchange.open_orders(ACCOUNT)
    venue.clock.step((WINDOW_S + 1) * NS_PER_SECOND)
    await until_empty(venue)


async def test_pings_of_the_private_stream_keep_the_orders_open() -> None:
    # As if time were fast: the venue misses whoever says nothing for a second.
    settings = quiet_settings(bybit={"heartbeat": "1s"})
    async with (
        VenueServer(settings) as venue,
        trading(venue, dead_man="3s", keep_alive="200ms"),
    ):
        # Each second has no word but pings; by the fifth the window would be over.
        for _ in range(10):
            await asyncio.sleep(0.5)
            assert watched(venue)["gone_ns"] is None
        assert venue.exchange.open_orders(ACCOUNT)


async def test_a_stream_that_is_cut_is_missed_until_it_is_up_again_and_the_end_is_heard(
    venue: VenueServer,
) -> None:
    async with trading(venue, dead_man=f"{WINDOW_S}s") as desk:
        before = watched(venue)["connections"]
        rebuilt = desk.stream.rebuilt
        venue.faults.arm(
            Fault(name="cut", point=Point.NOW, action=Action.RESET, where="socket:user")
        )
        async with asyncio.timeout(10):
            while desk.stream.rebuilt == rebuilt or not desk.connected:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert watched(venue) == {
            "window_ns": WINDOW_S * NS_PER_SECOND,
            "connections": before,
            "gone_ns": None,
        }
        venue.clock.step((WINDOW_S - 1) * NS_PER_SECOND)
        assert venue.exchange.open_orders(ACCOUNT)
        venue.context.advance()
        venue.exchange.withdraw(ACCOUNT)
        async with asyncio.timeout(10):
            ends: list[VenueClosed] = []
            while not ends:
                ends = [e for e in await desk.answers() if isinstance(e, VenueClosed)]
        assert [(e.client_order_id, e.cancelled) for e in ends] == [(HANDLE, False)]


async def test_an_account_without_the_timer_is_told_at_the_start() -> None:
    class Client:
        async def private_post_v5_order_disconnected_cancel_all(self, asked: Any) -> Any:
            return {"result": {}}

        async def private_get_v5_account_query_dcp_info(self) -> Any:
            return {"result": {"dcpInfos": []}}

    with pytest.raises(SettingsError, match="disconnection protection"):
        await BybitDialect().guard(Client(), 10)


async def test_without_the_setting_nobody_is_missed(venue: VenueServer) -> None:
    async with trading(venue):
        assert watched(venue) is None
