"""How risk has orders worked: which rule counts, what it means, and what children make of it."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from goalkick.common.events.base import Side
from goalkick.common.events.market import FeedStale
from goalkick.common.events.order import (
    CancelRequested,
    OrderApproved,
    OrderKind,
    OrderPartiallyFilled,
    OrderRefused,
    OrderUnknown,
    RefusalCode,
)
from goalkick.common.values.ids import EventId, StrategyId
from goalkick.common.values.time import NS_PER_MINUTE
from goalkick.risk.settings import RiskSettings
from goalkick.risk.standing import reserved, reserved_unknown
from goalkick.risk.work import rule_for
from tests.unit.risk.desk import BTC, ETH, MAIN, D, Desk

BRACKET = {"algo": "bracket", "stop": "0.02", "take_profit": "0.03"}
OCO = {"algo": "oco", "orders": "positions", "stop": "0.02", "take_profit": "0.03"}


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"algo": "twop"}, "Input should be 'twap'"),
        ({"algo": "twap", "params": {"slces": 2}}, "params of twap: slces"),
        ({"algo": "pov", "params": {"rate": 2}}, "params of pov: rate"),
        ({"algo": "twap", "stop": "0.1"}, "expected neither of them, found 1"),
        ({"algo": "bracket", "stop": "0.1"}, "expected stop and take_profit, found 1"),
        ({**BRACKET, "orders": "exits"}, "expected `orders: entries`"),
        ({**BRACKET, "params": {"stop_price": 3}}, "its prices as stop and take_profit"),
        ({**OCO, "orders": "entries"}, "expected `orders: positions`"),
        ({**OCO, "limit": "0.1"}, "expected no limit"),
        ({"algo": "twap", "orders": "positions"}, "expected `orders: positions` with oco"),
        ({"algo": "iceberg", "params": {"visible": 1}}, "expected a limit"),
        ({"algo": "iceberg", "limit": "0.1"}, "visible: Field required"),
        ({"algo": "twap", "over": "0s"}, "greater than 0"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_at_the_start(
    rule: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        RiskSettings.model_validate({"orders": {"x": rule}})


def test_two_rules_for_the_same_orders_are_refused() -> None:
    rules = {"a": {"algo": "twap", "orders": "all"}, "b": {"algo": "pov", "orders": "exits"}}
    with pytest.raises(ValidationError, match="found a and b for the same"):
        RiskSettings.model_validate({"orders": rules})


def test_the_rule_that_names_more_counts() -> None:
    settings = RiskSettings.model_validate(
        {
            "orders": {
                "any": {"algo": "twap", "orders": "all"},
                "btc": {"algo": "pov", "instrument": BTC},
                "s": {"algo": "vwap", "strategy": "s"},
                "s btc": {"algo": "post_only", "strategy": "s", "instrument": BTC},
                "held": OCO,
            }
        }
    )
    found = {
        (strategy, instrument, orders): rule.algo
        for strategy in ("s", "other")
        for instrument in (BTC, ETH)
        for orders in ("entries", "exits", "positions")
        if (rule := rule_for(settings, StrategyId(strategy), instrument, orders))
    }
    assert found == {
        ("s", BTC, "entries"): "post_only",
        ("s", ETH, "entries"): "vwap",
        ("other", BTC, "entries"): "pov",
        ("other", ETH, "entries"): "twap",
        **{(s, i, "exits"): "twap" for s in ("s", "other") for i in (BTC, ETH)},
        **{(s, i, "positions"): "oco" for s in ("s", "other") for i in (BTC, ETH)},
    }


def approved(desk: Desk, target: float = 1.0, price: str = "100.003") -> OrderApproved:
    desk.fills = False
    desk.bar(price)
    (order,) = desk.want(target)
    assert isinstance(order, OrderApproved)
    return order


@pytest.mark.parametrize(
    ("rule", "kind", "limit"),
    [
        ({"algo": "twap"}, OrderKind.MARKET, None),
        ({"algo": "twap", "limit": "0.001"}, OrderKind.LIMIT, "100.10"),
        ({"algo": "iceberg", "limit": "-0.001", "params": {"visible": 1}}, "limit", "99.90"),
    ],
)
def test_an_approval_says_by_what_it_is_worked_and_within_what(
    rule: dict[str, Any], kind: str, limit: str | None
) -> None:
    order = approved(Desk(orders={"x": {"over": "5m", **rule}}))
    assert order.algo is not None
    assert order.algo.name == rule["algo"]
    assert order.algo.arrival_price == D("100.003")
    assert order.algo.end_ns == order.time_ns + 5 * NS_PER_MINUTE
    assert (order.kind, order.limit_price) == (kind, None if limit is None else D(limit))


def test_a_brackets_prices_lie_on_the_grid_around_the_price_at_the_decision() -> None:
    order = approved(Desk(orders={"x": BRACKET}))
    assert order.algo is not None
    params = json.loads(order.algo.params)
    assert (params["stop_price"], params["take_profit"]) == ("98.00", "103.00")


def test_a_brackets_prices_are_prices_though_the_market_is_a_tick_high() -> None:
    order = approved(Desk(orders={"x": {**BRACKET, "stop": "0.6"}}), price="0.01")
    assert order.algo is not None
    params = json.loads(order.algo.params)
    assert (params["stop_price"], params["take_profit"]) == ("0.01", "0.01")


def test_a_short_brackets_stop_lies_above() -> None:
    order = approved(Desk(orders={"x": BRACKET}, allow_short=True), -1.0)
    assert (order.side, order.algo is not None) == (Side.SELL, True)
    assert order.algo is not None
    params = json.loads(order.algo.params)
    assert (params["stop_price"], params["take_profit"]) == ("102.00", "97.00")


def filled(
    order: OrderApproved, side: Side, quantity: str, child: str = "1"
) -> OrderPartiallyFilled:
    return OrderPartiallyFilled(
        time_ns=order.time_ns,
        account=MAIN,
        order=EventId(child * 32),
        parent=order.order,
        instrument=order.instrument,
        strategy=order.strategy,
        trade_id="1",
        venue_time_ns=1,
        side=side,
        quantity=D(quantity),
        price=D(100),
        fee=D(0),
        fee_currency="USDT",
        slippage=D(0),
        filled=D(quantity),
        remaining=D(0),
    )


def test_what_children_have_traded_is_not_on_its_way_any_more() -> None:
    desk = Desk(orders={"x": BRACKET})
    order = approved(desk)
    book = desk.core.account.books[BTC]
    desk.say(filled(order, Side.BUY, "0.4"))
    assert book.working == {order.order: D("0.6")}
    slot = book.slots[order.strategy]
    desk.say(filled(order, Side.SELL, "0.4"))
    assert book.working == {order.order: D("0.6")}
    assert (slot.wanted, slot.blocked) == (D("0.6"), 1)


def test_a_child_of_unknown_fate_keeps_its_order_reserved_and_the_instrument_waits() -> None:
    desk = Desk(orders={"x": {"algo": "twap"}})
    order = approved(desk)
    desk.say(
        OrderUnknown(
            time_ns=order.time_ns,
            account=MAIN,
            order=EventId("c" * 32),
            parent=order.order,
            instrument=BTC,
            reason="",
        )
    )
    assert reserved_unknown(desk.core) == reserved(desk.core) == D("100.003")
    desk.bar("100")
    assert [a.code for a in desk.want(0.5) if isinstance(a, OrderRefused)] == [
        RefusalCode.UNKNOWN_ORDER
    ]
    desk.say(filled(order, Side.BUY, "0.1"))
    assert reserved_unknown(desk.core) > 0, "another child"
    desk.say(filled(order, Side.BUY, "0.2", "c"))
    assert reserved_unknown(desk.core) == 0


def test_a_position_is_guarded_only_where_nothing_is_in_doubt() -> None:
    desk = Desk(orders={"x": OCO}, stop_loss=None)
    desk.bar("100")
    desk.want(1.0)
    desk.say(FeedStale(time_ns=desk.minute, instrument=BTC, stream="bar", last_ns=0))
    desk.fills = False
    assert not [a for a in desk.bar("100") if isinstance(a, OrderApproved)]


def test_a_guard_counts_neither_as_bought_nor_as_sold() -> None:
    desk = Desk(orders={"x": OCO}, stop_loss=None)
    desk.bar("100")
    desk.want(1.0)
    desk.fills = False
    (guard,) = [a for a in desk.bar("100") if isinstance(a, OrderApproved)]
    book = desk.core.account.books[BTC]
    assert (guard.side, guard.quantity, guard.reduce_only) == (Side.SELL, D(1), True)
    assert book.expected == book.position == 1
    assert desk.core.awaits_reports
    assert not desk.want(1.0), "nothing is missing"
    recalled, order = desk.want(0.5)
    assert isinstance(recalled, CancelRequested)
    assert recalled.order == guard.order
    assert isinstance(order, OrderApproved)
    assert (order.side, order.quantity) == (Side.SELL, D("0.5"))
