"""The table of market streams: what each name means, and which source it has."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from goalkick.venue.binance.klines import INTERVALS
from goalkick.venue.binance.settings import BinanceSettings
from goalkick.venue.binance.sources import (
    AggregateTrades,
    BookTicker,
    DepthUpdates,
    FullTicker,
    Klines,
    MiniTicker,
    PartialDepth,
    Source,
    Trades,
)
from goalkick.venue.binance.symbols import symbol_of
from goalkick.venue.engine.exchange import Exchange
from goalkick.venue.engine.model import Listing

ALL_MINI_TICKERS = "!miniTicker@arr"
"""The one stream that is of no symbol; its events are lists."""

SHUTDOWN = "!serverShutdown"
"""Nobody subscribes to it; combined connections hear of the shutdown under this name."""


@dataclass(frozen=True)
class Ask:
    """What a source is made from.

    Attributes:
        exchange: where it happens.
        listing: of the symbol.
        settings: periods.
        variant: what the pattern captured, such as the interval; None: it captured nothing.
        fast: whether the name ends with `@100ms`.
    """

    exchange: Exchange
    listing: Listing
    settings: BinanceSettings
    variant: str | None
    fast: bool

    @property
    def where(self) -> tuple[Exchange, str, str]:
        """Exchange, instrument and symbol: what all sources begin with."""
        return self.exchange, self.listing.instrument, symbol_of(self.listing)

    @property
    def period_ns(self) -> int:
        """The period of streams that have a fast and a slow form."""
        return self.settings.fast_interval if self.fast else self.settings.slow_interval


def _klines(ask: Ask) -> Source:
    interval = INTERVALS[ask.variant or ""]
    settings = ask.settings
    push_ns = settings.kline_second_interval if interval.name == "1s" else settings.kline_interval
    look_ns = min(settings.fast_interval, push_ns)
    return Klines(*ask.where, interval=interval, look_ns=look_ns, push_ns=push_ns)


STREAMS: tuple[tuple[str, Callable[[Ask], Source]], ...] = (
    ("trade", lambda ask: Trades(*ask.where)),
    ("aggTrade", lambda ask: AggregateTrades(*ask.where)),
    ("bookTicker", lambda ask: BookTicker(*ask.where)),
    ("miniTicker", lambda ask: MiniTicker(*ask.where, ask.settings.slow_interval)),
    ("ticker", lambda ask: FullTicker(*ask.where, ask.settings.slow_interval)),
    (f"kline_({'|'.join(INTERVALS)})", _klines),
    ("depth(?P<fast>@100ms)?", lambda ask: DepthUpdates(*ask.where, ask.period_ns)),
    (
        "depth(5|10|20)(?P<fast>@100ms)?",
        lambda ask: PartialDepth(*ask.where, ask.period_ns, int(ask.variant or 5)),
    ),
)
"""Pattern of what follows `<symbol>@`, and what makes the source."""

Maker = Callable[[Exchange, Listing, BinanceSettings], Source]


def symbol_in(name: str) -> str:
    """The symbol that a stream's name begins with, in upper case."""
    return name.partition("@")[0].upper()


def parse(name: str) -> Maker | None:
    """What makes the source of a stream; None: there is no such stream.

    The symbol need not be listed; as with the real one, such a stream is taken and stays silent.
    """
    symbol, _, kind = name.partition("@")
    if not re.fullmatch(r"[\w\-.]+", symbol) or symbol != symbol.lower():
        return None
    for pattern, make in STREAMS:
        if match := re.fullmatch(pattern, kind):
            return _maker(make, match)
    return None


def _maker(make: Callable[[Ask], Source], match: re.Match[str]) -> Maker:
    fast = bool(match.groupdict().get("fast"))
    variant = match[1] if match.re.groups and match[1] != "@100ms" else None
    return lambda exchange, listing, settings: make(Ask(exchange, listing, settings, variant, fast))
