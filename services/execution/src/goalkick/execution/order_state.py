"""The life of an order: its states, and the only legal ways from one to the next."""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType

import msgspec

from goalkick.common.core.errors import InvariantError
from goalkick.common.events.base import Side
from goalkick.common.events.order import OrderApproved, OrderKind, TimeInForce
from goalkick.common.values.ids import ClientOrderId, EventId
from goalkick.common.values.money import ZERO


class OrderStatus(StrEnum):
    """Where an order stands."""

    INTENDED = "intended"
    ACCEPTED = "accepted"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


_S = OrderStatus
_ENDS = {_S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELLED, _S.EXPIRED}

LEGAL: Mapping[OrderStatus, frozenset[OrderStatus]] = MappingProxyType(
    {
        # A venue may trade or close an order before its acceptance reaches us.
        _S.INTENDED: frozenset({_S.ACCEPTED, _S.REJECTED, _S.UNKNOWN, *_ENDS}),
        # A venue may acknowledge first and judge afterwards.
        _S.ACCEPTED: frozenset({_S.UNKNOWN, _S.REJECTED, *_ENDS}),
        _S.PARTIALLY_FILLED: frozenset({_S.UNKNOWN, *_ENDS}),
        # Only the venue's evidence leads out of the unknown.
        _S.UNKNOWN: frozenset({_S.ACCEPTED, _S.REJECTED, *_ENDS}),
        _S.FILLED: frozenset(),
        _S.CANCELLED: frozenset(),
        _S.EXPIRED: frozenset(),
        _S.REJECTED: frozenset(),
    }
)
"""From each state, the states that may follow; none after an end."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent under an approval where that is not the approval itself; never more than it.

    Attributes:
        order: the id of what is sent.
        quantity: in base currency; positive.
        parent: the approved order, whose child this is; None: it is that order, made smaller.
    """

    order: EventId
    client_order_id: ClientOrderId
    side: Side
    quantity: Decimal
    kind: OrderKind
    limit_price: Decimal | None
    stop_price: Decimal | None
    reduce_only: bool
    time_in_force: TimeInForce
    parent: EventId | None = None


class Order(msgspec.Struct):
    """An order that execution answers for.

    Attributes:
        approved: what risk approved.
        terms: what was sent under it; None: just that.
        status: where it stands.
        filled: traded so far, in base currency; never above what was sent.
        venue_order_id: the venue's handle, "" before it is known.
        trades: the venue's ids of the trades that are booked.
        leaving: whether it is wanted gone, until it has ended.
        unknown_ns: since when its fate is not known, UTC ns; what it says of a known one is past.
    """

    approved: OrderApproved
    status: OrderStatus = OrderStatus.INTENDED
    filled: Decimal = ZERO
    venue_order_id: str = ""
    trades: list[str] = msgspec.field(default_factory=list)
    leaving: bool = False
    unknown_ns: int = 0
    terms: Terms | None = None

    @property
    def sent(self) -> OrderApproved | Terms:
        """What the venue knows it as."""
        return self.approved if self.terms is None else self.terms

    @property
    def parent(self) -> EventId | None:
        """The order whose child it is; None: it is none."""
        return None if self.terms is None else self.terms.parent

    @property
    def remaining(self) -> Decimal:
        """Still to be traded, in base currency."""
        terms = self.terms
        return (self.approved.quantity if terms is None else terms.quantity) - self.filled

    @property
    def was_there(self) -> bool:
        """Whether the venue has had it for certain."""
        return bool(self.venue_order_id or self.filled)

    @property
    def finished(self) -> bool:
        """Whether nothing can happen to it any more."""
        return not LEGAL[self.status]

    def advance(self, status: OrderStatus) -> None:
        """Moves on.

        Raises:
            InvariantError: `status` may not follow the present one.
        """
        if status not in LEGAL[self.status]:
            allowed = ", ".join(sorted(LEGAL[self.status])) or "nothing: it has ended"
            raise InvariantError(
                f"order {self.sent.client_order_id}: after {self.status} expected {allowed}; "
                f"found {status}"
            )
        self.status = status

    def book(self, trade_id: str, quantity: Decimal) -> bool:
        """Books one trade; False if it is booked already.

        A trade of an order that was cancelled or has expired counts all the same: the news of the
        two may cross. It changes what was filled, and not that the order has ended.

        Raises:
            InvariantError: it trades more than the order has left.
        """
        if trade_id in self.trades:
            return False
        terms = self.terms
        quantity_sent = self.approved.quantity if terms is None else terms.quantity
        remaining = quantity_sent - self.filled
        if not ZERO < quantity <= remaining:
            raise InvariantError(
                f"order {self.sent.client_order_id}: expected a trade of at most "
                f"{remaining}, found {quantity} in trade {trade_id}"
            )
        if not self.finished:
            done = quantity == remaining
            self.advance(OrderStatus.FILLED if done else OrderStatus.PARTIALLY_FILLED)
        self.filled += quantity
        self.trades.append(trade_id)
        return True


def flaw_of(approved: OrderApproved) -> str:
    """What is wrong with the order itself, whatever the venue; "" if nothing is."""
    kind, how = approved.kind, approved.time_in_force
    if approved.algo is not None and kind.waits:
        return f"an order that an algo works: expected a market or a limit order, found a {kind}"
    for name, price, needed in (
        ("limit", approved.limit_price, kind.has_limit),
        ("stop", approved.stop_price, kind.waits),
    ):
        if (price is not None) != needed:
            wanted = "a price" if needed else "no price"
            return f"a {kind} order: expected {wanted} for its {name}, found {price}"
    if not kind.has_limit and how is not TimeInForce.UNTIL_CANCELLED:
        return f"a {kind} order: expected no time in force, found {how}"
    return ""
