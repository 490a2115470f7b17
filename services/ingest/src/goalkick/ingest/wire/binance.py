"""Binance: spot, and its futures margined in dollars (`binanceusdm`) and in coins.

Stream messages bare or wrapped (`{"stream": ..., "data": ...}`); aggregate trades have numbers of
their own, which stand in ids after `a`.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Generic, Literal, TypeVar

import msgspec

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Event, Side
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import parse_duration
from goalkick.ingest.books import BookRules, Change, RefusedMessageError
from goalkick.ingest.levels import Changes, Numbers, Texts
from goalkick.ingest.wire.base import BaseParser, WireInstrument
from goalkick.ingest.wire.readings import (
    bar_of,
    checked_time,
    ms_time,
    not_negative,
    positive,
    quote_of,
    trade_of,
)

AGGREGATE = "a"
"""What ids of aggregate trades begin with."""

Data = TypeVar("Data")
Reader = Callable[["BinanceParser", Any, int], Sequence[Event]]


class _Depth(msgspec.Struct, gc=False):
    E: int
    s: str
    U: int
    u: int
    b: list[Any]
    a: list[Any]
    pu: int | None = None


class _DepthTexts(msgspec.Struct, gc=False):
    e: Literal["depthUpdate"]
    E: int
    s: str
    U: int
    u: int
    b: Texts
    a: Texts
    pu: int | None = None


class _DepthNumbers(msgspec.Struct, gc=False):
    b: Numbers
    a: Numbers


class _Wrapped(msgspec.Struct, Generic[Data], gc=False):
    data: Data


_BARE = (
    msgspec.json.Decoder(_DepthTexts),
    msgspec.json.Decoder(_DepthNumbers, strict=False),
)
_WRAPPED = (
    msgspec.json.Decoder(_Wrapped[_DepthTexts]),
    msgspec.json.Decoder(_Wrapped[_DepthNumbers], strict=False),
)


class _Trade(msgspec.Struct, gc=False):
    E: int
    s: str
    t: int
    p: str
    q: str
    T: int
    m: bool
    X: str = "MARKET"


class _Aggregate(msgspec.Struct, gc=False):
    s: str
    a: int
    p: str
    q: str
    T: int
    m: bool


class _Best(msgspec.Struct, gc=False):
    s: str
    u: int
    b: str
    B: str
    a: str
    A: str
    E: int | None = None


class _Kline(msgspec.Struct, gc=False):
    t: int
    s: str
    i: str
    o: str
    h: str
    l: str  # noqa: E741 - the wire's word
    c: str
    v: str
    n: int
    x: bool
    q: str
    V: str


class _KlineMessage(msgspec.Struct, gc=False):
    k: _Kline


class _Snapshot(msgspec.Struct):
    lastUpdateId: int  # noqa: N815 - the wire's word
    bids: list[Any]
    asks: list[Any]
    E: int | None = None


class _RestTrade(msgspec.Struct):
    id: int
    price: str
    qty: str
    time: int
    isBuyerMaker: bool  # noqa: N815 - the wire's word


class _RestAggregate(msgspec.Struct):
    a: int
    p: str
    q: str
    T: int
    m: bool


class BinanceParser(BaseParser):
    """Binance spot."""

    RULES = BookRules(joins="covers_next", from_stream=False)

    def _parse(self, message: Any, received_ns: int) -> Sequence[Event]:
        if not isinstance(message, dict):
            raise InvalidDataError(f"expected an object, found {type(message).__name__}")
        data = message.get("data", message) if "stream" in message else message
        if not isinstance(data, dict):
            return self._ignored("stream")
        kind = data.get("e")
        if kind is None:
            return self._of_no_kind(data, received_ns)
        read = self._READERS.get(kind) if isinstance(kind, str) else None
        return read(self, data, received_ns) if read else self._ignored(str(kind)[:20])

    def _book_in(self, message: Any) -> tuple[bool, Any]:
        data = message.get("data", message) if isinstance(message, dict) else None
        if not isinstance(data, dict):
            return False, None
        return data.get("e") == "depthUpdate", data.get("s")

    def _of_no_kind(self, data: dict[str, Any], received_ns: int) -> Sequence[Event]:
        if "u" in data and "B" in data:
            return self._best(data, received_ns)
        return self._ignored("reply" if "result" in data or "error" in data else "no kind")

    def parse_text(self, text: bytes | str, received_ns: int) -> Sequence[Event]:
        """The events that a stream message leads to, from JSON text.

        Changes of books are most of what comes: their text is decoded straight to what a book
        takes. Whatever is unusual about one goes the long way, which says what is wrong.
        """
        raw = text.encode() if isinstance(text, str) else text
        if b'"depthUpdate"' not in raw:
            return self.parse(self._decoded(text), received_ns)
        texts, numbers = _WRAPPED if raw.startswith(b'{"stream"') else _BARE
        try:
            depth: Any = texts.decode(raw)
            values: Any = numbers.decode(raw)
        except (msgspec.MsgspecError, UnicodeError):
            return self.parse(self._decoded(text), received_ns)
        if texts is _WRAPPED[0]:
            depth, values = depth.data, values.data
        try:
            self._check_span(received_ns)
            bids, asks = Changes(values.b, depth.b), Changes(values.a, depth.a)
            return self._depth_read(depth, bids, asks, received_ns)
        except RefusedMessageError as error:
            raise self._refusal(str(error), text, error.events) from None
        except InvalidDataError as error:
            lost = self._doubted(self._decoded(text), received_ns)
            raise self._refusal(str(error), text, lost) from None

    def _depth(self, data: Any, received_ns: int) -> Sequence[Event]:
        try:
            read = msgspec.convert(data, _DepthTexts)
            values = msgspec.convert(data, _DepthNumbers, strict=False)
        except msgspec.ValidationError:
            depth = msgspec.convert(data, _Depth)
            return self._depth_read(depth, depth.b, depth.a, received_ns)
        bids, asks = Changes(values.b, read.b), Changes(values.a, read.a)
        return self._depth_read(read, bids, asks, received_ns)

    def _depth_read(
        self, depth: _Depth | _DepthTexts, bids: Any, asks: Any, received_ns: int
    ) -> Sequence[Event]:
        tracked = self._tracked(depth.s)
        if tracked is None:
            return ()
        tracked.wanted = True
        self.counts["depth"] += 1
        time_ns = self._timely(ms_time(depth.E), received_ns)
        return tracked.book.change(
            Change(time_ns, depth.U, depth.u, self._previous(depth), bids, asks)
        )

    def _previous(self, depth: _Depth | _DepthTexts) -> int:
        return depth.U - 1

    def _trade(self, data: Any, received_ns: int) -> Sequence[Event]:
        trade = msgspec.convert(data, _Trade)
        tracked = self._tracked(trade.s)
        if tracked is None:
            return ()
        if trade.X != "MARKET":
            # Futures print liquidations by the insurance fund and auto-deleveraging too.
            return self._ignored(f"trade by {trade.X}")
        self._timely(ms_time(trade.E), received_ns)
        time_ns = self._timely(ms_time(trade.T), received_ns)
        return self._print(tracked, trade.t, trade.p, trade.q, _taker(trade.m), time_ns)

    def _aggregate(self, data: Any, received_ns: int) -> Sequence[Event]:
        trade = msgspec.convert(data, _Aggregate)
        tracked = self._tracked(trade.s)
        if tracked is None:
            return ()
        time_ns = self._timely(ms_time(trade.T), received_ns)
        side = _taker(trade.m)
        return self._print(tracked, trade.a, trade.p, trade.q, side, time_ns, AGGREGATE)

    def _best(self, data: Any, received_ns: int) -> Sequence[Event]:
        best = msgspec.convert(data, _Best)
        tracked = self._tracked(best.s)
        if tracked is None:
            return ()
        time_ns = received_ns if best.E is None else self._timely(ms_time(best.E), received_ns)
        self.counts["best"] += 1
        return (quote_of(tracked.id, (best.b, best.B), (best.a, best.A), time_ns, best.u),)

    def _kline(self, data: Any, received_ns: int) -> Sequence[Event]:
        kline = msgspec.convert(data, _KlineMessage).k
        tracked = self._tracked(kline.s)
        if tracked is None:
            return ()
        try:
            interval_ns = parse_duration(kline.i)
        except ValueError:
            return self._ignored(f"kline of {kline.i}")
        bar = bar_of(
            tracked.id,
            ms_time(kline.t),
            interval_ns,
            (kline.o, kline.h, kline.l, kline.c, kline.v),
            trades=kline.n,
            quote_volume=kline.q,
            taker_volume=kline.V,
        )
        if not kline.x:
            self.counts["running bar"] += 1
            return ()
        self.counts["bar"] += 1
        return (bar,)

    _READERS: ClassVar[dict[str, Reader]] = {
        "depthUpdate": _depth,
        "trade": _trade,
        "aggTrade": _aggregate,
        "bookTicker": _best,
        "kline": _kline,
    }

    def book(self, instrument: InstrumentId, body: Any, received_ns: int) -> Sequence[Event]:
        """Takes an answer of `/depth`."""
        tracked = self._known(instrument)

        def read() -> Sequence[Event]:
            snapshot = msgspec.convert(body, _Snapshot)
            time_ns = received_ns if snapshot.E is None else ms_time(snapshot.E)
            tracked.wanted = True
            return tracked.book.snapshot(
                checked_time(time_ns), snapshot.lastUpdateId, snapshot.bids, snapshot.asks
            )

        return self._answered(body, read)

    def trades(self, instrument: InstrumentId, body: Any, received_ns: int) -> Sequence[Event]:
        """The trades of an answer of `/trades` or `/aggTrades`."""
        tracked = self._known(instrument)

        def read() -> Sequence[Event]:
            if not isinstance(body, list):
                raise InvalidDataError(f"expected a list of trades, found {body!r:.80}")
            if body and isinstance(body[0], dict) and "a" in body[0]:
                return [
                    trade_of(
                        tracked.id,
                        f"{AGGREGATE}{row.a}",
                        row.p,
                        row.q,
                        _taker(row.m),
                        checked_time(ms_time(row.T)),
                    )
                    for row in msgspec.convert(body, list[_RestAggregate])
                ]
            return [
                trade_of(
                    tracked.id,
                    str(row.id),
                    row.price,
                    row.qty,
                    _taker(row.isBuyerMaker),
                    checked_time(ms_time(row.time)),
                )
                for row in msgspec.convert(body, list[_RestTrade])
            ]

        return self._answered(body, read)

    def bars(
        self, instrument: InstrumentId, body: Any, received_ns: int, interval_ns: int
    ) -> Sequence[Event]:
        """The bars of an answer of `/klines` that had closed when it was received."""
        tracked = self._known(instrument)

        def read() -> Sequence[Event]:
            if not isinstance(body, list):
                raise InvalidDataError(f"expected a list of klines, found {body!r:.80}")
            bars = [_rest_bar(tracked.id, row, interval_ns) for row in body]
            return [bar for bar in bars if bar.time_ns <= received_ns]

        return self._answered(body, read)


class BinanceFuturesParser(BinanceParser):
    """Binance futures: a change names the last number of the one before it (`pu`)."""

    RULES = BookRules(joins="covers_same", from_stream=False)

    def _previous(self, depth: _Depth | _DepthTexts) -> int:
        if depth.pu is None:
            raise InvalidDataError("expected the number before (`pu`) in a change, found none")
        return depth.pu


class _RestKline(msgspec.Struct, array_like=True):
    open_ms: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    close_ms: int
    quote_volume: str
    trades: int
    taker_volume: str


def _rest_bar(instrument: InstrumentId, row: Any, interval_ns: int) -> Any:
    kline = msgspec.convert(row, _RestKline)
    return bar_of(
        instrument,
        ms_time(kline.open_ms),
        interval_ns,
        (kline.open, kline.high, kline.low, kline.close, kline.volume),
        trades=kline.trades,
        quote_volume=kline.quote_volume,
        taker_volume=kline.taker_volume,
    )


def _taker(buyer_was_maker: bool) -> Side:
    return Side.SELL if buyer_was_maker else Side.BUY


class _Symbol(msgspec.Struct):
    symbol: str
    baseAsset: str  # noqa: N815 - the wire's words
    quoteAsset: str  # noqa: N815
    filters: list[dict[str, Any]]
    status: str = ""
    contractStatus: str = ""  # noqa: N815
    contractType: str = ""  # noqa: N815
    marginAsset: str = ""  # noqa: N815
    deliveryDate: int = 0  # noqa: N815


class _ExchangeInfo(msgspec.Struct):
    symbols: list[_Symbol]


def binance_instruments(body: Any, venue: str = "binance") -> list[WireInstrument]:
    """The instruments of an answer of `/exchangeInfo`: spot or futures.

    Args:
        body: the decoded answer.
        venue: the name for ids: `binance`, `binanceusdm`, `binancecoinm`.

    Raises:
        InvalidDataError: it is no such answer, or an instrument has no steps.
    """
    try:
        symbols = msgspec.convert(body, _ExchangeInfo).symbols
    except msgspec.ValidationError as error:
        raise InvalidDataError(f"{venue}: {error}; in the list of instruments") from None
    return list(_listed(symbols, venue))


def _listed(symbols: Iterable[_Symbol], venue: str) -> Iterable[WireInstrument]:
    for symbol in symbols:
        filters = {entry.get("filterType"): entry for entry in symbol.filters}
        try:
            tick, lot = filters["PRICE_FILTER"], filters["LOT_SIZE"]
            notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or {}
            least = notional.get("minNotional", notional.get("notional", "0"))
            rules = Instrument(
                id=InstrumentId(f"{venue}:{_name(symbol)}"),
                base=symbol.baseAsset,
                quote=symbol.quoteAsset,
                tick_size=positive(tick["tickSize"], "tick size"),
                lot_size=positive(lot["stepSize"], "lot size"),
                min_quantity=not_negative(lot["minQty"], "least quantity"),
                min_notional=not_negative(least, "least notional"),
            )
        except (KeyError, InvalidDataError) as error:
            raise InvalidDataError(
                f"{venue}: expected steps of price and quantity of {symbol.symbol}, found none "
                f"({error})"
            ) from None
        status = symbol.status or symbol.contractStatus
        yield WireInstrument(symbol.symbol, rules, status == "TRADING")


def _name(symbol: _Symbol) -> str:
    name = f"{symbol.baseAsset}/{symbol.quoteAsset}"
    if not symbol.contractType:
        return name
    name += f":{symbol.marginAsset}"
    _, underscore, date = symbol.symbol.partition("_")
    return f"{name}-{date}" if underscore and date.isdigit() else name
