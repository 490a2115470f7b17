"""An open order is changed by its owner: its place in the queue, its money, what is refused."""

from decimal import Decimal

import pytest

from goalkick.common.core.errors import InvalidDataError
from goalkick.venue.engine.amending import Amendment
from goalkick.venue.engine.model import Kind, Order, OrderChanged, Phase, Reason, Refused, Status
from tests.unit.venue.engine_desk import Desk


@pytest.fixture
def desk() -> Desk:
    return Desk()


def amend(
    desk: Desk,
    order: Order,
    quantity: str | None = None,
    price: str | None = None,
    stop: str | None = None,
) -> Order:
    change = Amendment(
        quantity=None if quantity is None else Decimal(quantity),
        price=None if price is None else Decimal(price),
        stop_price=None if stop is None else Decimal(stop),
    )
    return desk.exchange.amend(order.account, order.instrument, change, order_id=order.order_id)


@pytest.mark.parametrize(
    ("quantity", "price", "first"),
    [
        ("1", None, "ann"),
        ("3", None, "eve"),
        (None, "101", "eve"),
        ("1", "101", "eve"),
        (None, "99", "ann"),
    ],
    ids=["less keeps its place", "more goes last", "a worse price", "both", "a better price"],
)
def test_only_less_of_it_or_a_better_price_is_served_before_a_younger_order(
    desk: Desk, quantity: str | None, price: str | None, first: str
) -> None:
    ann = desk.place("ann", "sell", "2", "100")
    eve = desk.place("eve", "sell", "2", "100")
    amend(desk, ann, quantity, price)
    desk.place("bob", "buy", "0.5", "101")
    filled = {order.account for order in (ann, eve) if desk.now(order).executed}
    assert filled == {first}


@pytest.mark.parametrize(
    ("side", "price", "quantity", "to", "asset", "locked"),
    [
        ("buy", "90", "1", None, "USDT", 90),
        ("buy", "90", "3", None, "USDT", 270),
        ("buy", "90", None, "80", "USDT", 160),
        ("buy", "90", "3", "80", "USDT", 240),
        ("sell", "110", "1", None, "BTC", 1),
        ("sell", "110", "3", "120", "BTC", 3),
    ],
)
def test_it_locks_what_it_needs_now_and_its_level_shows_it(
    desk: Desk, side: str, price: str, quantity: str | None, to: str | None, asset: str, locked: int
) -> None:
    order = desk.place("ann", side, "2", price)
    wanted = amend(desk, order, quantity, to)
    assert (wanted.order_id, wanted.status) == (order.order_id, Status.NEW)
    assert desk.balance("ann", asset)[1] == locked
    shown = desk.book()[0 if side == "buy" else 1]
    assert shown == [(to or price, quantity or "2")]


def test_what_is_filled_stays_and_the_quantity_is_that_of_the_whole_order(desk: Desk) -> None:
    order = desk.place("ann", "sell", "2", "100")
    desk.place("bob", "buy", "0.5", "100")
    wanted = amend(desk, order, "1")
    assert (wanted.status, wanted.executed, wanted.left) == (
        Status.PARTIALLY_FILLED,
        Decimal("0.5"),
        Decimal("0.5"),
    )
    desk.place("bob", "buy", "1", "100")
    assert desk.now(order).status is Status.FILLED
    assert desk.book() == ([("100", "0.5")], [])


def test_a_price_that_is_met_trades_at_the_better_one(desk: Desk) -> None:
    desk.place("bob", "sell", "1", "100")
    order = desk.place("ann", "buy", "3", "90")
    desk.place("eve", "sell", "0.5", "90")
    wanted = amend(desk, order, price="110")
    assert (wanted.executed, wanted.left) == (Decimal("1.5"), Decimal("1.5"))
    assert wanted.quote_executed == Decimal("0.5") * 90 + 100
    assert desk.balance("ann", "USDT")[1] == Decimal("1.5") * 110
    assert desk.book() == ([("110", "1.5")], [])


