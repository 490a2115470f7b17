"""Bybit v2, switched off since: recordings of it remain. Books have no numbers that follow.

`cross_seq` only rises, so a lost message shows when a change does not fit: a level removed or
changed that is not there, or set anew that is.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Event
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import NS_PER_MS
from goalkick.ingest.books import BookRules, Change
from goalkick.ingest.wire.base import BaseParser, Tracked, WireInstrument
from goalkick.ingest.wire.readings import (
    not_negative,
    positive,
    side_of,
    text_of,
    trade_of,
    whole,
)


class _Level(msgspec.Struct, gc=False):
    price: str
    side: str
    size: int | float | str = 0


class _Delta(msgspec.Struct, gc=False):
    delete: list[_Level]
    update: list[_Level]
    insert: list[_Level]


class _Whole(msgspec.Struct, gc=False):
    order_book: list[_Level]


class _Message(msgspec.Struct, gc=False):
    topic: str
    type: str
    data: Any
    cross_seq: int | str
    timestamp_e6: int | str


class _Trade(msgspec.Struct, gc=False):
    price: str | int | float
    size: int | float | str
    side: str
    trade_id: str
    trade_time_ms: int | str


class BybitV2Parser(BaseParser):
    """Bybit v2, linear and inverse."""

    RULES = BookRules()

    def _parse(self, message: Any, received_ns: int) -> Sequence[Event]:
        if not isinstance(message, dict):
            raise InvalidDataError(f"expected an object, found {type(message).__name__}")
        topic = message.get("topic")
        if not isinstance(topic, str):
            return self._ignored("reply")
        kind, _, symbol = topic.partition(".")
        if kind not in ("trade", "orderBookL2_25", "orderBook_200"):
            return self._ignored(kind)
        tracked = self._tracked(symbol)
        if tracked is None:
            return ()
        if kind == "trade":
            return self._trades(tracked, message.get("data"), received_ns)
        read = msgspec.convert(message, _Message)
        return self._book(tracked, read, received_ns)

    def _book_in(self, message: Any) -> tuple[bool, Any]:
        topic = message.get("topic") if isinstance(message, dict) else None
        if not isinstance(topic, str):
            return False, None
        return topic.startswith("orderBook"), topic.partition(".")[2]

    def _book(self, tracked: Tracked, message: _Message, received_ns: int) -> Sequence[Event]:
        tracked.wanted = True
        self.counts["book"] += 1
        time_ns = self._timely(whole(message.timestamp_e6) * 1_000, received_ns)
        number = whole(message.cross_seq)
        if message.type == "snapshot":
            data = message.data
            if isinstance(data, list):
                data = {"order_book": data}
            levels = msgspec.convert(data, _Whole).order_book
            bids, asks = _sides(levels)
            return tracked.book.snapshot(time_ns, number, bids, asks)
        delta = msgspec.convert(message.data, _Delta)
        if tracked.book.live and not _fits(tracked, delta):
            raise InvalidDataError("expected changes of the levels there are, found others")
        for level in delta.delete:
            level.size = 0
        bids, asks = _sides([*delta.delete, *delta.update, *delta.insert])
        previous = tracked.book.sequence if number > tracked.book.sequence else number
        return tracked.book.change(Change(time_ns, 0, number, previous, bids, asks))

    def _trades(self, tracked: Tracked, data: Any, received_ns: int) -> Sequence[Event]:
        events = [
            trade_of(
                tracked.id,
                trade.trade_id,
                text_of(trade.price, "price"),
                text_of(trade.size, "quantity"),
                side_of(trade.side, "Buy", "Sell"),
                self._timely(whole(trade.trade_time_ms) * NS_PER_MS, received_ns),
            )
            for trade in self._items(msgspec.convert(data, list[_Trade]))
        ]
        self.counts["trade"] += len(events)
        return events


def _sides(levels: Sequence[_Level]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    sides: dict[str, list[tuple[str, str]]] = {"Buy": [], "Sell": []}
    for level in levels:
        if level.side not in sides:
            raise InvalidDataError(f"expected Buy or Sell as side, found {level.side!r:.40}")
        sides[level.side].append((level.price, text_of(level.size, "quantity")))
    return sides["Buy"], sides["Sell"]


def _fits(tracked: Tracked, delta: _Delta) -> bool:
    levels = tracked.book.levels

    def known(level: _Level) -> bool:
        key = float(text_of(positive(level.price, "price"), "price"))
        return key in (levels.bids if level.side == "Buy" else levels.asks).rows

    there = all(known(level) for level in (*delta.delete, *delta.update))
    return there and not any(known(level) for level in delta.insert)


class _Lots(msgspec.Struct):
    min_trading_qty: int | float | str
    qty_step: int | float | str


class _Prices(msgspec.Struct):
    tick_size: str


class _Symbol(msgspec.Struct):
    name: str
    base_currency: str
    quote_currency: str
    price_filter: _Prices
    lot_size_filter: _Lots
    status: str = ""


class _Symbols(msgspec.Struct):
    result: list[_Symbol]


def bybit_v2_instruments(body: Any, venue: str = "bybitv2") -> list[WireInstrument]:
    """The instruments of an answer of `/v2/public/symbols`.

    Raises:
        InvalidDataError: it is no such answer, or an instrument has no steps.
    """
    try:
        symbols = msgspec.convert(body, _Symbols).result
    except msgspec.ValidationError as error:
        raise InvalidDataError(f"{venue}: {error}; in the list of instruments") from None
    return [_listed(symbol, venue) for symbol in symbols]


def _listed(symbol: _Symbol, venue: str) -> WireInstrument:
    base, quote = symbol.base_currency, symbol.quote_currency
    settle = base if quote == "USD" else quote
    # What is delivered has its date in its name.
    date = symbol.name.removeprefix(base + quote)
    lots = symbol.lot_size_filter
    rules = Instrument(
        id=InstrumentId(f"{venue}:{base}/{quote}:{settle}" + (f"-{date}" if date else "")),
        base=base,
        quote=quote,
        tick_size=positive(symbol.price_filter.tick_size, f"tick size of {symbol.name}"),
        lot_size=positive(text_of(lots.qty_step, "lot size"), f"lot size of {symbol.name}"),
        min_quantity=not_negative(
            text_of(lots.min_trading_qty, "least quantity"), f"least quantity of {symbol.name}"
        ),
    )
    return WireInstrument(symbol.name, rules, symbol.status == "Trading")
