"""Those who trade beside the clients: a market maker, and many who come and take.

Both work with whole ticks and lots; floats decide only how many. Each draws from a random stream
that it is given and from nothing else.
"""

import math
from decimal import Decimal
from random import Random

from goalkick.common.values.time import NS_PER_YEAR
from goalkick.venue.engine.exchange import Exchange
from goalkick.venue.engine.model import (
    Kind,
    Listing,
    NewOrder,
    Order,
    Phase,
    Refused,
    Side,
    TimeInForce,
)
from goalkick.venue.flow.rules import FlowRules, Regime, bounds, lots_for, ticks_of

MAKER = "flow-maker"
NOISE = "flow-noise"
RESIZED = 2
"""Levels whose size the maker changes with each round of quotes, besides what price moves do."""


def tradable(exchange: Exchange, instrument: str) -> Listing | None:
    """The instrument's rules, while it can be traded."""
    listing = exchange.listings.get(instrument)
    return listing if listing is not None and listing.phase is Phase.TRADING else None


def place(exchange: Exchange, account: str, request: NewOrder) -> None:
    """Places an order, unless the exchange refuses it: clients may have led the price astray."""
    try:
        exchange.place(account, request)
    except Refused:
        return


class Maker:
    """Quotes a ladder around a fair price that walks at random.

    Quotes lie on a fixed grid of prices, so that a small move changes only the ladder's ends. A
    quote that meets a client's order takes it.
    """

    def __init__(self, instrument: str, rules: FlowRules, random: Random) -> None:
        self._instrument = instrument
        self._rules = rules
        self._random = random
        self._fair = math.log(float(rules.price))

    def quote(self, exchange: Exchange, elapsed_ns: int, regime: Regime) -> None:
        """Moves the fair price on by `elapsed_ns` and the quotes with it."""
        self._walk(elapsed_ns, regime)
        resized = [self._random.random() for _ in range(RESIZED)]
        listing = tradable(exchange, self._instrument)
        if listing is None:
            return
        wanted = self._ladder(listing)
        stays: set[tuple[Side, Decimal]] = set()
        mine = exchange.open_orders(MAKER, self._instrument)
        changing = {int(share * len(mine)) for share in resized}
        for number, order in enumerate(mine):
            place_of = _place_of(order)
            if place_of in wanted and place_of not in stays and number not in changing:
                stays.add(place_of)
            else:
                exchange.cancel(MAKER, self._instrument, order_id=order.order_id)
        for side, price in wanted:
            if (side, price) not in stays:
                self._add(exchange, listing, side, price)

    def _walk(self, elapsed_ns: int, regime: Regime) -> None:
        deviation = self._rules.volatility * regime.scale * math.sqrt(elapsed_ns / NS_PER_YEAR)
        self._fair += self._random.gauss(0.0, 1.0) * deviation

    def _ladder(self, listing: Listing) -> dict[tuple[Side, Decimal], None]:
        """Where quotes should be, best first."""
        rules, tick = self._rules, float(listing.tick_size)
        fair = math.exp(self._fair)
        half = fair * rules.spread_bps / 20_000
        # As far apart as half the spread, so that a ladder spans the same whatever the tick.
        gap = max(1, round(half / tick))
        lowest = ticks_of(listing.min_price, listing)
        highest = ticks_of(listing.max_price, listing)
        bid = round((fair - half) / tick / gap) * gap
        ask = max(round((fair + half) / tick / gap) * gap, bid + gap)
        ladder: dict[tuple[Side, Decimal], None] = {}
        for number in range(rules.levels):
            for side, ticks in ((Side.BUY, bid - number * gap), (Side.SELL, ask + number * gap)):
                if max(lowest, 1) <= ticks <= highest:
                    ladder[side, ticks * listing.tick_size] = None
        return ladder

    def _add(self, exchange: Exchange, listing: Listing, side: Side, price: Decimal) -> None:
        notional = self._rules.level_notional * self._random.lognormvariate(-0.32, 0.8)
        place(
            exchange,
            MAKER,
            NewOrder(
                instrument=self._instrument,
                side=side,
                kind=Kind.LIMIT,
                quantity=lots_for(notional, price, listing) * listing.lot_size,
                price=price,
            ),
        )


class Noise:
    """Comes, takes something, and goes: by market orders and by limits that do not rest."""

    def __init__(self, instrument: str, rules: FlowRules, random: Random) -> None:
        self._instrument = instrument
        self._rules = rules
        self._random = random

    def trade(self, exchange: Exchange) -> None:
        """One order; nothing where the side that it would take is empty."""
        side = self._random.choice((Side.BUY, Side.SELL))
        notional = self._rules.trade_notional * self._random.lognormvariate(-0.72, 1.2)
        manner = self._random.random()
        listing = tradable(exchange, self._instrument)
        if listing is None:
            return
        depth = exchange.depth(self._instrument, 3)
        reached = depth.asks if side is Side.BUY else depth.bids
        if not reached:
            return
        quantity = lots_for(notional, reached[0][0], listing) * listing.lot_size
        if manner < 0.7:
            place(exchange, NOISE, self._order(side, Kind.MARKET, quantity=quantity))
        elif manner < 0.85:
            spent = bounds(reached[0][0], listing)[0] * listing.lot_size * reached[0][0]
            quote = max(Decimal(int(notional * 100)) / 100, spent)
            place(exchange, NOISE, self._order(side, Kind.MARKET, quote_quantity=quote))
        else:
            limit = reached[-1][0]
            order = self._order(side, Kind.LIMIT, quantity=quantity, price=limit)
            place(exchange, NOISE, order)

    def _order(
        self,
        side: Side,
        kind: Kind,
        *,
        quantity: Decimal | None = None,
        quote_quantity: Decimal | None = None,
        price: Decimal | None = None,
    ) -> NewOrder:
        return NewOrder(
            instrument=self._instrument,
            side=side,
            kind=kind,
            quantity=quantity,
            quote_quantity=quote_quantity,
            price=price,
            time_in_force=TimeInForce.IOC if kind is Kind.LIMIT else TimeInForce.GTC,
        )


def _place_of(order: Order) -> tuple[Side, Decimal | None]:
    return order.side, order.price
