"""Answers about an account: balances, orders, own trades, limits, fees. All of them are signed."""

from collections.abc import Sequence
from typing import Any

from goalkick.common.values.money import ZERO
from goalkick.common.values.time import NS_PER_HOUR
from goalkick.venue.binance import errors, shapes
from goalkick.venue.binance.front import Call, rate_limits
from goalkick.venue.binance.market_calls import row_limit, window
from goalkick.venue.binance.symbols import symbol_of
from goalkick.venue.engine.model import Fill, Listing, Order, Reason, Refused

_BPS = 10_000


def account(call: Call) -> dict[str, Any]:
    """Balances and rights."""
    front = call.front
    listing = next(iter(front.symbols), None)
    maker = listing.maker_fee if listing else ZERO
    taker = listing.taker_fee if listing else ZERO
    held = front.exchange.balances(call.account)
    return {
        "makerCommission": int(maker * _BPS),
        "takerCommission": int(taker * _BPS),
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {**_rates(maker, taker), "buyer": _NONE, "seller": _NONE},
        "canTrade": True,
        "canWithdraw": True,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": shapes.milliseconds(front.touched_ns(call.account)),
        "accountType": "SPOT",
        "balances": shapes.balances(held, omit_zero=call.get("omitZeroBalances", False)),
        "permissions": ["SPOT"],
        "uid": 1,
    }


def order_status(call: Call) -> dict[str, Any]:
    """One order."""
    order_id, client_id = call.get("orderId"), call.get("origClientOrderId")
    if order_id is None and client_id is None:
        raise errors.neither("origClientOrderId", "orderId")
    instrument = call.front.symbols.listing(call.values["symbol"]).instrument
    chosen = {"client_order_id": client_id} if order_id is None else {"order_id": order_id}
    try:
        order = call.front.exchange.order(call.account, instrument, **chosen)
    except Refused as refused:
        if refused.reason is Reason.UNKNOWN_ORDER:
            raise errors.no_such_order() from None
        raise
    if call.hide_order or client_id not in (None, order.client_order_id):
        raise errors.no_such_order()
    return shapes.order(order, call.values["symbol"])


def open_orders(call: Call) -> list[Any]:
    """Open orders of a symbol, or of all."""
    symbol = call.get("symbol")
    instrument = None if symbol is None else call.front.symbols.listing(symbol).instrument
    return _told(call, call.front.exchange.open_orders(call.account, instrument))


def all_orders(call: Call) -> list[Any]:
    """Orders of a symbol, open and ended."""
    check_span(call)
    instrument = call.front.symbols.listing(call.values["symbol"]).instrument
    orders = call.front.exchange.orders(call.account, instrument)
    if "orderId" in call.values:
        orders = [one for one in orders if one.order_id >= call.values["orderId"]]
        return _told(call, orders[: row_limit(call)])
    return _told(call, window(call, orders, lambda one: one.created_ns))


def my_trades(call: Call) -> list[Any]:
    """Own trades of a symbol."""
    check_span(call)
    if "fromId" in call.values and {"startTime", "endTime"} & call.values.keys():
        raise errors.bad_combination()
    symbol = call.values["symbol"]
    instrument = call.front.symbols.listing(symbol).instrument
    fills: Sequence[Fill] = call.front.exchange.fills(call.account, instrument)
    if "orderId" in call.values:
        fills = [one for one in fills if one.order_id == call.values["orderId"]]
    if "fromId" in call.values:
        fills = [one for one in fills if one.trade_id >= call.values["fromId"]]
        fills = fills[: row_limit(call)]
    else:
        fills = window(call, fills, lambda one: one.time_ns)
    return [shapes.fill(one, symbol) for one in fills]


def order_counts(call: Call) -> list[Any]:
    """How many unfilled orders count now."""
    rows = rate_limits(call.front, "", call.account, orders=True)
    return [row for row in rows if row["rateLimitType"] == "ORDERS"]


def commission(call: Call) -> dict[str, Any]:
    """Fees of a symbol."""
    listing = call.front.symbols.listing(call.values["symbol"])
    sides = {"buyer": _NONE, "seller": _NONE}
    none = {"maker": _NONE, "taker": _NONE, **sides}
    return {
        "symbol": symbol_of(listing),
        "standardCommission": {**_rates(listing.maker_fee, listing.taker_fee), **sides},
        "specialCommission": none,
        "taxCommission": none,
        "discount": {
            "enabledForAccount": False,
            "enabledForSymbol": False,
            "discountAsset": "BNB",
            "discount": _NONE,
        },
    }


def trade_fees(call: Call) -> list[Any]:
    """Fees of a symbol, or of all."""
    symbol = call.get("symbol")
    chosen = list(call.front.symbols) if symbol is None else [call.front.symbols.listing(symbol)]
    return [_fees(listing) for listing in chosen]


def coins(call: Call) -> list[Any]:
    """The assets that are traded, without networks: nothing can be deposited over the shapes."""
    held = call.front.exchange.balances(call.account)
    assets = {asset for one in call.front.symbols for asset in (one.base, one.quote)}
    return [
        {
            "coin": asset,
            "name": asset,
            "depositAllEnable": False,
            "withdrawAllEnable": False,
            "trading": True,
            "isLegalMoney": False,
            "free": shapes.amount(held[asset].free if asset in held else None),
            "locked": shapes.amount(held[asset].locked if asset in held else None),
            "networkList": [],
        }
        for asset in sorted(assets)
    ]


def no_margin(_call: Call) -> list[Any]:
    """There is no margin trading."""
    return []


def system_status(_call: Call) -> dict[str, Any]:
    """All is well; maintenance is a fault that is armed."""
    return {"status": 0, "msg": "normal"}


def check_span(call: Call) -> None:
    """Checks that a span of an account's history is not too long.

    Raises:
        ApiError: it is.
    """
    if "startTime" in call.values and "endTime" in call.values:
        longest_ns = call.front.settings.history_window
        if call.values["endTime"] - call.values["startTime"] > longest_ns:
            raise errors.too_long(longest_ns // NS_PER_HOUR)


_NONE = shapes.amount(None)


def _rates(maker: Any, taker: Any) -> dict[str, str]:
    return {"maker": shapes.amount(maker), "taker": shapes.amount(taker)}


def _fees(listing: Listing) -> dict[str, str]:
    return {
        "symbol": symbol_of(listing),
        "makerCommission": shapes.amount(listing.maker_fee),
        "takerCommission": shapes.amount(listing.taker_fee),
    }


def _told(call: Call, orders: Sequence[Order]) -> list[Any]:
    return [shapes.order(one, call.front.symbols.name(one.instrument)) for one in orders]
