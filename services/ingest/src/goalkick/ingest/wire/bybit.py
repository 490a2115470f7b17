"""Bybit v5: spot, linear, inverse, options.

An `orderbook.1` topic is the best quote; a deeper one is a book. ccxt mixes the books of several
depths; here the first depth that arrives is the instrument's book, and others are ignored.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Event
from goalkick.common.events.market import TradePrinted
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import NS_PER_DAY, NS_PER_MINUTE, NS_PER_MS
from goalkick.ingest.books import BookRules, Change
from goalkick.ingest.wire.base import BaseParser, Tracked, WireInstrument
from goalkick.ingest.wire.readings import (
    bar_of,
    checked_time,
    ms_time,
    not_negative,
    positive,
    quote_of,
    side_of,
    trade_of,
)


class _Message(msgspec.Struct):
    topic: str
    data: Any
    type: str = ""
    ts: int = 0
    cts: int = 0


class _Book(msgspec.Struct, gc=False):
    s: str
    b: list[Any]
    a: list[Any]
    u: int
    seq: int = 0
    ts: int = 0


class _Trade(msgspec.Struct, gc=False):
    T: int
    S: str
    v: str
    p: str
    i: str


class _Kline(msgspec.Struct, gc=False):
    start: int
    end: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    turnover: str
    confirm: bool


class _RestTrade(msgspec.Struct):
    execId: str  # noqa: N815 - the wire's word
    price: str
    size: str
    side: str
    time: str


class _Answer(msgspec.Struct):
    result: Any
    retCode: int = 0  # noqa: N815 - the wire's words
    retMsg: str = ""  # noqa: N815


class BybitParser(BaseParser):
    """Bybit v5."""

    RULES = BookRules()

    def _parse(self, message: Any, received_ns: int) -> Sequence[Event]:
        if not isinstance(message, dict):
            raise InvalidDataError(f"expected an object, found {type(message).__name__}")
        topic = message.get("topic")
        if not isinstance(topic, str):
            return self._ignored("reply")
        kind, _, rest = topic.partition(".")
        if kind not in ("orderbook", "publicTrade", "kline"):
            return self._ignored(kind[:20])
        depth, _, symbol = rest.rpartition(".")
        tracked = self._tracked(symbol)
        return self._taken(tracked, kind, depth, message, received_ns) if tracked else ()

    def _book_in(self, message: Any) -> tuple[bool, Any]:
        topic = message.get("topic") if isinstance(message, dict) else None
        if not isinstance(topic, str) or topic.startswith("orderbook.1."):
            return False, None
        return topic.startswith("orderbook."), topic.rpartition(".")[2]

    def _taken(
        self, tracked: Tracked, kind: str, depth: str, message: Any, received_ns: int
    ) -> Sequence[Event]:
        if kind == "orderbook" and depth != "1":
            return self._book(tracked, message, received_ns)
        read = msgspec.convert(message, _Message)
        if kind == "orderbook":
            return self._best(tracked, read, received_ns)
        if kind == "publicTrade":
            return self._trades(tracked, read, received_ns)
        return self._klines(tracked, read)

    def _book(self, tracked: Tracked, message: Any, received_ns: int) -> Sequence[Event]:
        topic = message["topic"]
        if tracked.stream not in ("", topic):
            return self._ignored("second depth of a book")
        read = msgspec.convert(message, _Message)
        data = msgspec.convert(read.data, _Book)
        tracked.stream = topic
        tracked.wanted = True
        self.counts["book"] += 1
        time_ns = self._timely((read.cts or read.ts) * NS_PER_MS, received_ns)
        if read.type == "snapshot" or data.u == 1:
            # Number 1 means that their service began anew.
            tracked.mark = data.seq
            return tracked.book.snapshot(time_ns, data.u, data.b, data.a)
        if read.type != "delta":
            raise InvalidDataError(f"expected snapshot or delta, found {read.type!r:.40}")
        if data.u == tracked.book.sequence + 1 and data.seq < tracked.mark:
            raise InvalidDataError(f"expected `seq` of {tracked.mark} or more, found {data.seq}")
        tracked.mark = max(tracked.mark, data.seq)
        return tracked.book.change(Change(time_ns, data.u, data.u, data.u - 1, data.b, data.a))

    def _best(self, tracked: Tracked, message: _Message, received_ns: int) -> Sequence[Event]:
        data = msgspec.convert(message.data, _Book)
        if not data.b or not data.a:
            return self._ignored("book with one side")
        bid, ask = msgspec.convert([data.b[0], data.a[0]], list[tuple[str, str]])
        time_ns = self._timely((message.cts or message.ts) * NS_PER_MS, received_ns)
        self.counts["best"] += 1
        return (quote_of(tracked.id, bid, ask, time_ns, data.u),)

    def _trades(self, tracked: Tracked, message: _Message, received_ns: int) -> Sequence[Event]:
        events: list[TradePrinted] = []
        for trade in self._items(msgspec.convert(message.data, list[_Trade])):
            side = side_of(trade.S, "Buy", "Sell")
            time_ns = self._timely(ms_time(trade.T), received_ns)
            events.append(trade_of(tracked.id, trade.i, trade.p, trade.v, side, time_ns))
        self.counts["trade"] += len(events)
        return events

    def _klines(self, tracked: Tracked, message: _Message) -> Sequence[Event]:
        events: list[Event] = []
        for kline in self._items(msgspec.convert(message.data, list[_Kline])):
            bar = bar_of(
                tracked.id,
                ms_time(kline.start),
                _interval(kline.start, kline.end),
                (kline.open, kline.high, kline.low, kline.close, kline.volume),
                quote_volume=kline.turnover,
            )
            self.counts["bar" if kline.confirm else "running bar"] += 1
            if kline.confirm:
                events.append(bar)
        return events

    def book(self, instrument: InstrumentId, body: Any, received_ns: int) -> Sequence[Event]:
        """Publishes an answer of `/v5/market/orderbook` alone."""
        tracked = self._known(instrument)

        def read() -> Sequence[Event]:
            data = msgspec.convert(_result(body), _Book)
            return self._pictured(tracked, data.ts * NS_PER_MS, data.u, data.b, data.a)

        return self._answered(body, read)

    def trades(self, instrument: InstrumentId, body: Any, received_ns: int) -> Sequence[Event]:
        """The trades of an answer of `/v5/market/recent-trade`."""
        tracked = self._known(instrument)

        def read() -> Sequence[Event]:
            return [
                trade_of(
                    tracked.id,
                    trade.execId,
                    trade.price,
                    trade.size,
                    side_of(trade.side, "Buy", "Sell"),
                    checked_time(ms_time(trade.time)),
                )
                for trade in reversed(msgspec.convert(_list(body), list[_RestTrade]))
            ]

        return self._answered(body, read)

    def bars(
        self, instrument: InstrumentId, body: Any, received_ns: int, interval_ns: int
    ) -> Sequence[Event]:
        """The bars of an answer of `/v5/market/kline` that had closed when it was received."""
        tracked = self._known(instrument)

        def read() -> Sequence[Event]:
            rows = msgspec.convert(_list(body), list[tuple[str, str, str, str, str, str, str]])
            bars = [
                bar_of(tracked.id, ms_time(row[0]), interval_ns, row[1:6], quote_volume=row[6])
                for row in reversed(rows)
            ]
            return [bar for bar in bars if bar.time_ns <= received_ns]

        return self._answered(body, read)


def _result(body: Any) -> Any:
    answer = msgspec.convert(body, _Answer)
    if answer.retCode:
        raise InvalidDataError(f"expected retCode 0, found {answer.retCode}: {answer.retMsg}")
    return answer.result


def _list(body: Any) -> list[Any]:
    result = msgspec.convert(_result(body), dict[str, Any])
    return msgspec.convert(result.get("list"), list[Any])


def _interval(start_ms: int, end_ms: int) -> int:
    """A kline says its last millisecond."""
    interval_ns = (end_ms + 1 - start_ms) * NS_PER_MS
    if not NS_PER_MINUTE <= interval_ns <= 31 * NS_PER_DAY:
        raise InvalidDataError(f"expected a kline of 1 minute to 1 month, found {interval_ns} ns")
    return interval_ns


class _Lots(msgspec.Struct):
    minOrderQty: str = "0"  # noqa: N815 - the wire's words
    basePrecision: str = ""  # noqa: N815
    qtyStep: str = ""  # noqa: N815
    minOrderAmt: str = "0"  # noqa: N815
    minNotionalValue: str = "0"  # noqa: N815


class _Prices(msgspec.Struct):
    tickSize: str  # noqa: N815 - the wire's word


class _Instrument(msgspec.Struct):
    symbol: str
    baseCoin: str  # noqa: N815 - the wire's words
    quoteCoin: str  # noqa: N815
    lotSizeFilter: _Lots  # noqa: N815
    priceFilter: _Prices  # noqa: N815
    status: str = ""
    settleCoin: str = ""  # noqa: N815
    deliveryTime: str = "0"  # noqa: N815


def bybit_instruments(body: Any, venue: str = "bybit") -> list[WireInstrument]:
    """The instruments of an answer of `/v5/market/instruments-info`, of any category.

    Raises:
        InvalidDataError: it is no such answer, or an instrument has no steps.
    """
    try:
        entries = msgspec.convert(_list(body), list[_Instrument])
        category = msgspec.convert(_result(body), dict[str, Any]).get("category", "spot")
    except msgspec.ValidationError as error:
        raise InvalidDataError(f"{venue}: {error}; in the list of instruments") from None
    return [_listed(entry, str(category), venue) for entry in entries]


def _listed(entry: _Instrument, category: str, venue: str) -> WireInstrument:
    name = f"{entry.baseCoin}/{entry.quoteCoin}"
    if category != "spot":
        settle = entry.settleCoin or (entry.baseCoin if category == "inverse" else entry.quoteCoin)
        # What is delivered has more parts in its symbol: a date, and of an option more.
        name = "-".join([f"{name}:{settle}", *entry.symbol.split("-")[1:]])
    lots = entry.lotSizeFilter
    rules = Instrument(
        id=InstrumentId(f"{venue}:{name}"),
        base=entry.baseCoin,
        quote=entry.quoteCoin,
        tick_size=positive(entry.priceFilter.tickSize, f"tick size of {entry.symbol}"),
        lot_size=positive(lots.basePrecision or lots.qtyStep, f"lot size of {entry.symbol}"),
        min_quantity=not_negative(lots.minOrderQty, f"least quantity of {entry.symbol}"),
        min_notional=not_negative(
            lots.minOrderAmt if lots.minOrderAmt != "0" else lots.minNotionalValue,
            f"least notional of {entry.symbol}",
        ),
    )
    return WireInstrument(entry.symbol, rules, entry.status == "Trading")
