"""Where the events of each kind of market stream come from.

A source belongs to one stream of one instrument and lives while anybody listens. It is told what
happens, and asked once after each burst of happenings and once each period; what it returns is
sent to all listeners in that order.
"""

from abc import ABC
from bisect import bisect_left
from collections.abc import Iterable
from decimal import Decimal

from goalkick.venue.binance import klines, shapes
from goalkick.venue.binance.klines import Interval
from goalkick.venue.binance.shapes import Json, amount, milliseconds
from goalkick.venue.engine.exchange import Exchange
from goalkick.venue.engine.model import (
    Candle,
    Happening,
    LevelChanged,
    PublicTrade,
    Side,
    Ticker,
    Traded,
)


class Source(ABC):  # noqa: B024 - each kind overrides what concerns it
    """A stream of one instrument.

    Attributes:
        instrument: whose events they are.
        symbol: its name on the wire.
        period_ns: time between two calls of `due`; 0: it is not called.
    """

    def __init__(
        self, exchange: Exchange, instrument: str, symbol: str, period_ns: int = 0
    ) -> None:
        self.exchange = exchange
        self.instrument = instrument
        self.symbol = symbol
        self.period_ns = period_ns

    def happened(self, happening: Happening, now_ns: int) -> Iterable[Json]:
        """Events that are told at once."""
        return ()

    def settled(self, now_ns: int) -> Iterable[Json]:
        """Events that wait until a burst of happenings is over."""
        return ()

    def due(self, now_ns: int) -> Iterable[Json]:
        """Events that are told once in a period."""
        return ()


class DepthUpdates(Source):
    """Changes of the book since the last event; their ids have no gap."""

    _first = 0
    _last = 0

    def __init__(self, exchange: Exchange, instrument: str, symbol: str, period_ns: int) -> None:
        super().__init__(exchange, instrument, symbol, period_ns)
        self._bids: dict[Decimal, Decimal] = {}
        self._asks: dict[Decimal, Decimal] = {}

    def happened(self, happening: Happening, now_ns: int) -> Iterable[Json]:
        """Notes changes of the book."""
        if isinstance(happening, LevelChanged):
            self._first = self._first or happening.update_id
            self._last = happening.update_id
            side = self._bids if happening.side is Side.BUY else self._asks
            side[happening.price] = happening.quantity
        return ()

    def due(self, now_ns: int) -> Iterable[Json]:
        """The changes since the last call, if there are any."""
        if not self._first:
            return
        yield {
            "e": "depthUpdate",
            "E": milliseconds(now_ns),
            "s": self.symbol,
            "U": self._first,
            "u": self._last,
            "b": shapes.levels(sorted(self._bids.items(), reverse=True)),
            "a": shapes.levels(sorted(self._asks.items())),
        }
        self._first = 0
        self._bids.clear()
        self._asks.clear()


class PartialDepth(Source):
    """The best levels of the book, each period in which it changed."""

    def __init__(
        self, exchange: Exchange, instrument: str, symbol: str, period_ns: int, levels: int
    ) -> None:
        super().__init__(exchange, instrument, symbol, period_ns)
        self._levels = levels
        self._told = -1

    def due(self, now_ns: int) -> Iterable[Json]:
        """The best levels, if the book changed."""
        depth = self.exchange.depth(self.instrument, self._levels)
        if depth.update_id != self._told:
            self._told = depth.update_id
            yield shapes.depth(depth)


class Trades(Source):
    """Each trade, at once."""

    def happened(self, happening: Happening, now_ns: int) -> Iterable[Json]:
        """The trade."""
        if isinstance(happening, Traded):
            trade = happening.trade
            yield {
                "e": "trade",
                "E": milliseconds(now_ns),
                "s": self.symbol,
                "t": trade.trade_id,
                **_trade(trade),
            }


class AggregateTrades(Source):
    """Trades of one taker at one price as one, when the taker is done."""

    def __init__(self, exchange: Exchange, instrument: str, symbol: str) -> None:
        super().__init__(exchange, instrument, symbol)
        self._open: list[Traded] = []

    def happened(self, happening: Happening, now_ns: int) -> Iterable[Json]:
        """The aggregate before, once another one begins."""
        if not isinstance(happening, Traded):
            return
        if self._open and self._open[0].aggregate_id != happening.aggregate_id:
            yield from self.settled(now_ns)
        self._open.append(happening)

    def settled(self, now_ns: int) -> Iterable[Json]:
        """The aggregate whose taker is done."""
        if not self._open:
            return
        first, last = self._open[0], self._open[-1]
        quantity = sum((one.trade.quantity for one in self._open[1:]), first.trade.quantity)
        yield {
            "e": "aggTrade",
            "E": milliseconds(now_ns),
            "s": self.symbol,
            "a": first.aggregate_id,
            **_trade(first.trade),
            "q": amount(quantity),
            "f": first.trade.trade_id,
            "l": last.trade.trade_id,
        }
        self._open.clear()


class BookTicker(Source):
    """The best quotes, after each burst in which they changed."""

    _told: tuple[object, ...] = ()
    _changed = True

    def happened(self, happening: Happening, now_ns: int) -> Iterable[Json]:
        """Notes that the book changed."""
        self._changed = self._changed or isinstance(happening, LevelChanged)
        return ()

    def settled(self, now_ns: int) -> Iterable[Json]:
        """The best quotes, if they changed."""
        if not self._changed:
            return
        self._changed = False
        depth = self.exchange.depth(self.instrument, 1)
        bid, ask = (side[0] if side else (None, None) for side in (depth.bids, depth.asks))
        if (bid, ask) == self._told:
            return
        self._told = bid, ask
        yield {
            "u": depth.update_id,
            "s": self.symbol,
            "b": amount(bid[0]),
            "B": amount(bid[1]),
            "a": amount(ask[0]),
            "A": amount(ask[1]),
        }