def test_a_maker_only_order_that_would_take_is_rejected_and_frees_its_money(desk: Desk) -> None:
    desk.place("bob", "sell", "1", "100")
    order = desk.place("ann", "buy", "1", "90", kind=Kind.LIMIT_MAKER)
    assert amend(desk, order, price="100").status is Status.REJECTED
    assert desk.balance("ann", "USDT") == (Decimal(100_000), Decimal(0))
    assert desk.book() == ([], [("100", "1")])


def test_trades_of_a_changed_order_set_off_who_waits_for_their_price(desk: Desk) -> None:
    desk.trade("100")
    waiting = desk.place("eve", "buy", "1", kind=Kind.STOP_LOSS, stop="105")
    desk.place("bob", "sell", "2", "105")
    order = desk.place("ann", "buy", "1", "90")
    amend(desk, order, price="105")
    assert desk.now(waiting).status is Status.FILLED


def test_a_waiting_order_takes_another_trigger(desk: Desk) -> None:
    desk.trade("100")
    order = desk.place("ann", "buy", "1", "111", kind=Kind.STOP_LOSS_LIMIT, stop="110")
    wanted = amend(desk, order, "2", "121", "120")
    assert (wanted.status, wanted.stop_price) == (Status.PENDING, Decimal(120))
    assert desk.balance("ann", "USDT")[1] == 242
    desk.trade("110")
    assert desk.now(order).status is Status.PENDING
    desk.trade("120")
    assert desk.now(order).status is not Status.PENDING


@pytest.mark.parametrize(
    ("quantity", "price", "reason"),
    [
        ("0.5", None, Reason.BELOW_EXECUTED),
        ("0.3", None, Reason.BELOW_EXECUTED),
        ("101", None, Reason.LOT_SIZE),
        ("1.05", None, Reason.LOT_SIZE),
        (None, "100.5", Reason.PRICE_FILTER),
        (None, "501", Reason.PERCENT_PRICE),
        (None, "2000", Reason.PRICE_FILTER),
        ("100", "90", Reason.INSUFFICIENT_BALANCE),
    ],
)
def test_a_refused_change_changes_nothing(
    quantity: str | None, price: str | None, reason: Reason
) -> None:
    desk = Desk(BTC="2", USDT="8000")
    order = desk.place("ann", "buy", "2", "80")
    desk.place("bob", "sell", "0.5", "80")
    before = (desk.now(order), desk.book(), desk.balance("ann", "USDT"), len(desk.said))
    with pytest.raises(Refused) as refused:
        amend(desk, order, quantity, price)
    assert refused.value.reason is reason
    assert (desk.now(order), desk.book(), desk.balance("ann", "USDT"), len(desk.said)) == before


@pytest.mark.parametrize(
    ("quantity", "price", "stop"),
    [
        ("2", None, None),
        (None, "90", None),
        (None, None, None),
        (None, None, "95"),
        ("-1", "9", ""),
    ],
)
def test_a_change_that_makes_no_sense_is_invalid(
    desk: Desk, quantity: str | None, price: str | None, stop: str | None
) -> None:
    order = desk.place("ann", "buy", "2", "90")
    with pytest.raises((InvalidDataError, Refused)):
        amend(desk, order, quantity, price, stop or None)
    assert desk.now(order) == order


def test_what_has_ended_cannot_be_changed(desk: Desk) -> None:
    order = desk.place("ann", "buy", "2", "90")
    desk.exchange.cancel("ann", order.instrument, order_id=order.order_id)
    with pytest.raises(Refused) as refused:
        amend(desk, order, "1")
    assert refused.value.reason is Reason.UNKNOWN_ORDER


def test_nothing_is_changed_while_the_market_is_closed(desk: Desk) -> None:
    order = desk.place("ann", "buy", "2", "90")
    desk.exchange.set_phase(order.instrument, Phase.CANCEL_ONLY)
    with pytest.raises(Refused) as refused:
        amend(desk, order, "1")
    assert refused.value.reason is Reason.MARKET_CLOSED


def test_the_change_is_told_once_and_as_a_change(desk: Desk) -> None:
    order = desk.place("ann", "buy", "2", "90")
    desk.said.clear()
    amend(desk, order, "1", "91")
    changes = [change for change in desk.said if isinstance(change, OrderChanged)]
    assert [(change.amended, change.order.price) for change in changes] == [(True, Decimal(91))]
