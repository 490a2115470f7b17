"""What is particular to each venue whose streams are listened to: addresses, words, requests.

Only venues are here that were proven against an exchange that fails on purpose; others can be
polled. Where an endpoint is given, every address that it does not replace points to a closed port.
"""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from goalkick.common.core.errors import InvalidDataError, SettingsError
from goalkick.common.events.market import VenueStatus
from goalkick.common.values.time import NS_PER_MS
from goalkick.ingest.feeds.stream_health import Kind

NOWHERE: Final = "http://127.0.0.1:9"
"""Nobody listens there: what an endpoint does not serve must fail, not reach the real venue."""

Spoken = tuple[str, Kind]
"""The venue's symbol, and what a message says of it."""
Request = Awaitable[Any]


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """How one venue is spoken to.

    Attributes:
        options: ccxt's, beside those of all venues.
        point: replaces the addresses of a client by those of an endpoint.
        chunk: most streams that one request subscribes to.
        stream_of: what a message is about; None: it is no market data.
        farewell: whether a message says that the connection will end soon.
        settled: whether a message acknowledges a subscription and ccxt must not see it: it would
            ask for a snapshot of every book, three times at once if it is refused.
        refusal: why a subscription was refused; None: the message is no refusal.
        numbered: whether trade ids are consecutive numbers.
        trades_limit: most trades that the venue tells again at once.
        bars_limit: most bars at once.
        ask_book: asks for a book of so many levels of each side.
        ask_bars: asks for bars by ccxt's timeframe, from a time (ns) on, with a length (ns).
        ask_trades: asks for the last trades.
        ask_rules: asks for the rules of these symbols, or of all.
        statuses: what an answer with rules says may be done, by symbol.
    """

    options: Mapping[str, Any]
    point: Callable[[Any, str], None]
    chunk: int
    stream_of: Callable[[Any], Spoken | None]
    farewell: Callable[[Any], bool]
    settled: Callable[[Any], bool]
    refusal: Callable[[Any], str | None]
    numbered: bool
    trades_limit: int
    bars_limit: int
    ask_book: Callable[[Any, str, int], Request]
    ask_bars: Callable[[Any, str, str, int, int, int], Request]
    ask_trades: Callable[[Any, str, int], Request]
    ask_rules: Callable[[Any, Sequence[str]], Request]
    statuses: Callable[[Any], dict[str, VenueStatus]]


_BINANCE_KINDS: Final = {
    "kline": Kind.BAR,
    "trade": Kind.TRADE,
    "bookTicker": Kind.QUOTE,
    "depthUpdate": Kind.BOOK,
}


def _binance_stream_of(message: Any) -> Spoken | None:
    kind = _BINANCE_KINDS.get(message.get("e"))
    if kind is None:
        # The best quotes of the spot market come without a word for what they are.
        if "u" not in message or "B" not in message:
            return None
        kind = Kind.QUOTE
    return message.get("s"), kind


def _binance_refusal(message: Any) -> str | None:
    error = message.get("error")
    return None if error is None else str(error)


def _binance_point(client: Any, endpoint: str) -> None:
    # ccxt tells spot from futures by `/stream` in the address.
    streams = _websocket(endpoint) + "/stream/ws"
    api = _pinned(client.urls["api"])
    api.update({"public": f"{endpoint}/api/v3", "private": f"{endpoint}/api/v3"})
    api["ws"].update({"spot": streams, "margin": streams})
    client.urls["api"] = api


def _binance_book(client: Any, symbol: str, levels: int) -> Request:
    return _asked(client.publicGetDepth({"symbol": symbol, "limit": levels}))


def _binance_bars(
    client: Any, symbol: str, timeframe: str, since_ns: int, _interval_ns: int, limit: int
) -> Request:
    query = {
        "symbol": symbol,
        "interval": client.timeframes[timeframe],
        "startTime": since_ns // NS_PER_MS,
        "limit": limit,
    }
    return _asked(client.publicGetKlines(query))


def _binance_trades(client: Any, symbol: str, limit: int) -> Request:
    return _asked(client.publicGetTrades({"symbol": symbol, "limit": limit}))


async def _binance_rules(client: Any, symbols: Sequence[str]) -> Any:
    query = {"symbols": json.dumps(list(symbols), separators=(",", ":"), ensure_ascii=False)}
    try:
        return await client.publicGetExchangeInfo(query)
    except Exception as error:
        if "-1121" not in str(error) and "-1100" not in str(error):
            raise
        # One of them is gone, and with it the whole answer.
        return await client.publicGetExchangeInfo()


_BINANCE_STATUS: Final = {
    "TRADING": VenueStatus.TRADING,
    "CANCEL_ONLY": VenueStatus.CANCEL_ONLY,
}


def _binance_statuses(body: Any) -> dict[str, VenueStatus]:
    return {
        row["symbol"]: _BINANCE_STATUS.get(row["status"], VenueStatus.HALTED)
        for row in body["symbols"]
    }


_BYBIT_KINDS: Final = {"kline": Kind.BAR, "publicTrade": Kind.TRADE, "orderbook": Kind.BOOK}


