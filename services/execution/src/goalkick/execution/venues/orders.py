"""What the adapter knows of its orders: which have not ended, and what was told of them.

It decides nothing about an order's life; that is the core's. It is here to know what must be asked.
"""

import time
from collections import OrderedDict
from decimal import Decimal
from typing import Final

import msgspec

from goalkick.common.events.venue import (
    VenueAccepted,
    VenueEvent,
    VenueTraded,
    VenueUnreachable,
)
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.money import ZERO

REMEMBERED: Final = 10_000
"""Orders that are remembered to have ended, so that nothing is asked about them any more."""


class OpenOrder(msgspec.Struct):
    """An order that is not known to have ended.

    Attributes:
        quantity: all of it; None where it was not placed here.
        traded: trade id -> quantity, of those that were told.
        known: whether the venue has had it for certain.
        sent_s: when it can have been signed last, monotonic seconds.
        sending: whether it may still be signed.
        told: whether it was told to be in the book, and no doubt, question or cancel came since.
    """

    instrument: InstrumentId
    sent_s: float
    quantity: Decimal | None = None
    traded: dict[str, Decimal] = msgspec.field(default_factory=dict)
    known: bool = False
    sending: bool = False
    told: bool = False

    @property
    def filled(self) -> Decimal:
        """The sum of the trades that were told, in base currency."""
        return sum(self.traded.values(), ZERO)

    def was_sent(self) -> None:
        """Nothing of it will be signed from now on."""
        self.sent_s, self.sending = time.monotonic(), False


class Orders:
    """All orders of one connection.

    Attributes:
        open: those that are not known to have ended, by client order id.
    """

    def __init__(self, void_after_s: float) -> None:
        """None yet.

        Args:
            void_after_s: how long after its signing a request may still become an order.
        """
        self.open: dict[str, OpenOrder] = {}
        self._void_after_s = void_after_s
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._began_s = time.monotonic()

    def begin(self) -> None:
        """Forgets all: whoever listens from now on asks about what it knows."""
        self.open.clear()
        self._ended.clear()
        self._began_s = time.monotonic()

    def of(self, handle: str, instrument: InstrumentId) -> OpenOrder:
        """An order; one that was not known is taken to have been sent before we began."""
        order = self.open.get(handle)
        if order is None:
            order = self.open[handle] = OpenOrder(instrument, self._began_s)
        return order

    def has_ended(self, handle: str) -> bool:
        """Whether nothing more can be learnt about an order."""
        return handle in self._ended

    def finish(self, handle: str) -> None:
        """Nothing more can be learnt about this order."""
        self.open.pop(handle, None)
        self._ended[handle] = None
        if len(self._ended) > REMEMBERED:
            self._ended.popitem(last=False)

    def note(self, event: VenueEvent) -> None:
        """Takes note of what is told; all is known of an order when its whole quantity traded."""
        if not isinstance(event, VenueTraded | VenueAccepted | VenueUnreachable):
            return
        order = self.open.get(event.client_order_id)
        if order is None:
            return
        if isinstance(event, VenueUnreachable):
            order.told = False
            return
        order.known = True
        order.told = order.told or isinstance(event, VenueAccepted)
        if isinstance(event, VenueTraded):
            order.traded[event.trade_id] = event.quantity
            if order.quantity is not None and order.filled >= order.quantity:
                self.finish(event.client_order_id)

    def is_void(self, order: OpenOrder, asked_s: float) -> bool:
        """Whether at the time of a question no request of ours for the order could arrive any more.

        Args:
            order: the venue said that it is not there.
            asked_s: when the question was put, monotonic seconds.
        """
        return not order.sending and asked_s >= order.sent_s + self._void_after_s
