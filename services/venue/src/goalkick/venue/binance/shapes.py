"""How the exchange's things look on Binance's wire: orders, trades, klines, tickers, rules.

Amounts are texts with eight decimals; where the exchange is more exact, with as many as it takes.
Times are milliseconds.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from goalkick.common.values.money import ZERO, plain
from goalkick.common.values.time import NS_PER_MS
from goalkick.venue.binance.symbols import STATUS, symbol_of
from goalkick.venue.engine.model import (
    AggregateTrade,
    Balance,
    Candle,
    Depth,
    Fill,
    Kind,
    Listing,
    Order,
    PublicTrade,
    SelfTrade,
    Side,
    Status,
    Ticker,
    TimeInForce,
)

Json = dict[str, Any]

SIDES = {"BUY": Side.BUY, "SELL": Side.SELL}
KINDS = {kind.name: kind for kind in Kind}
TIMES_IN_FORCE = {one.name: one for one in TimeInForce}
SELF_TRADES = {one.name: one for one in SelfTrade}
STATUSES = {
    Status.PENDING: "NEW",
    Status.NEW: "NEW",
    Status.PARTIALLY_FILLED: "PARTIALLY_FILLED",
    Status.FILLED: "FILLED",
    Status.CANCELLED: "CANCELED",
    Status.EXPIRED: "EXPIRED",
    Status.EXPIRED_IN_MATCH: "EXPIRED_IN_MATCH",
    Status.REJECTED: "REJECTED",
}
STOPS = frozenset({Kind.STOP_LOSS, Kind.STOP_LOSS_LIMIT, Kind.TAKE_PROFIT, Kind.TAKE_PROFIT_LIMIT})


def amount(value: Decimal | None) -> str:
    """An amount with eight decimals, or more where they are needed; None is zero."""
    value = ZERO if value is None else value
    text = f"{value:.8f}"
    return text if Decimal(text) == value else plain(value)


def milliseconds(time_ns: int) -> int:
    """A time on the wire."""
    return time_ns // NS_PER_MS


def order(order: Order, symbol: str) -> Json:
    """An order, as queries tell it."""
    return {
        **_head(order, symbol),
        **_body(order),
        "icebergQty": amount(ZERO),
        "time": milliseconds(order.created_ns),
        "updateTime": milliseconds(order.updated_ns),
        "isWorking": order.status is not Status.PENDING,
        "workingTime": milliseconds(order.working_ns) if order.working_ns else -1,
        **({} if order.kind in STOPS else {"stopPrice": amount(ZERO)}),
    }


def new_order(order: Order, symbol: str, detail: str) -> Json:
    """An order, as it is confirmed: `ACK`, `RESULT` or `FULL`."""
    head = {**_head(order, symbol), "transactTime": milliseconds(order.updated_ns)}
    if detail == "ACK":
        return head
    working = {"workingTime": milliseconds(order.working_ns)} if order.working_ns else {}
    result = {**head, **_body(order), **working}
    return result if detail == "RESULT" else {**result, "fills": [_part(x) for x in order.fills]}


def cancelled(order: Order, symbol: str, cancel_id: str) -> Json:
    """An order, as its cancel is confirmed: `clientOrderId` is the cancel's own."""
    return {
        **_head(order, symbol),
        "origClientOrderId": order.client_order_id,
        "clientOrderId": cancel_id,
        "transactTime": milliseconds(order.updated_ns),
        **_body(order),
    }


def expiry_reason(order: Order) -> str | None:
    """Why an order expired; None where it has not."""
    if order.status is not Status.EXPIRED:
        return None
    if order.kind in (Kind.MARKET, Kind.STOP_LOSS, Kind.TAKE_PROFIT):
        return "INSUFFICIENT_LIQUIDITY"
    return {
        TimeInForce.IOC: "UNFILLED_IOC_QUANTITY_EXPIRED",
        TimeInForce.FOK: "UNFILLED_FOK_ORDER_EXPIRED",
    }.get(order.time_in_force, "EXCHANGE_CANCELED")


def _head(order: Order, symbol: str) -> Json:
    return {
        "symbol": symbol,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_order_id,
    }


def _body(order: Order) -> Json:
    body = {
        "price": amount(order.price),
        "origQty": amount(order.quantity),
        "executedQty": amount(order.executed),
        "origQuoteOrderQty": amount(order.quote_quantity),
        "cummulativeQuoteQty": amount(order.quote_executed),
        "status": STATUSES[order.status],
        "timeInForce": order.time_in_force.name,
        "type": order.kind.name,
        "side": order.side.name,
        "selfTradePreventionMode": order.self_trade.name,
    }
    if order.kind in STOPS:
        body["stopPrice"] = amount(order.stop_price)
    if reason := expiry_reason(order):
        body["expiryReason"] = reason
    return body


def _part(fill: Fill) -> Json:
    return {
        "price": amount(fill.price),
        "qty": amount(fill.quantity),
        "commission": amount(fill.fee),
        "commissionAsset": fill.fee_asset,
        "tradeId": fill.trade_id,
    }


def fill(fill: Fill, symbol: str) -> Json:
    """An account's own trade."""
    return {
        "symbol": symbol,
        "id": fill.trade_id,
        "orderId": fill.order_id,
        "orderListId": -1,
        "price": amount(fill.price),
        "qty": amount(fill.quantity),
        "quoteQty": amount(fill.quote_quantity),
        "commission": amount(fill.fee),
        "commissionAsset": fill.fee_asset,
        "time": milliseconds(fill.time_ns),
        "isBuyer": fill.side is Side.BUY,
        "isMaker": fill.maker,
        "isBestMatch": True,
    }


