"""Kraken: WebSocket v1 (lists, numbers as text) and v2 (objects, JSON numbers), and REST.

Books have no numbers: the checksum of their ten best levels proves them. v1 sends no ids of
trades: they are made of the trade's time and its place among those of the same time.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Event
from goalkick.common.events.market import TradePrinted
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import NS_PER_MINUTE, NS_PER_SECOND
from goalkick.ingest.books import BookRules, Change
from goalkick.ingest.checksums import kraken_checksum
from goalkick.ingest.wire.base import BaseParser, Tracked, WireInstrument
from goalkick.ingest.wire.readings import (
    bar_of,
    iso_time,
    not_negative,
    positive,
    quote_of,
    seconds_time,
    side_of,
    text_of,
    trade_of,
    whole,
)

DEPTHS: Final = (10, 25, 100, 500, 1000)
"""How deep a subscription may be; the client must drop what lies deeper."""
_OLD_CHANNELS: Final = frozenset({"book", "trade", "spread", "ticker", "ohlc"})
_OLD_NAMES: Final = {"XBT": "BTC", "XDG": "DOGE"}

Number = Any
"""A JSON number, or text: `text_of` tells."""


class _Level(msgspec.Struct, gc=False):
    price: Number
    qty: Number


class _Book(msgspec.Struct, gc=False):
    symbol: str
    bids: list[_Level]
    asks: list[_Level]
    checksum: int
    timestamp: str = ""


class _Trade(msgspec.Struct, gc=False):
    symbol: str
    side: str
    price: Number
    qty: Number
    trade_id: int
    timestamp: str


class _Ticker(msgspec.Struct, gc=False):
    symbol: str
    bid: Number
    bid_qty: Number
    ask: Number
    ask_qty: Number
    timestamp: str = ""


class _Candle(msgspec.Struct, gc=False):
    symbol: str
    interval: int
    interval_begin: str
    open: Number
    high: Number
    low: Number
    close: Number
    volume: Number
    trades: int


_SHAPES: Final[dict[str, Any]] = {
    "trade": list[_Trade],
    "ticker": list[_Ticker],
    "ohlc": list[_Candle],
}


class _Answer(msgspec.Struct):
    error: list[str]
    result: dict[str, Any] = {}


class KrakenParser(BaseParser):
    """Kraken spot, both generations of its WebSocket."""

    RULES = BookRules(numbered=False, checksum=kraken_checksum)
    NUMBERED = False

    def _parse(self, message: Any, received_ns: int) -> Sequence[Event]:
        if isinstance(message, list):
            return self._first_generation(message, received_ns)
        if not isinstance(message, dict):
            raise InvalidDataError(f"expected a list or object, found {type(message).__name__}")
        channel = message.get("channel")
        if channel is None:
            return self._ignored("reply")
        first = message.get("type") == "snapshot"
        if channel == "book":
            return self._books(message.get("data"), received_ns, first)
        shape = _SHAPES.get(channel) if isinstance(channel, str) else None
        if shape is None:
            return self._ignored(str(channel)[:20])
        readers: dict[str, Callable[..., Sequence[Event]]] = {
            "trade": self._trade,
            "ticker": self._ticker,
            "ohlc": self._candle,
        }
        read = readers[channel]
        items: list[Any] = self._items(msgspec.convert(message.get("data"), shape))
        return [
            event
            for item in items
            if (tracked := self._tracked(item.symbol))
            for event in read(tracked, item, received_ns, first)
        ]

    def _book_in(self, message: Any) -> tuple[bool, Any]:
        if isinstance(message, list):
            about = any(isinstance(word, str) and word.startswith("book") for word in message)
            return about, message[-1] if len(message) > 3 else None
        if not isinstance(message, dict) or message.get("channel") != "book":
            return False, None
        data = message.get("data")
        entries = data if isinstance(data, list) else []
        named = [entry.get("symbol") for entry in entries if isinstance(entry, dict)]
        return True, named[0] if len(named) == 1 else None

    def _books(self, data: Any, received_ns: int, first: bool) -> Sequence[Event]:
        events: list[Event] = []
        for book in self._items(msgspec.convert(data, list[_Book])):
            tracked = self._tracked(book.symbol)
            if tracked is not None:
                events += self._book(tracked, book, received_ns, first)
        return events

    def _book(
        self, tracked: Tracked, data: _Book, received_ns: int, first: bool
    ) -> Sequence[Event]:
        tracked.wanted = True
        self.counts["book"] += 1
        time_ns = received_ns
        if data.timestamp:
            time_ns = self._timely(iso_time(data.timestamp), received_ns, may_be_old=first)
        bids, asks = _texts(tracked, data.bids), _texts(tracked, data.asks)
        if first:
            deepest = max(len(bids), len(asks))
            tracked.book.max_levels = next((d for d in DEPTHS if d >= deepest), deepest)
            return tracked.book.snapshot(time_ns, 0, bids, asks, data.checksum)
        return tracked.book.change(Change(time_ns, 0, 0, 0, bids, asks, data.checksum))

    def _trade(
        self, tracked: Tracked, data: _Trade, received_ns: int, first: bool
    ) -> Sequence[Event]:
        return self._print(
            tracked,
            data.trade_id,
            text_of(data.price, "price"),
            text_of(data.qty, "quantity"),
            side_of(data.side, "buy", "sell"),
            self._timely(iso_time(data.timestamp), received_ns, may_be_old=first),
        )

    def _ticker(
        self, tracked: Tracked, data: _Ticker, received_ns: int, first: bool
    ) -> Sequence[Event]:
        time_ns = received_ns
        if data.timestamp:
            time_ns = self._timely(iso_time(data.timestamp), received_ns, may_be_old=first)
        bid = text_of(data.bid, "bid"), text_of(data.bid_qty, "bid quantity")
        ask = text_of(data.ask, "ask"), text_of(data.ask_qty, "ask quantity")
        self.counts["best"] += 1
        return (quote_of(tracked.id, bid, ask, time_ns),)

    def _candle(
        self, tracked: Tracked, data: _Candle, received_ns: int, first: bool
    ) -> Sequence[Event]:
        numbers = (data.open, data.high, data.low, data.close, data.volume)
        bar = bar_of(
            tracked.id,
            iso_time(data.interval_begin),
            data.interval * NS_PER_MINUTE,
            [text_of(value, "candle") for value in numbers],
            trades=data.trades,
        )
        return self._running(tracked, bar)

    def _first_generation(self, message: list[Any], received_ns: int) -> Sequence[Event]:
        if len(message) == 3 and isinstance(message[1], str) and isinstance(message[2], dict):
            return self._ignored(message[1][:20])
        if len(message) < 4 or not all(isinstance(word, str) for word in message[-2:]):
            raise InvalidDataError(
                f"expected payload, channel and pair in a list, found {len(message)} entries"
            )
        payloads, channel, pair = message[1:-2], message[-2], message[-1]
        kind, _, parameter = channel.partition("-")
        if kind not in _OLD_CHANNELS:
            return self._ignored(kind[:20])
        tracked = self._tracked(pair)
        if tracked is None:
            return ()
        if kind == "book":
            return self._old_book(tracked, payloads, parameter, received_ns)
        if kind == "trade":
            return self._old_trades(tracked, payloads[0], received_ns)
        return self._old_bests_and_bars(tracked, payloads[0], kind, parameter, received_ns)

    def _old_book(
        self, tracked: Tracked, payloads: list[Any], depth: str, received_ns: int
    ) -> Sequence[Event]:
        parts = msgspec.convert(payloads, list[dict[str, Any]])
        payload = {key: value for part in parts for key, value in part.items()}
        first = "as" in payload or "bs" in payload
        words = ("bs", "as") if first else ("b", "a")
        if not payload.keys() & set(words):
            raise InvalidDataError(f"expected levels, found {list(payload)}")
        bids, asks = (msgspec.convert(payload.get(word, []), list[list[str]]) for word in words)
        if any(len(row) < 3 for row in (*bids, *asks)):
            raise InvalidDataError("expected price, quantity and time of a level")
        tracked.wanted = True
        self.counts["book"] += 1
        time_ns = max((seconds_time(row[2]) for row in (*bids, *asks)), default=received_ns)
        self._timely(time_ns, received_ns, may_be_old=first)
        pairs = [row[:2] for row in bids], [row[:2] for row in asks]
        if first:
            tracked.book.max_levels = whole(depth)
            return tracked.book.snapshot(time_ns, 0, *pairs)
        if "c" not in payload:
            raise InvalidDataError("expected a checksum (`c`) in a change")
        checksum = whole(payload["c"])
        return tracked.book.change(Change(time_ns, 0, 0, 0, *pairs, checksum))

    def _old_trades(self, tracked: Tracked, rows: Any, received_ns: int) -> Sequence[Event]:
        events = _trades(tracked, self._items(msgspec.convert(rows, list[list[Any]])))
        for event in events:
            # A subscription begins with the last trades, whenever they were.
            self._timely(event.time_ns, received_ns, may_be_old=True)
        self.counts["trade"] += len(events)
        return events

    def _old_candle(self, tracked: Tracked, row: Any, interval_ns: int) -> Sequence[Event]:
        cells = msgspec.convert(row, tuple[str, str, str, str, str, str, str, str, int])
        bar = bar_of(
            tracked.id,
            seconds_time(cells[1]) - interval_ns,
            interval_ns,
            (*cells[2:6], cells[7]),
            trades=cells[8],
        )
        return self._running(tracked, bar)

    def _old_bests_and_bars(
        self, tracked: Tracked, payload: Any, kind: str, parameter: str, received_ns: int
    ) -> Sequence[Event]:
        if kind == "ohlc":
            return self._old_candle(tracked, payload, whole(parameter) * NS_PER_MINUTE)
        self.counts["best"] += 1
        if kind == "spread":
            bid, ask, time, bid_lots, ask_lots = msgspec.convert(
                payload, tuple[str, str, str, str, str]
            )
            time_ns = self._timely(seconds_time(time), received_ns, may_be_old=True)
            return (quote_of(tracked.id, (bid, bid_lots), (ask, ask_lots), time_ns),)
        sides = msgspec.convert(payload, dict[str, list[Any]])
        bid_row, ask_row = (
            msgspec.convert(sides.get(side), tuple[str, int, str]) for side in ("b", "a")
        )
        best = (bid_row[0], bid_row[2]), (ask_row[0], ask_row[2])
        return (quote_of(tracked.id, *best, received_ns),)

    def book(self, instrument: InstrumentId, body: Any, received_ns: int) -> Sequence[Event]:
        """Publishes an answer of `/0/public/Depth` alone."""
        tracked = self._known(instrument)

        def read() -> Sequence[Event]:
            sides = msgspec.convert(_only(body), dict[str, list[list[Any]]])
            bids, asks = ([row[:2] for row in sides.get(side, [])] for side in ("bids", "asks"))
            return self._pictured(tracked, received_ns, received_ns, bids, asks)

        return self._answered(body, read)

    def trades(self, instrument: InstrumentId, body: Any, received_ns: int) -> Sequence[Event]:
        """The trades of an answer of `/0/public/Trades`."""
        tracked = self._known(instrument)
        return self._answered(
            body, lambda: _trades(tracked, msgspec.convert(_only(body), list[list[Any]]))
        )

    def bars(
        self, instrument: InstrumentId, body: Any, received_ns: int, interval_ns: int
    ) -> Sequence[Event]:
        """The bars of an answer of `/0/public/OHLC` without its last one, which still runs."""
        tracked = self._known(instrument)

        def read() -> Sequence[Event]:
            shape = list[tuple[int, str, str, str, str, str, str, int]]
            return [
                bar_of(
                    tracked.id,
                    row[0] * NS_PER_SECOND,
                    interval_ns,
                    (*row[1:5], row[6]),
                    trades=row[7],
                )
                for row in msgspec.convert(_only(body), shape)[:-1]
            ]

        return self._answered(body, read)


def _only(body: Any) -> Any:
    """The one instrument's part of an answer."""
    answer = msgspec.convert(body, _Answer)
    parts = [part for name, part in answer.result.items() if name != "last"]
    if answer.error or len(parts) != 1:
        raise InvalidDataError(f"expected one instrument and no error, found {answer.error}")
    return parts[0]


