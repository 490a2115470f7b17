"""Orders: placing, testing, cancelling, replacing. Each needs a key that may trade."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from goalkick.venue.binance import errors, shapes
from goalkick.venue.binance.errors import ApiError
from goalkick.venue.binance.front import Call, generated_id
from goalkick.venue.engine.model import (
    Kind,
    NewOrder,
    Order,
    Reason,
    Refused,
    SelfTrade,
    Status,
    TimeInForce,
)

_LIMIT, _STOP, _TIMED = "price", "stopPrice", "timeInForce"

NEEDED: dict[Kind, tuple[str, ...]] = {
    Kind.LIMIT: (_TIMED, "quantity", _LIMIT),
    Kind.MARKET: (),
    Kind.LIMIT_MAKER: ("quantity", _LIMIT),
    Kind.STOP_LOSS: ("quantity", _STOP),
    Kind.STOP_LOSS_LIMIT: (_TIMED, "quantity", _LIMIT, _STOP),
    Kind.TAKE_PROFIT: ("quantity", _STOP),
    Kind.TAKE_PROFIT_LIMIT: (_TIMED, "quantity", _LIMIT, _STOP),
}
"""What an order of a kind must say beside side and symbol."""

_ZEROS = {
    "quantity": Reason.LOT_SIZE,
    "quoteOrderQty": Reason.NOTIONAL,
    "price": Reason.PRICE_FILTER,
    "stopPrice": Reason.PRICE_FILTER,
}
"""The rule that an amount of zero breaks, whatever the listing's rules are."""

_CONDITIONAL = (_TIMED, "quantity", "quoteOrderQty", _LIMIT, _STOP)

_NOT_OFFERED = {
    "icebergQty": "Iceberg orders are not supported for this symbol.",
    "trailingDelta": "Trailing stop orders are not supported for this symbol.",
    "pegPriceType": "Pegged orders are not supported for this symbol.",
    "pegOffsetType": "Pegged orders are not supported for this symbol.",
    "pegOffsetValue": "Pegged orders are not supported for this symbol.",
}


def place(call: Call) -> dict[str, Any]:
    """Places an order."""
    instrument = call.front.symbols.listing(call.values["symbol"]).instrument
    return _place(call, _request(call, instrument))


def place_test(call: Call) -> dict[str, Any]:
    """Checks an order and places none."""
    listing = call.front.symbols.listing(call.values["symbol"])
    call.front.exchange.place(call.account, _request(call, listing.instrument), test=True)
    if not call.get("computeCommissionRates"):
        return {}
    rates = {"maker": shapes.amount(listing.maker_fee), "taker": shapes.amount(listing.taker_fee)}
    none = {"maker": shapes.amount(None), "taker": shapes.amount(None)}
    return {
        "standardCommissionForOrder": rates,
        "specialCommissionForOrder": none,
        "taxCommissionForOrder": none,
        "discount": {
            "enabledForAccount": False,
            "enabledForSymbol": False,
            "discountAsset": "BNB",
            "discount": shapes.amount(None),
        },
    }


def cancel(call: Call) -> dict[str, Any]:
    """Cancels an order."""
    return _cancel(
        call,
        order_id=call.get("orderId"),
        client_id=call.get("origClientOrderId"),
        cancel_id=call.get("newClientOrderId"),
        names=("origClientOrderId", "orderId"),
    )


def cancel_open(call: Call) -> list[Any]:
    """Cancels all open orders of a symbol; none open is an error."""
    exchange = call.front.exchange
    instrument = call.front.symbols.listing(call.values["symbol"]).instrument
    if not (open_orders := exchange.open_orders(call.account, instrument)):
        raise Refused(Reason.UNKNOWN_ORDER)
    cancel_id = generated_id()
    done = [
        exchange.cancel(call.account, instrument, order_id=one.order_id, cancel_id=cancel_id)
        for one in list(open_orders)
    ]
    return [shapes.cancelled(one, call.values["symbol"], cancel_id) for one in done]


@dataclass(frozen=True)
class _Step:
    """One half of a replacement: what it answers, or how it failed."""

    answer: Any = None
    error: ApiError | None = None

    @property
    def result(self) -> str:
        return "FAILURE" if self.error else "SUCCESS"

    @property
    def told(self) -> Any:
        return self.error.body() if self.error else self.answer


def cancel_replace(call: Call) -> dict[str, Any]:
    """Cancels an order and places another; 409 where one of the two failed."""
    instrument = call.front.symbols.listing(call.values["symbol"]).instrument
    request = _request(call, instrument)
    refusal = _too_many(call)
    cancelled = _attempt(lambda: _cancel_replaced(call))
    if cancelled.error and call.values["cancelReplaceMode"] == "STOP_ON_FAILURE":
        raise _replace_error(cancelled, None)
    placed = _Step(error=refusal) if refusal else _attempt(lambda: _place(call, request))
    if cancelled.error or placed.error:
        raise _replace_error(cancelled, placed)
    return {
        "cancelResult": cancelled.result,
        "newOrderResult": placed.result,
        "cancelResponse": cancelled.told,
        "newOrderResponse": placed.told,
    }


