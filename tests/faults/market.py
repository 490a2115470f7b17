"""The exchange in a box as a trial plays on it: prices, house orders, faults that are lifted."""

from collections.abc import Callable
from contextlib import ExitStack
from decimal import Decimal
from typing import Any

import msgspec

from goalkick.common.events.base import Side
from goalkick.venue.control import Control
from goalkick.venue.engine.model import (
    Kind,
    Listing,
    NewOrder,
    Order,
    OrderChanged,
    Phase,
    Refused,
    SelfTrade,
    TimeInForce,
)
from goalkick.venue.engine.model import Side as VenueSide
from goalkick.venue.presets import preset
from goalkick.venue.server import VenueServer
from goalkick.venue.settings import HOUSE, FlowSettings, MarketSettings, VenueSettings
from tests.conformance.conftest import quiet_settings
from tests.faults.desk import ACCOUNT, PAIR

PRICE = Decimal(60_000)
TICK = Decimal("0.01")
STEP = Decimal(3)
"""How far beyond the best price a stop order waits: less than to the next level."""


def box_settings(*, seed: int, lively: bool, venue: str) -> VenueSettings:
    """An exchange with one instrument and one protocol.

    Args:
        seed: of its flow and of the jitter of faults.
        lively: whether others trade all the time.
        venue: `binance` or `bybit`.
    """
    changes: dict[str, Any] = {
        "markets": {PAIR: MarketSettings(price=PRICE)},
        "front_ends": (venue,),
        "seed": seed,
    }
    if lively:
        changes["flow"] = FlowSettings(
            seed=seed, interval=50_000_000, trades_per_second=10, history=0, levels=15
        )
    return quiet_settings(**changes)