def _bybit_stream_of(message: Any) -> Spoken | None:
    topic = message.get("topic")
    if topic is None:
        return None
    first, _, rest = topic.partition(".")
    kind = _BYBIT_KINDS.get(first)
    if kind is None:
        return None
    variant, _, symbol = rest.rpartition(".")
    return symbol, Kind.QUOTE if kind is Kind.BOOK and variant == "1" else kind


def _bybit_refusal(message: Any) -> str | None:
    return str(message.get("ret_msg")) if message.get("success") is False else None


def _bybit_point(client: Any, endpoint: str) -> None:
    api = _pinned(client.urls["api"])
    api.update(dict.fromkeys(("public", "private", "spot", "futures", "v2"), endpoint))
    api["ws"]["public"]["spot"] = _websocket(endpoint) + "/v5/public/spot"
    client.urls["api"] = api


def _bybit_book(client: Any, symbol: str, levels: int) -> Request:
    query = {"category": "spot", "symbol": symbol, "limit": min(levels, 200)}
    return _asked(client.publicGetV5MarketOrderbook(query))


def _bybit_bars(
    client: Any, symbol: str, timeframe: str, since_ns: int, interval_ns: int, limit: int
) -> Request:
    query = {
        "category": "spot",
        "symbol": symbol,
        "interval": client.timeframes[timeframe],
        "start": since_ns // NS_PER_MS,
        "end": (since_ns + limit * interval_ns) // NS_PER_MS - 1,
        "limit": limit,
    }
    return _asked(client.publicGetV5MarketKline(query))


def _bybit_trades(client: Any, symbol: str, limit: int) -> Request:
    query = {"category": "spot", "symbol": symbol, "limit": limit}
    return _asked(client.publicGetV5MarketRecentTrade(query))


def _bybit_rules(client: Any, _symbols: Sequence[str]) -> Request:
    return _asked(client.publicGetV5MarketInstrumentsInfo({"category": "spot"}))


def _bybit_statuses(body: Any) -> dict[str, VenueStatus]:
    return {
        row["symbol"]: VenueStatus.TRADING if row["status"] == "Trading" else VenueStatus.HALTED
        for row in body["result"]["list"]
    }


async def _asked(request: Request) -> Any:
    return await request


def _websocket(endpoint: str) -> str:
    return endpoint.replace("http", "ws", 1)


def _pinned(node: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _pinned(value) if isinstance(value, dict) else NOWHERE for key, value in node.items()
    }


DIALECTS: Final[Mapping[str, Dialect]] = {
    "binance": Dialect(
        options={"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}},
        point=_binance_point,
        chunk=200,
        stream_of=_binance_stream_of,
        farewell=lambda message: message.get("e") == "serverShutdown",
        settled=lambda message: "result" in message and "error" not in message,
        refusal=_binance_refusal,
        numbered=True,
        trades_limit=1000,
        bars_limit=1000,
        ask_book=_binance_book,
        ask_bars=_binance_bars,
        ask_trades=_binance_trades,
        ask_rules=_binance_rules,
        statuses=_binance_statuses,
    ),
    "bybit": Dialect(
        options={"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}},
        point=_bybit_point,
        chunk=10,
        stream_of=_bybit_stream_of,
        farewell=lambda _: False,
        settled=lambda _: False,
        refusal=_bybit_refusal,
        numbered=False,
        trades_limit=60,
        bars_limit=1000,
        ask_book=_bybit_book,
        ask_bars=_bybit_bars,
        ask_trades=_bybit_trades,
        ask_rules=_bybit_rules,
        statuses=_bybit_statuses,
    ),
}
"""By ccxt's name of the venue."""


def dialect_of(venue: str) -> Dialect:
    """How a venue is spoken to.

    Raises:
        SettingsError: its streams cannot be listened to.
    """
    if venue not in DIALECTS:
        raise SettingsError(
            f"ingest.ccxt.transport: expected poll for {venue}, found stream, which is known for "
            f"{', '.join(DIALECTS)}"
        )
    return DIALECTS[venue]


def statuses_of(dialect: Dialect, body: Any) -> dict[str, VenueStatus]:
    """What may be done with each symbol of an answer with rules.

    Raises:
        InvalidDataError: it is no such answer.
    """
    try:
        return dialect.statuses(body)
    except (KeyError, TypeError) as error:
        raise InvalidDataError(
            f"expected a list of instruments, found {str(body)[:80]!r} ({error!r})"
        ) from None


def watches(
    client: Any, dialect: Dialect, kind: Kind, names: Sequence[str], timeframe: str
) -> Iterator[Callable[[], Request]]:
    """What subscribes a client to a kind of stream of these instruments, some at a time."""
    subscribe = {
        Kind.BAR: client.watch_ohlcv_for_symbols,
        Kind.TRADE: client.watch_trades_for_symbols,
        Kind.QUOTE: client.watch_bids_asks,
        Kind.BOOK: client.watch_order_book_for_symbols,
    }[kind]
    for first in range(0, len(names), dialect.chunk):
        chunk = names[first : first + dialect.chunk]
        asked = [[name, timeframe] for name in chunk] if kind is Kind.BAR else list(chunk)
        yield partial(subscribe, asked)
