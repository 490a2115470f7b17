"""A market that lives without clients: a market maker and noise traders, from a seed.

Events have times of their own, drawn from the seed alone: the same seed makes the same market,
however often or seldom it is asked to go on.
"""

import heapq
import math
from collections.abc import Mapping
from decimal import Decimal
from enum import IntEnum
from random import Random

from goalkick.common.values.money import ZERO
from goalkick.common.values.time import NS_PER_MINUTE, NS_PER_SECOND
from goalkick.venue.engine.candles import open_of
from goalkick.venue.engine.exchange import Exchange
from goalkick.venue.engine.model import Candle, Listing
from goalkick.venue.flow.rules import (
    BUSY,
    QUIET,
    FlowRules,
    bounds,
    minute_volatility,
    ticks_of,
)
from goalkick.venue.flow.traders import MAKER, NOISE, Maker, Noise

FUNDS = Decimal(10) ** 15
"""What each of the flow's accounts has of each asset: they never run dry."""

CATCH_UP_NS = 60 * NS_PER_SECOND
"""The most that one step makes up for: after a longer leap of time the rest did not happen."""


class _What(IntEnum):
    """Kinds of events; of those at one time the lower comes first."""

    REGIME = 0
    QUOTE = 1
    TRADE = 2


class _Stream:
    """One instrument's events: what happens at which time, each kind from its own random stream."""

    def __init__(self, instrument: str, rules: FlowRules, seed: int) -> None:
        self.rules = rules
        self.regime = QUIET
        self._random = {what: _random(seed, instrument, what.name) for what in _What}
        self.maker = Maker(instrument, rules, self._random[_What.QUOTE])
        self.noise = Noise(instrument, rules, self._random[_What.TRADE])

    def wait(self, what: _What) -> int | None:
        """Nanoseconds until the next event of this kind; None: never again."""
        if what is _What.REGIME:
            return self._draw(what, 1 / self.regime.mean_s)
        if what is _What.TRADE:
            rate = self.rules.trades_per_second * self.regime.pace
            return self._draw(what, rate) if rate else None
        rate = self.rules.quotes_per_second * self.regime.pace
        return max(1, round(NS_PER_SECOND / rate)) if rate else None

    def _draw(self, what: _What, rate: float) -> int:
        return max(1, round(self._random[what].expovariate(rate) * NS_PER_SECOND))


class MarketFlow:
    """Trades on an exchange as time goes on.

    Args:
        rules: how each instrument behaves, by instrument; each has random streams of its own, so
            that one more changes nothing about the others.
        seed: same seed, same market.
    """

    def __init__(self, rules: Mapping[str, FlowRules], *, seed: int) -> None:
        self._streams = {name: _Stream(name, each, seed) for name, each in rules.items()}
        self._events: list[tuple[int, str, _What, int]] = []
        self._now_ns = 0

    def open(self, exchange: Exchange) -> None:
        """Opens the flow's accounts and quotes the first books, at the exchange's time.

        Raises:
            InvalidDataError: the exchange has a flow already.
        """
        assets = {
            asset: FUNDS
            for name in self._streams
            if (listing := exchange.listings.get(name)) is not None
            for asset in (listing.base, listing.quote)
        }
        for account in (MAKER, NOISE):
            exchange.open_account(account, assets, house=True)
        self._now_ns = exchange.now_ns
        for name, stream in self._streams.items():
            stream.maker.quote(exchange, 0, stream.regime)
            for what in _What:
                self._schedule(stream, name, what, self._now_ns)

    def step(self, exchange: Exchange, now_ns: int) -> None:
        """Makes all that happens until `now_ns`, each event at its own time.

        The exchange's time goes on with it, unless it is there already. A time before the last
        step's means that the clock was set back: the flow goes on from there.
        """
        if now_ns < self._now_ns or now_ns - self._now_ns > CATCH_UP_NS:
            shift = now_ns - self._now_ns
            if shift > 0:
                shift -= CATCH_UP_NS
            self._shift(shift)
        while self._events and self._events[0][0] <= now_ns:
            time_ns, name, what, waited_ns = heapq.heappop(self._events)
            exchange.advance(time_ns)
            self._happen(exchange, name, what, waited_ns)
            self._schedule(self._streams[name], name, what, time_ns)
        self._now_ns = now_ns
        exchange.advance(now_ns)

    def _happen(self, exchange: Exchange, name: str, what: _What, waited_ns: int) -> None:
        stream = self._streams[name]
        match what:
            case _What.QUOTE:
                stream.maker.quote(exchange, waited_ns, stream.regime)
            case _What.TRADE:
                stream.noise.trade(exchange)
            case _What.REGIME:
                stream.regime = BUSY if stream.regime is QUIET else QUIET

    def _schedule(self, stream: _Stream, name: str, what: _What, time_ns: int) -> None:
        wait = stream.wait(what)
        if wait is not None:
            heapq.heappush(self._events, (time_ns + wait, name, what, wait))

    def _shift(self, by_ns: int) -> None:
        self._events = [
            (time_ns + by_ns, name, what, wait) for time_ns, name, what, wait in self._events
        ]
        self._now_ns += by_ns


