"""What an open order becomes when its owner changes it, and what forbids the change.

Nothing here changes anything; `Matching.amend` carries it out.
"""

from decimal import Decimal

import msgspec

from goalkick.common.core.errors import InvalidDataError
from goalkick.venue.engine.filters import check_filters, check_shape, check_trigger
from goalkick.venue.engine.market import Market
from goalkick.venue.engine.model import NewOrder, Order, Reason, Refused, Status


class Amendment(msgspec.Struct, frozen=True, kw_only=True):
    """What is to change; None: it stays.

    Attributes:
        quantity: of the whole order in base, its filled part included.
        price: limit price.
        stop_price: of an order that has not been triggered.
    """

    quantity: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None

    def changes(self, order: Order) -> bool:
        """Whether anything about the order would be otherwise."""
        now = (order.quantity, order.price, order.stop_price)
        wanted = (self.quantity, self.price, self.stop_price)
        return any(to not in (None, of) for of, to in zip(now, wanted, strict=True))


def amended(order: Order, change: Amendment) -> Order:
    """A copy of the order as it is wanted.

    Raises:
        Refused: no more of it would be left than what is filled.
        InvalidDataError: the order has no such price, or nothing is to change.
    """
    if change.stop_price is not None and order.status is not Status.PENDING:
        raise InvalidDataError(
            f"order {order.order_id}: expected no stop price, which is over, found {change}"
        )
    if change.price is not None and order.price is None:
        raise InvalidDataError(
            f"order {order.order_id}: expected no price of a {order.kind} order, found {change}"
        )
    if not change.changes(order):
        raise InvalidDataError(f"order {order.order_id}: expected a change, found {change}")
    wanted = msgspec.structs.replace(
        order,
        quantity=order.quantity if change.quantity is None else change.quantity,
        price=order.price if change.price is None else change.price,
        stop_price=order.stop_price if change.stop_price is None else change.stop_price,
    )
    if wanted.left <= 0:
        raise Refused(
            Reason.BELOW_EXECUTED, f"{order.executed} is filled, found {change.quantity} in all"
        )
    return wanted


def check_amended(market: Market, order: Order, wanted: Order, *, house: bool) -> None:
    """That the changed order keeps the listing's rules.

    Args:
        market: where.
        order: as it stands.
        wanted: as it is to be.
        house: no filter holds for its account.

    Raises:
        Refused: a rule is broken.
        InvalidDataError: an amount is not positive.
    """
    request = NewOrder(
        instrument=wanted.instrument,
        side=wanted.side,
        kind=wanted.kind,
        quantity=wanted.quantity,
        price=wanted.price,
        stop_price=wanted.stop_price,
        time_in_force=wanted.time_in_force,
    )
    check_shape(request)
    last = market.history.last
    if not house:
        check_filters(market.listing, request, last)
    if wanted.stop_price != order.stop_price:
        check_trigger(request, last)


def keeps_place(order: Order, wanted: Order) -> bool:
    """Whether a resting order stays where it is in its level: only less of it is wanted."""
    return wanted.price == order.price and wanted.quantity < order.quantity
