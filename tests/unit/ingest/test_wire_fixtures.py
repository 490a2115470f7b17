"""Other projects' recorded and documented messages and answers: taken, ignored or refused, told."""

import gzip
import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.market import BarClosed, TradePrinted
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import NS_PER_MINUTE, NS_PER_SECOND
from goalkick.ingest.wire.base import WireInstrument, WireSettings
from goalkick.ingest.wire.parser import WireParser, instruments_of, parser_for
from tests.unit.ingest.wire_sessions import lines_of

pytestmark = pytest.mark.data

D = Decimal
NOW = 1_800_000_000 * NS_PER_SECOND
ANY_TIME = WireSettings(max_ahead_ns=10**19, max_behind_ns=10**19)


def parser_of(venue: str, symbol: str) -> tuple[WireParser, InstrumentId]:
    rules = Instrument(
        id=InstrumentId(f"{venue}:BTC/USD"), base="BTC", quote="USD", tick_size=D("0.1")
    )
    return parser_for(venue, [WireInstrument(symbol, rules)], ANY_TIME), rules.id


def bodies(path: Path) -> list[Any]:
    """One JSON document, or one a line."""
    text = "".join(lines_of(path)).replace("%s", "BTCUSDT")
    try:
        return [json.loads(text)]
    except ValueError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]


STREAMS: list[tuple[str, str, str, dict[str, int], list[str]]] = [
    (
        "binance",
        "BNBBTC",
        "gocryptotrader/binance_ws*",
        {"depth": 1, "trade": 1, "ignored 24hrTicker": 1, "ignored executionReport": 1},
        # The documentation's example of a kline has a low above its open.
        ["expected low <= open, close <= high, found 0.0015, 0.0010, 0.0020, 0.0025"],
    ),
    (
        "kraken",
        "XBT/USD",
        "gocryptotrader/kraken_ws*",
        {
            "trade": 4,
            "best": 2,
            "book": 3,
            "checksum verified": 2,
            "running bar": 1,
            "ignored reply": 2,
            "ignored ownTrades": 1,
            "ignored openOrders": 6,
        },
        [],
    ),
    (
        "kraken",
        "XBT/USD",
        "xchange/stream-kraken/*",
        # Its updates do not belong to its snapshot.
        {"trade": 2, "book": 4, "wrong checksum": 1, "ignored: another instrument": 1},
        [],
    ),
    (
        "kraken",
        "BTC/USD",
        "nautilus/kraken/ws_*",
        # Its checksums are made up, and the books are not believed.
        {"trade": 2, "best": 1, "book": 2, "wrong checksum": 1, "ignored level3": 5},
        [],
    ),
    (
        "okx",
        "BTC-USDT",
        "gocryptotrader/okx_ws*",
        {"trade": 2, "ignored orders": 4},
        [],
    ),
    (
        "okx",
        "BTC-USDT",
        "nautilus/okx/ws_*",
        {"best": 2, "bar": 1, "book": 2, "wrong checksum": 1, "ignored orders": 7},
        ["expected an object, found list"],
    ),
    (
        "bybit",
        "BTCUSDT",
        "gocryptotrader/bybit_ws*",
        {"ignored tickers": 8, "ignored order": 2, "ignored execution": 1},
        [],
    ),
    (
        "bybit",
        "BTCUSDT",
        "xchange/stream-bybit/*",
        {"book": 1, "snapshot": 1, "trade": 1, "ignored order": 1, "ignored position": 1},
        [],
    ),
    (
        "coinbase",
        "BTC-USD",
        "nautilus/coinbase/ws_*",
        {"book": 2, "snapshot": 1, "trade": 2, "best": 1, "running bar": 1, "ignored user": 1},
        [],
    ),
]


@pytest.mark.parametrize(
    ("venue", "symbol", "files", "counts", "refused"), STREAMS, ids=[row[2] for row in STREAMS]
)
def test_stream_messages_are_taken_ignored_or_refused(
    venue: str,
    symbol: str,
    files: str,
    counts: dict[str, int],
    refused: list[str],
    recorded_data: Path,
) -> None:
    parser, _ = parser_of(venue, symbol)
    errors = []
    for path in sorted((recorded_data / "payloads").glob(files)):
        for body in bodies(path):
            before = Counter(parser.counts)
            try:
                parser.parse(body, NOW)
            except InvalidDataError as error:
                errors.append(str(error))
            assert parser.counts != before
    assert {what: parser.counts[what] for what in counts} == counts
    assert len(errors) == len(refused)
    assert all(told in error for told, error in zip(refused, errors, strict=True))


