"""What working a parent cost: the implementation shortfall.

Source: A. F. Perold, "The Implementation Shortfall: Paper versus Reality", Journal of Portfolio
Management 14(3), 1988. The paper portfolio trades the whole quantity Q at the arrival price P0; the
real one traded q at the average price Pa. With Pn the price at the end and s = +1 for a buy, -1 for
a sell:

    shortfall = paper - real = s q (Pa - P0)  +  s (Q - q) (Pn - P0)
                               execution cost    opportunity cost of what was not traded

Positive is worse than paper. Fees are not in it; they stand beside it, in their own currencies.
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from goalkick.common.events.base import Side
from goalkick.common.values.ids import EventId, InstrumentId
from goalkick.common.values.money import BPS, ZERO, round_nearest

QUOTIENT = Decimal("0.000000000001")
"""Averages and shares are rounded to it, half to even: quotients have no last digit. Costs are sums
of products, and exact."""


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """How a parent was worked.

    Attributes:
        parent: its order's id.
        algo: the algorithm's name.
        quantity: asked for, in base currency.
        filled: traded, in base currency; of a bracket, the entry.
        average_price: of what was traded, in quote currency; None: nothing was.
        arrival_price: that it is measured against, in quote currency.
        end_price: middle of the market when it ended (last price, or the arrival price, where no
            quote was seen), in quote currency.
        execution_cost: of what was traded, in quote currency.
        opportunity_cost: of what was not, in quote currency.
        shortfall: their sum.
        shortfall_bps: of quantity x arrival price, in basis points.
        fees: paid for all children, by currency.
        volume: that the market was seen to trade meanwhile, in base currency.
        children: how many orders were placed.
        leftover: not traded, in base currency.
        leftover_code: why, a word of `Leftover`.
        detail: why, for people.
        exit_filled: of a bracket, what its exits traded, in base currency.
        exit_average_price: their average, in quote currency; None: they did not trade.
        unprotected: of a bracket, what was entered and neither sold again nor paid as a fee in
            base currency: it has no exit any more.
        emulated: whether it stands in for an order kind that a venue could have offered itself.
    """

    parent: EventId
    algo: str
    instrument: InstrumentId
    side: Side
    quantity: Decimal
    filled: Decimal
    average_price: Decimal | None
    arrival_price: Decimal
    end_price: Decimal
    execution_cost: Decimal
    opportunity_cost: Decimal
    shortfall: Decimal
    shortfall_bps: Decimal
    fees: dict[str, Decimal]
    volume: Decimal
    started_ns: int
    ended_ns: int
    children: int
    leftover: Decimal
    leftover_code: str
    detail: str = ""
    exit_filled: Decimal = ZERO
    exit_average_price: Decimal | None = None
    unprotected: Decimal = ZERO
    emulated: bool = False

    @property
    def duration_ns(self) -> int:
        """From the first placing that was possible to the end."""
        return self.ended_ns - self.started_ns

    @property
    def participation(self) -> Decimal | None:
        """Share of the seen volume that was ours; None: no volume was seen."""
        return average(self.filled, self.volume)


class Shortfall(msgspec.Struct, frozen=True):
    """The two parts, in quote currency, and their sum in basis points of the paper portfolio."""

    execution: Decimal
    opportunity: Decimal
    bps: Decimal


def shortfall(
    side: Side,
    quantity: Decimal,
    filled: Decimal,
    notional: Decimal,
    arrival_price: Decimal,
    end_price: Decimal,
) -> Shortfall:
    """The implementation shortfall; see the module.

    Args:
        side: of the parent.
        quantity: asked for, in base currency; positive.
        filled: traded, in base currency.
        notional: sum of price x quantity of what was traded, in quote currency.
        arrival_price: in quote currency; positive.
        end_price: in quote currency.
    """
    execution = side.sign * (notional - filled * arrival_price)
    opportunity = side.sign * (quantity - filled) * (end_price - arrival_price)
    bps = (execution + opportunity) / (quantity * arrival_price) / BPS
    return Shortfall(execution, opportunity, round_nearest(bps, QUOTIENT))


def average(total: Decimal, count: Decimal) -> Decimal | None:
    """`total / count`, rounded; None of nothing."""
    return round_nearest(total / count, QUOTIENT) if count else None


def add(fees: Mapping[str, Decimal], currency: str, fee: Decimal) -> dict[str, Decimal]:
    """`fees` with one more."""
    if not fee:
        return dict(fees)
    return {**fees, currency: fees.get(currency, ZERO) + fee}
