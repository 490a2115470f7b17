"""The paper venue and limit orders that may not wait, or may do nothing else."""

from decimal import Decimal
from typing import Any

import pytest

from goalkick.common.events.base import Event, Side
from goalkick.common.events.market import BarClosed, InstrumentListed
from goalkick.common.events.order import OrderKind, TimeInForce
from goalkick.common.events.venue import PlaceOrder, VenueClosed, VenueRejected, VenueTraded
from goalkick.common.values.ids import ClientOrderId, InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.execution.paper_venue import PaperVenueCore
from goalkick.execution.settings import ExecutionSettings

D = Decimal
BTC = InstrumentId("test:BTC/USDT")
RULES = Instrument(
    id=BTC, base="BTC", quote="USDT", lot_size=D(1), maker_fee=D(0), taker_fee=D("0.01")
)


class Paper:
    """A venue whose last close is 100."""

    def __init__(self, **settings: Any) -> None:
        self.core = PaperVenueCore(ExecutionSettings(**settings))
        self.minute = 0
        self.do(InstrumentListed(time_ns=0, instrument=BTC, rules=RULES))
        self.bar("100")

    def do(self, event: Event) -> list[Any]:
        return list(self.core.handlers[type(event)](event))

    def bar(self, opened: str, low: str = "", high: str = "", volume: str = "100") -> list[Any]:
        self.minute += 1
        price = D(opened)
        return self.do(
            BarClosed(
                time_ns=self.minute,
                instrument=BTC,
                interval_ns=1,
                open=price,
                high=D(high or opened),
                low=D(low or opened),
                close=price,
                volume=D(volume),
            )
        )

    def place(self, how: TimeInForce, limit: str, **changes: Any) -> list[Any]:
        fields: dict[str, Any] = {
            "side": Side.BUY,
            "quantity": D(5),
            "kind": OrderKind.LIMIT,
            "limit_price": D(limit),
        }
        order = PlaceOrder(
            time_ns=self.minute,
            client_order_id=ClientOrderId("gk-1"),
            instrument=BTC,
            time_in_force=how,
            **fields | changes,
        )
        return self.do(order)


@pytest.mark.parametrize(
    ("limit", "side"), [("100", Side.BUY), ("101", Side.BUY), ("100", Side.SELL)]
)
def test_a_post_only_order_that_would_trade_at_once_is_refused(limit: str, side: Side) -> None:
    (answer,) = Paper().place(TimeInForce.POST_ONLY, limit, side=side)
    assert isinstance(answer, VenueRejected)
    assert "post-only" in answer.reason


@pytest.mark.parametrize("opened", ["99", "97"])
def test_a_post_only_order_trades_at_its_own_price_and_pays_the_makers_fee(opened: str) -> None:
    paper = Paper()
    paper.place(TimeInForce.POST_ONLY, "99")
    assert paper.bar("100") == []
    (trade,) = paper.bar(opened)
    assert isinstance(trade, VenueTraded)
    assert (trade.price, trade.fee) == (D(99), D(0))


def test_an_immediate_order_trades_at_the_next_open_or_expires() -> None:
    paper = Paper()
    paper.place(TimeInForce.IMMEDIATE, "100")
    (trade,) = paper.bar("98")
    assert (type(trade), trade.price) == (VenueTraded, D(98))
    paper.place(TimeInForce.IMMEDIATE, "90")
    (closed,) = paper.bar("98", low="80")
    assert isinstance(closed, VenueClosed)
    assert not closed.cancelled
    assert paper.bar("80") == []


def test_what_is_left_of_an_immediate_order_expires() -> None:
    paper = Paper(max_volume_share="0.1")
    paper.place(TimeInForce.IMMEDIATE, "100")
    trade, closed = paper.bar("98", volume="20")
    assert (trade.quantity, type(closed)) == (D(2), VenueClosed)


def test_at_the_touch_an_immediate_order_is_settled_at_once() -> None:
    paper = Paper(fill="touch")
    assert [type(a).__name__ for a in paper.place(TimeInForce.IMMEDIATE, "99")] == [
        "VenueAccepted",
        "VenueClosed",
    ]
    assert [type(a).__name__ for a in paper.place(TimeInForce.IMMEDIATE, "101")] == [
        "VenueAccepted",
        "VenueTraded",
    ]


@pytest.mark.parametrize(
    ("how", "changes", "words"),
    [
        (TimeInForce.ALL_OR_NOTHING, {}, "all or nothing"),
        (TimeInForce.IMMEDIATE, {"kind": OrderKind.TAKE_PROFIT}, "order of kind"),
        (
            TimeInForce.POST_ONLY,
            {"kind": OrderKind.STOP, "limit_price": None, "stop_price": D(101)},
            "expected a limit order",
        ),
    ],
)
def test_what_bars_cannot_tell_is_refused(
    how: TimeInForce, changes: dict[str, Any], words: str
) -> None:
    (answer,) = Paper().place(how, "99", **changes)
    assert isinstance(answer, VenueRejected)
    assert words in answer.reason
