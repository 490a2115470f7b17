"""How the exchange's things look on Bybit's wire: orders, executions, coins, tickers, rules.

Amounts and times are texts; times are milliseconds unless a name says otherwise.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from goalkick.common.values.money import ZERO, plain
from goalkick.common.values.time import NS_PER_MS
from goalkick.venue.engine.model import (
    Balance,
    Candle,
    Fill,
    Kind,
    Listing,
    Order,
    Phase,
    PublicTrade,
    Side,
    Status,
    Ticker,
    TimeInForce,
)

Json = dict[str, Any]

SIDES = {"Buy": Side.BUY, "Sell": Side.SELL}
SIDE_NAMES = {side: name for name, side in SIDES.items()}
PHASES = {
    Phase.TRADING: "Trading",
    Phase.HALT: "Closed",
    Phase.BREAK: "Closed",
    Phase.CANCEL_ONLY: "Closed",
}
STATUSES = {
    Status.PENDING: "Untriggered",
    Status.NEW: "New",
    Status.PARTIALLY_FILLED: "PartiallyFilled",
    Status.FILLED: "Filled",
    Status.REJECTED: "Rejected",
}
MARKET_KINDS = frozenset({Kind.MARKET, Kind.STOP_LOSS, Kind.TAKE_PROFIT})
_QUOTE_DIGITS = Decimal("0.00000001")


def milliseconds(time_ns: int) -> str:
    """A time on the wire."""
    return str(time_ns // NS_PER_MS)


def symbol_of(listing: Listing) -> str:
    """An instrument's symbol."""
    return f"{listing.base}{listing.quote}"


def instrument(listing: Listing) -> Json:
    """A symbol and its rules."""
    return {
        "symbol": symbol_of(listing),
        "baseCoin": listing.base,
        "quoteCoin": listing.quote,
        "innovation": "0",
        "status": PHASES[listing.phase],
        "marginTrading": "none",
        "stTag": "0",
        "lotSizeFilter": {
            "basePrecision": plain(listing.lot_size),
            "quotePrecision": plain(_QUOTE_DIGITS),
            "minOrderQty": plain(listing.min_quantity),
            "maxOrderQty": plain(listing.max_quantity),
            "minOrderAmt": plain(listing.min_notional),
            "maxOrderAmt": plain(listing.max_notional),
            "maxLimitOrderQty": plain(listing.max_quantity),
            "maxMarketOrderQty": plain(listing.max_market_quantity),
        },
        "priceFilter": {"tickSize": plain(listing.tick_size)},
        "riskParameters": {
            "priceLimitRatioX": plain(listing.percent_up - 1),
            "priceLimitRatioY": plain(1 - listing.percent_down),
        },
    }


def ticker(ticker: Ticker, symbol: str) -> Json:
    """The last 24 hours and the best quotes."""
    return {
        "symbol": symbol,
        "bid1Price": plain(ticker.bid),
        "bid1Size": plain(ticker.bid_quantity),
        "ask1Price": plain(ticker.ask),
        "ask1Size": plain(ticker.ask_quantity),
        **_day(ticker),
    }


def stream_ticker(ticker: Ticker, symbol: str) -> Json:
    """The same on the stream, which has no quotes."""
    return {"symbol": symbol, **_day(ticker)}


def _day(ticker: Ticker) -> Json:
    change = (ticker.last - ticker.open) / ticker.open if ticker.open else ZERO
    return {
        "lastPrice": plain(ticker.last),
        "prevPrice24h": plain(ticker.open),
        "price24hPcnt": plain(round(change, 4)),
        "highPrice24h": plain(ticker.high),
        "lowPrice24h": plain(ticker.low),
        "turnover24h": plain(ticker.quote_volume),
        "volume24h": plain(ticker.volume),
        "usdIndexPrice": "",
    }


def levels(side: Iterable[tuple[Decimal, Decimal]]) -> list[list[str]]:
    """(price, quantity) of one side of the book."""
    return [[plain(price), plain(quantity)] for price, quantity in side]


