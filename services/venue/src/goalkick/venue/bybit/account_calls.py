"""Signed queries about an account: what it has, its fees, its orders and executions.

Lists are paged: newest first, and a cursor that is given back names the last one that was told.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from goalkick.common.values.money import plain
from goalkick.common.values.time import NS_PER_DAY, NS_PER_MS, NS_PER_SECOND
from goalkick.venue.accounts import ApiKey
from goalkick.venue.bybit import errors, forms
from goalkick.venue.bybit.dead_man import SPOT
from goalkick.venue.bybit.front import Front
from goalkick.venue.bybit.parameters import (
    ANY_SYMBOL,
    CATEGORY,
    TEXT,
    TIME,
    Field,
    one_of,
    within,
)
from goalkick.venue.engine.model import Fill, Order

Asked = dict[str, Any]
Result = dict[str, Any]
Item = TypeVar("Item", Order, Fill)

HISTORY_NS = 7 * NS_PER_DAY
"""Longest span between the start and the end of a query."""

WALLET_FIELDS = {
    "accountType": Field(one_of("UNIFIED"), required=True),
    "coin": TEXT,
}
FEE_FIELDS = {"category": CATEGORY, "symbol": ANY_SYMBOL, "baseCoin": TEXT}
COIN_FIELDS = {"coin": TEXT}
_ORDER_FIELDS = {
    "category": CATEGORY,
    "symbol": ANY_SYMBOL,
    "baseCoin": TEXT,
    "settleCoin": TEXT,
    "orderId": TEXT,
    "orderLinkId": TEXT,
    "orderFilter": Field(one_of("Order", "StopOrder", "tpslOrder", "OcoOrder")),
    "limit": Field(within(1, 50), default=20),
    "cursor": TEXT,
}
REALTIME_FIELDS = {**_ORDER_FIELDS, "openOnly": Field(within(0, 2), default=0)}
HISTORY_FIELDS = {**_ORDER_FIELDS, "orderStatus": TEXT, "startTime": TIME, "endTime": TIME}
EXECUTION_FIELDS = {
    "category": CATEGORY,
    "symbol": ANY_SYMBOL,
    "orderId": TEXT,
    "orderLinkId": TEXT,
    "baseCoin": TEXT,
    "startTime": TIME,
    "endTime": TIME,
    "execType": TEXT,
    "limit": Field(within(1, 100), default=50),
    "cursor": TEXT,
}


def wallet(front: Front, key: ApiKey, asked: Asked) -> Result:
    """All coins of the account, or those that are named."""
    wanted = set(asked["coin"].split(",")) if asked["coin"] else None
    balances = front.exchange.balances(key.account)
    chosen = {a: b for a, b in balances.items() if wanted is None or a in wanted}
    return {"list": [forms.wallet(chosen)]}


def dead_man(front: Front, key: ApiKey, _: Asked) -> Result:
    """The dead-man timer of the account; nothing, where none was set."""
    window_ns = front.dead_man.window_ns(key.account)
    if window_ns is None:
        return {"dcpInfos": []}
    seconds = str(window_ns // NS_PER_SECOND)
    return {"dcpInfos": [{"product": SPOT, "dcpStatus": "ON", "timeWindow": seconds}]}


def fee_rate(front: Front, _: ApiKey, asked: Asked) -> Result:
    """What trading costs, by symbol."""
    if asked["symbol"]:
        front.listing(asked["symbol"])
    return {
        "category": "spot",
        "list": [
            {
                "symbol": symbol,
                "takerFeeRate": plain(listing.taker_fee),
                "makerFeeRate": plain(listing.maker_fee),
            }
            for symbol, listing in front.listings()
            if asked["symbol"] in (None, symbol)
        ],
    }


def coins(front: Front, _: ApiKey, asked: Asked) -> Result:
    """What is known of each coin; there are no chains to move them on."""
    names = dict.fromkeys(
        asset for _, listing in front.listings() for asset in (listing.base, listing.quote)
    )
    return {
        "rows": [
            {"name": name, "coin": name, "remainAmount": "0", "chains": []}
            for name in names
            if asked["coin"] in (None, name)
        ]
    }


def realtime(front: Front, key: ApiKey, asked: Asked) -> Result:
    """Open orders, newest first; one that is named by an id may have ended."""
    orders = _orders(front, key, asked)
    if not (asked["orderId"] or asked["orderLinkId"]):
        orders = [order for order in orders if order.is_open]
    return _page(front, orders, asked)


def history(front: Front, key: ApiKey, asked: Asked) -> Result:
    """Orders that ended, newest first."""
    start_ns, end_ns = _span(front, asked)
    orders = [
        order
        for order in _orders(front, key, asked)
        if not order.is_open
        and start_ns <= order.created_ns <= end_ns
        and asked["orderStatus"] in (None, forms.status(order))
    ]
    return _page(front, orders, asked)


def executions(front: Front, key: ApiKey, asked: Asked) -> Result:
    """Fills, newest first."""
    start_ns, end_ns = _span(front, asked)
    instrument = front.listing(asked["symbol"]).instrument if asked["symbol"] else None
    fills = [
        fill
        for fill in front.exchange.fills(key.account, instrument)
        if start_ns <= fill.time_ns <= end_ns
        and fill.instrument in front.exchange.listings
        and asked["orderId"] in (None, str(fill.order_id))
        and asked["orderLinkId"] in (None, fill.client_order_id)
        and asked["execType"] in (None, "Trade")
    ]
    chosen, cursor = _cut(fills, lambda fill: fill.execution_id, asked)
    rows = [execution_form(front, fill) for fill in chosen]
    return {"category": "spot", "list": rows, "nextPageCursor": cursor}


def execution_form(front: Front, fill: Fill, order: Order | None = None) -> Result:
    """A fill on the wire; the order is looked up unless it is at hand."""
    listing = front.exchange.listings.get(fill.instrument)
    if listing is None:
        raise errors.bad_symbol()
    if order is None:
        order = front.exchange.order(fill.account, fill.instrument, order_id=fill.order_id)
    return forms.execution(fill, order, front.symbol(fill.instrument), listing)


def _orders(front: Front, key: ApiKey, asked: Asked) -> list[Order]:
    """An account's orders of one or all symbols that fit what names an order; oldest first."""
    listings = [front.listing(asked["symbol"])] if asked["symbol"] else None
    if listings is None:
        listings = [listing for _, listing in front.listings()]
    found = (
        order
        for listing in listings
        for order in front.exchange.orders(key.account, listing.instrument)
        if asked["orderId"] in (None, str(order.order_id))
        and asked["orderLinkId"] in (None, order.client_order_id)
        and asked["baseCoin"] in (None, listing.base)
        and asked["settleCoin"] in (None, listing.quote)
        and _fits(order, asked["orderFilter"])
    )
    return sorted(found, key=lambda order: order.order_id)


