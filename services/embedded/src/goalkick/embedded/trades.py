"""Round trips: what was bought and sold again, read off the fills. Exact."""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from goalkick.common.events.base import Side
from goalkick.common.events.order import Fill
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.money import ZERO


class RoundTrip(msgspec.Struct, frozen=True, kw_only=True):
    """A position from flat to flat (a reversal ends one and begins the next).

    Attributes:
        side: BUY for a long position, SELL for a short one.
        opened_ns, closed_ns: the venue's time of the first and of the last fill.
        quantity: traded each way, in base currency.
        entry_price, exit_price: averages, in quote currency.
        profit: after fees, in quote currency.
        fees: paid on both ways, in quote currency.
    """

    instrument: InstrumentId
    side: Side
    opened_ns: int
    closed_ns: int
    quantity: Decimal
    entry_price: Decimal
    exit_price: Decimal
    profit: Decimal
    fees: Decimal

    @property
    def profit_fraction(self) -> Decimal:
        """Profit after fees as a fraction of what was paid for the entry."""
        return self.profit / (self.entry_price * self.quantity)


class _Open:
    """A position that is being built up and down."""

    __slots__ = ("entered", "entry_value", "exit_value", "exited", "fees", "opened_ns", "side")

    def __init__(self, side: Side, opened_ns: int) -> None:
        self.side = side
        self.opened_ns = opened_ns
        self.entered = self.exited = ZERO
        self.entry_value = self.exit_value = self.fees = ZERO


def round_trips(fills: Iterable[Fill]) -> list[RoundTrip]:
    """All closed round trips, in the order in which they were closed.

    Args:
        fills: in order of time, any number of instruments mixed.
    """
    trips: list[RoundTrip] = []
    positions: dict[InstrumentId, _Open] = {}
    for fill in fills:
        left, fee = fill.quantity, fill.fee
        position = positions.get(fill.instrument)
        if position is not None and fill.side is not position.side:
            closing = min(left, position.entered - position.exited)
            share = fee if closing == left else fee * closing / left
            position.exited += closing
            position.exit_value += closing * fill.price
            position.fees += share
            left -= closing
            fee -= share
            if position.exited == position.entered:
                trips.append(_closed(positions.pop(fill.instrument), fill))
        if left:
            position = positions.setdefault(fill.instrument, _Open(fill.side, fill.venue_time_ns))
            position.entered += left
            position.entry_value += left * fill.price
            position.fees += fee
    return trips


def _closed(position: _Open, last: Fill) -> RoundTrip:
    gross = (position.exit_value - position.entry_value) * position.side.sign
    return RoundTrip(
        instrument=last.instrument,
        side=position.side,
        opened_ns=position.opened_ns,
        closed_ns=last.venue_time_ns,
        quantity=position.entered,
        entry_price=position.entry_value / position.entered,
        exit_price=position.exit_value / position.exited,
        profit=gross - position.fees,
        fees=position.fees,
    )
