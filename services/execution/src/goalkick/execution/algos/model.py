"""The words of the algos: a parent order, what an algo hears, what it wants done.

A parent is worked by children, which are ordinary orders. Children are counted from 0; their ids
are derived from the parent's, so that a repeated intent is the same order.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Protocol

import msgspec

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Side
from goalkick.common.events.order import OrderKind, TimeInForce
from goalkick.common.values.ids import EventId, derive_id
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.money import ZERO, is_multiple
from goalkick.execution.algos.measurement import Measurement


class Parent(msgspec.Struct, frozen=True, kw_only=True):
    """An order to be worked.

    Attributes:
        order: its id; all that looks like chance is drawn from it.
        rules: the instrument's rules.
        side: which way it trades. Of an OCO this is the side of both legs.
        quantity: in base currency; positive. What is no whole lot is left over.
        arrival_price: middle of the market when it was decided upon, in quote currency; positive.
        start_ns: nothing is placed before it; UTC ns.
        end_ns: when working it ends; after the start.
        limit_price: no child trades beyond it, in quote currency; None: no limit. Exits of a
            bracket are not bound by it.
    """

    order: EventId
    rules: Instrument
    side: Side
    quantity: Decimal
    arrival_price: Decimal
    start_ns: int
    end_ns: int
    limit_price: Decimal | None = None

    def check(self) -> None:
        """Sees that it can be worked at all.

        Raises:
            InvalidDataError: it cannot.
        """
        if self.quantity <= 0 or self.arrival_price <= 0:
            raise InvalidDataError(
                f"parent {self.order}: expected a positive quantity and arrival price, found "
                f"{self.quantity} and {self.arrival_price}"
            )
        if self.start_ns >= self.end_ns:
            raise InvalidDataError(
                f"parent {self.order}: expected an end after its start {self.start_ns}, found "
                f"{self.end_ns}"
            )
        limit, tick = self.limit_price, self.rules.tick_size
        if limit is not None and not (limit > 0 and is_multiple(limit, tick)):
            raise InvalidDataError(
                f"parent {self.order}: expected a limit price that is a positive multiple of the "
                f"tick {tick}, found {limit}"
            )


def child_order_id(parent: EventId, child: int) -> EventId:
    """The id of a parent's child order; the same however often it is asked for."""
    return derive_id(parent, "child", child)


class ChildEnd(StrEnum):
    """How a child ended other than by being filled."""

    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"


class Leftover(StrEnum):
    """Why a parent ended with something left to trade."""

    NOTHING = "nothing"
    """All was traded."""
    BELOW_MINIMUM = "below_minimum"
    """What is left is less than the venue takes as one order."""
    TIME_UP = "time_up"
    STOPPED = "stopped"
    """Somebody asked for it to end."""
    REJECTED = "rejected"
    """Too many children in a row ended without a trade."""
    PARTICIPATION_CAP = "participation_cap"
    """Time was up, and too little volume had been seen to trade more of it."""


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """Something that an algo is told. `time_ns` is when it became known, UTC ns."""

    time_ns: int


class TimePassed(Heard, frozen=True, kw_only=True):
    """It is at least this time now."""


class VolumeSeen(Heard, frozen=True, kw_only=True):
    """The market traded: a trade, or a bar.

    Attributes:
        from_ns: when the trading began, UTC ns; `time_ns` itself for a trade.
        quantity: traded, in base currency; not negative. Our own trades are part of it.
        price: the last one, in quote currency.
    """

    from_ns: int
    quantity: Decimal
    price: Decimal


class QuoteSeen(Heard, frozen=True, kw_only=True):
    """Best bid and ask, in quote currency."""

    bid: Decimal
    ask: Decimal


class ChildFilled(Heard, frozen=True, kw_only=True):
    """A child was traded. A trade id that was heard before is ignored.

    Attributes:
        quantity: traded now, in base currency; positive.
        price: in quote currency.
        fee: paid, in `fee_currency`; negative for a rebate.
    """

    child: int
    trade_id: str
    quantity: Decimal
    price: Decimal
    fee: Decimal = ZERO
    fee_currency: str = ""


class ChildEnded(Heard, frozen=True, kw_only=True):
    """No more of a child will be traded than this. Said again, it is ignored.

    Attributes:
        filled: what was traded of it in all, in base currency; where trades that make it up have
            not been heard of yet, that part stays reserved until they are.
        reason: for people.
    """

    child: int
    end: ChildEnd
    filled: Decimal
    reason: str = ""


class StopAsked(Heard, frozen=True, kw_only=True):
    """Take every child out of the market and end.

    Attributes:
        entry_only: whether that is meant of what may add risk only: a bracket enters no more and
            protects what it has entered.
    """

    reason: str = ""
    entry_only: bool = False


class PlaceChild(msgspec.Struct, frozen=True, kw_only=True):
    """Wanted: a new child order.

    Attributes:
        child: its number; see `child_order_id`.
        side: the parent's, or the opposite for an exit of a bracket.
        quantity: in base currency; whole lots, not below what the venue takes.
        protective: whether it is an exit: it may only bring the position nearer to zero.
    """

    time_ns: int
    child: int
    side: Side
    quantity: Decimal
    kind: OrderKind
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.UNTIL_CANCELLED
    protective: bool = False


class CancelChild(msgspec.Struct, frozen=True, kw_only=True):
    """Wanted: a child out of the book. Said once for each child; the adapter repeats it."""

    time_ns: int
    child: int


class ParentEnded(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing of the parent is in the market any more. Said once.

    Should the venue tell of one more trade after all, it is said again with corrected numbers.
    """

    time_ns: int
    measurement: Measurement


Deed = PlaceChild | CancelChild | ParentEnded


class Algo(Protocol):
    """One parent being worked: a pure state machine.

    Whatever is heard in whatever order, what was filled and what may still be filled of the open
    children never exceeds the parent's quantity.

    Attributes:
        parent: what is worked.
    """

    parent: Parent

    @property
    def name(self) -> str:
        """The algorithm's, as in the catalogue."""
        ...

    @property
    def ended(self) -> bool:
        """Whether `ParentEnded` was said."""
        ...

    @property
    def leaving(self) -> frozenset[Side]:
        """Sides on which it may still trade though it was stopped; empty: it was not stopped."""
        ...

    @property
    def wake_ns(self) -> int | None:
        """The next time at which it wants to hear `TimePassed`, UTC ns; None: at no time."""
        ...

    def handle(self, heard: Heard) -> tuple[Deed, ...]:
        """Takes in one thing; returns what is to be done, in order.

        Raises:
            InvariantError: a child that it never placed, or a trade beyond the child's quantity.
        """
        ...

    def snapshot(self) -> bytes:
        """All that it knows."""
        ...

    def restore(self, data: bytes) -> None:
        """Takes over a snapshot.

        Raises:
            InvalidDataError: it is of another parent, algorithm or set of parameters.
        """
        ...
