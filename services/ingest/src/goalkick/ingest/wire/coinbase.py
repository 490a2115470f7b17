"""Coinbase: Exchange (messages with `type`) and Advanced Trade (messages with `channel`).

Exchange's level2 has no numbers and no checksum: a lost message cannot be seen there, except by a
crossed book. Advanced Trade numbers all messages of a connection together, so that a missing one
makes every book of it invalid; a parser of it must read one connection, whole.
`side` of a trade is the maker's at both.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Event, Side
from goalkick.common.events.market import BarClosed
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import NS_PER_MINUTE, NS_PER_SECOND
from goalkick.ingest.books import BookRules, Change, RefusedMessageError
from goalkick.ingest.wire.base import BaseParser, Tracked, WireInstrument
from goalkick.ingest.wire.readings import (
    bar_of,
    checked_time,
    iso_time,
    not_negative,
    positive,
    quote_of,
    side_of,
    text_of,
    trade_of,
    whole,
)

CANDLE_NS = 5 * NS_PER_MINUTE
"""Advanced Trade streams candles of this length alone."""


class _Snapshot(msgspec.Struct):
    product_id: str
    bids: list[Any]
    asks: list[Any]
    time: str = ""


class _Update(msgspec.Struct, gc=False):
    product_id: str
    changes: list[tuple[str, str, str]]
    time: str


class _Match(msgspec.Struct, gc=False):
    product_id: str
    trade_id: int
    side: str
    size: str
    price: str
    time: str


class _Ticker(msgspec.Struct, gc=False):
    product_id: str
    best_bid: str
    best_ask: str
    time: str = ""
    best_bid_size: str = ""
    best_ask_size: str = ""
    best_bid_quantity: str = ""
    best_ask_quantity: str = ""


class _Advanced(msgspec.Struct):
    channel: str
    timestamp: str
    sequence_num: int
    events: list[dict[str, Any]]


class _Level(msgspec.Struct, gc=False):
    side: str
    event_time: str
    price_level: str
    new_quantity: str


class _Levels(msgspec.Struct):
    type: str
    product_id: str
    updates: list[_Level]


class _Trade(msgspec.Struct, gc=False):
    trade_id: str | int
    price: str
    size: str
    side: str
    time: str
    product_id: str = ""


class _Candle(msgspec.Struct, gc=False):
    start: str
    high: str
    low: str
    open: str
    close: str
    volume: str
    product_id: str = ""


class CoinbaseParser(BaseParser):
    """Coinbase Exchange and Advanced Trade."""

    RULES = BookRules(numbered=False)
    NUMBERED = False

    _number: int | None = None

    def _parse(self, message: Any, received_ns: int) -> Sequence[Event]:
        if not isinstance(message, dict):
            raise InvalidDataError(f"expected an object, found {type(message).__name__}")
        if "channel" in message:
            return self._advanced(message, received_ns)
        kind = message.get("type")
        if kind in ("snapshot", "l2update"):
            return self._level2(message, kind, received_ns)
        if kind in ("match", "last_match"):
            match = msgspec.convert(message, _Match)
            return self._match(match, received_ns, may_be_old=kind == "last_match")
        if kind == "ticker":
            return self._ticker(msgspec.convert(message, _Ticker), received_ns, received_ns)
        return self._ignored(str(kind)[:20])

    def disconnected(self, time_ns: int) -> Sequence[Event]:
        """All books are invalid; the next connection numbers its messages anew."""
        self._number = None
        return super().disconnected(time_ns)

    def _book_in(self, message: Any) -> tuple[bool, Any]:
        if not isinstance(message, dict):
            return False, None
        if message.get("channel") == "l2_data":
            events = message.get("events")
            entries = events if isinstance(events, list) else []
            named = [entry.get("product_id") for entry in entries if isinstance(entry, dict)]
            return True, named[0] if len(named) == 1 else None
        return message.get("type") in ("snapshot", "l2update"), message.get("product_id")

    def _level2(self, message: Any, kind: str, received_ns: int) -> Sequence[Event]:
        if kind == "snapshot":
            snapshot = msgspec.convert(message, _Snapshot)
            tracked = self._wanted(snapshot.product_id)
            if tracked is None:
                return ()
            time_ns = received_ns
            if snapshot.time:
                time_ns = self._timely(iso_time(snapshot.time), received_ns)
            return tracked.book.snapshot(time_ns, 0, snapshot.bids, snapshot.asks)
        update = msgspec.convert(message, _Update)
        tracked = self._wanted(update.product_id)
        if tracked is None:
            return ()
        sides: dict[str, list[tuple[str, str]]] = {"buy": [], "sell": []}
        for side, price, quantity in update.changes:
            if side not in sides:
                raise InvalidDataError(f"expected buy or sell, found {side!r:.40}")
            sides[side].append((price, quantity))
        time_ns = self._timely(iso_time(update.time), received_ns)
        return tracked.book.change(Change(time_ns, 0, 0, 0, sides["buy"], sides["sell"]))

    def _wanted(self, symbol: str) -> Tracked | None:
        tracked = self._tracked(symbol)
        if tracked is not None:
            tracked.wanted = True
            self.counts["book"] += 1
        return tracked

    def _match(
        self, match: _Match, received_ns: int, *, may_be_old: bool = False
    ) -> Sequence[Event]:
        tracked = self._tracked(match.product_id)
        if tracked is None:
            return ()
        time_ns = self._timely(iso_time(match.time), received_ns, may_be_old=may_be_old)
        side = _taker(match.side)
        return self._print(tracked, match.trade_id, match.price, match.size, side, time_ns)

    def _ticker(self, ticker: _Ticker, time_ns: int, received_ns: int) -> Sequence[Event]:
        tracked = self._tracked(ticker.product_id)
        if tracked is None:
            return ()
        bid_lots = ticker.best_bid_size or ticker.best_bid_quantity
        ask_lots = ticker.best_ask_size or ticker.best_ask_quantity
        if not bid_lots or not ask_lots:
            return self._ignored("ticker without quantities")
        if ticker.time:
            time_ns = self._timely(iso_time(ticker.time), received_ns, may_be_old=True)
        self.counts["best"] += 1
        bid, ask = (ticker.best_bid, bid_lots), (ticker.best_ask, ask_lots)
        return (quote_of(tracked.id, bid, ask, time_ns),)

    def _advanced(self, message: Any, received_ns: int) -> Sequence[Event]:
        read = msgspec.convert(message, _Advanced)
        lost = self._counted(read.sequence_num, received_ns)
        taken = {
            "l2_data": self._levels,
            "market_trades": self._market_trades,
            "ticker": self._tickers,
            "ticker_batch": self._tickers,
            "candles": self._candles,
        }.get(read.channel)
        if taken is None:
            self._ignored(read.channel[:20])
            return lost
        try:
            return [*lost, *taken(read, received_ns)]
        except RefusedMessageError as error:
            raise RefusedMessageError(str(error), [*lost, *error.events]) from None
        except (InvalidDataError, msgspec.ValidationError) as error:
            lost += self._doubted(message, received_ns)
            raise RefusedMessageError(str(error), lost) from None

    def _counted(self, number: int, received_ns: int) -> list[Event]:
        """What a missing number of the connection makes invalid."""
        expected = None if self._number is None else self._number + 1
        self._number = number
        if expected is None or number == expected:
            return []
        self.counts["gap"] += 1
        missing = max(1, number - expected)
        tracked = [t for t in self._by_id.values() if t.wanted]
        return [event for t in tracked for event in t.book.lose(received_ns, missing)]

    def _levels(self, message: _Advanced, received_ns: int) -> Sequence[Event]:
        events: list[Event] = []
        for entry in self._items(message.events):
            data = msgspec.convert(entry, _Levels)
            tracked = self._wanted(data.product_id)
            if tracked is None:
                continue
            sides: dict[str, list[tuple[str, str]]] = {"bid": [], "offer": []}
            for level in data.updates:
                if level.side not in sides:
                    raise InvalidDataError(f"expected bid or offer, found {level.side!r:.40}")
                sides[level.side].append((level.price_level, level.new_quantity))
            time_ns = self._timely(iso_time(message.timestamp), received_ns)
            bids, asks = sides["bid"], sides["offer"]
            if data.type == "snapshot":
                events += tracked.book.snapshot(time_ns, 0, bids, asks)
            else:
                events += tracked.book.change(Change(time_ns, 0, 0, 0, bids, asks))
        return events

    def _market_trades(self, message: _Advanced, received_ns: int) -> Sequence[Event]:
        events: list[Event] = []
        for entry in self._items(message.events):
            old = entry.get("type") == "snapshot"
            trades = msgspec.convert(entry.get("trades"), list[_Trade])
            for trade in sorted(self._items(trades), key=lambda trade: whole(trade.trade_id)):
                match = _Match(
                    trade.product_id,
                    whole(trade.trade_id),
                    trade.side.lower(),
                    trade.size,
                    trade.price,
                    trade.time,
                )
                events += self._match(match, received_ns, may_be_old=old)
        return events

    def _tickers(self, message: _Advanced, received_ns: int) -> Sequence[Event]:
        time_ns = self._timely(iso_time(message.timestamp), received_ns)
        return [
            event
            for entry in self._items(message.events)
            for ticker in self._items(msgspec.convert(entry.get("tickers"), list[_Ticker]))
            for event in self._ticker(ticker, time_ns, received_ns)
        ]

    def _candles(self, message: _Advanced, received_ns: int) -> Sequence[Event]:
        events: list[Event] = []
        for entry in self._items(message.events):
            candles = msgspec.convert(entry.get("candles"), list[_Candle])
            for candle in sorted(self._items(candles), key=lambda candle: whole(candle.start)):
                tracked = self._tracked(candle.product_id)
                if tracked is not None:
                    events += self._running(tracked, _bar(tracked.id, candle, CANDLE_NS))
        return events

    def book(self, instrument: InstrumentId, body: Any, received_ns: int) -> Sequence[Event]:
        """Publishes an answer with a product's book alone."""
        tracked = self._known(instrument)

        def read() -> Sequence[Event]:
            part = msgspec.convert(body, dict[str, Any])
            part = msgspec.convert(part.get("pricebook", part), dict[str, Any])
            time = part.get("time")
            time_ns = iso_time(time) if isinstance(time, str) else received_ns
            bids, asks = (_rows(part.get(side)) for side in ("bids", "asks"))
            return self._pictured(tracked, time_ns, time_ns, bids, asks)

        return self._answered(body, read)

    def trades(self, instrument: InstrumentId, body: Any, received_ns: int) -> Sequence[Event]:
        """The trades of an answer: a list, or an object with `trades`."""
        tracked = self._known(instrument)

        def read() -> Sequence[Event]:
            rows = body.get("trades") if isinstance(body, Mapping) else body
            return [
                trade_of(
                    tracked.id,
                    str(whole(trade.trade_id)),
                    trade.price,
                    trade.size,
                    _taker(trade.side.lower()),
                    checked_time(iso_time(trade.time)),
                )
                for trade in reversed(msgspec.convert(rows, list[_Trade]))
            ]

        return self._answered(body, read)

    def bars(
        self, instrument: InstrumentId, body: Any, received_ns: int, interval_ns: int
    ) -> Sequence[Event]:
        """The bars of an answer with candles that had closed when it was received."""
        tracked = self._known(instrument)

        def read() -> Sequence[Event]:
            rows = body.get("candles") if isinstance(body, Mapping) else body
            make: Callable[[Any], BarClosed] = (
                (lambda row: _bar(tracked.id, msgspec.convert(row, _Candle), interval_ns))
                if isinstance(body, Mapping)
                else (lambda row: _row_bar(tracked.id, row, interval_ns))
            )
            bars = [make(row) for row in reversed(msgspec.convert(rows, list[Any]))]
            return [bar for bar in bars if bar.time_ns <= received_ns]

        return self._answered(body, read)