def kline(candle: Candle) -> list[str]:
    """A kline of a query."""
    return [
        milliseconds(candle.open_ns),
        plain(candle.open),
        plain(candle.high),
        plain(candle.low),
        plain(candle.close),
        plain(candle.volume),
        plain(candle.quote_volume),
    ]


def stream_kline(candle: Candle, interval: str, end_ns: int, *, now_ns: int, closed: bool) -> Json:
    """A kline of the stream; `end_ns` is the end of its span, exclusive."""
    return {
        "start": candle.open_ns // NS_PER_MS,
        "end": end_ns // NS_PER_MS - 1,
        "interval": interval,
        "open": plain(candle.open),
        "close": plain(candle.close),
        "high": plain(candle.high),
        "low": plain(candle.low),
        "volume": plain(candle.volume),
        "turnover": plain(candle.quote_volume),
        "confirm": closed,
        "timestamp": now_ns // NS_PER_MS,
    }


def taker_side(trade: PublicTrade) -> str:
    """Who crossed the spread."""
    return "Sell" if trade.buyer_is_maker else "Buy"


def trade(trade: PublicTrade, symbol: str, sequence: int) -> Json:
    """A public trade of a query."""
    return {
        "execId": str(trade.trade_id),
        "symbol": symbol,
        "price": plain(trade.price),
        "size": plain(trade.quantity),
        "side": taker_side(trade),
        "time": milliseconds(trade.time_ns),
        "isBlockTrade": False,
        "isRPITrade": False,
        "seq": str(sequence),
    }


def stream_trade(trade: PublicTrade, symbol: str, sequence: int) -> Json:
    """A public trade of the stream."""
    return {
        "T": trade.time_ns // NS_PER_MS,
        "s": symbol,
        "S": taker_side(trade),
        "v": plain(trade.quantity),
        "p": plain(trade.price),
        "i": str(trade.trade_id),
        "BT": False,
        "RPI": False,
        "seq": sequence,
    }


def status(order: Order) -> str:
    """An order's status; one that ended with a part filled has a word of its own on spot."""
    known = STATUSES.get(order.status)
    if known is not None:
        return known
    if order.executed:
        return "PartiallyFilledCanceled"
    return "Deactivated" if order.stop_price is not None and not order.working_ns else "Cancelled"


def _reject_reason(order: Order) -> str:
    if order.status is Status.EXPIRED and order.kind in MARKET_KINDS:
        return "EC_NoImmediateQtyToFill"
    if order.status is Status.CANCELLED:
        return "EC_PerCancelRequest"
    if order.status is Status.REJECTED and order.kind is Kind.LIMIT_MAKER:
        return "EC_PostOnlyWillTakeLiquidity"
    return "EC_NoError"


def _cancel_type(order: Order) -> str:
    if order.by_dead_man:
        return "CancelByDCP"
    match order.status:
        case Status.CANCELLED:
            return "CancelByUser"
        case Status.EXPIRED_IN_MATCH:
            return "CancelBySmp"
        case _:
            return "UNKNOWN"


def order(order: Order, symbol: str) -> Json:
    """An order as it stands."""
    by_quote = order.quote_quantity is not None
    wanted = order.quote_quantity if order.quote_quantity is not None else order.quantity
    average = order.quote_executed / order.executed if order.executed else None
    is_market = order.kind in MARKET_KINDS
    left = order.left if order.is_open and not by_quote else ZERO
    return {
        "symbol": symbol,
        "orderId": str(order.order_id),
        "orderLinkId": order.client_order_id,
        "side": SIDE_NAMES[order.side],
        "orderType": "Market" if is_market else "Limit",
        "timeInForce": _time_in_force(order, is_market=is_market),
        "price": plain(order.price) if order.price is not None else "0",
        "qty": plain(wanted),
        "marketUnit": ("quoteCoin" if by_quote else "baseCoin") if is_market else "",
        "orderStatus": status(order),
        "leavesQty": plain(left),
        "leavesValue": plain(left * (order.price or ZERO)),
        "cumExecQty": plain(order.executed),
        "cumExecValue": plain(order.quote_executed),
        "cumExecFee": plain(sum((fill.fee for fill in order.fills), ZERO)),
        "cumFeeDetail": _fees(order.fills),
        "avgPrice": plain(round(average, 8)) if average is not None else "",
        "triggerPrice": plain(order.stop_price) if order.stop_price is not None else "",
        "stopOrderType": "" if order.stop_price is None else "Stop",
        "orderIv": "",
        "takeProfit": "",
        "stopLoss": "",
        "cancelType": _cancel_type(order),
        "rejectReason": _reject_reason(order),
        "createType": "CreateByUser",
        "isLeverage": "0",
        "smpType": order.self_trade.upper() if order.self_trade != "none" else "None",
        "smpGroup": 0,
        "smpOrderId": "",
        "createdTime": milliseconds(order.created_ns),
        "updatedTime": milliseconds(order.updated_ns),
    }


