"""Public topics: what subscribers are told, and when. No I/O: the hub sends what comes out.

Each topic is made once however many listen to it, so that all of them see the same `u`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec

from goalkick.common.values.money import ZERO
from goalkick.common.values.time import NS_PER_MS
from goalkick.venue.binance import klines
from goalkick.venue.bybit import forms
from goalkick.venue.bybit.front import Front
from goalkick.venue.bybit.market_calls import INTERVALS
from goalkick.venue.engine.model import Candle, Listing, PublicTrade

Levels = dict[Decimal, Decimal]
BOOK_DEPTHS = (1, 50, 200)


def _message(topic: str, kind: str, now_ns: int, data: Any, **more: Any) -> str:
    return msgspec.json.encode(
        {"topic": topic, "type": kind, "ts": now_ns // NS_PER_MS, "data": data, **more}
    ).decode()


@dataclass
class BookTopic:
    """`orderbook.N.SYMBOL`: a snapshot, then what changed in the best N levels.

    Of depth 1 there are only snapshots. `u` counts the messages of the topic without a gap,
    `seq` is the exchange's own count of the instrument's changes.
    """

    front: Front
    name: str
    symbol: str
    instrument: str
    depth: int
    number: int = 0
    sequence: int = -1
    told_ns: int = 0
    bids: Levels = field(default_factory=dict)
    asks: Levels = field(default_factory=dict)

    @property
    def interval_ns(self) -> int:
        """Time between two looks."""
        settings = self.front.settings
        return {1: settings.best_interval, 50: settings.book_interval}.get(
            self.depth, settings.deep_interval
        )

    def first(self) -> list[str]:
        """What a new subscriber is told: the book as all know it."""
        if not self.number:
            self.look()
        return [self._say("snapshot", self.bids, self.asks)]

    def look(self) -> list[str]:
        """What is new for all; nothing, if nothing is."""
        depth = self.front.exchange.depth(self.instrument, self.depth)
        now_ns = self.front.context.clock.now_ns()
        quiet_ns = now_ns - self.told_ns
        repeats = self.depth == 1 and quiet_ns >= self.front.settings.quiet_repeat
        if depth.update_id == self.sequence and not repeats:
            return []
        bids, asks = dict(depth.bids), dict(depth.asks)
        changed = _changes(self.bids, bids), _changes(self.asks, asks)
        self.sequence = depth.update_id
        if self.number and not any(changed) and not repeats:
            return []
        self.bids, self.asks = bids, asks
        self.number += 1
        self.told_ns = now_ns
        if self.depth == 1:
            return [self._say("snapshot", bids, asks)]
        return [self._say("delta", *changed)]

    def _say(self, kind: str, bids: Levels, asks: Levels) -> str:
        now_ns = self.front.context.clock.now_ns()
        data = {
            "s": self.symbol,
            "b": forms.levels(sorted(bids.items(), reverse=True)),
            "a": forms.levels(sorted(asks.items())),
            "u": self.number,
            "seq": self.sequence,
        }
        return _message(self.name, kind, now_ns, data, cts=now_ns // NS_PER_MS)


def _changes(before: Levels, after: Levels) -> Levels:
    gone = {price: ZERO for price in before if price not in after}
    new = {price: held for price, held in after.items() if before.get(price) != held}
    return gone | new


@dataclass
class TradeTopic:
    """`publicTrade.SYMBOL`: trades as they happen, those of one moment together."""

    front: Front
    name: str
    symbol: str
    instrument: str
    waiting: list[PublicTrade] = field(default_factory=list)
    interval_ns: int = 0

    def first(self) -> list[str]:
        """Nothing: only what happens from now on is told."""
        return []

    def look(self) -> list[str]:
        """The trades since the last look."""
        if not self.waiting:
            return []
        trades, self.waiting = self.waiting, []
        sequence = self.front.exchange.depth(self.instrument, 1).update_id
        data = [forms.stream_trade(trade, self.symbol, sequence) for trade in trades]
        return [_message(self.name, "snapshot", self.front.context.clock.now_ns(), data)]


@dataclass
class TickerTopic:
    """`tickers.SYMBOL`: the last 24 hours; on spot each message is a snapshot."""

    front: Front
    name: str
    symbol: str
    instrument: str
    last: dict[str, Any] = field(default_factory=dict)

    @property
    def interval_ns(self) -> int:
        """Time between two looks."""
        return self.front.settings.ticker_interval

    def first(self) -> list[str]:
        """The ticker as it is."""
        self.last = {}
        return self.look()

    def look(self) -> list[str]:
        """The ticker, if it changed."""
        ticker = self.front.exchange.ticker(self.instrument)
        form = forms.stream_ticker(ticker, self.symbol)
        if form == self.last:
            return []
        self.last = form
        now_ns = self.front.context.clock.now_ns()
        return [_message(self.name, "snapshot", now_ns, form, cs=ticker.last_id)]


@dataclass
class KlineTopic:
    """`kline.INTERVAL.SYMBOL`: the open kline, and each one once more when it is closed."""

    front: Front
    name: str
    symbol: str
    instrument: str
    interval: str
    told_ns: int = -1
    """Start of the kline that was told last; -1: none was."""

    @property
    def interval_ns(self) -> int:
        """Time between two looks."""
        return self.front.settings.kline_interval

    def first(self) -> list[str]:
        """Nothing: the next look is soon."""
        return []

    def look(self) -> list[str]:
        """The klines that were closed since the last look, and the open one."""
        candles = klines.series(self.front.exchange, self.instrument, INTERVALS[self.interval])
        if not candles:
            return []
        fresh = [candles[-1]]
        if self.told_ns >= 0:
            fresh = _since(candles, self.told_ns)
        self.told_ns = candles[-1].open_ns
        now_ns = self.front.context.clock.now_ns()
        data = [
            forms.stream_kline(
                candle,
                self.interval,
                INTERVALS[self.interval].end(candle.open_ns),
                now_ns=now_ns,
                closed=candle is not candles[-1],
            )
            for candle in fresh
        ]
        return [_message(self.name, "snapshot", now_ns, [each]) for each in data]


def _since(candles: Sequence[Candle], start_ns: int) -> list[Candle]:
    found: list[Candle] = []
    for candle in reversed(candles):
        if candle.open_ns < start_ns:
            break
        found.append(candle)
    return found[::-1]


Topic = BookTopic | TradeTopic | TickerTopic | KlineTopic


def make_topic(front: Front, name: str) -> Topic | None:
    """The topic of a name; None if there is none such."""
    kind, *rest = name.split(".")
    listing = front.find(rest[-1]) if rest else None
    if listing is None:
        return None
    make = _MAKE.get((kind, len(rest)))
    return None if make is None else make(front, name, listing, rest)


def _book(front: Front, name: str, listing: Listing, rest: list[str]) -> Topic | None:
    if rest[0] not in map(str, BOOK_DEPTHS):
        return None
    return BookTopic(front, name, rest[-1], listing.instrument, int(rest[0]))


def _kline(front: Front, name: str, listing: Listing, rest: list[str]) -> Topic | None:
    if rest[0] not in INTERVALS:
        return None
    return KlineTopic(front, name, rest[-1], listing.instrument, rest[0])


_MAKE: dict[tuple[str, int], Callable[[Front, str, Listing, list[str]], Topic | None]] = {
    ("orderbook", 2): _book,
    ("kline", 2): _kline,
    ("publicTrade", 1): lambda f, n, listing, r: TradeTopic(f, n, r[-1], listing.instrument),
    ("tickers", 1): lambda f, n, listing, r: TickerTopic(f, n, r[-1], listing.instrument),
}