def _taker(maker: str) -> Side:
    return side_of(maker, "buy", "sell").opposite


def _rows(rows: Any) -> list[Any]:
    """Rows of text, from rows of more cells or from objects."""
    return [
        (row.get("price"), row.get("size")) if isinstance(row, Mapping) else row[:2]
        for row in msgspec.convert(rows, list[dict[str, Any] | list[Any]])
    ]


def _bar(instrument: InstrumentId, candle: _Candle, interval_ns: int) -> BarClosed:
    numbers = (candle.open, candle.high, candle.low, candle.close, candle.volume)
    return bar_of(instrument, whole(candle.start) * NS_PER_SECOND, interval_ns, numbers)


def _row_bar(instrument: InstrumentId, row: Any, interval_ns: int) -> BarClosed:
    """A row of Exchange: time, low, high, open, close, volume, as JSON numbers."""
    cells = msgspec.convert(row, list[int | float | str])
    if len(cells) != 6:
        raise InvalidDataError(f"expected six cells of a candle, found {row!r:.120}")
    low, high, open_, close, volume = (text_of(cell, "candle") for cell in cells[1:])
    start = text_of(cells[0], "time")
    return bar_of(
        instrument, whole(start) * NS_PER_SECOND, interval_ns, (open_, high, low, close, volume)
    )


