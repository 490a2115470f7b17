"""What an adapter knows of its orders, and what it need not tell again."""

from decimal import Decimal
from typing import Any

import pytest

from goalkick.common.events.base import Side
from goalkick.common.events.venue import (
    CancelOrder,
    QueryOrder,
    VenueAccepted,
    VenueEvent,
    VenueExternalOrder,
    VenueTraded,
    VenueUnreachable,
)
from goalkick.common.values.ids import InstrumentId
from goalkick.execution.settings import VenueSettings
from goalkick.execution.venues.binance import BinanceDialect
from goalkick.execution.venues.ccxt import CcxtVenue
from goalkick.execution.venues.orders import Orders

BTC = InstrumentId("binance:BTC/USDT")
HANDLE = "gk-1"
ABOUT: dict[str, Any] = {"time_ns": 1, "client_order_id": HANDLE, "instrument": BTC}

ACCEPTED = VenueAccepted(**ABOUT, venue_order_id="7")
LOST = VenueUnreachable(**ABOUT, reason="no answer")
TRADED = VenueTraded(
    **ABOUT,
    trade_id="1",
    venue_time_ns=1,
    side=Side.BUY,
    quantity=Decimal(1),
    price=Decimal(2),
    fee=Decimal(0),
    fee_currency="USDT",
    slippage=Decimal(0),
)


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([], False),
        ([ACCEPTED], True),
        ([TRADED], False),
        ([ACCEPTED, TRADED], True),
        ([ACCEPTED, LOST], False),
        ([LOST, ACCEPTED], True),
    ],
)
def test_an_order_counts_as_told_until_it_is_in_doubt(events: list[VenueEvent], told: bool) -> None:
    orders = Orders(1.0)
    order = orders.of(HANDLE, BTC)
    for event in events:
        orders.note(event)
    assert order.told is told


def listed(filled: int = 0) -> VenueExternalOrder:
    return VenueExternalOrder(
        time_ns=1,
        instrument=BTC,
        venue_order_id="7",
        client_order_id=HANDLE,
        side=Side.BUY,
        quantity=Decimal(5),
        filled=Decimal(filled),
        limit_price=None,
        kind="LIMIT",
    )


async def compared(venue: CcxtVenue) -> list[str]:
    """What one more list of the account's open orders makes the adapter say."""
    await venue._settle(0.0, {HANDLE: listed()})
    found = []
    while not venue._news.empty():
        found.append(type(venue._news.get_nowait()).__name__)
    return found


@pytest.mark.parametrize("kind", [QueryOrder, CancelOrder])
async def test_a_comparison_tells_of_an_open_order_once_and_after_each_question(
    kind: type[QueryOrder | CancelOrder], monkeypatch: pytest.MonkeyPatch
) -> None:
    venue = CcxtVenue(VenueSettings(), BinanceDialect(), "main")
    asked: list[str] = []
    monkeypatch.setattr(venue, "_ask", asked.append)
    monkeypatch.setattr(venue, "_cancel", asked.append)
    both = ["VenueAccepted", "VenueExternalOrder"]
    assert await compared(venue) == both
    assert await compared(venue) == []
    venue.carry_out(kind(**ABOUT))
    assert asked == [HANDLE]
    assert await compared(venue) == both
    assert await compared(venue) == []
