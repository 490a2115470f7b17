"""Positions and cash of one account, exact to the last digit.

At every moment, with a price for each open position:

    realised + unrealised - fees == cash + value of positions - opening balance

holds exactly. The only division, the share of the cost that leaves with a partial close, is
rounded to `COST_QUANTUM`; what rounding moves stays in the cost of what is still open.
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from goalkick.common.events.base import Side
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.money import ZERO

COST_QUANTUM = Decimal("1E-18")
"""Quote currency. Finer than any venue's accounting; keeps sums within the decimal context."""


class Position(msgspec.Struct):
    """What is held of one instrument, and what it has brought so far.

    Attributes:
        quantity: signed, base currency.
        cost: signed cost of the open quantity, quote currency; 0 when flat.
        realised: profit of what was closed, before fees, quote currency.
        fees: paid so far, quote currency.
    """

    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realised: Decimal = ZERO
    fees: Decimal = ZERO

    def trade(self, signed: Decimal, price: Decimal, fee: Decimal) -> None:
        """Books a trade of `signed` base currency at `price`, average-cost method."""
        held = self.quantity
        self.fees += fee
        value = signed * price
        if not held or (held > 0) == (signed > 0):
            self.quantity = held + signed
            self.cost += value
        elif abs(signed) >= abs(held):
            # Closes all of it; what is left over opens the other side.
            self.realised += held * price - self.cost
            self.quantity = held + signed
            self.cost = self.quantity * price
        else:
            leaving = (self.cost * -signed / held).quantize(COST_QUANTUM)
            self.realised += -value - leaving
            self.quantity = held + signed
            self.cost -= leaving

    def unrealised(self, price: Decimal) -> Decimal:
        """Profit of the open quantity at `price`, before fees, quote currency."""
        return self.quantity * price - self.cost


class Ledger(msgspec.Struct):
    """One account in one currency.

    Attributes:
        cash: in the account's currency; negative is borrowed.
        positions: by instrument; one stays after it is flat, with its realised profit.
        other_fees: fees that were paid in neither the account's nor the instrument's own
            currencies, by currency; they are no part of the account's cash.
    """

    cash: Decimal
    positions: dict[InstrumentId, Position] = msgspec.field(default_factory=dict)
    other_fees: dict[str, Decimal] = msgspec.field(default_factory=dict)

    def book(
        self, instrument: InstrumentId, side: Side, quantity: Decimal, price: Decimal, fee: Decimal
    ) -> Position:
        """Books one trade; returns the position after it.

        Args:
            instrument: what was traded.
            side: which way.
            quantity: positive, base currency.
            price: quote currency.
            fee: paid, quote currency; negative for a rebate.
        """
        position = self.positions.get(instrument)
        if position is None:
            position = self.positions[instrument] = Position()
        signed = quantity if side is Side.BUY else -quantity
        position.trade(signed, price, fee)
        self.cash -= signed * price + fee
        return position

    def book_fee_in_kind(
        self, instrument: InstrumentId, side: Side, quantity: Decimal, price: Decimal, fee: Decimal
    ) -> Position:
        """Books one trade whose fee was taken out of what was traded; returns the position.

        Args:
            instrument: what was traded.
            side: which way.
            quantity: positive, base currency, before the fee.
            price: quote currency.
            fee: paid, base currency.
        """
        position = self.book(instrument, side, quantity, price, ZERO)
        # The fee leaves at the price of the trade: what is held less is a fee and no loss.
        position.quantity -= fee
        position.cost -= fee * price
        position.fees += fee * price
        if not position.quantity:
            position.realised -= position.cost
            position.cost = ZERO
        return position

    def equity(self, prices: Mapping[InstrumentId, Decimal]) -> Decimal:
        """Cash and the value of all open positions, quote currency.

        Raises:
            KeyError: an open position has no price.
        """
        return self.cash + sum(
            (p.quantity * prices[name] for name, p in self.positions.items() if p.quantity), ZERO
        )
