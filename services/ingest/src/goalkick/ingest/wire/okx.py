"""OKX v5. Books carry numbers (`prevSeqId`, `seqId`) or, in older messages, a checksum alone.

Quantities of contracts are in contracts.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Event
from goalkick.common.events.market import BarClosed
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import parse_duration
from goalkick.ingest.books import BookRules, Change
from goalkick.ingest.checksums import okx_checksum
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
    whole,
)

BOOKS = frozenset({"books", "books-l2-tbt", "books50-l2-tbt"})
"""Channels that begin with a snapshot and go on with changes."""
TOPS = frozenset({"bbo-tbt", "books5"})
"""Channels that send the best levels whole each time."""


class _Arg(msgspec.Struct):
    channel: str
    instId: str = ""  # noqa: N815 - the wire's word


class _Book(msgspec.Struct, gc=False):
    asks: list[Any]
    bids: list[Any]
    ts: str
    checksum: int | None = None
    prevSeqId: int | None = None  # noqa: N815 - the wire's words
    seqId: int | None = None  # noqa: N815


class _Trade(msgspec.Struct, gc=False):
    tradeId: str  # noqa: N815 - the wire's word
    px: str
    sz: str
    side: str
    ts: str


class _Ticker(msgspec.Struct, gc=False):
    askPx: str  # noqa: N815 - the wire's words
    askSz: str  # noqa: N815
    bidPx: str  # noqa: N815
    bidSz: str  # noqa: N815
    ts: str


class _Answer(msgspec.Struct):
    data: list[Any]
    code: str = "0"
    msg: str = ""


class OkxParser(BaseParser):
    """OKX."""

    RULES = BookRules(checksum=okx_checksum)

    def _parse(self, message: Any, received_ns: int) -> Sequence[Event]:
        if not isinstance(message, dict):
            raise InvalidDataError(f"expected an object, found {type(message).__name__}")
        if "event" in message or "arg" not in message:
            return self._ignored("reply")
        arg = msgspec.convert(message["arg"], _Arg)
        read = self._reader(arg.channel)
        if read is None:
            return self._ignored(arg.channel)
        tracked = self._tracked(arg.instId)
        if tracked is None:
            return ()
        data = self._items(msgspec.convert(message.get("data"), list[Any]))
        return [event for entry in data for event in read(tracked, entry, message, received_ns)]

    def _book_in(self, message: Any) -> tuple[bool, Any]:
        arg = message.get("arg") if isinstance(message, dict) else None
        if not isinstance(arg, dict):
            return False, None
        channel = arg.get("channel")
        return isinstance(channel, str) and channel in BOOKS, arg.get("instId")

    def _reader(self, channel: str) -> Any:
        if channel in BOOKS:
            return self._book
        if channel in TOPS:
            return self._top
        if channel.startswith("candle"):
            return self._candle
        return {"trades": self._trade, "trades-all": self._trade, "tickers": self._ticker}.get(
            channel
        )

    def _book(
        self, tracked: Tracked, entry: Any, message: Any, received_ns: int
    ) -> Sequence[Event]:
        arg, action = message["arg"], message.get("action")
        if tracked.stream not in ("", arg["channel"]):
            return self._ignored(f"{arg['channel']} beside {tracked.stream}")
        data = msgspec.convert(entry, _Book)
        tracked.stream = arg["channel"]
        tracked.wanted = True
        self.counts["book"] += 1
        time_ns = self._timely(ms_time(data.ts), received_ns)
        bids, asks = _pairs(data.bids), _pairs(data.asks)
        book = tracked.book
        if action == "snapshot":
            number = time_ns if data.seqId is None else data.seqId
            return book.snapshot(time_ns, number, bids, asks, data.checksum)
        if action != "update":
            raise InvalidDataError(f"expected snapshot or update, found {action!r:.40}")
        if data.seqId is None or data.prevSeqId is None:
            if data.checksum is None:
                raise InvalidDataError("expected numbers or a checksum, found neither")
            last, previous = max(book.sequence + 1, time_ns), book.sequence
        else:
            last, previous = data.seqId, data.prevSeqId
        return book.change(Change(time_ns, 0, last, previous, bids, asks, data.checksum))

    def _top(self, tracked: Tracked, entry: Any, message: Any, received_ns: int) -> Sequence[Event]:
        data = msgspec.convert(entry, _Book)
        if not data.bids or not data.asks:
            return self._ignored("book with one side")
        best = _pairs([data.bids[0], data.asks[0]])
        bid, ask = msgspec.convert(best, list[tuple[str, str]])
        time_ns = self._timely(ms_time(data.ts), received_ns)
        self.counts["best"] += 1
        return (quote_of(tracked.id, bid, ask, time_ns, data.seqId or 0),)

    def _ticker(
        self, tracked: Tracked, entry: Any, message: Any, received_ns: int
    ) -> Sequence[Event]:
        data = msgspec.convert(entry, _Ticker)
        if not data.bidPx or not data.askPx:
            return self._ignored("ticker with one side")
        time_ns = self._timely(ms_time(data.ts), received_ns)
        self.counts["best"] += 1
        bid, ask = (data.bidPx, data.bidSz), (data.askPx, data.askSz)
        return (quote_of(tracked.id, bid, ask, time_ns),)

    def _trade(
        self, tracked: Tracked, entry: Any, message: Any, received_ns: int
    ) -> Sequence[Event]:
        trade = msgspec.convert(entry, _Trade)
        side = side_of(trade.side, "buy", "sell")
        time_ns = self._timely(ms_time(trade.ts), received_ns)
        # The channel joins trades of one order and says the last one's number alone.
        return self._print(
            tracked, whole(trade.tradeId), trade.px, trade.sz, side, time_ns, contiguous=False
        )

    def _candle(
        self, tracked: Tracked, entry: Any, message: Any, received_ns: int
    ) -> Sequence[Event]:
        word = message["arg"]["channel"].removeprefix("candle").removesuffix("utc")
        interval_ns = _interval(word)
        if interval_ns is None:
            return self._ignored(f"candle of {word}")
        bar = _bar(tracked.id, entry, interval_ns)
        if bar is None:
            self.counts["running bar"] += 1
            return ()
        self.counts["bar"] += 1
        return (bar,)

    def book(self, instrument: InstrumentId, body: Any, received_ns: int) -> Sequence[Event]:
        """Publishes an answer of `/market/books` alone."""
        tracked = self._known(instrument)

        def read() -> Sequence[Event]:
            found = msgspec.convert(_data(body), list[_Book])
            if len(found) != 1:
                raise InvalidDataError(f"expected one book, found {len(found)}")
            data = found[0]
            bids, asks = _pairs(data.bids), _pairs(data.asks)
            time_ns = ms_time(data.ts)
            return self._pictured(tracked, time_ns, data.seqId or time_ns, bids, asks)

        return self._answered(body, read)

    def trades(self, instrument: InstrumentId, body: Any, received_ns: int) -> Sequence[Event]:
        """The trades of an answer of `/market/trades`."""
        tracked = self._known(instrument)

        def read() -> Sequence[Event]:
            return [
                trade_of(
                    tracked.id,
                    str(whole(trade.tradeId)),
                    trade.px,
                    trade.sz,
                    side_of(trade.side, "buy", "sell"),
                    checked_time(ms_time(trade.ts)),
                )
                for trade in reversed(msgspec.convert(_data(body), list[_Trade]))
            ]

        return self._answered(body, read)

    def bars(
        self, instrument: InstrumentId, body: Any, received_ns: int, interval_ns: int
    ) -> Sequence[Event]:
        """The closed bars of an answer of `/market/candles`."""
        tracked = self._known(instrument)

        def read() -> Sequence[Event]:
            found = [_bar(tracked.id, row, interval_ns) for row in _data(body)]
            return sorted((bar for bar in found if bar), key=lambda bar: bar.time_ns)

        return self._answered(body, read)


def _data(body: Any) -> list[Any]:
    answer = msgspec.convert(body, _Answer)
    if answer.code != "0":
        raise InvalidDataError(f"expected code 0, found {answer.code}: {answer.msg}")
    return answer.data


def _pairs(rows: list[Any]) -> list[Any]:
    """Price and quantity alone: the rest of a row counts orders."""
    return [row[:2] if isinstance(row, list) else row for row in rows]


def _interval(word: str) -> int | None:
    """`1m`, `4H`, `1D`; None for months, which have no one length."""
    if word.endswith("M"):
        return None
    try:
        return parse_duration(word.lower())
    except ValueError:
        return None


def _bar(instrument: InstrumentId, row: Any, interval_ns: int) -> BarClosed | None:
    """The row's bar; None while it runs."""
    cells = msgspec.convert(row, list[str])
    if len(cells) < 9 or cells[8] not in ("0", "1"):
        raise InvalidDataError(f"expected nine cells with 0 or 1 last, found {row!r:.120}")
    bar = bar_of(instrument, ms_time(cells[0]), interval_ns, cells[1:6], quote_volume=cells[7])
    return bar if cells[8] == "1" else None


