"""What is said of an order: reports to the account's owner, commands to the venue. Pure."""

from typing import Any

import msgspec

from goalkick.common.events.order import (
    OrderAccepted,
    OrderFilled,
    OrderIntended,
    OrderPartiallyFilled,
    OrderRejected,
)
from goalkick.common.events.venue import (
    CancelOrder,
    PlaceOrder,
    QueryOrder,
    VenueAccepted,
    VenueTraded,
)
from goalkick.execution.order_state import Order, OrderStatus


def intent(order: Order, time_ns: int) -> tuple[OrderIntended, PlaceOrder]:
    """It is about to be sent; and the command to send it."""
    approved, terms = order.approved, order.terms
    sent = approved if terms is None else terms
    handle, instrument = sent.client_order_id, approved.instrument
    return (
        OrderIntended(
            time_ns=time_ns,
            account=approved.account,
            order=sent.order,
            instrument=instrument,
            parent=None if terms is None else terms.parent,
            client_order_id=handle,
        ),
        PlaceOrder(
            time_ns=time_ns,
            client_order_id=handle,
            instrument=instrument,
            side=sent.side,
            quantity=sent.quantity,
            kind=sent.kind,
            limit_price=sent.limit_price,
            stop_price=sent.stop_price,
            reduce_only=sent.reduce_only,
            time_in_force=sent.time_in_force,
        ),
    )


def cancellation(order: Order, time_ns: int) -> CancelOrder:
    """The command to take it out of the book."""
    return CancelOrder(
        time_ns=time_ns,
        client_order_id=order.sent.client_order_id,
        instrument=order.approved.instrument,
        venue_order_id=order.venue_order_id,
    )


def question(order: Order, time_ns: int) -> QueryOrder:
    """The question what became of it."""
    return QueryOrder(
        time_ns=time_ns,
        client_order_id=order.sent.client_order_id,
        instrument=order.approved.instrument,
        known=order.was_there,
    )


def accepted(order: Order, answer: VenueAccepted) -> OrderAccepted:
    """The venue has it."""
    approved, terms = order.approved, order.terms
    return OrderAccepted(
        time_ns=answer.time_ns,
        account=approved.account,
        order=approved.order if terms is None else terms.order,
        instrument=answer.instrument,
        parent=None if terms is None else terms.parent,
        venue_order_id=answer.venue_order_id,
    )


def rejected(order: Order, time_ns: int, reason: str) -> OrderRejected:
    """The venue does not want it, or it is not sent."""
    return OrderRejected(
        time_ns=time_ns,
        account=order.approved.account,
        order=order.sent.order,
        instrument=order.approved.instrument,
        reason=reason,
        parent=order.parent,
    )


def about(order: Order, answer: Any) -> dict[str, Any]:
    """What all reports with a reason have in common."""
    return {
        "time_ns": answer.time_ns,
        "account": order.approved.account,
        "order": order.sent.order,
        "instrument": answer.instrument,
        "reason": answer.reason,
        "parent": order.parent,
    }


def fill(order: Order, trade: VenueTraded) -> OrderFilled | OrderPartiallyFilled:
    """A trade of it, which is booked already."""
    approved, terms = order.approved, order.terms
    kind = OrderFilled if order.status is OrderStatus.FILLED else OrderPartiallyFilled
    # With one more keyword CPython would make a dict for the call, which takes twice the time.
    told = kind(
        time_ns=trade.time_ns,
        account=approved.account,
        order=approved.order,
        instrument=trade.instrument,
        strategy=approved.strategy,
        trade_id=trade.trade_id,
        venue_time_ns=trade.venue_time_ns,
        side=trade.side,
        quantity=trade.quantity,
        price=trade.price,
        fee=trade.fee,
        fee_currency=trade.fee_currency,
        slippage=trade.slippage,
        filled=order.filled,
        remaining=order.remaining,
    )
    if terms is None:
        return told
    return msgspec.structs.replace(told, order=terms.order, parent=terms.parent)
