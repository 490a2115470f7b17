"""All parents of an account, driven by the events that execution reports itself."""

from typing import Any

import pytest

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Event, Side
from goalkick.common.events.control import TimeAdvanced
from goalkick.common.events.market import QuoteChanged, TradePrinted
from goalkick.common.events.order import (
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderPartiallyFilled,
    OrderRejected,
    OrderUnknown,
)
from goalkick.common.values.ids import AccountId, EventId, InstrumentId, StrategyId
from goalkick.execution.algos import parents as module
from goalkick.execution.algos.model import (
    CancelChild,
    ParentEnded,
    PlaceChild,
    child_order_id,
)
from goalkick.execution.algos.parents import Parents, Wanted
from tests.unit.execution.algo_market import MINUTE, RULES, SECOND, START, D, parent

ONE, OTHER = EventId("a" * 32), EventId("b" * 32)
ETH = InstrumentId("binance:ETH/USDT")
TWAP: dict[str, Any] = {"slices": 2, "jitter": 0, "retry_delay": "1500ms"}


def about(order: EventId, **fields: Any) -> dict[str, Any]:
    return {
        "time_ns": START + SECOND,
        "account": AccountId("main"),
        "order": order,
        "instrument": RULES.id,
        **fields,
    }


def filled(order: EventId, quantity: str, trade: str = "1", *, last: bool = True) -> Event:
    kind = OrderFilled if last else OrderPartiallyFilled
    return kind(
        **about(order),
        strategy=StrategyId("s"),
        trade_id=trade,
        venue_time_ns=START,
        side=Side.BUY,
        quantity=D(quantity),
        price=D(101),
        fee=D("0.1"),
        fee_currency="USDT",
        slippage=D(0),
        filled=D(quantity),
        remaining=D(0),
    )


def opened(*orders: EventId) -> tuple[Parents, list[Wanted]]:
    desk = Parents()
    wanted: list[Wanted] = []
    for order in orders or (ONE,):
        wanted += desk.open("twap", parent("10", order=order), TWAP, START)
    return desk, wanted


def test_a_parent_is_worked_by_orders_with_ids_of_its_own() -> None:
    desk, (first,) = opened()
    assert isinstance(first.deed, PlaceChild)
    assert first.order == child_order_id(ONE, 0)
    assert desk.child(first.order) == (ONE, 0)
    assert desk.wake_ns == START + 5 * MINUTE
    assert desk.hear(filled(first.order, "5")) == []
    (second,) = desk.hear(TimeAdvanced(time_ns=START + 5 * MINUTE))
    (end,) = desk.hear(filled(second.order, "5"))
    assert isinstance(end.deed, ParentEnded)
    assert end.order == ONE
    assert end.deed.measurement.filled == 10
    assert end.deed.measurement.fees == {"USDT": D("0.2")}
    assert desk.working == {}
    assert desk.wake_ns is None


def test_opening_a_parent_again_changes_nothing() -> None:
    desk, _ = opened()
    assert desk.open("twap", parent("10"), TWAP, START) == ()


def test_a_parent_that_cannot_be_worked_leaves_no_trace() -> None:
    desk = Parents()
    with pytest.raises(InvalidDataError):
        desk.open("twap", parent(), {"slices": 0}, START)
    assert desk.working == {}
    assert len(desk.open("twap", parent(), TWAP, START)) == 1


@pytest.mark.parametrize(
    ("report", "again"),
    [
        (OrderAccepted(**about(child_order_id(ONE, 0)), venue_order_id="7"), 0),
        (OrderUnknown(**about(child_order_id(ONE, 0)), reason="timeout"), 0),
        (OrderRejected(**about(child_order_id(ONE, 0)), reason="no money"), 5),
        (OrderCancelled(**about(child_order_id(ONE, 0)), filled=D(0), reason=""), 5),
        (OrderExpired(**about(child_order_id(ONE, 0)), filled=D(0), reason=""), 5),
        (OrderRejected(**about(EventId("f" * 32)), reason="not ours"), 0),
    ],
)
def test_only_an_end_makes_room_for_another_child(report: Event, again: int) -> None:
    """Above all, an order of unknown fate keeps its quantity reserved."""
    desk, _ = opened()
    assert desk.hear(report) in ([], ())
    wanted = desk.hear(TimeAdvanced(time_ns=START + 10 * SECOND))
    placed = [each.deed.quantity for each in wanted if isinstance(each.deed, PlaceChild)]
    assert sum(placed) == again


def test_each_hears_of_its_own_instrument_and_of_its_own_children() -> None:
    desk, _ = opened()
    desk.open("pov", parent(order=OTHER), {"rate": "0.5"}, START)
    trade: dict[str, Any] = {
        "time_ns": START + SECOND,
        "trade_id": "1",
        "price": D(100),
        "quantity": D(2),
        "side": Side.BUY,
    }
    assert desk.hear(TradePrinted(instrument=ETH, **trade)) == []
    (wanted,) = desk.hear(TradePrinted(instrument=RULES.id, **trade))
    assert wanted.parent.order == OTHER
    desk.hear(filled(wanted.order, "1"))
    states = {order: algo.state.children for order, algo in desk.working.items()}  # type: ignore[attr-defined]
    assert len(states[ONE].open) == 1
    assert len(states[OTHER].closed) == 1


def test_a_stopped_parent_ends_when_its_children_have() -> None:
    desk, (first,) = opened()
    (cancel,) = desk.stop(ONE, START + SECOND, "halted")
    assert isinstance(cancel.deed, CancelChild)
    assert cancel.order == first.order
    (end,) = desk.hear(OrderCancelled(**about(first.order), filled=D(0), reason=""))
    assert isinstance(end.deed, ParentEnded)
    assert end.deed.measurement.detail == "halted"
    assert desk.stop(ONE, START + SECOND, "again") == ()


def test_snapshot_then_restore_is_invisible() -> None:
    desk, (first, _) = opened(ONE, OTHER)
    desk.hear(filled(first.order, "2", last=False))
    desk.stop(OTHER, START, "")
    desk.hear(OrderCancelled(**about(child_order_id(OTHER, 0)), filled=D(0), reason=""))
    again = Parents()
    again.restore(desk.snapshot())
    assert again.snapshot() == desk.snapshot()
    events = [
        filled(first.order, "2", last=False),
        filled(first.order, "3", "2"),
        QuoteChanged(
            time_ns=START + MINUTE,
            instrument=RULES.id,
            bid=D(99),
            bid_quantity=D(1),
            ask=D(101),
            ask_quantity=D(1),
        ),
        TimeAdvanced(time_ns=START + 5 * MINUTE),
        filled(child_order_id(ONE, 1), "5", "3"),
        filled(child_order_id(OTHER, 0), "1", "late"),
    ]
    wanted = [desk.hear(event) for event in events]
    assert wanted == [again.hear(event) for event in events]
    assert isinstance(wanted[-1][0].deed, ParentEnded), "a late trade is said, corrected"
    assert again.snapshot() == desk.snapshot()


def test_remembers_ended_parents_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 1)
    desk, wanted = opened(ONE, OTHER)
    for each in wanted:
        desk.stop(each.parent.order, START, "")
        desk.hear(OrderCancelled(**about(each.order), filled=D(0), reason=""))
    assert desk.child(child_order_id(ONE, 0)) is None
    assert desk.child(child_order_id(OTHER, 0)) == (OTHER, 0)
    assert desk.hear(filled(child_order_id(ONE, 0), "1")) == ()
