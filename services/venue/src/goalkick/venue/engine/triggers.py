"""Stop and take-profit orders that wait for a price."""

from bisect import bisect_left, insort
from decimal import Decimal

from goalkick.venue.engine.model import Kind, Order, Side

_STOPS = (Kind.STOP_LOSS, Kind.STOP_LOSS_LIMIT)
TRIGGERED_KINDS = (*_STOPS, Kind.TAKE_PROFIT, Kind.TAKE_PROFIT_LIMIT)


def triggers_above(side: Side, kind: Kind) -> bool:
    """Whether the order waits for a price at or above its stop price; else for one at or below."""
    return (side is Side.BUY) == (kind in _STOPS)


def is_triggered(side: Side, kind: Kind, stop_price: Decimal, price: Decimal) -> bool:
    """Whether a trade at `price` sets the order off."""
    return price >= stop_price if triggers_above(side, kind) else price <= stop_price


class Triggers:
    """The waiting orders of one instrument."""

    def __init__(self) -> None:
        self._orders: dict[int, Order] = {}
        # (stop price, order id), ascending: a look at one end tells whether any order is due.
        self._above: list[tuple[Decimal, int]] = []
        self._below: list[tuple[Decimal, int]] = []

    def add(self, order: Order, stop_price: Decimal) -> None:
        """An order begins to wait."""
        self._orders[order.order_id] = order
        insort(self._row(order), (stop_price, order.order_id))

    def remove(self, order: Order, stop_price: Decimal) -> None:
        """An order waits no more."""
        del self._orders[order.order_id]
        row = self._row(order)
        del row[bisect_left(row, (stop_price, order.order_id))]

    def due(self, low: Decimal, high: Decimal) -> list[Order]:
        """Takes out the orders that trades between `low` and `high` set off, oldest first."""
        found: list[int] = []
        while self._above and self._above[0][0] <= high:
            found.append(self._above.pop(0)[1])
        while self._below and self._below[-1][0] >= low:
            found.append(self._below.pop()[1])
        return [self._orders.pop(order_id) for order_id in sorted(found)]

    def _row(self, order: Order) -> list[tuple[Decimal, int]]:
        return self._above if triggers_above(order.side, order.kind) else self._below
