"""What the adapters of both venues promise about time, and what their accounts' owner is told."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from goalkick.common.adapters.state.memory import MemoryStateStore
from goalkick.common.events.base import Side
from goalkick.common.events.order import ExternalFillSeen, ExternalOrderSeen, OrderKind
from goalkick.common.events.venue import (
    PlaceOrder,
    QueryAccount,
    QueryOrder,
    VenueEvent,
    VenueExternalOrder,
    VenueExternalTrade,
    VenueNotFound,
    VenueUnreachable,
)
from goalkick.common.values.ids import ClientOrderId, InstrumentId
from goalkick.common.values.time import NS_PER_DAY, NS_PER_SECOND
from goalkick.execution.venues.ccxt import CcxtVenue
from goalkick.venue.engine.model import Kind, NewOrder
from goalkick.venue.engine.model import Side as VenueSide
from goalkick.venue.faults import Action, Fault, Point
from goalkick.venue.presets import PLACE_ORDER, USER, preset
from goalkick.venue.server import VenueServer
from tests.faults.desk import ACCOUNT, PAIR, Desk, dialect_of, quick_settings

HANDLE = ClientOrderId("gk-" + "1" * 29)
NEAR = Decimal(60_000)
"""Between the best prices of the still book: an order waits there until somebody comes."""
WITHIN_S = 20.0
BOTH = pytest.mark.parametrize("name", ["binance", "bybit"])


@asynccontextmanager
async def adapter(venue: VenueServer, name: str) -> AsyncIterator[CcxtVenue]:
    """A started adapter."""
    settings = quick_settings(name, venue.urls[name]).venue
    made = CcxtVenue(settings, dialect_of(name), ACCOUNT)
    try:
        await made.start()
        yield made
    finally:
        await made.close()


async def until(venue: CcxtVenue, kind: type[VenueEvent]) -> list[VenueEvent]:
    """Hears on until something of a kind was said."""
    heard: list[VenueEvent] = []
    async with asyncio.timeout(WITHIN_S):
        while not any(isinstance(event, kind) for event in heard):
            heard += await venue.answers()
    return heard


def by_hand(venue: VenueServer, account: str, side: VenueSide) -> None:
    """A limit order that no adapter has placed."""
    venue.context.advance()
    order = NewOrder(
        instrument=PAIR,
        side=side,
        kind=Kind.LIMIT,
        quantity=Decimal("0.01"),
        price=NEAR,
        client_order_id=f"web-{account}",
    )
    venue.exchange.place(account, order)


def deafen(venue: VenueServer) -> None:
    """Private streams stay up and say nothing."""
    silence = Fault(name="silence", point=Point.FRAME, where=USER, action=Action.DROP, count=None)
    venue.faults.arm(silence)


@BOTH
async def test_an_order_is_not_found_only_when_no_request_can_arrive_any_more(
    venue: VenueServer, name: str
) -> None:
    settings = quick_settings(name, venue.urls[name]).venue
    window_ns = settings.recv_window + settings.engine_timeout + settings.margin
    instrument = InstrumentId(f"{name}:{PAIR}")
    async with adapter(venue, name) as desk:
        venue.faults.arm(preset("F12-502", where=PLACE_ORDER, count=1).faults[0])
        desk.carry_out(
            PlaceOrder(
                time_ns=1,
                client_order_id=HANDLE,
                instrument=instrument,
                side=Side.BUY,
                quantity=Decimal("0.01"),
                kind=OrderKind.MARKET,
            )
        )
        await until(desk, VenueUnreachable)
        unknown_s = time.monotonic()
        for _ in range(3):  # impatience changes nothing
            desk.carry_out(QueryOrder(time_ns=1, client_order_id=HANDLE, instrument=instrument))
        await until(desk, VenueNotFound)
        # Somebody who waits hears of it a little later than it was decided.
        assert time.monotonic() - unknown_s > window_ns / NS_PER_SECOND - 0.2
        assert venue.exchange.orders(ACCOUNT, PAIR) == []


@BOTH
async def test_what_others_traded_unheard_is_told_on_an_account_that_was_long_quiet(
    venue: VenueServer, name: str
) -> None:
    """Bybit's answers end seven days after the time that trades are asked for from."""
    async with adapter(venue, name) as desk:
        by_hand(venue, ACCOUNT, VenueSide.BUY)
        await until(desk, VenueExternalOrder)
        deafen(venue)
        venue.clock.step(8 * NS_PER_DAY)
        by_hand(venue, "other", VenueSide.SELL)
        async with asyncio.timeout(WITHIN_S):
            trade = await _look_until_told(desk)
        assert (trade.side, trade.quantity, trade.price) == (Side.BUY, Decimal("0.01"), NEAR)


async def _look_until_told(desk: CcxtVenue) -> VenueExternalTrade:
    while True:
        for event in await desk.answers():
            if isinstance(event, VenueExternalTrade):
                return event
            desk.carry_out(QueryAccount(time_ns=1))


@BOTH
async def test_the_owner_is_told_once_of_what_is_not_ours_and_it_is_left_alone(
    venue: VenueServer, name: str
) -> None:
    settings, store = quick_settings(name, venue.urls[name]), MemoryStateStore()
    desk = Desk(settings, store)
    await _live(desk, lambda: by_hand(venue, ACCOUNT, VenueSide.BUY), ExternalOrderSeen)
    (order,) = venue.exchange.open_orders(ACCOUNT)
    again = Desk(settings, store)
    await _live(again, lambda: by_hand(venue, "other", VenueSide.SELL), ExternalFillSeen)
    seen = [r for r in (*desk.reports, *again.reports) if isinstance(r, ExternalOrderSeen)]
    assert seen
    # What was saved last is said again after a start, as it was: the same event.
    assert all(each == seen[0] for each in seen)
    (fill,) = [r for r in again.reports if isinstance(r, ExternalFillSeen)]
    assert (fill.venue_order_id, fill.quantity) == (str(order.order_id), Decimal("0.01"))
    assert again.ledger.positions == {}
    assert [each.client_order_id for each in venue.exchange.orders(ACCOUNT, PAIR)] == [
        order.client_order_id
    ]


async def _live(desk: Desk, happen: Callable[[], None], kind: type) -> None:
    """One life of a desk: something happens, and it lasts until a kind of report was made."""
    await desk.open()
    hearing = asyncio.ensure_future(desk.listen())
    try:
        happen()
        async with asyncio.timeout(WITHIN_S):
            while not any(isinstance(report, kind) for report in desk.reports):
                desk.changed.clear()
                await desk.changed.wait()
    finally:
        hearing.cancel()
        await asyncio.wait([hearing])
        await desk.close()
