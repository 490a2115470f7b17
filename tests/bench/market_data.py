"""Venue messages to events: our parsers and books beside ccxt.pro's handling of the same messages.

CPU time of this process alone, both in the same run, each the best of some rounds taken in turn.
"""

import asyncio
import gc
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ccxt.pro as ccxtpro
import orjson

from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.ingest.wire.base import WireInstrument
from goalkick.ingest.wire.parser import WireParser, parser_for
from tests.bench.figures import Bench, Figure

LEVELS = 20
"""Levels that a change holds, half of them of each side."""
ROUNDS = 3
_START_MS = 1_700_000_000_000
_BTC = InstrumentId("binance:BTC/USDT")
_URL = "wss://127.0.0.1/stream"


def book_updates(short: bool) -> Iterator[Figure]:
    """Changes of 20 levels: decoded, checked, applied, published."""
    snapshot, texts = _depth(5_000 if short else 20_000)
    published: list[int] = []

    def ours(texts: Sequence[bytes]) -> Callable[[], None]:
        def run() -> None:
            parser = _synchronised(snapshot)
            events = 0
            for number, text in enumerate(texts):
                events += len(parser.parse_text(text, _received(number)))
            published.append(events)

        return run

    def ours_decoded() -> None:
        parser = _synchronised(snapshot)
        for number, text in enumerate(texts):
            parser.parse(orjson.loads(text), _received(number))

    theirs, text_run, decoded_run = _in_turn(
        lambda: _by_ccxt(texts, snapshot), ours(texts), ours_decoded
    )
    wrong = _differences(snapshot, texts)
    yield _figure(f"books, {LEVELS} levels, ccxt.pro", len(texts), theirs, theirs)
    yield _figure(f"books, {LEVELS} levels, from text", len(texts), text_run, theirs, wrong)
    yield _figure(f"books, {LEVELS} levels, from ccxt's tap", len(texts), decoded_run, theirs)
    yield Figure("  events published of them", f"{published[0]:,}")


def trades(short: bool) -> Iterator[Figure]:
    """Trades, one a message: decoded, checked, published."""
    texts = _trades(10_000 if short else 50_000)
    counted: list[int] = []

    def ours() -> None:
        parser = _parser()
        counted.append(
            sum(len(parser.parse_text(text, _received(0))) for text in texts),
        )

    theirs, mine = _in_turn(lambda: _by_ccxt(texts, None), ours)
    wrong = "" if counted[0] == len(texts) else f"expected {len(texts)}, found {counted[0]}"
    yield _figure("trades, ccxt.pro", len(texts), theirs, theirs)
    yield _figure("trades", len(texts), mine, theirs, wrong)


BENCHES: Sequence[Bench] = (book_updates, trades)


def _figure(name: str, count: int, seconds: float, theirs: float, wrong: str = "") -> Figure:
    return Figure(
        name, f"{count / seconds:,.0f}/s", f"{theirs / seconds:.1f} times ccxt.pro's rate", wrong
    )


def _in_turn(*runs: Callable[[], None]) -> list[float]:
    best = [float("inf")] * len(runs)
    for _ in range(ROUNDS):
        for place, run in enumerate(runs):
            gc.collect()
            # The prepared messages are no garbage of what is measured.
            gc.freeze()
            began = time.process_time()
            run()
            best[place] = min(best[place], time.process_time() - began)
            gc.unfreeze()
    return best


def _depth(count: int) -> tuple[dict[str, Any], list[bytes]]:
    """A snapshot of 1,000 levels a side and changes near its middle, a quarter of them removals."""
    chance = random.Random(7)

    def row(side: int, far: int, quantity: float) -> list[str]:
        return [f"{60_000 + side * (0.01 + far / 100):.8f}", f"{quantity:.8f}"]

    def rows(side: int) -> list[list[str]]:
        places = chance.sample(range(200), LEVELS // 2)
        return [
            row(side, far, chance.random() * 3 if chance.random() > 0.25 else 0) for far in places
        ]

    snapshot = {
        "lastUpdateId": 100,
        "bids": [row(-1, far, 1) for far in range(1_000)],
        "asks": [row(1, far, 1) for far in range(1_000)],
    }
    texts = []
    for number in range(count):
        message = {"e": "depthUpdate", "E": _START_MS + 100 * number, "s": "BTCUSDT"}
        numbers = {"U": 101 + 3 * number, "u": 103 + 3 * number}
        texts.append(orjson.dumps({**message, **numbers, "b": rows(-1), "a": rows(1)}))
    return snapshot, texts


def _trades(count: int) -> list[bytes]:
    return [
        orjson.dumps(
            {
                "e": "trade",
                "E": _START_MS,
                "s": "BTCUSDT",
                "t": number,
                "T": _START_MS,
                "p": f"{60_000 + number % 100}.00000000",
                "q": "0.00120000",
                "m": number % 2 == 0,
                "M": True,
            }
        )
        for number in range(count)
    ]


def _received(number: int) -> int:
    return (_START_MS + 100 * number) * 1_000_000


def _parser() -> WireParser:
    rules = Instrument(id=_BTC, base="BTC", quote="USDT")
    return parser_for("binance", [WireInstrument("BTCUSDT", rules)])


def _synchronised(snapshot: Any) -> WireParser:
    parser = _parser()
    parser.book(_BTC, snapshot, _received(0))
    return parser


def _by_ccxt(texts: Sequence[bytes], snapshot: Any) -> Any:
    """Hands messages to ccxt.pro as its socket does; returns its book."""
    return asyncio.run(_handled(texts, snapshot))


async def _handled(texts: Sequence[bytes], snapshot: Any) -> Any:
    exchange = ccxtpro.binance({"newUpdates": True})
    try:
        market = {
            "id": "BTCUSDT",
            "symbol": "BTC/USDT",
            "base": "BTC",
            "quote": "USDT",
            "type": "spot",
            "spot": True,
            "active": True,
            "taker": 0.001,
            "maker": 0.001,
            "precision": {"price": 0.01, "amount": 0.00001},
            "limits": {},
        }
        exchange.set_markets([exchange.safe_market_structure(market)])
        client = exchange.client(_URL)
        if snapshot is not None:
            book = exchange.order_book({}, 1000)
            exchange.orderbooks["BTC/USDT"] = book
            book.reset(
                exchange.parse_order_book(snapshot, "BTC/USDT")
                | {"nonce": snapshot["lastUpdateId"]}
            )
        for text in texts:
            exchange.handle_message(client, orjson.loads(text))
        return exchange.orderbooks.get("BTC/USDT")
    finally:
        await exchange.close()


def _differences(snapshot: Any, texts: Sequence[bytes]) -> str:
    """How our book and ccxt's differ after all messages; "": they do not."""
    parser = _synchronised(snapshot)
    for number, text in enumerate(texts):
        parser.parse_text(text, _received(number))
    theirs = _by_ccxt(texts, snapshot)
    pictures = parser.flush() or parser.parse_text(texts[-1], _received(len(texts)))
    if not pictures:
        return "expected a book, found none"
    [picture] = pictures
    for side in ("bids", "asks"):
        mine = [(float(price), float(quantity)) for price, quantity in getattr(picture, side)]
        other = [(float(row[0]), float(row[1])) for row in theirs[side][: len(mine)]]
        if mine != other or not mine:
            return f"expected {side} {other[:3]}, found {mine[:3]}"
    return ""
