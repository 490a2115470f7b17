"""What the adapter must know of a venue's own language: its calls, and what its answers mean.

ccxt signs, paces and connects; everything here works on the venue's own words, exact as they came.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from goalkick.common.events.venue import PlaceOrder, VenueEvent, VenueTraded
from goalkick.common.values.ids import ClientOrderId


class Ended(msgspec.Struct, frozen=True):
    """The private stream says that an order has ended unfilled: its trades are to be asked for.

    Attributes:
        handle: the client order id.
        symbol: the venue's own name of the instrument.
    """

    handle: ClientOrderId
    symbol: str


class Lost(msgspec.Struct, frozen=True):
    """The venue ends the private stream, or says that it will: connect again."""

    reason: str


class Told(msgspec.Struct, frozen=True):
    """News of an order in our words; `event.instrument` is the venue's symbol until it is mapped.

    Attributes:
        handle: the client order id; ours begin with `gk-`.
    """

    handle: str
    event: VenueEvent


News = Told | Ended | Lost


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue knows of an order.

    Attributes:
        venue_order_id: its number there.
        status: `open`, `filled`, `cancelled`, `expired` or `rejected`.
        filled: quantity that was traded.
        trades: all that is known of its trades; when they do not add up to `filled`, more will be.
    """

    venue_order_id: str
    status: str
    filled: Decimal
    trades: Sequence[VenueTraded]

    @property
    def complete(self) -> bool:
        """Whether every trade is there."""
        return sum(trade.quantity for trade in self.trades) == self.filled


class Dialect(Protocol):
    """One venue."""

    def options(self, recv_window_ms: int) -> Mapping[str, Any]:
        """What ccxt's client is made with."""
        ...

    def move(self, api: Any, endpoint: str) -> Any:
        """Ccxt's table of URLs with all traffic led to `endpoint` (`http://host:port`)."""
        ...

    async def subscribe(self, client: Any) -> None:
        """Begins the private stream and waits until the venue has confirmed it."""
        ...

    async def wait(self, client: Any) -> None:
        """Waits until the private stream breaks, which it raises as an error."""
        ...

    def hear(self, message: Any) -> Sequence[News]:
        """What a message of the private stream says; nothing for what is not about orders."""
        ...

    async def place(self, client: Any, order: PlaceOrder, symbol: str) -> Sequence[VenueEvent]:
        """Sends a new order, once; returns what its answer says."""
        ...

    async def cancel(self, client: Any, handle: str, symbol: str) -> None:
        """Takes an order out of the book; not to be found is no error."""
        ...

    async def find(self, client: Any, handle: str, symbol: str) -> Found | None:
        """What the venue knows of an order; None if it says that there is none."""
        ...

    async def holdings(self, client: Any) -> Mapping[str, Decimal]:
        """Currency -> free and set aside."""
        ...


def pinned(node: Any, nowhere: str = "http://127.0.0.1:9") -> Any:
    """Ccxt's table of URLs led to a closed port: what is not served here must fail."""
    if isinstance(node, dict):
        return {key: pinned(value, nowhere) for key, value in node.items()}
    return nowhere