def balances(held: Mapping[str, Balance], *, omit_zero: bool = False) -> list[Json]:
    """What an account has, by asset."""
    return [
        {"asset": asset, "free": amount(held[asset].free), "locked": amount(held[asset].locked)}
        for asset in sorted(held)
        if not omit_zero or held[asset].free or held[asset].locked
    ]


def trade(trade: PublicTrade) -> Json:
    """A public trade."""
    return {
        "id": trade.trade_id,
        "price": amount(trade.price),
        "qty": amount(trade.quantity),
        "quoteQty": amount(trade.price * trade.quantity),
        "time": milliseconds(trade.time_ns),
        "isBuyerMaker": trade.buyer_is_maker,
        "isBestMatch": True,
    }


def aggregate_trade(trade: AggregateTrade) -> Json:
    """An aggregate trade; its id is of another sequence than the trades'."""
    return {
        "a": trade.aggregate_id,
        "p": amount(trade.price),
        "q": amount(trade.quantity),
        "f": trade.first_id,
        "l": trade.last_id,
        "T": milliseconds(trade.time_ns),
        "m": trade.buyer_is_maker,
        "M": True,
    }


def kline(candle: Candle, close_ns: int) -> list[Any]:
    """A kline; `close_ns` is the end of its span, exclusive."""
    return [
        milliseconds(candle.open_ns),
        amount(candle.open),
        amount(candle.high),
        amount(candle.low),
        amount(candle.close),
        amount(candle.volume),
        milliseconds(close_ns) - 1,
        amount(candle.quote_volume),
        candle.trades,
        amount(candle.taker_volume),
        amount(candle.taker_quote_volume),
        "0",
    ]


def levels(levels: Iterable[tuple[Decimal, Decimal]]) -> list[list[str]]:
    """(price, quantity) of one side of the book."""
    return [[amount(price), amount(quantity)] for price, quantity in levels]


def depth(depth: Depth) -> Json:
    """The book."""
    return {
        "lastUpdateId": depth.update_id,
        "bids": levels(depth.bids),
        "asks": levels(depth.asks),
    }


def mini_ticker(ticker: Ticker, symbol: str) -> Json:
    """Statistics of the last 24 hours, without quotes."""
    return {
        "symbol": symbol,
        "openPrice": amount(ticker.open),
        "highPrice": amount(ticker.high),
        "lowPrice": amount(ticker.low),
        "lastPrice": amount(ticker.last),
        "volume": amount(ticker.volume),
        "quoteVolume": amount(ticker.quote_volume),
        "openTime": milliseconds(ticker.open_ns),
        "closeTime": milliseconds(ticker.close_ns),
        "firstId": ticker.first_id,
        "lastId": ticker.last_id,
        "count": ticker.trades,
    }


def book_ticker(ticker: Ticker, symbol: str) -> Json:
    """The best quotes."""
    return {
        "symbol": symbol,
        "bidPrice": amount(ticker.bid),
        "bidQty": amount(ticker.bid_quantity),
        "askPrice": amount(ticker.ask),
        "askQty": amount(ticker.ask_quantity),
    }


def full_ticker(ticker: Ticker, symbol: str, last: PublicTrade | None) -> Json:
    """Statistics of the last 24 hours; `last` is the last trade."""
    return {
        **mini_ticker(ticker, symbol),
        **book_ticker(ticker, symbol),
        "priceChange": amount(ticker.last - ticker.open),
        "priceChangePercent": change_percent(ticker),
        "weightedAvgPrice": amount(mean_price(ticker)),
        "prevClosePrice": amount(ticker.open),
        "lastQty": amount(last.quantity if last else None),
    }


def mean_price(ticker: Ticker) -> Decimal:
    """Mean price by volume, to eight decimals; 0 without trades."""
    if not ticker.volume:
        return ZERO
    return round(ticker.quote_volume / ticker.volume, 8)


def change_percent(ticker: Ticker) -> str:
    """Change of the price in percent, three decimals."""
    change = (ticker.last - ticker.open) / ticker.open * 100 if ticker.open else ZERO
    return f"{change:.3f}"


def listing(listing: Listing, *, permission_sets: bool = True) -> Json:
    """A symbol and its rules, as `exchangeInfo` tells them."""
    return {
        "symbol": symbol_of(listing),
        "status": STATUS[listing.phase],
        "baseAsset": listing.base,
        "baseAssetPrecision": 8,
        "quoteAsset": listing.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": list(KINDS),
        "icebergAllowed": False,
        "ocoAllowed": False,
        "otoAllowed": False,
        "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": True,
        "amendAllowed": False,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": filters(listing),
        "permissions": [],
        "permissionSets": [["SPOT"]] if permission_sets else [],
        "defaultSelfTradePreventionMode": "NONE",
        "allowedSelfTradePreventionModes": list(SELF_TRADES),
    }


def filters(listing: Listing) -> list[Json]:
    """The rules that orders of a symbol must keep; all of them are enforced."""
    up, down = plain(listing.percent_up), plain(listing.percent_down)
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": amount(listing.min_price),
            "maxPrice": amount(listing.max_price),
            "tickSize": amount(listing.tick_size),
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": amount(listing.min_quantity),
            "maxQty": amount(listing.max_quantity),
            "stepSize": amount(listing.lot_size),
        },
        {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": amount(ZERO),
            "maxQty": amount(listing.max_market_quantity),
            "stepSize": amount(ZERO),
        },
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": up,
            "bidMultiplierDown": down,
            "askMultiplierUp": up,
            "askMultiplierDown": down,
            "avgPriceMins": 0,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": amount(listing.min_notional),
            "applyMinToMarket": True,
            "maxNotional": amount(listing.max_notional),
            "applyMaxToMarket": False,
            "avgPriceMins": 0,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": listing.max_orders},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": listing.max_algo_orders},
    ]