class MiniTicker(Source):
    """Statistics of 24 hours, each period in which they changed."""

    _told: Ticker | None = None

    def due(self, now_ns: int) -> Iterable[Json]:
        """The statistics, if they changed."""
        ticker = self.exchange.ticker(self.instrument)
        if self._told is None or _moved(self._told, ticker):
            self._told = ticker
            yield self.event(ticker, now_ns)

    def event(self, ticker: Ticker, now_ns: int) -> Json:
        """The event of a ticker."""
        return {
            "e": "24hrMiniTicker",
            "E": milliseconds(now_ns),
            "s": self.symbol,
            "c": amount(ticker.last),
            "o": amount(ticker.open),
            "h": amount(ticker.high),
            "l": amount(ticker.low),
            "v": amount(ticker.volume),
            "q": amount(ticker.quote_volume),
        }


class FullTicker(MiniTicker):
    """The same with quotes and changes."""

    def event(self, ticker: Ticker, now_ns: int) -> Json:
        """The event of a ticker."""
        last = self.exchange.trades(self.instrument)[-1:]
        return {
            **super().event(ticker, now_ns),
            "e": "24hrTicker",
            "p": amount(ticker.last - ticker.open),
            "P": shapes.change_percent(ticker),
            "w": amount(shapes.mean_price(ticker)),
            "x": amount(ticker.open),
            "Q": amount(last[0].quantity if last else None),
            "b": amount(ticker.bid),
            "B": amount(ticker.bid_quantity),
            "a": amount(ticker.ask),
            "A": amount(ticker.ask_quantity),
            "O": milliseconds(ticker.open_ns),
            "C": milliseconds(ticker.close_ns),
            "F": ticker.first_id,
            "L": ticker.last_id,
            "n": ticker.trades,
        }


class Klines(Source):
    """The present kline each period, whether it changed or not, and each one's last state.

    `due` is to be called often: a kline ends with its span, not with the period.
    """

    def __init__(
        self,
        exchange: Exchange,
        instrument: str,
        symbol: str,
        *,
        interval: Interval,
        look_ns: int,
        push_ns: int,
    ) -> None:
        super().__init__(exchange, instrument, symbol, look_ns)
        self._interval = interval
        self._push_ns = push_ns
        self._open_ns: int | None = None
        self._next_ns = 0
        """When the present kline is told again, by the exchange's clock."""

    def due(self, now_ns: int) -> Iterable[Json]:
        """All klines that ended, and the present one when it is time."""
        time_ns = self.exchange.now_ns
        open_ns = self._interval.start(time_ns)
        over = self._open_ns is not None and open_ns > self._open_ns
        if not over and time_ns < self._next_ns:
            return
        rows = klines.series(self.exchange, self.instrument, self._interval)
        if not rows:
            return
        first = len(rows) - 1
        while over and first > 0 and rows[first - 1].open_ns >= (self._open_ns or 0):
            first -= 1
        for candle in rows[first:]:
            closed = self._interval.end(candle.open_ns) <= time_ns
            yield self._event(candle, now_ns, closed=closed)
        self._open_ns = rows[-1].open_ns
        self._next_ns = time_ns + self._push_ns

    def _event(self, candle: Candle, now_ns: int, *, closed: bool) -> Json:
        end_ns = self._interval.end(candle.open_ns)
        first_id, last_id = self._ids(candle.open_ns, end_ns) if candle.trades else (-1, -1)
        return {
            "e": "kline",
            "E": milliseconds(now_ns),
            "s": self.symbol,
            "k": {
                "t": milliseconds(candle.open_ns),
                "T": milliseconds(end_ns) - 1,
                "s": self.symbol,
                "i": self._interval.name,
                "f": first_id,
                "L": last_id,
                "o": amount(candle.open),
                "c": amount(candle.close),
                "h": amount(candle.high),
                "l": amount(candle.low),
                "v": amount(candle.volume),
                "n": candle.trades,
                "x": closed,
                "q": amount(candle.quote_volume),
                "V": amount(candle.taker_volume),
                "Q": amount(candle.taker_quote_volume),
                "B": "0",
            },
        }

    def _ids(self, start_ns: int, end_ns: int) -> tuple[int, int]:
        """Ids of the first and last trade of a span; -1 where none is kept."""
        trades = self.exchange.trades(self.instrument)
        first = bisect_left(trades, start_ns, key=lambda trade: trade.time_ns)
        last = bisect_left(trades, end_ns, key=lambda trade: trade.time_ns) - 1
        if first > last:
            return -1, -1
        return trades[first].trade_id, trades[last].trade_id


def _trade(trade: PublicTrade) -> Json:
    return {
        "p": amount(trade.price),
        "q": amount(trade.quantity),
        "T": milliseconds(trade.time_ns),
        "m": trade.buyer_is_maker,
        "M": True,
    }


def _moved(before: Ticker, now: Ticker) -> bool:
    """Whether anything but the passing of time is different."""
    return any(
        getattr(before, name) != getattr(now, name)
        for name in before.__struct_fields__
        if name not in ("open_ns", "close_ns")
    )
