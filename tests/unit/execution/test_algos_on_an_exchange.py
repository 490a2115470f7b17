"""Every algo on the exchange's own engine, among other traders: its ledger says the same."""

from collections import deque
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from goalkick.common.events.base import Side
from goalkick.common.events.order import OrderKind, TimeInForce
from goalkick.common.values.ids import EventId, InstrumentId, derive_id
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.money import ZERO
from goalkick.execution.algos.catalogue import build_algo
from goalkick.execution.algos.measurement import Measurement
from goalkick.execution.algos.model import (
    Algo,
    CancelChild,
    ChildEnd,
    ChildEnded,
    ChildFilled,
    Deed,
    Heard,
    Leftover,
    Parent,
    ParentEnded,
    PlaceChild,
    QuoteSeen,
    TimePassed,
    VolumeSeen,
)
from goalkick.venue.engine import model
from goalkick.venue.engine.exchange import Exchange
from goalkick.venue.flow.market import MarketFlow
from goalkick.venue.flow.rules import FlowRules

D = Decimal
SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
BTC = "BTC/USDT"
LISTING = model.Listing(instrument=BTC, base="BTC", quote="USDT", maker_fee=ZERO)
RULES = Instrument(
    id=InstrumentId("binance:BTC/USDT"),
    base="BTC",
    quote="USDT",
    tick_size=LISTING.tick_size,
    lot_size=LISTING.lot_size,
    min_quantity=LISTING.min_quantity,
    min_notional=LISTING.min_notional,
)
KINDS = {
    OrderKind.MARKET: model.Kind.MARKET,
    OrderKind.LIMIT: model.Kind.LIMIT,
    OrderKind.STOP: model.Kind.STOP_LOSS,
}
ENDS = {
    model.Status.CANCELLED: ChildEnd.CANCELLED,
    model.Status.EXPIRED: ChildEnd.EXPIRED,
    model.Status.EXPIRED_IN_MATCH: ChildEnd.EXPIRED,
    model.Status.REJECTED: ChildEnd.REJECTED,
}


class Floor:
    """An exchange with other traders, and one algo that is killed and revived now and then."""

    def __init__(self, seed: int, make: Callable[[Decimal], Any]) -> None:
        self.exchange = Exchange([LISTING], now_ns=START)
        rules = FlowRules(
            price=D(60_000), levels=8, trades_per_second=3, quotes_per_second=3, volatility=9
        )
        self.flow = MarketFlow({BTC: rules}, seed=seed)
        self.flow.open(self.exchange)
        self.exchange.open_account("us", {"USDT": D(10_000_000), "BTC": D(100)})
        self.exchange.subscribe(self._hear)
        self.news: deque[Heard] = deque()
        self.middle: Decimal = sum(self._quote(), ZERO) / 2
        self.make: Callable[[], Algo] = lambda: make(self.middle)
        self.algo = self.make()
        self.deeds: list[Deed] = []

    def run(self, seconds: int) -> Measurement:
        """Until the parent has ended; it must within this time."""
        for second in range(seconds):
            self.flow.step(self.exchange, START + second * SECOND)
            bid, ask = self._quote()
            self._tell(QuoteSeen(time_ns=self.exchange.now_ns, bid=bid, ask=ask))
            self._tell(TimePassed(time_ns=self.exchange.now_ns))
            if self.algo.ended:
                break
            if second % 7 == 0:
                data = self.algo.snapshot()
                self.algo = self.make()
                self.algo.restore(data)
        (end,) = (deed for deed in self.deeds if isinstance(deed, ParentEnded))
        return end.measurement

    def traded(self, side: Side) -> list[model.Fill]:
        return [fill for fill in self.exchange.fills("us") if fill.side.value == side.value]

    def _quote(self) -> tuple[Decimal, Decimal]:
        depth = self.exchange.depth(BTC, 1)
        return depth.bids[0][0], depth.asks[0][0]

    def _tell(self, heard: Heard) -> None:
        self.news.append(heard)
        while self.news:
            for deed in self.algo.handle(self.news.popleft()):
                self.deeds.append(deed)
                self._carry_out(deed)

    def _carry_out(self, deed: Deed) -> None:
        if isinstance(deed, PlaceChild):
            self._place(deed)
        elif isinstance(deed, CancelChild):
            open_orders = self.exchange.open_orders("us", BTC)
            if f"c{deed.child}" in {order.client_order_id for order in open_orders}:
                self.exchange.cancel("us", BTC, client_order_id=f"c{deed.child}")

    def _place(self, deed: PlaceChild) -> None:
        kind, force = KINDS[deed.kind], model.TimeInForce.GTC
        if deed.time_in_force is TimeInForce.POST_ONLY:
            kind = model.Kind.LIMIT_MAKER
        elif deed.time_in_force is TimeInForce.IMMEDIATE:
            force = model.TimeInForce.IOC
        try:
            self.exchange.place(
                "us",
                model.NewOrder(
                    instrument=BTC,
                    side=model.Side(deed.side.value),
                    kind=kind,
                    quantity=deed.quantity,
                    price=deed.limit_price,
                    stop_price=deed.stop_price,
                    time_in_force=force,
                    client_order_id=f"c{deed.child}",
                ),
            )
        except model.Refused as refused:
            self._end(deed.child, ChildEnd.REJECTED, ZERO, str(refused))

    def _hear(self, happening: model.Happening) -> None:
        now_ns = self.exchange.now_ns
        if isinstance(happening, model.Traded):
            trade = happening.trade
            self.news.append(
                VolumeSeen(
                    time_ns=now_ns, from_ns=now_ns, quantity=trade.quantity, price=trade.price
                )
            )
        elif isinstance(happening, model.OrderChanged) and happening.order.account == "us":
            order, fill = happening.order, happening.fill
            child = int(order.client_order_id[1:])
            if fill is not None:
                self.news.append(
                    ChildFilled(
                        time_ns=now_ns,
                        child=child,
                        trade_id=str(fill.trade_id),
                        quantity=fill.quantity,
                        price=fill.price,
                        fee=fill.fee,
                        fee_currency=fill.fee_asset,
                    )
                )
            if order.status in ENDS:
                self._end(child, ENDS[order.status], order.executed, order.status)

    def _end(self, child: int, end: ChildEnd, filled: Decimal, reason: str) -> None:
        self.news.append(
            ChildEnded(
                time_ns=self.exchange.now_ns, child=child, end=end, filled=filled, reason=reason
            )
        )


