"""Where the contract of venues is tried: an exchange that can be troubled, and a desk on it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Literal, Protocol, TypeVar

from goalkick.common.events.base import Side
from goalkick.common.events.order import OrderKind
from goalkick.common.events.venue import (
    PlaceOrder,
    VenueEvent,
    VenueOrderEvent,
    VenueRejected,
    VenueTraded,
)
from goalkick.common.ports.venue import Venue
from goalkick.common.values.ids import ClientOrderId, InstrumentId

Trouble = Literal[
    "reply lost",
    "request lost",
    "news lost",
    "stream cut",
    "stream dead",
    "clock ahead",
    "clock behind",
    "keys revoked",
]
"""What can go wrong: a placement's reply is lost once, or the placement itself; news get lost until
`mend`; the private stream is closed, or stays open and dumb; the exchange's clock is moved."""

D = Decimal
WITHIN_S = 20.0
"""Nothing in these tests takes longer, on a busy machine either."""
ASK, BID, LAST = D("60006"), D("59994"), D("60000")
"""Where the market of `Exchange` stands still. What lies between bid and ask is empty."""
FAR = D("50000")
"""A price that nobody sells at."""
QUANTITY = D("0.01")

Event = TypeVar("Event", bound=VenueEvent)


class Exchange(Protocol):
    """The exchange behind the adapters: one account on a still market of BTC/USDT.

    It quotes enough at `BID` and `ASK`; what it last traded at is `LAST`.

    Attributes:
        instrument: our name of what is traded.
    """

    instrument: InstrumentId

    def adapter(self) -> Venue:
        """A further adapter on the same account, not started yet."""
        ...

    def trade(self, side: Side, quantity: Decimal, price: Decimal) -> None:
        """Somebody else's limit order, which may meet ours."""
        ...

    def move(self, price: Decimal) -> None:
        """Others trade with each other at a price between bid and ask."""
        ...

    def place_by_hand(self, side: Side, quantity: Decimal, price: Decimal) -> None:
        """A limit order of the same account that no adapter has placed."""
        ...

    def placed(self) -> Sequence[str]:
        """Client order ids of all orders that the account ever had, oldest first."""
        ...

    def open_orders(self) -> int:
        """How many orders of the account are in the book or wait for a stop price."""
        ...

    def holdings(self) -> Mapping[str, Decimal]:
        """Currency -> what the account has, free and set aside."""
        ...

    def trouble(self, what: Trouble) -> None:
        """Something goes wrong from now on."""
        ...

    def mend(self) -> None:
        """News get through again."""
        ...


class Ear:
    """Hears an adapter.

    Attributes:
        heard: everything so far, in order.
    """

    def __init__(self, venue: Venue) -> None:
        """Nothing was heard yet."""
        self.venue = venue
        self.heard: list[VenueEvent] = []

    def of(self, kind: type[Event], handle: str = "") -> list[Event]:
        """What was heard of a kind, and of an order if one is named."""
        return [
            event
            for event in self.heard
            if isinstance(event, kind) and handle in ("", getattr(event, "client_order_id", ""))
        ]

    def traded(self, handle: str) -> Decimal:
        """The sum of an order's trades, each counted once."""
        trades = {trade.trade_id: trade.quantity for trade in self.of(VenueTraded, handle)}
        return sum(trades.values(), D(0))

    async def until(self, condition: Callable[[], object]) -> None:
        """Hears on until something holds."""
        try:
            async with asyncio.timeout(WITHIN_S):
                while not condition():
                    self.heard += await self.venue.answers()
        except TimeoutError:
            told = "\n".join(repr(event) for event in self.heard)
            raise AssertionError(f"waited in vain; heard:\n{told}") from None

    async def until_told(self, kind: type[VenueOrderEvent], handle: str) -> None:
        """Hears on until something of this kind was said of an order."""
        await self.until(lambda: self.of(kind, handle))


class Desk:
    """An adapter at work, and what it was told to do."""

    def __init__(self, exchange: Exchange, venue: Venue) -> None:
        """Over a started adapter."""
        self.exchange = exchange
        self.venue = venue
        self.ear = Ear(venue)

    def do(self, command: type[VenueEvent], handle: str, **fields: Any) -> ClientOrderId:
        """Gives a command about an order; returns its client order id."""
        name = ClientOrderId(f"gk-{handle}")
        about = {"time_ns": 1, "client_order_id": name, "instrument": self.exchange.instrument}
        self.venue.carry_out(command(**{**about, **fields}))
        return name

    def place(self, handle: str, side: Side = Side.BUY, **fields: Any) -> ClientOrderId:
        """Places an order of `QUANTITY`: at the market unless the fields say otherwise."""
        order = {"side": side, "quantity": QUANTITY, "kind": OrderKind.MARKET, **fields}
        return self.do(PlaceOrder, handle, **order)

    def rest(self, handle: str, price: Decimal = FAR, **fields: Any) -> ClientOrderId:
        """Places a limit order to buy that waits in the book."""
        return self.place(handle, kind=OrderKind.LIMIT, limit_price=price, **fields)

    async def filled(self, handle: ClientOrderId) -> None:
        """Hears on until all of an order was traded."""
        await self.ear.until(lambda: self.ear.traded(handle) == QUANTITY)

    async def ended(self, handle: ClientOrderId) -> None:
        """Hears on until an order was traded or rejected."""
        ear = self.ear
        await ear.until(lambda: ear.of(VenueRejected, handle) or ear.traded(handle) == QUANTITY)


@asynccontextmanager
async def at_work(exchange: Exchange) -> AsyncIterator[Desk]:
    """A further adapter, started, and closed in the end."""
    venue = exchange.adapter()
    try:
        async with asyncio.timeout(WITHIN_S):
            await venue.start()
        yield Desk(exchange, venue)
    finally:
        await venue.close()


async def soon(waited: Awaitable[None]) -> None:
    """Waits, but not for ever."""
    async with asyncio.timeout(WITHIN_S):
        await waited
