"""When and at what price a bar meets an order. Pure functions of one bar and one order.

A bar tells four prices and not their order. Where the order matters, the model declares it:
`path` says that the price went open, low, high, close in a bar that rose and open, high, low,
close in one that fell; the other models assume the worse, stops before limits.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from itertools import pairwise

import msgspec

from goalkick.common.events.base import Side
from goalkick.common.events.market import BarClosed
from goalkick.common.events.order import OrderKind, TimeInForce
from goalkick.common.events.venue import PlaceOrder
from goalkick.common.values.money import BPS, ONE, ZERO
from goalkick.execution.settings import FillModel

_STOP_MET = Decimal(1)
_LIMIT_MET = Decimal(2)


class Meeting(msgspec.Struct, frozen=True):
    """A bar meets an order.

    Attributes:
        place: order within the bar: 0 at its open, larger is later.
        price: where it trades, before slippage.
        taking: whether it takes liquidity (pays the taker's fee, suffers slippage).
    """

    place: Decimal
    price: Decimal
    taking: bool


def meeting(order: PlaceOrder, bar: BarClosed, model: FillModel) -> Meeting | None:
    """Where `bar` meets `order`; None if it does not."""
    if order.kind is OrderKind.MARKET:
        return Meeting(ZERO, bar.open, True)
    stop = order.kind is OrderKind.STOP
    level = order.stop_price if stop else order.limit_price
    assert level is not None  # the venue refused the order otherwise  # noqa: S101
    # A buy limit and a sell stop wait for the price to fall, the others for it to rise.
    falling = (order.side is Side.BUY) != stop
    if bar.open <= level if falling else bar.open >= level:
        return at_once(order, bar.open)
    if order.time_in_force is TimeInForce.IMMEDIATE:
        return None
    if bar.low > level if falling else bar.high < level:
        return None
    if model == "path":
        return Meeting(_place_on_path(bar, level), level, stop)
    return Meeting(_STOP_MET if stop else _LIMIT_MET, level, stop)


def at_once(order: PlaceOrder, price: Decimal) -> Meeting:
    """An order meets a price that is as good as its own, or better.

    One that may only rest was there first: who came took it at its own price.
    """
    if order.time_in_force is TimeInForce.POST_ONLY and order.limit_price is not None:
        return Meeting(ZERO, order.limit_price, False)
    return Meeting(ZERO, price, True)


def path(bar: BarClosed) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    """The declared way of the price through a bar."""
    if bar.close >= bar.open:
        return bar.open, bar.low, bar.high, bar.close
    return bar.open, bar.high, bar.low, bar.close


def slipped(price: Decimal, side: Side, slippage_bps: Decimal, tick_size: Decimal) -> Decimal:
    """`price` made worse for `side`, on the venue's grid, rounded away from us."""
    if not slippage_bps:
        return price
    worse = price * (ONE + side.sign * slippage_bps * BPS)
    rounding = ROUND_CEILING if side is Side.BUY else ROUND_FLOOR
    return (worse / tick_size).to_integral_value(rounding) * tick_size


def _place_on_path(bar: BarClosed, level: Decimal) -> Decimal:
    for leg, (start, end) in enumerate(pairwise(path(bar))):
        if min(start, end) <= level <= max(start, end) and start != end:
            return leg + (level - start) / (end - start)
    return _LIMIT_MET
