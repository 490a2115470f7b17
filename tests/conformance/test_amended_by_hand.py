"""An order of ours that somebody changes on the venue's own pages still ends; the books agree."""

import asyncio
from decimal import Decimal

import pytest

from goalkick.common.adapters.state.memory import MemoryStateStore
from goalkick.common.events.base import Side
from goalkick.common.events.order import (
    OrderAccepted,
    OrderApproved,
    OrderExpired,
    OrderFilled,
    OrderKind,
    OrderPartiallyFilled,
)
from goalkick.common.values.ids import (
    AccountId,
    EventId,
    InstrumentId,
    StrategyId,
    client_order_id,
)
from goalkick.venue.engine.amending import Amendment
from goalkick.venue.engine.model import Kind, NewOrder
from goalkick.venue.engine.model import Side as VenueSide
from goalkick.venue.server import VenueServer
from tests.faults.desk import ACCOUNT, PAIR, Desk, quick_settings

WITHIN_S = 20.0
PRICE = Decimal(60_000)
ORDER = EventId("a" * 32)


def sell(venue: VenueServer, quantity: str, price: Decimal) -> None:
    """Somebody else sells into our order."""
    venue.context.advance()
    order = NewOrder(
        instrument=PAIR,
        side=VenueSide.SELL,
        kind=Kind.LIMIT,
        quantity=Decimal(quantity),
        price=price,
    )
    venue.exchange.place("other", order)


def amend(venue: VenueServer, change: Amendment) -> None:
    venue.context.advance()
    handle = client_order_id(ORDER)
    venue.exchange.amend(ACCOUNT, PAIR, change, client_order_id=handle)


@pytest.mark.parametrize("name", ["binance", "bybit"])
@pytest.mark.parametrize("what", ["smaller", "another price"])
async def test_it_ends_as_the_venue_has_it(venue: VenueServer, name: str, what: str) -> None:
    desk = Desk(quick_settings(name, venue.urls[name]), MemoryStateStore())
    await desk.open()
    hearing = asyncio.ensure_future(desk.listen())

    async def until(kind: type) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not any(isinstance(report, kind) for report in desk.reports):
                desk.changed.clear()
                await desk.changed.wait()

    try:
        desk.take(
            OrderApproved(
                time_ns=1,
                account=AccountId(ACCOUNT),
                order=ORDER,
                cause=ORDER,
                client_order_id=client_order_id(ORDER),
                strategy=StrategyId("s"),
                instrument=InstrumentId(f"{name}:{PAIR}"),
                side=Side.BUY,
                quantity=Decimal("0.03"),
                kind=OrderKind.LIMIT,
                limit_price=PRICE,
            )
        )
        await until(OrderAccepted)
        if what == "smaller":
            amend(venue, Amendment(quantity=Decimal("0.02")))
            sell(venue, "0.02", PRICE)
            await until(OrderExpired)
        else:
            sell(venue, "0.01", PRICE)
            await until(OrderPartiallyFilled)
            amend(venue, Amendment(price=PRICE - 3))
            sell(venue, "0.02", PRICE - 3)
            await until(OrderFilled)
    finally:
        hearing.cancel()
        await asyncio.wait([hearing])
        await desk.close()
    assert desk.working == {}
    (ours,) = venue.exchange.ledger().accounts[ACCOUNT].orders
    assert not ours.is_open
    paid = sum((f.quote_quantity for f in ours.fills), Decimal(0))
    fees = sum((f.fee for f in ours.fills if f.fee_asset == "USDT"), Decimal(0))
    assert desk.ledger.cash == Decimal(1_000_000) - paid - fees
    kept = sum(
        (f.quantity - (f.fee if f.fee_asset == "BTC" else 0) for f in ours.fills), Decimal(0)
    )
    assert desk.ledger.positions[InstrumentId(f"{name}:{PAIR}")].quantity == kept
