"""Each kind of order in the book: priority, time in force, what is left of it."""

from decimal import Decimal

import pytest

from goalkick.common.core.errors import InvalidDataError
from goalkick.venue.engine.model import (
    BalanceChanged,
    Kind,
    LevelChanged,
    NewOrder,
    OrderChanged,
    Reason,
    Refused,
    Side,
    Status,
    TimeInForce,
    Traded,
)
from tests.unit.venue.engine_desk import BTC_USDT, Desk


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_limit_order_rests_and_locks_exactly_what_it_needs(desk: Desk) -> None:
    order = desk.place("ann", "buy", "2", "90")
    assert order.status is Status.NEW
    assert order.working_ns == desk.exchange.now_ns
    assert desk.book() == ([("90", "2")], [])
    assert desk.balance("ann", "USDT") == (Decimal(99_820), Decimal(180))


def test_better_price_trades_first_then_the_older_order(desk: Desk) -> None:
    late_price = desk.place("ann", "sell", "1", "102")
    old = desk.place("ann", "sell", "1", "101")
    young = desk.place("eve", "sell", "1", "101")
    taker = desk.place("bob", "buy", "1.5", "102")
    assert [(fill.price, fill.quantity) for fill in taker.fills] == [
        (Decimal(101), Decimal(1)),
        (Decimal(101), Decimal("0.5")),
    ]
    assert desk.now(old).status is Status.FILLED
    assert desk.now(young).status is Status.PARTIALLY_FILLED
    assert desk.now(late_price).status is Status.NEW


def test_taker_gets_the_better_price_and_the_difference_back(desk: Desk) -> None:
    desk.place("ann", "sell", "1", "100")
    taker = desk.place("bob", "buy", "3", "110")
    assert (taker.status, taker.executed) == (Status.PARTIALLY_FILLED, Decimal(1))
    assert taker.quote_executed == 100
    # 100 for the one, 110 each set aside for the other two.
    assert desk.balance("bob", "USDT") == (Decimal(99_680), Decimal(220))
    assert desk.book() == ([("110", "2")], [])


@pytest.mark.parametrize(
    ("tif", "quantity", "status", "executed", "bids"),
    [
        (TimeInForce.GTC, "1", Status.FILLED, "1", []),
        (TimeInForce.GTC, "5", Status.PARTIALLY_FILLED, "2", [("101", "3")]),
        (TimeInForce.IOC, "1", Status.FILLED, "1", []),
        (TimeInForce.IOC, "5", Status.EXPIRED, "2", []),
        (TimeInForce.FOK, "2", Status.FILLED, "2", []),
        (TimeInForce.FOK, "2.1", Status.EXPIRED, "0", []),
    ],
)
def test_time_in_force_decides_about_the_rest(
    desk: Desk,
    tif: TimeInForce,
    quantity: str,
    status: Status,
    executed: str,
    bids: list[tuple[str, str]],
) -> None:
    desk.place("ann", "sell", "1", "100")
    desk.place("ann", "sell", "1", "101")
    desk.place("ann", "sell", "7", "102")
    order = desk.place("bob", "buy", quantity, "101", tif=tif)
    assert (order.status, order.executed) == (status, Decimal(executed))
    assert desk.book()[0] == bids
    if not bids:
        assert desk.balance("bob", "USDT")[1] == 0


def test_market_order_takes_what_there_is_and_expires(desk: Desk) -> None:
    desk.place("ann", "sell", "1", "100")
    desk.place("ann", "sell", "1", "103")
    order = desk.place("bob", "buy", "5")
    assert (order.status, order.executed) == (Status.EXPIRED, Decimal(2))
    assert desk.life(order) == ["new", "partially_filled", "partially_filled", "expired"]
    assert desk.book() == ([], [])


@pytest.mark.parametrize(("side", "quote"), [("buy", None), ("sell", None), ("buy", "50")])
def test_market_order_on_an_empty_book_expires(desk: Desk, side: str, quote: str | None) -> None:
    order = desk.place("bob", side, None if quote else "1", quote=quote)
    assert (order.status, order.executed, order.fills) == (Status.EXPIRED, Decimal(0), [])


