"""What a real account should hold, and what on it is not ours: a pure part of live execution.

Holdings are compared by currency: what the account opened with, what our trades and those of others
made of it, against what the venue says. Orders of which nobody can say whether they traded explain
a difference as far as they may have caused it; all others were asked about at the same time.

A difference counts when two looks in a row show the same: news of a trade may be on its way.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal

import msgspec

from goalkick.common.events.base import Side
from goalkick.common.events.order import OrderKind
from goalkick.common.events.venue import VenueExternalTrade, VenueTraded
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.money import ZERO
from goalkick.execution.ledger import Ledger
from goalkick.execution.order_state import Order, OrderStatus

REMEMBERED = 5_000
"""External orders, and trades, whose ids are kept so that each is told once."""

Base = Callable[[InstrumentId], str]
"""Instrument -> the currency that is traded."""


class Difference(msgspec.Struct, frozen=True):
    """Two sides that do not agree.

    Attributes:
        currency: of what.
        expected: by all that is known.
        found: at the venue.
        explained: how far orders in doubt may have moved it, both ways.
    """

    currency: str
    expected: Decimal
    found: Decimal
    explained: Decimal = ZERO


class AccountBook(msgspec.Struct):
    """What is known of the account beyond our own orders.

    Attributes:
        opening: what it held when execution took it up, by currency.
        moved: what trades that are not ours made of it, by currency.
        orders: external orders that were told.
        trades: external trades that were told.
        suspected: differences that the last look showed, found less expected.
        told: differences that were reported and have not gone.
        first_ns: the venue's time of the first trade that was seen; 0: none was.
        last_ns: the venue's time of the last one.
    """

    opening: dict[str, Decimal] = msgspec.field(default_factory=dict)
    moved: dict[str, Decimal] = msgspec.field(default_factory=dict)
    orders: dict[str, None] = msgspec.field(default_factory=dict)
    trades: dict[str, None] = msgspec.field(default_factory=dict)
    suspected: dict[str, Decimal] = msgspec.field(default_factory=dict)
    told: dict[str, Decimal] = msgspec.field(default_factory=dict)
    first_ns: int = 0
    last_ns: int = 0

    def saw(self, trade: VenueTraded | VenueExternalTrade) -> None:
        """Notes how far trades are known."""
        at_ns = trade.venue_time_ns
        self.first_ns = min(self.first_ns or at_ns, at_ns)
        self.last_ns = max(self.last_ns, at_ns)

    def is_new_order(self, instrument: InstrumentId, number: str) -> bool:
        """Whether an external order was not told before; from now on it was."""
        return _is_new(self.orders, f"{instrument}|{number}")

    def book(self, trade: VenueExternalTrade, base: str, quote: str) -> bool:
        """Books a trade that is not ours; False if it was booked before."""
        if not _is_new(self.trades, f"{trade.instrument}|{trade.trade_id}"):
            return False
        signed = trade.quantity if trade.side is Side.BUY else -trade.quantity
        for currency, amount in (
            (base, signed),
            (quote, -signed * trade.price),
            (trade.fee_currency, -trade.fee),
        ):
            self.moved[currency] = self.moved.get(currency, ZERO) + amount
        return True

    def compare(
        self,
        found: Mapping[str, Decimal],
        expected: Mapping[str, Decimal],
        doubtful: Mapping[str, Decimal | None],
    ) -> tuple[Sequence[Difference], bool]:
        """Compares one look at the account with what is known.

        Args:
            found: the venue's holdings, by currency.
            expected: by currency.
            doubtful: by currency, how far orders in doubt may have moved it; None: any distance.

        Returns:
            The differences to report, equal sides where one has gone; and whether there is
            something that a second look should confirm.
        """
        report: list[Difference] = []
        suspected: dict[str, Decimal] = {}
        # What a venue has none of, it may leave out: what was told there ends all the same.
        for currency in sorted({*found, *expected, *self.told}):
            explained = doubtful.get(currency, ZERO)
            if explained is None:
                continue
            here, there = expected.get(currency, ZERO), found.get(currency, ZERO)
            off = there - here
            beyond = off if abs(off) > explained else ZERO
            if beyond:
                suspected[currency] = beyond
            if beyond == self.told.get(currency, ZERO):
                continue
            if not beyond:
                del self.told[currency]
                report.append(Difference(currency, here, there, explained))
            elif self.suspected.get(currency) == beyond:
                self.told[currency] = beyond
                report.append(Difference(currency, here, there, explained))
        unconfirmed = any(self.told.get(name) != off for name, off in suspected.items())
        self.suspected = suspected
        return report, unconfirmed


def expected_holdings(
    ledger: Ledger, book: AccountBook, currency: str, base: Base
) -> Mapping[str, Decimal]:
    """What the account should hold, by currency.

    Args:
        ledger: of our own trades; its cash began with the opening holdings of `currency`.
        book: the rest.
        currency: the ledger's cash.
        base: says what an instrument trades.
    """
    expected = {**book.opening, currency: ledger.cash}
    amounts = [(base(name), position.quantity) for name, position in ledger.positions.items()]
    amounts += ((name, -fee) for name, fee in ledger.other_fees.items())
    amounts += book.moved.items()
    for name, amount in amounts:
        expected[name] = expected.get(name, ZERO) + amount
    return expected


def explained_by(
    orders: Iterable[Order], currency: str, base: Base
) -> Mapping[str, Decimal | None]:
    """How far orders in doubt may have moved holdings, by currency; None: nobody can say.

    Args:
        orders: that have not ended.
        currency: what they are paid in.
        base: says what an instrument trades.
    """
    explained: dict[str, Decimal | None] = {}
    for order in orders:
        if order.status not in (OrderStatus.INTENDED, OrderStatus.UNKNOWN):
            continue
        sent = order.sent
        traded = base(order.approved.instrument)
        _add(explained, traded, order.remaining)
        bounded = sent.side is Side.BUY and sent.kind is OrderKind.LIMIT
        price = sent.limit_price if bounded else None
        _add(explained, currency, None if price is None else order.remaining * price)
    return explained


def _add(explained: dict[str, Decimal | None], currency: str, amount: Decimal | None) -> None:
    so_far = explained.get(currency, ZERO)
    explained[currency] = None if amount is None or so_far is None else so_far + amount


def _is_new(known: dict[str, None], key: str) -> bool:
    if key in known:
        return False
    known[key] = None
    if len(known) > REMEMBERED:
        del known[next(iter(known))]
    return True
