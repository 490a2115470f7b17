"""One right message of each kind and venue, for tests that make them wrong."""

from decimal import Decimal
from typing import Any

from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import NS_PER_MS
from goalkick.ingest.wire.base import WireInstrument, WireSettings
from goalkick.ingest.wire.parser import WireParser, parser_for

MS = 1_700_000_000_000
ISO = "2023-11-14T22:13:20.000000Z"
NOW = MS * NS_PER_MS

SYMBOLS = {
    "binance": "BTCUSDT",
    "binanceusdm": "BTCUSDT",
    "bybit": "BTCUSDT",
    "bybitv2": "BTCUSDT",
    "coinbase": "BTC-USDT",
    "kraken": "XBT/USDT",
    "okx": "BTC-USDT",
}


def parser_of(venue: str, settings: WireSettings | None = None) -> WireParser:
    """A parser that knows BTC/USDT."""
    rules = Instrument(
        id=InstrumentId(f"{venue}:BTC/USDT"), base="BTC", quote="USDT", tick_size=Decimal("0.1")
    )
    aliases = ("BTC/USDT",) if venue == "kraken" else ()
    return parser_for(venue, [WireInstrument(SYMBOLS[venue], rules, True, aliases)], settings)


def binance_depth(first: int, last: int, bids: Any = (), asks: Any = ()) -> dict[str, Any]:
    """A change of Binance's book."""
    message = {"e": "depthUpdate", "E": MS, "s": "BTCUSDT", "U": first, "u": last}
    return message | {"b": [list(row) for row in bids], "a": [list(row) for row in asks]}


def bybit_book(kind: str, number: int, seq: int, bids: Any = (), asks: Any = ()) -> dict[str, Any]:
    """A snapshot or change of Bybit's book."""
    data = {"s": "BTCUSDT", "b": bids, "a": asks, "u": number, "seq": seq}
    return {"topic": "orderbook.50.BTCUSDT", "type": kind, "ts": MS, "cts": MS, "data": data}


def okx_book(
    action: str, previous: int, number: int, bids: Any = (), asks: Any = ()
) -> dict[str, Any]:
    """A snapshot or change of OKX's book, without checksum."""
    rows = [[[*row, "0", "1"] for row in side] for side in (bids, asks)]
    data = {"bids": rows[0], "asks": rows[1], "ts": str(MS), "prevSeqId": previous, "seqId": number}
    arg = {"channel": "books", "instId": "BTC-USDT"}
    return {"arg": arg, "action": action, "data": [data]}


def coinbase_levels(kind: str, number: int, levels: Any) -> dict[str, Any]:
    """A snapshot or change of Advanced Trade's book."""
    updates = [
        {"side": side, "event_time": ISO, "price_level": price, "new_quantity": quantity}
        for side, price, quantity in levels
    ]
    event = {"type": kind, "product_id": "BTC-USDT", "updates": updates}
    return {"channel": "l2_data", "timestamp": ISO, "sequence_num": number, "events": [event]}


BIDS, ASKS = [["100.0", "1"], ["99.0", "2"]], [["101.0", "1"], ["102.0", "2"]]
_TIMED = [["100.0", "1.0", "1700000000.000000"], ["99.0", "2.0", "1700000000.000000"]]
_TIMED_ASKS = [["101.0", "1.0", "1700000000.000000"]]

