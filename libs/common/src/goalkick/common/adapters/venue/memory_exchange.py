"""The exchange behind the fake venue, which a test can script.

Deterministic: nothing happens unless it is told to, and nothing waits for a clock. One account
trades one instrument on a market that stands still.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Side
from goalkick.common.events.order import OrderKind, TimeInForce
from goalkick.common.events.venue import (
    PlaceOrder,
    VenueAccepted,
    VenueClosed,
    VenueEvent,
    VenueTraded,
)
from goalkick.common.values.ids import ClientOrderId, InstrumentId, name_of
from goalkick.common.values.money import ZERO, is_multiple, plain

OURS: Final = "gk-"
"""What the client order ids of adapters begin with."""


class RefusedError(Exception):
    """The exchange does not take an order; the text says why."""


class DuplicateError(Exception):
    """An open order has this client order id."""


class MemoryOrder(msgspec.Struct, kw_only=True):
    """An order of the account, as the exchange knows it.

    Attributes:
        asked: what was asked for.
        number: the exchange's own id.
        status: `open`, `filled`, `cancelled` or `expired`.
        waiting: whether the market has not reached its stop price.
        trades: oldest first.
    """

    asked: PlaceOrder
    number: str
    status: str = "open"
    waiting: bool = False
    trades: list[VenueTraded] = msgspec.field(default_factory=list)

    @property
    def filled(self) -> Decimal:
        """Traded so far, in base currency."""
        return sum((trade.quantity for trade in self.trades), ZERO)

    @property
    def remaining(self) -> Decimal:
        """Still to be traded, in base currency."""
        return self.asked.quantity - self.filled


class MemoryExchange:
    """One account on a market that quotes any quantity at `bid` and `ask` and stands still.

    Attributes:
        instrument: what is traded.
        bid, ask, last: prices; what lies between bid and ask is empty.
        balances: currency -> what the account has.
        fee_rate: of what is received.
        fee_currency: a third currency that fees are taken in, at their worth in quote currency;
            "": in what is received.
        lot: quantities are multiples of it.
        orders: of the account, oldest first.
        log: everything that happened to the account's orders, in order.
        silent: whether private streams say nothing.
        compares: whether adapters notice what a silent stream kept back.
        flying: placements whose outcome nobody knows; see `deliver` and `drop`.
    """

    def __init__(self, instrument: InstrumentId = InstrumentId("memory:BTC/USDT")) -> None:  # noqa: B008
        """A market of BTC/USDT near 60,000, and an account with enough to trade on it."""
        self.instrument = instrument
        self.base, _, self.quote = name_of(instrument).partition("/")
        self.bid, self.ask, self.last = Decimal(59_994), Decimal(60_006), Decimal(60_000)
        self.balances = {
            self.base: Decimal(10),
            self.quote: Decimal(1_000_000),
            "BNB": Decimal(100),
        }
        self.fee_rate = Decimal("0.001")
        self.fee_currency = ""
        self.lot = Decimal("0.00001")
        self.orders: list[MemoryOrder] = []
        self.log: list[VenueEvent] = []
        self.silent = False
        self.compares = True
        self.revoked = False
        self.skew = 0
        self.flying: list[PlaceOrder] = []
        self.holds_requests = False
        self.replies_to_lose = 0
        self.requests_to_lose = 0
        self.changed: set[Callable[[], None]] = set()
        self._moments = 0

    # --- what a test does

    def trade(self, side: Side, quantity: Decimal, price: Decimal) -> None:
        """Somebody else's limit order; it meets what rests here, best price first."""
        met = [
            order
            for order in self._resting()
            if order.asked.side is not side and (_limit(order) - price) * side.sign <= ZERO
        ]
        met.sort(key=lambda order: _limit(order) * side.sign)
        for order in met:
            traded = min(quantity, order.remaining)
            if traded:
                self._fill(order, traded, _limit(order))
            quantity -= traded
        self._tell()

    def move(self, price: Decimal) -> None:
        """Others trade with each other at a price; orders that waited for it trade."""
        self.last = price
        for order in self._open():
            stop = order.asked.stop_price
            if order.waiting and stop is not None and _is_met(order.asked, stop, price):
                order.waiting = False
                self._match(order)
        self._tell()

    def place_by_hand(self, side: Side, quantity: Decimal, price: Decimal) -> None:
        """A limit order of the same account that no adapter has placed."""
        self.place(
            PlaceOrder(
                time_ns=1,
                client_order_id=ClientOrderId(f"hand-{len(self.orders)}"),
                instrument=self.instrument,
                side=side,
                quantity=quantity,
                kind=OrderKind.LIMIT,
                limit_price=price,
            )
        )

    def placed(self) -> Sequence[str]:
        """Client order ids of all orders of the account, oldest first."""
        return [order.asked.client_order_id for order in self.orders]

    def open_orders(self) -> int:
        """How many have not ended."""
        return sum(order.status == "open" for order in self.orders)

    def holdings(self) -> Mapping[str, Decimal]:
        """What the account has, by currency; nothing of what it has none of."""
        return {currency: amount for currency, amount in self.balances.items() if amount}

    def trouble(self, what: str) -> None:
        """Something goes wrong from now on; see `testing/contracts/venue.py`."""
        match what:
            case "reply lost":
                self.replies_to_lose += 1
            case "request lost":
                self.requests_to_lose += 1
            case "news lost" | "stream cut" | "stream dead":
                self.silent = True
            case "clock ahead":
                self.skew += 1
            case "clock behind":
                self.skew -= 1
            case "keys revoked":
                self.revoked = True
            case _:
                raise InvalidDataError(f"expected a trouble that is known, found {what!r}")

    def mend(self) -> None:
        """Streams speak again, and say what they kept back."""
        self.silent = False
        self._tell()

    def deliver(self) -> None:
        """Placements that were held arrive after all."""
        arriving, self.flying = self.flying, []
        for order in arriving:
            self.place(order)
        self._tell()

    def drop(self) -> None:
        """Placements that were held can arrive no more."""
        self.flying.clear()
        self._tell()

    # --- what adapters ask for

    def place(self, asked: PlaceOrder) -> MemoryOrder:
        """Takes an order, and trades it as far as it meets the market.

        Raises:
            RefusedError: it breaks a rule.
            DuplicateError: an open order has its client order id.
        """
        if any(o.asked.client_order_id == asked.client_order_id for o in self._open()):
            raise DuplicateError(asked.client_order_id)
        self._check(asked)
        order = MemoryOrder(
            asked=asked, number=str(len(self.orders) + 1), waiting=asked.stop_price is not None
        )
        self.orders.append(order)
        self._say(VenueAccepted(**self._about(order), venue_order_id=order.number))
        if not order.waiting:
            self._match(order)
        self._tell()
        return order

    def cancel(self, handle: str) -> None:
        """Takes an order out of the book, if it is there."""
        for order in self._open():
            if order.asked.client_order_id == handle:
                self._end(order, "cancelled", "cancelled at our wish")
        self._tell()

    def find(self, handle: str) -> MemoryOrder | None:
        """The newest order of this client order id."""
        found = [o for o in self.orders if o.asked.client_order_id == handle]
        return found[-1] if found else None

    # --- inside

    def _check(self, asked: PlaceOrder) -> None:
        if asked.quantity < self.lot or not is_multiple(asked.quantity, self.lot):
            raise RefusedError(
                f"expected a multiple of {plain(self.lot)}, found {plain(asked.quantity)}"
            )
        stop = asked.stop_price
        if stop is not None and _is_met(asked, stop, self.last):
            raise RefusedError(f"stop price {plain(stop)} would be met at once")
        if asked.time_in_force is TimeInForce.POST_ONLY and self._crosses(asked):
            raise RefusedError("a post-only order would trade at once")
        price = asked.limit_price or asked.stop_price or self.ask
        buying = asked.side is Side.BUY
        needed = asked.quantity * price if buying else asked.quantity
        currency = self.quote if buying else self.base
        if needed > self.balances.get(currency, ZERO):
            raise RefusedError(f"expected {plain(needed)} {currency}, found less")

    def _crosses(self, asked: PlaceOrder) -> bool:
        touch = self.ask if asked.side is Side.BUY else self.bid
        limit = asked.limit_price
        return limit is None or (limit - touch) * asked.side.sign >= ZERO

    def _match(self, order: MemoryOrder) -> None:
        asked = order.asked
        if self._crosses(asked):
            touch = self.ask if asked.side is Side.BUY else self.bid
            self._fill(order, order.remaining, touch)
        elif asked.time_in_force in (TimeInForce.IMMEDIATE, TimeInForce.ALL_OR_NOTHING):
            self._end(order, "expired", asked.time_in_force)

    def _fill(self, order: MemoryOrder, quantity: Decimal, price: Decimal) -> None:
        asked, value = order.asked, quantity * price
        buying = asked.side is Side.BUY
        received, currency = (quantity, self.base) if buying else (value, self.quote)
        if self.fee_currency:
            received, currency = value, self.fee_currency
        fee = received * self.fee_rate
        for name, amount in (
            (self.base, quantity * asked.side.sign),
            (self.quote, -value * asked.side.sign),
            (currency, -fee),
        ):
            self.balances[name] = self.balances.get(name, ZERO) + amount
        about = self._about(order)
        trade = VenueTraded(
            **about,
            trade_id=str(about["time_ns"]),
            venue_time_ns=about["time_ns"],
            side=asked.side,
            quantity=quantity,
            price=price,
            fee=fee,
            fee_currency=currency,
            slippage=ZERO,
            venue_order_id=order.number,
        )
        order.trades.append(trade)
        if not order.remaining:
            order.status = "filled"
        self._say(trade)

    def _end(self, order: MemoryOrder, status: str, reason: str) -> None:
        order.status = status
        cancelled = status == "cancelled"
        self._say(VenueClosed(**self._about(order), cancelled=cancelled, reason=reason))

    def _open(self) -> Sequence[MemoryOrder]:
        return [order for order in self.orders if order.status == "open"]

    def _resting(self) -> Sequence[MemoryOrder]:
        return [order for order in self._open() if not order.waiting]

    def _about(self, order: MemoryOrder) -> dict[str, Any]:
        self._moments += 1
        return {
            "time_ns": self._moments,
            "client_order_id": order.asked.client_order_id,
            "instrument": self.instrument,
        }

    def _say(self, event: VenueEvent) -> None:
        self.log.append(event)

    def _tell(self) -> None:
        for listener in tuple(self.changed):
            listener()


def _limit(order: MemoryOrder) -> Decimal:
    limit = order.asked.limit_price
    assert limit is not None  # noqa: S101 - what rests has one
    return limit


def _is_met(asked: PlaceOrder, stop: Decimal, price: Decimal) -> bool:
    """Whether the market has gone as far as an order waits for."""
    is_stop = asked.kind in (OrderKind.STOP, OrderKind.STOP_LIMIT)
    rising = (asked.side is Side.BUY) == is_stop
    return price >= stop if rising else price <= stop
