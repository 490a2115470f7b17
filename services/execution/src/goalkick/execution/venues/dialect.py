"""What the adapter must know of a venue's own language: its calls, and what its answers mean.

ccxt signs, paces and connects; everything here works on the venue's own words, exact as they came.
Events carry the venue's symbol as their instrument until the adapter has mapped it.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Protocol

import msgspec

from goalkick.common.events.venue import (
    PlaceOrder,
    VenueExternalOrder,
    VenueExternalTrade,
    VenueOrderEvent,
    VenueTraded,
)
from goalkick.common.values.ids import ClientOrderId
from goalkick.common.values.money import ZERO
from goalkick.common.values.time import NS_PER_MS

OURS: Final = "gk-"
"""What our client order ids begin with."""


Rows = Sequence[Sequence[str]]
"""Of a book: (price, quantity), as text."""


class Confirmed(msgspec.Struct, frozen=True):
    """The venue has confirmed the private stream; ccxt needs to hear it too."""


class Ended(msgspec.Struct, frozen=True):
    """An order has ended: trades of it that are not known are to be asked for.

    Attributes:
        handle: the client order id.
        symbol: the venue's own name of the instrument.
        filled: whether all of it was traded, so that its trades say the same.
    """

    handle: ClientOrderId
    symbol: str
    filled: bool = False


class Lost(msgspec.Struct, frozen=True):
    """The venue ends the private stream, or says that it will: connect again."""

    reason: str


class Told(msgspec.Struct, frozen=True):
    """News of an order of ours."""

    event: VenueOrderEvent


class Foreign(msgspec.Struct, frozen=True):
    """News of an order of the account that is none of ours."""

    event: VenueExternalOrder | VenueExternalTrade


News = Confirmed | Told | Ended | Foreign | Lost


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue knows of an order.

    Attributes:
        venue_order_id: its number there.
        status: `open`, `filled`, `cancelled`, `expired` or `rejected`.
        filled: quantity that was traded.
        trades: all that is known of its trades; when they do not add up to `filled`, more will be.
        reason: the venue's word for why it ended.
    """

    venue_order_id: str
    status: str
    filled: Decimal
    trades: Sequence[VenueTraded]
    reason: str = ""

    @property
    def complete(self) -> bool:
        """Whether every trade is there."""
        return sum((trade.quantity for trade in self.trades), ZERO) == self.filled


class Trade(msgspec.Struct, frozen=True):
    """A trade of the account.

    Attributes:
        handle: client order id of its order; "" where the venue does not say it with the trade.
        trade: all else, as if it were nobody's.
    """

    handle: str
    trade: VenueExternalTrade


class Dialect(Protocol):
    """One venue.

    Attributes:
        name: ccxt's name of the venue.
        window_ms: over which time the venue counts requests.
        placement: path of the call that places an order, as ccxt writes it.
    """

    name: str
    window_ms: int
    placement: str

    def options(self, recv_window_ms: int) -> Mapping[str, Any]:
        """What ccxt's client is made with."""
        ...

    def move(self, api: Any, endpoint: str) -> Any:
        """Ccxt's table of URLs with all traffic led to `endpoint` (`http://host:port`)."""
        ...

    async def listen(self, client: Any, *, guarded: bool = False) -> None:
        """Begins the private stream and waits until it breaks, which it raises as an error.

        Args:
            client: of ccxt.
            guarded: whether the venue is to miss us when this stream is gone, see `guard`.
        """
        ...

    async def guard(self, client: Any, window_s: int) -> None:
        """Has the venue cancel all orders of the account when we are gone for so long.

        Raises:
            SettingsError: it does not do that for this account.
        """
        ...

    def hear(self, message: Any) -> Sequence[News]:
        """What a message of the private stream says; nothing for what is of no concern."""
        ...

    def lacks(self, order: PlaceOrder) -> str:
        """Why the venue cannot take an order of this kind; "" if it can."""
        ...

    async def place(self, client: Any, order: PlaceOrder, symbol: str) -> Sequence[VenueOrderEvent]:
        """Sends a new order, once; returns what its answer says.

        Raises:
            InvalidDataError: nothing was sent, for a reason that the message says.
        """
        ...

    def is_refusal(self, code: int, message: str) -> bool:
        """Whether this error says that the order is not there and will not be.

        An error that is not known for certain to say so does not: the order is asked about.
        """
        ...

    async def cancel(self, client: Any, handle: str, symbol: str) -> None:
        """Takes an order out of the book; ccxt's `OrderNotFound` if there is none to take."""
        ...

    async def find(self, client: Any, handle: str, symbol: str) -> Found | None:
        """What the venue knows of an order; None, or ccxt's `OrderNotFound`, if nothing."""
        ...

    async def owner(self, client: Any, venue_order_id: str, symbol: str) -> str:
        """The client order id of an order that the venue has under this number."""
        ...

    async def open_orders(self, client: Any) -> Sequence[VenueExternalOrder]:
        """All open orders of the account, as if none were ours."""
        ...

    async def trades(self, client: Any, symbols: Sequence[str], since_ms: int) -> Sequence[Trade]:
        """The account's trades from a time of the venue on, oldest first.

        Args:
            client: of ccxt.
            symbols: where to look, on venues that cannot be asked about all of them at once.
            since_ms: UTC milliseconds.
        """
        ...

    async def holdings(self, client: Any) -> Mapping[str, Decimal]:
        """Currency -> free and set aside."""
        ...

    async def book(self, client: Any, symbol: str, levels: int) -> tuple[Rows, Rows]:
        """Bids and asks, each (price, quantity) as the venue's text, best first."""
        ...


def is_ours(handle: str) -> bool:
    """Whether a client order id is one of ours."""
    return handle.startswith(OURS)


def nanoseconds(milliseconds: object) -> int:
    """A venue's time, a number or a text, in UTC ns."""
    return int(str(milliseconds)) * NS_PER_MS


def pinned(node: Any, nowhere: str = "http://127.0.0.1:9") -> Any:
    """Ccxt's table of URLs led to a closed port: what is not served here must fail."""
    if isinstance(node, dict):
        return {key: pinned(value, nowhere) for key, value in node.items()}
    return nowhere