@pytest.mark.parametrize(
    ("side", "quote", "status", "executed", "spent"),
    [
        ("buy", "100", Status.FILLED, "1", "100"),
        ("buy", "155", Status.FILLED, "1.5", "151"),  # 4 buy no tenth at 102
        ("buy", "1000", Status.EXPIRED, "2", "202"),
        ("sell", "85", Status.FILLED, "0.9", "81"),
        ("sell", "200", Status.EXPIRED, "2", "178"),
    ],
)
def test_market_order_by_quote_spends_or_earns_at_most_that(
    desk: Desk, side: str, quote: str, status: Status, executed: str, spent: str
) -> None:
    for maker, price in (("sell", "100"), ("sell", "102"), ("buy", "90"), ("buy", "88")):
        desk.place("ann", maker, "1", price)
    order = desk.place("bob", side, None, quote=quote)
    assert (order.status, order.executed) == (status, Decimal(executed))
    assert order.quantity == order.executed
    assert order.quote_executed == Decimal(spent)
    assert order.quote_quantity == Decimal(quote)


def test_quote_order_is_done_when_the_next_price_is_beyond_the_rest(desk: Desk) -> None:
    desk.place("ann", "sell", "1", "10")
    desk.place("ann", "sell", "1", "900")
    order = desk.place("bob", "buy", None, quote="60")
    assert (order.status, order.executed) == (Status.FILLED, Decimal(1))
    assert desk.life(order)[-1] == "filled"


def test_limit_maker_that_would_take_is_refused(desk: Desk) -> None:
    desk.place("ann", "sell", "1", "100")
    with pytest.raises(Refused) as refused:
        desk.place("bob", "buy", "1", "100", kind=Kind.LIMIT_MAKER)
    assert refused.value.reason is Reason.WOULD_TAKE
    assert desk.place("bob", "buy", "1", "99", kind=Kind.LIMIT_MAKER).status is Status.NEW


@pytest.mark.parametrize(
    ("side", "quantity", "price"),
    [("buy", "1", "101"), ("sell", "1.1", "90"), ("buy", "1", None), ("sell", "1.1", None)],
)
def test_order_beyond_the_balance_is_refused_and_nothing_changes(
    side: str, quantity: str, price: str | None
) -> None:
    desk = Desk(BTC="1", USDT="100")
    desk.place("ann", "sell", "1", "101")
    desk.place("eve", "buy", "1", "90")
    before, said = desk.exchange.ledger(), len(desk.said)
    with pytest.raises(Refused) as refused:
        desk.place("bob", side, quantity, price)
    assert refused.value.reason is Reason.INSUFFICIENT_BALANCE
    assert desk.exchange.ledger() == before
    assert len(desk.said) == said


def test_cancel_frees_what_was_locked_and_says_whose_cancel_it_was(desk: Desk) -> None:
    order = desk.place("ann", "sell", "2", "110", client_id="a1")
    cancelled = desk.exchange.cancel("ann", BTC_USDT, client_order_id="a1", cancel_id="c1")
    assert (cancelled.order_id, cancelled.status) == (order.order_id, Status.CANCELLED)
    assert desk.balance("ann", "BTC") == (Decimal(100), Decimal(0))
    change = next(h for h in reversed(desk.said) if isinstance(h, OrderChanged))
    assert change.cancel_id == "c1"
    with pytest.raises(Refused) as refused:
        desk.exchange.cancel("ann", BTC_USDT, order_id=order.order_id)
    assert refused.value.reason is Reason.UNKNOWN_ORDER


def test_nobody_cancels_or_sees_the_order_of_another(desk: Desk) -> None:
    order = desk.place("ann", "sell", "2", "110")
    with pytest.raises(Refused):
        desk.exchange.cancel("bob", BTC_USDT, order_id=order.order_id)
    with pytest.raises(Refused):
        desk.exchange.order("bob", BTC_USDT, order_id=order.order_id)


def test_cancel_all_ends_what_is_open_on_the_instrument(desk: Desk) -> None:
    desk.trade("100")
    for price in ("80", "81"):
        desk.place("ann", "buy", "1", price)
    desk.place("ann", "sell", "1", kind=Kind.STOP_LOSS, stop="90")
    ended = desk.exchange.cancel_all("ann", BTC_USDT)
    assert [order.status for order in ended] == [Status.CANCELLED] * 3
    assert desk.exchange.open_orders("ann") == []
    assert desk.exchange.cancel_all("ann", BTC_USDT) == []
    assert desk.balance("ann", "BTC") == (Decimal(100), Decimal(0))


def test_client_order_id_must_differ_only_from_open_orders(desk: Desk) -> None:
    first = desk.place("ann", "buy", "1", "90", client_id="x")
    with pytest.raises(Refused) as refused:
        desk.place("ann", "buy", "1", "91", client_id="x")
    assert refused.value.reason is Reason.DUPLICATE_CLIENT_ID
    desk.place("bob", "buy", "1", "90", client_id="x")
    desk.exchange.cancel("ann", BTC_USDT, client_order_id="x")
    second = desk.place("ann", "buy", "1", "91", client_id="x")
    newest = desk.exchange.order("ann", BTC_USDT, client_order_id="x")
    assert newest.order_id == second.order_id != first.order_id