class _Instrument(msgspec.Struct):
    instId: str  # noqa: N815 - the wire's words
    instType: str  # noqa: N815
    tickSz: str  # noqa: N815
    lotSz: str  # noqa: N815
    minSz: str  # noqa: N815
    baseCcy: str = ""  # noqa: N815
    quoteCcy: str = ""  # noqa: N815
    settleCcy: str = ""  # noqa: N815
    uly: str = ""
    state: str = ""


def okx_instruments(body: Any, venue: str = "okx") -> list[WireInstrument]:
    """The instruments of an answer of `/public/instruments`.

    Those without steps (announced, not yet tradable) are left out.

    Raises:
        InvalidDataError: it is no such answer.
    """
    try:
        entries = msgspec.convert(_data(body), list[_Instrument])
    except msgspec.ValidationError as error:
        raise InvalidDataError(f"{venue}: {error}; in the list of instruments") from None
    return [_listed(entry, venue) for entry in entries if entry.tickSz and entry.lotSz]


def _listed(entry: _Instrument, venue: str) -> WireInstrument:
    parts = entry.instId.split("-")
    base, quote = (entry.baseCcy, entry.quoteCcy) if entry.baseCcy else (parts[0], parts[1])
    name = f"{base}/{quote}"
    if entry.settleCcy:
        name = "-".join([f"{name}:{entry.settleCcy}", *parts[2:]]).removesuffix("-SWAP")
    rules = Instrument(
        id=InstrumentId(f"{venue}:{name}"),
        base=base,
        quote=quote,
        tick_size=positive(entry.tickSz, f"tick size of {entry.instId}"),
        lot_size=positive(entry.lotSz, f"lot size of {entry.instId}"),
        min_quantity=not_negative(entry.minSz, f"least quantity of {entry.instId}"),
    )
    return WireInstrument(entry.instId, rules, entry.state == "live")