def _trades(tracked: Tracked, rows: list[list[Any]]) -> list[TradePrinted]:
    """Rows of price, quantity, time, side, type, note and, in answers of today, an id."""
    events = []
    place, last = 0, ""
    for row in rows:
        if len(row) < 6:
            raise InvalidDataError(f"expected six cells of a trade, found {row!r:.120}")
        time = text_of(row[2], "time")
        place, last = (place + 1 if time == last else 0), time
        numbered = len(row) > 6 and isinstance(row[6], int)
        events.append(
            trade_of(
                tracked.id,
                str(row[6]) if numbered else f"{time}-{place}",
                text_of(row[0], "price"),
                text_of(row[1], "quantity"),
                side_of(row[3], "b", "s"),
                seconds_time(time),
            )
        )
    return events


def _texts(tracked: Tracked, levels: list[_Level]) -> list[tuple[str, str]]:
    """Levels as their checksum is made of them: with all decimal places of the instrument."""
    price_places, lot_places = _places(tracked.rules.tick_size), _places(tracked.rules.lot_size)
    return [
        (text_of(level.price, "price", price_places), text_of(level.qty, "quantity", lot_places))
        for level in levels
    ]


def _places(step: Decimal) -> int:
    exponent = step.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


class _Pair(msgspec.Struct):
    altname: str
    pair_decimals: int
    lot_decimals: int
    base: str
    quote: str
    wsname: str = ""
    tick_size: str = ""
    ordermin: str = "0"
    costmin: str = "0"
    status: str = "online"


