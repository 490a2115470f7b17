"""A market for one algo: it does what it is told to, and holds the algo to its promises.

It knows the truth of every child, which the algo hears of late, twice, or in another order.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from goalkick.common.events.base import Side
from goalkick.common.events.order import OrderKind
from goalkick.common.values.ids import EventId, InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.money import ZERO, is_multiple
from goalkick.execution.algos.catalogue import build_algo
from goalkick.execution.algos.children import Role
from goalkick.execution.algos.measurement import Measurement
from goalkick.execution.algos.model import (
    Algo,
    CancelChild,
    ChildEnd,
    ChildEnded,
    ChildFilled,
    Deed,
    Heard,
    Parent,
    ParentEnded,
    PlaceChild,
    QuoteSeen,
    StopAsked,
    TimePassed,
    VolumeSeen,
)

D = Decimal
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
START = 1_000 * MINUTE
RULES = Instrument(
    id=InstrumentId("binance:BTC/USDT"),
    base="BTC",
    quote="USDT",
    tick_size=D("0.1"),
    lot_size=D("0.01"),
    min_quantity=D("0.01"),
    min_notional=D(5),
)


def parent(quantity: str = "10", **changes: Any) -> Parent:
    values: dict[str, Any] = {
        "order": EventId("a" * 32),
        "rules": RULES,
        "side": Side.BUY,
        "quantity": D(quantity),
        "arrival_price": D(100),
        "start_ns": START,
        "end_ns": START + 10 * MINUTE,
        **changes,
    }
    return Parent(**values)


class Order(msgspec.Struct):
    """The truth of a child."""

    placed: PlaceChild
    filled: Decimal = ZERO
    trades: int = 0
    ended: bool = False

    @property
    def working(self) -> Decimal:
        return ZERO if self.ended else self.placed.quantity - self.filled


class Market:
    """See the module.

    Attributes:
        orders: every child, by number.
        news: what the algo has not heard yet.
        heard, deeds: everything so far.
    """

    def __init__(self, name: str, about: Parent, params: Mapping[str, object]) -> None:
        self.make: Callable[[], Algo] = lambda: build_algo(name, about, params)
        self.algo: Algo = self.make()
        self.parent = about
        self.orders: dict[int, Order] = {}
        self.news: list[Heard] = []
        self.heard: list[Heard] = []
        self.deeds: list[Deed] = []
        self.now_ns = about.start_ns
        self.volume = ZERO
        self.cap: Decimal | None = None

    # --- what happens

    def wait(self, seconds: float) -> list[Deed]:
        self.now_ns += int(seconds * SECOND)
        return self.tell(TimePassed(time_ns=self.now_ns))

    def quote(self, bid: str | Decimal, ask: str | Decimal) -> list[Deed]:
        return self.tell(QuoteSeen(time_ns=self.now_ns, bid=D(bid), ask=D(ask)))

    def trade(self, quantity: str | int | Decimal, price: str | Decimal = "100") -> list[Deed]:
        self.volume += D(quantity)
        return self.tell(
            VolumeSeen(
                time_ns=self.now_ns,
                from_ns=self.now_ns,
                quantity=D(quantity),
                price=D(price),
            )
        )

    def fill(
        self,
        child: int,
        quantity: str | Decimal | None = None,
        price: str | Decimal = "100",
        fee: str = "0",
        currency: str = "USDT",
    ) -> list[Deed]:
        """Trades (all) of a child and tells of it at once."""
        return self.tell(self.filled(child, quantity, price, fee, currency))

    def end(self, child: int, how: ChildEnd = ChildEnd.CANCELLED, reason: str = "") -> list[Deed]:
        return self.tell(self.over(child, how, reason))

    def stop(self) -> list[Deed]:
        return self.tell(StopAsked(time_ns=self.now_ns))

    def filled(
        self,
        child: int,
        quantity: str | Decimal | None = None,
        price: str | Decimal = "100",
        fee: str = "0",
        currency: str = "USDT",
    ) -> ChildFilled:
        """Trades (all) of a child; returns the news of it."""
        order = self.orders[child]
        traded = order.working if quantity is None else D(quantity)
        assert ZERO < traded <= order.working
        order.filled += traded
        order.trades += 1
        return ChildFilled(
            time_ns=self.now_ns,
            child=child,
            trade_id=f"{child}-{order.trades}",
            quantity=traded,
            price=D(price),
            fee=D(fee),
            fee_currency=currency,
        )

    def over(self, child: int, how: ChildEnd, reason: str = "") -> ChildEnded:
        """Ends a child; returns the news of it."""
        order = self.orders[child]
        order.ended = True
        return ChildEnded(
            time_ns=self.now_ns, child=child, end=how, filled=order.filled, reason=reason
        )

    # --- what the algo hears and does

    def tell(self, heard: Heard) -> list[Deed]:
        """Tells the algo; carries out what it wants, and holds it to its promises."""
        before = self.measurement
        self.heard.append(heard)
        deeds = self.algo.handle(heard)
        for deed in deeds:
            self._carry_out(deed)
        self.deeds += deeds
        if before is not None:
            assert not deeds, "something is wanted after the end"
        self._check()
        return list(deeds)

    def revive(self) -> None:
        """The algo is killed, and another one takes its snapshot over."""
        data = self.algo.snapshot()
        self.algo = self.make()
        self.algo.restore(data)
        assert self.algo.snapshot() == data

    def replay(self) -> None:
        """The same is wanted by another one that hears the same."""
        other = self.make()
        deeds = [deed for heard in self.heard for deed in other.handle(heard)]
        assert deeds == self.deeds
        assert other.snapshot() == self.algo.snapshot()

    @property
    def placed(self) -> list[PlaceChild]:
        return [deed for deed in self.deeds if isinstance(deed, PlaceChild)]

    @property
    def cancelled(self) -> list[int]:
        return [deed.child for deed in self.deeds if isinstance(deed, CancelChild)]

    @property
    def measurement(self) -> Measurement | None:
        ends = [deed for deed in self.deeds if isinstance(deed, ParentEnded)]
        return ends[0].measurement if ends else None

    @property
    def open(self) -> list[int]:
        return [number for number, order in self.orders.items() if order.working]

    def sums(self, *, protective: bool) -> tuple[Decimal, Decimal]:
        """(traded, may still be traded), truly."""
        these = [o for o in self.orders.values() if o.placed.protective is protective]
        return sum((o.filled for o in these), ZERO), sum((o.working for o in these), ZERO)

    def _carry_out(self, deed: Deed) -> None:
        match deed:
            case PlaceChild():
                assert deed.child == len(self.orders)
                self._check_rules(deed)
                self.orders[deed.child] = Order(deed)
            case CancelChild():
                assert deed.child in self.orders
                assert deed.child not in self.cancelled
            case ParentEnded():
                assert self.open == []

    def _check_rules(self, deed: PlaceChild) -> None:
        rules = self.parent.rules
        assert is_multiple(deed.quantity, rules.lot_size)
        assert deed.quantity >= max(rules.min_quantity, rules.lot_size)
        price = deed.limit_price or deed.stop_price
        if price is not None:
            assert price * deed.quantity >= rules.min_notional
        if deed.kind is OrderKind.LIMIT:
            assert deed.limit_price is not None
        limit = self.parent.limit_price
        if limit is not None and not deed.protective:
            assert deed.limit_price is not None
            assert (limit - deed.limit_price) * deed.side.sign >= 0

    def _check(self) -> None:
        traded, working = self.sums(protective=False)
        assert traded + working <= self.parent.quantity
        out, leaving = self.sums(protective=True)
        assert out + leaving <= traded
        children = self.algo.state.children  # type: ignore[attr-defined]
        assert children.committed(Role.WORK) <= self.parent.quantity
        assert children.committed(Role.EXIT) <= children.filled(Role.WORK)
        wake_ns = self.algo.wake_ns
        assert wake_ns is None or wake_ns > max(heard.time_ns for heard in self.heard[-1:])
        if not self.algo.ended and not children.open and self.algo.name != "bracket":
            assert wake_ns is not None, "nothing would ever happen again"
        if self.cap is not None:
            assert traded + working <= self.cap * self.volume
