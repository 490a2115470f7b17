"""What the execution core remembers of orders that have ended, and for how long."""

from decimal import Decimal

from goalkick.common.events.base import Event, Side
from goalkick.common.events.order import OrderApproved, OrderIntended, OrderRejected
from goalkick.common.events.venue import (
    CancelOrder,
    PlaceOrder,
    VenueAccepted,
    VenueNotFound,
    VenueRejected,
    VenueTraded,
)
from goalkick.common.values.ids import AccountId, EventId, InstrumentId, StrategyId, client_order_id
from goalkick.execution.core import RECENT, REMEMBERED, ExecutionCore
from goalkick.execution.settings import ExecutionSettings

BTC = InstrumentId("binance:BTC/USDT")


def order_id(number: int) -> EventId:
    return EventId(f"{number:032x}")


def approve(core: ExecutionCore, number: int, expires_at_ns: int = 0) -> list[Event]:
    order = order_id(number)
    approved = OrderApproved(
        time_ns=5,
        account=AccountId("main"),
        order=order,
        cause=EventId("c"),
        client_order_id=client_order_id(order),
        strategy=StrategyId("s"),
        instrument=BTC,
        side=Side.BUY,
        quantity=Decimal(1),
        expires_at_ns=expires_at_ns,
    )
    return list(core.handlers[OrderApproved](approved))


def lose(core: ExecutionCore, number: int) -> list[Event]:
    """The venue says that it never had the order."""
    handle = client_order_id(order_id(number))
    lost = VenueNotFound(time_ns=7, client_order_id=handle, instrument=BTC)
    return list(core.handlers[VenueNotFound](lost))


def turn_up(core: ExecutionCore, number: int) -> list[Event]:
    """The venue says that it has the order."""
    handle = client_order_id(order_id(number))
    there = VenueAccepted(time_ns=8, client_order_id=handle, instrument=BTC, venue_order_id="1")
    return list(core.handlers[VenueAccepted](there))


def test_a_rejection_of_an_order_that_has_ended_says_nothing_more() -> None:
    core = ExecutionCore(ExecutionSettings())
    approve(core, 1)
    handle = client_order_id(order_id(1))
    rejected = VenueRejected(time_ns=7, client_order_id=handle, instrument=BTC, reason="no")
    assert [type(e) for e in core.handlers[VenueRejected](rejected)] == [OrderRejected]
    assert core.handlers[VenueRejected](rejected) == ()


def test_an_order_that_ended_long_ago_is_forgotten_and_only_the_oldest() -> None:
    core = ExecutionCore(ExecutionSettings())
    for number in range(REMEMBERED + 1):
        assert [type(e) for e in approve(core, number, expires_at_ns=5)] == [OrderRejected]
    assert approve(core, 1) == []
    assert [type(e) for e in approve(core, 0)] == [OrderIntended, PlaceOrder]


def test_orders_that_counted_as_never_sent_are_taken_back_as_far_as_they_are_kept() -> None:
    core = ExecutionCore(ExecutionSettings())
    for number in range(RECENT + 1):
        approve(core, number)
        assert [type(e) for e in lose(core, number)] == [OrderRejected]
    assert [type(e) for e in turn_up(core, 1)] == [CancelOrder]
    assert turn_up(core, 0) == [], "it made room"


def test_a_trade_of_an_order_that_is_kept_no_more_is_not_booked() -> None:
    core = ExecutionCore(ExecutionSettings())
    for number in range(RECENT + 1):
        approve(core, number)
        lose(core, number)
    trade = VenueTraded(
        time_ns=9,
        client_order_id=client_order_id(order_id(0)),
        instrument=BTC,
        trade_id="1",
        venue_time_ns=9,
        side=Side.BUY,
        quantity=Decimal(1),
        price=Decimal(100),
        fee=Decimal(0),
        fee_currency="USDT",
        slippage=Decimal(0),
    )
    assert core.handlers[VenueTraded](trade) == ()
    assert core.ledger.positions == {}
