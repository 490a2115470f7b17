"""The table of all that can be asked, over REST and over the WebSocket API alike.

One row says everything about a request: its names, its weight, who may ask, its parameters, and
what answers it. A request that is not in this table does not exist.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from goalkick.venue.binance import account_calls, market_calls, order_calls
from goalkick.venue.binance import parameters as p
from goalkick.venue.binance.front import Handler
from goalkick.venue.binance.klines import INTERVALS
from goalkick.venue.binance.parameters import Parameter, Parser
from goalkick.venue.binance.shapes import KINDS, SELF_TRADES, SIDES, TIMES_IN_FORCE

Sent = Mapping[str, str]


class Security(StrEnum):
    """Who may ask."""

    NONE = "none"
    READ = "read"
    """Signed, with any key."""
    TRADE = "trade"
    """Signed, with a key that may trade."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """One thing that can be asked.

    Attributes:
        rest: `GET /api/v3/order`; "" where it is not served over REST.
        ws: `order.status`; "" where it is not served over the WebSocket API.
        weight: request weight, from the parameters as they were sent.
        security: who may ask.
        parameters: all that may be sent, beside `apiKey` and `signature`.
        handler: what answers.
        counts_order: whether it counts as a new order of the account.
        tells_orders: whether its answer tells how many orders count.
    """

    rest: str
    ws: str
    weight: Callable[[Sent], int]
    security: Security
    parameters: tuple[Parameter, ...]
    handler: Handler
    counts_order: bool = False
    tells_orders: bool = False


def always(weight: int) -> Callable[[Sent], int]:
    """A weight that does not depend on the parameters."""
    return lambda _sent: weight


def _depth_weight(sent: Sent) -> int:
    text = sent.get("limit", "")
    limit = int(text) if text.isdecimal() else market_calls.USUAL_LEVELS
    steps = ((100, 5), (500, 25), (1_000, 50))
    return next((weight for most, weight in steps if limit <= most), 250)


def _by_symbol(one: int, every: int) -> Callable[[Sent], int]:
    return lambda sent: one if "symbol" in sent else every


def _day_ticker_weight(sent: Sent) -> int:
    if "symbol" in sent:
        return 2
    if "symbols" not in sent:
        return 80
    symbols = sent["symbols"].count(",") + 1
    return next((weight for most, weight in ((20, 2), (100, 40)) if symbols <= most), 80)


def _my_trades_weight(sent: Sent) -> int:
    return 5 if "orderId" in sent else 20


def _test_weight(sent: Sent) -> int:
    return 20 if sent.get("computeCommissionRates") == "true" else 1


def _words(*names: str) -> dict[str, str]:
    return {name: name for name in names}


def _optional(parse: Parser, *names: str) -> tuple[Parameter, ...]:
    return tuple(Parameter(name, parse) for name in names)


def _required(parse: Parser, *names: str) -> tuple[Parameter, ...]:
    return tuple(Parameter(name, parse, required=True) for name in names)


SIGNED = (*_optional(p.receive_window, "recvWindow"), *_required(p.time_ns, "timestamp"))
_STATUS = _optional(
    p.choice(_words("TRADING", "HALT", "BREAK"), -1122, "Invalid symbolStatus."), "symbolStatus"
)
_SYMBOL = _required(p.symbol, "symbol")
_ANY_SYMBOLS = (*_optional(p.symbol, "symbol"), *_optional(p.symbols, "symbols"), *_STATUS)
_LIMIT = _optional(p.count, "limit")
_SPAN = _optional(p.time_ns, "startTime", "endTime")
_FROM_ID = _optional(p.integer, "fromId")
_INTERVAL = _required(p.choice(INTERVALS, -1120, "Invalid interval."), "interval")
_TICKER_TYPE = _optional(p.choice(_words("FULL", "MINI"), -1139, "Invalid ticker type."), "type")
_ORDER_NAMES = (
    *_optional(p.integer, "orderId"),
    *_optional(p.client_id, "origClientOrderId"),
)
_RESTRICTIONS = _optional(
    p.choice(_words("ONLY_NEW", "ONLY_PARTIALLY_FILLED"), -1145, "Invalid cancelRestrictions"),
    "cancelRestrictions",
)
_NEW_ORDER = (
    *_SYMBOL,
    *_required(p.choice(SIDES, -1117, "Invalid side."), "side"),
    *_required(p.choice(KINDS, -1116, "Invalid orderType."), "type"),
    *_optional(p.choice(TIMES_IN_FORCE, -1115, "Invalid timeInForce."), "timeInForce"),
    *_optional(p.decimal, "quantity", "quoteOrderQty", "price", "stopPrice"),
    *_optional(p.decimal, "icebergQty"),
    *_optional(p.integer, "trailingDelta", "pegOffsetValue"),
    *_optional(p.text, "pegPriceType", "pegOffsetType"),
    *_optional(p.client_id, "newClientOrderId"),
    *_optional(
        p.choice(
            _words("ACK", "RESULT", "FULL"),
            -1130,
            "Data sent for parameter 'newOrderRespType' is not valid.",
        ),
        "newOrderRespType",
    ),
    *_optional(
        p.choice(
            SELF_TRADES, -1130, "Data sent for parameter 'selfTradePreventionMode' is not valid."
        ),
        "selfTradePreventionMode",
    ),
)
_REPLACE = (
    *_required(
        p.choice(
            _words("STOP_ON_FAILURE", "ALLOW_FAILURE"),
            -1130,
            "Data sent for parameter 'cancelReplaceMode' is not valid.",
        ),
        "cancelReplaceMode",
    ),
    *_optional(p.client_id, "cancelNewClientOrderId", "cancelOrigClientOrderId"),
    *_optional(p.integer, "cancelOrderId"),
    *_optional(
        p.choice(
            _words("DO_NOTHING", "CANCEL_ONLY"),
            -1130,
            "Data sent for parameter 'orderRateLimitExceededMode' is not valid.",
        ),
        "orderRateLimitExceededMode",
    ),
    *_RESTRICTIONS,
)


def _public(
    rest: str, ws: str, weight: Callable[[Sent], int], handler: Handler, *parameters: Parameter
) -> Route:
    return Route(
        rest=f"GET {rest}",
        ws=ws,
        weight=weight,
        security=Security.NONE,
        parameters=parameters,
        handler=handler,
    )


def _private(
    rest: str, ws: str, weight: Callable[[Sent], int], handler: Handler, *parameters: Parameter
) -> Route:
    return Route(
        rest=f"GET {rest}",
        ws=ws,
        weight=weight,
        security=Security.READ,
        parameters=(*parameters, *SIGNED),
        handler=handler,
    )


def _trading(
    rest: str,
    ws: str,
    weight: Callable[[Sent], int],
    handler: Handler,
    *parameters: Parameter,
    counts_order: bool = False,
    tells_orders: bool = False,
) -> Route:
    return Route(
        rest=rest,
        ws=ws,
        weight=weight,
        security=Security.TRADE,
        parameters=(*parameters, *SIGNED),
        handler=handler,
        counts_order=counts_order,
        tells_orders=tells_orders,
    )


_M, _O, _A = market_calls, order_calls, account_calls

ROUTES: tuple[Route, ...] = (
    _public("/api/v3/ping", "ping", always(1), _M.ping),
    _public("/api/v3/time", "time", always(1), _M.server_time),
    _public(
        "/api/v3/exchangeInfo",
        "exchangeInfo",
        always(20),
        _M.exchange_info,
        *_ANY_SYMBOLS,
        *_optional(p.text, "permissions"),
        *_optional(p.boolean, "showPermissionSets"),
    ),
    _public("/api/v3/depth", "depth", _depth_weight, _M.depth, *_SYMBOL, *_LIMIT, *_STATUS),
    _public("/api/v3/trades", "trades.recent", always(25), _M.trades, *_SYMBOL, *_LIMIT),
    _public(
        "/api/v3/historicalTrades",
        "trades.historical",
        always(25),
        _M.trades,
        *_SYMBOL,
        *_LIMIT,
        *_FROM_ID,
    ),
    _public(
        "/api/v3/aggTrades",
        "trades.aggregate",
        always(4),
        _M.aggregate_trades,
        *_SYMBOL,
        *_LIMIT,
        *_FROM_ID,
        *_SPAN,
    ),
    *(
        _public(
            f"/api/v3/{name}",
            name,
            always(2),
            _M.klines_of,
            *_SYMBOL,
            *_INTERVAL,
            *_SPAN,
            *_LIMIT,
        )
        for name in ("klines", "uiKlines")
    ),
    _public("/api/v3/avgPrice", "avgPrice", always(2), _M.average_price, *_SYMBOL),
    _public(
        "/api/v3/ticker/24hr",
        "ticker.24hr",
        _day_ticker_weight,
        _M.day_ticker,
        *_ANY_SYMBOLS,
        *_TICKER_TYPE,
    ),
    _public(
        "/api/v3/ticker/price", "ticker.price", _by_symbol(2, 4), _M.price_ticker, *_ANY_SYMBOLS
    ),
    _public(
        "/api/v3/ticker/bookTicker",
        "ticker.book",
        _by_symbol(2, 4),
        _M.book_ticker,
        *_ANY_SYMBOLS,
    ),
    _trading(
        "POST /api/v3/order",
        "order.place",
        always(1),
        _O.place,
        *_NEW_ORDER,
        counts_order=True,
        tells_orders=True,
    ),
    _trading(
        "POST /api/v3/order/test",
        "order.test",
        _test_weight,
        _O.place_test,
        *_NEW_ORDER,
        *_optional(p.boolean, "computeCommissionRates"),
    ),
    _trading(
        "POST /api/v3/order/cancelReplace",
        "order.cancelReplace",
        always(1),
        _O.cancel_replace,
        *_NEW_ORDER,
        *_REPLACE,
        tells_orders=True,
    ),
    _trading(
        "DELETE /api/v3/order",
        "order.cancel",
        always(1),
        _O.cancel,
        *_SYMBOL,
        *_ORDER_NAMES,
        *_optional(p.client_id, "newClientOrderId"),
        *_RESTRICTIONS,
    ),
    _trading(
        "DELETE /api/v3/openOrders", "openOrders.cancelAll", always(1), _O.cancel_open, *_SYMBOL
    ),
    _private("/api/v3/order", "order.status", always(4), _A.order_status, *_SYMBOL, *_ORDER_NAMES),
    _private(
        "/api/v3/openOrders",
        "openOrders.status",
        _by_symbol(6, 80),
        _A.open_orders,
        *_optional(p.symbol, "symbol"),
    ),
    _private(
        "/api/v3/allOrders",
        "allOrders",
        always(20),
        _A.all_orders,
        *_SYMBOL,
        *_optional(p.integer, "orderId"),
        *_SPAN,
        *_LIMIT,
    ),
    _private(
        "/api/v3/myTrades",
        "myTrades",
        _my_trades_weight,
        _A.my_trades,
        *_SYMBOL,
        *_optional(p.integer, "orderId"),
        *_SPAN,
        *_FROM_ID,
        *_LIMIT,
    ),
    _private(
        "/api/v3/account",
        "account.status",
        always(20),
        _A.account,
        *_optional(p.boolean, "omitZeroBalances"),
    ),
    _private("/api/v3/rateLimit/order", "account.rateLimits.orders", always(40), _A.order_counts),
    _private(
        "/api/v3/account/commission", "account.commission", always(20), _A.commission, *_SYMBOL
    ),
    _public("/sapi/v1/system/status", "", always(1), _A.system_status),
    _private(
        "/sapi/v1/asset/tradeFee", "", always(1), _A.trade_fees, *_optional(p.symbol, "symbol")
    ),
    _private("/sapi/v1/capital/config/getall", "", always(10), _A.coins),
    _private("/sapi/v1/margin/allPairs", "", always(1), _A.no_margin),
    _private("/sapi/v1/margin/isolated/allPairs", "", always(10), _A.no_margin),
)

GONE = ("/api/v3/userDataStream", "/api/v1/userDataStream", "/sapi/v1/userDataStream")
"""Withdrawn: answered with 410, whatever the method."""


def by_rest(routes: Iterable[Route] = ROUTES) -> dict[str, Route]:
    """The table by `GET /api/v3/order`."""
    return {route.rest: route for route in routes if route.rest}


def by_ws(routes: Iterable[Route] = ROUTES) -> dict[str, Route]:
    """The table by `order.status`."""
    return {route.ws: route for route in routes if route.ws}