def _time_in_force(order: Order, *, is_market: bool) -> str:
    if order.kind is Kind.LIMIT_MAKER:
        return "PostOnly"
    return TimeInForce.IOC.upper() if is_market else order.time_in_force.upper()


def _fees(fills: Iterable[Fill]) -> dict[str, str]:
    totals: dict[str, Decimal] = {}
    for fill in fills:
        totals[fill.fee_asset] = totals.get(fill.fee_asset, ZERO) + fill.fee
    return {asset: plain(total) for asset, total in totals.items()}


def execution(fill: Fill, order: Order, symbol: str, rules: Listing) -> Json:
    """A fill of an account's order."""
    is_market = order.kind in MARKET_KINDS
    by_then = (each for each in order.fills if each.execution_id <= fill.execution_id)
    left = order.quantity - sum((each.quantity for each in by_then), ZERO)
    return {
        "symbol": symbol,
        "orderId": str(fill.order_id),
        "orderLinkId": fill.client_order_id,
        "side": SIDE_NAMES[fill.side],
        "orderPrice": plain(order.price) if order.price is not None else "0",
        "orderQty": plain(order.quantity),
        "leavesQty": plain(max(left, ZERO)),
        "orderType": "Market" if is_market else "Limit",
        "stopOrderType": "",
        "createType": "CreateByUser",
        "execFee": plain(fill.fee),
        "feeCurrency": fill.fee_asset,
        "feeRate": plain(rules.maker_fee if fill.maker else rules.taker_fee),
        "execId": str(fill.execution_id),
        "execPrice": plain(fill.price),
        "execQty": plain(fill.quantity),
        "execValue": plain(fill.quote_quantity),
        "execType": "Trade",
        "execTime": milliseconds(fill.time_ns),
        "isMaker": fill.maker,
        "isLeverage": "0",
        "marketUnit": "",
        "extraFees": "",
        "seq": fill.execution_id,
    }


def wallet(balances: Mapping[str, Balance]) -> Json:
    """An account's coins, without values in dollars: the venue knows no dollar."""
    return {
        "accountType": "UNIFIED",
        "accountLTV": "",
        "accountIMRate": "",
        "accountMMRate": "",
        "totalEquity": "",
        "totalWalletBalance": "",
        "totalMarginBalance": "",
        "totalAvailableBalance": "",
        "totalPerpUPL": "",
        "totalInitialMargin": "",
        "totalMaintenanceMargin": "",
        "coin": [_coin(asset, balances[asset]) for asset in sorted(balances)],
    }


def _coin(asset: str, balance: Balance) -> Json:
    total = plain(balance.free + balance.locked)
    return {
        "coin": asset,
        "equity": total,
        "usdValue": "",
        "walletBalance": total,
        "free": "",
        "locked": plain(balance.locked),
        "borrowAmount": "0",
        "availableToBorrow": "",
        "availableToWithdraw": "",
        "accruedInterest": "0",
        "totalOrderIM": "0",
        "totalPositionIM": "0",
        "totalPositionMM": "0",
        "unrealisedPnl": "0",
        "cumRealisedPnl": "0",
        "bonus": "0",
        "collateralSwitch": True,
        "marginCollateral": True,
        "spotBorrow": "0",
    }