class _Product(msgspec.Struct):
    quote_increment: str
    id: str = ""
    product_id: str = ""
    base_currency: str = ""
    quote_currency: str = ""
    base_currency_id: str = ""
    quote_currency_id: str = ""
    base_increment: str = ""
    price_increment: str = ""
    base_min_size: str = "0"
    min_market_funds: str = ""
    quote_min_size: str = "0"
    status: str = ""
    trading_disabled: bool = False
    product_type: str = "SPOT"


def coinbase_instruments(body: Any, venue: str = "coinbase") -> list[WireInstrument]:
    """The instruments of an answer with products, of Exchange or Advanced Trade.

    Raises:
        InvalidDataError: it is no such answer, or an instrument has no steps.
    """
    rows = body.get("products", [body]) if isinstance(body, Mapping) else body
    try:
        products = msgspec.convert(rows, list[_Product])
    except msgspec.ValidationError as error:
        raise InvalidDataError(f"{venue}: {error}; in the list of instruments") from None
    return [_listed(product, venue) for product in products]


def _listed(product: _Product, venue: str) -> WireInstrument:
    symbol = product.id or product.product_id
    parts = symbol.split("-")
    base = product.base_currency or product.base_currency_id or parts[0]
    quote = product.quote_currency or product.quote_currency_id or "USD"
    name = f"{base}/{quote}"
    if product.product_type != "SPOT":
        name = f"{base}/{quote}:{quote}-{parts[1] if len(parts) > 1 else ''}"
    least = product.min_market_funds or product.quote_min_size
    rules = Instrument(
        id=InstrumentId(f"{venue}:{name}"),
        base=base,
        quote=quote,
        tick_size=positive(
            product.price_increment or product.quote_increment, f"tick size of {symbol}"
        ),
        # Before 2020 lists named no step: quantities had eight places.
        lot_size=positive(product.base_increment or "0.00000001", f"lot size of {symbol}"),
        min_quantity=not_negative(product.base_min_size, f"least quantity of {symbol}"),
        min_notional=not_negative(least, f"least notional of {symbol}"),
    )
    active = product.status in ("", "online") and not product.trading_disabled
    return WireInstrument(symbol, rules, active)