def at(middle: Decimal, bps: int) -> Decimal:
    """A price so many basis points off, on the tick."""
    return (middle * (10_000 + bps) / 10_000).quantize(D("0.01"))


CASES: dict[str, tuple[str, Side, int | None, Callable[[Decimal], dict[str, Any]]]] = {
    "twap": ("twap", Side.BUY, None, lambda _: {"slices": 8, "size_jitter": "0.3"}),
    "twap, limit": ("twap", Side.SELL, -3, lambda _: {"slices": 8, "finish": "market"}),
    "vwap": (
        "vwap",
        Side.BUY,
        None,
        lambda _: {"profile": [3, 1, 2], "slices": 12, "max_participation": "0.5"},
    ),
    "pov": ("pov", Side.SELL, None, lambda _: {"rate": "0.1", "finish": "market"}),
    "iceberg": (
        "iceberg",
        Side.BUY,
        -4,
        lambda _: {"visible": "0.02", "jitter": "0.5", "finish": "market"},
    ),
    "post_only": ("post_only", Side.BUY, None, lambda _: {"finish": "market"}),
    "oco": (
        "oco",
        Side.SELL,
        None,
        lambda m: {"stop_price": at(m, -12), "take_profit": at(m, 12)},
    ),
    "bracket": (
        "bracket",
        Side.BUY,
        None,
        lambda m: {"stop_price": at(m, -12), "take_profit": at(m, 12)},
    ),
    "bracket, short": (
        "bracket",
        Side.SELL,
        -1,
        lambda m: {"stop_price": at(m, 12), "take_profit": at(m, -12)},
    ),
}


def floor(case: str, seed: int) -> Floor:
    name, side, limit, params = CASES[case]

    def make(middle: Decimal) -> Any:
        parent = Parent(
            order=EventId(derive_id(f"{case}|{seed}", "order")),
            rules=RULES,
            side=side,
            quantity=D("0.4"),
            arrival_price=middle,
            start_ns=START,
            end_ns=START + 120 * SECOND,
            limit_price=None if limit is None else at(middle, limit),
        )
        return build_algo(name, parent, params(middle))

    return Floor(seed, make)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_the_ledger_says_the_same(case: str, seed: int) -> None:
    trading = floor(case, seed)
    measured = trading.run(3_000)
    _, side, _, _ = CASES[case]
    fills = trading.traded(side)
    assert measured.filled == sum((fill.quantity for fill in fills), ZERO)
    assert measured.filled <= D("0.4")
    assert measured.execution_cost == side.sign * sum(
        (fill.quantity * (fill.price - trading.middle) for fill in fills), ZERO
    )
    exits = sum((fill.quantity for fill in trading.traded(side.opposite)), ZERO)
    assert measured.exit_filled == exits
    assert measured.unprotected < D("0.0002"), "more than the smallest order has no exit"
    assert trading.exchange.open_orders("us") == []
    assert len(trading.exchange.orders("us", BTC)) <= measured.children
    for currency in ("BTC", "USDT"):
        paid = [f.fee for f in trading.exchange.fills("us") if f.fee_asset == currency]
        assert measured.fees.get(currency, ZERO) == sum(paid, ZERO)
    if measured.leftover:
        assert measured.leftover_code is not Leftover.NOTHING


@pytest.mark.parametrize("case", ["twap", "post_only", "oco"])
def test_the_same_market_is_worked_the_same_way(case: str) -> None:
    one, other = floor(case, 5), floor(case, 5)
    assert one.run(3_000) == other.run(3_000)
    assert one.deeds == other.deeds
