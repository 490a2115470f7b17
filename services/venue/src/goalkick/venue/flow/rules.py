"""How lively an instrument is: what the market maker and the noise traders go by."""

import math
from decimal import Decimal
from typing import Final

import msgspec

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.values.time import NS_PER_MINUTE, NS_PER_YEAR
from goalkick.venue.engine.model import Listing


class FlowRules(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument's flow.

    Attributes:
        price: where the fair price starts, in quote; positive.
        levels: prices that the maker quotes on each side; at least 1.
        spread_bps: distance between the maker's best quotes, in basis points; positive.
        level_notional: what a level holds on average, in quote; positive.
        trade_notional: what a noise trade is about, in quote; positive.
        volatility: of the fair price, annualised; 0.5 is 50 %.
        trades_per_second, quotes_per_second: means over quiet and busy times; 0: never.
    """

    price: Decimal
    levels: int = 25
    spread_bps: float = 2.0
    level_notional: float = 20_000.0
    trade_notional: float = 1_500.0
    volatility: float = 0.5
    trades_per_second: float = 2.0
    quotes_per_second: float = 10.0

    def __post_init__(self) -> None:
        """Refuses what no flow can be made of.

        Raises:
            InvalidDataError: a figure is out of its range.
        """
        positive = (self.spread_bps, self.level_notional, self.trade_notional)
        rates = (self.volatility, self.trades_per_second, self.quotes_per_second)
        if self.price <= 0 or self.levels < 1 or min(positive) <= 0 or min(rates) < 0:
            raise InvalidDataError(f"expected positive figures, found {self}")


class Regime(msgspec.Struct, frozen=True):
    """A state of the market.

    Attributes:
        pace: rates in it, as a multiple of the rules'.
        scale: volatility in it, as a multiple of the rules'.
        mean_s: how long it lasts on average, in seconds.
    """

    pace: float
    scale: float
    mean_s: float


QUIET: Final = Regime(0.6, 0.7, 60.0)
BUSY: Final = Regime(2.6, 1.7, 15.0)
"""A fifth of the time is busy, so that the means of rates and of variance are those of rules."""


def ticks_of(price: Decimal, listing: Listing) -> int:
    """The whole number of ticks at or below a price."""
    return int(price // listing.tick_size)


def lots_for(notional: float, price: Decimal, listing: Listing) -> int:
    """Lots that are worth about `notional`, within what one limit order may have."""
    low, high = bounds(price, listing)
    wanted = int(notional / float(price * listing.lot_size))
    return max(low, min(wanted, high))


def bounds(price: Decimal, listing: Listing) -> tuple[int, int]:
    """The fewest and the most lots of an order at a price."""
    lot = listing.lot_size
    # A tenth more than the least: the last price, which notionals are measured by, may be lower.
    worth = listing.min_notional * 11 / 10 / price
    low = math.ceil(max(listing.min_quantity, worth) / lot)
    most = min(listing.max_quantity, listing.max_market_quantity, listing.max_notional / price / 2)
    return low, max(low, int(most // lot))


def minute_volatility(rules: FlowRules) -> float:
    """Standard deviation of one minute's logarithmic return."""
    return rules.volatility * math.sqrt(NS_PER_MINUTE / NS_PER_YEAR)
