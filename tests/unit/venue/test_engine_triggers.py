"""Stops and take-profits: when they trigger, and what they lock until then."""

from decimal import Decimal

import pytest

from goalkick.venue.engine.model import Kind, Phase, Reason, Refused, Status, TimeInForce
from tests.unit.venue.engine_desk import Desk


@pytest.fixture
def desk() -> Desk:
    """Last price 100; a deep book around it."""
    desk = Desk()
    desk.trade("100")
    for step in range(1, 4):
        desk.place("eve", "buy", "10", str(100 - 10 * step))
        desk.place("eve", "sell", "10", str(100 + 10 * step))
    return desk


SIDES = [
    # side, kind, stop, trade that leaves it waiting, trade that sets it off
    ("sell", Kind.STOP_LOSS, "95", "96", "95"),
    ("buy", Kind.STOP_LOSS, "105", "104", "105"),
    ("sell", Kind.TAKE_PROFIT, "105", "104", "105"),
    ("buy", Kind.TAKE_PROFIT, "95", "96", "95"),
]
_LIMITED = {Kind.STOP_LOSS: Kind.STOP_LOSS_LIMIT, Kind.TAKE_PROFIT: Kind.TAKE_PROFIT_LIMIT}


@pytest.mark.parametrize(("side", "kind", "stop", "not_yet", "due"), SIDES)
def test_waits_for_its_side_of_the_price(
    desk: Desk, side: str, kind: Kind, stop: str, not_yet: str, due: str
) -> None:
    order = desk.place("ann", side, "1", kind=kind, stop=stop)
    assert (order.status, order.working_ns) == (Status.PENDING, 0)
    desk.trade(not_yet)
    assert desk.now(order).status is Status.PENDING
    desk.trade(due)
    assert desk.life(order) == ["pending", "new", "filled"]


@pytest.mark.parametrize(("side", "kind", "stop", "not_yet", "due"), SIDES)
def test_with_a_limit_rests_there_once_set_off(
    desk: Desk, side: str, kind: Kind, stop: str, not_yet: str, due: str
) -> None:
    limit = "109" if side == "sell" else "91"
    order = desk.place("ann", side, "1", limit, kind=_LIMITED[kind], stop=stop)
    asset, locked = ("BTC", Decimal(1)) if side == "sell" else ("USDT", Decimal(91))
    assert desk.balance("ann", asset)[1] == locked
    desk.trade(due)
    assert desk.life(order) == ["pending", "new"]
    assert desk.now(order).working_ns > 0
    assert (limit, "1") in desk.book()[0 if side == "buy" else 1]
    assert desk.balance("ann", asset)[1] == locked


@pytest.mark.parametrize(("side", "kind", "stop", "not_yet", "due"), SIDES)
def test_is_refused_where_the_last_price_would_set_it_off(
    desk: Desk, side: str, kind: Kind, stop: str, not_yet: str, due: str
) -> None:
    desk.trade(due)
    with pytest.raises(Refused) as refused:
        desk.place("ann", side, "1", kind=kind, stop=stop)
    assert refused.value.reason is Reason.WOULD_TRIGGER


def test_buy_without_a_limit_locks_its_stop_price_until_it_works(desk: Desk) -> None:
    order = desk.place("ann", "buy", "2", kind=Kind.STOP_LOSS, stop="105")
    assert desk.balance("ann", "USDT") == (Decimal(99_790), Decimal(210))
    desk.trade("105")
    assert desk.now(order).quote_executed == 220
    assert desk.balance("ann", "USDT") == (Decimal(99_780), Decimal(0))


def test_triggered_buy_takes_what_it_can_pay_and_expires() -> None:
    desk = Desk(BTC="100", USDT="210")
    desk.trade("100")
    desk.place("eve", "sell", "10", "106")
    order = desk.place("ann", "buy", "2", kind=Kind.STOP_LOSS, stop="105")
    desk.place("bob", "buy", "0.1", "106")
    assert (desk.now(order).status, desk.now(order).executed) == (Status.EXPIRED, Decimal("1.9"))
    assert desk.balance("ann", "USDT") == (Decimal("8.6"), Decimal(0))


def test_one_set_off_sets_off_the_next(desk: Desk) -> None:
    first = desk.place("ann", "sell", "10", kind=Kind.STOP_LOSS, stop="95")
    second = desk.place("bob", "sell", "1", kind=Kind.STOP_LOSS, stop="90")
    desk.trade("94")
    assert desk.now(first).fills[0].price == 90
    assert desk.now(second).fills[0].price == 80
    assert desk.now(second).fills[0].trade_id > desk.now(first).fills[-1].trade_id


def test_any_price_of_a_sweep_counts_not_only_its_last() -> None:
    desk = Desk()
    desk.trade("100")
    stop = desk.place("ann", "buy", "1", kind=Kind.STOP_LOSS, stop="105")
    desk.place("eve", "sell", "5", "120")
    for price in ("106", "90"):
        desk.place("eve", "buy", "1", price)
    desk.place("bob", "sell", "2")
    assert desk.now(stop).fills[0].price == 120


def test_price_of_an_earlier_trade_does_not_count() -> None:
    desk = Desk()
    for price in ("90", "100"):
        desk.trade(price)
    stop = desk.place("ann", "sell", "1", kind=Kind.STOP_LOSS, stop="95")
    desk.trade("99")
    assert desk.now(stop).status is Status.PENDING


def test_of_those_set_off_at_once_the_older_comes_first(desk: Desk) -> None:
    old = desk.place("ann", "sell", "10", kind=Kind.STOP_LOSS, stop="95")
    young = desk.place("bob", "sell", "1", kind=Kind.STOP_LOSS, stop="96")
    desk.trade("94")
    assert desk.now(old).fills[0].price == 90
    assert desk.now(young).fills[0].price == 80


def test_all_or_nothing_limit_expires_when_set_off_without_enough(desk: Desk) -> None:
    order = desk.place(
        "ann", "buy", "20", "110", kind=Kind.STOP_LOSS_LIMIT, stop="105", tif=TimeInForce.FOK
    )
    desk.trade("105")
    assert desk.life(order) == ["pending", "new", "expired"]
    assert desk.balance("ann", "USDT") == (Decimal(100_000), Decimal(0))


def test_waiting_order_can_be_cancelled_and_never_fires(desk: Desk) -> None:
    order = desk.place("ann", "sell", "1", kind=Kind.STOP_LOSS, stop="95")
    desk.exchange.cancel("ann", desk.instrument, order_id=order.order_id)
    desk.trade("90")
    assert desk.life(order) == ["pending", "cancelled"]
    assert desk.balance("ann", "BTC") == (Decimal(100), Decimal(0))


def test_without_any_trade_yet_it_waits() -> None:
    desk = Desk()
    order = desk.place("ann", "sell", "1", kind=Kind.STOP_LOSS, stop="95")
    desk.exchange.set_phase(desk.instrument, Phase.HALT)
    desk.exchange.set_phase(desk.instrument, Phase.TRADING)
    assert desk.now(order).status is Status.PENDING
    desk.trade("90")
    assert desk.now(order).status is Status.EXPIRED
