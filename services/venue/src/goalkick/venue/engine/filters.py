"""The rules of a listing that an order must keep; each breach has its own reason.

Nothing here changes anything. The order of the checks is the order in which a breach is told.
"""

from collections.abc import Callable
from decimal import Decimal

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.values.money import is_multiple
from goalkick.venue.engine.model import Kind, Listing, NewOrder, Reason, Refused, TimeInForce
from goalkick.venue.engine.triggers import TRIGGERED_KINDS, is_triggered

_PRICED = (Kind.LIMIT, Kind.LIMIT_MAKER, Kind.STOP_LOSS_LIMIT, Kind.TAKE_PROFIT_LIMIT)


def check_shape(request: NewOrder) -> None:
    """That the request says what its kind needs, and nothing else.

    Raises:
        InvalidDataError: it does not; front ends refuse such requests in their own words before.
    """
    wrong = (
        _wrong_quantity(request)
        or _wrong_price("price", request.price, wanted=request.kind in _PRICED)
        or _wrong_price("stop_price", request.stop_price, wanted=request.kind in TRIGGERED_KINDS)
    )
    if request.kind is Kind.LIMIT_MAKER and request.time_in_force is not TimeInForce.GTC:
        wrong = wrong or f"time in force gtc, found {request.time_in_force}"
    if wrong:
        raise InvalidDataError(f"expected for a {request.kind} order {wrong}: {request}")


def _wrong_quantity(request: NewOrder) -> str:
    if request.quote_quantity is not None:
        if request.kind is not Kind.MARKET:
            return "no quote quantity"
        if request.quantity is not None:
            return "either a quantity or a quote quantity"
        return "" if request.quote_quantity > 0 else "a positive quote quantity"
    if request.quantity is None or request.quantity <= 0:
        return "a positive quantity"
    return ""


def _wrong_price(name: str, price: Decimal | None, *, wanted: bool) -> str:
    if (price is not None) != wanted:
        return f"a {name}" if wanted else f"no {name}"
    return f"a positive {name}" if price is not None and price <= 0 else ""


def check_filters(listing: Listing, request: NewOrder, last: Decimal | None) -> None:
    """That prices, quantity and notional keep the listing's bounds.

    Args:
        listing: the rules.
        request: a request of the right shape.
        last: price of the last trade; None: there was none, and what is measured by it is free.

    Raises:
        Refused: a rule is broken.
    """
    _check_prices(listing, request)
    if request.price is not None and last is not None:
        _check_distance(listing, request.price, last)
    if request.quantity is not None:
        _check_quantity(listing, request, request.quantity)
    _check_notional(listing, request, last)


def _check_distance(listing: Listing, price: Decimal, last: Decimal) -> None:
    low, high = last * listing.percent_down, last * listing.percent_up
    if not low <= price <= high:
        raise Refused(Reason.PERCENT_PRICE, f"expected {low} to {high}, found {price}")


def _check_prices(listing: Listing, request: NewOrder) -> None:
    for price in (request.price, request.stop_price):
        if price is None:
            continue
        if not listing.min_price <= price <= listing.max_price:
            raise Refused(
                Reason.PRICE_FILTER,
                f"expected {listing.min_price} to {listing.max_price}, found {price}",
            )
        if not is_multiple(price, listing.tick_size):
            raise Refused(
                Reason.PRICE_FILTER, f"expected a multiple of {listing.tick_size}, found {price}"
            )


def _check_quantity(listing: Listing, request: NewOrder, quantity: Decimal) -> None:
    if not listing.min_quantity <= quantity <= listing.max_quantity:
        raise Refused(
            Reason.LOT_SIZE,
            f"expected {listing.min_quantity} to {listing.max_quantity}, found {quantity}",
        )
    if not is_multiple(quantity, listing.lot_size):
        raise Refused(
            Reason.LOT_SIZE, f"expected a multiple of {listing.lot_size}, found {quantity}"
        )
    if request.kind is Kind.MARKET and quantity > listing.max_market_quantity:
        raise Refused(
            Reason.MARKET_LOT_SIZE,
            f"expected at most {listing.max_market_quantity}, found {quantity}",
        )


def _check_notional(listing: Listing, request: NewOrder, last: Decimal | None) -> None:
    notional = _notional(request, last)
    if notional is not None and not listing.min_notional <= notional <= listing.max_notional:
        raise Refused(
            Reason.NOTIONAL,
            f"expected {listing.min_notional} to {listing.max_notional}, found {notional}",
        )


def _notional(request: NewOrder, last: Decimal | None) -> Decimal | None:
    if request.quote_quantity is not None:
        return request.quote_quantity
    # A stop order without a limit is measured by the price that it waits for.
    price = request.price or request.stop_price or last
    return None if price is None or request.quantity is None else price * request.quantity


def check_trigger(request: NewOrder, last: Decimal | None) -> None:
    """That the stop price lies on the side of the last price where the order has to wait.

    Raises:
        Refused: the last price would set it off at once.
    """
    if request.stop_price is None or last is None:
        return
    if is_triggered(request.side, request.kind, request.stop_price, last):
        raise Refused(
            Reason.WOULD_TRIGGER,
            f"a {request.side} {request.kind} at {request.stop_price}, last price {last}",
        )


def check_counts(
    listing: Listing, request: NewOrder, opened: int, count_waiting: Callable[[], int]
) -> None:
    """That the account may have one more open order.

    Args:
        listing: the rules.
        request: what is to be placed; a market order never opens.
        opened: the account's open orders on the instrument.
        count_waiting: counts the untriggered ones of them.

    Raises:
        Refused: it has too many.
    """
    if request.kind is Kind.MARKET:
        return
    if opened >= listing.max_orders:
        raise Refused(Reason.MAX_NUM_ORDERS, f"{opened} of {listing.max_orders} are open")
    if request.kind in TRIGGERED_KINDS and count_waiting() >= listing.max_algo_orders:
        raise Refused(
            Reason.MAX_NUM_ALGO_ORDERS, f"all {listing.max_algo_orders} allowed are waiting"
        )