EXAMPLES: dict[str, list[Any]] = {
    "binance": [
        binance_depth(11, 12, BIDS, ASKS),
        {"e": "trade", "E": MS, "s": "BTCUSDT", "t": 7, "p": "100", "q": "1", "T": MS, "m": True},
        {"stream": "x", "data": {"u": 5, "s": "BTCUSDT", "b": "9", "B": "1", "a": "10", "A": "1"}},
        {"e": "aggTrade", "E": MS, "s": "BTCUSDT", "a": 7, "p": "1", "q": "1", "T": MS, "m": False},
        {
            "e": "kline",
            "k": {
                "t": MS - 80_000,
                "s": "BTCUSDT",
                "i": "1m",
                "o": "2",
                "c": "3",
                "h": "4",
                "l": "1",
                "v": "5",
                "n": 3,
                "x": True,
                "q": "12",
                "V": "2",
            },
        },
    ],
    "binanceusdm": [binance_depth(11, 12, BIDS, ASKS) | {"pu": 10}],
    "bybit": [
        bybit_book("snapshot", 10, 100, BIDS, ASKS),
        bybit_book("delta", 11, 101, [["100.0", "3"]]),
        bybit_book("snapshot", 10, 100, BIDS, ASKS) | {"topic": "orderbook.1.BTCUSDT"},
        {
            "topic": "publicTrade.BTCUSDT",
            "ts": MS,
            "data": [{"T": MS, "s": "BTCUSDT", "S": "Buy", "v": "1", "p": "100", "i": "a-b"}],
        },
        {
            "topic": "kline.1.BTCUSDT",
            "data": [
                {
                    "start": MS - 80_000,
                    "end": MS - 20_001,
                    "open": "2",
                    "high": "4",
                    "low": "1",
                    "close": "3",
                    "volume": "5",
                    "turnover": "12",
                    "confirm": True,
                }
            ],
        },
    ],
    "bybitv2": [
        {
            "topic": "orderBookL2_25.BTCUSDT",
            "type": "snapshot",
            "data": [
                {"price": "100.0", "side": "Buy", "size": 1},
                {"price": "101.0", "side": "Sell", "size": 2.5},
            ],
            "cross_seq": "5",
            "timestamp_e6": MS * 1000,
        },
        {
            "topic": "orderBookL2_25.BTCUSDT",
            "type": "delta",
            "data": {
                "delete": [{"price": "100.0", "side": "Buy"}],
                "update": [{"price": "101.0", "side": "Sell", "size": 3}],
                "insert": [{"price": "99.0", "side": "Buy", "size": 3}],
            },
            "cross_seq": "6",
            "timestamp_e6": MS * 1000,
        },
        {
            "topic": "trade.BTCUSDT",
            "data": [
                {"price": "1", "size": 2, "side": "Buy", "trade_id": "u", "trade_time_ms": MS}
            ],
        },
    ],
    "coinbase": [
        {"type": "snapshot", "product_id": "BTC-USDT", "bids": BIDS, "asks": ASKS},
        {
            "type": "l2update",
            "product_id": "BTC-USDT",
            "changes": [["buy", "100.0", "0"]],
            "time": ISO,
        },
        {
            "type": "match",
            "product_id": "BTC-USDT",
            "trade_id": 7,
            "side": "sell",
            "size": "1",
            "price": "100",
            "time": ISO,
        },
        {
            "type": "ticker",
            "product_id": "BTC-USDT",
            "best_bid": "9",
            "best_ask": "10",
            "best_bid_size": "1",
            "best_ask_size": "1",
            "time": ISO,
        },
        coinbase_levels("snapshot", 0, [("bid", "100", "1"), ("offer", "101", "1")]),
        coinbase_levels("update", 1, [("bid", "100", "0"), ("bid", "99", "1")]),
        {
            "channel": "market_trades",
            "timestamp": ISO,
            "sequence_num": 2,
            "events": [
                {
                    "type": "update",
                    "trades": [
                        {
                            "trade_id": "8",
                            "product_id": "BTC-USDT",
                            "price": "100",
                            "size": "1",
                            "side": "BUY",
                            "time": ISO,
                        }
                    ],
                }
            ],
        },
    ],
    "kraken": [
        [1, {"as": _TIMED_ASKS, "bs": _TIMED}, "book-10", "XBT/USDT"],
        [1, {"b": [["100.0", "0.0", "1700000000.1"]], "c": "0"}, "book-10", "XBT/USDT"],
        [1, [["100.0", "1.0", "1700000000.0", "b", "l", ""]], "trade", "XBT/USDT"],
        [1, ["100.0", "101.0", "1700000000.0", "1.0", "2.0"], "spread", "XBT/USDT"],
        [1, {"a": ["101.0", 1, "1.0"], "b": ["100.0", 1, "1.0"]}, "ticker", "XBT/USDT"],
        {
            "channel": "book",
            "type": "snapshot",
            "data": [
                {
                    "symbol": "BTC/USDT",
                    "bids": [{"price": 100.5, "qty": 1}],
                    "asks": [{"price": 101.5, "qty": 0.25}],
                    "checksum": 1,
                    "timestamp": ISO,
                }
            ],
        },
        {
            "channel": "trade",
            "type": "update",
            "data": [
                {
                    "symbol": "BTC/USDT",
                    "side": "buy",
                    "price": 100.5,
                    "qty": 0.1,
                    "trade_id": 7,
                    "timestamp": ISO,
                }
            ],
        },
        {
            "channel": "ohlc",
            "type": "update",
            "data": [
                {
                    "symbol": "BTC/USDT",
                    "interval": 1,
                    "interval_begin": ISO,
                    "open": 2.0,
                    "high": 4.0,
                    "low": 1.0,
                    "close": 3.0,
                    "volume": 5.0,
                    "trades": 3,
                }
            ],
        },
    ],
    "okx": [
        okx_book("snapshot", -1, 10, BIDS, ASKS),
        okx_book("update", 10, 12, [["100.0", "3"]]),
        {
            "arg": {"channel": "trades", "instId": "BTC-USDT"},
            "data": [{"tradeId": "7", "px": "100", "sz": "1", "side": "buy", "ts": str(MS)}],
        },
        {
            "arg": {"channel": "candle1m", "instId": "BTC-USDT"},
            "data": [[str(MS - 80_000), "2", "4", "1", "3", "5", "12", "12", "1"]],
        },
        {
            "arg": {"channel": "bbo-tbt", "instId": "BTC-USDT"},
            "data": [{"bids": [["9", "1"]], "asks": [["10", "1"]], "ts": str(MS), "seqId": 3}],
        },
    ],
}
