"""Public queries: each takes the front end and checked parameters, and returns `result`."""

from itertools import islice
from typing import Any

from goalkick.common.values.time import NS_PER_MS, NS_PER_SECOND
from goalkick.venue.binance import klines
from goalkick.venue.bybit import errors, forms
from goalkick.venue.bybit.front import Front
from goalkick.venue.bybit.parameters import (
    ANY_SYMBOL,
    CATEGORY,
    SYMBOL,
    TEXT,
    TIME,
    Field,
    within,
)

Asked = dict[str, Any]
Result = dict[str, Any]

INTERVALS = {
    **{text: klines.INTERVALS[f"{text}m"] for text in ("1", "3", "5", "15", "30")},
    **{str(60 * hours): klines.INTERVALS[f"{hours}h"] for hours in (1, 2, 4, 6, 12)},
    "D": klines.INTERVALS["1d"],
    "W": klines.INTERVALS["1w"],
    "M": klines.INTERVALS["1M"],
}
"""Bybit's names of intervals."""


def interval_of(text: str) -> str:
    """The name of a known interval."""
    if text not in INTERVALS:
        raise errors.bad_parameter("Invalid period!")
    return text


TIME_FIELDS: dict[str, Field] = {}
INSTRUMENT_FIELDS = {
    "category": CATEGORY,
    "symbol": ANY_SYMBOL,
    "status": TEXT,
    "baseCoin": TEXT,
    "limit": Field(within(1, 1000)),
    "cursor": TEXT,
}
KLINE_FIELDS = {
    "category": CATEGORY,
    "symbol": SYMBOL,
    "interval": Field(interval_of, required=True),
    "start": TIME,
    "end": TIME,
    "limit": Field(within(1, 1000), default=200),
}
TRADE_FIELDS = {
    "category": CATEGORY,
    "symbol": SYMBOL,
    "baseCoin": TEXT,
    "optionType": TEXT,
    "limit": Field(within(1, 60), default=60),
}
BOOK_FIELDS = {
    "category": CATEGORY,
    "symbol": SYMBOL,
    "limit": Field(within(1, 200), default=1),
}
TICKER_FIELDS = {"category": CATEGORY, "symbol": ANY_SYMBOL, "baseCoin": TEXT}


def server_time(front: Front, _: Asked) -> Result:
    """The venue's clock."""
    now_ns = front.context.clock.now_ns()
    return {"timeSecond": str(now_ns // NS_PER_SECOND), "timeNano": str(now_ns)}


def instruments(front: Front, asked: Asked) -> Result:
    """Symbols and their rules."""
    found = [
        forms.instrument(listing)
        for symbol, listing in front.listings()
        if asked["symbol"] in (None, symbol)
        and asked["baseCoin"] in (None, listing.base)
        and asked["status"] in (None, forms.PHASES[listing.phase])
    ]
    if asked["symbol"] and not found:
        raise errors.bad_symbol()
    return {"category": "spot", "list": found}


def kline(front: Front, asked: Asked) -> Result:
    """Klines, newest first; the newest may not be closed."""
    listing = front.listing(asked["symbol"])
    candles = klines.series(front.exchange, listing.instrument, INTERVALS[asked["interval"]])
    start, end = asked["start"], asked["end"]
    chosen = [
        candle
        for candle in candles
        if (start is None or candle.open_ns >= start * NS_PER_MS)
        and (end is None or candle.open_ns <= end * NS_PER_MS)
    ]
    # With a start alone it is the oldest that are told, else the newest.
    only_start = start is not None and end is None
    told = chosen[: asked["limit"]] if only_start else chosen[-asked["limit"] :]
    return {
        "category": "spot",
        "symbol": asked["symbol"],
        "list": [forms.kline(candle) for candle in reversed(told)],
    }


def recent_trades(front: Front, asked: Asked) -> Result:
    """The last trades, newest first."""
    listing = front.listing(asked["symbol"])
    trades = front.exchange.trades(listing.instrument)
    return {
        "category": "spot",
        "list": [
            forms.trade(trade, asked["symbol"], trade.trade_id)
            for trade in islice(reversed(trades), asked["limit"])
        ],
    }


def order_book(front: Front, asked: Asked) -> Result:
    """The book; `u` is of the exchange's own count, not of any stream's."""
    listing = front.listing(asked["symbol"])
    depth = front.exchange.depth(listing.instrument, asked["limit"])
    now_ms = front.now_ms()
    return {
        "s": asked["symbol"],
        "b": forms.levels(depth.bids),
        "a": forms.levels(depth.asks),
        "ts": now_ms,
        "u": depth.update_id,
        "seq": depth.update_id,
        "cts": now_ms,
    }


def tickers(front: Front, asked: Asked) -> Result:
    """The last 24 hours of one symbol, or of all."""
    if asked["symbol"]:
        front.listing(asked["symbol"])
    return {
        "category": "spot",
        "list": [
            forms.ticker(front.exchange.ticker(listing.instrument), symbol)
            for symbol, listing in front.listings()
            if asked["symbol"] in (None, symbol)
        ],
    }