def _too_many(call: Call) -> ApiError | None:
    """Counts the new order; too many of them stop all, or only the new order, as was asked."""
    try:
        call.front.count_order(call.account)
    except ApiError as error:
        if call.get("orderRateLimitExceededMode", "DO_NOTHING") == "DO_NOTHING":
            raise
        return error
    return None


def _replace_error(cancelled: _Step, placed: _Step | None) -> ApiError:
    both = cancelled.error is not None and (placed is None or placed.error is not None)
    data = {
        "cancelResult": cancelled.result,
        "newOrderResult": placed.result if placed else "NOT_ATTEMPTED",
        "cancelResponse": cancelled.told,
        "newOrderResponse": placed.told if placed else None,
    }
    if both:
        return ApiError(errors.REPLACE_FAILED, "Order cancel-replace failed.", 400, data=data)
    late = placed is not None and placed.error is not None and placed.error.status == 429
    return ApiError(
        errors.REPLACE_PARTLY_FAILED,
        "Order cancel-replace partially failed.",
        429 if late else 409,
        data=data,
        headers=placed.error.headers if placed and placed.error else None,
    )


def _attempt(step: Callable[[], Any]) -> _Step:
    try:
        return _Step(answer=step())
    except ApiError as error:
        return _Step(error=error)
    except Refused as refused:
        return _Step(error=errors.refused_order(refused))


def _cancel_replaced(call: Call) -> dict[str, Any]:
    return _cancel(
        call,
        order_id=call.get("cancelOrderId"),
        client_id=call.get("cancelOrigClientOrderId"),
        cancel_id=call.get("cancelNewClientOrderId"),
        names=("cancelOrigClientOrderId", "cancelOrderId"),
    )


def _place(call: Call, request: NewOrder) -> dict[str, Any]:
    order = call.front.exchange.place(call.account, request)
    usual = "FULL" if request.kind in (Kind.LIMIT, Kind.MARKET) else "ACK"
    detail = call.get("newOrderRespType", usual)
    return shapes.new_order(order, call.values["symbol"], detail)


def _cancel(
    call: Call,
    *,
    order_id: int | None,
    client_id: str | None,
    cancel_id: str | None,
    names: tuple[str, str],
) -> dict[str, Any]:
    if order_id is None and client_id is None:
        raise errors.neither(*names)
    symbol = call.values["symbol"]
    exchange = call.front.exchange
    instrument = call.front.symbols.listing(symbol).instrument
    chosen = _chosen(call, instrument, order_id, client_id)
    _check_restrictions(chosen, call.get("cancelRestrictions"))
    cancel_id = cancel_id or generated_id()
    order = exchange.cancel(call.account, instrument, order_id=chosen.order_id, cancel_id=cancel_id)
    return shapes.cancelled(order, symbol, cancel_id)


def _chosen(call: Call, instrument: str, order_id: int | None, client_id: str | None) -> Order:
    """The order to cancel, by its id, and by the client's id where there is none."""
    exchange = call.front.exchange
    if order_id is None:
        return exchange.order(call.account, instrument, client_order_id=client_id)
    order = exchange.order(call.account, instrument, order_id=order_id)
    if client_id not in (None, order.client_order_id):
        raise ApiError(-2039, "Client order ID is not correct for this order ID.")
    return order


def _check_restrictions(order: Order, restriction: str | None) -> None:
    wanted = {"ONLY_NEW": Status.NEW, "ONLY_PARTIALLY_FILLED": Status.PARTIALLY_FILLED}
    if restriction and order.is_open and order.status is not wanted[restriction]:
        raise ApiError(errors.CANCEL_REJECTED, "Order was not canceled due to cancel restrictions.")


def _request(call: Call, instrument: str) -> NewOrder:
    """The order that a call asks for.

    Raises:
        ApiError: its parameters do not go together.
    """
    values = call.values
    kind: Kind = values["type"]
    _check_offered(call)
    _check_parameters(call, kind)
    return NewOrder(
        instrument=instrument,
        side=values["side"],
        kind=kind,
        quantity=values.get("quantity"),
        quote_quantity=values.get("quoteOrderQty"),
        price=values.get("price"),
        stop_price=values.get("stopPrice"),
        time_in_force=values.get("timeInForce", TimeInForce.GTC),
        self_trade=values.get("selfTradePreventionMode", SelfTrade.NONE),
        client_order_id=values.get("newClientOrderId") or generated_id(),
    )


def _check_offered(call: Call) -> None:
    for name, msg in _NOT_OFFERED.items():
        if name in call.values:
            raise ApiError(errors.NEW_ORDER_REJECTED, msg)


def _check_parameters(call: Call, kind: Kind) -> None:
    needed = NEEDED[kind]
    for name in needed:
        if name not in call.values:
            raise errors.missing(name)
    allowed = ("quantity", "quoteOrderQty") if kind is Kind.MARKET else needed
    for name in _CONDITIONAL:
        if name in call.values and name not in allowed:
            raise errors.not_required(name)
    if kind is Kind.MARKET:
        _check_market(call)
    for name, reason in _ZEROS.items():
        if name in call.values and not call.values[name]:
            raise Refused(reason)


def _check_market(call: Call) -> None:
    given = [name for name in ("quantity", "quoteOrderQty") if name in call.values]
    if not given:
        raise errors.neither("quantity", "quoteOrderQty")
    if len(given) == 2:
        raise errors.bad_combination()