def kraken_instruments(body: Any, venue: str = "kraken") -> list[WireInstrument]:
    """The instruments of an answer of `/0/public/AssetPairs`; dark pools are left out.

    Raises:
        InvalidDataError: it is no such answer, or an instrument has no steps.
    """
    try:
        answer = msgspec.convert(body, _Answer)
        pairs = msgspec.convert(answer.result, dict[str, _Pair])
    except msgspec.ValidationError as error:
        raise InvalidDataError(f"{venue}: {error}; in the list of instruments") from None
    return [_listed(pair, venue) for pair in pairs.values() if pair.wsname]


def _listed(pair: _Pair, venue: str) -> WireInstrument:
    base, _, quote = pair.wsname.partition("/")
    base, quote = _OLD_NAMES.get(base, base), _OLD_NAMES.get(quote, quote)
    rules = Instrument(
        id=InstrumentId(f"{venue}:{base}/{quote}"),
        base=base,
        quote=quote,
        tick_size=positive(pair.tick_size, f"tick size of {pair.wsname}")
        if pair.tick_size
        else Decimal((0, (1,), -pair.pair_decimals)),
        lot_size=Decimal((0, (1,), -pair.lot_decimals)),
        min_quantity=not_negative(pair.ordermin, f"least quantity of {pair.wsname}"),
        min_notional=not_negative(pair.costmin, f"least notional of {pair.wsname}"),
    )
    # v2 spells currencies as everybody does.
    aliases = tuple(name for name in (f"{base}/{quote}",) if name != pair.wsname)
    return WireInstrument(pair.wsname, rules, pair.status == "online", aliases)