ANSWERS = [
    ("okx", "nautilus/okx/http_get_order_book.json", "book", 1),
    ("okx", "nautilus/okx/http_get_trades.json", "trades", 2),
    ("okx", "nautilus/okx/http_get_candlesticks.json", "bars", 0),
    ("okx", "nautilus/okx/http_get_candlesticks_full.json", "bars", 2),
    ("kraken", "nautilus/kraken/http_order_book.json", "book", 1),
    ("kraken", "nautilus/kraken/http_trades.json.gz", "trades", 1000),
    ("kraken", "nautilus/kraken/http_ohlc.json.gz", "bars", 720),
    ("kraken", "xchange/kraken/example-depth-data.json", "book", 1),
    ("kraken", "xchange/kraken/example-trades-data.json", "trades", 14),
    ("kraken", "xchange/kraken/example-ohlc-data.json", "bars", 719),
    ("coinbase", "nautilus/coinbase/http_product_book.json", "book", 1),
    ("coinbase", "nautilus/coinbase/http_ticker.json", "trades", 3),
    ("coinbase", "nautilus/coinbase/http_candles.json", "bars", 2),
    ("coinbase", "xchange/coinbasepro/example-historical-candles.json", "bars", 10),
    ("binance", "xchange/binance/depth.json", "book", 2),
]


@pytest.mark.parametrize(("venue", "file", "what", "count"), ANSWERS, ids=[a[1] for a in ANSWERS])
def test_answers_become_events_oldest_first(
    venue: str, file: str, what: str, count: int, recorded_data: Path
) -> None:
    parser, instrument = parser_of(venue, "?")
    [body] = bodies(recorded_data / "payloads" / file)
    if what == "book":
        events = parser.book(instrument, body, NOW)
    elif what == "trades":
        events = parser.trades(instrument, body, NOW)
    else:
        events = parser.bars(instrument, body, NOW, NS_PER_MINUTE)
    assert len(events) == count
    times = [event.time_ns for event in events]
    assert times == sorted(times)
    assert len({event.id for event in events}) == count


def test_kraken_trades_of_answers_have_ids_without_a_gap(recorded_data: Path) -> None:
    parser, instrument = parser_of("kraken", "?")
    [body] = bodies(recorded_data / "payloads/nautilus/kraken/http_trades.json.gz")
    trades = [e for e in parser.trades(instrument, body, NOW) if isinstance(e, TradePrinted)]
    numbers = [int(trade.trade_id) for trade in trades]
    assert numbers == list(range(numbers[0], numbers[0] + 1000))
    assert trades[0].time_ns == 1762795433_971744500


BINANCE = [
    ("binance", "/api/v3/depth", "book", 2, 0),
    ("binance", "/api/v3/trades", "trades", 1012, 0),
    # Four recordings of 23 lost a field's name when they were edited.
    ("binance", "/api/v3/aggTrades", "trades", 1042, 4),
    ("binance", "/api/v3/klines", "bars", 3396, 0),
    ("binanceusdm", "/fapi/v1/depth", "book", 6, 0),
    ("binanceusdm", "/fapi/v1/trades", "trades", 10, 0),
    ("binanceusdm", "/fapi/v1/aggTrades", "trades", 511, 0),
    ("binanceusdm", "/fapi/v1/klines", "bars", 1133, 0),
    ("binancecoinm", "/dapi/v1/depth", "book", 6, 0),
    ("binancecoinm", "/dapi/v1/trades", "trades", 11, 0),
    ("binancecoinm", "/dapi/v1/aggTrades", "trades", 5, 0),
    # One answer is an error's.
    ("binancecoinm", "/dapi/v1/klines", "bars", 16, 1),
]


def binance_answers(recorded_data: Path, route: str) -> list[Any]:
    path = recorded_data / "payloads/gocryptotrader/binance_http.json.gz"
    with gzip.open(path, "rt") as text:
        routes = json.load(text)["routes"]
    return [entry["data"] for entry in routes[route]["GET"]]


@pytest.mark.parametrize(("venue", "route", "what", "count", "refused"), BINANCE)
def test_binance_answers_become_events(
    venue: str, route: str, what: str, count: int, refused: int, recorded_data: Path
) -> None:
    events: list[Any] = []
    errors = 0
    for body in binance_answers(recorded_data, route):
        parser, instrument = parser_of(venue, "?")
        try:
            if what == "book":
                events += parser.book(instrument, body, NOW)
            elif what == "trades":
                events += parser.trades(instrument, body, NOW)
            else:
                events += parser.bars(instrument, body, NOW, NS_PER_MINUTE)
        except InvalidDataError:
            errors += 1
    assert (len(events), errors) == (count, refused)
    for event in events:
        if isinstance(event, BarClosed):
            assert event.trades is not None
            assert event.quote_volume is not None