def test_both_ids_must_be_of_the_same_order(desk: Desk) -> None:
    first = desk.place("ann", "buy", "1", "90", client_id="x")
    desk.place("ann", "buy", "1", "91", client_id="y")
    with pytest.raises(Refused):
        desk.exchange.cancel("ann", BTC_USDT, order_id=first.order_id, client_order_id="y")


def test_test_order_is_checked_and_leaves_no_trace(desk: Desk) -> None:
    before = desk.exchange.ledger()
    assert desk.place("ann", "buy", "1", "90", test=True).order_id == 0
    with pytest.raises(Refused):
        desk.place("ann", "buy", "1", "0.5", test=True)
    assert desk.exchange.ledger() == before
    assert desk.place("ann", "buy", "1", "90").order_id == 1


def test_what_was_returned_does_not_change_afterwards(desk: Desk) -> None:
    order = desk.place("ann", "sell", "2", "100")
    desk.place("bob", "buy", "1", "100")
    assert (order.status, order.fills) == (Status.NEW, [])
    assert len(desk.now(order).fills) == 1


def test_happenings_of_a_fill_come_in_order(desk: Desk) -> None:
    desk.place("ann", "sell", "1", "100")
    desk.said.clear()
    desk.place("bob", "buy", "2", "100")
    assert [type(happening) for happening in desk.said] == [
        OrderChanged,  # the taker is new
        Traded,
        LevelChanged,  # the maker's level is gone
        OrderChanged,  # the maker is filled
        OrderChanged,  # the taker is filled in part
        LevelChanged,  # the taker's rest
        BalanceChanged,
        BalanceChanged,
        BalanceChanged,
    ]
    changed = [h.account for h in desk.said if isinstance(h, BalanceChanged)]
    assert changed == ["bob", "ann", "fees"]


def test_listener_may_trade_and_is_told_in_order(desk: Desk) -> None:
    answered: list[int] = []

    def hit(happening: object) -> None:
        if isinstance(happening, LevelChanged) and not answered:
            answered.append(desk.place("bob", "buy", "1", "100").order_id)

    desk.exchange.subscribe(hit)
    order = desk.place("ann", "sell", "1", "100")
    assert answered
    assert desk.life(order) == ["new", "filled"]
    ids = [h.update_id for h in desk.said if isinstance(h, LevelChanged)]
    assert ids == [1, 2]


def test_unsubscribed_listener_hears_nothing(desk: Desk) -> None:
    heard: list[object] = []
    unsubscribe = desk.exchange.subscribe(heard.append)
    unsubscribe()
    desk.place("ann", "sell", "1", "100")
    assert heard == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": Kind.LIMIT, "quantity": Decimal(1)},
        {"kind": Kind.MARKET},
        {"kind": Kind.MARKET, "quantity": Decimal(1), "price": Decimal(1)},
        {"kind": Kind.MARKET, "quantity": Decimal(1), "quote_quantity": Decimal(1)},
        {"kind": Kind.MARKET, "quote_quantity": Decimal(0)},
        {"kind": Kind.LIMIT, "quote_quantity": Decimal(9), "price": Decimal(1)},
        {"kind": Kind.LIMIT, "quantity": Decimal(-1), "price": Decimal(1)},
        {"kind": Kind.LIMIT, "quantity": Decimal(1), "price": Decimal(0)},
        {"kind": Kind.STOP_LOSS, "quantity": Decimal(1)},
        {"kind": Kind.STOP_LOSS_LIMIT, "quantity": Decimal(1), "stop_price": Decimal(1)},
        {
            "kind": Kind.LIMIT_MAKER,
            "quantity": Decimal(1),
            "price": Decimal(1),
            "time_in_force": TimeInForce.IOC,
        },
    ],
)
def test_request_that_makes_no_sense_is_an_error_of_the_front_end(
    desk: Desk, wrong: dict[str, object]
) -> None:
    request = NewOrder(instrument=BTC_USDT, side=Side.BUY, **wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidDataError):
        desk.exchange.place("ann", request)


def test_time_does_not_go_back(desk: Desk) -> None:
    now = desk.exchange.now_ns
    desk.exchange.advance(now + 5)
    desk.exchange.advance(now)
    assert desk.exchange.now_ns == now + 5
