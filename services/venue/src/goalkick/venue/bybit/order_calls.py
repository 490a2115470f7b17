"""Orders: placed, changed and cancelled, over REST and over the trade WebSocket alike."""

from decimal import Decimal
from typing import Any, TypedDict

from goalkick.common.values.time import NS_PER_SECOND
from goalkick.venue.accounts import ApiKey
from goalkick.venue.bybit import errors, forms
from goalkick.venue.bybit.dead_man import PRODUCTS, SPOT
from goalkick.venue.bybit.front import Front
from goalkick.venue.bybit.parameters import (
    ANY_SYMBOL,
    CATEGORY,
    NOT_HERE,
    SYMBOL,
    TEXT,
    Field,
    link_id,
    one_of,
    positive,
    price,
    window,
)
from goalkick.venue.engine.amending import Amendment
from goalkick.venue.engine.model import (
    Kind,
    Listing,
    NewOrder,
    Order,
    Reason,
    Refused,
    SelfTrade,
    Side,
    TimeInForce,
)

Asked = dict[str, Any]
Result = dict[str, Any]


class _Names(TypedDict):
    order_id: int | None
    client_order_id: str | None


_SELF_TRADE = {
    None: SelfTrade.NONE,
    "None": SelfTrade.NONE,
    "CancelMaker": SelfTrade.EXPIRE_MAKER,
    "CancelTaker": SelfTrade.EXPIRE_TAKER,
    "CancelBoth": SelfTrade.EXPIRE_BOTH,
}
CREATE_FIELDS = {
    "category": CATEGORY,
    "symbol": SYMBOL,
    "side": Field(one_of(*forms.SIDES), required=True),
    "orderType": Field(one_of("Limit", "Market"), required=True),
    "qty": Field(positive, required=True),
    "price": Field(price),
    "marketUnit": Field(one_of("baseCoin", "quoteCoin")),
    "timeInForce": Field(one_of("GTC", "IOC", "FOK", "PostOnly")),
    "orderLinkId": Field(link_id, default=""),
    "orderFilter": Field(one_of("Order", "StopOrder", "tpslOrder"), default="Order"),
    "triggerPrice": Field(price),
    "triggerDirection": TEXT,
    "smpType": Field(one_of(*(name for name in _SELF_TRADE if name))),
    "reduceOnly": TEXT,
    **dict.fromkeys(
        (
            "isLeverage",
            "closeOnTrigger",
            "positionIdx",
            "takeProfit",
            "stopLoss",
            "tpTriggerBy",
            "slTriggerBy",
            "triggerBy",
            "tpslMode",
            "tpLimitPrice",
            "slLimitPrice",
            "tpOrderType",
            "slOrderType",
            "orderIv",
            "mmp",
            "slippageToleranceType",
            "slippageTolerance",
            "rpiTakerAccess",
        ),
        NOT_HERE,
    ),
}
AMEND_FIELDS = {
    "category": CATEGORY,
    "symbol": SYMBOL,
    "orderId": TEXT,
    "orderLinkId": TEXT,
    "qty": Field(positive),
    "price": Field(price),
    "triggerPrice": Field(price),
    "triggerBy": Field(one_of("LastPrice")),
    **dict.fromkeys(
        (
            "takeProfit",
            "stopLoss",
            "tpTriggerBy",
            "slTriggerBy",
            "tpslMode",
            "tpLimitPrice",
            "slLimitPrice",
            "orderIv",
        ),
        NOT_HERE,
    ),
}
CANCEL_FIELDS = {
    "category": CATEGORY,
    "symbol": SYMBOL,
    "orderId": TEXT,
    "orderLinkId": TEXT,
    "orderFilter": Field(one_of("Order", "StopOrder", "tpslOrder")),
}
CANCEL_ALL_FIELDS = {
    "category": CATEGORY,
    "symbol": ANY_SYMBOL,
    "baseCoin": TEXT,
    "settleCoin": TEXT,
    "orderFilter": Field(one_of("Order", "StopOrder", "tpslOrder")),
    "stopOrderType": TEXT,
}
DEAD_MAN_FIELDS = {
    "product": Field(one_of(*PRODUCTS), default="OPTIONS"),
    "timeWindow": Field(window, required=True),
}


def create(front: Front, key: ApiKey, asked: Asked) -> Result:
    """Places an order; the reply has its ids and nothing else."""
    _must_trade(key)
    listing = front.find(asked["symbol"])
    if listing is None:
        raise errors.ApiError(170121, "Invalid symbol.")
    wanted = _new_order(front, listing, asked)
    if wanted.client_order_id and _is_known(front, key, listing, wanted.client_order_id):
        raise errors.refused(Refused(Reason.DUPLICATE_CLIENT_ID))
    try:
        order = front.exchange.place(key.account, wanted)
    except Refused as error:
        raise errors.refused(error, wanted, listing) from None
    return _ids(order)


def amend(front: Front, key: ApiKey, asked: Asked) -> Result:
    """Changes one open order, named by either id; the reply has its ids and nothing else."""
    listing, named = _named(front, key, asked)
    change = Amendment(
        quantity=asked["qty"], price=asked["price"], stop_price=asked["triggerPrice"]
    )
    if change == Amendment():
        raise errors.bad_parameter("qty, price or triggerPrice is required")
    try:
        stands = front.exchange.order(key.account, listing.instrument, **named)
    except Refused as error:
        raise errors.refused(error) from None
    if stands.is_open and not change.changes(stands):
        raise errors.nothing_to_amend()
    try:
        order = front.exchange.amend(key.account, listing.instrument, change, **named)
    except Refused as error:
        request = NewOrder(
            instrument=listing.instrument,
            side=stands.side,
            kind=stands.kind,
            quantity=change.quantity or stands.quantity,
            price=change.price or stands.price,
        )
        raise errors.refused(error, request, listing) from None
    return _ids(order)