def history(
    listing: Listing, rules: FlowRules, *, seed: int, until_ns: int, minutes: int
) -> list[Candle]:
    """One-minute candles of a past that leads to the first books: the last close is the price.

    Args:
        listing: steps of prices and quantities.
        rules: where the price has come to, and how lively it was.
        seed: same seed, same past.
        until_ns: the minute that holds it is the first that is not made.
        minutes: how many candles; at least 0.

    Returns:
        Candles, oldest first, each opening at the close before it.
    """
    random = _random(seed, listing.instrument, "PAST")
    deviation = minute_volatility(rules)
    end = open_of(until_ns, NS_PER_MINUTE)
    lowest, highest = (
        max(1, ticks_of(listing.min_price, listing)),
        ticks_of(listing.max_price, listing),
    )
    close = max(lowest, min(ticks_of(rules.price, listing), highest))
    level = math.log(close)
    candles: list[Candle] = []
    for number in range(1, minutes + 1):  # backwards, from the price that is known
        level -= random.gauss(0.0, deviation)
        opened = max(lowest, min(round(math.exp(level)), highest))
        high = max(opened, close) + int(abs(random.gauss(0.0, deviation)) * close / 2)
        low = min(opened, close) - int(abs(random.gauss(0.0, deviation)) * close / 2)
        ticks = (opened, min(high, highest), max(low, lowest), close)
        candles.append(_candle(listing, rules, random, end - number * NS_PER_MINUTE, ticks))
        close = opened
    candles.reverse()
    return candles


def _candle(
    listing: Listing,
    rules: FlowRules,
    random: Random,
    open_ns: int,
    ticks: tuple[int, int, int, int],
) -> Candle:
    opened, high, low, close = (count * listing.tick_size for count in ticks)
    trades = max(0, round(random.gauss(1.0, 0.3) * rules.trades_per_second * 60))
    if high != low:
        trades = max(2, trades)
    price = (opened + high + low + close) / 4
    each = rules.trade_notional / float(price * listing.lot_size)
    lots = max(
        trades * bounds(price, listing)[0], int(trades * each * random.lognormvariate(0, 0.5))
    )
    taken = int(lots * min(max(random.gauss(0.5, 0.1), 0.0), 1.0))
    volume, taker = lots * listing.lot_size, taken * listing.lot_size
    return Candle(
        open_ns=open_ns,
        open=opened,
        high=high,
        low=low,
        close=close,
        volume=volume if trades else ZERO,
        quote_volume=volume * price if trades else ZERO,
        taker_volume=taker if trades else ZERO,
        taker_quote_volume=taker * price if trades else ZERO,
        trades=trades,
    )


def _random(seed: int, *names: str) -> Random:
    # Text is hashed by Random itself, the same in every process.
    return Random("/".join((str(seed), *names)))  # noqa: S311 - a market, not a secret
