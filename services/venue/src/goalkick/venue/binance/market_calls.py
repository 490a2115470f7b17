"""Answers about the market: rules, books, trades, klines, tickers. Anybody may ask."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from goalkick.common.values.money import ZERO
from goalkick.common.values.time import NS_PER_MINUTE, NS_PER_MS
from goalkick.venue.binance import errors, klines, shapes
from goalkick.venue.binance.front import Call, limit_rules
from goalkick.venue.binance.symbols import STATUS, symbol_of
from goalkick.venue.engine.model import Listing

MOST_ROWS, USUAL_ROWS = 1_000, 500
MOST_LEVELS, USUAL_LEVELS = 5_000, 100
AVERAGE_MINUTES = 5

Row = TypeVar("Row")


def ping(_call: Call) -> dict[str, Any]:
    """Nothing."""
    return {}


def server_time(call: Call) -> dict[str, Any]:
    """What the venue's clock shows."""
    return {"serverTime": shapes.milliseconds(call.front.now_ns())}


def exchange_info(call: Call) -> dict[str, Any]:
    """Limits, and the rules of symbols."""
    listings = [one for one in _listings(call) if _has_status(call, one)]
    if "SPOT" not in call.get("permissions", "SPOT"):
        listings = []
    sets = call.get("showPermissionSets", True)
    return {
        "timezone": "UTC",
        "serverTime": shapes.milliseconds(call.front.now_ns()),
        "rateLimits": limit_rules(call.front),
        "exchangeFilters": [],
        "symbols": [shapes.listing(one, permission_sets=sets) for one in listings],
    }


def depth(call: Call) -> dict[str, Any]:
    """The book of a symbol."""
    listing = _listing(call)
    limit = min(call.get("limit", USUAL_LEVELS), MOST_LEVELS)
    told = shapes.depth(call.front.exchange.depth(listing.instrument, limit))
    told["lastUpdateId"] -= call.behind
    return told


def trades(call: Call) -> list[Any]:
    """The newest trades, or those from an id on."""
    rows = call.front.exchange.trades(_listing(call).instrument)
    if "fromId" in call.values:
        first = bisect_left(rows, call.values["fromId"], key=lambda trade: trade.trade_id)
        return [shapes.trade(one) for one in rows[first : first + row_limit(call)]]
    return [shapes.trade(one) for one in rows[-row_limit(call) :]]


def aggregate_trades(call: Call) -> list[Any]:
    """The newest aggregate trades, those from an id on, or those of a span of time."""
    rows = call.front.exchange.aggregate_trades(_listing(call).instrument)
    if "fromId" in call.values:
        if "startTime" in call.values or "endTime" in call.values:
            raise errors.bad_combination()
        first = bisect_left(rows, call.values["fromId"], key=lambda trade: trade.aggregate_id)
        chosen = rows[first : first + row_limit(call)]
    else:
        chosen = window(call, rows, lambda trade: trade.time_ns)
    return [shapes.aggregate_trade(one) for one in chosen]


def klines_of(call: Call) -> list[Any]:
    """Klines of a symbol; the last one is not closed."""
    interval = call.values["interval"]
    rows = klines.series(call.front.exchange, _listing(call).instrument, interval)
    chosen = window(call, rows, lambda candle: candle.open_ns)
    return [shapes.kline(one, interval.end(one.open_ns)) for one in chosen]


def average_price(call: Call) -> dict[str, Any]:
    """The mean price by volume of the last five minutes, or the last price."""
    exchange, instrument = call.front.exchange, _listing(call).instrument
    recent = exchange.candles(instrument, NS_PER_MINUTE)[-AVERAGE_MINUTES:]
    volume = sum((one.volume for one in recent), ZERO)
    quote = sum((one.quote_volume for one in recent), ZERO)
    ticker = exchange.ticker(instrument)
    price = round(quote / volume, 8) if volume else ticker.last
    last = exchange.trades(instrument)[-1:]
    closed_ns = last[0].time_ns if last else ticker.close_ns
    return {
        "mins": AVERAGE_MINUTES,
        "price": shapes.amount(price),
        "closeTime": shapes.milliseconds(closed_ns),
    }


def day_ticker(call: Call) -> Any:
    """Statistics of 24 hours, of one symbol, some, or all."""

    def told(listing: Listing) -> shapes.Json:
        exchange, instrument = call.front.exchange, listing.instrument
        ticker = exchange.ticker(instrument)
        if call.get("type") == "MINI":
            return shapes.mini_ticker(ticker, symbol_of(listing))
        last = exchange.trades(instrument)[-1:]
        return shapes.full_ticker(ticker, symbol_of(listing), last[0] if last else None)

    return _for_each(call, told)


def price_ticker(call: Call) -> Any:
    """Last prices."""

    def told(listing: Listing) -> shapes.Json:
        last = call.front.exchange.ticker(listing.instrument).last
        return {"symbol": symbol_of(listing), "price": shapes.amount(last)}

    return _for_each(call, told)


def book_ticker(call: Call) -> Any:
    """Best quotes."""

    def told(listing: Listing) -> shapes.Json:
        ticker = call.front.exchange.ticker(listing.instrument)
        return shapes.book_ticker(ticker, symbol_of(listing))

    return _for_each(call, told)


def row_limit(call: Call) -> int:
    """How many rows an answer may have."""
    return int(min(call.get("limit", USUAL_ROWS), MOST_ROWS))


def window(call: Call, rows: Sequence[Row], time_of: Callable[[Row], int]) -> Sequence[Row]:
    """Rows of the call's span of time, oldest first.

    With `startTime` the oldest from there on, without it the newest up to `endTime` (inclusive,
    to the millisecond).
    """
    limit = row_limit(call)
    end_ns = call.get("endTime")
    last = len(rows) if end_ns is None else bisect_right(rows, end_ns + NS_PER_MS - 1, key=time_of)
    if "startTime" not in call.values:
        return rows[max(0, last - limit) : last]
    first = bisect_left(rows, call.values["startTime"], key=time_of)
    return rows[first : min(last, first + limit)]


def _listing(call: Call) -> Listing:
    listing = call.front.symbols.listing(call.values["symbol"])
    if not _has_status(call, listing):
        raise errors.ApiError(
            -1220, "The symbol's status does not match the requested symbolStatus."
        )
    return listing


def _has_status(call: Call, listing: Listing) -> bool:
    status = STATUS[listing.phase]
    return bool(call.get("symbolStatus", status) == status)


def _listings(call: Call) -> list[Listing]:
    if "symbol" in call.values:
        if "symbols" in call.values:
            raise errors.bad_combination()
        return [_listing(call)]
    if "symbols" in call.values:
        return call.front.symbols.chosen(call.values["symbols"])
    return list(call.front.symbols)


def _for_each(call: Call, told: Callable[[Listing], shapes.Json]) -> Any:
    """One answer for `symbol`, a list of them otherwise."""
    listings = _listings(call)
    if "symbol" in call.values:
        return told(listings[0])
    return [told(listing) for listing in listings if _has_status(call, listing)]