def _fits(order: Order, chosen: str | None) -> bool:
    if chosen is None:
        return True
    return (order.stop_price is None) == (chosen == "Order")


def _span(front: Front, asked: Asked) -> tuple[int, int]:
    """Start and end of a query in nanoseconds: a week, where it does not say both."""
    start, end = asked["startTime"], asked["endTime"]
    now_ns = front.exchange.now_ns
    if start is None and end is None:
        return now_ns - HISTORY_NS, now_ns
    end_ns = start * NS_PER_MS + HISTORY_NS if end is None else (end + 1) * NS_PER_MS - 1
    start_ns = end_ns - HISTORY_NS if start is None else start * NS_PER_MS
    if start_ns > end_ns:
        raise errors.bad_parameter("The start time cannot be later than the end time.")
    if end_ns - start_ns > HISTORY_NS + NS_PER_MS:
        raise errors.bad_parameter("The time range between startTime and endTime exceeds 7 days")
    return start_ns, end_ns


def _page(front: Front, orders: Iterable[Order], asked: Asked) -> Result:
    chosen, cursor = _cut(list(orders), lambda order: order.order_id, asked)
    rows = [forms.order(order, front.symbol(order.instrument)) for order in chosen]
    return {"category": "spot", "list": rows, "nextPageCursor": cursor}


def _cut(items: list[Item], number: Callable[[Item], int], asked: Asked) -> tuple[list[Item], str]:
    """One page, newest first, and the cursor of the next; "" if there is none."""
    before = _cursor(asked["cursor"])
    rest = [item for item in reversed(items) if before is None or number(item) < before]
    page = rest[: asked["limit"]]
    more = len(rest) > len(page)
    return page, f"{number(page[-1])}_{len(page)}" if more else ""


def _cursor(text: str | None) -> int | None:
    if not text:
        return None
    head = text.partition("_")[0]
    if not head.isdigit():
        raise errors.bad_parameter("cursor is invalid")
    return int(head)
