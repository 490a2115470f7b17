"""What execution tells a venue and hears from it. These never leave the execution service."""

from decimal import Decimal

from goalkick.common.events.base import Event, Side
from goalkick.common.events.order import OrderKind
from goalkick.common.values.ids import ClientOrderId, InstrumentId


class VenueEvent(Event, frozen=True, kw_only=True):
    """A command to a venue, or its answer, about one of our orders."""

    client_order_id: ClientOrderId
    instrument: InstrumentId

    @property
    def key(self) -> str:
        """The instrument."""
        return self.instrument

    def natural_key(self) -> str:
        """The client order id."""
        return self.client_order_id


class PlaceOrder(VenueEvent, frozen=True, kw_only=True):
    """Command: place this order, once."""

    side: Side
    quantity: Decimal
    kind: OrderKind
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    reduce_only: bool = False


class CancelOrder(VenueEvent, frozen=True, kw_only=True):
    """Command: take this order out of the book."""

    venue_order_id: str = ""


class QueryOrder(VenueEvent, frozen=True, kw_only=True):
    """Command: ask the venue what became of this order."""


class VenueAccepted(VenueEvent, frozen=True, kw_only=True):
    """The venue has the order."""

    venue_order_id: str


class VenueRejected(VenueEvent, frozen=True, kw_only=True):
    """The venue refused the order."""

    reason: str


class VenueTraded(VenueEvent, frozen=True, kw_only=True):
    """The venue traded (part of) the order."""

    trade_id: str
    venue_time_ns: int
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_currency: str
    slippage: Decimal

    def natural_key(self) -> str:
        """Client order id and trade id."""
        return f"{self.client_order_id}|{self.trade_id}"


class VenueClosed(VenueEvent, frozen=True, kw_only=True):
    """The venue took the rest of the order out of its book.

    Attributes:
        cancelled: True at our wish, False by the venue's own rules.
    """

    cancelled: bool
    reason: str


class VenueUnreachable(VenueEvent, frozen=True, kw_only=True):
    """The call's outcome is not known: no answer, or one that says nothing."""

    reason: str


class VenueNotFound(VenueEvent, frozen=True, kw_only=True):
    """The venue answered a query and does not know the order."""
