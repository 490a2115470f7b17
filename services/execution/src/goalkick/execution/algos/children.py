"""The children of one parent, counted exactly: what was filled, and what may still be."""

from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum

import msgspec

from goalkick.common.core.errors import InvariantError
from goalkick.common.events.order import OrderKind
from goalkick.common.values.money import ZERO
from goalkick.execution.algos.measurement import add
from goalkick.execution.algos.model import ChildEnd, ChildEnded, ChildFilled


class Role(StrEnum):
    """What a child is for."""

    WORK = "work"
    """It trades the parent's quantity."""
    EXIT = "exit"
    """It trades back what a bracket's entry has traded."""


class Child(msgspec.Struct):
    """One child order.

    Attributes:
        quantity: in base currency.
        limit_price, stop_price: in quote currency; None: it has none.
        final: whether it is there to finish the parent, and so is not cancelled for lack of time.
        filled: traded, in base currency.
        trades: ids of the trades.
        end: how it ended; None: it has not, or it was filled.
        promised: what its end said was filled, in base currency.
        cancelling: whether a cancel was asked for.
    """

    number: int
    role: Role
    quantity: Decimal
    kind: OrderKind
    limit_price: Decimal | None
    stop_price: Decimal | None
    final: bool = False
    filled: Decimal = ZERO
    trades: list[str] = msgspec.field(default_factory=list)
    end: ChildEnd | None = None
    promised: Decimal = ZERO
    cancelling: bool = False

    @property
    def working(self) -> Decimal:
        """What may still be traded of it, in base currency."""
        bound = self.quantity if self.end is None else self.promised
        return max(ZERO, bound - self.filled)


class Totals(msgspec.Struct):
    """Sums over the children of one role: base currency traded, and quote currency for it."""

    filled: Decimal = ZERO
    notional: Decimal = ZERO


class Children(msgspec.Struct):
    """All of them.

    Attributes:
        open: those of which something may still be traded, oldest first.
        closed: the others.
        totals: by role.
        fees: paid, by currency.
    """

    open: dict[int, Child] = msgspec.field(default_factory=dict)
    closed: dict[int, Child] = msgspec.field(default_factory=dict)
    totals: dict[Role, Totals] = msgspec.field(
        default_factory=lambda: {role: Totals() for role in Role}
    )
    fees: dict[str, Decimal] = msgspec.field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many were placed; the number of the next one."""
        return len(self.open) + len(self.closed)

    def add(self, child: Child) -> None:
        """One more."""
        self.open[child.number] = child

    def of(self, role: Role) -> Iterator[Child]:
        """The open ones of a role, oldest first."""
        return (child for child in self.open.values() if child.role is role)

    def filled(self, role: Role) -> Decimal:
        """Traded, in base currency."""
        return self.totals[role].filled

    def working(self, role: Role) -> Decimal:
        """What may still be traded of the open ones, in base currency."""
        return sum((child.working for child in self.of(role)), ZERO)

    def staying(self, role: Role) -> Decimal:
        """As `working`, without those that a cancel was asked for."""
        return sum((child.working for child in self.of(role) if not child.cancelling), ZERO)

    def committed(self, role: Role) -> Decimal:
        """Traded, and what may still be, in base currency."""
        return self.filled(role) + self.working(role)

    def fill(self, trade: ChildFilled) -> Child | None:
        """Counts a trade; None if it was counted before.

        A trade beyond what the child's end said is counted too: it is a fact.

        Raises:
            InvariantError: no such child, or more than its quantity.
        """
        child = self._child(trade.child)
        if trade.trade_id in child.trades:
            return None
        if not ZERO < trade.quantity <= child.quantity - child.filled:
            raise InvariantError(
                f"child {child.number}: expected a trade of at most "
                f"{child.quantity - child.filled}, found {trade.quantity} in trade {trade.trade_id}"
            )
        child.filled += trade.quantity
        child.trades.append(trade.trade_id)
        totals = self.totals[child.role]
        totals.filled += trade.quantity
        totals.notional += trade.quantity * trade.price
        self.fees = add(self.fees, trade.fee_currency, trade.fee)
        self._sort(child)
        return child

    def finish(self, news: ChildEnded) -> Child | None:
        """Notes an end; None if the child had ended or was filled before.

        Raises:
            InvariantError: no such child, or its end says more than its quantity.
        """
        child = self._child(news.child)
        if child.end is not None or child.filled == child.quantity:
            return None
        if not ZERO <= news.filled <= child.quantity:
            raise InvariantError(
                f"child {child.number}: expected at most {child.quantity} filled at its end, found "
                f"{news.filled}"
            )
        child.end = news.end
        child.promised = news.filled
        self._sort(child)
        return child

    def _sort(self, child: Child) -> None:
        if not child.working and child.number in self.open:
            self.closed[child.number] = self.open.pop(child.number)

    def _child(self, number: int) -> Child:
        child = self.open.get(number) or self.closed.get(number)
        if child is None:
            raise InvariantError(f"child {number}: expected one of the {self.count} placed ones")
        return child
