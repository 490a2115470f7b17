"""What execution tells a venue and hears from it. These never leave the execution service."""

from decimal import Decimal

from goalkick.common.events.base import Event, Side
from goalkick.common.events.order import OrderKind, TimeInForce
from goalkick.common.values.ids import ClientOrderId, InstrumentId


class VenueEvent(Event, frozen=True, kw_only=True):
    """A command to a venue, or something that it says."""

    @property
    def key(self) -> str:
        """None: these do not travel."""
        return ""


class VenueOrderEvent(VenueEvent, frozen=True, kw_only=True):
    """A command about one of our orders, or an answer."""

    client_order_id: ClientOrderId
    instrument: InstrumentId

    @property
    def key(self) -> str:
        """The instrument."""
        return self.instrument

    def natural_key(self) -> str:
        """The client order id."""
        return self.client_order_id


class PlaceOrder(VenueOrderEvent, frozen=True, kw_only=True):
    """Command: place this order, once."""

    side: Side
    quantity: Decimal
    kind: OrderKind
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    reduce_only: bool = False
    time_in_force: TimeInForce = TimeInForce.UNTIL_CANCELLED


class CancelOrder(VenueOrderEvent, frozen=True, kw_only=True):
    """Command: take this order out of the book."""

    venue_order_id: str = ""


class QueryOrder(VenueOrderEvent, frozen=True, kw_only=True):
    """Command: ask the venue what became of this order.

    Attributes:
        known: whether the venue has had the order for certain: it then keeps on being asked about,
            whatever the venue says now.
    """

    known: bool = False


class CancelAll(VenueEvent, frozen=True, kw_only=True):
    """Command: take all orders of ours out of the book; nobody else's."""


class QueryAccount(VenueEvent, frozen=True, kw_only=True):
    """Command: ask what the account holds, which orders it has, and what was traded.

    Attributes:
        since_ns: trades from this time of the venue on; 0: from where the adapter stands.
    """

    since_ns: int = 0


class VenueAccepted(VenueOrderEvent, frozen=True, kw_only=True):
    """The venue has the order."""

    venue_order_id: str


class VenueRejected(VenueOrderEvent, frozen=True, kw_only=True):
    """The venue refused the order."""

    reason: str


class VenueTraded(VenueOrderEvent, frozen=True, kw_only=True):
    """The venue traded (part of) the order."""

    trade_id: str
    venue_time_ns: int
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_currency: str
    slippage: Decimal
    venue_order_id: str = ""

    def natural_key(self) -> str:
        """Client order id and trade id."""
        return f"{self.client_order_id}|{self.trade_id}"


class VenueClosed(VenueOrderEvent, frozen=True, kw_only=True):
    """The venue took the rest of the order out of its book.

    Attributes:
        cancelled: True at our wish, False by the venue's own rules.
    """

    cancelled: bool
    reason: str


class VenueUnreachable(VenueOrderEvent, frozen=True, kw_only=True):
    """The call's outcome is not known: no answer, or one that says nothing."""

    reason: str


class VenueNotFound(VenueOrderEvent, frozen=True, kw_only=True):
    """The venue answered a query and does not know the order."""


class VenueExternalOrder(VenueEvent, frozen=True, kw_only=True):
    """The account has an order that is none of ours; see `order.ExternalOrderSeen`."""

    instrument: InstrumentId
    venue_order_id: str
    client_order_id: str
    side: Side
    quantity: Decimal
    filled: Decimal
    limit_price: Decimal | None
    kind: str


class VenueExternalTrade(VenueEvent, frozen=True, kw_only=True):
    """An order that is none of ours was traded; see `order.ExternalFillSeen`."""

    instrument: InstrumentId
    venue_order_id: str
    trade_id: str
    venue_time_ns: int
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_currency: str


class VenueContact(VenueEvent, frozen=True, kw_only=True):
    """Whether the venue is heard and answers; said whenever that changes, and every few seconds.

    Attributes:
        connected: whether the private stream stands and the last question was answered.
        at_ns: what the clock says, UTC ns; it goes on where no market does.
    """

    connected: bool
    at_ns: int


class VenueHoldings(VenueEvent, frozen=True, kw_only=True):
    """What the account has, free and set aside, by currency.

    Said after every trade of ours that it holds already and that was known when it was asked for.
    """

    holdings: dict[str, Decimal]


class VenueKeyRotated(VenueEvent, frozen=True, kw_only=True):
    """The account's key at the venue has turned; see `order.KeyRotated`."""

    old: str
    new: str
    began_ns: int
    ended_ns: int


class VenueKeyRefused(VenueEvent, frozen=True, kw_only=True):
    """The venue refuses a key of the account; see `order.KeyRefused`."""

    refused: str
    using: str