def listed(venue: str, path: Path, symbol: str) -> WireInstrument:
    [found] = [
        e for body in bodies(path) for e in instruments_of(venue, body) if e.symbol == symbol
    ]
    return found


LISTS = [
    ("okx", "nautilus/okx/http_get_instruments_spot.json", "BTC-USD", "BTC/USD", "0.1", "1E-8"),
    ("okx", "nautilus/okx/http_get_instruments_swap.json", "BTC-USD-SWAP", "BTC/USD:BTC", "0.1", 1),
    ("okx", "nautilus/okx/ws_instruments.json", "BTC-USDT-SWAP", "BTC/USDT:USDT", "0.1", 1),
    ("kraken", "nautilus/kraken/http_asset_pairs.json", "XBT/USDT", "BTC/USDT", "0.1", "1E-8"),
    ("kraken", "xchange/kraken/example-assetpairs-data.json", "ADA/CAD", "ADA/CAD", "1E-6", "1E-8"),
    ("coinbase", "nautilus/coinbase/http_product.json", "BTC-USD", "BTC/USD", "0.01", "1E-8"),
    ("coinbase", "xchange/coinbasepro/products.json", "LTC-EUR", "LTC/EUR", "0.01", "1E-8"),
    ("bybit", "xchange/bybit/getInstrumentSpot.json5", "BTCUSDT", "BTC/USDT", "0.01", "1E-6"),
    ("bybit", "xchange/bybit/getInstrumentLinear.json5", "BTCUSDT", "BTC/USDT:USDT", "0.5", "1E-3"),
    (
        "bybit",
        "xchange/bybit/getInstrumentOption.json5",
        "ETH-3JAN23-1250-P",
        "ETH/USD:USDC-3JAN23-1250-P",
        "0.1",
        "0.1",
    ),
]


@pytest.mark.parametrize(("venue", "file", "symbol", "name", "tick", "lot"), LISTS)
def test_lists_of_instruments_tell_exact_steps(
    venue: str,
    file: str,
    symbol: str,
    name: str,
    tick: str,
    lot: str | int,
    recorded_data: Path,
) -> None:
    found = listed(venue, recorded_data / "payloads" / file, symbol)
    assert found.rules.id == f"{venue}:{name}"
    assert (found.rules.tick_size, found.rules.lot_size) == (D(tick), D(lot))


@pytest.mark.parametrize(
    ("venue", "route", "name", "tick", "lot", "least"),
    [
        ("binance", "/api/v3/exchangeInfo", "ETH/BTC", "0.00001", "0.0001", "0.0001"),
        ("binanceusdm", "/fapi/v1/exchangeInfo", "BTC/USDT:USDT", "0.1", "0.001", "100"),
        ("binancecoinm", "/dapi/v1/exchangeInfo", "BTC/USD:BTC", "0.1", "1", "0"),
    ],
)
def test_binance_lists_tell_exact_steps(
    venue: str, route: str, name: str, tick: str, lot: str, least: str, recorded_data: Path
) -> None:
    [body] = binance_answers(recorded_data, route)
    found = instruments_of(venue, body)
    assert len(found) == 25
    rules = found[0].rules
    assert rules.id == f"{venue}:{name}"
    assert (rules.tick_size, rules.lot_size, rules.min_notional) == (D(tick), D(lot), D(least))


@pytest.mark.parametrize(
    ("venue", "name", "count"),
    [
        ("binance", "BINANCE", 1695),
        ("bybitv2", "BYBIT", 15),
        ("coinbaseexchange", "COINBASE", 162),
        ("kraken", "KRAKEN", 293),
    ],
)
def test_recorded_lists_are_read_whole(
    venue: str, name: str, count: int, recorded_data: Path
) -> None:
    path = recorded_data / "payloads" / "cryptofeed" / f"{name}.0.gz"
    [line] = [line for line in lines_of(path) if line.startswith("https")]
    found = instruments_of(venue, json.loads(line[line.index(": ") + 2 :]))
    assert len({entry.rules.id for entry in found}) == len(found) == count
    assert all(entry.rules.tick_size > 0 and entry.rules.lot_size > 0 for entry in found)