class Market:
    """What is done on the venue's side."""

    def __init__(self, server: VenueServer, struck: Callable[[str], None]) -> None:
        """Plays on a running venue.

        Args:
            server: the venue.
            struck: is told the name of each fault that strikes.
        """
        self._server = server
        self._control = Control(server.context, server.pump)
        self._struck = struck
        server.faults.on_strike = lambda fault, _: struck(fault.name)

    def price(self, kind: str, side: Side, quantity: Decimal) -> tuple[Decimal | None, Decimal]:
        """Limit price and quantity of a new order of a kind, as the book is now."""
        if kind not in ("rest", "cross", "stop"):
            return None, quantity
        if not self._listed:
            return PRICE, quantity
        depth = self._server.exchange.depth(PAIR, 1)
        asks, bids = depth.asks, depth.bids
        if not asks or not bids:
            return PRICE, quantity
        best, level = asks[0] if side is Side.BUY else bids[0]
        if kind == "stop":
            return best + side.sign * STEP, quantity
        if kind == "cross":
            return best, level + quantity
        return best - side.sign * TICK, quantity

    def meet(self, order: Order, share: Decimal) -> bool:
        """Somebody else trades against a share of what is open of an order."""
        quantity = (order.left * share).quantize(Decimal("0.00001"))
        return self._place("other", order, quantity, SelfTrade.NONE)

    def touch(self, order: Order) -> bool:
        """Others trade at the price that a waiting order waits for."""
        assert order.stop_price is not None
        opposite = VenueSide.SELL if order.side is VenueSide.BUY else VenueSide.BUY
        self._server.context.advance()
        try:
            for side, kind in ((opposite, TimeInForce.GTC), (order.side, TimeInForce.IOC)):
                depth = self._server.exchange.depth(PAIR)
                levels = depth.asks if order.side is VenueSide.BUY else depth.bids
                sign = 1 if order.side is VenueSide.BUY else -1
                before = sum(
                    (size for at, size in levels if sign * at <= sign * order.stop_price),
                    Decimal(0),
                )
                self._server.exchange.place(
                    "other",
                    NewOrder(
                        instrument=PAIR,
                        side=side,
                        kind=Kind.LIMIT,
                        quantity=Decimal("0.001") if side is opposite else before,
                        price=order.stop_price,
                        time_in_force=kind,
                    ),
                )
        except Refused:
            return False
        return True

    def expire(self, order: Order) -> bool:
        """The account's own other order meets it, and both expire."""
        return self._place(ACCOUNT, order, order.left, SelfTrade.EXPIRE_BOTH)

    def _place(self, account: str, order: Order, quantity: Decimal, self_trade: SelfTrade) -> bool:
        opposite = VenueSide.SELL if order.side is VenueSide.BUY else VenueSide.BUY
        request = NewOrder(
            instrument=PAIR,
            side=opposite,
            kind=Kind.LIMIT,
            quantity=quantity,
            price=order.price,
            time_in_force=TimeInForce.IOC,
            self_trade=self_trade,
        )
        self._server.context.advance()
        try:
            self._server.exchange.place(account, request)
        except Refused:
            return False
        return True

    @property
    def _listed(self) -> bool:
        return PAIR in self._server.exchange.listings

    def order(self, handle: str) -> Order | None:
        """The venue's order of a client order id, as it stands."""
        orders = self._server.exchange.ledger().accounts[ACCOUNT].orders
        return next((each for each in orders if each.client_order_id == handle), None)

    def when_taken(self, handle: str, then: Callable[[], None]) -> Callable[[], None]:
        """Calls `then` the moment that the venue has taken an order, before it answers.

        Returns:
            Call it to have it not done any more.
        """

        def listen(happening: object) -> None:
            if isinstance(happening, OrderChanged) and happening.order.client_order_id == handle:
                then()

        return self._server.exchange.subscribe(listen)

    def upset(self, name: str, skip: int = 0) -> Callable[[], None]:
        """Does what a fault of the catalogue says.

        Args:
            name: of the fault.
            skip: how many matches pass untouched first; 0 keeps the fault's own.

        Returns:
            Call it to lift the fault.
        """
        server, chosen = self._server, preset(name, skip=skip or None)
        lift = ExitStack()
        if name.startswith("F17") and not self._listed:
            return lift.close
        if chosen.calls:
            self._struck(name)
            self._remember(lift, chosen.calls[0].path)
        for call in chosen.calls:
            self._control.call(call)
        for fault in chosen.faults:
            lift.callback(server.faults.clear, server.faults.arm(fault))
        return lift.close

    def _remember(self, lift: ExitStack, path: str) -> None:
        """Has what a call changes put right again."""
        server = self._server
        exchange, clock, pump = server.exchange, server.clock, server.pump
        match path:
            case "/clock":
                lift.callback(clock.skew, 0)
                lift.callback(clock.drift, 1.0)
            case "/flow":
                lift.callback(setattr, pump, "paused", pump.paused)
            case "/keys":
                for key in [each for each in server.context.accounts if each.account == ACCOUNT]:
                    lift.callback(server.context.accounts.add, key)
            case "/phase" | "/instruments":
                listing = exchange.listings.get(PAIR)
                if listing is not None:
                    lift.callback(self._relist, listing)

    def _relist(self, listing: Listing) -> None:
        self._server.context.advance()
        self._server.exchange.list_instrument(msgspec.structs.replace(listing, phase=Phase.TRADING))
        self.refill()

    def refill(self) -> None:
        """Gives a side of the book that is empty some levels."""
        exchange = self._server.exchange
        depth = exchange.depth(PAIR, 1)
        for side, levels in ((VenueSide.BUY, depth.bids), (VenueSide.SELL, depth.asks)):
            for step in range(1, 6) if not levels else ():
                below = -step if side is VenueSide.BUY else step
                exchange.place(
                    HOUSE,
                    NewOrder(
                        instrument=PAIR,
                        side=side,
                        kind=Kind.LIMIT,
                        quantity=Decimal("0.3"),
                        price=PRICE + 6 * below,
                    ),
                )