def cancel(front: Front, key: ApiKey, asked: Asked) -> Result:
    """Cancels one order, named by either id."""
    listing, named = _named(front, key, asked)
    try:
        order = front.exchange.cancel(key.account, listing.instrument, **named)
    except Refused as error:
        raise errors.refused(error) from None
    return _ids(order)


def cancel_all(front: Front, key: ApiKey, asked: Asked) -> Result:
    """Cancels the open orders of one symbol, or of all; there may be none."""
    _must_trade(key)
    if asked["symbol"] and front.find(asked["symbol"]) is None:
        raise errors.ApiError(170121, "Invalid symbol.")
    cancelled: list[Order] = []
    for symbol, listing in front.listings():
        if asked["symbol"] in (None, symbol) and asked["baseCoin"] in (None, listing.base):
            try:
                cancelled += front.exchange.cancel_all(key.account, listing.instrument)
            except Refused as error:
                raise errors.refused(error) from None
    return {"list": [_ids(order) for order in cancelled], "success": "1"}


def set_dead_man(front: Front, key: ApiKey, asked: Asked) -> Result:
    """After how many seconds without a sign of life the account's orders are cancelled."""
    _must_trade(key)
    if asked["product"] == SPOT:
        front.dead_man.set(key.account, asked["timeWindow"] * NS_PER_SECOND)
    return {}


def _must_trade(key: ApiKey) -> None:
    if not key.can_trade:
        raise errors.no_permission()


def _named(front: Front, key: ApiKey, asked: Asked) -> tuple[Listing, _Names]:
    """The instrument and the ids of the order that a call is about."""
    _must_trade(key)
    listing = front.find(asked["symbol"])
    if listing is None:
        raise errors.ApiError(170121, "Invalid symbol.")
    number, link = asked["orderId"], asked["orderLinkId"]
    if not (number or link):
        raise errors.bad_parameter("orderId or orderLinkId is required")
    if number and not number.isdigit():
        raise errors.refused(Refused(Reason.UNKNOWN_ORDER))
    if number:
        return listing, {"order_id": int(number), "client_order_id": None}
    return listing, {"order_id": None, "client_order_id": link}


def _ids(order: Order) -> Result:
    return {"orderId": str(order.order_id), "orderLinkId": order.client_order_id}


def _is_known(front: Front, key: ApiKey, listing: Listing, link: str) -> bool:
    """Bybit takes a client's id once, ended orders count; the exchange counts open ones only."""
    try:
        front.exchange.order(key.account, listing.instrument, client_order_id=link)
    except Refused:
        return False
    return True


def _new_order(front: Front, listing: Listing, asked: Asked) -> NewOrder:
    side = forms.SIDES[asked["side"]]
    is_market = asked["orderType"] == "Market"
    if not is_market and asked["price"] is None:
        raise errors.ApiError(170105, "Parameter 'price' was empty.")
    if is_market and asked["timeInForce"] == "PostOnly":
        raise errors.ApiError(170115, "Invalid timeInForce.")
    quantity, quote = _amounts(asked, side, is_market=is_market)
    return NewOrder(
        instrument=listing.instrument,
        side=side,
        kind=_kind(front, listing, asked, side, is_market=is_market),
        quantity=quantity,
        quote_quantity=quote,
        price=None if is_market else asked["price"],
        stop_price=_trigger(asked),
        time_in_force=_time_in_force(asked, is_market=is_market),
        self_trade=_SELF_TRADE[asked["smpType"]],
        client_order_id=asked["orderLinkId"],
    )


def _amounts(asked: Asked, side: Side, *, is_market: bool) -> tuple[Decimal | None, Decimal | None]:
    """Quantity in base, or in quote: market buys are in quote unless they say otherwise."""
    by_quote = is_market and (
        asked["marketUnit"] == "quoteCoin" or (asked["marketUnit"] is None and side is Side.BUY)
    )
    return (None, asked["qty"]) if by_quote else (asked["qty"], None)


def _trigger(asked: Asked) -> Decimal | None:
    trigger: Decimal | None = asked["triggerPrice"]
    if asked["orderFilter"] == "Order":
        if trigger is not None:
            raise errors.ApiError(170202, "Invalid orderFilter parameter.")
        return None
    if trigger is None:
        raise errors.ApiError(170203, "Please enter the TP/SL price.")
    return trigger


def _kind(front: Front, listing: Listing, asked: Asked, side: Side, *, is_market: bool) -> Kind:
    """A conditional order follows the market or goes against it; where its trigger lies tells."""
    trigger = _trigger(asked)
    if trigger is None:
        if asked["timeInForce"] == "PostOnly":
            return Kind.LIMIT_MAKER
        return Kind.MARKET if is_market else Kind.LIMIT
    last = front.exchange.ticker(listing.instrument).last
    is_stop = (trigger > last) == (side is Side.BUY)
    if is_market:
        return Kind.STOP_LOSS if is_stop else Kind.TAKE_PROFIT
    return Kind.STOP_LOSS_LIMIT if is_stop else Kind.TAKE_PROFIT_LIMIT


def _time_in_force(asked: Asked, *, is_market: bool) -> TimeInForce:
    if is_market or asked["timeInForce"] in (None, "PostOnly"):
        return TimeInForce.GTC
    return TimeInForce(asked["timeInForce"].lower())
