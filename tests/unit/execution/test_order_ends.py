"""How orders end, in whatever order the news of it comes, and however often."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import permutations
from typing import Any

import msgspec
import pytest

from goalkick.common.core.errors import InvariantError
from goalkick.common.events.order import (
    CancelRequested,
    Fill,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderPartiallyFilled,
    OrderRejected,
    OrderReport,
    OrderUnknown,
)
from goalkick.common.events.venue import CancelOrder, VenueClosed, VenueRejected
from goalkick.common.values.ids import AccountId, EventId, InstrumentId
from goalkick.execution.live import LiveExecution
from goalkick.execution.order_state import OrderStatus
from goalkick.execution.settings import VenueSettings
from goalkick.execution.venues.bybit import BybitDialect
from goalkick.execution.venues.ccxt import CcxtVenue
from goalkick.execution.venues.dialect import Found
from tests.unit.execution.test_live_execution import (
    BTC,
    HANDLE,
    ORDER,
    SETTINGS,
    about,
    accepted,
    cancelled,
    not_found,
    placed,
    traded,
    unreachable,
)

D = Decimal


def closed(reason: str, *, cancelled: bool = False) -> Any:
    return about(VenueClosed, cancelled=cancelled, reason=reason)


def at(price: str, news: Any) -> Any:
    return msgspec.structs.replace(news, price=D(price))


rejected = about(VenueRejected, reason="no")
expired = closed("the rest found nobody")
self_trade = closed("EXPIRED_IN_MATCH")
all_of_it = closed("all of it traded")

ROWS: dict[str, tuple[list[Any], list[type[OrderReport]], str, type[OrderReport]]] = {
    "expired": ([accepted, expired], [OrderAccepted, OrderExpired], "0", OrderExpired),
    "a partial fill, then expiry": (
        [accepted, traded("1", "0.4"), expired],
        [OrderAccepted, OrderPartiallyFilled, OrderExpired],
        "0.4",
        OrderExpired,
    ),
    "expiry, and news of a partial fill later": (
        [accepted, expired, traded("1", "0.4")],
        [OrderAccepted, OrderExpired, OrderPartiallyFilled],
        "0.4",
        OrderExpired,
    ),
    "cancelled": ([accepted, cancelled], [OrderAccepted, OrderCancelled], "0", OrderCancelled),
    "a cancel that lost the race against a fill": (
        [accepted, traded("1", "1"), cancelled],
        [OrderAccepted, OrderFilled],
        "1",
        OrderFilled,
    ),
    "a cancel that lost it, told the other way round": (
        [accepted, cancelled, traded("1", "0.6"), traded("2", "0.4")],
        [OrderAccepted, OrderCancelled, OrderPartiallyFilled, OrderPartiallyFilled],
        "1",
        OrderCancelled,
    ),
    "a cancel that won it for the rest": (
        [accepted, traded("1", "0.6"), cancelled],
        [OrderAccepted, OrderPartiallyFilled, OrderCancelled],
        "0.6",
        OrderCancelled,
    ),
    "prevented from trading with ourselves": (
        [accepted, self_trade],
        [OrderAccepted, OrderExpired],
        "0",
        OrderExpired,
    ),
    "prevented from trading the rest with ourselves": (
        [accepted, traded("1", "0.7"), self_trade],
        [OrderAccepted, OrderPartiallyFilled, OrderExpired],
        "0.7",
        OrderExpired,
    ),
    "rejected": ([rejected], [OrderRejected], "0", OrderRejected),
    "rejected after it was acknowledged": (
        [accepted, rejected],
        [OrderAccepted, OrderRejected],
        "0",
        OrderRejected,
    ),
    "rejected after a partial fill": (
        [accepted, traded("1", "0.2"), rejected],
        [OrderAccepted, OrderPartiallyFilled, OrderExpired],
        "0.2",
        OrderExpired,
    ),
    "amended by somebody to less than has been asked for": (
        [accepted, traded("1", "0.3"), all_of_it],
        [OrderAccepted, OrderPartiallyFilled, OrderExpired],
        "0.3",
        OrderExpired,
    ),
    "amended by somebody to another price": (
        [accepted, at("101", traded("1", "0.5")), at("99", traded("2", "0.5")), all_of_it],
        [OrderAccepted, OrderPartiallyFilled, OrderFilled],
        "1",
        OrderFilled,
    ),
    "doubt, then a partial fill, then expiry": (
        [unreachable, traded("1", "0.4"), expired],
        [OrderUnknown, OrderPartiallyFilled, OrderExpired],
        "0.4",
        OrderExpired,
    ),
    "doubt that ends with nothing": (
        [unreachable, not_found],
        [OrderUnknown, OrderRejected],
        "0",
        OrderRejected,
    ),
}
"""News of an order of one unit, what is reported, what is held after it, and how it has ended."""
ENDS = (OrderFilled, OrderCancelled, OrderExpired, OrderRejected)


def orders_of(events: Sequence[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, OrderReport)]


def held(live: LiveExecution) -> Decimal:
    position = live.execution.ledger.positions.get(BTC)
    return position.quantity if position else D(0)


@pytest.mark.parametrize("row", ROWS)
def test_an_order_ends_as_the_venue_says(row: str) -> None:
    news, reports, quantity, _ = ROWS[row]
    live = placed()
    said = orders_of(live.answer(news, 8))
    assert [type(event) for event in said] == reports
    assert held(live) == D(quantity)
    assert not live.execution.working
    known = D(0)
    for event in said:
        if isinstance(event, OrderCancelled | OrderExpired):
            assert event.filled == known, "what was known when it ended"
        known += event.quantity if isinstance(event, Fill) else 0


@pytest.mark.parametrize("row", ROWS)
def test_it_ends_once_whatever_comes_again_and_over_a_restart(row: str) -> None:
    news, _, quantity, end = ROWS[row]
    live = placed()
    said = orders_of(live.answer(news, 8))
    again = LiveExecution(SETTINGS)
    again.restore(live.snapshot())
    assert orders_of(again.answer([*news, *news], 9)) == []
    assert held(again) == D(quantity)
    assert [type(event) for event in said if isinstance(event, ENDS)] == [end]


@pytest.mark.parametrize("row", [name for name, (news, *_) in ROWS.items() if len(news) > 2])
def test_in_every_order_of_the_news_the_position_is_that_of_the_trades(row: str) -> None:
    news, _, quantity, _ = ROWS[row]
    for shuffled in permutations(news):
        live = placed()
        said = orders_of(live.answer(shuffled, 8))
        assert held(live) == D(quantity)
        assert sum(isinstance(event, ENDS) for event in said) == 1
        assert not live.execution.working


@pytest.mark.parametrize("row", ROWS)
def test_a_cancel_that_comes_at_any_point_is_sent_while_there_is_something_to_cancel(
    row: str,
) -> None:
    news, _, quantity, _ = ROWS[row]
    wish = CancelRequested(
        time_ns=9, account=AccountId("main"), order=ORDER, cause=EventId("d"), reason=""
    )
    for point in range(len(news) + 1):
        live = placed()
        live.answer(news[:point], 8)
        live.commands()
        works = HANDLE in live.execution.working
        live.handlers[CancelRequested](wish)
        assert any(isinstance(c, CancelOrder) for c in live.commands()) == works
        live.answer(news[point:], 9)
        assert held(live) == D(quantity)
        assert not live.execution.working


def test_an_order_that_somebody_has_made_larger_trades_no_more_than_was_approved() -> None:
    with pytest.raises(InvariantError, match="at most 0"):
        placed().answer([accepted, traded("1", "0.6"), traded("2", "0.6")], 8)


async def test_an_order_of_which_the_venue_says_that_all_has_traded_has_ended() -> None:
    """Somebody made it smaller: its trades alone would never end it."""
    settings = VenueSettings(name="bybit")
    venue = CcxtVenue(settings, BybitDialect(), "main")
    order = venue._orders.of(HANDLE, InstrumentId("bybit:BTC/USDT"))
    order.quantity = D(1)
    found = Found(venue_order_id="9", status="filled", filled=D("0.3"), trades=[])
    await venue._say_state(HANDLE, order, found)
    (news,) = await venue.answers()
    live = placed()
    live.answer([accepted, traded("1", "0.3")], 8)
    assert live.execution.working[HANDLE].status is OrderStatus.PARTIALLY_FILLED
    (report,) = live.answer([news], 9)
    assert isinstance(report, OrderExpired)
    assert venue._orders.has_ended(HANDLE)
