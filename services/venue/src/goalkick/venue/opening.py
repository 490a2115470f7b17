"""What the exchange looks like when it opens: the house's account, a past, and a first book."""

from collections.abc import Callable
from decimal import Decimal
from functools import partial

from goalkick.common.values.money import BPS, round_nearest
from goalkick.common.values.time import NS_PER_MINUTE
from goalkick.venue.engine.exchange import Exchange
from goalkick.venue.engine.model import Kind, Listing, NewOrder, Side
from goalkick.venue.flow.market import MarketFlow, history
from goalkick.venue.flow.rules import FlowRules
from goalkick.venue.settings import HOUSE, FlowSettings, MarketSettings, VenueSettings

STILL = "still-maker"
"""The account of the books that stand still, where nobody trades."""

HOUSE_AMOUNT = Decimal(10) ** 12
"""What each of the two has of each asset: more than any test trades."""

LEVEL_NOTIONAL = Decimal(20_000)
"""Value of each level of the house's book, in quote."""


def open_market(exchange: Exchange, settings: VenueSettings) -> Callable[[int], None] | None:
    """Opens the house's account and gives each instrument a past and a book.

    Args:
        exchange: with its instruments, without orders.
        settings: as configured.

    Returns:
        A round of the flow up to a time in nanoseconds; None where nobody trades.
    """
    assets = {asset for each in exchange.listings.values() for asset in (each.base, each.quote)}
    funds = dict.fromkeys(sorted(assets), HOUSE_AMOUNT)
    exchange.open_account(HOUSE, funds)
    flow = settings.flow
    rules = {name: _rules(market, flow) for name, market in settings.markets.items()}
    for name, listing in exchange.listings.items():
        past = history(
            listing,
            rules[name],
            seed=flow.seed,
            until_ns=exchange.now_ns,
            minutes=flow.history // NS_PER_MINUTE,
        )
        exchange.load_candles(name, past)
    if not flow.enabled:
        exchange.open_account(STILL, funds, house=True)
        for name, listing in exchange.listings.items():
            _quote(exchange, listing, settings.markets[name], flow.levels)
        return None
    market = MarketFlow(rules, seed=flow.seed)
    market.open(exchange)
    return partial(market.step, exchange)


def _rules(market: MarketSettings, flow: FlowSettings) -> FlowRules:
    return FlowRules(
        price=market.price,
        levels=flow.levels,
        spread_bps=flow.spread_bps,
        volatility=flow.volatility,
        trades_per_second=flow.trades_per_second,
        quotes_per_second=flow.quotes_per_second,
    )


def _quote(exchange: Exchange, listing: Listing, rules: MarketSettings, levels: int) -> None:
    """Places orders, one basis point apart on each side of the price."""
    for number in range(1, levels + 1):
        step = max(listing.tick_size, round_nearest(rules.price * BPS, listing.tick_size)) * number
        for side, price in ((Side.BUY, rules.price - step), (Side.SELL, rules.price + step)):
            quantity = round_nearest(LEVEL_NOTIONAL / price, listing.lot_size)
            exchange.place(
                STILL,
                NewOrder(
                    instrument=listing.instrument,
                    side=side,
                    kind=Kind.LIMIT,
                    quantity=quantity,
                    price=price,
                ),
            )
